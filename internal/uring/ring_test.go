//go:build linux

package uring_test

import (
	"bytes"
	"errors"
	"fmt"
	"syscall"
	"testing"

	"tidegate/internal/uring"
)

// ring returns a ring of its own, or skips where the kernel has none for us.
func ring(t testing.TB, size int) *uring.Ring {
	r, err := uring.New(size)
	if uring.Missing(err) {
		t.Skipf("no io_uring here: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// pair returns the descriptors of two sockets that are connected.
func pair(t testing.TB) (here, there int) {
	p, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(p[0]); syscall.Close(p[1]) })
	return p[0], p[1]
}

func TestSubmit(t *testing.T) {
	r := ring(t, 8)
	if r.Size() != 8 {
		t.Fatalf("Size() = %d, want 8", r.Size())
	}
	results := make([]int, 8)
	r.Submit(results) // of nothing
	var here, there [8]int
	for i := range here {
		here[i], there[i] = pair(t)
	}
	buf := make([]byte, 64)
	for round := range 50 { // many times around both rings
		n := 1 + round%8
		for i := range n {
			r.Add(here[i], fmt.Appendf(nil, "round %d, socket %d", round, i))
		}
		r.Submit(results)
		for i := range n {
			want := fmt.Sprintf("round %d, socket %d", round, i)
			got, err := syscall.Read(there[i], buf)
			if err != nil || string(buf[:max(got, 0)]) != want || results[i] != len(want) {
				t.Fatalf("read %q, %v, result %d; want %q and its length", buf[:max(got, 0)], err, results[i], want)
			}
		}
	}
}

// What one socket does not take says nothing of the others.
func TestSubmitFailures(t *testing.T) {
	r := ring(t, 8)
	whole, in := pair(t)
	full, slow := pair(t)
	gone, end := pair(t)
	last, out := pair(t)
	syscall.Close(end)
	big := bytes.Repeat([]byte("x"), 1<<20)
	results := make([]int, 5)
	r.Add(full, big)
	r.Submit(results)
	part := results[0]
	if part <= 0 || part >= len(big) {
		t.Fatalf("a socket took %d of %d bytes, want some", part, len(big))
	}
	r.Add(whole, []byte("one"))
	r.Add(full, big)
	r.Add(gone, []byte("nobody"))
	r.Add(-1, []byte("no socket"))
	r.Add(last, []byte("last"))
	r.Submit(results)
	want := []int{3, -int(syscall.EAGAIN), -int(syscall.EPIPE), -int(syscall.EBADF), 4}
	if fmt.Sprint(results) != fmt.Sprint(want) {
		t.Errorf("results %v, want %v", results, want)
	}
	buf := make([]byte, 64)
	for fd, want := range map[int]string{in: "one", out: "last"} {
		if n, err := syscall.Read(fd, buf); err != nil || string(buf[:n]) != want {
			t.Errorf("read %q, %v, want %q", buf[:max(n, 0)], err, want)
		}
	}
	got := 0
	for buf := make([]byte, 64<<10); ; {
		n, err := syscall.Read(slow, buf)
		if n <= 0 {
			if err != syscall.EAGAIN {
				t.Errorf("read: %v", err)
			}
			break
		}
		got += n
	}
	if got != part {
		t.Errorf("%d bytes came, want the %d that the socket took", got, part)
	}
}

func TestNewRefuses(t *testing.T) {
	ring(t, 1)
	if r, err := uring.New(1 << 30); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("a ring of 2^30: %v, %v, want EINVAL", r, err)
	}
}
