package edge

import (
	"net/http"
	"strings"
	"sync"

	"tidegate/internal/apigw"
	"tidegate/internal/connection"
	"tidegate/internal/event"
	"tidegate/internal/stage"
	"tidegate/internal/transport"
	"tidegate/sigv4"
)

// manage answers a call to @connections on the loop that read it, without net/http:
// such calls are many. False says that it isn't one, or one of the few that need
// more than is done here: a page's, one by a custom domain, to no stage or to several.
func (e *Edge) manage(r *transport.Request, reply transport.Reply) bool {
	at, ok := splitCall(r.Target)
	if !ok || !e.direct(r) {
		return false
	}
	s := e.stageAt(r.Host, at)
	if s == nil {
		return false
	}
	if !r.MayBlock && e.management.MayBlock() {
		go e.call(r.Retain(), reply, s, at.id)
		return true
	}
	e.call(r, reply, s, at.id)
	return true
}

// A callPath is the path of a call to @connections in its usual form.
type callPath struct {
	apiID string // may be ""
	stage apigw.StageName
	id    string
}

// splitCall splits [/API]/STAGE/@connections/ID, as SDKs write it: the '@' of
// @connections and the '=' of the id may be percent-encoded, nothing else.
func splitCall(target string) (p callPath, ok bool) {
	const at, encoded = "/@connections/", "/%40connections/"
	place, rest, ok := strings.Cut(target, at)
	if !ok {
		if place, rest, ok = strings.Cut(target, encoded); !ok {
			return p, false
		}
	}
	const digits = connection.IDLen - 1
	if len(rest) <= digits || strings.ContainsAny(rest[:digits], "/%?=") || len(place) < 2 || place[0] != '/' || strings.ContainsAny(place, "%?") {
		return p, false
	}
	switch rest[digits:] {
	case "=":
		p.id = strings.Clone(rest) // who listens may keep it, and not the whole head
	case "%3D", "%3d":
		p.id = rest[:digits] + "="
	default:
		return p, false
	}
	first, second, two := strings.Cut(place[1:], "/")
	if !two {
		p.stage = apigw.StageName(first)
		return p, first != ""
	}
	p.apiID, p.stage = first, apigw.StageName(second)
	return p, first != "" && second != "" && !strings.Contains(second, "/")
}

// direct says that the request may be served here, that no page sent it, and that its
// host is one that needs no looking up.
func (e *Edge) direct(r *transport.Request) bool {
	if e.face&Connections == 0 || e.tlsOnly && !r.TLS {
		return false
	}
	if g := e.guard; g != nil {
		if len(g.AllowOrigins) > 0 || g.checkHost(r.Host) != nil {
			return false
		}
		for i := range r.Header {
			switch name := r.Header[i].Name; len(name) {
			case len("Origin"), len("Sec-Fetch-Site"):
				if strings.EqualFold(name, "Origin") || strings.EqualFold(name, "Sec-Fetch-Site") {
					return false
				}
			}
		}
	}
	return e.domains.Lookup(r.Host) == nil
}

// stageAt is the one stage that a call means, nil when there is none or no single one.
func (e *Edge) stageAt(host string, at callPath) *stage.Stage {
	apiID := apiOf(host)
	byHost := apiID != ""
	if byHost == (at.apiID != "") {
		if byHost {
			return nil
		}
		if all := e.gateway.StagesNamed(at.stage); len(all) == 1 {
			return all[0]
		}
		return nil
	}
	if !byHost {
		apiID = at.apiID
	}
	s, found := e.gateway.Lookup(apiID, at.stage)
	if !found || byHost && s.DisableExecuteAPIEndpoint {
		return nil
	}
	return s
}

// A callSpace is the space that answering a call takes.
type callSpace struct {
	request sigv4.Request
	fields  [4]transport.Field
}

var callSpaces = sync.Pool{New: func() any { return new(callSpace) }}

// call has the Management API serve the request, and answers it.
func (e *Edge) call(r *transport.Request, reply transport.Reply, s *stage.Stage, id string) {
	space := callSpaces.Get().(*callSpace)
	defer callSpaces.Put(space)
	q := &space.request
	*q = sigv4.Request{Method: r.Method, Host: r.Host, Header: q.Header[:0], Length: int64(len(r.Body))}
	q.ReadTarget(r.Target)
	for i := range r.Header {
		q.Header = append(q.Header, sigv4.Field(r.Header[i]))
	}
	status, requestID, errorType, answer := e.management.Serve(e.ctx, q, r.TLS, r.Body, s.APIID, s.Name, id)
	fields := append(space.fields[:0], transport.Field{Name: "x-amzn-RequestId", Value: requestID}, transport.Field{Name: "x-amz-apigw-id", Value: event.NewRequestID()})
	if errorType != "" {
		fields = append(fields, transport.Field{Name: "x-amzn-ErrorType", Value: errorType})
	}
	if status != http.StatusNoContent {
		fields = append(fields, transport.Field{Name: "Content-Type", Value: "application/json"})
	}
	reply.Respond(status, fields, answer)
}
