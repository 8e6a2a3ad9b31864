package main

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"tidegate/bench/gateway"
	"tidegate/bench/load"
)

// The load of a soak.
const (
	soakTick     = 50 * time.Millisecond
	soakStart    = 10   // clients a tick
	soakMost     = 2000 // at once
	soakPushers  = 8
	soakLinger   = 40 * time.Second // for the gateway to notice a client
	soakRest     = 5 * time.Minute  // until everything has been noticed, at most
	soakQuiet    = 95 * time.Second // idle connections to backends are kept for 90 s
	restReadings = 5
)

// soakLimits have the gateway notice clients that hang or vanished within the soak:
// it pings who is silent, and closes who stays so.
var soakLimits = []string{"idle=20s", "ping=5s"}

// How a client of a soak ends.
var soakEnds = []string{"close frame", "reset", "reset in a message", "reset in the handshake", "half-close", "vanished", "never a byte", "half a handshake", "stops reading"}

// A soaker is the state of one soak.
type soaker struct {
	*session
	random  *rand.Rand
	open    []*load.Conn // clients with an id
	number  int
	ended   map[string]int
	answers int
	pushes  int
	gone    int
	refused int
	resting bool // nothing new is begun
	pushers []*publisher
}

// A soakClient is one client of a soak: what it still sends, and how it ends.
type soakClient struct {
	left  int
	end   int
	place int // in open, -1 when it isn't there
	due   int64
}

// soakCommand is the command soak.
func soakCommand(args []string) error {
	length := 10 * time.Minute
	b, err := open("soak", args, func(f *flag.FlagSet) {
		f.DurationVar(&length, "length", length, "how long")
	})
	if err != nil {
		return err
	}
	defer b.close()
	b.duration, b.quiet = length, soakQuiet
	if b.limits == nil {
		b.limits = soakLimits
	}
	r := b.measure(context.Background(), planned{testSoak, tidegateName, soakMost}, 1)
	leaks(r)
	return b.print([]*Result{r})
}

// soak loads a Tidegate with clients that come, go and fail in every way, and
// compares what its process holds at the end with what it held when it was warm.
func soak(ctx context.Context, s *session) error {
	k := &soaker{session: s, random: rand.New(rand.NewPCG(1, 2)), ended: map[string]int{}}
	s.loop.OnOpen = k.opened
	s.loop.OnMessage = k.message
	s.loop.OnResponse = k.pushed
	s.loop.OnClose = k.closed
	// Warm: as many as there will be, so that slabs, pools and series exist.
	if err := k.load(ctx, min(s.duration, 30*time.Second)); err != nil {
		return err
	}
	begin, err := k.rest(ctx)
	if err != nil {
		return err
	}
	a := s.read()
	if err := k.load(ctx, s.duration); err != nil {
		return err
	}
	s.since(a, k.answers)
	end, err := k.rest(ctx)
	if err != nil {
		return err
	}
	k.report(begin, end)
	return nil
}

func (k *soaker) report(begin, end gateway.Counts) {
	v := k.result.Values
	v["goroutines_begin"], v["goroutines_end"] = float64(begin.Goroutines), float64(end.Goroutines)
	v["files_begin"], v["files_end"] = float64(begin.OpenFiles), float64(end.OpenFiles)
	v["heap_kib_begin"], v["heap_kib_end"] = float64(begin.HeapBytes)/1024, float64(end.HeapBytes)/1024
	v["answers"], v["pushes"], v["gone"], v["refused"] = float64(k.answers), float64(k.pushes), float64(k.gone), float64(k.refused)
	clients := 0
	for how, n := range k.ended {
		fmt.Fprintf(os.Stderr, "%8d clients: %s\n", n, how)
		clients += n
	}
	v["clients"] = float64(clients)
}

// leaks makes errors of what is more at the end than at the beginning. Heaps differ
// a little by what pools and maps happen to hold.
func leaks(r *Result) {
	for name, more := range map[string]float64{"goroutines": 0, "files": 0, "heap_kib": 256 + r.Values["heap_kib_begin"]/50} {
		if begin, end := r.Values[name+"_begin"], r.Values[name+"_end"]; end > begin+more {
			r.Errors[fmt.Sprintf("%s: %.0f at the beginning, %.0f at the end", name, begin, end)]++
		}
	}
}

