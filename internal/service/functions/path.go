package functions

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

// There is no sandbox, so what is /var/task and /opt on Lambda lies elsewhere:
// the variables that tell where say so, and values that the function's own
// variables give are mapped.

var lambdaPath = regexp.MustCompile(`(^|[:=,\s])/(opt|var/task)(/|[:,\s]|$)`)

// localPath returns the value of a variable with the paths in it that begin with
// /opt or /var/task led to where these lie here.
func (fn *function) localPath(value string, p *preparation) string {
	if !strings.Contains(value, "/opt") && !strings.Contains(value, "/var/task") {
		return value
	}
	return lambdaPath.ReplaceAllStringFunc(value, func(found string) string {
		m := lambdaPath.FindStringSubmatch(found)
		dir := fn.codeDir
		if m[2] == "opt" {
			dir = p.opt
		}
		if dir == "" {
			return found
		}
		return m[1] + dir + m[3]
	})
}

// searchPaths has programs and libraries found in the code and the layers.
func (fn *function) searchPaths(vars map[string]string, p *preparation) {
	libraries := []string{fn.codeDir, filepath.Join(fn.codeDir, "lib")}
	if p.opt != "" {
		libraries = append(libraries, filepath.Join(p.opt, "lib"))
		if _, own := fn.Variables["PATH"]; !own {
			vars["PATH"] = strings.Trim(vars["PATH"]+string(os.PathListSeparator)+filepath.Join(p.opt, "bin"), string(os.PathListSeparator))
		}
	}
	if _, own := vars["LD_LIBRARY_PATH"]; !own {
		vars["LD_LIBRARY_PATH"] = strings.Join(libraries, string(os.PathListSeparator))
	}
}

// wrapper is the path of the function's wrapper script; empty without one, and
// for the runtimes that don't heed it.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-modify.html
func (fn *function) wrapper(p *preparation) string {
	if !fn.language().wraps() {
		return ""
	}
	path := fn.localPath(fn.Variables["AWS_LAMBDA_EXEC_WRAPPER"], p)
	if path != "" && !filepath.IsAbs(path) {
		path = filepath.Join(fn.codeDir, path)
	}
	return path
}

// cannotWrap is the failure to start a wrapper script: the runtime ends with the
// status that a shell gives.
func cannotWrap(path string, err error) *startFailure {
	f := &startFailure{kind: "Runtime.ExitError", requestID: true, message: "Runtime exited with error: exit status 126"}
	f.hint = fmt.Sprintf("AWS_LAMBDA_EXEC_WRAPPER: %s can't be started: %v", path, err)
	switch {
	case errors.Is(err, syscall.EACCES):
		f.hint = fmt.Sprintf("AWS_LAMBDA_EXEC_WRAPPER: %s is not an executable; chmod +x it", path)
	case errors.Is(err, syscall.ENOENT):
		f.message = "Runtime exited with error: exit status 127"
		f.hint = fmt.Sprintf("AWS_LAMBDA_EXEC_WRAPPER: %s does not exist, or the interpreter that its first line names doesn't", path)
	}
	return f
}
