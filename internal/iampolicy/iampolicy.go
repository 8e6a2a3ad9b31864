// Package iampolicy parses and evaluates IAM policy documents: identity
// policies, resource policies, and what a Lambda authorizer returns.
package iampolicy

// A Request is what a policy is asked about.
type Request struct {
	// Principal is the caller: an ARN for people and roles
	// (arn:aws:sts::000000000000:assumed-role/R/S), or a service's name
	// (apigateway.amazonaws.com). Only resource policies look at it.
	Principal string
	Action    string // service:Operation, such as execute-api:ManageConnections
	Resource  string // an ARN
	// Context holds condition keys with their values, keys in lower case
	// (aws:sourcearn).
	Context map[string][]string
}

// A Decision is what an evaluation ends with.
type Decision int

// The decisions, from IAM's evaluation logic: a matching Deny wins over every
// Allow, and what no statement names is denied implicitly.
const (
	ImplicitDeny Decision = iota
	Allow
	ExplicitDeny
)

// A Result is a decision and where it came from.
type Result struct {
	Decision Decision
	// Policy and Statement name what decided: the Document's Name and the
	// statement's Sid or its index from 0 as text. Empty on ImplicitDeny.
	Policy, Statement string
	// Delegated says, of an ImplicitDeny, that a resource policy allows the
	// caller's account without naming the caller: access is then up to the
	// caller's identity policies. A role's trust policy that names
	// arn:aws:iam::ACCOUNT:root is such a one.
	Delegated bool
}

// A Source is a set of documents of one kind that Evaluate asks.
type Source struct {
	Documents []*Document
	// Resource marks resource policies: a statement then applies only when its
	// Principal matches the request's. Identity policies have no Principal.
	Resource bool
}
