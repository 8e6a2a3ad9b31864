package apigw

import "errors"

// Kinds of failure that more than one package must tell apart; wrap them with
// %w and test with errors.Is.
var (
	// ErrGone says that a connection does not exist, any more or yet (410).
	ErrGone = errors.New("connection is gone")
	// ErrQueueFull says that a client takes its messages too slowly (429).
	ErrQueueFull = errors.New("the client's send queue is full")
	// ErrPayloadTooLarge says that a payload is over its quota (413).
	ErrPayloadTooLarge = errors.New("payload too large")
)

// Reasons for which an API key is refused.
var (
	ErrKeyForbidden = errors.New("the API key is missing, unknown, disabled or without a usage plan for the stage") // 403
	ErrKeyThrottled = errors.New("the rate or burst of the API key's usage plan is used up")                        // 429
	ErrKeyQuota     = errors.New("the quota of the API key's usage plan is used up")                                // 429
)
