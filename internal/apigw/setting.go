package apigw

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Setting is a limit by its name, as flags and configuration files give it.
type Setting struct {
	Name  string
	About string // what it bounds, in a few words
	// Adjustable says that AWS changes it on request, so that it may be set in
	// mode aws too.
	Adjustable bool

	field      func(*Limits) any // points to an int, a bool or a time.Duration
	size       bool              // an int in bytes: 1MiB
	none       bool              // may be none
	least, top int64             // bytes, nanoseconds or a number
}

// Bounds of settings that are about what one process can hold.
const (
	topMessage = 16 << 20
	topCount   = 100_000
	topRate    = 100_000_000
)

// settings are all limits that can be set, in the order of the documentation.
var settings = []Setting{
	{Name: "message_size", About: "one message, from a client, in reply or pushed", size: true, least: 1 << 10, top: topMessage, field: func(l *Limits) any { return &l.MessageSize }},
	{Name: "frame_size", About: "one frame from a client", size: true, least: 125, top: topMessage, field: func(l *Limits) any { return &l.FrameSize }},
	{Name: "binary", About: "binary messages from clients", field: func(l *Limits) any { return &l.Binary }},
	{Name: "compression", About: "permessage-deflate with clients that offer it", field: func(l *Limits) any { return &l.Compression }},
	{Name: "idle", About: "time without a message in either direction", none: true, least: int64(time.Second), top: math.MaxInt64, field: func(l *Limits) any { return &l.Idle }},
	{Name: "lifetime", About: "time that a connection lasts", none: true, least: int64(time.Second), top: math.MaxInt64, field: func(l *Limits) any { return &l.Lifetime }},
	{Name: "ping", About: "silence after which a client is pinged", none: true, least: int64(time.Second), top: math.MaxInt64, field: func(l *Limits) any { return &l.Ping }},
	{Name: "connection_rate", About: "new connections a second, and as many at once", Adjustable: true, none: true, least: 1, top: topRate, field: func(l *Limits) any { return &l.ConnectionRate }},
	{Name: "account_rate", About: "messages, handshakes and calls of @connections a second", Adjustable: true, none: true, least: 1, top: topRate, field: func(l *Limits) any { return &l.AccountRate }},
	{Name: "account_burst", About: "of these at once", Adjustable: true, least: 1, top: topRate, field: func(l *Limits) any { return &l.AccountBurst }},
	{Name: "refused", About: "throttled messages in a row within 10 s", none: true, least: 1, top: topRate, field: func(l *Limits) any { return &l.Refused }},
	{Name: "in_flight", About: "messages of one client with backends at once", least: 1, top: topCount, field: func(l *Limits) any { return &l.InFlight }},
	{Name: "backend_connections", About: "connections to one HTTP backend at once", least: 1, top: topCount, field: func(l *Limits) any { return &l.BackendConnections }},
	{Name: "url_size", About: "a handshake's path and query", size: true, least: 256, top: 64 << 10, field: func(l *Limits) any { return &l.URLSize }},
	{Name: "header_size", About: "all header values of a handshake", size: true, least: 512, top: 256 << 10, field: func(l *Limits) any { return &l.HeaderSize }},
	{Name: "integration_timeout", About: "the longest timeoutInMillis of an integration", least: int64(MinIntegrationTimeout), top: int64(15 * time.Minute), field: func(l *Limits) any { return &l.IntegrationTimeout }},
	{Name: "apis", About: "APIs", least: 1, top: topCount, field: func(l *Limits) any { return &l.APIs }},
	{Name: "routes", About: "routes of an API", Adjustable: true, least: 1, top: topCount, field: func(l *Limits) any { return &l.Routes }},
	{Name: "integrations", About: "integrations of an API", Adjustable: true, least: 1, top: topCount, field: func(l *Limits) any { return &l.Integrations }},
	{Name: "authorizers", About: "authorizers of an API", Adjustable: true, least: 1, top: topCount, field: func(l *Limits) any { return &l.Authorizers }},
	{Name: "stages", About: "stages of an API", Adjustable: true, least: 1, top: topCount, field: func(l *Limits) any { return &l.Stages }},
	{Name: "api_keys", About: "API keys", least: 1, top: topCount, field: func(l *Limits) any { return &l.APIKeys }},
	{Name: "usage_plans", About: "usage plans", Adjustable: true, least: 1, top: topCount, field: func(l *Limits) any { return &l.UsagePlans }},
	{Name: "domains", About: "custom domain names", Adjustable: true, least: 1, top: topCount, field: func(l *Limits) any { return &l.Domains }},
}

