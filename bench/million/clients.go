package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"

	"tidegate/bench/gateway"
	"tidegate/bench/load"
)

// Bounds of a process of clients.
const (
	connectTime = 3 * time.Minute
	atOnce      = 256 // handshakes
	talkers     = 100 // clients of a process that send a message
	talkTime    = 10 * time.Second
	// sources is how many addresses of loopback clients come from: an address has no
	// more than about 28,000 ports for one server.
	sources = 1024
)

// serveClients holds clients until its input ends: ADDRESS N. It says on its output
// how many connected; to each line "talk" it says how many messages were answered.
func serveClients(args []string) error {
	say := json.NewEncoder(os.Stdout)
	if len(args) != 2 {
		return fmt.Errorf("%s ADDRESS N is run by this program alone", commandClients)
	}
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	if err := raiseDescriptors(); err != nil {
		return err
	}
	s := &crowd{address: args[0], clients: make([]*load.Conn, 0, n)}
	if s.loop, err = load.NewLoop(); err != nil {
		return err
	}
	s.loop.Sources = sources
	if err := s.connect(n); err != nil {
		return say.Encode(clientReport{Error: err.Error()})
	}
	if err := say.Encode(clientReport{Open: len(s.clients), Lost: s.lost}); err != nil {
		return err
	}
	asked := make(chan bool)
	go func() {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			asked <- true
		}
		close(asked)
	}()
	for {
		s.loop.Step(100 * time.Millisecond) // pings are answered, ends are seen
		select {
		case _, more := <-asked:
			if !more {
				s.loop.Close()
				return nil
			}
			if err := say.Encode(s.talk()); err != nil {
				return err
			}
		default:
		}
	}
}

// A crowd is the clients of one process.
type crowd struct {
	address string
	loop    *load.Loop
	clients []*load.Conn
	lost    int
}

func (s *crowd) connect(n int) error {
	pending, failed := 0, error(nil)
	s.loop.OnOpen = func(c *load.Conn) {
		s.clients = append(s.clients, c)
		pending--
	}
	s.loop.OnMessage = func(*load.Conn, byte, []byte) {}
	s.loop.OnClose = func(_ *load.Conn, err error) {
		pending--
		failed = err
	}
	end := load.Now() + int64(connectTime)
	for next := 0; len(s.clients) < n; {
		for ; pending < atOnce && next < n; next++ {
			if _, err := s.loop.Dial(s.address, true, next, load.Handshake(s.address, "/"+gateway.Stage)); err != nil {
				return err
			}
			pending++
		}
		s.loop.Step(5 * time.Millisecond)
		if failed != nil {
			return fmt.Errorf("%d of %d connected: %w", len(s.clients), n, failed)
		}
		if load.Now() > end {
			return fmt.Errorf("%d of %d connected within %s", len(s.clients), n, connectTime)
		}
	}
	s.loop.OnClose = func(*load.Conn, error) { s.lost++ }
	return nil
}

// talk has some clients send a message, spread over all of them.
func (s *crowd) talk() clientReport {
	r := clientReport{Open: len(s.clients)}
	frame := load.AppendFrame(nil, load.OpText, []byte(`{"action":"mock"}`))
	s.loop.OnMessage = func(*load.Conn, byte, []byte) { r.Answered++ }
	for i := 0; i < len(s.clients); i += max(len(s.clients)/talkers, 1) {
		s.clients[i].Write(frame)
		r.Asked++
	}
	for end := load.Now() + int64(talkTime); r.Answered < r.Asked && load.Now() < end; {
		s.loop.Step(5 * time.Millisecond)
	}
	r.Lost = s.lost
	return r
}
