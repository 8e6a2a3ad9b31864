// Package throttle is the token bucket by which API Gateway holds clients to a
// rate and a burst.
//
// Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html
package throttle

import (
	"fmt"
	"sync"
	"time"
)

// A Bucket holds tokens, one for each event that it admits. A nil one admits
// everything. It is safe for concurrent use and allocates nothing.
type Bucket struct {
	mu     sync.Mutex // guards what follows
	rate   float64    // tokens a second
	burst  float64    // the most that there are
	tokens float64
	filled time.Time // when tokens were last added
}

// New returns a full bucket that gets rate tokens a second and holds burst. With a
// rate of zero it never admits anything, as on AWS.
func New(rate float64, burst int) *Bucket {
	b := &Bucket{}
	b.Change(rate, burst)
	b.tokens = b.burst
	return b
}

// Change gives the bucket another rate and burst. It keeps its tokens, as far as
// the new burst holds them.
func (b *Bucket) Change(rate float64, burst int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rate, b.burst = rate, float64(burst)
	if rate <= 0 {
		b.burst = 0
	}
	b.tokens = min(b.tokens, b.burst)
}

// String says how much it admits.
func (b *Bucket) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return fmt.Sprintf("rate %g, burst %g", b.rate, b.burst)
}

// Allow takes a token, if there is one at the time now.
func (b *Bucket) Allow(now time.Time) bool {
	if b == nil {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.filled.IsZero() {
		b.filled = now
	}
	if d := now.Sub(b.filled); d > 0 {
		b.tokens = min(b.burst, b.tokens+d.Seconds()*b.rate)
		b.filled = now
	}
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
