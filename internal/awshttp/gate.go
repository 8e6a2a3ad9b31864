package awshttp

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	random "math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"tidegate/internal/iampolicy"
	"tidegate/sigv4"
)

// A Gate decides who calls and what they may do. Its fields are set before the
// first request and not changed afterwards.
type Gate struct {
	Identities Identities
	// Tokens are whom a bearer token names, for services that take one; nil: nobody.
	Tokens  Tokens
	Mode    Mode
	Account string
	Region  string
	// Events are told about failures and about what AWS would have refused; every
	// field may be nil.
	Events EventListener

	decisions decisions
}

// An EventListener hears what a Gate and the protocols notice. Its funcs must
// not block and may be called concurrently.
type EventListener struct {
	// Lenient: a caller was let in whom AWS would not have.
	Lenient func(Leniency)
	// Denied: a policy refused a call, or would have (Enforced false).
	Denied func(Denial)
	// Failed: a handler returned an error that is not the caller's fault.
	Failed func(service, operation, requestID string, err error)
	// Refused: a request was answered with a 4xx, and why; one that Denied told of
	// is not told again.
	Refused func(Refusal)
}

// A Leniency is a call that was let in and that AWS would refuse, for how it
// proves who calls. There is none under Enforce and Off.
type Leniency struct {
	Reason      LenientReason
	Service     string // signing name of what was called
	AccessKeyID string // "" of an unsigned call
	Region      string // that it is signed for, "" of an unsigned call
	RequestID   string
	Request     *sigv4.Request // must not be kept
}

// A LenientReason says what AWS would refuse a call for.
type LenientReason string

// The reasons.
const (
	LenientUnsigned   LenientReason = "unsigned"    // taken for the root
	LenientUnknownKey LenientReason = "unknown-key" // taken for the root
	LenientToken      LenientReason = "token"       // of a key that has none
	LenientRegion     LenientReason = "region"      // signed for another one
	// LenientRootKey is a key of the account's root: right, but only here.
	LenientRootKey LenientReason = "root-key"
)

// A Denial is a call that policies refuse.
type Denial struct {
	Principal, Action, Resource string
	// Why names the statement that denied, or says that none allowed.
	Why       string
	Enforced  bool
	RequestID string
	Trace     string // X-Amzn-Trace-Id of the call: which invocation made it
}

// A Refusal is a request that was answered with a 4xx.
type Refusal struct {
	Service   string // signing name
	Operation string // PutItem, or method and path
	RequestID string
	Trace     string // X-Amzn-Trace-Id of the call: which invocation made it
	Err       *Error
}

// String says what was answered to what, and why.
func (r Refusal) String() string {
	text := r.Service + ": " + r.Err.Error()
	if r.Err.Why != "" {
		text += ": " + r.Err.Why
	}
	return text
}

// TraceHeader is the header in which AWS's SDKs hand on the trace of the
// invocation that they run in.
const TraceHeader = "X-Amzn-Trace-Id"

// String says who may not do what, and why.
func (d Denial) String() string {
	return fmt.Sprintf("%s is not authorized to perform %s on %s: %s", d.Principal, d.Action, d.Resource, d.Why)
}

// A Call is one authenticated request.
type Call struct {
	Request   *http.Request // nil of one that Admit opened
	Body      []byte
	Principal Principal
	RequestID string
	// Region is the one the caller signed for, or the gate's.
	Region  string
	Account string
	// Form holds the parameters of a query-protocol call.
	Form map[string][]string

	gate   *Gate
	wire   *sigv4.Request // what Admit opened it with
	secure bool           // came over TLS
	// told: the listener heard of the denial that refuses the call.
	told bool
}

// Context is the request's.
func (c *Call) Context() context.Context { return c.Request.Context() }

// Get returns the value of the request's first header field of that name, or "".
func (c *Call) Get(name string) string {
	if c.wire != nil {
		return c.wire.Get(name)
	}
	return c.Request.Header.Get(name)
}

// MaxBody bounds a request's body when a protocol sets no other (6 MiB and a
// little: Lambda's largest synchronous payload).
const MaxBody = 6<<20 + 64<<10

