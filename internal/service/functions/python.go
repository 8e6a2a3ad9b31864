package functions

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"tidegate/internal/pattern"
)

// python runs python3.* functions on this machine's Python: the one that the
// runtime names when it is on PATH, else python3.
type python struct{}

// oldestPython is the oldest Python 3 that the bootstrap is written for, its
// minor version.
const oldestPython = 8

var (
	pythonPattern = pattern.New(`^python3\.\d{1,2}$`)
	// What Lambda's runtimes bring: boto3 and what it is made of.
	botoPattern        = regexp.MustCompile(`(?m)^[ \t]*(?:from[ \t]+|import[ \t]+(?:[\w., \t]+,[ \t]*)?)(boto3|botocore|s3transfer|jmespath|dateutil|urllib3|six)\b`)
	missingBotoPattern = regexp.MustCompile(`No module named '(boto3|botocore|s3transfer|jmespath|dateutil|urllib3|six)(?:\.[^']*)?'`)
)

func (python) runs(runtime string) bool { return pythonPattern.MatchString(runtime) }

func (python) installed(_ *Service, runtime string) error {
	if len(pythonCommands(runtime)) == 0 {
		return noPython(runtime, nil)
	}
	return nil
}

// noPython says that none on PATH runs, each one's reason, and what to install.
func noPython(runtime string, why []string) error {
	text := fmt.Sprintf("functions on %s run on this machine's Python, and there is no python3 on PATH", runtime)
	if len(why) > 0 {
		text += " that runs (" + strings.Join(why, "; ") + ")"
	}
	return fmt.Errorf("%s: install Python 3.%d or later (apt-get install python3, brew install python3)", text, oldestPython)
}

// brings: imports and missing say boto3 for all that comes with it.
func (python) brings(_ *function, name string) bool { return name == "boto3" }

// imports returns boto3 when the code imports it, or what comes with it, and
// the folder doesn't hold it.
func (python) imports(fn *function) map[string]bool {
	found := map[string]bool{}
	scanSources(fn.codeDir, []string{".py"}, func(path string) {
		for _, m := range botoPattern.FindAllStringSubmatch(readSource(path), -1) {
			if !moduleIn(fn.codeDir, m[1]) {
				found["boto3"] = true
			}
		}
	})
	return found
}

// moduleIn says whether a folder on sys.path holds the module.
func moduleIn(dir, name string) bool {
	for _, file := range []string{name, name + ".py"} {
		if _, err := os.Stat(filepath.Join(dir, file)); err == nil {
			return true
		}
	}
	return false
}

func (l python) inLayers(fn *function, opt, name string) bool {
	return slices.ContainsFunc(l.layerFolders(fn, opt), func(dir string) bool { return moduleIn(dir, name) })
}

// layerFolders are the folders of modules that Lambda looks into in /opt.
func (python) layerFolders(fn *function, opt string) []string {
	if opt == "" {
		return nil
	}
	return []string{filepath.Join(opt, "python", "lib", fn.Runtime, "site-packages"), filepath.Join(opt, "python")}
}

func (python) provide(s *Service, fn *function, p *preparation) {
	p.program, p.absent, p.err = s.pythons.find(s.ctx, fn, len(p.names) > 0)
}

func (python) missing(payload []byte) string {
	if missingBotoPattern.Match(payload[:min(len(payload), 16<<10)]) {
		return "boto3"
	}
	return ""
}

func (python) hint(fn *function, name string, p *preparation) string {
	if name == "" {
		return ""
	}
	program := "python3"
	if p != nil && p.program != "" {
		program = p.program
	}
	return fmt.Sprintf("Lambda brings boto3, this machine's Python (%s) lacks it: run \"%s -m pip install boto3\", or \"apt-get install python3-boto3\" on Debian and Ubuntu, or \"%s -m pip install -t %s boto3\", which puts it into the function's folder",
		program, program, program, fn.codeDir)
}

func (python) unready(*function) string { return "" }

func (python) redirects() bool { return true }

func (python) wraps() bool { return true }

// arguments: -u writes each line at once.
func (python) arguments(runtime string) []string {
	return []string{"-u", filepath.Join(runtime, "bootstrap.py")}
}

func (l python) variables(e *environment, vars map[string]string, p *preparation) {
	path := slices.Concat(p.packages, l.layerFolders(e.fn, p.opt), []string{e.s.runtime})
	if own := vars["PYTHONPATH"]; own != "" {
		path = append([]string{own}, path...)
	}
	vars["PYTHONPATH"] = strings.Join(path, string(os.PathListSeparator))
	for name, v := range map[string]string{
		"PYTHONDONTWRITEBYTECODE": "1", // the folder is the user's
		"PYTHONUTF8":              "1", // Lambda's locale, which this machine may lack
	} {
		if _, own := vars[name]; !own {
			vars[name] = v
		}
	}
}

// pythons knows the Pythons of this machine.
type pythons struct {
	mu     sync.Mutex
	probed map[string]interpreter // by the path of the command and the folder it was asked in
}

