package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestFullDisk fills the disk under the tables: writes are answered with an
// InternalServerError and the log says what to do; reads go on; and when there is
// room again writes go on without a restart, with nothing lost that was
// acknowledged.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=40m"); err != nil {
		if errors.Is(err, syscall.EPERM) {
			t.Skip("only root may mount a small disk")
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Unmount(disk, syscall.MNT_DETACH) })
	dir := filepath.Join(disk, "stack")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "template.yaml"), []byte(killStack), 0o644); err != nil {
		t.Fatal(err)
	}
	s := start(t, dir)
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 12<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	pad := strings.Repeat("x", 100<<10)
	put := func(i int) (int, string) {
		status, body, err := s.ddb("PutItem", object{"TableName": "items", "Item": object{"id": object{"S": fmt.Sprintf("i%04d", i)}, "pad": object{"S": pad}}})
		if err != nil {
			t.Fatal(err)
		}
		return status, string(body)
	}
	n, refusal := 0, ""
	for ; refusal == ""; n++ {
		if n > 1000 {
			t.Fatal("100 MB are on a disk of 40")
		}
		if status, body := put(n); status != http.StatusOK {
			if refusal = body; status != http.StatusInternalServerError || !strings.Contains(body, "InternalServerError") {
				t.Errorf("on the full disk: %d %s", status, body)
			}
			n--
		}
	}
	s.await("the log to say what to do", func() bool { return strings.Contains(s.log.String(), "make room") })
	for i := range n {
		status, body, err := s.ddb("GetItem", object{"TableName": "items", "Key": object{"id": object{"S": fmt.Sprintf("i%04d", i)}}})
		if err != nil || status != http.StatusOK || !bytes.Contains(body, []byte(pad)) {
			t.Fatalf("GetItem %d on the full disk: %d %v", i, status, err)
		}
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	s.await("writes to go on", func() bool { status, _ := put(n); return status == http.StatusOK })
	s.kill()
	s = start(t, dir)
	there := map[string]bool{}
	for _, id := range s.rows("items", "id") {
		there[id] = true
	}
	for i := range n + 1 {
		if id := fmt.Sprintf("i%04d", i); !there[id] {
			t.Errorf("the acknowledged item %s is lost", id)
		}
	}
}
