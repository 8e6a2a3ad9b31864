package kv

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrFull says that a queue holds as much as it may; nothing was written.
var ErrFull = errors.New("kv: the queue is full")

// ErrNotLeased says that a message isn't the caller's to acknowledge: it was
// acknowledged or returned before, or taken from a store that has been closed.
var ErrNotLeased = errors.New("kv: message not leased")

// MaxMessage is the size in bytes that a message may have at most: what a value
// may, and room for what a service says about it.
const MaxMessage = MaxValue + 64<<10

// QueueLimits bound what a queue holds, leased messages included.
type QueueLimits struct {
	Count int   // messages
	Bytes int64 // of all bodies
}

// A Message is what a queue holds. Body must not be changed; it stays valid.
type Message struct {
	ID   uint64    // grows with each write to the queue; a message that is returned gets a new one
	Due  time.Time // to the nanosecond, in UTC
	Body []byte
}

// QueueSize is what a queue holds, leased messages included.
type QueueSize struct {
	Count int
	Bytes int64
}

// A Queue keeps messages until they are acknowledged, each for a moment at which
// it is due. The moments are the callers': a queue has no clock. A write that
// returned nil survives the death of the process; one that returned the error of
// its context may have happened or may happen yet. A message is delivered at
// least once.
type Queue interface {
	// Put stores a message. It returns ErrFull when the limits would be passed.
	Put(ctx context.Context, due time.Time, body []byte) error
	// Lease takes up to n messages that are due at the moment now, the one due
	// first (of two, the one put first) at the head. Nobody else gets them until
	// they are returned. A lease lasts as long as the process that holds it: when
	// it dies, or closes its store, the message is as before.
	Lease(ctx context.Context, now time.Time, n int) ([]Message, error)
	// Ack removes a leased message.
	Ack(ctx context.Context, m Message) error
	// Return puts another body in the place of a leased message, due at another
	// moment, in one step: never is there neither or both. It is no longer leased.
	// The limits don't apply.
	Return(ctx context.Context, m Message, due time.Time, body []byte) error
	// Next returns when the first message that isn't leased is due; false means
	// that there is none.
	Next(ctx context.Context) (time.Time, bool, error)
	// Size returns how much the queue holds.
	Size(ctx context.Context) (QueueSize, error)
}

// CheckMessage returns an error wrapping ErrInvalid if the body is over
// MaxMessage or the moment is none that every implementation can store (before
// 1970 or after 2261).
func CheckMessage(due time.Time, body []byte) error {
	if len(body) > MaxMessage {
		return fmt.Errorf("%w: a message has %d bytes, over the %d that fit", ErrInvalid, len(body), MaxMessage)
	}
	if due.Unix() < 0 || due.Year() > 2261 {
		return fmt.Errorf("%w: a message can't be due at %v", ErrInvalid, due)
	}
	return nil
}
