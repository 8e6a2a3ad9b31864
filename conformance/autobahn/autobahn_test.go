package autobahn

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"tidegate/internal/transport"
	"tidegate/internal/transport/goconn"
)

var (
	full      = flag.Bool("full", false, "send every message of every case, as the suite does: minutes")
	targetURL = flag.String("target", "", "ws:// URL of a server that echoes: plays against it, and nothing else")
	chosen    = flag.String("cases", "", "what the numbers of the cases begin with that are played against -target, with commas: 3.,5.15; empty: all")
)

// briefly is how many messages of a case of compression are sent without -full.
const briefly = 3

// unimplemented are the cases that a server of ours answers by not agreeing on
// compression, by what their numbers begin with, and why.
var unimplemented = map[string]string{
	"13.3.": "server_max_window_bits=9 is declined: Go's compress/flate has windows of 15 bits alone",
	"13.5.": "server_max_window_bits=9 is declined: Go's compress/flate has windows of 15 bits alone",
}

func reasonOf(id string) string {
	for prefix, why := range unimplemented {
		if strings.HasPrefix(id, prefix) {
			return why
		}
	}
	return ""
}

// play plays the cases, and fails for what the suite finds wrong.
func play(t *testing.T, p *Player, cases []Case) {
	if *full {
		p.Rounds = 0
	} else {
		p.Rounds = briefly
		t.Logf("12 and 13 send %d messages a case, not the suite's %d; -full sends all, which takes minutes", briefly, perMessage)
	}
	tally := map[Verdict]int{}
	for i := range cases {
		c := &cases[i]
		r := p.Play(t.Context(), c)
		line := fmt.Sprintf("%s: %s, close %s (%v)", c.ID, r.Behavior, r.Close, r.Took.Round(1e5))
		if r.Why != "" {
			line += ": " + r.Why
		}
		tally[r.Behavior]++
		reason := reasonOf(c.ID)
		switch {
		case r.Behavior == Unimplemented && reason != "" && r.Close == OK:
			line += ": " + reason
		case reason != "":
			t.Errorf("%s; it is listed as unimplemented", line)
			continue
		case r.Behavior != OK && r.Behavior != Informational, r.Close != OK && r.Close != Informational:
			t.Error(line)
			if tally[Failed] > 20 {
				t.Fatal("more than twenty have failed")
			}
			continue
		}
		t.Log(line)
	}
	t.Logf("%d cases: %d ok, %d non-strict, %d informational, %d unimplemented, %d failed", len(cases),
		tally[OK], tally[NonStrict], tally[Informational], tally[Unimplemented], tally[Failed])
}

// to returns a player for a server at an address.
func to(address, path string) *Player {
	return &Player{Host: address, Path: path, Dial: func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	}}
}

// TestTarget plays against the server of -target. Without one it is an engine of
// ours, found by its URL as any other, and the cases are those of framing.
func TestTarget(t *testing.T) {
	target, cases := *targetURL, Cases()
	if *chosen != "" {
		begins := strings.Split(*chosen, ",")
		cases = slices.DeleteFunc(cases, func(c Case) bool {
			return !slices.ContainsFunc(begins, func(s string) bool { return strings.HasPrefix(c.ID, s) })
		})
	}
	if target == "" {
		e, err := goconn.New(goconn.Config{Limits: engineLimits()})
		target = "ws://" + serveEcho(t, e, err) + "/?of=ours"
		cases = slices.DeleteFunc(cases, func(c Case) bool { return !strings.HasPrefix(c.ID, "1.") })
	}
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "ws" || u.Port() == "" {
		t.Fatalf("-target is ws://host:port/path, not %q", target)
	}
	play(t, to(u.Host, u.RequestURI()), cases)
}

// An echoer sends every message back.
type echoer struct{ transport.Handler }

func (echoer) OnUpgrade(_ *transport.Request, u transport.Upgrade) {
	u.Accept(nil, func(transport.Conn) {})
}
func (echoer) OnRequest(*transport.Request, transport.Reply) bool           { return false }
func (echoer) OnMessage(c transport.Conn, m transport.Message)              { c.Send(m.Payload, m.Binary) }
func (echoer) OnClose(transport.Conn, transport.CloseReason)                {}
func (echoer) OnBreach(transport.Conn, transport.CloseReason) time.Duration { return 0 }

// engineLimits are those within which the suite's largest messages are echoed.
func engineLimits() transport.Limits {
	l := transport.DefaultLimits()
	l.Frame, l.Message, l.SendQueue = 16*mib, 16*mib, 64*mib
	l.BinaryAllowed, l.Deflate = true, true
	return l
}

// playEngine plays against an engine alone.
func playEngine(t *testing.T, e transport.Engine, err error) {
	if *targetURL != "" {
		t.Skip("-target is set")
	}
	address := serveEcho(t, e, err)
	cases := Cases()
	if all := len(cases); !*full {
		cases = slices.DeleteFunc(cases, func(c Case) bool {
			return slices.ContainsFunc(c.Frames, func(f Frame) bool { return f.Size > 256*kib })
		})
		t.Logf("%d cases of 9 with more than 256 KiB are left to -full: the whole gateway plays them anyway", all-len(cases))
	}
	play(t, to(address, "/"), cases)
}

// serveEcho has an engine echo until the test ends, and returns where.
func serveEcho(t *testing.T, e transport.Engine, err error) (address string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- e.Serve(l, echoer{}, nil) }()
	t.Cleanup(func() {
		e.Close()
		<-served
	})
	return l.Addr().String()
}

func TestGoconn(t *testing.T) {
	e, err := goconn.New(goconn.Config{Limits: engineLimits()})
	playEngine(t, e, err)
}

// TestCases holds the transcription to what the suite has: 517 cases.
func TestCases(t *testing.T) {
	seen := map[string]bool{}
	groups := map[string]int{}
	for _, c := range Cases() {
		if seen[c.ID] {
			t.Errorf("%s twice", c.ID)
		}
		seen[c.ID] = true
		group, _, _ := strings.Cut(c.ID, ".")
		groups[group]++
		if len(c.Frames) == 0 && c.Rounds == nil {
			t.Errorf("%s sends nothing", c.ID)
		}
	}
	want := map[string]int{"1": 16, "2": 11, "3": 7, "4": 10, "5": 20, "6": 145, "7": 37, "9": 54, "10": 1, "12": 90, "13": 126}
	if len(seen) != 517 || fmt.Sprint(groups) != fmt.Sprint(want) {
		t.Errorf("%d cases, by group %v, want %v", len(seen), groups, want)
	}
}
