// Package edge is the one door: it decides which API and stage, or whose
// service, a request means, and turns a WebSocket handshake into a connection
// of the gateway's. It is the transport engines' Handler and, for every other
// HTTP request, an http.Handler.
package edge

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"tidegate/internal/apigw"
	"tidegate/internal/gateway"
	"tidegate/internal/stage"
	"tidegate/sigv4"
)

// Management serves @connections; mgmtapi.API does. An empty apiID says that
// several APIs have the stage and none of them the connection.
type Management interface {
	ServeConnection(w http.ResponseWriter, r *http.Request, apiID string, stage apigw.StageName, connectionID string)
	ServeAll(w http.ResponseWriter, r *http.Request, apiID string, stage apigw.StageName)
	// Serve is ServeConnection without net/http, on a loop of sockets unless MayBlock
	// says that calls may have to wait. It keeps nothing of q and body but strings.
	Serve(ctx context.Context, q *sigv4.Request, secure bool, body []byte, apiID string, stage apigw.StageName, connectionID string) (status int, requestID, errorType string, answer []byte)
	MayBlock() bool
}

// A Config is what an Edge needs. Gateway, Find and Management must be set.
type Config struct {
	// Context is what integrations run under; ending it cuts them short. nil means
	// context.Background().
	Context    context.Context
	Gateway    *gateway.Gateway
	Management Management
	// Find returns the API and stage of an open connection by its id as users see
	// it; cluster.Router does.
	Find func(ctx context.Context, text string) (apiID string, stage apigw.StageName, ok bool)
	// Services holds the AWS-shaped services by signing name: lambda, dynamodb,
	// events, apigateway, iam, sts.
	Services map[string]http.Handler
	// Fallback is where calls to services that aren't among Services go, scheme and
	// host; nil refuses them by name.
	Fallback *url.URL
	// Limits bound handshakes; the zero value means AWS's.
	Limits apigw.Limits
	// Own serves /_tidegate/*; nil answers 404.
	Own http.Handler
	// Domains are the custom domain names; nil means that there are none.
	Domains *Domains
	// Guard keeps web pages out; nil lets every origin and host in.
	Guard *Guard
	// Face is what is served at this door; 0 means everything.
	Face Face
	// TLSOnly refuses who comes without TLS.
	TLSOnly bool
	Events  EventListener
}

// An Edge is the door. It is safe for concurrent use.
type Edge struct {
	ctx        context.Context
	gateway    *gateway.Gateway
	find       func(context.Context, string) (string, apigw.StageName, bool)
	management Management
	services   map[string]http.Handler
	fallback   http.Handler // nil without one
	own        http.Handler
	guard      *Guard
	domains    *Domains
	events     EventListener
	face       Face
	tlsOnly    bool
	limits     apigw.Limits
	blank      *http.Request // what those that an engine takes have in common
}

// New returns the door to what c holds.
func New(c Config) *Edge {
	if c.Context == nil {
		c.Context = context.Background()
	}
	if c.Own == nil {
		c.Own = http.NotFoundHandler()
	}
	if c.Face == 0 {
		c.Face = Everything
	}
	var fallback http.Handler
	if c.Fallback != nil {
		fallback = newFallback(c.Fallback, func(i UnknownServiceInfo, err error) {
			if c.Events.FallbackFailed != nil {
				c.Events.FallbackFailed(i, err)
			}
		})
	}
	return &Edge{
		fallback: fallback,
		ctx:      c.Context, gateway: c.Gateway, find: c.Find, management: c.Management,
		limits: c.Limits.OrAWS(), face: c.Face, tlsOnly: c.TLSOnly,
		services: c.Services, own: c.Own, guard: c.Guard, domains: c.Domains, events: c.Events,
		blank: (&http.Request{Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}).WithContext(c.Context),
	}
}

// ServeHTTP answers every request that is not a WebSocket handshake. In this
// order it is: @all, in mode extended; a probe, where there are no clients; one to a
// custom domain name; to /ping; to an execute-api host; Tidegate's own path;
// @connections; a service named by X-Amz-Target, by the credential scope, or by the
// path; and at last a stage's URL, which wants a handshake (426).
func (e *Edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if e.guard != nil {
		if no := e.guard.check(r); no != nil {
			e.refuse(w, r, no)
			return
		}
		if e.guard.share(w, r) {
			return
		}
	}
	if e.tlsOnly && r.TLS == nil {
		e.refuse(w, r, refusalPlain())
		return
	}
	if stagePath, ok := e.splitAll(r.URL.Path); ok {
		if e.elsewhere(w, r, Connections) {
			return
		}
		s, no := e.resolve(r.Host, stagePath)
		if s == nil {
			e.refuse(w, r, no)
			return
		}
		e.management.ServeAll(w, r, s.APIID, s.Name)
		return
	}
	if e.face&Own != 0 && e.face&Clients == 0 && isProbe(r.URL.Path) {
		e.own.ServeHTTP(w, r)
		return
	}
	if d := e.domains.Lookup(r.Host); d != nil {
		e.serveDomain(w, r, d)
		return
	}
	switch path := r.URL.Path; {
	case path == "/ping" && len(e.gateway.StagesNamed("ping")) == 0:
		servePing(w)
	case apiOf(r.Host) != "":
		e.serveExecuteAPI(w, r)
	case isOwn(path):
		if !isHealth(path) && e.elsewhere(w, r, Own) {
			return
		}
		e.own.ServeHTTP(w, r)
	default:
		if m, ok := splitManaged(path); ok {
			e.serveManaged(w, r, m)
			return
		}
		if service := serviceOf(r); service != "" && service != executeAPI {
			e.serveService(w, r, service)
			return
		}
		e.serveStageURL(w, r)
	}
}

