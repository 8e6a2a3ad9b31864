package main

import (
	"context"
	"fmt"
	"time"

	"tidegate/bench/load"
)

// Who does what in a hand-off; the rest is idle.
const (
	shareBusy  = 19  // one client of so many is busy with the backend
	shareOther = 190 // is in the middle of a frame; as many get pushes
	mostProbes = 256 // messages at once, when it is over
	mutedMost  = 20  // clients that don't read

	// A thousand clients share the gateway's connections to the backend: with one for
	// each, and 19,000 clients, it would need more descriptors than it may have.
	upgradeLimit = "backend_connections=512"
)

// What a client of a hand-off does.
type part uint8

const (
	idling part = iota
	busy        // has one message in flight, always, to a backend that takes its time
	halved      // has sent half of a message when the hand-off begins
	muted       // reads nothing from before the hand-off until after it
	pushed      // gets pushes, one after the other
)

// Numbers of messages: a client's index times perClient, and a number that is at
// least firstPush for pushes.
const (
	perClient = 1_000_000
	firstPush = perClient / 2
)

// A ledger is what one client has sent and got.
type ledger struct {
	part     part
	sent     int   // the number of its latest message
	answered int   // the number of the latest answer
	at       int64 // when that came
	posted   int   // the number of the latest push to it
	accepted []int // pushes that were answered with 200
	arrived  []int // pushes
	rest     []byte
}

// An upgradeRun is the state of one hand-off test.
type upgradeRun struct {
	*session
	ledgers  []ledger
	watching bool
	stopped  bool
	gap      int64 // the largest between two answers to one client, ns
	closed   int
	doubled  int
	wrong    int // reordered, or another client's
}

// upgrade has a Tidegate with many connections replace itself by another process
// while clients are busy, and counts what they notice.
func upgrade(ctx context.Context, s *session) error {
	u := &upgradeRun{session: s}
	if err := u.populate(); err != nil {
		return err
	}
	if err := u.fillMuted(); err != nil {
		return err
	}
	for i := range u.ledgers {
		if u.ledgers[i].part == busy {
			u.say(i)
		}
	}
	pushing := u.startPushes()
	u.spin(s.warm)
	s.result.Values["gap_without_ms"] = float64(u.widest(func() { u.spin(s.duration) })) / 1e6

	for i := range u.ledgers { // half of a frame, the other half follows behind the hand-off
		if l := &u.ledgers[i]; l.part == halved {
			l.sent++
			frame := load.AppendFrame(nil, load.OpText, numbered(i*perClient+l.sent))
			s.clients[i].Write(frame[:len(frame)/2])
			l.rest = frame[len(frame)/2:]
		}
	}
	old := s.target.group.Roots()
	var took time.Duration
	var failed error
	s.result.Values["gap_with_ms"] = float64(u.widest(func() { took, failed = u.handOff(ctx) })) / 1e6
	if failed != nil {
		return failed
	}
	s.result.Values["pause_ms"] = max(0, s.result.Values["gap_with_ms"]-s.result.Values["gap_without_ms"])
	s.result.Values["took_ms"] = float64(took.Milliseconds())
	if now := s.target.group.Roots(); len(now) == len(old) {
		return fmt.Errorf("the hand-off named no new process")
	}
	return u.finish(ctx, pushing)
}

// populate connects everyone and deals out the parts.
func (u *upgradeRun) populate() error {
	n := u.result.Clients
	few := max(n/shareOther, 1)
	parts := []struct {
		part part
		n    int
	}{{busy, max(n/shareBusy, 1)}, {halved, few}, {pushed, few}, {muted, min(few, mutedMost)}}
	u.ledgers = make([]ledger, n)
	i := 0
	for _, p := range parts {
		for range p.n {
			if i < n {
				u.ledgers[i].part = p.part
				i++
			}
		}
	}
	// Those that are muted come last of the parts, and have small buffers.
	first := i - parts[len(parts)-1].n
	if _, _, err := u.connect(first, channelOf); err != nil {
		return err
	}
	u.loop.ReceiveBuffer = mutedBuffer
	if _, _, err := u.connect(i, channelOf); err != nil {
		return err
	}
	u.loop.ReceiveBuffer = 0
	if _, _, err := u.connect(n, channelOf); err != nil {
		return err
	}
	u.loop.OnOpen = nil
	u.loop.OnMessage = u.arrived
	u.loop.OnClose = func(c *load.Conn, err error) {
		if _, ok := c.Data.(*poster); ok {
			u.cut(c)
			return
		}
		u.closed++
		u.lost(c, err)
	}
	u.loop.OnResponse = u.posted
	return nil
}

// say sends a client's next message.
func (u *upgradeRun) say(i int) {
	l := &u.ledgers[i]
	l.sent++
	message := numbered(i*perClient + l.sent)
	if l.part == busy && !u.stopped {
		message = numberedFor("slow", i*perClient+l.sent, pushSize)
	}
	if c := u.clients[i]; c != nil {
		c.Write(load.AppendFrame(nil, load.OpText, message))
	}
}

