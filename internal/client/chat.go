package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// A Chat carries lines to a WebSocket and messages back.
type Chat struct {
	Socket *WebSocket
	URL    string
	First  []string // messages to send before any line
	In     *os.File
	Out    *os.File
	// Wait is how long Script listens after the last line.
	Wait time.Duration
	// Count, when not 0, ends Script after so many messages; fewer are an error.
	Count int
	Look  Look // of messages
	// HistoryFile keeps what was typed, for the next time; "" for nowhere.
	HistoryFile string
	// Ping, when not 0, is how often to ping, so that proxies keep the connection.
	Ping time.Duration
	// Controls shows pings and pongs.
	Controls bool
}

// received is one message, or the end.
type received struct {
	payload []byte
	binary  bool
	control string // ping or pong, instead of a message
	err     error
}

// receive reads the socket on a goroutine of its own.
func (c *Chat) receive() <-chan received {
	ch := make(chan received)
	if c.Controls {
		c.Socket.Control = func(what string) { ch <- received{control: what} }
	}
	go func() {
		for {
			payload, binary, err := c.Socket.ReceiveMessage()
			ch <- received{payload: payload, binary: binary, err: err}
			if err != nil {
				return
			}
		}
	}()
	return ch
}

// ended words the end of the connection; one in good order is no error.
func ended(err error) error {
	var closed Closed
	if errors.As(err, &closed) {
		if closed.Code == 1000 {
			return nil
		}
		return closed
	}
	if errors.Is(err, io.EOF) {
		return errors.New("the connection was lost (1006: no close frame came); is Tidegate still running?")
	}
	return err
}

// Script sends every line of In as a message and prints every message as a
// line, until the input has ended and Wait has passed, Count messages came, or
// the server closed.
func (c *Chat) Script(ctx context.Context) error {
	incoming := c.receive()
	ping, stopPing := c.pings()
	defer stopPing()
	lines, sendErr := c.sendAll()
	var timeout <-chan time.Time
	for got := 0; ; {
		select {
		case r := <-incoming:
			if r.err != nil {
				return c.missed(got, ended(r.err))
			}
			if r.control != "" {
				continue
			}
			fmt.Fprintln(c.Out, c.Look.message(r.payload, r.binary))
			if got++; got == c.Count {
				return nil
			}
		case <-lines:
			lines = nil
			timeout = time.After(c.Wait)
		case err := <-sendErr:
			return err
		case <-ping:
			if err := c.Socket.Ping(); err != nil {
				return ended(err)
			}
		case <-timeout:
			return c.missed(got, nil)
		case <-ctx.Done():
			return c.missed(got, nil)
		}
	}
}

// missed is the error of a script that got fewer messages than it asked for.
func (c *Chat) missed(got int, err error) error {
	if got < c.Count && err == nil {
		return fmt.Errorf("%d of %d messages came before the end of --wait", got, c.Count)
	}
	return err
}

// sendAll sends First and then the lines of In; done is closed when all are sent.
func (c *Chat) sendAll() (done chan struct{}, failed chan error) {
	done, failed = make(chan struct{}), make(chan error, 1)
	go func() {
		for _, m := range c.First {
			if err := c.Socket.Send([]byte(m)); err != nil {
				failed <- ended(err)
				return
			}
		}
		s := bufio.NewScanner(c.In)
		s.Buffer(nil, 1<<20)
		for s.Scan() {
			if err := c.Socket.Send(s.Bytes()); err != nil {
				failed <- ended(err)
				return
			}
		}
		if err := s.Err(); err != nil {
			failed <- fmt.Errorf("read standard input: %w", err)
			return
		}
		close(done)
	}()
	return done, failed
}

// pings tells when to ping.
func (c *Chat) pings() (<-chan time.Time, func()) {
	if c.Ping <= 0 {
		return nil, func() {}
	}
	t := time.NewTicker(c.Ping)
	return t.C, t.Stop
}

// farewell says what the end means, and how to go on.
func (c *Chat) farewell(t io.Writer, err error) error {
	var closed Closed
	if errors.As(err, &closed) && closed.Code == 1000 {
		fmt.Fprintf(t, "The server closed the connection: %s\n", closed.explained())
	} else {
		fmt.Fprintf(t, "To connect again: tidegate connect %s\n", c.URL)
	}
	return ended(err)
}

// Interactive is Script for a person: a prompt, with messages above it.
func (c *Chat) Interactive(ctx context.Context) error {
	old, err := term.MakeRaw(int(c.In.Fd()))
	if err != nil {
		return err
	}
	defer fmt.Fprintln(c.Out) // what follows doesn't stand behind the prompt
	defer term.Restore(int(c.In.Fd()), old)
	t := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{c.In, c.Out}, "> ")
	if width, height, err := term.GetSize(int(c.Out.Fd())); err == nil && width > 0 {
		t.SetSize(width, height)
	}
	if c.HistoryFile != "" {
		t.History = openHistory(c.HistoryFile)
	}
	fmt.Fprintf(t, "Connected to %s. Type a message; arrow up brings back earlier ones; Ctrl-D ends.\n", c.URL)
	if c.Socket.Protocol != "" {
		fmt.Fprintf(t, "The server chose the subprotocol %s.\n", visible(c.Socket.Protocol))
	}
	for _, m := range c.First {
		if err := c.Socket.Send([]byte(m)); err != nil {
			return ended(err)
		}
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		for {
			line, err := t.ReadLine()
			if err != nil && !errors.Is(err, term.ErrPasteIndicator) {
				return
			}
			lines <- line
		}
	}()
	incoming := c.receive()
	ping, stopPing := c.pings()
	defer stopPing()
	for {
		select {
		case r := <-incoming:
			switch {
			case r.err != nil:
				return c.farewell(t, r.err)
			case r.control != "":
				fmt.Fprintf(t, "%s< %s\n", c.Look.clock(), r.control)
			default:
				fmt.Fprintf(t, "%s< %s\n", c.Look.clock(), c.Look.message(r.payload, r.binary))
			}
		case <-ping:
			if err := c.Socket.Ping(); err != nil {
				return ended(err)
			}
		case line, open := <-lines:
			if !open {
				return nil
			}
			if line == "" {
				continue
			}
			if err := c.Socket.Send([]byte(line)); err != nil {
				return ended(err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}
