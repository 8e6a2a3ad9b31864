package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/connection"
	"tidegate/internal/handoff"
	"tidegate/internal/transport"
)

// ErrHandOffUnderWay says that a hand-off can't begin because another isn't over.
var ErrHandOffUnderWay = errors.New("a hand-off is under way")

const (
	// retireRate is how many clients a second are closed that can't be handed off.
	retireRate = 200
	// requestTime is how long requests under way have that went to net/http: calls
	// of the control plane, and streams, which end only so.
	requestTime = 5 * time.Second
)

// changes let calls that change anything be refused for a moment: calls under way
// end first, new ones are told to come again.
type changes struct{ mu sync.RWMutex }

// stop refuses from now on, once what is under way has ended.
func (c *changes) stop() error {
	const longest = 10 * time.Second // calls take milliseconds; a client may send slowly
	for began := time.Now(); !c.mu.TryLock(); time.Sleep(time.Millisecond) {
		if time.Since(began) > longest {
			return fmt.Errorf("calls of the control plane have not ended within %v", longest)
		}
	}
	return nil
}

// resume takes calls again.
func (c *changes) resume() { c.mu.Unlock() }

// guard has calls for which only is true refused while changes are.
func (c *changes) guard(h http.Handler, only func(*http.Request) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if only(r) {
			if !c.mu.TryRLock() {
				w.Header().Set("Retry-After", "1")
				w.Header().Set("X-Amzn-Errortype", "ServiceUnavailableException")
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusServiceUnavailable)
				fmt.Fprint(w, `{"message":"Tidegate hands off to another process; try again in a second"}`)
				return
			}
			defer c.mu.RUnlock()
		}
		h.ServeHTTP(w, r)
	})
}

// always and changing say which calls need the store.
func always(*http.Request) bool { return true }

func changing(r *http.Request) bool { return r.Method != http.MethodGet && r.Method != http.MethodHead }

// nameOf is what both processes of a hand-off call a listener: the nth of its role
// and address as the configuration has it.
func nameOf(l Listener, n int) string { return fmt.Sprintf("%s %s %d", l.Role, l.Address, n) }

// names returns the listeners' names, in their order.
func names(all []Listener) []string {
	names := make([]string, len(all))
	for i, l := range all {
		for n := 0; names[i] == "" || slices.Contains(names[:i], names[i]); n++ {
			names[i] = nameOf(l, n)
		}
	}
	return names
}

// Inherit gives listeners that another process hands over to those of the same name.
func Inherit(all []Listener, from func(name string) net.Listener) {
	for i, name := range names(all) {
		if l := from(name); l != nil {
			all[i].Open = l
		}
	}
}

// HandOff has a new process, which command starts, take over listeners and
// connections. With an error this process goes on; after nil, Leave.
func (s *Server) HandOff(ctx context.Context, command *exec.Cmd, version string, tell func(handoff.Progress)) (*handoff.Successor, error) {
	if !s.handing.CompareAndSwap(false, true) {
		return nil, ErrHandOffUnderWay
	}
	g := &handoff.Giver{
		Command: command, Version: version, Home: s.home(), Listeners: s.listenerFiles, Stored: s.stored,
		Suspend: s.suspend, Resume: s.resume, Freeze: s.loops.Freeze, Accept: s.loops.Resume,
		Settle: s.settled, Join: s.Join, Tell: tell,
	}
	successor, err := g.Run(ctx)
	if err != nil {
		s.handing.Store(false)
		s.metrics.HandOff("failed", "out", 0)
		return nil, err
	}
	s.metrics.HandOff("done", "out", successor.Moved)
	return successor, nil
}

// Leave ends what a hand-off left: what waits for an answer gets it and goes too,
// clients that can't go are closed with 1012, late replies and $disconnects are
// delivered. Close follows.
func (s *Server) Leave(ctx context.Context, to *handoff.Successor) error {
	s.admin.SetUnready()
	for _, f := range s.fronts {
		f.fallback.SetKeepAlivesEnabled(false) // callers come again, and reach the other process
	}
	var errs []error
	moved := to.Moved
	if err := to.Pass(ctx); err != nil && to.Refused == nil {
		errs = append(errs, err)
	}
	s.metrics.HandedOff("out", to.Moved-moved)
	errs = append(errs, to.Done(), s.gateway.Retire(ctx, retireRate))
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	for _, f := range s.fronts {
		f.fallback.Shutdown(ctx) // streams don't end before
	}
	return errors.Join(errs...)
}

