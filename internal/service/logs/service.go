// Package logs is the part of CloudWatch Logs that keeps and tails the logs of
// functions and stages: log groups, log streams and their events, and filter patterns. What
// analyses logs (Insights, metric filters, subscriptions) is not here.
//
// Events lie in files below the data dir, in segments of a log group each. They
// are bounded: of a group the newest 16 MiB are kept, of all groups 256 MiB. A
// stream whose events are gone is gone too.
package logs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"tidegate/internal/awshttp"
	"tidegate/internal/clock"
	"tidegate/internal/kv"
)

// Config is what New needs. Zero bounds mean the defaults.
type Config struct {
	Dir    string    // where events lie; made when it isn't there
	Bucket kv.Bucket // log groups, by the hash of their name
	Gate   *awshttp.Gate
	Clock  clock.Clock // nil means the machine's
	Region string
	// Account is the account of the ARNs.
	Account string
	// Writers are service principals that may write to any group: Lambda's and API
	// Gateway's. What they write to is made when it isn't there.
	Writers []string

	SegmentBytes int64 // of a file; 4 MiB
	GroupBytes   int64 // of a log group; 16 MiB
	TotalBytes   int64 // of all; 256 MiB
}

// Bounds that no caller can lift.
const (
	maxGroups  = 1000
	maxStreams = 10000 // of a log group
)

// A Service is CloudWatch Logs. It is safe for concurrent use.
type Service struct {
	Config

	mu     sync.Mutex
	groups map[string]*group // by name
}

// New opens the service; events written before are there.
func New(ctx context.Context, c Config) (*Service, error) {
	if c.Clock == nil {
		c.Clock = clock.System
	}
	for _, d := range []struct {
		v   *int64
		def int64
	}{{&c.SegmentBytes, 4 << 20}, {&c.GroupBytes, 16 << 20}, {&c.TotalBytes, 256 << 20}} {
		if *d.v == 0 {
			*d.v = d.def
		}
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("logs: %w", err)
	}
	s := &Service{Config: c, groups: map[string]*group{}}
	entries, err := c.Bucket.List(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("logs: read the log groups: %w", err)
	}
	for _, e := range entries {
		g := &group{id: e.Key, dir: filepath.Join(c.Dir, e.Key)}
		if err := json.Unmarshal(e.Value, &g.meta); err != nil {
			return nil, fmt.Errorf("logs: the record of log group %s is damaged: %w", e.Key, err)
		}
		if err := g.open(); err != nil {
			return nil, err
		}
		s.groups[g.meta.Name] = g
	}
	return s, nil
}

// Close closes every file.
func (s *Service) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, g := range s.groups {
		errs = append(errs, g.close())
	}
	return errors.Join(errs...)
}

// find returns a group.
func (s *Service) find(name string) (*group, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.groups[name]
	if g == nil {
		return nil, notFound("The specified log group does not exist.")
	}
	return g, nil
}

// sorted returns the groups by name.
func (s *Service) sorted() []*group {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*group, 0, len(s.groups))
	for _, g := range s.groups {
		all = append(all, g)
	}
	slices.SortFunc(all, func(a, b *group) int { return strings.Compare(a.meta.Name, b.meta.Name) })
	return all
}

// idOf is a group's key and folder: its name may have any length and a slash.
func idOf(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:16])
}

// create makes a log group.
func (s *Service) create(ctx context.Context, name string, tags map[string]string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.groups[name] != nil {
		return alreadyExists("The specified log group already exists")
	}
	if len(s.groups) >= maxGroups {
		return limitExceeded(fmt.Sprintf("Tidegate keeps %d log groups at most; delete one", maxGroups))
	}
	g := &group{id: idOf(name), dir: filepath.Join(s.Dir, idOf(name)), meta: meta{Name: name, Created: s.now(), Tags: tags}}
	if err := g.open(); err != nil {
		return err
	}
	if err := s.save(ctx, g); err != nil {
		return err
	}
	s.groups[name] = g
	return nil
}

// save keeps what is known of a group beside its events.
func (s *Service) save(ctx context.Context, g *group) error {
	b, err := json.Marshal(g.meta)
	if err != nil {
		return err
	}
	_, err = s.Bucket.Put(ctx, g.id, b)
	return err
}

// ensure makes a group and a stream that aren't there.
func (s *Service) ensure(ctx context.Context, name, stream string) error {
	var exists *awshttp.Error
	g, err := s.find(name)
	if err != nil {
		err = s.create(ctx, name, nil)
		if errors.As(err, &exists) && exists.Code == "ResourceAlreadyExistsException" {
			err = nil // someone was faster
		}
		if err == nil {
			g, err = s.find(name)
		}
	}
	if err != nil {
		return err
	}
	g.mu.RLock()
	known := g.streams[stream] != nil
	g.mu.RUnlock()
	if known {
		return nil
	}
	err = g.createStream(stream, s.now(), s.SegmentBytes)
	if errors.As(err, &exists) && exists.Code == "ResourceAlreadyExistsException" {
		return nil
	}
	return err
}

// change edits what is known of a group.
func (s *Service) change(ctx context.Context, name string, edit func(*meta)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.groups[name]
	if g == nil {
		return notFound("The specified log group does not exist.")
	}
	g.mu.Lock()
	edit(&g.meta)
	g.mu.Unlock()
	return s.save(ctx, g)
}

// remove deletes a group with its events.
func (s *Service) remove(ctx context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.groups[name]
	if g == nil {
		return notFound("The specified log group does not exist.")
	}
	if err := s.Bucket.Delete(ctx, g.id); err != nil {
		return err
	}
	delete(s.groups, name)
	return g.destroy()
}

// put appends events to a stream, and makes room.
func (s *Service) put(g *group, stream string, events []event) error {
	err := g.put(stream, events, s.SegmentBytes, s.GroupBytes)
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		var total, most int64
		var largest *group
		for _, other := range s.groups {
			n := other.bytes()
			if total += n; n > most {
				most, largest = n, other
			}
		}
		if total <= s.TotalBytes {
			return err
		}
		if dropped, dropErr := largest.dropOldest(); !dropped || dropErr != nil {
			return errors.Join(err, dropErr)
		}
	}
}

// now is the time as CloudWatch Logs counts it: milliseconds since 1970.
func (s *Service) now() int64 { return s.Clock.Now().UnixMilli() }

// oldest is the time before which a group's retention hides events.
func (s *Service) oldest(g *group) int64 {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.meta.Retention == 0 {
		return 0
	}
	return s.now() - int64(g.meta.Retention)*24*time.Hour.Milliseconds()
}
