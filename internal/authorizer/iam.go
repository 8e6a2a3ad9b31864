package authorizer

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"tidegate/internal/event"
	"tidegate/internal/iampolicy"
	"tidegate/sigv4"
)

// A Key is an access key's secret and whose it is.
type Key struct {
	Secret   string
	Token    string // the session token that must come with the key; empty for long-lived keys
	Root     bool   // the account itself: may do anything
	ARN      string
	Account  string
	UserID   string // AROA…:SESSION of a role's session; empty means Account
	Policies []*iampolicy.Document
}

// Keys finds access keys. It must not block.
type Keys interface {
	Lookup(accessKeyID string) (Key, bool)
}

// An IAM is AWS_IAM authorization: who connects must have signed the handshake and
// be allowed execute-api:Invoke on the route by policies of its own.
//
// It doesn't know leniency: a route with AWS_IAM is there to keep people out, and
// an app that was never seen refusing anyone would first do so on AWS.
type IAM struct {
	Keys            Keys
	Region, Account string
	// AnyRegion takes signatures for other regions too.
	AnyRegion bool
}

var _ Authorizer = (*IAM)(nil)

// signingName is the service that clients sign for.
const signingName = "execute-api"

// Authorize verifies the signature, in headers (WS-06-061) or in the query (WS-06-062),
// and asks the caller's policies, this once (WS-06-076).
//
// Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-control-access-iam.html
func (i *IAM) Authorize(_ context.Context, c *event.Context, connect *event.ConnectRequest, t *Trace) (event.Grant, error) {
	start := time.Now()
	auth, key, err := i.verify(connect)
	verified := time.Now()
	if err != nil {
		t.Authenticate.end(http.StatusForbidden, start, verified, err)
		return event.Grant{}, err
	}
	t.Authenticate.end(http.StatusOK, start, verified, nil)
	caller := &event.Caller{AccountID: key.Account, AccessKeyID: auth.AccessKeyID, ID: key.UserID, ARN: key.ARN}
	if caller.ID == "" {
		caller.ID = key.Account
	}
	if err := i.allows(key, c, connect, verified); err != nil {
		t.Authorize.end(http.StatusForbidden, verified, time.Now(), err)
		return event.Grant{}, err
	}
	t.Authorize.end(http.StatusOK, verified, time.Now(), nil)
	return event.Grant{Caller: caller}, nil
}

// allows returns a *Refusal unless the caller's policies allow the connection
// (WS-06-070 to WS-06-075).
func (i *IAM) allows(key Key, c *event.Context, connect *event.ConnectRequest, now time.Time) error {
	if key.Root {
		return nil
	}
	resource := fmt.Sprintf("arn:aws:execute-api:%s:%s:%s/%s/%s", i.Region, i.Account, c.APIID, c.Stage, c.RouteKey)
	m := conditions(c, connect, now)
	m["aws:principalarn"], m["aws:principalaccount"] = []string{key.ARN}, []string{key.Account}
	m["aws:requestedregion"] = []string{i.Region}
	result := iampolicy.Evaluate(&iampolicy.Request{Principal: key.ARN, Action: invokeAction, Resource: resource, Context: m},
		iampolicy.Source{Documents: key.Policies})
	switch result.Decision {
	case iampolicy.Allow:
		return nil
	case iampolicy.ExplicitDeny:
		return &Refusal{Kind: ErrDenied, Detail: fmt.Sprintf("statement %s of policy %s denies %s to %s on %s", result.Statement, result.Policy, key.ARN, invokeAction, resource)}
	}
	return &Refusal{Kind: ErrDenied, Detail: fmt.Sprintf("no identity-based policy of %s allows %s on %s", key.ARN, invokeAction, resource)}
}

// verify returns the handshake's signature and the key that made it (WS-06-060,
// WS-06-064 to WS-06-069, WS-06-077).
func (i *IAM) verify(connect *event.ConnectRequest) (*sigv4.Authorization, Key, error) {
	no := func(format string, args ...any) (*sigv4.Authorization, Key, error) {
		return nil, Key{}, &Refusal{Kind: ErrSignature, Detail: fmt.Sprintf(format, args...)}
	}
	r := signed(connect)
	auth, err := sigv4.Parse(r)
	if errors.Is(err, sigv4.ErrUnsigned) {
		return nil, Key{}, &Refusal{Kind: ErrUnsigned, Detail: "it has neither an Authorization header of AWS4-HMAC-SHA256 nor X-Amz-Signature in its query; the route's authorizationType is AWS_IAM"}
	}
	if err != nil {
		return no("%v", err)
	}
	key, known := i.Keys.Lookup(auth.AccessKeyID)
	switch {
	case !known:
		return no("the access key %.128q is unknown, or its session is over", auth.AccessKeyID)
	case subtle.ConstantTimeCompare([]byte(key.Token), []byte(auth.SessionToken)) != 1:
		if key.Token == "" {
			return no("the key %s is a long-lived one, which has no session token, and one was sent", auth.AccessKeyID)
		}
		return no("the session token is missing or not that of the key %s", auth.AccessKeyID)
	case auth.Service != signingName:
		return no("it is signed for the service %s; it must be %s", auth.Service, signingName)
	case auth.Region != i.Region && !i.AnyRegion:
		return no("it is signed for the region %s; the API is in %s", auth.Region, i.Region)
	}
	if err := auth.Verify(r, nil, key.Secret, time.Now()); err != nil {
		return no("%v", err)
	}
	return auth, key, nil
}

// signed is the handshake as its client signed it: a GET without a body, of the
// https URL that the wss one stands for.
func signed(connect *event.ConnectRequest) *http.Request {
	r := &http.Request{Method: http.MethodGet, RequestURI: connect.Target, Host: connect.DomainName, Header: make(http.Header, len(connect.Header))}
	for _, f := range connect.Header {
		if !strings.EqualFold(f.Name, "Host") {
			r.Header.Add(f.Name, f.Value)
		}
	}
	return r
}
