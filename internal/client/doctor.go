package client

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// A CheckState says how a check went.
type CheckState string

// The states.
const (
	OK   CheckState = "ok"
	Warn CheckState = "warn" // something works less well, or not until it is needed
	Fail CheckState = "fail" // Tidegate can't do its work
)

// A Check is one thing that Doctor looked at.
type Check struct {
	Name  string     `json:"name"`
	State CheckState `json:"state"`
	Found string     `json:"found"`
	Do    string     `json:"do,omitempty"` // what to do about it
}

// A Doctor looks whether a machine is fit to run Tidegate. It changes nothing.
type Doctor struct {
	Port               int
	Endpoint           string // of the Tidegate that runs here; "" for none
	StateDir, CacheDir string
}

// Examine makes every check, within a minute at most.
func (d Doctor) Examine(ctx context.Context) []Check {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	checks := []Check{
		program(ctx, "Node.js", "node", []string{"--version"}, 18, 0, "functions on nodejs* need Node.js 18 or later: https://nodejs.org"),
		program(ctx, "npm", "npm", []string{"--version"}, 8, 0, "packages that functions lack are installed with npm, which comes with Node.js"),
		program(ctx, "Python", "python3", []string{"--version"}, 3, 8, "functions on python3.* need Python 3.8 or later"),
		program(ctx, "pip", "python3", []string{"-m", "pip", "--version"}, 20, 0, "packages that Python functions lack are installed with pip: python3 -m ensurepip"),
		program(ctx, "debugpy", "python3", []string{"-c", "import debugpy; print(debugpy.__version__)"}, 1, 0, "to debug Python functions: python3 -m pip install debugpy"),
		program(ctx, "Go", "go", []string{"version"}, 1, 21, "functions whose CodeUri is Go source need Go: https://go.dev/dl"),
		d.port(ctx), d.clock(ctx), resolution(ctx), d.authority(), disk(d.CacheDir),
	}
	return append(checks, kernel()...)
}

// program looks for a program and its version. A runtime that lacks is a
// warning: only functions that need it fail.
func program(ctx context.Context, name, file string, args []string, major, minor int, do string) Check {
	path, err := exec.LookPath(file)
	if err != nil {
		return Check{name, Warn, "not on PATH", do}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	if err != nil && ctx.Err() != nil {
		return Check{name, Warn, path + " takes too long to tell its version", do}
	}
	if err != nil {
		last := strings.TrimSpace(string(out))
		last = last[strings.LastIndexByte(last, '\n')+1:]
		return Check{name, Warn, fmt.Sprintf("%s doesn't run: %.200s", path, last), do}
	}
	version := firstVersion(string(out))
	found := version + " (" + path + ")"
	parts := strings.Split(version+".0", ".")
	gotMajor, err1 := strconv.Atoi(parts[0])
	gotMinor, err2 := strconv.Atoi(parts[1])
	if err1 != nil || err2 != nil {
		return Check{name, Warn, "its version can't be told: " + visible(fmt.Sprintf("%.100s", out)), do}
	}
	if gotMajor < major || gotMajor == major && gotMinor < minor {
		return Check{name, Warn, found + " is too old", do}
	}
	return Check{name, OK, found, ""}
}

// firstVersion is the first 1.2.3 in a text.
func firstVersion(text string) string {
	for field := range strings.FieldsSeq(text) {
		field = strings.TrimPrefix(strings.TrimPrefix(field, "go"), "v")
		if len(field) > 0 && field[0] >= '0' && field[0] <= '9' && strings.Contains(field, ".") {
			return strings.TrimRight(field, ",;")
		}
	}
	return ""
}

func (d Doctor) port(ctx context.Context) Check {
	name := fmt.Sprintf("port %d", d.Port)
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(d.Port)))
	if err == nil {
		l.Close()
		return Check{name, OK, "free", ""}
	}
	resp, err := d.get(ctx, fmt.Sprintf("http://127.0.0.1:%d", d.Port))
	if err == nil && resp.StatusCode == http.StatusOK {
		return Check{name, OK, "a Tidegate runs there", ""}
	}
	return Check{name, Warn, "taken by another program", "stop it, or start with --port N (0 takes any free one)"}
}

