package functions

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"tidegate/internal/awshttp"
	"tidegate/internal/iampolicy"
)

// A record is a function as the bucket keeps it.
type record struct {
	Name           string
	Version        string           `json:",omitempty"` // empty for $LATEST, which has the fields down to Reserved
	LastVersion    int              `json:",omitempty"` // the number given out last
	Aliases        map[string]alias `json:",omitempty"`
	Reserved       *int             `json:",omitempty"` // concurrent executions
	Runtime        string
	Role           string
	Handler        string
	Description    string
	Timeout        int // seconds
	MemorySize     int // MB
	HasEnvironment bool
	Variables      map[string]string
	Code           code
	Layers         []string `json:",omitempty"` // ARNs of versions, the lowest first
	LastModified   time.Time
	RevisionID     string
	// Kept holds members that have no effect here and are returned as given.
	Kept           map[string]json.RawMessage `json:",omitempty"`
	Tags           map[string]string          `json:",omitempty"`
	Policy         []statement                `json:",omitempty"`
	PolicyRevision string                     `json:",omitempty"`
	Asynchronous   *asynchronous              `json:",omitempty"`
}

// code says where a function's files are.
type code struct {
	Folder string // the user's own folder; else the files are below Config.Dir
	SHA256 string // base64, of the archive
	Size   int64  // bytes of the archive
	Dir    string // for an archive: the folder's name below Dir/code/NAME
	// Build is how a folder's code is built; nil is as the folder shows.
	Build *buildSpec `json:",omitempty"`
}

// A function is a record with what is derived from it. It is never changed: an
// update puts a new one in its place.
type function struct {
	record
	arn     string
	codeDir string
	policy  []*iampolicy.Document // none or one
	inspect int                   // a debugger's port, 0 for none
	// generation changes with whatever a running process can't take over.
	generation string
}

// compile derives a function from its record.
func (s *Service) compile(r record) (*function, error) {
	fn := &function{record: r, arn: s.arn(r.Name), codeDir: r.Code.Folder}
	if s.cfg.Inspect != nil && Inspectable(r.Runtime) {
		fn.inspect = s.cfg.Inspect(r.Name)
	}
	if r.Version != "" {
		fn.arn += ":" + r.Version
	}
	if fn.codeDir == "" {
		fn.codeDir = filepath.Join(s.cfg.Dir, "code", r.Name, r.Code.Dir)
	}
	if len(r.Policy) > 0 {
		doc, err := parsePolicy(r.Policy)
		if err != nil {
			return nil, err
		}
		fn.policy = []*iampolicy.Document{doc}
	}
	fn.generation = r.LastModified.UTC().Format(time.RFC3339Nano) + " " + r.Code.Dir
	return fn, nil
}

// deadLetterTarget is the ARN of the function's DeadLetterConfig, empty without
// one.
func (fn *function) deadLetterTarget() string {
	var d struct{ TargetArn string }
	if raw, ok := fn.Kept["DeadLetterConfig"]; !ok || json.Unmarshal(raw, &d) != nil {
		return ""
	}
	return d.TargetArn
}

// load reads every function and removes the code that none of them has.
func (s *Service) load(ctx context.Context) error {
	entries, err := s.cfg.Bucket.List(ctx, "")
	if err != nil {
		return fmt.Errorf("functions: reading the functions: %w", err)
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Key, layerPrefix) {
			if err := s.loadLayer(entry.Value); err != nil {
				return fmt.Errorf("functions: the record of %q can't be read: %w", entry.Key, err)
			}
			continue
		}
		var r record
		if err := json.Unmarshal(entry.Value, &r); err != nil {
			return fmt.Errorf("functions: the record of %q can't be read: %w", entry.Key, err)
		}
		fn, err := s.compile(r)
		if err != nil {
			return fmt.Errorf("functions: the record of %q: %w", entry.Key, err)
		}
		s.functions[r.key()] = fn
	}
	s.removeOrphans()
	s.discardLayers()
	s.builders.removeOrphans(s.functions)
	return nil
}

