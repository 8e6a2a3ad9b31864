package functions

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

// What a function declares and lacks is installed once into the user's cache, a
// folder for each set of packages, never into the user's own folders. The
// function keeps running from its own folder and finds the packages there too.

// A manifest is what matters here of a package.json.
type manifest struct {
	dir                  string
	Type                 string            `json:"type"`
	Dependencies         map[string]string `json:"dependencies"`
	DevDependencies      map[string]string `json:"devDependencies"`
	OptionalDependencies map[string]string `json:"optionalDependencies"`
	Workspaces           json.RawMessage   `json:"workspaces"`
}

// maxManifest bounds a manifest that is read, in bytes.
const maxManifest = 1 << 20

// manifestLevels is how many folders above a function's own may hold its
// package.json.
const manifestLevels = 4

// nearestManifest returns the package.json that Node.js would take for the
// folder's, of this project: one above a repository's top, or in the user's
// home, is another's.
func nearestManifest(dir string) (manifest, bool) {
	home, _ := os.UserHomeDir()
	for range manifestLevels + 1 {
		if m, ok := readManifest(dir); ok {
			return m, true
		}
		if _, err := os.Lstat(filepath.Join(dir, ".git")); err == nil {
			break
		}
		parent := filepath.Dir(dir)
		if parent == dir || parent == home || parent == filepath.Clean(os.TempDir()) {
			break
		}
		dir = parent
	}
	return manifest{}, false
}

func readManifest(dir string) (manifest, bool) {
	m := manifest{dir: dir}
	name := filepath.Join(dir, "package.json")
	if info, err := os.Stat(name); err != nil || info.Size() > maxManifest {
		return m, false
	}
	b, err := os.ReadFile(name)
	if err != nil || json.Unmarshal(b, &m) != nil {
		return manifest{}, false
	}
	return m, true
}

