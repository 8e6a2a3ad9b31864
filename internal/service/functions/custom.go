package functions

import (
	"debug/buildinfo"
	"debug/elf"
	"debug/macho"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// custom runs provided* functions: a program or script named bootstrap, which
// speaks the Runtime API itself.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html
type custom struct{}

var customPattern = regexp.MustCompile(`^provided(\.al2|\.al2023)?$`)

func (custom) runs(runtime string) bool { return customPattern.MatchString(runtime) }

func (custom) installed(*Service, string) error { return nil }

func (custom) imports(*function) map[string]bool { return nil }

func (custom) inLayers(*function, string, string) bool { return false }

// provide finds bootstrap where Lambda looks: in the function's code, then in
// its layers. Whether it can be started shows when it is.
func (custom) provide(_ *Service, fn *function, p *preparation) {
	var tried []string
	for _, dir := range []string{fn.codeDir, p.opt} {
		if dir == "" {
			continue
		}
		path := filepath.Join(dir, "bootstrap")
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			p.program = path
			return
		}
		tried = append(tried, path)
	}
	p.absent = &startFailure{
		kind: "Runtime.InvalidEntrypoint", message: fmt.Sprintf("Couldn't find valid bootstrap(s): %v", tried), requestID: true,
		hint: "a " + fn.Runtime + " function is a program or script named bootstrap at the top of its code, or in a layer" + builtHint(fn),
	}
}

// builtHint says how to make a bootstrap of what lies in the folder instead.
func builtHint(fn *function) string {
	if _, err := os.Stat(filepath.Join(fn.codeDir, "go.mod")); err == nil {
		return "; here: CGO_ENABLED=0 go build -o bootstrap"
	}
	return ""
}

func (custom) arguments(string) []string { return nil }

// variables: an OS-only runtime doesn't say what it is.
func (custom) variables(_ *environment, vars map[string]string, _ *preparation) {
	delete(vars, "AWS_EXECUTION_ENV")
}

func (custom) redirects() bool { return false }

func (custom) wraps() bool { return false }

func (custom) missing([]byte) string { return "" }

func (custom) brings(*function, string) bool { return false }

func (custom) hint(*function, string, *preparation) string { return "" }

func (custom) unready(fn *function) string {
	if version := oldLambdaGo(filepath.Join(fn.codeDir, "bootstrap")); version != "" {
		return "bootstrap is built with github.com/aws/aws-lambda-go " + version + ", which the runtime go1.x alone can call: rebuild it with v1.18.0 or later, or set the runtime go1.x"
	}
	return "bootstrap runs, but never asked for an invocation: GET http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next"
}

// oldLambdaGo returns the version of aws-lambda-go in a program when it is one
// that doesn't know the Runtime API.
func oldLambdaGo(program string) string {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return "" // no Go program, or one without modules
	}
	for _, dep := range info.Deps {
		var minor int
		if n, _ := fmt.Sscanf(dep.Version, "v1.%d.", &minor); dep.Path == "github.com/aws/aws-lambda-go" && n == 1 && minor < 18 {
			return dep.Version
		}
	}
	return ""
}

// golang runs go1.x functions: the program that the handler names.
type golang struct{ custom }

func (golang) runs(runtime string) bool { return runtime == "go1.x" }

func (golang) provide(_ *Service, fn *function, p *preparation) {
	p.program = filepath.Join(fn.codeDir, filepath.FromSlash(fn.Handler))
	if !within(fn.codeDir, p.program) {
		p.absent = &startFailure{kind: "PathError", message: "fork/exec " + p.program + ": no such file or directory", hint: "the handler leads out of the code's folder"}
		return
	}
	if info, err := os.Stat(p.program); err != nil || info.IsDir() {
		p.absent = &startFailure{
			kind: "PathError", message: "fork/exec " + p.program + ": no such file or directory",
			hint: fmt.Sprintf("the handler of a go1.x function names its program: CGO_ENABLED=0 go build -o %s", fn.Handler),
		}
	}
}

func (golang) variables(e *environment, vars map[string]string, _ *preparation) {
	vars[portVariable] = strconv.Itoa(e.port)
}

func (golang) unready(fn *function) string {
	return fn.Handler + " runs, but neither asked the Runtime API for an invocation nor answers calls at the port $" + portVariable + ": it must call lambda.Start"
}

// A startFailure is the reason why a function's program can't be started, where
// Lambda answers with a function error.
type startFailure struct {
	kind, message string
	requestID     bool // the message names the request
	hint          string
}

// Error is Lambda's message.
func (f *startFailure) Error() string { return f.message }

// answer is the function error.
func (f *startFailure) answer(inv *invocation) answer {
	message := f.message
	if f.requestID {
		message = "RequestId: " + inv.requestID + " Error: " + message
	}
	return answer{failed: true, payload: errorPayload(f.kind, message)}
}

// cannotStart is the failure to start the program of a custom runtime, as Lambda
// words it.
func cannotStart(program string, err error) *startFailure {
	f := &startFailure{kind: "Runtime.InvalidEntrypoint", message: err.Error(), requestID: true}
	name := filepath.Base(program)
	switch {
	case errors.Is(err, syscall.EACCES):
		f.hint = name + " isn't executable: chmod +x " + name + " (a zip file must be made after that, on Linux or macOS)"
	case errors.Is(err, syscall.ENOENT):
		f.hint = interpreterHint(program)
	case errors.Is(err, syscall.ENOEXEC), strings.Contains(err.Error(), "exec format error"), strings.Contains(err.Error(), "bad CPU type"):
		f.hint = machineHint(program)
	}
	return f
}

// interpreterHint is about a file that is there, yet the system finds nothing to
// run it with.
func interpreterHint(program string) string {
	f, err := os.Open(program)
	if err != nil {
		return ""
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, 256))
	if err != nil {
		return ""
	}
	name := filepath.Base(program)
	if line, ok := strings.CutPrefix(string(head), "#!"); ok {
		line, _, _ = strings.Cut(line, "\n")
		if strings.HasSuffix(line, "\r") {
			return name + " has Windows line ends: its first line asks for an interpreter whose name ends in a carriage return"
		}
		return fmt.Sprintf("%s asks for the interpreter %q, which this machine lacks", name, strings.TrimSpace(line))
	}
	return name + " is linked against a C library that this machine lacks: link it statically (Go: CGO_ENABLED=0)"
}

// machineHint is about a program for another machine.
func machineHint(program string) string {
	name := filepath.Base(program)
	here := runtime.GOOS + "/" + runtime.GOARCH
	build := fmt.Sprintf("this machine is %s (Go: GOOS=%s GOARCH=%s go build)", here, runtime.GOOS, runtime.GOARCH)
	if f, err := elf.Open(program); err == nil {
		defer f.Close()
		machine := map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64"}[f.Machine]
		if machine == "" {
			machine = f.Machine.String()
		}
		return fmt.Sprintf("%s is a program for linux/%s; %s", name, machine, build)
	}
	if f, err := macho.Open(program); err == nil {
		defer f.Close()
		return fmt.Sprintf("%s is a program for macOS (%s); %s", name, f.Cpu, build)
	}
	return name + " is neither a program for this machine nor a script whose first line begins with #!"
}