// Settings returns what can be set.
func Settings() []Setting { return slices.Clone(settings) }

// Set sets the limit of that name. In mode aws only what AWS itself changes on
// request can be set. The error says what is wrong with name or value.
func (l *Limits) Set(name, value string) error {
	i := slices.IndexFunc(settings, func(s Setting) bool { return s.Name == name })
	if i < 0 {
		names := make([]string, len(settings))
		for k, s := range settings {
			names[k] = s.Name
		}
		return fmt.Errorf("there is no limit %q; there are %s", name, strings.Join(names, ", "))
	}
	s := settings[i]
	if l.Mode == ModeAWS && !s.Adjustable {
		return fmt.Errorf("%s is %s in mode aws, and AWS changes it for nobody; the mode extended makes a setting of it", name, s.Text(l))
	}
	if err := s.set(l, value); err != nil {
		return fmt.Errorf("%s=%s: %w", name, value, err)
	}
	return nil
}

// Check returns an error if limits don't go together.
func (l *Limits) Check() error {
	if l.FrameSize > l.MessageSize {
		return fmt.Errorf("frame_size (%s) is larger than message_size (%s)", sizeText(l.FrameSize), sizeText(l.MessageSize))
	}
	return nil
}

const none = "none"

func (s *Setting) set(l *Limits, value string) error {
	if value == none && s.none {
		value = "0"
	} else if n, err := s.parse(l, value); err != nil {
		return err
	} else if n < s.least || n > s.top {
		return fmt.Errorf("it is from %s to %s%s", s.bound(l, s.least), s.bound(l, s.top), s.orNone())
	}
	n, err := s.parse(l, value)
	switch p := s.field(l).(type) {
	case *int:
		*p = int(n)
	case *time.Duration:
		*p = time.Duration(n)
	case *bool:
		*p = value == "on"
	}
	return err
}

// parse returns the value as a number: bytes, nanoseconds, or how many.
func (s *Setting) parse(l *Limits, value string) (int64, error) {
	switch s.field(l).(type) {
	case *bool:
		if value != "on" && value != "off" {
			return 0, errors.New("it is on or off")
		}
		return 0, nil
	case *time.Duration:
		d, err := time.ParseDuration(value)
		if err != nil {
			return 0, errors.New("it is a duration such as 30m or 2h" + s.orNone())
		}
		return int64(d), nil
	}
	unit, digits := int64(1), value
	if s.size {
		for _, u := range []struct {
			suffix string
			bytes  int64
		}{{"KiB", 1 << 10}, {"MiB", 1 << 20}} {
			if d, ok := strings.CutSuffix(value, u.suffix); ok {
				unit, digits = u.bytes, d
			}
		}
	}
	n, err := strconv.ParseInt(digits, 10, 32)
	if err != nil {
		if s.size {
			return 0, errors.New("it is a size such as 4096, 512KiB or 1MiB")
		}
		return 0, errors.New("it is a whole number" + s.orNone())
	}
	return n * unit, nil
}

func (s *Setting) orNone() string {
	if s.none {
		return ", or none"
	}
	return ""
}

// Text returns the limit's value as Set takes it.
func (s *Setting) Text(l *Limits) string {
	switch p := s.field(l).(type) {
	case *int:
		return s.bound(l, int64(*p))
	case *time.Duration:
		return s.bound(l, int64(*p))
	case *bool:
		if *p {
			return "on"
		}
	}
	return "off"
}

// bound is a number of the setting's unit as Set takes it.
func (s *Setting) bound(l *Limits, n int64) string {
	_, isDuration := s.field(l).(*time.Duration)
	switch {
	case n == 0 && s.none:
		return none
	case isDuration && n == math.MaxInt64:
		return "2562047h" // the most that there is
	case isDuration:
		return durationText(time.Duration(n))
	case s.size:
		return sizeText(int(n))
	}
	return strconv.FormatInt(n, 10)
}

// durationText is the duration without trailing zeros: 10m, not 10m0s.
func durationText(d time.Duration) string {
	text := d.String()
	if t, ok := strings.CutSuffix(text, "m0s"); ok {
		text = t + "m"
	}
	if t, ok := strings.CutSuffix(text, "h0m"); ok {
		text = t + "h"
	}
	return text
}

func sizeText(n int) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return strconv.Itoa(n>>20) + "MiB"
	case n >= 1<<10 && n%(1<<10) == 0:
		return strconv.Itoa(n>>10) + "KiB"
	}
	return strconv.Itoa(n)
}
