package gateway

import (
	"fmt"
	"net/http"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/connection"
	"tidegate/internal/stage"
)

// AdmitCall takes a call of @connections from the account's rate and burst, of
// which messages and handshakes take too. It returns false when they are used up.
// WS-08-029
func (g *Gateway) AdmitCall() bool { return g.account == nil || g.account.Allow(g.now()) }

// admitRate holds a handshake against every throttle: the account's rate of new
// connections, the route's or the stage's, the account's. The order of the last
// two is AWS's. WS-08-020, WS-08-026
func (g *Gateway) admitRate(s *stage.Stage, now time.Time) *Rejection {
	own := s.Throttle
	if route := s.Connect(); route != nil {
		own = route.Throttle
	}
	refused := func(o Outcome, why error) *Rejection {
		return &Rejection{Status: http.StatusTooManyRequests, Text: textTooManyRequests, Outcome: o, Err: why}
	}
	switch {
	case !g.connects.Allow(now):
		return refused(ConnectionThrottled, errConnections)
	case !own.Allow(now):
		return refused(Throttled, throttledBy(s, s.Connect()))
	case !g.account.Allow(now):
		return refused(AccountThrottled, errAccount)
	}
	return nil
}

// throttledBy says whose rate or burst is used up: the route's own or the stage's.
func throttledBy(s *stage.Stage, route *stage.Route) error {
	if route == nil || route.Throttle == s.Throttle {
		return fmt.Errorf("%w: that of stage %s, %v", errThrottled, s.Name, s.Throttle)
	}
	return fmt.Errorf("%w: that of route %s in stage %s, %v", errThrottled, route.Key, s.Name, route.Throttle)
}

// throttle holds a message against its route's or stage's throttle and the
// account's; route may be nil. It returns the zero verdict when there is room. A
// client that goes on and on nevertheless is to be closed. WS-08-022 to WS-08-027,
// WS-01-055
func (g *Gateway) throttle(c *connection.Connection, s *stage.Stage, route *stage.Route, now time.Time) (verdict, error) {
	v := verdict{status: http.StatusTooManyRequests, text: textTooManyRequests}
	var why error
	switch {
	case route != nil && !route.Throttle.Allow(now):
		v.outcome, why = Throttled, throttledBy(s, route)
	case !g.account.Allow(now):
		v.outcome, why = AccountThrottled, errAccount
	default:
		c.Admitted()
		return verdict{}, nil
	}
	if g.limits.Refused > 0 && c.Refused(now, apigw.RefusedWindow) >= g.limits.Refused {
		v.outcome = Misbehaving
		why = fmt.Errorf("%w, and this was the client's message number %d in a row over it within %v: it is closed with %d", why, g.limits.Refused, apigw.RefusedWindow, closePolicy)
	}
	return v, why
}