// Open reads the body, at most maxBody bytes of it, and authenticates the
// caller for the given signing name. Failures have AWS's codes and statuses
// (403 MissingAuthenticationTokenException, InvalidSignatureException, …).
func (g *Gate) Open(r *http.Request, service string, maxBody int64) (*Call, error) {
	c := &Call{Request: r, RequestID: requestID(service), Region: g.Region, Account: g.Account, gate: g, secure: r.TLS != nil}
	var err error
	if c.Body, err = ReadBody(r, maxBody); err != nil {
		return c, err
	}
	wire := wires.Get().(*sigv4.Request)
	defer wires.Put(wire)
	wire.SetHTTP(r)
	return c, c.authenticate(wire, service)
}

// wires hold what of a request is verified.
var wires = sync.Pool{New: func() any { return new(sigv4.Request) }}

// Admit is Open for a request that isn't net/http's, with its whole body: it fills in
// c, which has a RequestID even with an error. q and body belong to the caller; c
// must not be used when they aren't valid any more.
func (g *Gate) Admit(c *Call, q *sigv4.Request, secure bool, body []byte, service string) error {
	*c = Call{Body: body, RequestID: requestID(service), Region: g.Region, Account: g.Account, gate: g, wire: q, secure: secure}
	return c.authenticate(q, service)
}

// authenticate finds out who calls, and for which region.
func (c *Call) authenticate(q *sigv4.Request, service string) error {
	p, region, err := c.gate.authenticate(q, c.Body, service, c.RequestID)
	if err != nil {
		return err
	}
	c.Principal = p
	if region != "" {
		c.Region = region
	}
	return nil
}

// ReadBody reads a request's body, at most maxBody bytes of it. The error is an
// *Error: 413 RequestEntityTooLargeException, or 400 for a body that can't be read.
func ReadBody(r *http.Request, maxBody int64) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	body, err := readBody(r, maxBody)
	if err != nil {
		return nil, Errorf(http.StatusBadRequest, "InvalidRequestException", "the request body could not be read: %v", err)
	}
	if int64(len(body)) > maxBody {
		return nil, &Error{Code: "RequestEntityTooLargeException", Status: http.StatusRequestEntityTooLarge, Message: "Request entity too large"}
	}
	return body, nil
}

// readBody reads at most one byte more than most. A body whose length is said and
// small is read into a buffer of just that length.
func readBody(r *http.Request, most int64) ([]byte, error) {
	if n := r.ContentLength; n >= 0 && n <= min(most, 64<<10) {
		body := make([]byte, n)
		_, err := io.ReadFull(r.Body, body)
		return body, err
	}
	return io.ReadAll(io.LimitReader(r.Body, most+1))
}

