package authorizer

import (
	"fmt"
	"strings"

	"tidegate/internal/event"
)

// maxSources bounds an authorizer's identity sources. AWS documents no number.
const maxSources = 32

// A source is one identity source of a Lambda authorizer.
type source struct {
	text string // as the definition has it
	name string
	of   func(name string, c *event.Context, connect *event.ConnectRequest) string
}

var sourceKinds = []struct {
	prefix string
	of     func(name string, c *event.Context, connect *event.ConnectRequest) string
}{
	{"route.request.header.", header},
	{"route.request.querystring.", query},
	{"stageVariables.", func(name string, c *event.Context, _ *event.ConnectRequest) string { return c.StageVariables[name] }},
	{"context.", func(name string, c *event.Context, _ *event.ConnectRequest) string {
		v, _ := c.Lookup(name)
		return v
	}},
}

// CheckSources returns an error that names the identity source which is none.
// A list may be empty (WS-06-041).
func CheckSources(texts []string) error {
	_, err := parseSources(texts)
	return err
}

func parseSources(texts []string) ([]source, error) {
	if len(texts) > maxSources {
		return nil, fmt.Errorf("%d identity sources; at most %d are possible", len(texts), maxSources)
	}
	sources := make([]source, 0, len(texts))
	for _, text := range texts {
		s, err := parseSource(text)
		if err != nil {
			return nil, err
		}
		sources = append(sources, s)
	}
	return sources, nil
}

func parseSource(text string) (source, error) {
	for _, kind := range sourceKinds {
		name, ok := strings.CutPrefix(text, kind.prefix)
		switch {
		case !ok:
			continue
		case name == "" || len(name) > 512 || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f }):
			return source{}, fmt.Errorf("the identity source %.80q names nothing behind %s", text, kind.prefix)
		case kind.prefix == "context." && (!event.KnownVariable(name) || strings.HasPrefix(name, "authorizer.")):
			return source{}, fmt.Errorf("the identity source %.80q is no context variable that a handshake has", text)
		}
		return source{text: text, name: name, of: kind.of}, nil
	}
	return source{}, fmt.Errorf("the identity source %.80q is none of route.request.header.NAME, route.request.querystring.NAME, stageVariables.NAME and context.NAME", text)
}

// header returns the last value of a header, whose name is compared without
// regard to case (WS-06-034): of those that the client sent, else of those that the gateway
// adds to the event.
func header(name string, _ *event.Context, connect *event.ConnectRequest) string {
	for _, fields := range [][]event.Field{connect.Header, connect.EventHeader()} {
		for i := len(fields) - 1; i >= 0; i-- {
			if strings.EqualFold(fields[i].Name, name) {
				return fields[i].Value
			}
		}
	}
	return ""
}

// query returns the last value of a query parameter.
func query(name string, _ *event.Context, connect *event.ConnectRequest) string {
	for i := len(connect.Query) - 1; i >= 0; i-- {
		if connect.Query[i].Name == name {
			return connect.Query[i].Value
		}
	}
	return ""
}