// arrived enters what a client got, and answers it when the client is busy.
func (u *upgradeRun) arrived(c *load.Conn, _ byte, payload []byte) {
	number := numberOf(payload)
	l := &u.ledgers[c.Index]
	if number < 0 || number/perClient != c.Index {
		u.wrong++
		u.failed(fmt.Sprintf("a client got what wasn't for it: %s", payload))
		return
	}
	if number %= perClient; number >= firstPush {
		l.arrived = append(l.arrived, number)
		return
	}
	switch {
	case number <= l.answered:
		u.doubled++
		return
	case number != l.answered+1 || number > l.sent:
		u.wrong++
	}
	now := load.Now()
	if u.watching && l.at != 0 {
		u.gap = max(u.gap, now-l.at)
	}
	l.answered, l.at = number, now
	if l.part == busy && !u.stopped {
		u.say(c.Index)
	}
}

// spin steps for some time.
func (u *upgradeRun) spin(d time.Duration) {
	for end := load.Now() + int64(d); load.Now() < end; {
		u.loop.Step(5 * time.Millisecond)
	}
}

// widest returns the largest gap between two answers to one busy client, as long as
// fn runs; one that is open at the end counts as far as it went.
func (u *upgradeRun) widest(fn func()) int64 {
	began := load.Now()
	for i := range u.ledgers {
		u.ledgers[i].at = max(u.ledgers[i].at, began)
	}
	u.gap, u.watching = 0, true
	fn()
	u.watching = false
	for i := range u.ledgers {
		if l := &u.ledgers[i]; l.part == busy {
			u.gap = max(u.gap, load.Now()-l.at)
		}
	}
	return u.gap
}

// handOffTime is how long a hand-off may take.
const handOffTime = time.Minute

// handOff has the gateway hand off and keeps clients busy meanwhile, and for as
// long as was measured without one.
func (u *upgradeRun) handOff(ctx context.Context) (time.Duration, error) {
	ctx, stop := context.WithTimeout(ctx, handOffTime)
	defer stop()
	began := time.Now()
	ended := make(chan error, 1)
	var took time.Duration
	go func() {
		err := u.target.gateway.HandOff(ctx)
		took = time.Since(began)
		ended <- err
	}()
	for {
		u.loop.Step(5 * time.Millisecond)
		select {
		case err := <-ended:
			if err != nil {
				return 0, err
			}
			u.spin(max(u.duration-time.Since(began), u.duration/4))
			return took, nil
		default:
		}
	}
}

// finish lets everything come to rest and settles the accounts: the halved messages
// are completed, who was muted reads, and everyone sends one more message and gets
// one more push, by the id of before.
func (u *upgradeRun) finish(ctx context.Context, pushing []*poster) error {
	u.stopped = true
	for _, p := range pushing {
		p.stopped = true
	}
	for i := range u.ledgers {
		l := &u.ledgers[i]
		if c := u.clients[i]; c != nil && l.part == muted {
			c.Mute(false)
		} else if c != nil && l.part == halved {
			c.Write(l.rest)
		}
	}
	u.rest()
	for i := range u.ledgers {
		u.say(i)
		// Few enough at once that none waits for a backend's turn.
		for end := load.Now() + int64(lossTime); i%mostProbes == 0 && load.Now() < end && u.awaited() > 0; {
			u.loop.Step(5 * time.Millisecond)
		}
	}
	u.rest()
	u.pushAll()
	u.rest()
	return u.settle(ctx)
}

// rest steps until nothing is awaited, for lossTime at most.
func (u *upgradeRun) rest() {
	for end := load.Now() + int64(lossTime); load.Now() < end && u.awaited() > 0; {
		u.loop.Step(20 * time.Millisecond)
	}
	u.spin(100 * time.Millisecond) // what comes twice, comes now
}

// awaited counts answers and accepted pushes that didn't come.
func (u *upgradeRun) awaited() int {
	n := 0
	for i := range u.ledgers {
		l := &u.ledgers[i]
		n += l.sent - l.answered
		n += len(missing(l.accepted, l.arrived))
	}
	return n
}

// missing are those of wanted that got lacks.
func missing(wanted, got []int) []int {
	if len(wanted) == 0 {
		return nil
	}
	has := make(map[int]bool, len(got))
	for _, n := range got {
		has[n] = true
	}
	var not []int
	for _, n := range wanted {
		if !has[n] {
			not = append(not, n)
		}
	}
	return not
}

