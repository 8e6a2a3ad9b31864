package autobahn

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"tidegate/ws"
)

// A Verdict is the suite's word for what a server did.
type Verdict string

// The suite's verdicts.
const (
	OK             Verdict = "OK"
	NonStrict      Verdict = "NON-STRICT"
	Informational  Verdict = "INFORMATIONAL"
	Unimplemented  Verdict = "UNIMPLEMENTED"
	Failed         Verdict = "FAILED"
	WrongCode      Verdict = "WRONG CODE"
	Unclean        Verdict = "UNCLEAN"
	FailedByClient Verdict = "FAILED BY CLIENT" // it was left to the client to hang up
)

// A Result is how a server did in one case.
type Result struct {
	Behavior Verdict // what it sent
	Close    Verdict // how the connection ended
	Why      string  // of anything but OK
	Messages int     // of the case's rounds
	Took     time.Duration
}

// A Player plays cases against one server.
type Player struct {
	Dial func(context.Context) (net.Conn, error)
	Host string // of the handshake
	Path string
	// Rounds, when not 0, is how many of the messages of a case of compression are
	// sent; the suite sends a thousand.
	Rounds int
	// Patience is how long the server may take for each thing that it must do; 0
	// means 30 s. A passing case doesn't take it.
	Patience time.Duration
}

// Play plays one case over a connection of its own.
func (p *Player) Play(ctx context.Context, c *Case) Result {
	began := time.Now()
	s := &session{c: c, rounds: p.Rounds, patience: p.Patience}
	if s.patience == 0 {
		s.patience = 30 * time.Second
	}
	if err := s.run(ctx, p); err != nil {
		s.fault = err
	}
	r := s.judge()
	r.Took = time.Since(began)
	return r
}

// A session is a case on its way.
type session struct {
	c        *Case
	rounds   int
	patience time.Duration
	conn     net.Conn
	deflate  deflation
	in       chan arrival

	got       []Event
	messages  int
	fault     error // of the handshake, or the server's
	silent    bool  // the server did not do in time what it was waited for
	sentClose bool
	closedUs  bool // the server's close frame came before ours
	closed    bool // the server sent a close frame
	code      ws.CloseCode
	ended     bool // the server hung up
}

func (s *session) run(ctx context.Context, p *Player) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, err := p.Dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	s.conn = conn
	conn.SetDeadline(time.Now().Add(s.patience))
	reader, err := s.handshake(p)
	if err != nil {
		return err
	}
	conn.SetReadDeadline(time.Time{}) // what is waited for has its own time
	s.in = make(chan arrival, 1024)
	go receive(reader, &s.deflate, func(a arrival) bool {
		select {
		case s.in <- a:
			return true
		case <-ctx.Done():
			return false
		}
	})
	s.send()
	switch {
	case s.c.Rounds != nil && (len(s.c.Offers) == 0 || s.deflate.agreed):
		s.playRounds()
	case !s.c.End.ByServer && !s.c.End.Sent:
		for len(s.got) < len(s.c.Strict) && s.await(s.patience) {
		}
	}
	if !s.c.End.ByServer && !s.c.End.Sent && !s.over() {
		s.close()
	}
	for !s.ended && s.await(s.patience) {
	}
	return s.fault
}

// handshake does the opening handshake.
func (s *session) handshake(p *Player) (*bufio.Reader, error) {
	var nonce [16]byte
	for i := range nonce {
		nonce[i] = byte(rand.Uint32())
	}
	key := base64.StdEncoding.EncodeToString(nonce[:])
	request := "GET " + p.Path + " HTTP/1.1\r\nHost: " + p.Host + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + "\r\n"
	if len(s.c.Offers) > 0 {
		request += "Sec-WebSocket-Extensions: " + strings.Join(s.c.Offers, ", ") + "\r\n"
	}
	if _, err := io.WriteString(s.conn, request+"\r\n"); err != nil {
		return nil, err
	}
	r := bufio.NewReaderSize(s.conn, 64*kib)
	resp, err := http.ReadResponse(r, nil)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the handshake's answer: %w", err)
	case resp.StatusCode != http.StatusSwitchingProtocols:
		return nil, fmt.Errorf("the handshake was answered %s", resp.Status)
	case resp.Header.Get("Sec-WebSocket-Accept") != ws.AcceptKey(key):
		return nil, fmt.Errorf("the handshake's Sec-WebSocket-Accept is %q", resp.Header.Get("Sec-WebSocket-Accept"))
	}
	return r, s.deflate.agree(s.c.Offers, resp.Header.Values("Sec-WebSocket-Extensions"))
}

// over says that there is nothing more to send.
func (s *session) over() bool { return s.closed || s.ended || s.fault != nil }

// write writes so many bytes at a time; 0: all. The server may have hung up:
// reading tells.
func (s *session) write(b []byte, chop int) {
	if chop == 0 {
		chop = max(len(b), 1)
	}
	s.conn.SetWriteDeadline(time.Now().Add(s.patience))
	for part := range slices.Chunk(b, chop) {
		if _, err := s.conn.Write(part); err != nil {
			return
		}
	}
}

// send writes the frames.
func (s *session) send() {
	var b []byte
	flush := func() {
		s.write(b, 0)
		b = nil
	}
	for i := range s.c.Frames {
		f := &s.c.Frames[i]
		if s.over() {
			return
		}
		if f.Op == ws.OpClose {
			s.sentClose = true
		}
		if len(f.Cuts) > 0 {
			flush()
			s.sendCut(f)
			continue
		}
		if f.Sync || f.Chop > 0 {
			flush()
			s.write(f.appendTo(nil), f.Chop)
		} else {
			b = f.appendTo(b)
		}
		if f.Quiet || f.Await > 0 {
			flush()
		}
		if f.Quiet {
			s.quiet()
		}
		for f.Await > len(s.got) && s.await(s.patience) {
		}
	}
	flush()
}

