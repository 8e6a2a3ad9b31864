package schedules

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"tidegate/internal/kv"
)

const (
	// rulePrefix begins the key of every rule; the value is the Rule's JSON.
	rulePrefix = "rule/"
	// throughKey holds the moment up to which every due firing was started, in
	// RFC 3339. What lies between it and a restart was missed.
	throughKey = "through"
)

// A store keeps rules in a bucket.
type store struct{ bucket kv.Bucket }

func (s store) load(ctx context.Context) ([]*Rule, error) {
	entries, err := s.bucket.List(ctx, rulePrefix)
	if err != nil {
		return nil, fmt.Errorf("reading the rules: %w", err)
	}
	rules := make([]*Rule, len(entries))
	for i, e := range entries {
		rules[i] = &Rule{}
		if err := json.Unmarshal(e.Value, rules[i]); err != nil {
			return nil, fmt.Errorf("rule under key %s: %w", e.Key, err)
		}
	}
	return rules, nil
}

func (s store) put(ctx context.Context, r *Rule) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if _, err := s.bucket.Put(ctx, ruleKey(r.Name), data); err != nil {
		return fmt.Errorf("storing rule %s: %w", r.Name, err)
	}
	return nil
}

func (s store) delete(ctx context.Context, name string) error {
	if err := s.bucket.Delete(ctx, ruleKey(name)); err != nil {
		return fmt.Errorf("deleting rule %s from the store: %w", name, err)
	}
	return nil
}

// through returns the zero time when none was stored yet.
func (s store) through(ctx context.Context) (time.Time, error) {
	e, err := s.bucket.Get(ctx, throughKey)
	if errors.Is(err, kv.ErrNotFound) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("reading up to when rules were fired: %w", err)
	}
	t, err := time.Parse(time.RFC3339Nano, string(e.Value))
	if err != nil {
		return t, fmt.Errorf("key %s: %w", throughKey, err)
	}
	return t, nil
}

func (s store) putThrough(ctx context.Context, t time.Time) error {
	if _, err := s.bucket.Put(ctx, throughKey, []byte(t.UTC().Format(time.RFC3339Nano))); err != nil {
		return fmt.Errorf("storing up to when rules were fired: %w", err)
	}
	return nil
}

// ruleKey is the rule's key. Keys may not hold every arrangement of dots that
// names may, so a dot stands as "=2E".
func ruleKey(name string) string {
	return rulePrefix + strings.ReplaceAll(name, ".", "=2E")
}
