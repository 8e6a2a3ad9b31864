// Package event is what travels between client, gateway and backend: the
// request context ($context), the proxy event that an integration receives, and
// its reply. Events are encoded by appending, in the key order that AWS uses.
package event

import (
	"strconv"
	"time"

	"tidegate/internal/apigw"
)

// A Type is the kind of a proxy event.
type Type string

// The event types.
const (
	TypeConnect    Type = "CONNECT"
	TypeMessage    Type = "MESSAGE"
	TypeDisconnect Type = "DISCONNECT"
)

// A Field is one header or query parameter, as the client sent it and in its order.
type Field struct {
	Name, Value string
}

// Identity is who a client is, as far as the handshake told.
type Identity struct {
	SourceIP  string
	UserAgent string // "" when the client sent none
	// Caller is who signed the handshake, on a $connect route with AWS_IAM; else nil.
	Caller *Caller
	// APIKey is a secret that is no log's business; APIKeyID names it.
	APIKey   string `json:"-"`
	APIKeyID string
}

// A Context is what AWS calls $context: everything about one event but its body.
type Context struct {
	APIID        string
	Stage        apigw.StageName
	RouteKey     apigw.RouteKey
	EventType    Type
	ConnectionID string
	RequestID    string // also the extended request id
	MessageID    string // MESSAGE only
	DomainName   string
	Identity     Identity
	ConnectedAt  time.Time
	RequestTime  time.Time
	// Binary says that the message came as a binary one, which AWS refuses.
	Binary bool
	// Close is set on DISCONNECT only.
	Close *CloseReason
	// ValidationError is why the message fits no model of its route; "" when it
	// does, or wasn't looked at.
	ValidationError string
	// Authorizer is what the $connect route's authorizer said; nil without one.
	Authorizer *AuthorizerContext
	// StageVariables is the stage's map, shared and not to be changed.
	StageVariables map[string]string
}

// A CloseReason is how a connection ended, in the words of $disconnect.
type CloseReason struct {
	Code int    // disconnectStatusCode: an RFC 6455 close code
	Text string // disconnectReason, may be ""
	// Reason and Why are for the log, and in no event: a constant such as idle,
	// and what lies beneath it; either may be "".
	Reason, Why string
}

// A ConnectRequest is the handshake as the semantics see it.
type ConnectRequest struct {
	APIID                                       string
	Stage                                       apigw.StageName
	DomainName                                  string // the host that the client used, with its port when it named one
	Header                                      []Field
	Query                                       []Field
	Target                                      string // path and query as they came: what a signature is over
	Identity                                    Identity
	TraceID                                     string // X-Amzn-Trace-Id, made by the gateway when the client sent none
	ForwardedFor, ForwardedPort, ForwardedProto string
}

// A Reply is what a backend answered, after its shape was checked.
type Reply struct {
	Status int // 0 when the reply names none
	Header []Field
	Body   []byte
	Binary bool // the reply said isBase64Encoded
}

// A Location is the part of a backend's request that a parameter goes to.
type Location uint8

// The locations of parameter mapping (integration.request.LOCATION.NAME).
const (
	InHeader Location = iota // header
	InQuery                  // querystring
	InPath                   // path: fills {NAME} in an HTTP integration's URI
)

// String returns the location as parameter mapping spells it.
func (l Location) String() string {
	switch l {
	case InHeader:
		return "header"
	case InQuery:
		return "querystring"
	case InPath:
		return "path"
	}
	return "Location(" + strconv.Itoa(int(l)) + ")"
}

// A Parameter is one mapped value of a backend's request. Parameter mapping
// builds them, invokers of HTTP backends send them.
type Parameter struct {
	Location    Location
	Name, Value string
}
