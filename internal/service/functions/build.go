package functions

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// A buildSpec says how the code in a folder is built: what SAM calls the
// resource's Metadata. It stands beside Code's S3Bucket tidegate-folder.
type buildSpec struct {
	// Method is none, esbuild, makefile, go1.x, or the name of a runtime, which
	// means what no Method means: what the folder shows.
	Method string
	// LogicalId names the target of a makefile.
	LogicalId string `json:",omitempty"`
	// Properties are esbuild's.
	Properties json.RawMessage `json:",omitempty"`
}

// Artifacts are what building a function's present code made, or what is there when
// nothing is to build.
type artifacts struct {
	dir      string       // where the function runs; its own folder when nothing was built
	packages []string     // folders that hold packages which the code's own folder lacks
	files    []sourceFile // what it was made from, as it was before
	err      error        // why the present code doesn't run; what ran before may
	usable   bool         // dir holds something that runs
	made     bool         // it was built, or seen that nothing had to be
}

// Names of function errors.
const (
	errorSyntax = "Runtime.UserCodeSyntaxError" // Lambda's own
	errorBuild  = "Tidegate.BuildFailed"
)

// A builder builds one function's code, one build at a time, and keeps what
// makes the next one quick.
type builder struct {
	dir string // its own, for what it makes

	mu     sync.Mutex
	bundle *bundle
	last   *artifacts // the last that runs, of this life
	of     string     // what it was built by: another function of the name has another
	told   string     // the last failure that was told
}

// builders are the functions' builders, by function and version.
type builders struct {
	root string
	busy chan struct{} // one place a core

	mu  sync.Mutex
	all map[string]*builder
}

func newBuilders(root string) *builders {
	return &builders{root: root, busy: make(chan struct{}, runtime.GOMAXPROCS(0)), all: map[string]*builder{}}
}

// room returns an empty folder for what is built: what runs stays where it is
// until another takes its place. The caller holds mu.
func (b *builder) room() (string, error) {
	name := "a"
	if b.last != nil && filepath.Base(b.last.dir) == name {
		name = "b"
	}
	dir := filepath.Join(b.dir, name)
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	return dir, os.MkdirAll(dir, 0o700)
}

// folderOf is the name of a builder's folder, which may stand in a list of paths.
func folderOf(key string) string { return strings.ReplaceAll(key, ":", "@") }

func (bs *builders) get(name string) *builder {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	b := bs.all[name]
	if b == nil {
		b = &builder{dir: filepath.Join(bs.root, folderOf(name))}
		bs.all[name] = b
	}
	return b
}

// discard forgets a function's builder and deletes what it made.
func (bs *builders) discard(name string) {
	bs.mu.Lock()
	b := bs.all[name]
	delete(bs.all, name)
	bs.mu.Unlock()
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bundle.dispose()
	os.RemoveAll(b.dir)
}

// close ends what is kept for the next build.
func (bs *builders) close() {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	for _, b := range bs.all {
		if b.mu.TryLock() { // one that builds now ends with the process
			b.bundle.dispose()
			b.bundle = nil
			b.mu.Unlock()
		}
	}
}

// removeOrphans deletes what was built for functions that are gone.
func (bs *builders) removeOrphans(known map[string]*function) {
	names, err := os.ReadDir(bs.root)
	if err != nil {
		return
	}
	for _, name := range names {
		if known[strings.ReplaceAll(name.Name(), "@", ":")] == nil {
			os.RemoveAll(filepath.Join(bs.root, name.Name()))
		}
	}
}

// build makes the function's present code ready to run. Only code in a folder
// of the user's is built: an archive is what its maker built.
func (s *Service) build(fn *function) *artifacts {
	none := &artifacts{dir: fn.codeDir, usable: true}
	if fn.Code.Folder == "" {
		return none
	}
	none.files = fn.sourceFiles()
	method := s.methodOf(fn)
	if method == nil {
		return none
	}
	return s.buildBy(fn, method)
}

// buildBy builds by the method. While that fails, what it made before serves.
func (s *Service) buildBy(fn *function, method buildMethod) *artifacts {
	b := s.builders.get(fn.key())
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case s.builders.busy <- struct{}{}:
		defer func() { <-s.builders.busy }()
	case <-s.installing.Done():
		return &artifacts{err: errClosed}
	}
	if of := fn.buildKey(); of != b.of {
		b.bundle.dispose()
		b.bundle, b.last, b.of = nil, nil, of
		if err := os.RemoveAll(b.dir); err != nil {
			return &artifacts{err: &startFailure{kind: errorBuild, message: "clearing the folder for what is built: " + err.Error()}}
		}
	}
	out := method(s.installing, fn, b)
	out.made = true
	switch {
	case out.err == nil && out.usable:
		b.last, b.told = out, ""
	case s.installing.Err() != nil:
		return &artifacts{err: errClosed}
	default:
		if b.told != out.err.Error() {
			b.told = out.err.Error()
			text := "building it"
			if b.last != nil {
				text += "; the last good build keeps serving"
			}
			s.cfg.Events.progress(Progress{Function: fn.Name, Text: text, Err: out.err})
		}
		if b.last != nil && !out.usable {
			out.dir, out.packages, out.usable = b.last.dir, b.last.packages, true
		}
	}
	return out
}