func (g *Gate) authenticate(r *sigv4.Request, body []byte, service, requestID string) (Principal, string, error) {
	if g.Tokens != nil {
		if token, ok := bearerToken(r); ok {
			return g.bearer(token, service)
		}
	}
	l := Leniency{Reason: LenientUnsigned, Service: service, RequestID: requestID, Request: r}
	auth := authorizations.Get().(*sigv4.Authorization)
	defer authorizations.Put(auth)
	err := auth.Parse(r)
	if errors.Is(err, sigv4.ErrUnsigned) {
		text := "Missing Authentication Token"
		if service == "dynamodb" { // its own words
			text = "Request is missing Authentication Token"
		}
		return g.stranger(l, Errorf(http.StatusForbidden, "MissingAuthenticationTokenException", "%s", text))
	}
	if err != nil {
		return Principal{}, "", Errorf(http.StatusForbidden, "IncompleteSignatureException", "%s", reason(err, sigv4.ErrIncomplete))
	}
	l.Reason, l.AccessKeyID, l.Region = LenientUnknownKey, auth.AccessKeyID, auth.Region
	id, known := g.Identities.Lookup(auth.AccessKeyID)
	if !known {
		p, _, err := g.stranger(l, Errorf(http.StatusForbidden, "UnrecognizedClientException", "The security token included in the request is invalid."))
		return p, auth.Region, err
	}
	// Long-lived keys have no token. One that comes along all the same, as out of
	// a developer's environment, is refused by AWS.
	if (id.Token != "" || g.Mode == Enforce) && subtle.ConstantTimeCompare([]byte(id.Token), []byte(auth.SessionToken)) != 1 {
		return Principal{}, "", Errorf(http.StatusForbidden, "UnrecognizedClientException", "The security token included in the request is invalid.")
	}
	if auth.Service != service {
		return Principal{}, "", Errorf(http.StatusForbidden, "InvalidSignatureException", "Credential should be scoped to correct service: '%s'.", service)
	}
	if g.Mode == Enforce && !g.inScope(service, auth.Region) {
		return Principal{}, "", Errorf(http.StatusForbidden, "InvalidSignatureException", "Credential should be scoped to a valid region.")
	}
	switch err := auth.VerifyRequest(r, body, id.Secret, time.Now()); {
	case errors.Is(err, sigv4.ErrExpired):
		return Principal{}, "", Errorf(http.StatusForbidden, "InvalidSignatureException", "%s", reason(err, sigv4.ErrExpired))
	case err != nil:
		return Principal{}, "", Errorf(http.StatusForbidden, "InvalidSignatureException", "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
	}
	if g.Mode == Warn && g.Events.Lenient != nil {
		g.leniencies(l, id, auth)
	}
	return id.Principal, auth.Region, nil
}

// authorizations hold signatures while they are verified.
var authorizations = sync.Pool{New: func() any { return new(sigv4.Authorization) }}

// leniencies tells what of a verified call AWS would refuse.
func (g *Gate) leniencies(l Leniency, id Identity, auth *sigv4.Authorization) {
	tell := func(reason LenientReason) {
		l.Reason = reason
		g.Events.Lenient(l)
	}
	if id.Token == "" && auth.SessionToken != "" {
		tell(LenientToken)
	}
	if !g.inScope(l.Service, auth.Region) {
		tell(LenientRegion)
	}
	if id.Principal.Kind == Root {
		tell(LenientRootKey)
	}
}

// globalRegion is the region that callers of global services sign for.
const globalRegion = "us-east-1"

// inScope reports whether AWS would take a signature for the region. Without
// Enforce any will do: a region that a handler hard-codes shall not stop it.
func (g *Gate) inScope(service, region string) bool {
	return region == g.Region || region == globalRegion && (service == "iam" || service == "sts")
}

// stranger is a caller without proof: refused under Enforce, else the root.
func (g *Gate) stranger(l Leniency, refusal *Error) (Principal, string, error) {
	if g.Mode == Enforce {
		return Principal{}, "", refusal
	}
	if g.Mode == Warn && g.Events.Lenient != nil {
		g.Events.Lenient(l)
	}
	return Principal{Kind: Root, ARN: "arn:aws:iam::" + g.Account + ":root", Account: g.Account, Unverified: true}, "", nil
}

// Authorize returns nil when the caller may perform the action on the
// resource, else a 403 AccessDeniedException in the words of most services. The
// resource's own policy, when it has one, may allow too. Under Warn and Off the
// answer is nil, and under Warn the denial is reported.
func (c *Call) Authorize(action, resource string, resourcePolicy ...*iampolicy.Document) error {
	d := c.Denied(action, resource, resourcePolicy...)
	if d == nil {
		return nil
	}
	return Errorf(http.StatusForbidden, "AccessDeniedException", "User: %s is not authorized to perform: %s on resource: %s because %s", c.Principal.ARN, action, resource, d.Why)
}

// AuthorizePassRole is Authorize for a caller who hands a role to a service,
// such as scheduler.amazonaws.com: iam:PassRole on the role.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
func (c *Call) AuthorizePassRole(role, service string) error {
	context := c.conditions()
	context["iam:passedtoservice"] = []string{service}
	d := c.denied("iam:PassRole", role, context)
	if d == nil {
		return nil
	}
	return Errorf(http.StatusForbidden, "AccessDeniedException", "User: %s is not authorized to perform: iam:PassRole on resource: %s because %s", c.Principal.ARN, role, d.Why)
}

// Denied is Authorize for services that word the refusal themselves: nil means
// that the call goes on.
func (c *Call) Denied(action, resource string, resourcePolicy ...*iampolicy.Document) *Denial {
	// Most calls: the conditions need not be made.
	if c.Principal.Kind == Root || len(resourcePolicy) == 0 && c.gate.decisions.allow(&c.Principal, action, resource) {
		return nil
	}
	return c.denied(action, resource, c.conditions(), resourcePolicy...)
}

func (c *Call) denied(action, resource string, context map[string][]string, resourcePolicy ...*iampolicy.Document) *Denial {
	if c.Principal.Kind == Root {
		return nil
	}
	req := &iampolicy.Request{Principal: c.Principal.ARN, Action: action, Resource: resource, Context: context}
	sources := []iampolicy.Source{{Documents: c.Principal.Policies}}
	if len(resourcePolicy) > 0 {
		sources = append(sources, iampolicy.Source{Documents: resourcePolicy, Resource: true})
	}
	result := iampolicy.Evaluate(req, sources...)
	if result.Decision == iampolicy.Allow {
		if len(resourcePolicy) == 0 {
			c.gate.decisions.add(&c.Principal, action, resource)
		}
		return nil
	}
	d := Denial{Principal: c.Principal.ARN, Action: action, Resource: resource, Enforced: c.gate.Mode == Enforce, RequestID: c.RequestID, Trace: c.Get(TraceHeader)}
	switch {
	case result.Decision == iampolicy.ExplicitDeny:
		d.Why = fmt.Sprintf("statement %s of policy %s denies it", result.Statement, result.Policy)
	case c.Principal.Kind == Role || c.Principal.Kind == User:
		d.Why = "no identity-based policy allows the " + action + " action"
	default:
		d.Why = "no resource-based policy allows the " + action + " action"
	}
	if c.gate.Mode != Off && c.gate.Events.Denied != nil {
		c.gate.Events.Denied(d)
		c.told = d.Enforced
	}
	if c.gate.Mode == Enforce {
		return &d
	}
	return nil
}

// conditions are the condition keys every call has.
func (c *Call) conditions() map[string][]string {
	m := map[string][]string{
		"aws:principalarn":     {c.Principal.ARN},
		"aws:principalaccount": {c.Principal.Account},
		"aws:requestedregion":  {c.Region},
		"aws:securetransport":  {strconv.FormatBool(c.secure)},
		"aws:currenttime":      {time.Now().UTC().Format(time.RFC3339)},
	}
	if c.Principal.Kind == Service {
		if v := c.Get(HeaderSourceARN); v != "" {
			m["aws:sourcearn"] = []string{v}
		}
		if v := c.Get(HeaderSourceAccount); v != "" {
			m["aws:sourceaccount"] = []string{v}
		}
	}
	return m
}

// NewRequestID returns a random UUID (RFC 9562, version 4), the form of request
// id that AWS's services give. It comes from the runtime's ChaCha8 generator: it
// identifies and authorizes nothing.
func NewRequestID() string {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:8], random.Uint64())
	binary.LittleEndian.PutUint64(b[8:], random.Uint64())
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	var text [36]byte
	hex.Encode(text[0:], b[0:4])
	hex.Encode(text[9:], b[4:6])
	hex.Encode(text[14:], b[6:8])
	hex.Encode(text[19:], b[8:10])
	hex.Encode(text[24:], b[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}

// requestID returns the id of a request to the service: DynamoDB's are 32 random
// bytes in base 32, 52 letters and digits, others' a UUID.
func requestID(service string) string {
	if service != "dynamodb" {
		return NewRequestID()
	}
	var b [32]byte
	rand.Read(b[:])
	return base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:])
}

// reason returns the error's text without that of the sentinel that it wraps:
// AWS says the reason only.
func reason(err, sentinel error) string {
	return strings.TrimPrefix(err.Error(), sentinel.Error()+": ")
}
