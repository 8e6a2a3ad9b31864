package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"tidegate/bench/load"
)

// A publisher is one keep-alive HTTP connection that posts messages.
type publisher struct {
	conn     *load.Conn
	index    int
	at       int64 // when the message left
	number   int
	to       int  // the client
	answered bool // by the server
	arrived  bool // at the client
}

// lossTime is when a message that didn't arrive counts as lost.
const lossTime = 5 * time.Second

// A pushRun is the state of one push test.
type pushRun struct {
	s           *session
	random      *rand.Rand
	byNumber    map[int]*publisher
	publishers  []*publisher
	numbers     int
	measuring   bool
	stopped     bool
	delivered   int
	lost, wrong int
	took        []uint32 // from the post to its arrival, µs
	answers     []uint32 // to its answer
	request     []byte
}

// push posts messages to single clients: each publisher has one on its way, and
// waits for its answer and its arrival.
func push(_ context.Context, s *session) error {
	if _, _, err := s.connect(s.result.Clients, channelOf); err != nil {
		return err
	}
	s.loop.Spin(s.settle)
	p := &pushRun{s: s, random: rand.New(rand.NewPCG(1, uint64(s.result.Run))), byNumber: map[int]*publisher{}}
	s.loop.OnOpen = nil
	s.loop.OnMessage = p.arrived
	s.loop.OnResponse = p.answered
	s.loop.OnClose = p.closed
	for i := range s.publishers {
		p.publishers = append(p.publishers, &publisher{index: i})
		p.next(p.publishers[i])
	}
	p.spin(s.warm)
	p.took, p.answers = make([]uint32, 0, 1<<19), make([]uint32, 0, 1<<19)
	a := s.read()
	p.measuring = true
	p.spin(s.duration)
	p.measuring = false
	s.since(a, p.delivered)
	p.stopped = true
	s.latency("", p.took)
	s.latency("answer_", p.answers)
	s.result.Values["lost"] = float64(p.lost)
	s.result.Values["misdelivered"] = float64(p.wrong)
	if p.lost+p.wrong > 0 {
		s.result.Errors["pushes lost or misdelivered"] += p.lost + p.wrong
	}
	if p.delivered == 0 {
		return errors.New("nothing was delivered")
	}
	return nil
}

// next posts the publisher's next message, to a random client.
func (p *pushRun) next(q *publisher) {
	delete(p.byNumber, q.number)
	if p.stopped || p.s.live == 0 {
		return
	}
	for q.to = p.random.IntN(len(p.s.clients)); p.s.clients[q.to] == nil; q.to = p.random.IntN(len(p.s.clients)) {
	}
	p.numbers++
	q.number, q.answered, q.arrived = p.numbers, false, false
	p.byNumber[q.number] = q
	p.request = p.s.target.push(p.request[:0], p.s.clients[q.to].ID, q.to, numbered(q.number))
	q.at = load.Now()
	p.s.post(q, p.request)
}

// post sends a request on the publisher's connection, or on a new one.
func (s *session) post(q *publisher, request []byte) {
	if q.conn != nil && q.conn.Open() {
		q.conn.Write(request)
		return
	}
	c, err := s.loop.Dial(s.target.publish, false, len(s.clients)+q.index, append([]byte(nil), request...))
	if err != nil {
		s.failed("a publisher can't connect: " + err.Error())
		return
	}
	c.Data = q
	q.conn = c
}

func (p *pushRun) done(q *publisher) {
	if q.answered && q.arrived {
		p.next(q)
	}
}

func (p *pushRun) arrived(c *load.Conn, _ byte, payload []byte) {
	q := p.byNumber[numberOf(payload)]
	switch {
	case q == nil || q.arrived:
		p.s.failed("a client got what nobody awaited")
		return
	case q.to != c.Index:
		p.wrong++
		return
	}
	q.arrived = true
	if p.measuring {
		p.delivered++
		p.took = append(p.took, uint32((load.Now()-q.at)/1000))
	}
	p.done(q)
}

func (p *pushRun) answered(c *load.Conn, status int, body []byte) {
	q := c.Data.(*publisher)
	if status/100 != 2 {
		p.s.failed(fmt.Sprintf("a push was answered with %d %s", status, body))
		q.arrived = true
	}
	q.answered = true
	if p.measuring {
		p.answers = append(p.answers, uint32((load.Now()-q.at)/1000))
	}
	p.done(q)
}

func (p *pushRun) closed(c *load.Conn, err error) {
	q, ok := c.Data.(*publisher)
	if !ok {
		p.s.lost(c, err)
		return
	}
	if q.conn == c && !q.answered {
		p.s.failed("a publisher was cut off: " + err.Error())
		q.answered, q.arrived = true, true
		p.next(q)
	}
}

// spin steps for some time, and gives up what has been lost.
func (p *pushRun) spin(d time.Duration) {
	for end, swept := load.Now()+int64(d), load.Now(); load.Now() < end; {
		p.s.loop.Step(20 * time.Millisecond)
		now := load.Now()
		if now-swept < int64(200*time.Millisecond) {
			continue
		}
		swept = now
		for _, q := range p.publishers {
			if now-q.at > int64(lossTime) {
				p.lost++
				if q.conn != nil {
					q.conn.Kill()
				}
				p.next(q)
			}
		}
	}
}
