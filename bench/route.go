package main

import (
	"context"
	"errors"
	"fmt"

	"tidegate/bench/load"
)

// route sends messages that go to an HTTP backend and come back, one in flight a
// client.
func route(ctx context.Context, s *session) error {
	if s.target.plain {
		return s.plainRoute()
	}
	return s.ask(clientMessage("sendmessage", routeSize), routeSize)
}

// mock sends messages that the server answers by itself, one in flight a client.
func mock(_ context.Context, s *session) error {
	return s.ask(clientMessage("mock", mockSize), mockSize)
}

// An exchange counts messages in flight, one a client.
type exchange struct {
	s         *session
	measuring bool
	stopped   bool
	answered  int
	took      []uint32
	send      func(c *load.Conn)
}

// hit counts an answer and sends the next message.
func (x *exchange) hit(c *load.Conn) {
	now := load.Now()
	if x.measuring {
		x.answered++
		x.took = append(x.took, uint32((now-c.SentAt)/1000))
	}
	if !x.stopped {
		c.SentAt = now
		x.send(c)
	}
}

// run measures once it is warm.
func (x *exchange) run() error {
	x.s.loop.Spin(x.s.warm)
	x.took = make([]uint32, 0, 1<<20)
	a := x.s.read()
	x.measuring = true
	x.s.loop.Spin(x.s.duration)
	x.measuring = false
	x.s.since(a, x.answered)
	x.stopped = true
	x.s.latency("", x.took)
	if x.answered == 0 {
		return errors.New("no message was answered")
	}
	return nil
}

// ask has each client send the message over and over; size is its answer's.
func (s *session) ask(message []byte, size int) error {
	if _, _, err := s.connect(s.result.Clients, nothing); err != nil {
		return err
	}
	frame := load.AppendFrame(nil, load.OpText, message)
	x := &exchange{s: s, send: func(c *load.Conn) { c.Write(frame) }}
	s.loop.OnMessage = func(c *load.Conn, _ byte, p []byte) {
		if len(p) != size {
			s.failed("a message was answered with " + string(p))
		}
		x.hit(c)
	}
	for i, c := range s.clients {
		if c != nil {
			c.SentAt = load.Now()
			x.send(c)
		}
		if i%16 == 0 {
			s.loop.Step(0)
		}
	}
	return x.run()
}

// plainRoute is route by plain HTTP requests, for a reverse proxy.
func (s *session) plainRoute() error {
	request := load.AppendRequest(nil, "POST", s.target.clients, "/echo", jsonFields, clientMessage("sendmessage", routeSize))
	x := &exchange{s: s, send: func(c *load.Conn) { c.Write(request) }}
	s.loop.OnOpen = func(c *load.Conn) {
		c.SentAt = load.Now()
		x.send(c)
	}
	s.loop.OnResponse = func(c *load.Conn, status int, body []byte) {
		if status != 200 || len(body) != routeSize {
			s.failed(fmt.Sprintf("a request was answered with %d %s", status, body))
		}
		x.hit(c)
	}
	s.loop.OnClose = s.lost
	for i := range s.result.Clients {
		if _, err := s.loop.Dial(s.target.clients, false, i, nil); err != nil {
			return err
		}
	}
	return x.run()
}