// buildKey changes with whatever makes another build of the same files.
func (fn *function) buildKey() string {
	spec, err := json.Marshal(fn.Code.Build)
	if err != nil { // unreachable: it was read from JSON
		return fn.generation
	}
	return strings.Join([]string{fn.codeDir, fn.Runtime, fn.Handler, string(spec)}, "\x00")
}

// A buildMethod builds a function's code with the builder's lock held.
type buildMethod func(ctx context.Context, fn *function, b *builder) *artifacts

// methodOf returns how the function's code is built, nil when it runs as it
// lies in its folder.
func (s *Service) methodOf(fn *function) buildMethod {
	method := ""
	if fn.Code.Build != nil {
		method = fn.Code.Build.Method
	}
	l := fn.language()
	_, isNode := l.(node)
	_, isPython := l.(python)
	switch {
	case method == methodNone:
		return nil
	case method == methodMakefile:
		return s.buildByMakefile
	case isNode && (method == methodEsbuild || fn.typeScript() != ""):
		return s.buildBundle
	case isNode:
		if declaresPackages(fn.codeDir) {
			return s.buildNodePackages
		}
	case isPython:
		if isFile(filepath.Join(fn.codeDir, "requirements.txt")) {
			return s.buildPythonPackages
		}
	case fn.isGoSource():
		return s.buildGo
	}
	return nil
}

// Build methods of SAM's that are not the name of a runtime.
const (
	methodNone     = "none" // ours: the code runs as it lies in its folder
	methodEsbuild  = "esbuild"
	methodMakefile = "makefile"
	methodGo       = "go1.x"
)

// checkBuild refuses a build that Tidegate doesn't know.
func checkBuild(spec *buildSpec) error {
	switch {
	case spec == nil:
		return nil
	case spec.Method == methodEsbuild:
		if _, err := parseBundleProperties(spec.Properties); err != nil {
			return invalidParameter("TidegateBuild.Properties: " + err.Error())
		}
		return nil
	case len(spec.Properties) > 0 && string(spec.Properties) != "null":
		return invalidParameter(fmt.Sprintf("TidegateBuild.Properties: the build method %q has none.", spec.Method))
	case spec.Method == methodMakefile:
		if !targetPattern.MatchString(spec.LogicalId) {
			return invalidParameter(fmt.Sprintf("TidegateBuild.LogicalId %q must be letters and digits.", spec.LogicalId))
		}
		return nil
	case spec.Method == "" || spec.Method == methodNone || spec.Method == methodGo || languageOf(spec.Method) != nil:
		return nil
	}
	return invalidParameter(fmt.Sprintf("TidegateBuild.Method %q is unknown: none, esbuild, makefile, go1.x, nodejs* and python3.* are known.", spec.Method))
}

// handlerModule is the handler's path in the code's folder without what follows
// the file's name, slash-separated; empty when the handler isn't of that form.
func (fn *function) handlerModule() string {
	dir, base := path.Split(fn.Handler)
	file, _, ok := strings.Cut(base, ".")
	module := path.Join(dir, file)
	if !ok || file == "" || !filepath.IsLocal(filepath.FromSlash(module)) {
		return ""
	}
	return module
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// shownPath is a file's name as a person in the working directory would write
// it.
func shownPath(name string) string {
	wd, err := os.Getwd()
	if err != nil {
		return name
	}
	rel, err := filepath.Rel(wd, name)
	if err != nil || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return name
	}
	return rel
}

// withFolders adds the folders that the files lie in: a file that is put there
// changes them, and may be the one that was missing.
func withFolders(files []sourceFile) []sourceFile {
	seen := map[string]bool{}
	for _, f := range slices.Clone(files) {
		if dir := filepath.Dir(f.path); !seen[dir] && len(files) < 2*maxSourceFiles {
			seen[dir] = true
			files = append(files, stamp(dir))
		}
	}
	return files
}

// outdated says whether the preparation was made from code that has changed
// since. It may be called without any lock once done is closed.
func (p *preparation) outdated() bool {
	select {
	case <-p.done:
		return !fresh(p.files)
	default:
		return false
	}
}

// buildEvery is how often built functions' sources are looked at: a build that
// is over before the next message is one that nobody waits for.
const buildEvery = 250 * time.Millisecond

// keepBuilt builds functions again when their sources were saved, until the
// service ends. Correctness doesn't need it: sources are looked at before each
// invocation.
func (s *Service) keepBuilt() {
	tick := time.NewTicker(buildEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.installing.Done():
			return
		case <-tick.C:
		}
		var stale []*function
		s.mu.Lock()
		for name, p := range s.pools {
			if fn := s.functions[name]; fn != nil && p.prepared != nil && p.prepared.watched() {
				stale = append(stale, fn)
			}
		}
		s.mu.Unlock()
		for _, fn := range stale {
			s.prepare(fn) // which sees whether it is outdated
		}
	}
}

// watched says whether something was built, so that a saved source is built
// again at once.
func (p *preparation) watched() bool {
	select {
	case <-p.done:
		return p.made
	default:
		return false
	}
}
