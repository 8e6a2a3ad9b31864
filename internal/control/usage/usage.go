// Package usage holds API keys and usage plans, and decides which key may
// connect to which stage, how fast and how often: the small part of API
// Gateway's version 1 that WebSocket APIs share.
//
// Source: https://docs.aws.amazon.com/apigateway/latest/api/API_Operations.html
package usage

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/kv"
	"tidegate/internal/throttle"
)

// A Key is an API key.
type Key struct {
	ID, Name, Description, CustomerID string
	Value                             string // the secret that callers send
	Enabled                           bool
	Tags                              map[string]string
	Created, Updated                  time.Time
}

// A Plan says how the keys in it may use its stages.
type Plan struct {
	ID, Name, Description string
	Stages                []Stage
	RateLimit             *float64 // requests a second, for each key; nil: no throttle
	BurstLimit            *int
	Quota                 *Quota
	Keys                  []string // ids
	Tags                  map[string]string
}

// A Stage is one that a plan lets its keys use.
type Stage struct {
	APIID string
	Stage apigw.StageName
}

// A Quota is how many requests a key may make in a period.
type Quota struct {
	Limit, Offset int // Offset is taken from the first period
	Period        string
}

// The periods of quotas.
const (
	Day   = "DAY"
	Week  = "WEEK"
	Month = "MONTH"
)

// A count is how often a key was used under a plan.
type count struct {
	Days    map[string]int // by date, 2006-01-02
	Period  string         // the quota's present period, by its first day
	Used    int            // in the present period
	Changed bool           `json:"-"`
}

// keptDays bounds the days that a key's usage is told of.
const keptDays = 90

// A Service is safe for concurrent use.
type Service struct {
	store kv.Bucket
	now   func() time.Time
	write sync.Mutex // one writer of keys and plans at a time

	mu      sync.Mutex
	keys    map[string]*Key
	plans   map[string]*Plan
	byValue map[[sha256.Size]byte]string // key ids by their values' hashes: looking a value up tells nothing about others
	counts  map[string]*count            // by plan id "." key id
	buckets map[string]*throttle.Bucket  // a key's throttle under a plan, as counts
	most    quotas
	wake    chan struct{}
}

// Open reads what the store holds.
func Open(ctx context.Context, store kv.Bucket, now func() time.Time) (*Service, error) {
	s := &Service{store: store, now: now, keys: map[string]*Key{}, plans: map[string]*Plan{}, byValue: map[[sha256.Size]byte]string{},
		counts: map[string]*count{}, buckets: map[string]*throttle.Bucket{}, most: quotas{apigw.MaxAPIKeys, apigw.MaxUsagePlans}, wake: make(chan struct{}, 1)}
	entries, err := store.List(ctx, "")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		kind, id, _ := strings.Cut(e.Key, "/")
		switch kind {
		case "keys":
			var k Key
			err = json.Unmarshal(e.Value, &k)
			s.keys[id], s.byValue[sha256.Sum256([]byte(k.Value))] = &k, id
		case "plans":
			var p Plan
			err = json.Unmarshal(e.Value, &p)
			s.plans[id] = &p
		case "counts":
			var c count
			err = json.Unmarshal(e.Value, &c)
			s.counts[id] = &c
		}
		if err != nil {
			return nil, fmt.Errorf("usage: %s is damaged: %w", e.Key, err)
		}
	}
	return s, nil
}

// quotas are how many keys and plans there may be.
type quotas struct{ keys, plans int }

// Bound sets how many keys and plans there may be, before anything is served.
// Without it they are AWS's quotas.
func (s *Service) Bound(keys, plans int) { s.most = quotas{keys, plans} }

// Run writes counts down until ctx ends, and then a last time.
func (s *Service) Run(ctx context.Context) {
	for ended := false; !ended; {
		select {
		case <-s.wake:
		case <-ctx.Done():
			ended = true
		}
		s.mu.Lock()
		changed := map[string][]byte{}
		for id, c := range s.counts {
			if c.Changed {
				changed[id], _ = json.Marshal(c) // texts and numbers can't fail
				c.Changed = false
			}
		}
		s.mu.Unlock()
		for id, value := range changed {
			// A failure costs the count of this moment; the next one holds it again.
			_, _ = s.store.Put(context.WithoutCancel(ctx), "counts/"+id, value)
		}
	}
}

