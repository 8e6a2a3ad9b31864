package identity

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"tidegate/internal/kv"
)

// What begins the keys of roles and of customer-managed policies in the bucket;
// the values are their JSON.
const (
	rolePrefix   = "role/"
	policyPrefix = "policy/"
)

// A store keeps roles and policies in a bucket. Sessions and keys are never
// written.
type store struct{ bucket kv.Bucket }

// load returns everything whose key begins with prefix.
func load[T any](ctx context.Context, s store, prefix string) ([]*T, error) {
	entries, err := s.bucket.List(ctx, prefix)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", prefix, err)
	}
	all := make([]*T, len(entries))
	for i, e := range entries {
		all[i] = new(T)
		if err := json.Unmarshal(e.Value, all[i]); err != nil {
			return nil, fmt.Errorf("under key %s: %w", e.Key, err)
		}
	}
	return all, nil
}

func (s store) put(ctx context.Context, prefix, name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if _, err := s.bucket.Put(ctx, storeKey(prefix, name), data); err != nil {
		return fmt.Errorf("storing %s%s: %w", prefix, name, err)
	}
	return nil
}

func (s store) delete(ctx context.Context, prefix, name string) error {
	if err := s.bucket.Delete(ctx, storeKey(prefix, name)); err != nil {
		return fmt.Errorf("deleting %s%s from the store: %w", prefix, name, err)
	}
	return nil
}

// storeKey is the key of what has that name. Names differ in more than case; what a bucket's
// key can't hold (and '=', which escapes) stands in hexadecimal.
func storeKey(prefix, name string) string {
	var b strings.Builder
	b.WriteString(prefix)
	for _, c := range []byte(strings.ToLower(name)) {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '_', c == '-':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "=%02X", c)
		}
	}
	return b.String()
}
