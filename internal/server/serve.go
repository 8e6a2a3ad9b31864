package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/authorizer"
	"tidegate/internal/awshttp"
	"tidegate/internal/cluster"
	"tidegate/internal/control"
	"tidegate/internal/control/catalog"
	"tidegate/internal/gateway"
	"tidegate/internal/observe"
	"tidegate/internal/stage"
	"tidegate/internal/upstream"
)

// Serve is what a server in production has instead of what up has: it lets in
// whom Identities names and nobody else, has no side services, and keeps nothing
// of what clients send.
type Serve struct {
	Listeners  []Listener
	Identities awshttp.Identities
	Tokens     awshttp.Tokens // bearer tokens; nil: there are none
	// Certificate is the public listeners'; nil: they speak no TLS.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// PublicManagement has the public listeners take calls of @connections too.
	PublicManagement bool
	// AccessLog has a line for each handshake, message, push and disconnect; without
	// it there is one only where something is wrong.
	AccessLog bool
}

// CheckDeclared says what of APIs that a file declares can't be, and changes
// nothing.
func (s *Server) CheckDeclared(ctx context.Context, apis []control.DeclaredAPI) error {
	return s.plane.CheckDeclared(ctx, apis)
}

// A Trial says what a server of these limits would refuse, without one and without
// anything that is kept.
type Trial struct {
	limits   apigw.Limits
	catalog  *catalog.Catalog // nil: nothing is stored
	backends *upstream.Client
	bind     *binder
}

// Try returns a trial beside what another process has stored and serves, as that
// told (handoff.Taker.Stored); empty: nothing. Close it.
func Try(limits apigw.Limits, stored []byte) (*Trial, error) {
	t := &Trial{limits: limits, backends: upstream.New(upstream.Config{})}
	t.bind = &binder{alone: true, limits: limits, backends: t.backends, iam: &authorizer.IAM{}}
	if len(stored) > 0 {
		var err error
		if t.catalog, err = catalog.OpenSnapshot(stored); err != nil {
			t.Close()
			return nil, err
		}
	}
	return t, nil
}

// Close ends the trial.
func (t *Trial) Close() { t.backends.Close() }

func (t *Trial) compile(d *apigw.Definition, st *apigw.Stage) error {
	_, err := stage.Compile(d, st, t.bind)
	return err
}

// CheckDeclared is Server.CheckDeclared.
func (t *Trial) CheckDeclared(ctx context.Context, apis []control.DeclaredAPI) error {
	return control.New(control.Config{Limits: t.limits, Catalog: t.catalog, Check: t.compile}).CheckDeclared(ctx, apis)
}

// CheckStored says which of the stored stages can't be served here, and why.
func (t *Trial) CheckStored(ctx context.Context) error {
	if t.catalog == nil {
		return nil
	}
	apis, err := t.catalog.List(ctx)
	errs := []error{err}
	for _, api := range apis {
		for _, name := range slices.Sorted(maps.Keys(api.Stages)) {
			st := api.Stages[name]
			def, err := t.catalog.Definition(ctx, api.ID, st.DeploymentID)
			if err == nil {
				err = t.compile(def, st)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("stage %s of the API %s, which was made through the API and is served: %w", name, api.ID, err))
			}
		}
	}
	return errors.Join(errs...)
}

// Declare serves just these of the APIs that files declare. Those made through the
// API stay.
func (s *Server) Declare(ctx context.Context, apis []control.DeclaredAPI) error {
	return s.plane.Declare(ctx, apis)
}

// Listeners are those that are open, each with its role.
func (s *Server) Listeners() []Listener { return s.listeners }

// tlsConfig is what the engines speak TLS with; nil means that they don't.
func (s *Server) tlsConfig() *tls.Config {
	if s.options.Serve == nil {
		return s.ca.TLSConfig(s.certified.Certificate)
	}
	if s.options.Serve.Certificate == nil {
		return nil
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, GetCertificate: s.options.Serve.Certificate}
}

// troubles passes on what went wrong and drops the rest, before a line is made of
// it.
func troubles(told gateway.EventListener) gateway.EventListener {
	return gateway.EventListener{
		ConnectEnd: func(i gateway.ConnectInfo) {
			if i.Err != nil {
				told.ConnectEnd(i)
			}
		},
		MessageEnd: func(i gateway.MessageInfo) {
			if i.Err != nil {
				told.MessageEnd(i)
			}
		},
		DisconnectEnd: func(i gateway.DisconnectInfo) {
			if i.Err != nil {
				told.DisconnectEnd(i)
			}
		},
	}
}

// pushNotices are the lines about what backends send. Without an access log there
// is none of a client that is gone: that is any day's, and its caller is told.
func (s *Server) pushNotices() cluster.EventListener {
	told := s.options.Observer.Cluster()
	if s.options.Serve == nil || s.options.Serve.AccessLog {
		return told
	}
	return cluster.EventListener{
		PushEnd: func(i cluster.PushInfo) {
			if i.Err != nil && i.Outcome != cluster.PushGone {
				told.PushEnd(i)
			}
		},
		FanOutEnd: func(i cluster.FanOutInfo) {
			if i.Refused > 0 {
				told.FanOutEnd(i)
			}
		},
	}
}

// stageLines writes the lines of stages' own logs among all others, where there is
// no service that would keep them.
type stageLines struct{ observer *observe.Observer }

// WriteLog implements gateway.Logs.
func (l stageLines) WriteLog(to stage.LogTarget, at time.Time, line []byte) {
	l.observer.Note(observe.Notice{Time: at, Kind: observe.KindNote, Level: slog.LevelInfo, Text: string(line), Attrs: []slog.Attr{slog.String("logGroup", to.Group)}})
}

// logsOfStages is where stages' own logs go.
func (s *Server) logsOfStages() gateway.Logs {
	if s.stageLogs != nil {
		return s.stageLogs
	}
	return stageLines{s.options.Observer}
}

// settleShare is how much of the time to drain messages on their way have.
const settleShare = 2

// settle lets what is with backends end, for half of the time that ctx leaves, so
// that clients get their answers before they are closed.
func (s *Server) settle(ctx context.Context) {
	if end, ok := ctx.Deadline(); ok {
		part, cancel := context.WithTimeout(ctx, time.Until(end)/settleShare)
		defer cancel()
		s.gateway.Settle(part)
	}
}

// gatewayNotices are the lines about handshakes, messages and disconnects.
func (s *Server) gatewayNotices() gateway.EventListener {
	told := s.options.Observer.Gateway(s.options.Display)
	if s.options.Serve == nil {
		return told
	}
	// What people say to each other is not for the log of those who run the service.
	whole := told.MessageEnd
	told.MessageEnd = func(i gateway.MessageInfo) {
		i.Frame = nil
		whole(i)
	}
	if !s.options.Serve.AccessLog {
		return troubles(told)
	}
	return told
}
