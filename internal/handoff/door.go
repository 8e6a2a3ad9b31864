package handoff

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// doorName is, below the data dir, the socket at which a process is asked to hand
// off. Who may write there may ask: the process's own user and root.
const doorName = "handoff.sock"

// A Request asks a process to hand off.
type Request struct {
	Binary string `json:"binary,omitempty"` // the new program; "": the one that runs, as it is on disk now
}

// A Result is how a hand-off ended.
type Result struct {
	Progress
	Left int `json:"left"` // connections that stay with the old process until they end or can go
	// Refused is why the new process took only a part.
	Refused string `json:"refused,omitempty"`
	Error   string `json:"error,omitempty"` // "": it is done
	// Busy says that nothing was begun, because an earlier hand-off isn't over.
	Busy bool `json:"busy,omitempty"`
}

// An answer is a line to who asked: how far it is, or the result.
type answer struct {
	Progress *Progress `json:"progress,omitempty"`
	Result   *Result   `json:"result,omitempty"`
}

// A Call is one request, to be answered with Done.
type Call struct {
	Request
	c    net.Conn
	once sync.Once
}

// Tell passes a step on to who asked.
func (c *Call) Tell(p Progress) { c.write(answer{Progress: &p}) }

// Done tells who asked how it ended.
func (c *Call) Done(r Result) {
	c.once.Do(func() {
		c.write(answer{Result: &r})
		c.c.Close()
	})
}

// write tells one thing; that nobody listens any more changes nothing.
func (c *Call) write(a answer) {
	b, err := json.Marshal(a)
	if err != nil {
		return
	}
	c.c.SetWriteDeadline(time.Now().Add(time.Second))
	c.c.Write(append(b, '\n'))
}

// A Door is where a process is asked to hand off.
type Door struct {
	l      *net.UnixListener
	calls  chan *Call
	closed chan struct{}
	once   sync.Once
}

// OpenDoor opens the door of a data dir, which must be this process's. One that
// another process left there is replaced.
func OpenDoor(dir string) (*Door, error) {
	path, done, err := short(dir)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the hand-off's socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("the hand-off's socket: %w", err)
	}
	l.SetUnlinkOnClose(false) // it may be the next process's by then
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("the hand-off's socket: %w", err)
	}
	d := &Door{l: l, calls: make(chan *Call), closed: make(chan struct{})}
	go d.serve()
	return d, nil
}

// Calls are the requests. It is closed by Close.
func (d *Door) Calls() <-chan *Call { return d.calls }

// Close takes no request any more; what was taken can still be answered. One that
// waits to be taken is told to ask again.
func (d *Door) Close() error {
	d.once.Do(func() { close(d.closed) })
	return d.l.Close()
}

// acceptPause is how long a door waits when the process has no descriptor left.
const acceptPause = 100 * time.Millisecond

// serve reads one request after the other: they come rarely, from people.
func (d *Door) serve() {
	defer close(d.calls)
	for {
		c, err := d.l.AcceptUnix()
		if err != nil {
			select {
			case <-d.closed:
				return
			case <-time.After(acceptPause):
				continue
			}
		}
		if err := mayAsk(c); err != nil {
			(&Call{c: c}).Done(Result{Error: err.Error()})
			continue
		}
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		call := &Call{c: c}
		if err := json.NewDecoder(io.LimitReader(c, 64<<10)).Decode(&call.Request); err != nil {
			c.Close()
			continue
		}
		select {
		case d.calls <- call:
		case <-d.closed:
			call.Done(Result{Busy: true, Error: "an earlier hand-off was under way; ask again"})
			return
		}
	}
}

// ErrNobody says that no process of a data dir can be asked.
var ErrNobody = errors.New("no `tidegate serve` runs there that could hand off")

// Ask asks the process of a data dir to hand off, and hears of each step. The error
// says why nothing was heard; what the process says of a failure is in Result.Error.
func Ask(ctx context.Context, dir string, r Request, heard func(Progress)) (Result, error) {
	path, done, err := short(dir)
	if err != nil {
		return Result{}, err
	}
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	done()
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return Result{}, fmt.Errorf("%s: %w", dir, ErrNobody)
	case err != nil:
		return Result{}, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Now()) })
	defer stop()
	if err := json.NewEncoder(c).Encode(r); err != nil {
		return Result{}, err
	}
	for d := json.NewDecoder(c); ; {
		var a answer
		err := d.Decode(&a)
		switch {
		case ctx.Err() != nil:
			return Result{}, ctx.Err()
		case err != nil:
			return Result{}, fmt.Errorf("the process ended before it said how the hand-off went; see what it wrote: %w", err)
		case a.Result != nil:
			return *a.Result, nil
		case a.Progress != nil:
			heard(*a.Progress)
		}
	}
}

// short returns a path to the door that is short enough for a socket's address,
// however long the data dir's own is. done gives back what that takes.
func short(dir string) (path string, done func(), err error) {
	path = filepath.Join(dir, doorName)
	if len(path) < 100 {
		return path, func() {}, nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", f.Fd(), doorName), func() { f.Close() }, nil
}
