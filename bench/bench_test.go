package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tidegate/bench/gateway"
	"tidegate/bench/proc"
)

// TestCommands runs each command small, against Tidegate and the peer that needs no
// installation: not for its figures, but that it works.
func TestCommands(t *testing.T) {
	b := &bench{dir: t.TempDir(), settle: 20 * time.Millisecond, warm: 50 * time.Millisecond, duration: 200 * time.Millisecond, publishers: 4}
	b.program = filepath.Join(b.dir, "tidegate")
	if err := gateway.Build(t.Context(), b.program); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proc.EndAll)
	for name := range tests {
		for _, target := range []string{tidegateName, gwsName} {
			if !does(target, name) {
				continue
			}
			t.Run(name+"/"+target, func(t *testing.T) {
				r := b.measure(t.Context(), planned{name, target, 38}, 1)
				if r.failed() {
					t.Errorf("%s %v", r.Aborted, r.Errors)
				}
				if name != testIdle && r.Values["messages"] == 0 {
					t.Errorf("no message was counted: %v", r.Values)
				}
			})
		}
	}
}

// TestMain lets the test binary be the programs that the bench starts of itself.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "serve-") {
		main()
		return
	}
	m.Run()
}
