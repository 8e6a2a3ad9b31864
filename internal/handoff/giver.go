package handoff

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"time"

	"tidegate/internal/transport"
)

// Variable is the environment variable by which a process knows that it is to take
// over: the number of a descriptor.
const Variable = "TIDEGATE_HANDOFF"

// A Listener is one that goes over, by the name that both processes know it by.
type Listener struct {
	Name string
	File *os.File
}

// A Giver is the old process's side of a hand-off. All fields must be set.
type Giver struct {
	Command *exec.Cmd // of the new process, its environment set; Run adds to that and its files
	Version string    // of this program
	// Listeners returns them, opened anew; Run closes them.
	Listeners func() ([]Listener, error)
	Home      Home
	// Stored is what the new process is to have tried before this one closes its stores,
	// in the words of whoever reads Taker.Stored; nil: nothing.
	Stored func(context.Context) ([]byte, error)
	// Suspend has changes refused and closes the stores; Resume undoes it.
	Suspend, Resume func() error
	// Freeze gives connections away; an engine's. Accept has it take clients again
	// after that.
	Freeze func(ctx context.Context, batch int, pass func([]transport.Frozen) error) (transport.Left, error)
	Accept func()
	// Settle says where a connection is that Freeze wrote down: in the new process,
	// or here after all.
	Settle func(frozen []byte, moved bool)
	// Join says that there is another process from now on, nil that there is none.
	Join func(*Link)
	// Tell hears of each step.
	Tell func(Progress)

	batchTime, moveTime time.Duration // instead of the constants, for tests
}

// A Successor is the process that has taken over.
type Successor struct {
	PID     int
	Version string
	Moved   int            // WebSocket connections that went over
	Left    transport.Left // what did not, yet
	Refused error          // why it took no more, if that is so
	Link    *Link

	giver   *Giver
	channel *channel
	process *process
	failed  error // what a batch failed with that is not this process's any more
}

// A process is the new one, seen from the old.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended
	state atomic.Pointer[string]
}

// Run hands over. When it returns an error, an *Error, the new process has been
// ended, and this one goes on. After nil the stores and the listeners are the other
// process's: pass on what can go later, and end.
func (g *Giver) Run(ctx context.Context) (*Successor, error) {
	r := &run{giver: g}
	s, err := r.run(ctx)
	if err == nil {
		return s, nil
	}
	return nil, r.undo(err)
}

// A run is one hand-off.
type run struct {
	giver     *Giver
	step      Step
	successor *Successor
	suspended bool
	frozen    bool // the engine has stopped accepting
	left      bool // the hand-off is done, and what was left over follows
}

// reached notes and tells a step.
func (r *run) reached(s Step) {
	r.step = s
	r.tell(s)
}

func (r *run) tell(s Step) {
	r.giver.Tell(Progress{Step: s, PID: r.successor.PID, Version: r.successor.Version, Connections: r.successor.Moved})
}

func (r *run) run(ctx context.Context) (*Successor, error) {
	if err := r.start(ctx); err != nil {
		return nil, err
	}
	s := r.successor
	r.reached(Started)
	h, err := s.expect(ctx, kindPrepared, startTime)
	if err != nil {
		return nil, err
	}
	if err := h.compatible(); err != nil {
		return nil, err
	}
	s.Version = h.Version
	r.reached(Prepared)
	r.suspended = true
	if err := r.giver.Suspend(); err != nil {
		return nil, fmt.Errorf("close the stores: %w", err)
	}
	if err := s.channel.send(header{Kind: kindClosed}, nil, nil, callTime); err != nil {
		return nil, s.why(err)
	}
	r.reached(Closed)
	if _, err := s.expect(ctx, kindReady, openTime); err != nil {
		return nil, err
	}
	r.reached(Ready)
	r.giver.Join(s.Link) // from here on it may be asked
	if err := s.channel.send(header{Kind: kindListen}, nil, nil, callTime); err != nil {
		return nil, s.why(err)
	}
	if _, err := s.expect(ctx, kindListening, listenTime); err != nil {
		return nil, err
	}
	r.reached(Listening)
	r.frozen = true
	// Those that wait for an answer go later; see Finish.
	moving, cancel := context.WithTimeout(ctx, cmp.Or(r.giver.moveTime, moveTime))
	defer cancel()
	s.Left, err = r.giver.Freeze(moving, BatchSize, r.pass)
	if s.failed != nil {
		err = s.failed // of the last batch, which nothing followed
	}
	switch {
	case errors.As(err, new(refusal)) && s.Moved > 0:
		s.Refused = err // it has the stores, the listeners and some clients, and works
	case err != nil && (moving.Err() == nil || !errors.Is(err, moving.Err())):
		return nil, s.why(err)
	case ctx.Err() != nil && s.Moved == 0:
		return nil, context.Cause(ctx)
	}
	r.reached(Moved)
	return s, nil
}

