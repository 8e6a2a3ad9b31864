package authorizer

import (
	"context"
	"errors"
	"fmt"
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

// unauthorized is what a function throws to have the client told 401.
const unauthorized = "Unauthorized"

// maxAnswer is how many bytes of a function's answer are read. It is over what an
// authorizer may return, since a thrown error comes with its stack.
const maxAnswer = 64 << 10

// Authorize asks the function, unless the handshake lacks an identity source.
func (l *Lambda) Authorize(ctx context.Context, c *event.Context, connect *event.ConnectRequest) (event.Grant, error) {
	for _, s := range l.sources {
		if s.of(s.name, c, connect) == "" {
			return event.Grant{}, &Refusal{Kind: ErrNoIdentity, Detail: s.text}
		}
	}
	methodARN := l.function.ARN(c.APIID, string(c.Stage)+"/"+string(c.RouteKey))
	start := l.now()
	payload, err := l.function.Invoke(ctx, integration.Call{
		SourceARN: l.function.ARN(c.APIID, "authorizers/"+l.id), RequestID: c.RequestID,
		Payload: event.AppendAuthorizer(make([]byte, 0, 2048), c, connect, methodARN),
	}, maxAnswer)
	if err != nil {
		if thrown := (*integration.Thrown)(nil); errors.As(err, &thrown) && thrown.Message == unauthorized {
			return event.Grant{}, &Refusal{Kind: ErrUnauthorized, Detail: "the function threw " + thrown.Error()}
		}
		return event.Grant{}, &Refusal{Kind: ErrFailed, Detail: err.Error(), Err: err}
	}
	latency := l.now().Sub(start)
	a, err := parseAnswer(payload)
	if err != nil {
		return event.Grant{}, &Refusal{Kind: ErrMalformed, Detail: err.Error()}
	}
	result := iampolicy.Evaluate(&iampolicy.Request{
		Principal: a.principalID, Action: invokeAction, Resource: methodARN, Context: conditions(c, connect, l.now()),
	}, iampolicy.Source{Documents: []*iampolicy.Document{a.policy}})
	switch result.Decision {
	case iampolicy.ExplicitDeny:
		return event.Grant{}, &Refusal{Kind: ErrDenied, Detail: fmt.Sprintf("statement %s of the authorizer's policy denies %s on %s", result.Statement, invokeAction, methodARN)}
	case iampolicy.ImplicitDeny:
		return event.Grant{}, &Refusal{Kind: ErrDenied, Detail: fmt.Sprintf("no statement of the authorizer's policy allows %s on %s; its resources are %s", invokeAction, methodARN, a.resources())}
	}
	return event.Grant{Authorizer: event.NewAuthorizerContext(a.principalID, a.usageKey, latency, a.context)}, nil
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