// settle counts, and says what went wrong.
func (u *upgradeRun) settle(ctx context.Context) error {
	lost, pushes, answers := 0, 0, 0
	for i := range u.ledgers {
		l := &u.ledgers[i]
		lost += l.sent - l.answered + len(missing(l.accepted, l.arrived))
		pushes += len(l.arrived)
		answers += l.answered
		last := 0
		seen := map[int]bool{}
		for _, n := range l.arrived {
			switch {
			case seen[n]:
				u.doubled++
			case n < last:
				u.wrong++
			}
			seen[n] = true
			last = max(last, n)
		}
	}
	v := u.result.Values
	for name, n := range map[string]int{"closed": u.closed, "lost": lost, "doubled": u.doubled, "reordered": u.wrong} {
		v[name] = float64(n)
		if n > 0 {
			u.result.Errors[name] += n
		}
	}
	v["pushes"], v["messages"] = float64(pushes), float64(answers)
	open, err := u.target.gateway.Metric(ctx, "tidegate_connections")
	v["moved"] = open
	if err == nil && int(open) != len(u.ledgers) {
		err = fmt.Errorf("the new process has %v of %d connections", open, len(u.ledgers))
	}
	u.memory()
	return err
}

// A poster is a publisher that posts to one client after the other, one at a time.
type poster struct {
	publisher
	clients []int // by index
	next    int
	size    int
	stopped bool
	until   func(status int) bool // more may say when to stop
}

// startPushes has each client that gets pushes get them, until it is stopped.
func (u *upgradeRun) startPushes() []*poster {
	p := &poster{size: pushSize}
	for i := range u.ledgers {
		if u.ledgers[i].part == pushed {
			p.clients = append(p.clients, i)
		}
	}
	u.postNext(p)
	return []*poster{p}
}

// postNext posts to the poster's next client.
func (u *upgradeRun) postNext(p *poster) {
	for ; !p.stopped && len(p.clients) > 0; p.next++ {
		p.to = p.clients[p.next%len(p.clients)]
		c := u.clients[p.to]
		if c == nil {
			p.stopped = u.live == 0
			continue
		}
		l := &u.ledgers[p.to]
		l.posted++
		p.number = firstPush + l.posted
		p.next++
		u.postTo(p, u.target.push(nil, c.ID, p.to, numberedFor("push", p.to*perClient+p.number, p.size)))
		return
	}
}

// postTo is post with the poster as the connection's data.
func (u *upgradeRun) postTo(p *poster, request []byte) {
	p.at = load.Now()
	if p.conn != nil && p.conn.Open() {
		p.conn.Write(request)
		return
	}
	c, err := u.loop.Dial(u.target.publish, false, len(u.clients)+p.index, request)
	if err != nil {
		u.failed("a publisher can't connect: " + err.Error())
		return
	}
	c.Data, p.conn = p, c
}

// posted enters what a push was answered with.
func (u *upgradeRun) posted(c *load.Conn, status int, body []byte) {
	p := c.Data.(*poster)
	l := &u.ledgers[p.to]
	switch {
	case status == 200:
		l.accepted = append(l.accepted, p.number)
	case p.until == nil:
		u.failed(fmt.Sprintf("a push was answered with %d %s", status, body))
	}
	if p.until != nil && p.until(status) {
		p.stopped = true
	}
	u.postNext(p)
}

// cut is what happens when a publisher's connection ends: what had no answer may or
// may not have been taken.
func (u *upgradeRun) cut(c *load.Conn) {
	if p := c.Data.(*poster); p.conn == c {
		p.conn = nil
		u.result.Values["publishers_cut"]++
		u.postNext(p)
	}
}

// Bounds of what is sent to a client that doesn't read.
const (
	mutedBuffer = 64 << 10 // of their sockets
	mutedSize   = 16 << 10
	mutedPosts  = 1000
)

// fillMuted pushes to the clients that don't read until the gateway refuses more:
// their sockets and their queues are full.
func (u *upgradeRun) fillMuted() error {
	for i := range u.ledgers {
		if u.ledgers[i].part != muted {
			continue
		}
		u.clients[i].Mute(true)
		full := false
		p := &poster{clients: []int{i}, size: mutedSize}
		p.until = func(status int) bool {
			full = full || status == 429
			return status != 200 || len(u.ledgers[i].accepted) >= mutedPosts
		}
		u.postNext(p)
		for end := load.Now() + int64(lossTime); !p.stopped && load.Now() < end; {
			u.loop.Step(5 * time.Millisecond)
		}
		if p.conn != nil {
			p.conn.Kill()
		}
		if !full {
			return fmt.Errorf("the queue of a client that doesn't read isn't full after %d pushes of %d bytes", len(u.ledgers[i].accepted), mutedSize)
		}
	}
	return nil
}

// pushAll pushes once to everyone.
func (u *upgradeRun) pushAll() {
	p := &poster{size: pushSize}
	for i := range u.ledgers {
		p.clients = append(p.clients, i)
	}
	p.until = func(status int) bool {
		if status != 200 {
			u.failed(fmt.Sprintf("a push by an id of before the hand-off was answered with %d", status))
		}
		return p.next >= len(p.clients)
	}
	u.postNext(p)
	for end := load.Now() + int64(handOffTime); !p.stopped && load.Now() < end; {
		u.loop.Step(5 * time.Millisecond)
	}
	if !p.stopped {
		u.failed("pushes by ids of before the hand-off were not answered")
	}
}
