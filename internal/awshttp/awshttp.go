// Package awshttp is what any AWS-shaped HTTP service needs: who calls
// (SigV4), may they (policies), the three wire protocols (rest-json, json,
// query), errors in AWS's shapes, and request ids.
//
// A service is an http.Handler built with REST, JSON or Query over a Gate. The
// handler functions get a *Call and return a value to encode or an error; an
// *Error reaches the caller as it is, any other becomes a 500 whose text stays
// in the log.
package awshttp

import (
	"tidegate/internal/iampolicy"
)

// A PrincipalKind says what sort of caller a Principal is.
type PrincipalKind int

// The kinds of principal.
const (
	Root    PrincipalKind = iota // the account itself: may do anything
	Role                         // a role's session: what its policies say
	Service                      // an AWS service such as apigateway.amazonaws.com: what a resource's policy says
	User                         // someone with long-lived keys: what their policies say
)

// A Principal is who calls.
type Principal struct {
	Kind PrincipalKind
	// ARN of the root, the user (arn:aws:iam::ACCOUNT:user/NAME) or the role's session
	// (arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION); for a service its name.
	ARN     string
	Account string
	// UserID is the unique id of a role's session, AROA…:SESSION; else empty.
	UserID   string
	Policies []*iampolicy.Document // of a role or user
	// Unverified marks a caller who was taken for the root although the request
	// was unsigned or its key unknown (IAM modes warn and off).
	Unverified bool
}

// An Identity is a key's secret and whose it is.
type Identity struct {
	Secret    string
	Token     string // the session token that must come with the key; empty for long-lived keys
	Principal Principal
}

// Identities finds the identity behind an access key id. It is called on every
// request and must not block.
type Identities interface {
	Lookup(accessKeyID string) (Identity, bool)
}

// A Mode says what an IAM decision does.
type Mode string

// The modes, as --iam takes them.
const (
	Enforce Mode = "enforce" // as AWS does
	Warn    Mode = "warn"    // unsigned calls and unknown keys are the root; refusals are only reported
	Off     Mode = "off"     // like Warn, nothing is reported
)

// ServiceHeaders carry, on a call by a service principal, on whose behalf it
// calls; AWS's own services send the same to stop the confused deputy.
const (
	HeaderSourceARN     = "X-Amz-Source-Arn"
	HeaderSourceAccount = "X-Amz-Source-Account"
)
