package server

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"tidegate/internal/edge"
	"tidegate/internal/observe"
	"tidegate/internal/transport"
	"tidegate/internal/transport/goconn"
)

// A Role is what a listener is for.
type Role string

// The roles.
const (
	RoleAll        Role = "all" // one port for everything, as up has it
	RolePublic     Role = "public"
	RoleManagement Role = "management"
	RoleAdmin      Role = "admin"
)

// A Listener is where a server listens, and what for.
type Listener struct {
	Role    Role
	Address string // HOST:PORT; an empty HOST is every address, port 0 any free one
	// Open is a listener that is open already, such as another process handed over;
	// nil: Address is listened on.
	Open net.Listener
}

// A front is what the listeners of one role have in common.
type front struct {
	edge     *edge.Edge
	handed   *memoryListener // what the engine leaves to net/http
	fallback *http.Server    // serves handed
	returned *memoryListener // what net/http leaves to the engine
}

// face is what a role serves.
func (s *Server) face(role Role) edge.Face {
	switch role {
	case RolePublic:
		if s.options.Serve.PublicManagement {
			return edge.Clients | edge.Connections
		}
		return edge.Clients
	case RoleManagement:
		return edge.Connections
	case RoleAdmin:
		return edge.Services | edge.Own | edge.Connections // commands and the console push, too
	}
	return edge.Everything
}

// openFronts makes a front for each role that a listener has. door is what all of
// them have in common.
func (s *Server) openFronts(door edge.Config) error {
	addresses, loopback, err := s.reachable()
	if err != nil {
		return err
	}
	s.fronts = map[Role]*front{}
	for _, l := range s.listeners {
		if s.fronts[l.Role] != nil {
			continue
		}
		c := door
		c.Face, c.TLSOnly = s.face(l.Role), l.Role == RolePublic && s.options.Serve.Certificate != nil
		c.Guard = &edge.Guard{AllowOrigins: s.options.AllowOrigins, Addresses: addresses, Domains: &s.domains,
			// A page that was made to come here under another name gains nothing where
			// everything is signed. The metrics of an admin listener on loopback aren't.
			AnyHost: l.Role != RoleAll && (l.Role != RoleAdmin || !loopback[l.Role])}
		s.fronts[l.Role] = &front{edge: edge.New(c), handed: newMemoryListener(), returned: newMemoryListener()}
	}
	return nil
}

// inner is the front that this process's own calls of clients go through.
func (s *Server) inner() *front {
	for _, role := range []Role{RoleAll, RoleManagement, RolePublic} {
		if f := s.fronts[role]; f != nil {
			return f
		}
	}
	return s.fronts[RoleAdmin]
}

// reachable are the addresses by which others may name this server, and the roles
// that only this machine reaches.
func (s *Server) reachable() ([]netip.Addr, map[Role]bool, error) {
	var all []netip.Addr
	loopback := map[Role]bool{}
	for _, l := range s.listeners {
		loopback[l.Role] = true
	}
	for _, l := range s.listeners {
		a := l.Open.Addr().(*net.TCPAddr).AddrPort().Addr().Unmap()
		if !a.IsLoopback() {
			loopback[l.Role] = false
		}
		if !a.IsUnspecified() {
			all = append(all, a)
			continue
		}
		own, err := net.InterfaceAddrs()
		if err != nil {
			return nil, nil, fmt.Errorf("list this machine's addresses: %w", err)
		}
		for _, n := range own {
			if p, err := netip.ParsePrefix(n.String()); err == nil {
				all = append(all, p.Addr().Unmap())
			}
		}
	}
	return all, loopback, nil
}

// openEngines makes what reads and writes sockets.
func (s *Server) openEngines() (err error) {
	limits, events := socketLimits(&s.options.Limits), s.metrics.Transport(s.options.Observer.Transport())
	s.engine, err = goconn.New(goconn.Config{Limits: limits, Events: events, TLS: s.tlsConfig(), Clock: s.options.Clock})
	if err != nil {
		return err
	}
	s.loops, err = newLoops(s.engine, limits, events, s.options.Clock)
	return err
}

// Accept begins to serve the listeners. Open calls it, but for Options.Hold.
func (s *Server) Accept() {
	quiet := log.New(io.Discard, "", 0) // what net/http would log is the client's fault
	s.inside = &http.Server{ErrorLog: quiet, Handler: http.HandlerFunc(s.serveInside)}
	s.running.Go(func() { s.inside.Serve(s.memory) })
	for _, f := range s.fronts {
		f.fallback = &http.Server{
			ErrorLog: quiet, ConnContext: connContext,
			Handler:           &fallbackHandler{Handler: f.edge, back: f.returned, panicked: s.fault, bodyTime: bodyTime, takeTime: takeTime},
			ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
			DisableGeneralOptionsHandler: true, // the guard looks at OPTIONS * too
		}
		s.running.Go(func() { f.fallback.Serve(f.handed) })
		s.running.Go(func() { s.engine.Serve(f.returned, f.edge, f.leave) })
	}
	for _, l := range s.listeners {
		f := s.fronts[l.Role]
		s.running.Go(func() { s.loops.Serve(yielding(&l), f.edge, f.leave) })
	}
}

// yielding is the listener as the engine gets it: strangers shall not take the last
// descriptors from backends and from who administers.
func yielding(l *Listener) net.Listener {
	if tcp, ok := l.Open.(*net.TCPListener); ok && l.Role == RolePublic {
		return transport.Yielding{TCPListener: tcp}
	}
	return l.Open
}

// leave gives a connection to net/http.
func (f *front) leave(c net.Conn) {
	if f.handed.hand(context.Background(), c) != nil {
		c.Close()
	}
}

// close ends what the front serves.
func (f *front) close() {
	if f.fallback != nil {
		f.fallback.Close()
	}
	f.handed.Close()
	f.returned.Close()
}

// serveInside answers what services of this process call.
func (s *Server) serveInside(w http.ResponseWriter, r *http.Request) {
	defer tellPanic(r, s.fault)
	if strings.Contains(r.Host, ".execute-api.") { // an integration's: it pushes to clients
		s.inner().edge.ServeHTTP(w, r)
		return
	}
	service, _, _ := strings.Cut(r.Host, ".")
	if h := s.handlers[service]; h != nil {
		h.ServeHTTP(w, r)
		return
	}
	http.NotFound(w, r)
}

// fault tells of a fault of Tidegate's own.
func (s *Server) fault(text string) {
	s.options.Observer.Note(observe.Notice{Kind: observe.KindNote, Level: slog.LevelError, Text: text})
}
