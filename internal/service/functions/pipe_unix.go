//go:build linux || darwin

package functions

import (
	"os"
	"syscall"
)

// pipe is the end of a process's stdout or stderr that we read. It is not
// blocking, so that drain can read until there is nothing more for now.
type pipe struct {
	file *os.File
	raw  syscall.RawConn
}

// open makes the pipe; the process gets the end that is returned.
func (st *stream) open() (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	raw, err := r.SyscallConn()
	if err != nil {
		r.Close()
		w.Close()
		return nil, err
	}
	st.pipe = pipe{file: r, raw: raw}
	return w, nil
}

// read tells lines as they come, until the pipe is closed at either end.
func (st *stream) read() {
	buf := make([]byte, 16<<10)
	st.pipe.raw.Read(func(fd uintptr) bool { return st.available(fd, buf) })
}

// available reads what there is; true means that nothing more will come.
func (st *stream) available(fd uintptr, buf []byte) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	for {
		n, err := syscall.Read(int(fd), buf)
		switch {
		case n > 0:
			st.feed(buf[:n])
		case err == syscall.EINTR:
		default:
			return err != syscall.EAGAIN
		}
	}
}

// drain reads what the process has written so far and tells the line that has
// no end yet. Control doesn't wait for the goroutine that reads.
func (st *stream) drain() {
	if st.pipe.raw == nil {
		return
	}
	var buf [4 << 10]byte
	st.pipe.raw.Control(func(fd uintptr) { st.available(fd, buf[:]) })
	st.mu.Lock()
	st.rest()
	st.mu.Unlock()
}

// close reads the last of it. A process that was left behind may still hold
// the other end.
func (st *stream) close() {
	st.drain()
	if st.pipe.file != nil {
		st.pipe.file.Close()
	}
}