// Admit counts a request with the key's value to a stage (WS-06-092 to WS-06-100), and
// returns the key's id where the value is a key's. The error wraps apigw.ErrKey…, and tells which
// key and plan, never the value.
func (s *Service) Admit(value, apiID string, stage apigw.StageName) (keyID string, err error) {
	if value == "" {
		return "", fmt.Errorf("%w: the request has none", apigw.ErrKeyForbidden)
	}
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	id, ok := s.byValue[sha256.Sum256([]byte(value))]
	if !ok {
		return "", fmt.Errorf("%w: there is no such key", apigw.ErrKeyForbidden)
	}
	if !s.keys[id].Enabled {
		return id, fmt.Errorf("%w: the key %s is disabled", apigw.ErrKeyForbidden, id)
	}
	var plan *Plan
	for _, p := range sorted(s.plans) {
		if slices.Contains(p.Keys, id) && slices.Contains(p.Stages, Stage{apiID, stage}) {
			plan = p
			break
		}
	}
	if plan == nil {
		return id, fmt.Errorf("%w: the key %s is in no usage plan with the stage %s of API %s", apigw.ErrKeyForbidden, id, stage, apiID)
	}
	pair := plan.ID + "." + id
	if !s.take(pair, plan, now) {
		return id, fmt.Errorf("%w: the key %s under the usage plan %s", apigw.ErrKeyThrottled, id, plan.ID)
	}
	c := s.counted(pair, plan, now)
	if plan.Quota != nil && c.Used >= plan.Quota.Limit {
		return id, fmt.Errorf("%w: the key %s has made the %d requests of a %s that the usage plan %s allows", apigw.ErrKeyQuota, id, plan.Quota.Limit, plan.Quota.Period, plan.ID)
	}
	c.Used++
	c.Days[now.UTC().Format(time.DateOnly)]++
	c.Changed = true
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return id, nil
}

// take takes a token of the key's throttle. Where the plan gives a burst alone,
// the account's rate holds; a rate alone is the burst too.
func (s *Service) take(pair string, p *Plan, now time.Time) bool {
	if p.RateLimit == nil && p.BurstLimit == nil {
		return true
	}
	rate := float64(apigw.AccountRate)
	if p.RateLimit != nil {
		rate = *p.RateLimit
	}
	burst := int(min(max(rate, 1), math.MaxInt32))
	if p.BurstLimit != nil {
		burst = *p.BurstLimit
	}
	b := s.buckets[pair]
	if b == nil {
		b = throttle.New(rate, burst)
		s.buckets[pair] = b
	}
	b.Change(rate, burst) // the plan may have changed since
	return b.Allow(now)
}

// counted returns the count of a key under a plan, as of the present period.
func (s *Service) counted(pair string, p *Plan, now time.Time) *count {
	c := s.counts[pair]
	if c == nil {
		c = &count{Days: map[string]int{}}
		s.counts[pair] = c
	}
	if period := periodOf(p.Quota, now); c.Period != period {
		c.Used = 0
		if c.Period == "" && p.Quota != nil {
			c.Used = p.Quota.Offset
		}
		c.Period = period
	}
	oldest := now.UTC().AddDate(0, 0, -keptDays).Format(time.DateOnly)
	for day := range c.Days {
		if day < oldest {
			delete(c.Days, day)
		}
	}
	return c
}

// periodOf names the quota's period by its first day, in UTC. Weeks begin on
// Sundays.
func periodOf(q *Quota, now time.Time) string {
	now = now.UTC()
	switch {
	case q == nil:
		return "-"
	case q.Period == Week:
		now = now.AddDate(0, 0, -int(now.Weekday()))
	case q.Period == Month:
		now = now.AddDate(0, 0, 1-now.Day())
	}
	return now.Format(time.DateOnly)
}

