package functions

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// node runs nodejs* functions on this machine's Node.js.
type node struct{}

var nodePattern = regexp.MustCompile(`^nodejs(\d+(\.(\d+|x))?)?$`)

func (node) runs(runtime string) bool { return nodePattern.MatchString(runtime) }

func (node) installed(s *Service, _ string) error {
	_, err := s.node()
	return err
}

// findNode returns the path of this machine's Node.js.
func findNode() (string, error) {
	path, err := exec.LookPath("node")
	if err != nil {
		return "", fmt.Errorf("functions on nodejs* run on this machine's Node.js, and there is no %q on PATH: install Node.js 18 or later", "node")
	}
	return path, nil
}

var majorPattern = regexp.MustCompile(`^nodejs(\d+)`)

// major returns the runtime's version: 8 for nodejs8.10, 0 for nodejs.
func (fn *function) major() int {
	m := majorPattern.FindStringSubmatch(fn.Runtime)
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return 0
	}
	return n
}

// bringsV3 says which version of the SDK the function's runtime has.
func (fn *function) bringsV3() bool { return fn.major() >= 18 }

func (node) brings(fn *function, name string) bool {
	if fn.bringsV3() {
		return strings.HasPrefix(name, "@aws-sdk/") || strings.HasPrefix(name, "@smithy/")
	}
	return name == "aws-sdk"
}

func (node) imports(fn *function) map[string]bool { return missingPackages(fn.codeDir) }

func (l node) inLayers(fn *function, opt, name string) bool {
	return slices.ContainsFunc(l.layerFolders(fn, opt), func(dir string) bool {
		_, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name)))
		return err == nil
	})
}

// layerFolders are the folders of packages that Lambda looks into in /opt.
func (node) layerFolders(fn *function, opt string) []string {
	if opt == "" {
		return nil
	}
	return []string{filepath.Join(opt, "nodejs", fmt.Sprintf("node%d", fn.major()), "node_modules"), filepath.Join(opt, "nodejs", "node_modules")}
}

// provide installs the SDK when the code needs it.
func (node) provide(s *Service, fn *function, p *preparation) {
	if p.program, p.absent = s.node(); p.absent == nil && len(p.names) > 0 {
		p.dir, p.err = s.sdk.ensure(s.installing, fn, p.names)
	}
}

func (node) missing(payload []byte) string { return missingModule(payload) }

func (l node) hint(fn *function, name string, p *preparation) string {
	switch {
	case name == "":
		return ""
	case !l.brings(fn, name):
		return fmt.Sprintf("%s doesn't bring %s on Lambda either: run \"npm install %s\" in the function's folder", fn.Runtime, name, name)
	case p != nil && p.err != nil:
		return p.err.Error()
	}
	return fmt.Sprintf("run \"npm install %s\" in the function's folder", name)
}

func (node) unready(*function) string { return "" }

func (node) redirects() bool { return true }

func (node) wraps() bool { return true }

func (node) arguments(runtime string) []string {
	return []string{filepath.Join(runtime, "bootstrap.cjs")}
}

func (l node) variables(e *environment, vars map[string]string, p *preparation) {
	path := []string{}
	if own := vars["NODE_PATH"]; own != "" {
		path = append(path, own)
	}
	packages := slices.Clone(p.packages)
	for _, dir := range packages {
		path = append(path, filepath.Join(dir, "node_modules"))
	}
	for _, folder := range l.layerFolders(e.fn, p.opt) {
		path = append(path, folder)
		packages = append(packages, filepath.Dir(folder))
	}
	if p.dir != "" {
		path = append(path, filepath.Join(p.dir, "node_modules"))
		packages = append(packages, p.dir)
	}
	delete(vars, "TIDEGATE_PACKAGES")
	if len(packages) > 0 {
		vars["TIDEGATE_PACKAGES"] = strings.Join(packages, string(os.PathListSeparator))
	}
	vars["NODE_PATH"] = strings.Join(append(path, e.fn.codeDir), string(os.PathListSeparator))
	var options []string
	if vars["TIDEGATE_REDIRECT"] != "" {
		options = append(options, "--require "+quoteOption(filepath.Join(e.s.runtime, "redirect.cjs")))
	}
	if e.fn.hasSourceMap() {
		options = append(options, "--enable-source-maps")
	}
	if own := vars["NODE_OPTIONS"]; own != "" {
		options = append(options, own)
	}
	if len(options) > 0 {
		vars["NODE_OPTIONS"] = strings.Join(options, " ")
	}
}

// hasSourceMap says whether the handler's file has a source map beside it, so
// that traces show the user's own sources.
func (fn *function) hasSourceMap() bool {
	module := fn.handlerModule()
	if module == "" {
		return false
	}
	return slices.ContainsFunc([]string{".js", ".mjs", ".cjs", "/index.js"}, func(ending string) bool {
		return isFile(filepath.Join(fn.codeDir, filepath.FromSlash(module+ending+".map")))
	})
}

// quoteOption quotes an argument as NODE_OPTIONS understands it.
func quoteOption(s string) string {
	if !strings.ContainsAny(s, " \"\\") {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
