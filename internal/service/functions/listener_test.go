package functions

import (
	"io/fs"
	"testing"
)

// TestOwnFrame wants every file of the runtime recognized, and no other.
func TestOwnFrame(t *testing.T) {
	files, err := fs.Glob(runtimeFiles, "runtime/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		if line := "    at main (/home/me/chat/.tidegate/functions/" + f + ":376:11)"; !OwnFrame(line) {
			t.Errorf("%q is ours", line)
		}
	}
	if line := `    at C:\chat\.tidegate\functions\runtime\bootstrap.cjs:1:2`; !OwnFrame(line) {
		t.Errorf("%q is ours", line)
	}
	for _, line := range []string{"    at handler (/app/functions/runtime/index.js:1:1)", "    at handler (/app/bootstrap.cjs:1:1)", ""} {
		if OwnFrame(line) {
			t.Errorf("%q is the function's", line)
		}
	}
}
