package tables

import (
	"context"
	"strconv"
	"time"

	"tidegate/internal/awshttp"
)

// A timeToLive names the attribute that holds the second, since 1970, at which
// an item expires.
type timeToLive struct {
	AttributeName string
	Enabled       bool
}

// sweepInterval is how often expired items are looked for. DynamoDB promises
// "within a few days"; a developer wants to see it happen.
const sweepInterval = 30 * time.Second

// maxExpiredAge: what claims to have expired longer ago is not a time in
// seconds, and stays (developer guide, "Using time to live").
const maxExpiredAge = 5 * 365 * 24 * time.Hour

func (s *Service) updateTimeToLive(c *awshttp.Call) (any, error) {
	var in struct {
		TableName               *string
		TimeToLiveSpecification *struct {
			AttributeName string
			Enabled       bool
		}
	}
	if err := decodeStrict(c.Body, &in); err != nil {
		return nil, err
	}
	_, t, err := s.named(c, "UpdateTimeToLive", in.TableName)
	if err != nil {
		return nil, err
	}
	spec := in.TimeToLiveSpecification
	var list constraints
	switch {
	case spec == nil:
		list.add("Value null at 'timeToLiveSpecification' failed to satisfy constraint: Member must not be null")
	case spec.AttributeName == "":
		list.add("Value '' at 'timeToLiveSpecification.attributeName' failed to satisfy constraint: Member must have length greater than or equal to 1")
	case len(spec.AttributeName) > 255:
		list.add("Value '%s' at 'timeToLiveSpecification.attributeName' failed to satisfy constraint: Member must have length less than or equal to 255", spec.AttributeName)
	}
	if err := list.err(); err != nil {
		return nil, err
	}
	if t == nil {
		return nil, tableNotFound()
	}
	err = s.alter(t, func() error {
		on := t.ttl != nil && t.ttl.Enabled
		switch {
		case on && spec.Enabled && t.ttl.AttributeName != spec.AttributeName:
			return invalid("TimeToLive is active on a different AttributeName: current AttributeName is " + t.ttl.AttributeName)
		case on == spec.Enabled && on:
			return invalid("TimeToLive is already enabled")
		case on == spec.Enabled:
			return invalid("TimeToLive is already disabled")
		case on && t.ttl.AttributeName != spec.AttributeName:
			return invalid("TimeToLive is active on a different AttributeName: current AttributeName is " + t.ttl.AttributeName)
		}
		t.ttl = &timeToLive{spec.AttributeName, spec.Enabled}
		return nil
	})
	if err != nil {
		return nil, err
	}
	select {
	case s.changed <- struct{}{}:
	default:
	}
	return map[string]any{"TimeToLiveSpecification": timeToLive{spec.AttributeName, spec.Enabled}}, nil
}

func (s *Service) describeTimeToLive(c *awshttp.Call) (any, error) {
	var in struct{ TableName *string }
	if err := decodeStrict(c.Body, &in); err != nil {
		return nil, err
	}
	name, t, err := s.named(c, "DescribeTimeToLive", in.TableName)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, namedTableNotFound(name)
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	out := map[string]string{"TimeToLiveStatus": "DISABLED"}
	if t.ttl != nil && t.ttl.Enabled {
		out["TimeToLiveStatus"], out["AttributeName"] = "ENABLED", t.ttl.AttributeName
	}
	return map[string]any{"TimeToLiveDescription": out}, nil
}

// sweep deletes expired items until ctx ends. It sleeps on the clock only while
// a table has a time to live.
func (s *Service) sweep(ctx context.Context) {
	for {
		if !s.expireAll() {
			select {
			case <-s.changed:
				continue
			case <-ctx.Done():
				return
			}
		}
		timer := s.clock.NewTimer(sweepInterval)
		select {
		case <-timer.C():
		case <-s.changed:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// expireAll deletes what has expired and tells whether any table has a time to
// live.
func (s *Service) expireAll() bool {
	s.mu.RLock()
	var tables []*table
	for _, t := range s.tables {
		tables = append(tables, t)
	}
	s.mu.RUnlock()
	any := false
	for _, t := range tables {
		any = s.expire(t) || any
	}
	return any
}

// sweepRows is how many rows are looked at under one lock, so that writers wait
// for a millisecond and not for the whole table.
const sweepRows = 1000

// expire deletes the table's expired items, a few under each lock.
func (s *Service) expire(t *table) bool {
	now := s.clock.Now()
	for from, more := "", true; more; {
		var keys []string
		t.mu.RLock()
		if t.ttl == nil || !t.ttl.Enabled {
			t.mu.RUnlock()
			return false
		}
		name, seen := t.ttl.AttributeName, 0
		more = false
		t.rows.Ascend(from, func(key string, r *row) bool {
			if seen++; seen > sweepRows {
				from, more = key, true
				return false
			}
			if expired(r.item.get(name), now) {
				keys = append(keys, key)
			}
			return true
		})
		t.mu.RUnlock()
		for len(keys) > 0 {
			n := min(len(keys), 100)
			if s.expireKeys(t, keys[:n], now) != nil {
				return true // the store refuses writes, and says so to every caller
			}
			keys = keys[n:]
		}
	}
	return true
}

// expireKeys looks again under the lock: an item may have changed since.
func (s *Service) expireKeys(t *table, keys []string, now time.Time) error {
	t.mu.Lock()
	if t.dropped || t.ttl == nil || !t.ttl.Enabled {
		t.mu.Unlock()
		return nil
	}
	var records []record
	for _, k := range keys {
		if r, found := t.rows.Get(k); found && expired(r.item.get(t.ttl.AttributeName), now) {
			t.remove(k)
			records = append(records, record{kind: recordDrop, table: t.desc.TableId, key: k})
		}
	}
	if len(records) == 0 {
		t.mu.Unlock()
		return nil
	}
	c := s.store.append(records...)
	t.mu.Unlock()
	return c.wait()
}

// expired tells whether v is a time, in seconds, before now but not absurdly
// long before.
func expired(v value, now time.Time) bool {
	if v.kind != kindNumber {
		return false
	}
	sec, err := strconv.ParseFloat(v.text, 64) // a time needs no 38 digits
	if err != nil {
		return false
	}
	age := float64(now.UnixMilli())/1000 - sec
	return age > 0 && age < maxExpiredAge.Seconds()
}
