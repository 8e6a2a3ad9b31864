package stage

import (
	"sync"
	"time"

	"tidegate/internal/apigw"
)

// AWS's account-wide throttle, which fills in where a stage sets only one of
// rate and burst.
//
// Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
const (
	accountRate  = 10000.0
	accountBurst = 5000
)

// A Throttle is a token bucket. A nil one admits everything. It is safe for
// concurrent use.
type Throttle struct {
	rate  float64 // tokens a second
	burst float64

	mu     sync.Mutex
	tokens float64   // guarded by mu
	filled time.Time // when tokens were last added; guarded by mu
}

// newThrottle returns the bucket of the settings, or nil when they set neither
// rate nor burst. A zero rejects everything, as on AWS.
func newThrottle(s apigw.RouteSettings) *Throttle {
	if s.ThrottlingRateLimit == nil && s.ThrottlingBurstLimit == nil {
		return nil
	}
	t := &Throttle{rate: accountRate, burst: accountBurst}
	if s.ThrottlingRateLimit != nil {
		t.rate = *s.ThrottlingRateLimit
	}
	if s.ThrottlingBurstLimit != nil {
		t.burst = float64(*s.ThrottlingBurstLimit)
	}
	if t.rate <= 0 {
		t.burst = 0
	}
	t.tokens = t.burst
	return t
}

// Allow takes a token, if there is one at the time now.
func (t *Throttle) Allow(now time.Time) bool {
	if t == nil {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.filled.IsZero() {
		t.filled = now
	}
	if d := now.Sub(t.filled); d > 0 {
		t.tokens = min(t.burst, t.tokens+d.Seconds()*t.rate)
		t.filled = now
	}
	if t.tokens < 1 {
		return false
	}
	t.tokens--
	return true
}
