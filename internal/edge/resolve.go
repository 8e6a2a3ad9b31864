package edge

import (
	"net"
	"net/url"
	"slices"
	"strings"

	"tidegate/internal/apigw"
	"tidegate/internal/stage"
)

// executeAPI is the signing name of @connections, and the label of an API's
// host.
const executeAPI = "execute-api"

// hostname returns a Host field's name in lower case, without port, brackets
// and a final dot.
func hostname(host string) string {
	if i := strings.IndexByte(host, ':'); i >= 0 && strings.IndexByte(host, '[') < 0 && strings.IndexByte(host[i+1:], ':') < 0 {
		host = host[:i] // as nearly always
	} else if h, _, err := net.SplitHostPort(host); i >= 0 && err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// apiOf returns the API's id in a host of the form {apiId}.execute-api.ANYTHING,
// or "".
func apiOf(host string) string {
	id, rest, ok := strings.Cut(hostname(host), ".")
	if !ok {
		return ""
	}
	label, rest, ok := strings.Cut(rest, ".")
	if !ok || label != executeAPI || rest == "" {
		return ""
	}
	return id
}

// segments splits a decoded path. A trailing slash doesn't count.
func segments(path string) []string {
	path = strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

// A managed is a path to @connections: what stands before, and the id.
type managed struct {
	prefix []string // nothing, stage, or API and stage
	id     string
}

// splitManaged splits PREFIX/@connections/ID. The AWS SDK for JavaScript, from
// late 2025 on, writes PREFIX//@connections/ID when its endpoint ends in a slash:
// empty segments don't count there. The signature is over the path without them.
func splitManaged(path string) (managed, bool) {
	if !strings.Contains(path, "/@connections/") {
		return managed{}, false
	}
	segs := segments(path)
	if strings.Contains(path, "//") {
		segs = slices.DeleteFunc(segs, func(s string) bool { return s == "" })
	}
	n := len(segs)
	if n < 2 || n > 4 || segs[n-2] != "@connections" {
		return managed{}, false
	}
	return managed{prefix: segs[:n-2], id: segs[n-1]}, true
}

// splitAll splits PREFIX/@all, an extension that only mode extended has.
func (e *Edge) splitAll(path string) (stagePath string, ok bool) {
	if e.limits.Mode != apigw.ModeExtended {
		return "", false
	}
	return strings.CutSuffix(strings.TrimSuffix(path, "/"), "/@all")
}

// candidates returns the stages that a path without an API's host can mean: the
// only one, those of a name, or one of an API's.
func (e *Edge) candidates(segs []string) []*stage.Stage {
	switch len(segs) {
	case 0:
		if all := e.gateway.Stages(); len(all) == 1 {
			return all
		}
	case 1:
		return e.gateway.StagesNamed(apigw.StageName(segs[0]))
	case 2:
		if s, ok := e.gateway.Lookup(segs[0], apigw.StageName(segs[1])); ok {
			return []*stage.Stage{s}
		}
	}
	return nil
}

// resolve returns the stage that a host and path mean to a client, or why there
// is none.
func (e *Edge) resolve(host, path string) (*stage.Stage, *refusal) {
	if d := e.domains.Lookup(host); d != nil {
		return e.resolveDomain(d, path)
	}
	segs := segments(path)
	if apiID := apiOf(host); apiID != "" {
		name := apigw.StageName(apigw.RouteDefault) // the stage $default has no path
		switch len(segs) {
		case 0:
		case 1:
			name = apigw.StageName(segs[0])
		default:
			return nil, e.unknown(host, path)
		}
		s, ok := e.gateway.Lookup(apiID, name)
		if !ok {
			return nil, e.unknown(host, path)
		}
		if s.DisableExecuteAPIEndpoint { // WS-01-024
			return nil, &refusal{status: 403, reason: EndpointDisabled, text: textForbidden, why: "the API's execute-api endpoint is disabled (disableExecuteApiEndpoint)"}
		}
		return s, nil
	}
	stages := e.candidates(segs)
	switch len(stages) {
	case 0:
		return nil, e.unknown(host, path)
	case 1:
		return stages[0], nil
	}
	forms := make([]string, len(stages))
	for i, s := range stages {
		forms[i] = "/" + s.APIID + "/" + string(s.Name)
	}
	return nil, &refusal{status: 403, reason: AmbiguousStage, text: textForbidden,
		why: "several APIs have a stage of that name; use one of " + strings.Join(forms, ", ")}
}

// unknown is the refusal of a host and path that lead nowhere (WS-01-022, WS-01-023),
// with what would.
func (e *Edge) unknown(host, path string) *refusal {
	no := &refusal{status: 403, reason: NoSuchStage, text: textForbidden}
	all := e.gateway.Stages()
	if len(all) == 0 {
		no.why = "no stage is deployed"
		return no
	}
	const most = 5
	var forms []string
	for i, s := range all {
		if i == most {
			forms = append(forms, "…")
			break
		}
		forms = append(forms, "/"+s.APIID+"/"+string(s.Name))
	}
	no.why = "no stage at " + hostname(host) + path + "; deployed: " + strings.Join(forms, ", ")
	return no
}

// splitTarget splits a request target in origin form into its decoded path and
// its raw query. A path that can't be decoded is taken as it is.
func splitTarget(target string) (path, query string) {
	path, query, _ = strings.Cut(target, "?")
	if decoded, err := url.PathUnescape(path); err == nil {
		path = decoded
	}
	return path, query
}
