package handoff

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// A channel carries messages, with files, over a unix socket. One goroutine may
// send and another receive.
type channel struct {
	c *net.UnixConn

	sending sync.Mutex // of what follows, and writing
	half    error      // why a message went half: none can follow

	reading     sync.Mutex // of what follows, and the read deadline
	interrupted bool
}

// interrupt ends the wait of receive, and of every later one.
func (c *channel) interrupt() {
	c.reading.Lock()
	defer c.reading.Unlock()
	c.interrupted = true
	c.c.SetReadDeadline(time.Now())
}

// readUntil sets the read deadline, unless the channel was interrupted.
func (c *channel) readUntil(deadline time.Time) {
	c.reading.Lock()
	defer c.reading.Unlock()
	if !c.interrupted {
		c.c.SetReadDeadline(deadline)
	}
}

// prefixSize is a message's beginning: the lengths of header and payload. The files
// travel with its first byte.
const prefixSize = 8

// send sends a message; v is encoded as JSON.
func (c *channel) send(v any, payload [][]byte, files []*os.File, limit time.Duration) error {
	head, err := json.Marshal(v)
	if err != nil {
		return err
	}
	size := 0
	for _, p := range payload {
		size += len(p)
	}
	if len(head) > maxHeader || size > maxPayload {
		return fmt.Errorf("a message of %d and %d bytes is too large", len(head), size)
	}
	oob, err := rights(files)
	if err != nil {
		return err
	}
	c.sending.Lock()
	defer c.sending.Unlock()
	if c.half != nil {
		return c.half
	}
	c.c.SetWriteDeadline(time.Now().Add(limit))
	var prefix [prefixSize]byte
	binary.BigEndian.PutUint32(prefix[:4], uint32(len(head)))
	binary.BigEndian.PutUint32(prefix[4:], uint32(size))
	n, _, err := c.c.WriteMsgUnix(prefix[:], oob, nil)
	if err == nil && n != prefixSize {
		err = io.ErrShortWrite
	}
	if err == nil {
		parts := net.Buffers(append([][]byte{head}, payload...))
		_, err = parts.WriteTo(c.c)
	}
	c.half = plain(err)
	return c.half
}

// errFilesLost says that a message came without all of its files. What follows it can
// be received.
var errFilesLost = errors.New("sockets were lost on the way: the new process has no descriptors left (ulimit -n)")

// receive waits for a message, decodes its header into v, and returns the rest.
// Whoever calls owns the files, also with an error. No limit means forever.
func (c *channel) receive(v any, limit time.Duration) (payload []byte, files []*os.File, err error) {
	deadline := time.Time{}
	if limit > 0 {
		deadline = time.Now().Add(limit)
	}
	c.readUntil(deadline)
	var prefix [prefixSize]byte
	var lost error
	oob := make([]byte, rightsSize)
	for have := 0; have < prefixSize; {
		n, oobn, flags, _, err := c.c.ReadMsgUnix(prefix[have:], oob)
		if err == nil && n == 0 {
			err = io.EOF
		}
		got, rerr := filesOf(oob[:oobn], flags)
		files = append(files, got...)
		if errors.Is(rerr, errFilesLost) {
			lost, rerr = rerr, nil
		}
		if err = errors.Join(err, rerr); err != nil {
			return nil, files, plain(err)
		}
		have += n
	}
	head, size := binary.BigEndian.Uint32(prefix[:4]), binary.BigEndian.Uint32(prefix[4:])
	if head > maxHeader || size > maxPayload {
		return nil, files, fmt.Errorf("a message of %d and %d bytes is too large", head, size)
	}
	if limit == 0 { // it has begun: now it must end
		c.readUntil(time.Now().Add(batchTime))
	}
	body := make([]byte, head)
	if _, err := io.ReadFull(c.c, body); err != nil {
		return nil, files, plain(err)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return nil, files, fmt.Errorf("a message's header: %w", err)
	}
	payload = make([]byte, size)
	if _, err := io.ReadFull(c.c, payload); err != nil {
		return nil, files, plain(err)
	}
	return payload, files, lost
}

// expect receives the next message of a kind; one that says why the other gave up
// is an error.
func (c *channel) expect(kind string, limit time.Duration) (header, []byte, []*os.File, error) {
	var h header
	payload, files, err := c.receive(&h, limit)
	switch {
	case err != nil:
	case h.Kind == kindFailed:
		err = refusal{h.Why}
	case h.Kind != kind:
		err = fmt.Errorf("the other process said %q where %q was due", h.Kind, kind)
	default:
		return h, payload, files, nil
	}
	closeAll(files)
	return header{}, nil, nil, err
}

// plain puts the end of a socket into words.
func plain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errors.New("the other process didn't answer in time")
	case errors.Is(err, net.ErrClosed):
		return err
	}
	return fmt.Errorf("%w: %v", ErrGone, err)
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// channelPair returns a channel, and the file of its other end.
func channelPair() (*channel, *os.File, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, nil, err
	}
	c, err := channelOf(ours)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return c, theirs, nil
}

// channelOf returns the channel over a socket's file, which it closes.
func channelOf(f *os.File) (*channel, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("the hand-off's socket: %w", err)
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, fmt.Errorf("the hand-off's socket is a %T", c)
	}
	return &channel{c: u}, nil
}