// load runs for some time.
func (k *soaker) load(ctx context.Context, d time.Duration) error {
	k.resting = false
	for i := range soakPushers {
		if len(k.pushers) <= i {
			k.pushers = append(k.pushers, &publisher{index: i})
		}
		k.next(k.pushers[i])
	}
	tick, minute := load.Now(), load.Now()
	for end := load.Now() + int64(d); load.Now() < end; {
		k.loop.Step(5 * time.Millisecond)
		now := load.Now()
		if now-tick < int64(soakTick) {
			continue
		}
		tick = now
		if len(k.clients) < soakMost {
			for range soakStart {
				if err := k.start(); err != nil {
					return err
				}
			}
		}
		k.act(now)
		if now-minute > int64(time.Minute) {
			minute = now
			n, err := k.target.gateway.Metric(ctx, "tidegate_connections")
			if err != nil {
				return err
			}
			fmt.Fprintf(os.Stderr, "%s %v connections, %d answers, %d pushes, %d of them to clients that had gone\n", time.Now().Format(time.TimeOnly), n, k.answers, k.pushes, k.gone)
		}
	}
	return nil
}

// start dials one client.
func (k *soaker) start() error {
	c := &soakClient{left: k.random.IntN(20), end: k.random.IntN(len(soakEnds)), place: -1, due: load.Now() + int64(time.Second)}
	handshake := load.Handshake(k.target.clients, k.target.path(0, ""))
	webSocket := true
	switch soakEnds[c.end] {
	case "never a byte":
		handshake, webSocket = nil, false
	case "half a handshake", "reset in the handshake":
		handshake = handshake[:len(handshake)/2]
	}
	conn, err := k.loop.Dial(k.target.clients, webSocket, 0, handshake)
	if err != nil {
		return err
	}
	conn.Data = c
	k.clients = append(k.clients, conn)
	return nil
}

// opened asks for the client's id.
func (k *soaker) opened(conn *load.Conn) {
	if c, ok := conn.Data.(*soakClient); ok && soakEnds[c.end] != "never a byte" {
		k.say(conn, "whoami")
	}
}

func (k *soaker) say(conn *load.Conn, action string) {
	conn.Write(load.AppendFrame(nil, load.OpText, clientMessage(action, routeSize)))
}

// message counts, and remembers ids: a client can be pushed to from then on.
func (k *soaker) message(conn *load.Conn, _ byte, p []byte) {
	c := conn.Data.(*soakClient)
	k.answers++
	if conn.ID == "" {
		if conn.ID = idOf(p); conn.ID != "" {
			c.place = len(k.open)
			k.open = append(k.open, conn)
		}
	}
}

// act has every client take its next step.
func (k *soaker) act(now int64) {
	actions := []string{"sendmessage", "mock", "whoami", "nowhere"}
	rest := k.clients[:0]
	for _, conn := range k.clients {
		c := conn.Data.(*soakClient)
		if now >= c.due && conn.Open() && c.left > 0 && conn.ID != "" {
			c.left--
			c.due = now + int64(k.random.IntN(int(time.Second)))
			k.say(conn, actions[k.random.IntN(len(actions))])
		}
		if now < c.due+int64(time.Second) || c.left > 0 && conn.Open() && conn.ID != "" || !k.finish(conn) {
			rest = append(rest, conn)
		}
	}
	clear(k.clients[len(rest):])
	k.clients = rest
}

