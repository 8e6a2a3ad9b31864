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

// read tells lines as they come, until the pipe is closed at either end. It lets
// go of the stream after each read: a process that never stops writing must not
// hold up who takes its answer.
func (st *stream) read() {
	buf := make([]byte, 16<<10)
	for more := true; more; {
		err := st.pipe.raw.Read(func(fd uintptr) bool {
			n, again := st.once(fd, buf)
			more = n > 0
			return !again
		})
		more = more && err == nil
	}
}

// once reads what there is at this moment, up to buf's length; again says that
// there was nothing yet. At the end n is 0.
func (st *stream) once(fd uintptr, buf []byte) (n int, again bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for {
		n, err := syscall.Read(int(fd), buf)
		switch {
		case n > 0:
			st.feed(buf[:n])
			return n, false
		case err != syscall.EINTR:
			return 0, err == syscall.EAGAIN
		}
	}
}

// maxPipe is the most that a pipe holds, unless root raised its bound: what was
// written before the answer is not farther away.
const maxPipe = 1 << 20

// drain reads what the process has written so far and tells the line that has
// no end yet. Control doesn't wait for the goroutine that reads.
func (st *stream) drain() {
	if st.pipe.raw == nil {
		return
	}
	var buf [4 << 10]byte
	st.pipe.raw.Control(func(fd uintptr) {
		for total := 0; total < maxPipe; {
			n, _ := st.once(fd, buf[:])
			if n == 0 {
				return
			}
			total += n
		}
	})
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
