package catalog

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"tidegate/internal/apigw"
	"tidegate/internal/kv"
)

// maxSnapshot bounds a snapshot, in bytes.
const maxSnapshot = 128 << 20

// Snapshot writes down APIs as they are stored, with what the deployments of their
// stages froze, for OpenSnapshot in another process. Stages that keep refuses aren't
// in it, and neither are APIs without any other. It is nil when nothing is in it.
func (c *Catalog) Snapshot(ctx context.Context, keep func(*apigw.API, apigw.StageName) bool) ([]byte, error) {
	apis, err := c.List(ctx)
	if err != nil {
		return nil, err
	}
	var all []kv.Entry
	size := 0
	for _, api := range apis {
		deployments := map[string]bool{}
		for name, st := range api.Stages {
			if keep(api, name) {
				deployments[st.DeploymentID] = true
			} else {
				delete(api.Stages, name)
			}
		}
		if len(deployments) == 0 {
			continue
		}
		value, err := c.encode(api)
		if err != nil {
			return nil, err
		}
		entries := []kv.Entry{{Key: c.key(api.ID), Value: value, Revision: 1}}
		for id := range deployments {
			chunks, err := c.bucket.List(ctx, definitionPrefix(api.ID, id))
			if err != nil {
				return nil, err
			}
			entries = append(entries, chunks...)
		}
		for _, e := range entries {
			size += len(e.Value)
		}
		if all = append(all, entries...); size > maxSnapshot {
			return nil, fmt.Errorf("%w: APIs with %d bytes and more, at most %d fit into a snapshot", ErrTooLarge, size, maxSnapshot)
		}
	}
	if all == nil {
		return nil, nil
	}
	return json.Marshal(all)
}

// OpenSnapshot returns a catalog of what Snapshot wrote. It can be read, not
// followed or changed.
func OpenSnapshot(snapshot []byte) (*Catalog, error) {
	var b readOnly
	if err := json.Unmarshal(snapshot, &b); err != nil {
		return nil, fmt.Errorf("catalog: a snapshot is damaged: %w", err)
	}
	slices.SortFunc(b, func(x, y kv.Entry) int { return cmp.Compare(x.Key, y.Key) })
	return over(b), nil
}

// A readOnly is a kv.Bucket of these entries, sorted by key.
type readOnly []kv.Entry

var errReadOnly = errors.New("catalog: a snapshot can only be read")

func (b readOnly) Get(_ context.Context, key string) (kv.Entry, error) {
	i, ok := slices.BinarySearchFunc(b, key, func(e kv.Entry, key string) int { return cmp.Compare(e.Key, key) })
	if !ok {
		return kv.Entry{}, fmt.Errorf("%w: %s", kv.ErrNotFound, key)
	}
	return b[i], nil
}

func (b readOnly) List(_ context.Context, prefix string) ([]kv.Entry, error) {
	var found []kv.Entry
	for _, e := range b {
		if strings.HasPrefix(e.Key, prefix) {
			found = append(found, e)
		}
	}
	return found, nil
}

func (readOnly) Put(context.Context, string, []byte) (uint64, error) { return 0, errReadOnly }
func (readOnly) Swap(context.Context, string, []byte, uint64) (uint64, error) {
	return 0, errReadOnly
}
func (readOnly) Delete(context.Context, string) error { return errReadOnly }
func (readOnly) Watch(context.Context, string) (<-chan kv.Entry, error) {
	return nil, errReadOnly
}
