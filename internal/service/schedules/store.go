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
	// schedulePrefix begins the key of every schedule, groupPrefix that of every
	// group; the values are JSON likewise.
	schedulePrefix = "schedule/"
	groupPrefix    = "group/"
	// throughKey holds the moment up to which every due firing was started, in
	// RFC 3339. What lies between it and a restart was missed.
	throughKey = "through"
)

// A store keeps rules, schedules and groups in a bucket.
type store struct{ bucket kv.Bucket }

func (s store) rules(ctx context.Context) ([]*Rule, error) {
	return load[Rule](ctx, s.bucket, rulePrefix)
}

func (s store) schedules(ctx context.Context) ([]*Schedule, error) {
	return load[Schedule](ctx, s.bucket, schedulePrefix)
}

func (s store) groups(ctx context.Context) ([]*Group, error) {
	return load[Group](ctx, s.bucket, groupPrefix)
}

// load reads every value whose key begins with the prefix.
func load[T any](ctx context.Context, bucket kv.Bucket, prefix string) ([]*T, error) {
	entries, err := bucket.List(ctx, prefix)
	if err != nil {
		return nil, fmt.Errorf("reading what is under %s: %w", prefix, err)
	}
	out := make([]*T, len(entries))
	for i, e := range entries {
		out[i] = new(T)
		if err := json.Unmarshal(e.Value, out[i]); err != nil {
			return nil, fmt.Errorf("key %s: %w", e.Key, err)
		}
	}
	return out, nil
}

func (s store) putRule(ctx context.Context, r *Rule) error { return s.put(ctx, ruleKey(r.Name), r) }

func (s store) putSchedule(ctx context.Context, sc *Schedule) error {
	return s.put(ctx, scheduleKeyOf(sc.Group, sc.Name), sc)
}

func (s store) putGroup(ctx context.Context, g *Group) error {
	return s.put(ctx, groupPrefix+keyPart(g.Name), g)
}

func (s store) put(ctx context.Context, key string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if _, err := s.bucket.Put(ctx, key, data); err != nil {
		return fmt.Errorf("storing %s: %w", key, err)
	}
	return nil
}

func (s store) delete(ctx context.Context, key string) error {
	if err := s.bucket.Delete(ctx, key); err != nil {
		return fmt.Errorf("deleting %s from the store: %w", key, err)
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

// ruleKey is the rule's key.
func ruleKey(name string) string { return rulePrefix + keyPart(name) }

// scheduleKeyOf is the schedule's key.
func scheduleKeyOf(group, name string) string {
	return schedulePrefix + keyPart(group) + "/" + keyPart(name)
}

// keyPart is a name as keys may hold it. They may not hold every arrangement of
// dots that names may, so a dot stands as "=2E".
func keyPart(name string) string { return strings.ReplaceAll(name, ".", "=2E") }
