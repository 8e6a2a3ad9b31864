package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"tidegate/internal/apigw"
	"tidegate/internal/kv"
)

// Custom domain names lie beside the APIs, one key a domain with its mappings:
// domains/{name}.
const domainPrefix = "domains/"

// storedDomain is the stored form of a custom domain name.
type storedDomain struct {
	V      int           `json:"v"`
	Domain *apigw.Domain `json:"domain"`
}

// domainKey returns the key of a domain. A star is no letter of a key's.
func domainKey(name string) string { return domainPrefix + strings.Replace(name, "*", "_wildcard", 1) }

func encodeDomain(d *apigw.Domain) ([]byte, error) {
	value, err := json.Marshal(storedDomain{V: version, Domain: d})
	if err != nil {
		return nil, fmt.Errorf("catalog: encode domain %s: %w", d.Name, err)
	}
	if len(value) > kv.MaxValue {
		return nil, fmt.Errorf("%w: domain %s needs %d bytes, at most %d fit", ErrTooLarge, d.Name, len(value), kv.MaxValue)
	}
	return value, nil
}

func decodeDomain(e kv.Entry) (*apigw.Domain, error) {
	var s storedDomain
	if err := json.Unmarshal(e.Value, &s); err != nil {
		return nil, fmt.Errorf("catalog: %s is damaged: %w", e.Key, err)
	}
	if s.V != version || s.Domain == nil {
		return nil, versionError(e.Key, s.V)
	}
	return s.Domain, nil
}

// CreateDomain stores a new domain and returns its revision, or ErrExists.
func (c *Catalog) CreateDomain(ctx context.Context, d *apigw.Domain) (uint64, error) {
	value, err := encodeDomain(d)
	if err != nil {
		return 0, err
	}
	rev, err := c.bucket.Swap(ctx, domainKey(d.Name), value, 0)
	if errors.Is(err, kv.ErrConflict) {
		return 0, fmt.Errorf("%w: domain %s", ErrExists, d.Name)
	}
	return rev, err
}

// Domain returns the domain, a copy of the caller's own, and its revision.
func (c *Catalog) Domain(ctx context.Context, name string) (*apigw.Domain, uint64, error) {
	e, err := c.bucket.Get(ctx, domainKey(name))
	if errors.Is(err, kv.ErrNotFound) || errors.Is(err, kv.ErrInvalid) || strings.Contains(name, "/") {
		return nil, 0, fmt.Errorf("%w: domain %q", ErrNotFound, name)
	}
	if err != nil {
		return nil, 0, err
	}
	d, err := decodeDomain(e)
	return d, e.Revision, err
}

// Domains returns every domain, sorted by name.
func (c *Catalog) Domains(ctx context.Context) ([]*apigw.Domain, error) {
	entries, err := c.bucket.List(ctx, domainPrefix)
	if err != nil {
		return nil, err
	}
	domains := make([]*apigw.Domain, 0, len(entries))
	for _, e := range entries {
		d, err := decodeDomain(e)
		if err != nil {
			return nil, err
		}
		domains = append(domains, d)
	}
	return domains, nil
}

// UpdateDomain is Update for a domain.
func (c *Catalog) UpdateDomain(ctx context.Context, name string, fn func(*apigw.Domain) error) (*apigw.Domain, uint64, error) {
	for range maxAttempts {
		d, rev, err := c.Domain(ctx, name)
		if err != nil {
			return nil, 0, err
		}
		if err := fn(d); err != nil {
			return nil, 0, err
		}
		value, err := encodeDomain(d)
		if err != nil {
			return nil, 0, err
		}
		rev, err = c.bucket.Swap(ctx, domainKey(name), value, rev)
		if errors.Is(err, kv.ErrConflict) {
			continue
		}
		return d, rev, err
	}
	return nil, 0, fmt.Errorf("%w: %s", ErrBusy, name)
}

// DeleteDomain removes the domain with its mappings and returns a revision above
// its last one. No such domain is ErrNotFound.
func (c *Catalog) DeleteDomain(ctx context.Context, name string) (uint64, error) {
	_, rev, err := c.Domain(ctx, name)
	if err != nil {
		return 0, err
	}
	return rev + 1, c.bucket.Delete(ctx, domainKey(name))
}

// A DomainChange is what a WatchDomains sends.
type DomainChange struct {
	Name     string        // empty once, after all that was present
	Domain   *apigw.Domain // nil when it was deleted or couldn't be read
	Revision uint64
	Err      error // why it couldn't be read
}

// WatchDomains is Watch for domains.
func (c *Catalog) WatchDomains(ctx context.Context) (<-chan DomainChange, error) {
	return watch(ctx, c.bucket, domainPrefix, func(e kv.Entry) DomainChange {
		change := DomainChange{Name: strings.Replace(strings.TrimPrefix(e.Key, domainPrefix), "_wildcard", "*", 1), Revision: e.Revision}
		if e.Key != "" && !e.Deleted {
			change.Domain, change.Err = decodeDomain(e)
		}
		return change
	})
}
