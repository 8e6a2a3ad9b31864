// Package sigv4 signs and verifies requests with AWS Signature Version 4, in
// the Authorization header and in the query string ("presigned").
//
// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
package sigv4

import (
	"errors"
	"time"
)

// Errors of Parse and Verify, to be tested with errors.Is. The text of what is
// returned tells a developer what differs; it holds no secret.
var (
	// ErrUnsigned says that the request carries no signature at all.
	ErrUnsigned = errors.New("sigv4: request is not signed")
	// ErrIncomplete says that a part of the signature is missing or malformed.
	ErrIncomplete = errors.New("sigv4: incomplete signature")
	// ErrMismatch says that the signature is not the one that the secret yields.
	ErrMismatch = errors.New("sigv4: signature does not match")
	// ErrExpired says that the signature's date is too far from now, or that a
	// presigned request is past its end.
	ErrExpired = errors.New("sigv4: signature expired")
)

// MaxExpires is the longest that a presigned request may be good for (AWS:
// seven days).
const MaxExpires = 7 * 24 * time.Hour

// MaxSkew is how far a signature's date may be from the verifier's clock.
const MaxSkew = 5 * time.Minute

// Credentials are what a caller signs with. SessionToken is empty for
// long-lived keys.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string
}

// An Authorization is the signature that a request carries.
type Authorization struct {
	AccessKeyID   string
	SessionToken  string
	Region        string
	Service       string
	Time          time.Time // X-Amz-Date
	SignedHeaders []string  // lower case, sorted
	Signature     string    // hex
	Presigned     bool
	// Expires is how long a presigned request is good for after Time. Zero: the
	// request doesn't say (or isn't presigned), and MaxSkew holds.
	Expires time.Duration

	// The SignedHeaders that were parsed last, and their text: who signs one request
	// after the other names the same ones.
	list     []string
	listText string
}