// An interpreter is a Python that was asked what it is.
type interpreter struct {
	path  string // of the program itself, where the command only leads to it
	minor int    // 12 for 3.12
	boto3 bool
}

// probeLimit bounds how long a Python may take to say what it is.
const probeLimit = 20 * time.Second

// probeScript has a Python say what it is. Its first folder is the current one,
// which may hold files of any name.
const probeScript = `import sys
del sys.path[0]
from importlib.util import find_spec
print(sys.version_info[0], sys.version_info[1], int(find_spec("boto3") is not None), sys.executable or "")`

// find returns the Python to run the function: of those on PATH the first that
// runs and, when the code needs it, has boto3. lacks says that none has it;
// absent, that there is none at all.
func (ps *pythons) find(ctx context.Context, fn *function, needsBoto3 bool) (program string, absent, lacks error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	var why []string
	first := "" // that runs
	for _, command := range pythonCommands(fn.Runtime) {
		found, err := ps.probe(ctx, command, fn.codeDir)
		if err != nil {
			if len(why) < 3 {
				why = append(why, err.Error())
			}
			continue
		}
		if found.boto3 || !needsBoto3 {
			return found.path, nil, nil
		}
		if first == "" {
			first = found.path
		}
	}
	// Something may be installed by the next time.
	clear(ps.probed)
	if first != "" {
		return first, nil, errors.New("no Python on PATH has boto3")
	}
	return "", noPython(fn.Runtime, why), nil
}

// pythonCommands are the paths to try, best first.
func pythonCommands(runtime string) []string {
	var paths []string
	seen := map[string]bool{}
	for _, name := range []string{runtime, "python3"} {
		for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
			if !filepath.IsAbs(dir) {
				continue
			}
			if real, err := filepath.EvalSymlinks(dir); err == nil {
				dir = real
			}
			path := filepath.Join(dir, name)
			if seen[path] {
				continue
			}
			seen[path] = true
			if found, err := exec.LookPath(path); err == nil {
				paths = append(paths, found)
			}
		}
	}
	return paths
}

// probe asks a Python what it is, in the function's folder: a command that
// chooses among several looks there. The caller holds ps.mu.
func (ps *pythons) probe(ctx context.Context, command, dir string) (interpreter, error) {
	key := command + "\x00" + dir
	if found, ok := ps.probed[key]; ok {
		return found, nil
	}
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, command, "-c", probeScript)
	cmd.Dir = dir
	cmd.WaitDelay = time.Second
	for _, name := range append([]string{"PYENV_VERSION", "PYENV_ROOT"}, inherited...) {
		if v, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	cmd.Env = append(cmd.Env, "PYTHONDONTWRITEBYTECODE=1")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		said, _, _ := strings.Cut(strings.TrimSpace(stderr.String()), "\n")
		return interpreter{}, fmt.Errorf("%s: %w: %s", command, err, said[:min(len(said), 200)])
	}
	// A sitecustomize may print, too: the answer is the last line.
	lines := strings.Split(strings.TrimRight(string(out), "\r\n"), "\n")
	parts := strings.SplitN(lines[len(lines)-1], " ", 4)
	if len(parts) < 3 {
		return interpreter{}, fmt.Errorf("%s doesn't answer as Python does", command)
	}
	minor, err := strconv.Atoi(parts[1])
	if err != nil || parts[0] != "3" || minor < oldestPython {
		return interpreter{}, fmt.Errorf("%s is Python %s.%s", command, parts[0], parts[1])
	}
	found := interpreter{path: command, minor: minor, boto3: parts[2] == "1"}
	if len(parts) == 4 && filepath.IsAbs(parts[3]) {
		found.path = parts[3]
	}
	if ps.probed == nil {
		ps.probed = map[string]interpreter{}
	}
	ps.probed[key] = found
	return found, nil
}

// maxRecord bounds how much of a package's record is read, in bytes.
const maxRecord = 4 << 20

// pipInstalled returns the folders that pip has put into dir (pip install -t),
// as its records beside them say, and the records.
// https://packaging.python.org/en/latest/specifications/recording-installed-packages/
func pipInstalled(dir string, entries []fs.DirEntry) (map[string]bool, []sourceFile) {
	var names map[string]bool
	var records []sourceFile
	for _, entry := range entries {
		if !entry.IsDir() || !strings.HasSuffix(entry.Name(), ".dist-info") || len(records) == maxSourceFiles {
			continue
		}
		path := filepath.Join(dir, entry.Name(), "RECORD")
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		if names == nil {
			names = map[string]bool{}
		}
		names[entry.Name()] = true
		records = append(records, stamp(path))
		lines := bufio.NewScanner(io.LimitReader(f, maxRecord))
		for lines.Scan() {
			if folder, _, ok := strings.Cut(lines.Text(), "/"); ok {
				names[folder] = true
			}
		}
		f.Close()
	}
	return names, records
}

// virtualEnvironment says whether a folder is one of Python's.
func virtualEnvironment(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "pyvenv.cfg"))
	return err == nil
}