// stored is what was made through the API and is served.
func (s *Server) stored(ctx context.Context) ([]byte, error) {
	return s.catalog.Snapshot(ctx, func(api *apigw.API, name apigw.StageName) bool {
		_, served := s.gateway.Lookup(api.ID, name)
		return served && api.File == "" // a file's are the next configuration's to say
	})
}

// home is what this process does for the other one of a hand-off.
func (s *Server) home() handoff.Home {
	return handoff.Home{Local: s.router.Local(), Codec: s.registry.Codec(), Release: func(id connection.ID, ended, unheld int) error {
		if c, ok := s.registry.Lookup(id); ok { // else it has left, and nothing is bounded any more
			s.gateway.Release(c, ended, unheld)
		}
		return nil
	}}
}

// Join asks another process of a hand-off for connections that aren't here; nil
// ends that.
func (s *Server) Join(l *handoff.Link) {
	if l == nil {
		s.router.SetPeer(nil)
		return
	}
	s.router.SetPeer(l)
}

// listenerFiles are descriptors of the listeners for another process.
func (s *Server) listenerFiles() ([]handoff.Listener, error) {
	var all []handoff.Listener
	for i, name := range names(s.listeners) {
		filer, ok := s.listeners[i].Open.(interface{ File() (*os.File, error) })
		if !ok {
			return all, fmt.Errorf("the listener %s can't be handed off", name)
		}
		f, err := filer.File()
		if err != nil {
			return all, fmt.Errorf("the listener %s: %w", name, err)
		}
		all = append(all, handoff.Listener{Name: name, File: f})
	}
	return all, nil
}

// suspend refuses changes and closes the store.
func (s *Server) suspend() error {
	if err := s.changes.stop(); err != nil {
		return err
	}
	return s.store.Suspend()
}

// resume undoes suspend, also one that failed on its way.
func (s *Server) resume() error {
	if s.changes.mu.TryRLock() { // nothing was refused
		s.changes.mu.RUnlock()
		return nil
	}
	if err := s.store.Resume(); err != nil {
		return err
	}
	s.changes.resume()
	return writePID(s.options.DataDir)
}

// settled notes where a connection is now.
func (s *Server) settled(frozen []byte, moved bool) {
	id, err := connection.FrozenID(frozen)
	if err != nil {
		return // this process wrote it a moment ago
	}
	c, ok := s.registry.Lookup(id)
	switch {
	case !ok:
	case moved:
		s.gateway.HandedOff(c)
	default:
		c.Unfreeze()
	}
}

// TakeOver serves what another process hands over, once Accept was called, and
// returns how many WebSocket connections came, when that is all. While that process lives it
// is asked for what isn't here. Meanwhile this one hands nothing off.
func (s *Server) TakeOver(t *handoff.Taker, link *handoff.Link) (int, error) {
	go func() {
		<-link.Ended()
		s.Join(nil)
		s.gateway.ReleaseAll()
		s.handing.Store(false)
	}()
	n, err := t.Listening(link, s.thaw)
	select {
	case <-link.Ended(): // perhaps before the last batch was thawed
		s.gateway.ReleaseAll()
	default:
	}
	s.metrics.HandOff("taken-over", "in", n)
	return n, err
}

// Succeed prepares this server to take over: it may be asked by the old process
// from now on, and asks it. Accept and TakeOver follow.
func (s *Server) Succeed(t *handoff.Taker) (*handoff.Link, error) {
	link, err := t.Link(s.home())
	if err != nil {
		return nil, err
	}
	s.handing.Store(true)
	s.Join(link)
	return link, nil
}

// thaw makes connections of another process this one's own. They meet the door that
// their listener leads to.
func (s *Server) thaw(batch []transport.Frozen) error {
	byFront := map[*front][]transport.Frozen{}
	for _, f := range batch {
		to := s.frontOf(f.Listener)
		byFront[to] = append(byFront[to], f)
	}
	var errs []error
	for to, share := range byFront {
		errs = append(errs, s.loops.Thaw(to.edge, to.leave, share))
	}
	err := errors.Join(errs...)
	if err != nil {
		s.fault("of a batch that was handed off, some connections can't go on here: " + err.Error())
	}
	return err
}

// frontOf returns the front behind a listener's address, the clients' where the
// configuration has none of that address any more.
func (s *Server) frontOf(address string) *front {
	for _, l := range s.listeners {
		if l.Open.Addr().String() == address {
			return s.fronts[l.Role]
		}
	}
	return s.fronts[s.listeners[0].Role]
}
