package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"time"

	"tidegate/internal/handoff"
	"tidegate/internal/server"
)

// leaveTime is how long the old process of a hand-off stays at most for what it was
// left with: integrations take 29 s, and clients over TLS are closed one by one.
const leaveTime = 10 * time.Minute

// A HandOff says how this process hands off, and whether it takes over.
type HandOff struct {
	// Descriptor leads to the process that this one takes over from; 0: none.
	Descriptor uintptr
	// Version is this program's.
	Version string
	// Command starts the new process with the program at a path; "" is this program
	// as it is on disk by then.
	Command func(binary string) *exec.Cmd
	// Signal asks for a hand-off with each value; nil: never.
	Signal <-chan struct{}
}

// take greets the process that this one takes over from, if there is one.
func (p *process) take() (err error) {
	if p.HandOff.Descriptor == 0 {
		return nil
	}
	p.taker, err = handoff.Take(p.HandOff.Descriptor, p.HandOff.Version)
	return err
}

// stored is what the old process serves beside what its configuration declares.
func (p *process) stored() []byte {
	if p.taker == nil {
		return nil
	}
	return p.taker.Stored
}

// fail tells the old process why this one can't take over, while that still helps.
func (p *process) fail(err error) error {
	if p.taker != nil {
		p.taker.Fail(err)
	}
	return err
}

// inherit puts the old process's listeners into the options, opens those that this
// configuration has beside them, and waits until the stores may be opened.
func (p *process) inherit(o *server.Options) error {
	if p.taker == nil {
		return nil
	}
	p.taker.Stored = nil // was tried
	server.Inherit(o.Serve.Listeners, p.taker.Listener)
	if err := server.Listen(o.Serve.Listeners); err != nil {
		return err
	}
	err := p.taker.Prepared()
	if err != nil && !errors.Is(err, handoff.ErrGone) {
		return err
	}
	if err != nil {
		p.goOnAlone(err)
		o.Patience = letGoTime
	}
	return nil
}

// letGoTime is how long a process that has ended may take to let go of its stores:
// the system closes its sockets, too.
const letGoTime = 10 * time.Second

// goOnAlone has this process serve without the old one, which has ended by itself:
// it has the listeners, the stores are free, and nobody else would serve.
func (p *process) goOnAlone(err error) {
	p.note(slog.LevelWarn, "the old process of the hand-off has ended by itself, and its connections with it; this one serves instead: "+err.Error(),
		slog.Int("from", p.taker.PID), slog.String("fromVersion", p.taker.Version))
	p.taker.Close()
	p.taker = nil
}

// succeed waits until clients may be accepted.
func (p *process) succeed() (err error) {
	if p.taker == nil {
		return nil
	}
	err = p.taker.Ready()
	if errors.Is(err, handoff.ErrGone) {
		p.goOnAlone(err)
		return nil
	}
	if err != nil {
		return err
	}
	p.link, err = p.server.Succeed(p.taker)
	return err
}

// receive takes connections until all have come.
func (p *process) receive() {
	if p.taker == nil {
		return
	}
	go func() {
		n, err := p.server.TakeOver(p.taker, p.link)
		attrs := []slog.Attr{slog.Int("connections", n), slog.Int("from", p.taker.PID), slog.String("fromVersion", p.taker.Version)}
		if err != nil {
			p.note(slog.LevelWarn, "the old process of the hand-off ended before it was done: "+err.Error(), attrs...)
			return
		}
		p.note(slog.LevelInfo, "the hand-off is complete: the old process has no connection left that could go", attrs...)
	}()
}

// openDoor lets `tidegate handoff` in, where there are hand-offs.
func (p *process) openDoor() {
	door, err := handoff.OpenDoor(p.config.DataDir)
	if err != nil {
		p.note(slog.LevelWarn, "`tidegate handoff` finds no way in: "+err.Error())
		return
	}
	p.door = door
}

// calls are the requests that come through the door.
func (p *process) calls() <-chan *handoff.Call {
	if p.door == nil {
		return nil
	}
	return p.door.Calls()
}

// handOff hands off and reports whether it did. call may be nil.
func (p *process) handOff(ctx context.Context, call *handoff.Call) bool {
	var binary string
	tell := func(pr handoff.Progress) {
		level := slog.LevelInfo
		if pr.Step == handoff.Moving { // one for each batch
			level = slog.LevelDebug
		}
		p.note(level, pr.String(), slog.String("step", string(pr.Step)), slog.Int("to", pr.PID))
		if call != nil {
			call.Tell(pr)
		}
	}
	if call != nil {
		binary = call.Binary
	}
	var result handoff.Result
	successor, err := p.server.HandOff(ctx, p.HandOff.Command(binary), p.HandOff.Version, tell)
	if err != nil {
		p.note(slog.LevelError, err.Error())
		result.Error, result.Busy = err.Error(), errors.Is(err, server.ErrHandOffUnderWay)
		if errors.As(err, new(*handoff.Error)) {
			p.restore(ctx)
		}
	} else {
		result.Progress = handoff.Progress{Step: handoff.Moved, PID: successor.PID, Version: successor.Version, Connections: successor.Moved}
		result.Left = successor.Left.Total()
		if successor.Refused != nil {
			result.Refused = successor.Refused.Error()
			p.note(slog.LevelWarn, "the new process took no more connections, and those left are closed with 1012: "+result.Refused)
		}
		p.tell(p.Systemd.MainPID(successor.PID, p.status()))
		if p.door != nil {
			p.door.Close()
		}
		p.successor = successor
	}
	if call != nil {
		call.Done(result)
	}
	return err == nil
}

// restore undoes what a new process that failed may have done: it may have written
// its own configuration's APIs, and taken the door.
func (p *process) restore(ctx context.Context) {
	if err := p.server.Declare(context.WithoutCancel(ctx), declaredAPIs(p.config)); err != nil {
		p.note(slog.LevelError, "the APIs of the configuration could not be put back: "+err.Error())
	}
	if p.door != nil {
		p.door.Close()
		p.door = nil
	}
	p.openDoor()
}

// leave ends this process behind a hand-off.
func (p *process) leave(ctx context.Context) error {
	p.note(slog.LevelInfo, "handed off: this process ends when what it was left with is dealt with", slog.String("left", p.successor.Left.String()), slog.Int("to", p.successor.PID))
	ctx, cancel := context.WithTimeout(ctx, leaveTime)
	defer cancel()
	if err := p.server.Leave(ctx, p.successor); err != nil {
		p.note(slog.LevelWarn, "not all that was left could be dealt with: "+err.Error())
	}
	err := p.server.Close()
	p.successor.Link.Finish()
	if err != nil {
		return fmt.Errorf("end behind the hand-off: %w", err)
	}
	p.note(slog.LevelInfo, "handed off, and done", slog.Int("to", p.successor.PID), slog.Int("connections", p.successor.Moved))
	return nil
}