// finish ends a client in its way; false means that it lingers, for the gateway to
// notice.
func (k *soaker) finish(conn *load.Conn) bool {
	c := conn.Data.(*soakClient)
	if conn.Gone() {
		k.leave(c)
		return true
	}
	how := soakEnds[c.end]
	if c.left < 0 { // it lingers
		if load.Now() < c.due+int64(soakLinger) {
			return false
		}
		k.result.Values["unnoticed_"+strings.ReplaceAll(how, " ", "_")]++
		conn.Kill()
		k.leave(c)
		return true
	}
	c.left, c.due = -1, load.Now()
	k.ended[how]++
	switch how {
	case "close frame":
		conn.Write(load.AppendFrame(nil, load.OpClose, binary.BigEndian.AppendUint16(nil, 1000)))
		return false
	case "reset in a message":
		frame := load.AppendFrame(nil, load.OpText, clientMessage("mock", routeSize))
		conn.Write(frame[:len(frame)/2])
		conn.Kill()
	case "half-close":
		conn.HalfClose()
		return false
	case "vanished":
		if conn.Vanish() != nil {
			conn.Kill()
		}
	case "stops reading":
		conn.Mute(true)
		return false
	case "never a byte", "half a handshake":
		return false
	default:
		conn.Kill()
	}
	k.leave(c)
	return true
}

// leave takes the client out of those that are pushed to, some time after it went:
// pushes to it are answered with 410.
func (k *soaker) leave(c *soakClient) {
	if c.place < 0 {
		return
	}
	last := len(k.open) - 1
	k.open[c.place] = k.open[last]
	k.open[c.place].Data.(*soakClient).place = c.place
	k.open[last] = nil
	k.open = k.open[:last]
	c.place = -1
}

// closed is no fault here: the gateway closes who misbehaves.
func (k *soaker) closed(conn *load.Conn, err error) {
	q, ok := conn.Data.(*publisher)
	if ok && q.conn == conn && !q.answered {
		k.failed("a publisher was cut off: " + err.Error())
		k.next(q)
	}
}

// next posts to a client that was there a moment ago.
func (k *soaker) next(q *publisher) {
	q.answered = true
	if k.resting {
		return
	}
	id := "AAAAAAAAAAAAAAA="
	if len(k.open) > 0 {
		id = k.open[k.random.IntN(len(k.open))].ID
	}
	k.number++
	q.answered = false
	k.post(q, k.target.push(nil, id, 0, numberedFor("push", k.number, pushSize+k.random.IntN(4096))))
}

func (k *soaker) pushed(conn *load.Conn, status int, body []byte) {
	q, ok := conn.Data.(*publisher)
	if !ok {
		return // the gateway tells a client that it waits no longer
	}
	k.pushes++
	switch status {
	case 200:
	case 410:
		k.gone++
	case 429:
		k.refused++
	default:
		k.failed(fmt.Sprintf("a push was answered with %d %s", status, body))
	}
	k.next(q)
}

// rest drops all clients, waits until the gateway has noticed and its idle connections
// to backends have ended, and returns the least of some readings.
func (k *soaker) rest(ctx context.Context) (gateway.Counts, error) {
	k.resting = true
	k.loop.Spin(k.settle)
	for _, conn := range k.clients {
		conn.Kill()
		k.leave(conn.Data.(*soakClient))
	}
	for _, q := range k.pushers {
		if q.conn != nil {
			q.conn.Kill()
		}
	}
	k.clients = k.clients[:0]
	for end := time.Now().Add(soakRest); ; time.Sleep(50 * time.Millisecond) {
		open, err := k.target.gateway.Metric(ctx, "tidegate_connections")
		if err != nil {
			return gateway.Counts{}, err
		}
		if open == 0 {
			break
		}
		if time.Now().After(end) {
			return gateway.Counts{}, fmt.Errorf("the gateway holds %v connections long after every client has gone", open)
		}
	}
	time.Sleep(k.quiet)
	var least gateway.Counts
	for i := range restReadings {
		now, err := k.target.gateway.Free(ctx)
		if err != nil {
			return least, err
		}
		if i == 0 {
			least = now
		}
		least = gateway.Counts{
			Goroutines: min(least.Goroutines, now.Goroutines), OpenFiles: min(least.OpenFiles, now.OpenFiles),
			HeapBytes: min(least.HeapBytes, now.HeapBytes), StackBytes: min(least.StackBytes, now.StackBytes),
		}
		k.loop.Spin(k.settle)
	}
	return least, nil
}
