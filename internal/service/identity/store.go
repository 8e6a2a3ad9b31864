package identity

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"tidegate/internal/kv"
)

// rolePrefix begins the key of every role in the bucket; the value is the
// Role's JSON.
const rolePrefix = "role/"

// A store keeps roles in a bucket. Sessions and keys are never written.
type store struct{ bucket kv.Bucket }

// load returns every role.
func (s store) load(ctx context.Context) ([]*Role, error) {
	entries, err := s.bucket.List(ctx, rolePrefix)
	if err != nil {
		return nil, fmt.Errorf("reading the roles: %w", err)
	}
	roles := make([]*Role, len(entries))
	for i, e := range entries {
		roles[i] = &Role{}
		if err := json.Unmarshal(e.Value, roles[i]); err != nil {
			return nil, fmt.Errorf("role under key %s: %w", e.Key, err)
		}
	}
	return roles, nil
}

func (s store) put(ctx context.Context, r *Role) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if _, err := s.bucket.Put(ctx, roleKey(r.Name), data); err != nil {
		return fmt.Errorf("storing role %s: %w", r.Name, err)
	}
	return nil
}

func (s store) delete(ctx context.Context, name string) error {
	if err := s.bucket.Delete(ctx, roleKey(name)); err != nil {
		return fmt.Errorf("deleting role %s from the store: %w", name, err)
	}
	return nil
}

// roleKey is the role's key. Names differ in more than case; what a bucket's
// key can't hold (and '=', which escapes) stands in hexadecimal.
func roleKey(name string) string {
	var b strings.Builder
	b.WriteString(rolePrefix)
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
