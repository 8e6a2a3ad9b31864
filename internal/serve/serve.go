// Package serve is the command for production: it reads a configuration, opens a
// server of it, follows its reloads, and ends in good order.
package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"tidegate/internal/config"
	"tidegate/internal/control"
	"tidegate/internal/handoff"
	"tidegate/internal/integration"
	"tidegate/internal/observe"
	"tidegate/internal/server"
	"tidegate/internal/systemd"
)

// Options are what the command line and the environment say.
type Options struct {
	File     string   // the configuration
	Environ  []string // NAME=VALUE each, for keys and placeholders
	Out      io.Writer
	Terminal bool // a person reads Out
	// Reload has the configuration read again for each value; nil: never.
	Reload <-chan os.Signal
	// Systemd is told of each step.
	Systemd systemd.Notifier
	HandOff HandOff
}

// Run serves the configuration until ctx ends. One that can't be served is
// config.Mistakes or another error that names the file.
func Run(ctx context.Context, o Options) error {
	p := &process{Options: o, identities: newIdentities()}
	if err := p.take(); err != nil {
		return err
	}
	c, remarks, err := config.Load(o.File, o.Environ)
	if err != nil {
		return p.fail(err)
	}
	observer := observe.New()
	j := newJournal(observer, o.Out, c.LogFormat == "json" || c.LogFormat == "auto" && !o.Terminal)
	defer func() {
		observer.Close()
		<-j.told
	}()
	p.config, p.observer = c, observer
	for _, r := range remarks {
		p.note(slog.LevelWarn, r)
	}
	if err := p.open(ctx); err != nil {
		return p.fail(err)
	}
	switch {
	case p.taker != nil: // the process that systemd knows tells it
	case o.HandOff.Descriptor != 0: // that has ended
		p.tell(p.Systemd.MainPID(os.Getpid(), p.status()))
	default:
		p.tell(p.Systemd.Ready(p.status()))
	}
	p.announce()
	p.receive()
	for {
		var call *handoff.Call
		select {
		case <-o.Reload:
			p.reload(ctx)
			continue
		case asked, open := <-p.calls():
			if !open {
				p.door = nil
				continue
			}
			call = asked
		case <-o.HandOff.Signal:
		case <-ctx.Done():
			return p.end()
		}
		if p.handOff(ctx, call) {
			return p.leave(ctx)
		}
	}
}

// Check says what Run would refuse of a configuration, and runs nothing. It returns
// remarks as config.Load does.
func Check(ctx context.Context, file string, environ []string) ([]string, error) {
	c, remarks, err := config.Load(file, environ)
	if err != nil {
		return nil, err
	}
	p := &process{config: c, identities: newIdentities()}
	_, _, err = p.prepare(ctx)
	return remarks, err
}

// Invalid says what in a configuration can't be, each mistake with its place.
type Invalid struct{ Err error }

// Error is a line for each mistake.
func (e *Invalid) Error() string { return e.Err.Error() }

// Unwrap returns what the control plane said.
func (e *Invalid) Unwrap() error { return e.Err }

// A process is one configuration that is served.
type process struct {
	Options
	config     *config.Config // as it was last read
	started    *config.Config // as it was when the process began
	observer   *observe.Observer
	identities *identities
	certified  *certificate
	server     *server.Server
	door       *handoff.Door      // nil where nobody can ask for a hand-off
	taker      *handoff.Taker     // nil unless this process takes over from another
	link       *handoff.Link      // to that one
	successor  *handoff.Successor // once this process has handed off
}

// open opens the server and serves the configuration's APIs before it accepts
// anybody.
func (p *process) open(ctx context.Context) (err error) {
	p.started = p.config
	options, declared, err := p.prepare(ctx)
	if err != nil {
		return err
	}
	if err := p.inherit(&options); err != nil {
		return err
	}
	if p.server, err = server.Open(ctx, options); err != nil {
		return err
	}
	if err = p.server.CheckDeclared(ctx, declared); err != nil {
		err = &Invalid{err}
	} else if err = p.succeed(); err == nil {
		err = p.server.Declare(ctx, declared)
	}
	if err != nil {
		return errors.Join(err, p.server.Close())
	}
	p.openDoor()
	p.server.Accept()
	p.server.SetReady()
	return nil
}

// prepare does what needs neither listener nor data dir. Its error is *Invalid where
// the configuration is to blame.
func (p *process) prepare(ctx context.Context) (server.Options, []control.DeclaredAPI, error) {
	declared := declaredAPIs(p.config)
	options, err := p.options()
	trial, terr := server.Try(p.config.AppliedLimits(), p.stored())
	if terr != nil {
		return options, nil, terr
	}
	defer trial.Close()
	err = errors.Join(p.identities.set(p.config.Account, p.config.Identities), err, trial.CheckDeclared(ctx, declared))
	if err != nil {
		return options, nil, &Invalid{err}
	}
	return options, declared, trial.CheckStored(ctx)
}