// lacking returns the packages of a manifest that Node.js doesn't find from the
// folder.
func (m manifest) lacking(dir string, declared map[string]string) []string {
	var names []string
	for name := range declared {
		if _, optional := m.OptionalDependencies[name]; !optional && packagePattern.MatchString(name) && !resolvable(dir, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

var packagePattern = regexp.MustCompile(`^(@[A-Za-z0-9._~-]+/)?[A-Za-z0-9._~-]+$`)

// declaresPackages says whether a Node.js function declares anything to look
// for.
func declaresPackages(dir string) bool {
	m, ok := readManifest(dir)
	return ok && len(m.Dependencies) > 0
}

// buildNodePackages installs what a JavaScript function declares and lacks.
// When that fails, the function runs without: it may bring its packages in a way
// of its own.
func (s *Service) buildNodePackages(ctx context.Context, fn *function, _ *builder) *artifacts {
	out := &artifacts{dir: fn.codeDir, usable: true, files: sourceFiles(fn.codeDir)}
	for _, name := range []string{"package.json", "package-lock.json", "npm-shrinkwrap.json"} {
		out.files = merge(out.files, []sourceFile{{path: filepath.Join(fn.codeDir, name)}})
	}
	m, ok := readManifest(fn.codeDir)
	lacks := m.lacking(fn.codeDir, m.Dependencies)
	if !ok || len(lacks) == 0 {
		return out
	}
	folder, err := s.npmPackages(ctx, fn, m, false)
	if err != nil {
		out.err = err
		return out
	}
	out.packages = []string{folder}
	return out
}

// packagesFor installs the manifest of a bundle when it declares one of the
// packages that the bundle lacks; empty when it doesn't.
func (s *Service) packagesFor(ctx context.Context, fn *function, wanted []string) (string, error) {
	m, ok := nearestManifest(filepath.Dir(filepath.Join(fn.codeDir, filepath.FromSlash(fn.handlerModule()))))
	if !ok {
		return "", nil
	}
	declared, dev := false, false
	for _, name := range wanted {
		_, own := m.Dependencies[name]
		_, ofDev := m.DevDependencies[name]
		declared, dev = declared || own || ofDev, dev || ofDev
	}
	if !declared {
		return "", nil
	}
	return s.npmPackages(ctx, fn, m, dev)
}

// npmPackages returns a folder whose node_modules has what the manifest
// declares, as its lock file says when there is one.
func (s *Service) npmPackages(ctx context.Context, fn *function, m manifest, dev bool) (string, error) {
	advice := fmt.Sprintf("run \"npm install\" in %s", shownPath(m.dir))
	if s.cfg.Cache == "" {
		return "", &startFailure{kind: errorBuild, message: "there is no cache to install its dependencies into: " + advice}
	}
	if local := m.local(dev); local != "" {
		return "", &startFailure{kind: errorBuild, message: fmt.Sprintf("its package.json has %s, which can't be installed apart from it: %s", local, advice)}
	}
	args := []string{"install"}
	files := []string{"package.json"}
	for _, name := range []string{"npm-shrinkwrap.json", "package-lock.json"} {
		if isFile(filepath.Join(m.dir, name)) {
			args, files = []string{"ci"}, append(files, name)
			break
		}
	}
	other := ""
	for _, name := range []string{"yarn.lock", "pnpm-lock.yaml", "bun.lock"} {
		if args[0] == "install" && isFile(filepath.Join(m.dir, name)) {
			other = name
		}
	}
	said := "npm " + args[0]
	args = append(args, "--ignore-scripts", "--no-audit", "--no-fund", "--no-progress", "--loglevel=error")
	args = append(args, fewRetries...)
	if !dev {
		args = append(args, "--omit=dev")
	}
	folder, err := s.cached("npm", m.dir, files, said, fmt.Sprint(dev, " node ", s.sdk.nodeMajor()))
	if err != nil {
		return "", &startFailure{kind: errorBuild, message: "reading what it depends on: " + err.Error()}
	}
	return folder, s.install(ctx, fn, installation{
		folder: folder, said: said, note: other, advice: advice, from: m.dir, files: append(files, ".npmrc"),
		command: func(tmp string) (*exec.Cmd, error) {
			npm, err := exec.LookPath("npm")
			if err != nil {
				return nil, errors.New("there is no npm on PATH")
			}
			cmd := exec.Command(npm, args...)
			cmd.Dir = tmp
			return cmd, nil
		},
		reason: npmReason,
	})
}

// local returns a dependency that lies beside the manifest.
func (m manifest) local(dev bool) string {
	if len(m.Workspaces) > 0 {
		return "workspaces"
	}
	all := maps.Clone(m.Dependencies)
	if dev {
		if all == nil {
			all = map[string]string{}
		}
		maps.Copy(all, m.DevDependencies)
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		for _, prefix := range []string{"file:", "link:", "workspace:", ".", "/"} {
			if strings.HasPrefix(all[name], prefix) {
				return fmt.Sprintf("%s: %s", name, all[name])
			}
		}
	}
	return ""
}

// cached names the folder of the cache for the files' content.
func (s *Service) cached(kind, dir string, files []string, more ...string) (string, error) {
	h := sha256.New()
	for _, name := range files {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %d\n%s", name, len(b), b)
	}
	fmt.Fprint(h, runtime.GOOS, runtime.GOARCH, more)
	return filepath.Join(s.cfg.Cache, kind, hex.EncodeToString(h.Sum(nil)[:16])), nil
}

// An installation fills a folder of the cache.
type installation struct {
	folder string // of the cache
	said   string // npm ci
	note   string // a lock file that isn't read
	advice string
	from   string   // the folder that the files are copied from
	files  []string // what the command needs; those that aren't there are left out
	// command is what fills the folder.
	command func(tmp string) (*exec.Cmd, error)
	reason  func(output string) string
}

// install runs an installation unless that was done before, and tells of it.
// Two that need the same wait for each other, in this process or another.
func (s *Service) install(ctx context.Context, fn *function, in installation) error {
	if isFolder(in.folder) {
		return nil
	}
	began := time.Now()
	told := false
	err := fillFolder(in.folder, func(tmp string) error {
		for _, name := range in.files {
			b, err := os.ReadFile(filepath.Join(in.from, name))
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err == nil {
				err = os.WriteFile(filepath.Join(tmp, name), b, 0o600)
			}
			if err != nil {
				return err
			}
		}
		cmd, err := in.command(tmp)
		if err != nil {
			return err
		}
		told = true
		text := fmt.Sprintf("installing dependencies (%s in a cache)", in.said)
		if in.note != "" {
			text += "; " + in.note + " is not read"
		}
		s.cfg.Events.progress(Progress{Function: fn.Name, Text: text})
		out, err := s.runTool(ctx, cmd, sdkInstallLimit)
		if err != nil {
			return fmt.Errorf("%w: %s", err, in.reason(out))
		}
		os.Remove(filepath.Join(tmp, ".npmrc")) // it may hold a key
		return nil
	})
	if err != nil {
		if ctx.Err() != nil {
			return errClosed
		}
		return &startFailure{kind: errorBuild, message: fmt.Sprintf("its dependencies could not be installed: %s: %v; %s, or try again when the network is there", in.said, err, in.advice)}
	}
	if told {
		s.cfg.Events.progress(Progress{Function: fn.Name, Text: fmt.Sprintf("installed dependencies: %s, %.1f s", in.said, time.Since(began).Seconds())})
	}
	return nil
}

func isFolder(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// fillFolder has a folder filled under another name, which then gets its own in
// one step. Another process that does the same is waited for.
func fillFolder(folder string, fill func(tmp string) error) error {
	parent, base := filepath.Split(folder)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	unlock, err := lockFile(filepath.Join(parent, ".lock-"+base))
	if err != nil {
		return err
	}
	defer unlock()
	if isFolder(folder) {
		return nil
	}
	// What is left of fillings that were killed; the lock says that no other is
	// under way.
	tmp := filepath.Join(parent, ".filling-"+base)
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	if err := os.Mkdir(tmp, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := fill(tmp); err != nil {
		return err
	}
	return os.Rename(tmp, folder)
}

// buildPythonPackages installs what a function's requirements.txt asks for and
// neither its folder nor the Python that runs it has.
func (s *Service) buildPythonPackages(ctx context.Context, fn *function, _ *builder) *artifacts {
	const file = "requirements.txt"
	out := &artifacts{dir: fn.codeDir, usable: true, files: append(sourceFiles(fn.codeDir), stamp(filepath.Join(fn.codeDir, file)))}
	program, absent, _ := s.pythons.find(ctx, fn, false)
	if absent != nil {
		return out // which is told when the function is started
	}
	names := requirements(fn.codeDir, file, 0)
	if len(names) == 0 || s.hasDistributions(ctx, program, fn.codeDir, names) {
		return out
	}
	advice := fmt.Sprintf("run \"%s -m pip install -r requirements.txt -t .\" in %s", program, shownPath(fn.codeDir))
	if s.cfg.Cache == "" {
		out.err = &startFailure{kind: errorBuild, message: "there is no cache to install its dependencies into: " + advice}
		return out
	}
	folder, err := s.cached("pip", fn.codeDir, []string{file}, program, strings.Join(names, " "))
	if err == nil {
		err = s.install(ctx, fn, installation{
			folder: folder, said: "pip install --target", advice: advice, reason: pipReason,
			command: func(tmp string) (*exec.Cmd, error) {
				cmd := exec.Command(program, "-m", "pip", "install", "--target", tmp, "-r", file, "--no-input", "--disable-pip-version-check", "--quiet", "--no-compile")
				cmd.Dir = fn.codeDir
				return cmd, nil
			},
		})
	}
	if err != nil {
		out.err = err
		return out
	}
	out.packages = []string{folder}
	return out
}

var requirementPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*`)

// requirements returns the names that a requirements file asks for; "?" stands
// for a line that only pip understands.
func requirements(dir, file string, depth int) []string {
	b, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil || len(b) > maxManifest {
		return nil
	}
	var names []string
	for line := range strings.Lines(string(b)) {
		line, _, _ = strings.Cut(line, " #")
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "-r ") && depth < 5:
			names = append(names, requirements(dir, strings.TrimSpace(line[3:]), depth+1)...)
		case strings.HasPrefix(line, "--hash"), strings.HasPrefix(line, "-i "), strings.HasPrefix(line, "--index-url"), strings.HasPrefix(line, "--extra-index-url"):
		case requirementPattern.MatchString(line) && !strings.Contains(line, "://"):
			names = append(names, requirementPattern.FindString(line))
		default:
			names = append(names, "?")
		}
	}
	return names
}

// distributionsScript says whether every name that follows is installed.
const distributionsScript = `import sys
from importlib.metadata import distribution
sys.path[0] = sys.argv[1]
for name in sys.argv[2:]:
    distribution(name)`

// hasDistributions asks a Python whether it, or the function's folder, has all
// of them; of which version is pip's to tell.
func (s *Service) hasDistributions(ctx context.Context, program, dir string, names []string) bool {
	if slices.Contains(names, "?") {
		return false
	}
	cmd := exec.Command(program, append([]string{"-c", distributionsScript, dir}, names...)...)
	cmd.Dir = dir
	_, err := s.runTool(ctx, cmd, probeLimit)
	return err == nil
}

// pipReason is what pip said, its last lines on one.
func pipReason(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var parts []string
	for _, line := range lines[max(0, len(lines)-4):] {
		if text := strings.TrimSpace(line); text != "" {
			parts = append(parts, text)
		}
	}
	reason := strings.Join(parts, "; ")
	if len(reason) > 400 {
		reason = "…" + strings.ToValidUTF8(reason[len(reason)-400:], "")
	}
	return reason
}