// start starts the new process and greets it.
func (r *run) start(ctx context.Context) error {
	g := r.giver
	stored, err := g.Stored(ctx)
	if err != nil {
		return fmt.Errorf("read the stores: %w", err)
	}
	c, theirs, err := channelPair()
	if err != nil {
		return err
	}
	defer theirs.Close()
	link, linkTheirs, err := channelPair()
	if err != nil {
		c.c.Close()
		return err
	}
	defer linkTheirs.Close()
	r.successor = &Successor{channel: c, giver: g, Link: newLink(link, g.Home, true)}
	go r.successor.Link.serve()
	listeners, err := g.Listeners()
	files := []*os.File{linkTheirs}
	h := mine(kindHello, g.Version)
	h.PID = os.Getpid()
	for _, l := range listeners {
		defer l.File.Close()
		h.Listeners = append(h.Listeners, l.Name)
		files = append(files, l.File)
	}
	if err != nil {
		return err
	}
	cmd := g.Command
	cmd.ExtraFiles = append(cmd.ExtraFiles, theirs)
	cmd.Env = append(cmd.Env, Variable+"="+strconv.Itoa(2+len(cmd.ExtraFiles)))
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	r.successor.process, r.successor.PID = watch(cmd), cmd.Process.Pid
	return r.successor.why(c.send(h, [][]byte{stored}, files, callTime))
}

// watch waits for the end of a process that was started.
func watch(cmd *exec.Cmd) *process {
	p := &process{cmd: cmd, ended: make(chan struct{})}
	go func() {
		cmd.Wait()
		state := cmd.ProcessState.String()
		p.state.Store(&state)
		close(p.ended)
	}()
	return p
}

// expect waits for what the new process has to say; its end, or ctx's, is an error.
func (s *Successor) expect(ctx context.Context, kind string, limit time.Duration) (header, error) {
	stop := context.AfterFunc(ctx, s.channel.interrupt)
	defer stop()
	h, _, files, err := s.channel.expect(kind, limit)
	closeAll(files)
	if ctx.Err() != nil && err != nil {
		return h, context.Cause(ctx)
	}
	return h, s.why(err)
}

// why adds to the end of a conversation how the new process ended.
func (s *Successor) why(err error) error {
	if !errors.Is(err, ErrGone) {
		return err
	}
	select {
	case <-s.process.ended:
		return fmt.Errorf("the new process ended by itself (%s); what it wrote says why", *s.process.state.Load())
	case <-time.After(time.Second):
		return err
	}
}

// pass sends a batch and waits until it is taken. Behind an error the batch is this
// process's, and surely no other's.
func (r *run) pass(batch []transport.Frozen) error {
	s := r.successor
	if s.failed != nil {
		return s.failed
	}
	s.Link.still.Lock()
	defer s.Link.still.Unlock()
	sent, err := s.pass(batch)
	if err != nil && sent && !errors.As(err, new(refusal)) {
		if r.settle(err) {
			s.failed, err = err, nil
		}
	}
	n := 0
	for i := range batch {
		if batch[i].Data != nil {
			n++
			r.giver.Settle(batch[i].Data, err == nil)
		}
	}
	if err != nil {
		return err
	}
	s.Moved += n
	r.step = Moving
	r.tell(Moving)
	return nil
}

// settle decides whose a batch is that was sent and not acknowledged: it returns
// whether it is the new process's. That may be slow, not dead, and about to take the
// batch, so this one doesn't go on with it as long as the other lives.
func (r *run) settle(err error) (theirs bool) {
	s := r.successor
	if r.left { // the other one has everything else: it isn't ended for these
		return !errors.Is(err, ErrGone)
	}
	s.process.kill()
	_, _, files, err := s.channel.expect(kindTook, callTime) // said in the last moment
	closeAll(files)
	return err == nil
}

// pass sends a batch and waits for the acknowledgement. sent says that all of it
// went: else it can't be taken.
func (s *Successor) pass(batch []transport.Frozen) (sent bool, err error) {
	limit := cmp.Or(s.giver.batchTime, batchTime)
	h := header{Kind: kindBatch, Connections: make([]passed, len(batch))}
	payload := make([][]byte, 0, 2*len(batch))
	files := make([]*os.File, len(batch))
	for i, f := range batch {
		h.Connections[i] = passed{Listener: f.Listener, State: len(f.State), Data: len(f.Data)}
		payload = append(payload, f.State, f.Data)
		files[i] = f.File
	}
	if err := s.channel.send(h, payload, files, limit); err != nil {
		return false, err
	}
	_, _, got, err := s.channel.expect(kindTook, limit)
	closeAll(got)
	return true, err
}

// undo ends what was begun: the new process, with what it took, if anything; and
// what this one had given up is its own again. A process that doesn't answer is
// ended too, since two owners of the listeners and stores would do more harm.
func (r *run) undo(err error) error {
	failed := &Error{After: r.step, Err: err}
	g, s := r.giver, r.successor
	if s == nil {
		return failed
	}
	failed.Lost = s.Moved
	if s.process != nil {
		s.process.kill()
	}
	s.Link.Close()
	s.channel.c.Close()
	g.Join(nil)
	if r.suspended {
		if rerr := g.Resume(); rerr != nil {
			failed.Err = errors.Join(err, fmt.Errorf("and the stores can't be opened again, so that nothing can be changed until a restart: %w", rerr))
		}
	}
	if r.frozen {
		g.Accept()
	}
	return failed
}

// kill ends the process and waits until it has.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.ended
}

// Pass passes on connections that couldn't go before, until none of that kind is
// left or ctx ends; the error is then ctx's.
func (s *Successor) Pass(ctx context.Context) error {
	r := &run{giver: s.giver, successor: s, step: Moved, left: true}
	left, err := s.giver.Freeze(ctx, BatchSize, r.pass)
	s.Left = left
	return errors.Join(err, s.failed)
}

// Done tells the other process that no connection comes any more.
func (s *Successor) Done() error {
	defer s.channel.c.Close()
	return s.channel.send(header{Kind: kindDone}, nil, nil, callTime)
}
