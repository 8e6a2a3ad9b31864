package upstream

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"tidegate/internal/event"
)

// An Origin is one backend: a scheme, a host and a port. It is safe for
// concurrent use.
type Origin struct {
	client  *Client
	own     atomic.Bool // else net/http calls it
	secure  *tls.Config // nil: without TLS
	address string      // host:port
	base    string      // scheme://host, as it was given

	mu      sync.Mutex
	conns   []*conn
	idle    []*conn // the last one was used last
	waiting []*call // for a connection, in the order of their coming
	dialing int
	closed  bool
}

// assign gives a call a connection: an idle one, or the next that there is. A call
// that is sent a second time takes no idle one: what ended the first may have ended all.
func (o *Origin) assign(c *call) {
	for {
		o.mu.Lock()
		if o.closed {
			o.mu.Unlock()
			c.fail(ErrClosed)
			return
		}
		n := len(o.idle)
		if n == 0 || c.repeated {
			break
		}
		free := o.idle[n-1]
		o.idle[n-1] = nil
		o.idle = o.idle[:n-1]
		o.mu.Unlock()
		if free.begin(c) {
			return
		}
	}
	o.waiting = append(o.waiting, c)
	dial := o.dialsLocked()
	o.mu.Unlock()
	if dial {
		go o.dial()
	}
}

// dialsLocked says whether one more connection is to be opened, and counts it.
func (o *Origin) dialsLocked() bool {
	if o.closed || o.dialing >= len(o.waiting) || len(o.conns)+o.dialing >= o.client.config.MaxConns {
		return false
	}
	o.dialing++
	return true
}

// dial opens a connection for a call that waits.
func (o *Origin) dial() {
	ctx, cancel := context.WithTimeout(context.Background(), o.client.config.DialTimeout)
	defer cancel()
	c, err := o.open(ctx)
	o.mu.Lock()
	o.dialing--
	if err == nil {
		c.place = len(o.conns)
		o.conns = append(o.conns, c)
	}
	var failed *call
	again := false
	if err != nil {
		failed = o.nextLocked()
		again = o.dialsLocked() // for those that there was no room for
	}
	closed := o.closed
	o.mu.Unlock()
	switch {
	case failed != nil:
		failed.fail(err)
	case err == nil && closed:
		c.drop()
	case err == nil:
		o.release(c)
	}
	if again {
		go o.dial()
	}
}

// nextLocked takes the first of the calls that wait, or returns nil.
func (o *Origin) nextLocked() *call {
	for len(o.waiting) > 0 {
		c := o.waiting[0]
		o.waiting[0] = nil
		o.waiting = o.waiting[1:]
		if !c.settled.Load() {
			return c
		}
	}
	o.waiting = nil
	return nil
}

// release takes a connection back that may be used again: a call that waits gets
// it, or it is kept.
func (o *Origin) release(c *conn) {
	o.mu.Lock()
	if next := o.nextLocked(); next != nil {
		o.mu.Unlock()
		if !c.begin(next) {
			o.assign(next)
		}
		return
	}
	keep := !o.closed && len(o.idle) < o.client.config.MaxIdle
	if keep {
		o.idle = append(o.idle, c)
	}
	o.mu.Unlock()
	if !keep {
		c.drop()
	}
}

// lost is told once of each connection that ended. A call that waits may need
// another in its place.
func (o *Origin) lost(c *conn) {
	o.mu.Lock()
	n := len(o.conns) - 1
	o.conns[c.place] = o.conns[n]
	o.conns[c.place].place = c.place
	o.conns[n] = nil
	o.conns = o.conns[:n]
	if i := slices.Index(o.idle, c); i >= 0 {
		o.idle = slices.Delete(o.idle, i, i+1)
	}
	dial := o.dialsLocked()
	o.mu.Unlock()
	if dial {
		go o.dial()
	}
}

// sweep ends calls that are late and connections that were idle for too long. It
// reports what there still is; scratch is the caller's.
func (o *Origin) sweep(now int64, scratch *[]*conn) (busy, idle bool) {
	var late []*call
	var old []*conn
	o.mu.Lock()
	*scratch = append((*scratch)[:0], o.conns...)
	o.waiting = slices.DeleteFunc(o.waiting, func(c *call) bool {
		err := c.late(now)
		if err != nil {
			late = append(late, c)
		}
		return err != nil
	})
	// The first ones were idle for longest.
	for len(o.idle) > len(old) && o.idle[len(old)].rested(now, &o.client.config) {
		old = append(old, o.idle[len(old)])
	}
	o.idle = slices.Delete(o.idle, 0, len(old))
	busy, idle = len(o.waiting) > 0 || o.dialing > 0, len(o.idle) > 0
	o.mu.Unlock()
	for _, c := range late {
		c.fail(c.late(now))
	}
	for _, c := range old {
		c.drop()
	}
	for _, c := range *scratch {
		busy = c.sweep(now) || busy
	}
	clear(*scratch)
	return busy, idle
}

// close ends all there is, and refuses what comes.
func (o *Origin) close() {
	o.mu.Lock()
	o.closed = true
	all, waiting := slices.Clone(o.conns), o.waiting
	o.idle, o.waiting = nil, nil
	o.mu.Unlock()
	for _, c := range all {
		c.end(ErrClosed)
	}
	for _, c := range waiting {
		c.fail(ErrClosed)
	}
}

// other is Do by net/http.
func (o *Origin) other(ctx context.Context, r *Request) (*Response, error) {
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	var body io.Reader
	if len(r.Body) > 0 {
		body = strings.NewReader(string(r.Body)) // a call that is cut short may read on after it has returned
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, o.base+r.Target, body)
	if err != nil {
		return nil, fmt.Errorf("%w: its path or query is no part of a URL", ErrRequest)
	}
	req.Host = r.Host
	for _, f := range r.Header {
		req.Header.Add(f.Name, f.Value)
	}
	resp, err := o.client.config.Other.RoundTrip(req) // a round trip follows no redirects
	if err != nil {
		return nil, orDone(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return nil, ErrSwitched
	}
	if o.secure != nil && resp.ProtoMajor == 1 {
		o.own.Store(true) // it speaks what the client does
	}
	out := &Response{Status: resp.StatusCode, Header: FieldsOf(resp.Header)}
	if r.Method == http.MethodHead {
		return out, nil
	}
	if resp.ContentLength > int64(r.MaxBody) {
		return nil, ErrTooBig
	}
	out.Body, err = io.ReadAll(io.LimitReader(resp.Body, int64(r.MaxBody)+1))
	if err == nil && len(out.Body) > r.MaxBody {
		return nil, ErrTooBig
	}
	return out, orDone(ctx, err)
}

// orDone returns the context's error in place of one that came of it.
func orDone(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// FieldsOf returns a header as fields, sorted by name.
func FieldsOf(header http.Header) []event.Field {
	out := make([]event.Field, 0, len(header))
	for name, values := range header {
		for _, value := range values {
			out = append(out, event.Field{Name: textproto.CanonicalMIMEHeaderKey(name), Value: value})
		}
	}
	sortFields(out)
	return out
}

// sortFields sorts by name; equal names stay in their order.
func sortFields(fields []event.Field) {
	slices.SortStableFunc(fields, func(a, b event.Field) int { return strings.Compare(a.Name, b.Name) })
}