// options are the configuration in the server's words.
func (p *process) options() (server.Options, error) {
	c := p.config
	o := server.Options{DataDir: c.DataDir, Region: c.Region, Account: c.Account, Limits: c.AppliedLimits(), Observer: p.observer,
		Display: func(name string) string { return name }, NoRecord: true, Hold: true,
		Serve: &server.Serve{Identities: p.identities, Tokens: p.identities, PublicManagement: c.Management.Public, AccessLog: c.AccessLog}}
	for _, l := range []struct { // the public ones first: they are what clients' URLs name
		role      server.Role
		addresses config.Addresses
	}{{server.RolePublic, c.Listeners.Public}, {server.RoleManagement, c.Listeners.Management}, {server.RoleAdmin, c.Listeners.Admin}} {
		for _, a := range l.addresses {
			o.Serve.Listeners = append(o.Serve.Listeners, server.Listener{Role: l.role, Address: a})
		}
	}
	if c.WebhookSecret != "" {
		secret, err := integration.ParseWebhookSecret(c.WebhookSecret)
		if err != nil {
			return o, fmt.Errorf("%s: webhook_secret: %w", c.PlaceOf("webhook_secret"), err)
		}
		o.WebhookSecret = secret
	}
	if c.TLS.On() {
		p.certified = &certificate{certFile: c.TLS.CertificateFile, keyFile: c.TLS.PrivateKeyFile}
		if err := p.certified.read(); err != nil {
			return o, fmt.Errorf("%s: tls: %w", c.PlaceOf("tls.certificate_file"), err)
		}
		o.Serve.Certificate = p.certified.get
	}
	return o, nil
}

// reload reads the configuration again. One that can't be served changes nothing.
func (p *process) reload(ctx context.Context) {
	p.tell(p.Systemd.Reloading())
	if err := p.apply(ctx); err != nil {
		p.note(slog.LevelError, "the configuration was not reloaded, and what was served before is still: "+err.Error())
	} else {
		p.note(slog.LevelInfo, "the configuration was reloaded", slog.String("file", p.File))
	}
	p.tell(p.Systemd.Ready(p.status()))
}

func (p *process) apply(ctx context.Context) error {
	c, _, err := config.Load(p.File, p.Environ)
	if err != nil {
		return err
	}
	declared := declaredAPIs(c)
	if err := p.server.CheckDeclared(ctx, declared); err != nil {
		return err
	}
	if p.certified != nil {
		if err := p.certified.read(); err != nil {
			return fmt.Errorf("%s: tls: %w", c.PlaceOf("tls.certificate_file"), err)
		}
	}
	if err := p.server.Declare(ctx, declared); err != nil {
		return err
	}
	if err := p.identities.set(p.started.Account, c.Identities); err != nil {
		return err
	}
	if fixed := p.started.Fixed(c); len(fixed) > 0 {
		p.note(slog.LevelWarn, "to have what changed at "+strings.Join(fixed, ", ")+", restart Tidegate, or `tidegate handoff`, which disconnects nobody: a reload takes apis, identities, drain_timeout and the certificate's files")
	}
	p.config = c
	return nil
}

// end tells clients and delivers what is owed.
func (p *process) end() error {
	p.tell(p.Systemd.Stopping())
	p.note(slog.LevelInfo, "stopping: clients are told, backends get their $disconnect", slog.Duration("atMost", p.config.DrainTimeout))
	ctx, cancel := context.WithTimeout(context.Background(), p.config.DrainTimeout)
	defer cancel()
	return errors.Join(p.server.Drain(ctx), p.server.Close())
}

// announce says what is served, and where.
func (p *process) announce() {
	attrs := []slog.Attr{slog.String("config", p.File), slog.String("mode", p.config.Mode), slog.String("dataDir", p.config.DataDir)}
	for _, l := range p.server.Listeners() {
		attrs = append(attrs, slog.String(string(l.Role), l.Open.Addr().String()))
	}
	var urls []string
	for _, a := range p.config.APIs {
		for _, st := range a.Stages {
			urls = append(urls, p.server.StageURL(a.ID, st.Name))
		}
	}
	if len(urls) > 0 && len(p.config.Listeners.Public) > 0 {
		attrs = append(attrs, slog.Any("urls", urls))
	}
	p.note(slog.LevelInfo, "ready", attrs...)
	if len(p.config.Identities) == 0 {
		p.note(slog.LevelWarn, "nobody can push or administer: the configuration has no identities")
	}
}

// status is a line for who asks systemd.
func (p *process) status() string {
	return fmt.Sprintf("%d APIs from %s", len(p.config.APIs), p.File)
}

// note says one thing.
func (p *process) note(level slog.Level, text string, attrs ...slog.Attr) {
	p.observer.Note(observe.Notice{Time: time.Now(), Kind: observe.KindNote, Level: level, Text: text, Attrs: attrs})
}

// tell notes that systemd couldn't be told.
func (p *process) tell(err error) {
	if err != nil {
		p.note(slog.LevelWarn, err.Error())
	}
}