// Errors to be tested with errors.Is.
var (
	errNotFound = errors.New("not found")
	errConflict = errors.New("conflict")
	errInvalid  = errors.New("invalid")
	errTooMany  = errors.New("too many")
)

// putKey and putPlan store and then publish. The caller holds write.
func (s *Service) putKey(ctx context.Context, k *Key) error {
	value, err := json.Marshal(k)
	if err != nil {
		return err
	}
	if _, err := s.store.Put(ctx, "keys/"+k.ID, value); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[k.ID], s.byValue[sha256.Sum256([]byte(k.Value))] = k, k.ID
	return nil
}

func (s *Service) putPlan(ctx context.Context, p *Plan) error {
	value, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if _, err := s.store.Put(ctx, "plans/"+p.ID, value); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plans[p.ID] = p
	return nil
}

// key and plan return copies that may be changed and put.
func (s *Service) key(id string) (*Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.keys[id]
	if k == nil {
		return nil, fmt.Errorf("%w: Invalid API Key identifier specified", errNotFound)
	}
	own := *k
	return &own, nil
}

func (s *Service) plan(id string) (*Plan, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.plans[id]
	if p == nil {
		return nil, fmt.Errorf("%w: Invalid Usage Plan ID specified", errNotFound)
	}
	own := *p
	own.Keys, own.Stages = slices.Clone(p.Keys), slices.Clone(p.Stages)
	if p.Quota != nil {
		q := *p.Quota
		own.Quota = &q
	}
	return &own, nil
}

func (s *Service) deleteKey(ctx context.Context, id string) error {
	k, err := s.key(id)
	if err != nil {
		return err
	}
	for _, p := range s.allPlans() {
		if i := slices.Index(p.Keys, id); i >= 0 {
			if err := s.removeFromPlan(ctx, p.ID, id); err != nil {
				return err
			}
		}
	}
	if err := s.store.Delete(ctx, "keys/"+id); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.keys, id)
	delete(s.byValue, sha256.Sum256([]byte(k.Value)))
	return nil
}

func (s *Service) removeFromPlan(ctx context.Context, planID, keyID string) error {
	p, err := s.plan(planID)
	if err != nil {
		return err
	}
	i := slices.Index(p.Keys, keyID)
	if i < 0 {
		return fmt.Errorf("%w: Invalid API Key identifier specified", errNotFound)
	}
	p.Keys = slices.Delete(p.Keys, i, i+1)
	if err := s.putPlan(ctx, p); err != nil {
		return err
	}
	return s.forget(ctx, planID+"."+keyID)
}

// forget drops what a key used under a plan.
func (s *Service) forget(ctx context.Context, pair string) error {
	s.mu.Lock()
	delete(s.counts, pair)
	delete(s.buckets, pair)
	s.mu.Unlock()
	return s.store.Delete(ctx, "counts/"+pair)
}

func (s *Service) deletePlan(ctx context.Context, id string) error {
	p, err := s.plan(id)
	if err != nil {
		return err
	}
	if len(p.Stages) > 0 {
		return fmt.Errorf("%w: Cannot delete Usage Plan %s because there are API stages associated with it. Please remove all API stages first", errInvalid, id)
	}
	for _, k := range p.Keys {
		if err := s.forget(ctx, id+"."+k); err != nil {
			return err
		}
	}
	if err := s.store.Delete(ctx, "plans/"+id); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.plans, id)
	return nil
}

func (s *Service) allKeys() []*Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	return sorted(s.keys)
}

func (s *Service) allPlans() []*Plan {
	s.mu.Lock()
	defer s.mu.Unlock()
	return sorted(s.plans)
}

func sorted[V any](m map[string]V) []V {
	ids := make([]string, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	out := make([]V, len(ids))
	for i, id := range ids {
		out[i] = m[id]
	}
	return out
}

// newID returns an id or value of n characters, as AWS's look.
func newID(n int) string {
	const alphabet = "abcdefghijklmnopqrstuvwxyz234567"
	b := make([]byte, n)
	rand.Read(b) // never fails: crypto/rand aborts the program instead
	for i := range b {
		b[i] = alphabet[b[i]&31]
	}
	return string(b)
}
