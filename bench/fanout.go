package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tidegate/bench/load"
)

// Times of a fan-out round.
const (
	roundTime = 30 * time.Second      // when what hasn't arrived is missing
	roundGap  = 50 * time.Millisecond // between rounds
)

// fanout posts one message to all clients, round by round, as long as the test
// lasts.
func fanout(_ context.Context, s *session) error {
	if _, _, err := s.connect(s.result.Clients, func(int) string { return "all" }); err != nil {
		return err
	}
	s.loop.Spin(s.settle)
	number, got, answered := 0, 0, false
	var last int64
	s.loop.OnOpen = nil
	s.loop.OnMessage = func(_ *load.Conn, _ byte, p []byte) {
		if numberOf(p) != number {
			s.failed("a message of another round, or none of ours")
			return
		}
		if got++; got == s.live {
			last = load.Now()
		}
	}
	s.loop.OnResponse = func(_ *load.Conn, status int, body []byte) {
		if status/100 != 2 {
			s.failed(fmt.Sprintf("the fan-out was answered with %d %s", status, body))
		}
		answered = true
	}
	s.loop.OnClose = func(c *load.Conn, err error) {
		if _, ok := c.Data.(*publisher); ok {
			s.failed("the publisher was cut off: " + err.Error())
			answered = true
			return
		}
		s.lost(c, err)
	}
	q := &publisher{}
	round := func() (took int64) {
		number++
		got, last, answered = 0, 0, false
		began := load.Now()
		s.post(q, s.target.all(nil, numbered(number)))
		for (last == 0 || !answered) && load.Now()-began < int64(roundTime) {
			s.loop.Step(5 * time.Millisecond)
		}
		if last == 0 {
			s.failed(fmt.Sprintf("%d of %d clients got a round's message", got, s.live))
			last = load.Now()
		}
		return last - began
	}
	round() // warms up
	var rounds []uint32
	delivered, busy := 0, int64(0)
	a := s.read()
	for load.Now()-a.at < int64(s.duration) {
		took := round()
		rounds = append(rounds, uint32(took/1000))
		busy += took
		delivered += got
		s.loop.Spin(roundGap)
	}
	s.since(a, delivered)
	if delivered == 0 {
		return errors.New("nothing was delivered")
	}
	s.result.Values["messages_per_second"] = float64(delivered) / (float64(busy) / 1e9)
	s.result.Values["rounds"] = float64(len(rounds))
	s.latency("", rounds)
	return nil
}