// removeOrphans deletes code folders that a crash or an update left behind, and
// the merged layers, which are made again when they are needed.
func (s *Service) removeOrphans() {
	os.RemoveAll(filepath.Join(s.cfg.Dir, "opt"))
	used := map[string]bool{}
	for _, fn := range s.functions {
		used[fn.codeDir] = true
	}
	root := filepath.Join(s.cfg.Dir, "code")
	names, _ := os.ReadDir(root)
	for _, name := range names {
		dirs, _ := os.ReadDir(filepath.Join(root, name.Name()))
		for _, dir := range dirs {
			if path := filepath.Join(root, name.Name(), dir.Name()); !used[path] {
				os.RemoveAll(path)
			}
		}
		if s.functions[name.Name()] == nil {
			os.Remove(filepath.Join(root, name.Name()))
		}
	}
}

// save writes the record and makes it the present one. The caller holds
// s.writes.
func (s *Service) save(ctx context.Context, r record) (*function, error) {
	fn, err := s.compile(r)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	if _, err := s.cfg.Bucket.Put(ctx, r.bucketKey(), b); err != nil {
		return nil, fmt.Errorf("functions: saving %s: %w", r.key(), err)
	}
	s.mu.Lock()
	old := s.functions[r.key()]
	s.functions[r.key()] = fn
	var stale []*environment
	if old == nil || old.generation != fn.generation {
		p := s.pool(r.key())
		stale, p.idle, p.prepared = p.idle, nil, nil
	}
	s.inspectLocked(fn)
	s.mu.Unlock()
	for _, e := range stale {
		e.retire(exitStale)
	}
	if old != nil {
		s.discardCode(old)
	}
	return fn, nil
}

// remove deletes the function with its versions, their code, and their idle
// environments; those that run finish.
func (s *Service) remove(ctx context.Context, fn *function) error {
	for _, v := range s.versionsOf(fn.Name) {
		if err := s.drop(ctx, v); err != nil {
			return err
		}
	}
	return s.drop(ctx, fn)
}

// drop deletes one version of a function.
func (s *Service) drop(ctx context.Context, fn *function) error {
	if err := s.cfg.Bucket.Delete(ctx, fn.bucketKey()); err != nil {
		return fmt.Errorf("functions: deleting %s: %w", fn.key(), err)
	}
	s.mu.Lock()
	delete(s.functions, fn.key())
	var idle []*environment
	if p := s.pools[fn.key()]; p != nil {
		idle, p.idle = p.idle, nil
		if len(p.all) == 0 {
			delete(s.pools, fn.key())
		}
	}
	s.mu.Unlock()
	for _, e := range idle {
		e.retire(exitDeleted)
	}
	s.discardCode(fn)
	s.builders.discard(fn.key())
	return nil
}

// discardCode deletes the files of a function that was replaced or deleted,
// once no environment runs on them.
func (s *Service) discardCode(fn *function) {
	if fn.Code.Folder != "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, now := range s.functions { // versions share their code
		if now.codeDir == fn.codeDir {
			return
		}
	}
	for _, p := range s.pools {
		for e := range p.all {
			if e.fn.codeDir == fn.codeDir {
				return // the last of them comes here again
			}
		}
	}
	os.RemoveAll(fn.codeDir)
}

// list returns the $LATEST of every function, sorted by name.
func (s *Service) list() []*function {
	s.mu.Lock()
	fns := make([]*function, 0, len(s.functions))
	for _, fn := range s.functions {
		if fn.Version == "" {
			fns = append(fns, fn)
		}
	}
	s.mu.Unlock()
	sort.Slice(fns, func(i, j int) bool { return fns[i].Name < fns[j].Name })
	return fns
}

// touch gives the record a new revision.
func (r *record) touch() {
	now := time.Now().UTC()
	if !now.After(r.LastModified) {
		now = r.LastModified.Add(1)
	}
	r.LastModified = now
	r.RevisionID = awshttp.NewRequestID()
}

// within says whether name is dir or lies below it.
func within(dir, name string) bool {
	rel, err := filepath.Rel(dir, name)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// writeFile replaces a file in one step.
func writeFile(name string, b []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err == nil {
		err = f.Chmod(mode)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
