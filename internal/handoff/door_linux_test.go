package handoff

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestDoor asks through a socket in a data dir whose path is longer than a socket's
// address can be, and replaces one that another process left.
func TestDoor(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Ask(t.Context(), dir, Request{}, nil); !errors.Is(err, ErrNobody) {
		t.Errorf("where there is no door: %v", err)
	}
	first, err := OpenDoor(dir)
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	if _, err := Ask(t.Context(), dir, Request{}, nil); !errors.Is(err, ErrNobody) {
		t.Errorf("where nobody listens any more: %v", err)
	}
	d, err := OpenDoor(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, doorName)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", info.Mode(), err)
	}
	want := Result{Progress: Progress{Step: Moved, PID: 7, Connections: 3}, Left: 1}
	go func() {
		c := <-d.Calls()
		c.Tell(Progress{Step: Started, PID: len(c.Binary)})
		c.Done(want)
		d.Close()
	}()
	var heard []Progress
	got, err := Ask(t.Context(), dir, Request{Binary: "1234567"}, func(p Progress) { heard = append(heard, p) })
	if err != nil || got != want || !slices.Equal(heard, []Progress{{Step: Started, PID: 7}}) {
		t.Errorf("%+v, %v, heard %v", got, err, heard)
	}
	if _, open := <-d.Calls(); open {
		t.Error("a closed door takes calls")
	}
}

// TestDoorClosesOnWhoWaits holds that who asked while nobody listened is told so when
// the door is closed.
func TestDoorClosesOnWhoWaits(t *testing.T) {
	dir := t.TempDir()
	d, err := OpenDoor(dir)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("unix", filepath.Join(dir, doorName))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "{}"); err != nil {
		t.Fatal(err)
	}
	for unread(t, c.(*net.UnixConn)) > 0 { // until it was let in
		time.Sleep(time.Millisecond)
	}
	d.Close()
	said, err := io.ReadAll(c)
	if !bytes.Contains(said, []byte(`"busy":true`)) {
		t.Errorf("told %q, %v", said, err)
	}
}

// TestDoorWithoutDescriptors holds that a door stays open when it can take nobody in
// for a while.
func TestDoorWithoutDescriptors(t *testing.T) {
	dir := t.TempDir()
	d, err := OpenDoor(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 0, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	err = syscall.Connect(fd, &syscall.SockaddrUnix{Name: filepath.Join(dir, doorName)})
	time.Sleep(acceptPause / 10) // time to fail
	if err := errors.Join(err, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before)); err != nil {
		t.Fatal(err)
	}
	if _, err := syscall.Write(fd, []byte(`{"binary":"next"}`)); err != nil {
		t.Fatal(err)
	}
	if c := <-d.Calls(); c == nil || c.Binary != "next" {
		t.Errorf("asked %+v", c)
	}
}

// unread is how much of what was written the other end has not read.
func unread(t *testing.T, c *net.UnixConn) (n int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) { n, failed = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	if err = errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
	return n
}