// servePing answers as execute-api hosts answer health checks.
func servePing(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain")
	w.Write([]byte("healthy"))
}

// isOwn says that the path is Tidegate's, never a stage's.
func isOwn(path string) bool {
	return path == "/_tidegate" || strings.HasPrefix(path, "/_tidegate/")
}

func (e *Edge) serveExecuteAPI(w http.ResponseWriter, r *http.Request) {
	apiID := apiOf(r.Host)
	if m, ok := splitManaged(r.URL.Path); ok && len(m.prefix) == 1 {
		if e.elsewhere(w, r, Connections) {
			return
		}
		s, found := e.gateway.Lookup(apiID, apigw.StageName(m.prefix[0]))
		if !found || s.DisableExecuteAPIEndpoint { // WS-07-036, WS-07-113
			e.refuse(w, r, e.unknown(r.Host, r.URL.Path))
			return
		}
		e.management.ServeConnection(w, r, s.APIID, s.Name, m.id)
		return
	}
	e.serveStageURL(w, r)
}

// serveManaged finds the stage that a request to @connections means. A stage
// name that several APIs have is settled by the connection's id.
func (e *Edge) serveManaged(w http.ResponseWriter, r *http.Request, m managed) {
	if e.elsewhere(w, r, Connections) {
		return
	}
	stages := e.candidates(m.prefix)
	switch len(stages) {
	case 0:
		e.refuse(w, r, e.unknown(r.Host, r.URL.Path))
	case 1:
		if len(m.prefix) == 0 && stages[0].Name != apigw.StageName(apigw.RouteDefault) {
			e.stageOmitted(StageOmittedInfo{Method: r.Method, Host: r.Host, Path: r.URL.Path, Trace: r.Header.Get("X-Amzn-Trace-Id")})
		}
		e.management.ServeConnection(w, r, stages[0].APIID, stages[0].Name, m.id)
	default:
		apiID := ""
		if id, name, ok := e.find(r.Context(), m.id); ok && hasStage(stages, id, name) {
			apiID = id
		}
		e.management.ServeConnection(w, r, apiID, stages[0].Name, m.id)
	}
}

func (e *Edge) stageOmitted(i StageOmittedInfo) {
	if e.events.StageOmitted != nil {
		e.events.StageOmitted(i)
	}
}

func hasStage(stages []*stage.Stage, apiID string, name apigw.StageName) bool {
	for _, s := range stages {
		if s.APIID == apiID && s.Name == name {
			return true
		}
	}
	return false
}

// serveService hands the request to the service, or says that there is none.
func (e *Edge) serveService(w http.ResponseWriter, r *http.Request, service string) {
	if e.elsewhere(w, r, Services) {
		return
	}
	if h := e.services[service]; h != nil {
		h.ServeHTTP(w, r)
		return
	}
	if e.fallback != nil && r.Header.Get("Via") != via { // not one that came back to us
		if e.events.FellBack != nil {
			e.events.FellBack(unknownService(r, service, ""))
		}
		e.fallback.ServeHTTP(w, r)
		return
	}
	requestID := newUUID()
	if e.events.UnknownService != nil {
		e.events.UnknownService(unknownService(r, service, requestID))
	}
	writeUnknownService(w, r, service, requestID)
}

// serveStageURL answers a plain request where a handshake belongs.
func (e *Edge) serveStageURL(w http.ResponseWriter, r *http.Request) {
	if e.face&Clients == 0 {
		e.refuse(w, r, nothingHere())
		return
	}
	s, no := e.resolve(r.Host, r.URL.Path)
	if s == nil {
		e.refuse(w, r, no)
		return
	}
	w.Header().Set("Upgrade", "websocket")
	w.Header().Set("Connection", "Upgrade")
	e.refuse(w, r, &refusal{status: http.StatusUpgradeRequired, reason: NoUpgrade, text: "Upgrade Required", // WS-01-007
		why: "there is a stage here, which takes WebSocket handshakes only; backends push to " + strings.TrimSuffix(r.URL.Path, "/") + "/@connections/ID"})
}