// sendCut writes one frame with pauses at its Cuts.
func (s *session) sendCut(f *Frame) {
	b := f.appendTo(nil)
	head, from := len(b)-len(f.Payload), 0
	for _, cut := range f.Cuts {
		s.write(b[from:head+cut], 0)
		from = head + cut
		if s.quiet(); s.over() {
			return
		}
	}
	s.write(b[from:], 0)
}

// quiet waits to see that nothing comes: for the first time in a case that is
// right and short, for the second the server should have failed the connection.
func (s *session) quiet() {
	limit := quietFor
	if len(s.got) > 0 {
		limit = s.patience
	}
	if !s.await(limit) && !s.over() {
		s.silent = false
		s.got = append(s.got, Event{Kind: Quiet})
	}
}

// close sends the client's close frame.
func (s *session) close() {
	f := closeFrame(ws.CloseNormalClosure, "")
	s.sentClose = true
	s.write(f.appendTo(nil), 0)
}

// await takes the next arrival, and returns false when none comes in time or the
// connection has ended.
func (s *session) await(limit time.Duration) bool {
	if s.ended || s.fault != nil {
		return false
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case a := <-s.in:
		s.take(a)
		return true
	case <-timer.C:
		s.silent = true
		return false
	}
}

func (s *session) take(a arrival) {
	switch {
	case errors.Is(a.err, errBreach):
		s.fault = a.err
	case a.err != nil:
		s.ended = true
	case s.closed:
		s.fault = breach("something came after its close frame")
	case a.closed:
		s.closed, s.code, s.closedUs = true, a.code, !s.sentClose
		if !s.sentClose {
			s.close()
		}
	default:
		s.got = append(s.got, a.event)
	}
}

// playRounds sends the case's further messages, one after the other.
func (s *session) playRounds() {
	r := s.c.Rounds
	count := r.Count
	if s.rounds > 0 && len(s.c.Offers) > 0 {
		count = min(count, s.rounds)
	}
	kind, op := Text, ws.OpText
	if r.Binary {
		kind, op = Binary, ws.OpBinary
	}
	var b []byte
	for i := range count {
		payload := r.Message(i)
		f := Frame{Op: op, Payload: payload, Fragment: r.Fragment}
		if s.deflate.agreed {
			f.Payload, f.RSV = s.deflate.pack(payload), 4
		}
		b = f.appendTo(b[:0])
		s.write(b, 0)
		if !s.await(s.patience) || len(s.got) == 0 {
			return // the end, or silence
		}
		if got := s.got[0]; got.Kind != kind || got.Payload != string(payload) {
			s.fault = fmt.Errorf("message %d of %d bytes came back as %s", i+1, len(payload), short(got))
			return
		}
		s.got = s.got[:0]
		s.messages++
	}
}

// judge says what the suite says.
func (s *session) judge() Result {
	r := Result{Behavior: OK, Close: OK, Messages: s.messages}
	var why []string
	behave := func(v Verdict, text string) { r.Behavior, why = v, append(why, text) }
	end := func(v Verdict, text string) { r.Close, why = v, append(why, text) }
	e := s.c.End
	switch {
	case s.c.Informational:
		behave(Informational, "received "+list(s.got))
	case s.fault != nil:
		behave(Failed, s.fault.Error())
	case len(s.c.Offers) > 0 && !s.deflate.agreed:
		behave(Unimplemented, "the server agreed to none of the offers")
	case s.c.Rounds != nil && s.messages == 0:
		behave(Failed, "no message came back")
	case same(s.c.Strict, s.got):
	case s.c.Lenient != nil && same(*s.c.Lenient, s.got):
		behave(NonStrict, "received "+list(s.got))
	default:
		behave(Failed, "received "+list(s.got)+", want "+list(s.c.Strict))
	}
	switch {
	case s.c.Informational:
		end(Informational, fmt.Sprintf("closed with %v", s.code))
	case e.ByServer && s.silent && !s.closedUs:
		end(Failed, "the server did not fail the connection")
	case !e.ByServer && s.closedUs:
		end(Failed, "the server ended the connection")
	case e.Clean && !s.closed:
		end(Unclean, "the server sent no close frame")
	case s.closed && s.code != ws.CloseNoStatusReceived && !slices.Contains(e.Codes, s.code):
		end(WrongCode, fmt.Sprintf("closed with %v, want %v", s.code, e.Codes))
	case !s.ended:
		end(FailedByClient, "the server did not hang up")
	}
	r.Why = strings.Join(why, "; ")
	return r
}

// same says whether what came is what was wanted.
func same(want, got []Event) bool {
	return slices.EqualFunc(want, got, func(w, g Event) bool {
		return w.Kind == g.Kind && bytes.Equal(sized([]byte(w.Payload), w.Size), []byte(g.Payload))
	})
}

func list(events []Event) string {
	if len(events) == 0 {
		return "nothing"
	}
	var all []string
	for _, e := range events {
		all = append(all, short(e))
	}
	return strings.Join(all, ", ")
}

func short(e Event) string {
	if size := max(e.Size, len(e.Payload)); size > 40 {
		return fmt.Sprintf("%s of %d bytes", e.Kind, size)
	}
	return fmt.Sprintf("%s %q", e.Kind, e.Payload)
}
