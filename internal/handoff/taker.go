package handoff

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"tidegate/internal/transport"
)

// A Taker is the new process's side of a hand-off. Its methods are called in the
// order Listener, Prepared, Ready, Listening.
type Taker struct {
	PID     int    // of the old process
	Version string // of its program
	Stored  []byte // what is to be tried before Prepared: Giver.Stored's; empty: nothing

	own       string // this program's version
	channel   *channel
	link      *os.File
	listeners map[string]net.Listener
}

// Take greets the process that started this one. version is this program's.
func Take(fd uintptr, version string) (*Taker, error) {
	c, err := channelOf(os.NewFile(fd, "hand-off"))
	if err != nil {
		return nil, err
	}
	t := &Taker{channel: c, listeners: map[string]net.Listener{}}
	h, stored, files, err := c.expect(kindHello, startTime)
	if err != nil {
		c.c.Close()
		return nil, fmt.Errorf("hand-off: %w", err)
	}
	t.PID, t.Version, t.Stored = h.PID, h.Version, stored
	err = h.compatible()
	if err == nil && len(files) != len(h.Listeners)+1 {
		err = fmt.Errorf("%d files came, not %d", len(files), len(h.Listeners)+1)
	}
	for i := range h.Listeners {
		if err != nil {
			break
		}
		var l net.Listener
		if l, err = net.FileListener(files[i+1]); err == nil {
			t.listeners[h.Listeners[i]] = l
		}
	}
	if err != nil {
		closeAll(files)
		return nil, t.Fail(err)
	}
	closeAll(files[1:])
	t.link = files[0]
	t.own = version
	return t, nil
}

// Listener returns the listener of that name, which is the caller's from then on,
// or nil.
func (t *Taker) Listener(name string) net.Listener {
	l := t.listeners[name]
	delete(t.listeners, name)
	return l
}

// Prepared says that this process can take over, and waits until the old one has
// closed its stores. ErrGone says that it has ended instead: then this process may
// go on alone, with the listeners, if it can open the stores.
func (t *Taker) Prepared() error { return t.say(mine(kindPrepared, t.own), kindClosed, openTime) }

// Ready says that the stores are open and every stage is compiled, and waits until
// clients are to be accepted. Listeners that nobody asked for are closed. ErrGone is
// as for Prepared: this process may accept clients alone.
func (t *Taker) Ready() error {
	for name, l := range t.listeners {
		l.Close()
		delete(t.listeners, name)
	}
	return t.say(header{Kind: kindReady}, kindListen, callTime)
}

// say says one thing and waits for another.
func (t *Taker) say(h header, next string, limit time.Duration) error {
	err := t.channel.send(h, nil, nil, callTime)
	if err == nil {
		var files []*os.File
		_, _, files, err = t.channel.expect(next, limit)
		closeAll(files)
	}
	if err != nil {
		return fmt.Errorf("hand-off: after %s: %w", h.Kind, err)
	}
	return nil
}

// Fail tells the old process why this one can't take over, closes what it got, and
// returns the error.
func (t *Taker) Fail(err error) error {
	t.channel.send(header{Kind: kindFailed, Why: err.Error()}, nil, nil, callTime)
	t.Close()
	return err
}

// Close ends the conversation, and closes the listeners that nobody asked for.
func (t *Taker) Close() {
	t.channel.c.Close()
	for _, l := range t.listeners {
		l.Close()
	}
	if t.link != nil {
		t.link.Close()
	}
}

// Link returns the link to the old process. It must be asked before Listening,
// once.
func (t *Taker) Link(home Home) (*Link, error) {
	c, err := channelOf(t.link)
	if err != nil {
		return nil, err
	}
	l := newLink(c, home, false)
	go l.serve()
	return l, nil
}

// Listening says that clients are accepted, and takes connections until the old
// process has none left. thaw makes each batch this process's own and closes the
// files; it has told the clients that it couldn't take, so its error stops nothing.
// Listening returns how many WebSocket connections came; the error is of the
// old process's end before it was done.
func (t *Taker) Listening(link *Link, thaw func([]transport.Frozen) error) (int, error) {
	defer t.channel.c.Close()
	if err := t.channel.send(header{Kind: kindListening}, nil, nil, callTime); err != nil {
		return 0, err
	}
	total := 0
	for {
		var h header
		payload, files, err := t.channel.receive(&h, 0)
		if err != nil && !errors.Is(err, errFilesLost) {
			closeAll(files)
			return total, err
		}
		if h.Kind == kindDone {
			closeAll(files)
			return total, nil
		}
		var batch []transport.Frozen
		if err == nil {
			batch, err = batchOf(&h, payload, files)
		}
		if err == nil {
			err = own(batch)
		}
		if err != nil {
			closeAll(files)
			if err := t.channel.send(header{Kind: kindFailed, Why: err.Error()}, nil, nil, callTime); err != nil {
				return total, err
			}
			continue
		}
		if err := t.take(link, batch, thaw); err != nil {
			return total, err
		}
		for _, f := range batch {
			if f.Data != nil {
				total++
			}
		}
	}
}

// own takes what a batch's connections need of the system, so that the batch can be
// refused when there is too little.
func own(batch []transport.Frozen) error {
	for i := range batch {
		if err := batch[i].Own(); err != nil {
			release(batch)
			return fmt.Errorf("the sockets can't be kept: %w", err)
		}
	}
	return nil
}

// release lets go of a batch's sockets.
func release(batch []transport.Frozen) {
	for i := range batch {
		batch[i].Close()
	}
}

// take acknowledges a batch, and then makes it this process's own. That is the wrong
// way round only at first sight. A connection that is thawed is read from, written
// to and pushed to at once: if this process ended before the old one heard of it, the
// old one would go on with it, and send and answer again what was sent and answered
// here. The price is a batch that is lost if this process ends between the two, some
// milliseconds, as all are that it has. What can be known to fail before is done
// before, by own.
//
// The old process doesn't hear the acknowledgement if it has ended: then nobody else
// has the connections.
func (t *Taker) take(link *Link, batch []transport.Frozen, thaw func([]transport.Frozen) error) error {
	link.still.Lock()
	defer link.still.Unlock()
	if err := t.channel.send(header{Kind: kindTook}, nil, nil, callTime); err != nil && !errors.Is(err, ErrGone) {
		release(batch)
		return err
	}
	thaw(batch)
	return nil
}

// batchOf puts a batch together again.
func batchOf(h *header, payload []byte, files []*os.File) ([]transport.Frozen, error) {
	if h.Kind != kindBatch {
		return nil, fmt.Errorf("%q came where a batch was due", h.Kind)
	}
	if len(h.Connections) != len(files) {
		return nil, fmt.Errorf("%d connections and %d sockets came", len(h.Connections), len(files))
	}
	batch := make([]transport.Frozen, len(files))
	cut := func(n int) ([]byte, bool) {
		if n < 0 || n > len(payload) {
			return nil, false
		}
		part := payload[:n:n]
		payload = payload[n:]
		return part, true
	}
	for i, p := range h.Connections {
		state, ok := cut(p.State)
		data, ok2 := cut(p.Data)
		if !ok || !ok2 {
			return nil, errors.New("the batch was cut short")
		}
		if len(data) == 0 {
			data = nil
		}
		batch[i] = transport.Frozen{File: files[i], Listener: p.Listener, State: state, Data: data}
	}
	if len(payload) > 0 {
		return nil, errors.New("the batch is longer than its connections")
	}
	return batch, nil
}
