package server

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// TestRootSecret keeps the key, unless others could read it.
func TestRootSecret(t *testing.T) {
	dir := t.TempDir()
	first, err := rootSecret(dir)
	if err != nil || len(first) < 32 {
		t.Fatalf("%q, %v", first, err)
	}
	file := filepath.Join(dir, RootKeyFile)
	if again, err := rootSecret(dir); err != nil || again != first {
		t.Errorf("the second time %q, %v, want %q", again, err, first)
	}
	if runtime.GOOS == "windows" {
		return // no such modes
	}
	for what, spoil := range map[string]func() error{
		"readable by others": func() error { return os.Chmod(file, 0o644) },
		"cut short":          func() error { return os.WriteFile(file, []byte("x"), 0o600) },
	} {
		before, err := rootSecret(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if now, err := rootSecret(dir); err != nil || now == before || len(now) < 32 {
			t.Errorf("%s: %q, %v", what, now, err)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: the new file is %v, %v", what, info.Mode(), err)
		}
	}
}
