package authorizer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/event"
	"tidegate/internal/iampolicy"
	"tidegate/internal/integration"
)

// A Lambda is a REQUEST authorizer: a function that is shown the handshake and
// answers with a policy.
type Lambda struct {
	id       string
	function *integration.Function
	sources  []source
	now      func() time.Time
}

var _ Authorizer = (*Lambda)(nil)

// NewLambda returns the authorizer that asks the function. The error names an
// identity source that is none.
func NewLambda(def *apigw.Authorizer, function *integration.Function) (*Lambda, error) {
	sources, err := parseSources(def.IdentitySource)
	if err != nil {
		return nil, err
	}
	return &Lambda{id: def.ID, function: function, sources: sources, now: time.Now}, nil
}

// unauthorized is what a function throws to have the client told 401 (WS-06-027).
const unauthorized = "Unauthorized"

// maxAnswer is how many bytes of a function's answer are read. It is over what an
// authorizer may return, since a thrown error comes with its stack.
const maxAnswer = 64 << 10

// Authorize asks the function, unless the handshake lacks an identity source
// (WS-06-032, WS-06-036), and holds its policy against $connect (WS-06-015).
func (l *Lambda) Authorize(ctx context.Context, c *event.Context, connect *event.ConnectRequest, t *Trace) (event.Grant, error) {
	methodARN := l.function.ARN(c.APIID, string(c.Stage)+"/"+string(c.RouteKey))
	start := l.now()
	a, err := l.ask(ctx, c, connect, methodARN, t)
	asked := l.now()
	if err != nil {
		status := http.StatusInternalServerError
		if errors.Is(err, ErrNoIdentity) || errors.Is(err, ErrUnauthorized) {
			status = http.StatusUnauthorized
		}
		t.Authorizer.end(status, start, asked, err)
		return event.Grant{}, err
	}
	t.Authorizer.end(http.StatusOK, start, asked, nil)
	if err := a.allows(&iampolicy.Request{
		Principal: a.principalID, Action: invokeAction, Resource: methodARN, Context: conditions(c, connect, asked),
	}); err != nil {
		t.Authorize.end(http.StatusForbidden, asked, l.now(), err)
		return event.Grant{}, err
	}
	t.Authorize.end(http.StatusOK, asked, l.now(), nil)
	return event.Grant{Authorizer: event.NewAuthorizerContext(a.principalID, a.usageKey, t.IntegrationLatency, a.context)}, nil
}

// ask has the function answer. The error is a *Refusal.
func (l *Lambda) ask(ctx context.Context, c *event.Context, connect *event.ConnectRequest, methodARN string, t *Trace) (*answer, error) {
	for _, s := range l.sources {
		if s.of(s.name, c, connect) == "" {
			return nil, &Refusal{Kind: ErrNoIdentity, Detail: s.text}
		}
	}
	t.Called = true
	start := l.now()
	payload, err := l.function.Invoke(ctx, integration.Call{
		SourceARN: l.function.ARN(c.APIID, "authorizers/"+l.id), RequestID: c.RequestID, Invocation: &t.RequestID,
		Payload: event.AppendAuthorizer(make([]byte, 0, 2048), c, connect, methodARN),
	}, maxAnswer)
	t.IntegrationLatency = l.now().Sub(start)
	if err != nil {
		if failed := (*integration.Error)(nil); errors.As(err, &failed) {
			t.IntegrationStatus = failed.Status
		}
		if thrown := (*integration.Thrown)(nil); errors.As(err, &thrown) && thrown.Message == unauthorized {
			return nil, &Refusal{Kind: ErrUnauthorized, Detail: "the function threw " + thrown.Error()}
		}
		return nil, &Refusal{Kind: ErrFailed, Detail: err.Error(), Err: err}
	}
	t.IntegrationStatus = http.StatusOK
	a, err := parseAnswer(payload)
	if err != nil {
		return nil, &Refusal{Kind: ErrMalformed, Detail: err.Error()}
	}
	return a, nil
}

// allows returns a *Refusal unless the answer's policy allows the request (WS-06-007
// to WS-06-018).
func (a *answer) allows(r *iampolicy.Request) error {
	result := iampolicy.Evaluate(r, iampolicy.Source{Documents: []*iampolicy.Document{a.policy}})
	switch result.Decision {
	case iampolicy.ExplicitDeny:
		return &Refusal{Kind: ErrDenied, Detail: fmt.Sprintf("statement %s of the authorizer's policy denies %s on %s", result.Statement, r.Action, r.Resource)}
	case iampolicy.ImplicitDeny:
		return &Refusal{Kind: ErrDenied, Detail: fmt.Sprintf("no statement of the authorizer's policy allows %s on %s; its resources are %s", r.Action, r.Resource, a.resources())}
	}
	return nil
}

// invokeAction is what a policy allows whom it lets connect.
const invokeAction = "execute-api:Invoke"

// conditions are the condition keys that every handshake has.
func conditions(c *event.Context, connect *event.ConnectRequest, now time.Time) map[string][]string {
	m := map[string][]string{
		"aws:sourceip":        {c.Identity.SourceIP},
		"aws:currenttime":     {now.UTC().Format(time.RFC3339)},
		"aws:epochtime":       {fmt.Sprint(now.Unix())},
		"aws:securetransport": {fmt.Sprint(connect.ForwardedProto == "https")},
	}
	if c.Identity.UserAgent != "" {
		m["aws:useragent"] = []string{c.Identity.UserAgent}
	}
	return m
}
