package main

import (
	"os"
	"testing"
)

// TestFew holds few connections: not for the figures, but that it works.
func TestFew(t *testing.T) {
	if err := run([]string{"--connections", "200", "--hold", "1ms"}); err != nil {
		t.Fatal(err)
	}
}

// TestMain lets the test binary be the processes of clients.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == commandClients {
		main()
		return
	}
	m.Run()
}