// get asks for the health page.
func (d Doctor) get(ctx context.Context, endpoint string) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint+"/_tidegate/health", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err == nil {
		resp.Body.Close()
	}
	return resp, err
}

// clock compares the machine's clock with what it was built for: signatures are
// refused that are 15 minutes off, and certificates have a time too. Without
// asking anyone outside, only a clock that is certainly wrong can be told.
func (d Doctor) clock(ctx context.Context) Check {
	now := time.Now()
	found := now.UTC().Format(time.RFC3339)
	if now.Year() < 2025 {
		return Check{"clock", Fail, found, "set the clock: signatures and certificates depend on it"}
	}
	if d.Endpoint != "" {
		if resp, err := d.get(ctx, d.Endpoint); err == nil {
			if t, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
				if skew := now.Sub(t).Abs(); skew > 5*time.Minute {
					return Check{"clock", Fail, fmt.Sprintf("%s off from Tidegate's at %s", skew.Round(time.Second), d.Endpoint), "set both clocks: signatures that are 15 minutes off are refused"}
				}
			}
		}
	}
	return Check{"clock", OK, found, ""}
}

func resolution(ctx context.Context) Check {
	const name = "*.localhost"
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(ctx, "api.execute-api.localhost")
	if err != nil {
		return Check{name, Warn, "names below localhost lead nowhere", "browsers resolve them by themselves; other clients take ws://localhost:8420/{apiId}/{stage} instead"}
	}
	for _, a := range addresses {
		if ip := net.ParseIP(a); ip == nil || !ip.IsLoopback() {
			return Check{name, Warn, "leads to " + a, "clients should take ws://localhost:8420/{apiId}/{stage} instead"}
		}
	}
	return Check{name, OK, strings.Join(addresses, ", "), ""}
}

// authority looks at the user's certificate authority.
func (d Doctor) authority() Check {
	const name = "certificate authority"
	files, _ := filepath.Glob(filepath.Join(d.StateDir, "ca", "*.pem"))
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return Check{name, Fail, err.Error(), "make the file readable for yourself, or delete it: it is made anew"}
		}
		block, _ := pem.Decode(b)
		if block == nil || block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return Check{name, Fail, file + " is damaged", "delete it: it is made anew"}
		}
		if time.Now().After(cert.NotAfter) {
			return Check{name, Fail, "expired " + cert.NotAfter.Format(time.DateOnly), "delete " + file + ": it is made anew"}
		}
		if _, err := cert.Verify(x509.VerifyOptions{}); err != nil {
			return Check{name, OK, "valid until " + cert.NotAfter.Format(time.DateOnly) + "; the system doesn't trust it, and need not: functions do, and tools by `tidegate env`", ""}
		}
		return Check{name, OK, "valid until " + cert.NotAfter.Format(time.DateOnly) + ", trusted by the system", ""}
	}
	return Check{name, OK, "made at the first `tidegate up`", ""}
}

// disk looks at the space where caches and builds go.
func disk(dir string) Check {
	for dir != filepath.Dir(dir) {
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			break
		}
		dir = filepath.Dir(dir)
	}
	free, ok := freeBytes(dir)
	switch found := fmt.Sprintf("%d MiB free at %s", free>>20, dir); {
	case !ok:
		return Check{"disk", OK, "can't be told on " + runtime.GOOS, ""}
	case free < 100<<20:
		return Check{"disk", Fail, found, "make room: tables, builds and logs need some"}
	case free < 1<<30:
		return Check{"disk", Warn, found, "builds of functions and their packages may need more"}
	default:
		return Check{"disk", OK, found, ""}
	}
}
