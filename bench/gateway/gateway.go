// Package gateway starts the Tidegate that the bench measures: the built program,
// with an API of constant answers and an HTTP backend.
package gateway

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"tidegate/bench/load"
	"tidegate/bench/proc"
)

//go:embed tidegate.yaml
var config []byte

// The identities of tidegate.yaml: a backend's key pair, and the administrator's token.
const (
	accessKeyID     = "bench"
	secretAccessKey = "bench-secret-key"
	adminToken      = "bench-admin-token-of-loopback"
)

// Stage is the stage's name, and Region where signatures are for.
const (
	Stage  = "bench"
	Region = "us-east-1"
)

// A Gateway is one running Tidegate.
type Gateway struct {
	Group   *proc.Group
	Address string // of clients, and of signed pushes
	Admin   string // of Tidegate's own pages
	Said    string // the file with what it printed

	program, dataDir string
	pid              int
}

// Build builds the program from the module around the bench.
func Build(ctx context.Context, to string) error {
	c := exec.CommandContext(ctx, "go", "build", "-o", to, "./cmd/tidegate")
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	c.Dir = root
	if said, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("go build in %s: %w\n%s", root, err, said)
	}
	return nil
}

// moduleRoot is the nearest folder above that has the program's source.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "cmd", "tidegate")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no folder above has cmd/tidegate: run this within the repository, or name a built program with --tidegate")
		}
	}
}

// startTime is how long a Tidegate may take to be ready.
const startTime = 30 * time.Second

// Start runs the program with an empty data dir below dir, and waits until it is
// ready. Messages to the route sendmessage go to the HTTP backend at HOST:PORT.
func Start(ctx context.Context, program, dir, backend string, limits ...string) (*Gateway, error) {
	own, err := os.MkdirTemp(dir, "tidegate-")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(own, "tidegate.yaml")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, err
	}
	g := &Gateway{Group: proc.NewGroup(), Said: filepath.Join(own, "said"), program: program, dataDir: filepath.Join(own, "data")}
	for _, address := range []*string{&g.Address, &g.Admin} {
		if *address, err = FreeAddress(); err != nil {
			return nil, err
		}
	}
	log, err := os.Create(g.Said)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	env := []string{"BENCH_PUBLIC=" + g.Address, "BENCH_ADMIN=" + g.Admin, "BENCH_BACKEND=" + backend}
	for _, limit := range limits {
		name, value, _ := strings.Cut(limit, "=")
		env = append(env, "TIDEGATE_LIMITS_"+strings.ToUpper(name)+"="+value)
	}
	c, err := g.Group.Start(log, own, env, program, "serve", "--config", file)
	if err != nil {
		return nil, err
	}
	g.pid = c.Process.Pid
	if err := g.ready(ctx); err != nil {
		g.Group.End()
		return nil, err
	}
	return g, nil
}

// FreeAddress is a port of loopback that nobody listens on now.
func FreeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func (g *Gateway) ready(ctx context.Context) error {
	for end := time.Now().Add(startTime); ; time.Sleep(5 * time.Millisecond) {
		_, err := g.ask(ctx, http.MethodGet, "/_tidegate/ready")
		if err == nil {
			return nil
		}
		if !g.Group.Alive() || time.Now().After(end) || ctx.Err() != nil {
			said, _ := os.ReadFile(g.Said)
			return fmt.Errorf("tidegate is not ready: %w; it said:\n%s", err, said)
		}
	}
}

// ask calls one of Tidegate's own pages.
func (g *Gateway) ask(ctx context.Context, method, path string) ([]byte, error) {
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	q, err := http.NewRequestWithContext(ctx, method, "http://"+g.Admin+path, nil)
	if err != nil {
		return nil, err
	}
	q.Header.Set("Authorization", "Bearer "+adminToken)
	q.Close = true // no connection of ours stays beside those that are counted
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, body)
	}
	return body, err
}

// Counts are what Tidegate says that its process holds.
type Counts struct {
	Goroutines int
	HeapBytes  int64
	StackBytes int64
	OpenFiles  int
}

// Free has garbage collected and memory given back, and returns what is left.
func (g *Gateway) Free(ctx context.Context) (Counts, error) {
	var c Counts
	body, err := g.ask(ctx, http.MethodPost, "/_tidegate/memory/free")
	if err == nil {
		err = json.Unmarshal(body, &c)
	}
	return c, err
}

// Metric sums the series of one metric.
func (g *Gateway) Metric(ctx context.Context, name string) (float64, error) {
	body, err := g.ask(ctx, http.MethodGet, "/_tidegate/metrics")
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for line := range strings.Lines(string(body)) {
		rest, found := strings.CutPrefix(line, name)
		if !found || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		fields := strings.Fields(rest)
		n, err := strconv.ParseFloat(fields[len(fields)-1], 64)
		if err != nil {
			return 0, fmt.Errorf("the metric %q: %w", line, err)
		}
		sum += n
	}
	return sum, nil
}

// HandOff has the process replace itself by a new one, and returns when that is
// done.
func (g *Gateway) HandOff(ctx context.Context) error {
	var said, complaint bytes.Buffer
	c := exec.CommandContext(ctx, g.program, "handoff", "--data-dir", g.dataDir, "--json")
	c.Stdout, c.Stderr = &said, &complaint
	if err := c.Run(); err != nil {
		return fmt.Errorf("tidegate handoff: %w: %s%s", err, complaint.Bytes(), said.Bytes())
	}
	lines := bytes.Split(bytes.TrimSpace(said.Bytes()), []byte("\n"))
	var answer struct{ PID int }
	if err := json.Unmarshal(lines[len(lines)-1], &answer); err != nil || answer.PID == 0 {
		return fmt.Errorf("tidegate handoff said %q, which names no new process: %v", said.Bytes(), err)
	}
	g.Group.Replace(g.pid, answer.PID)
	g.pid = answer.PID
	return nil
}

// Signer signs calls of @connections.
func (g *Gateway) Signer() *load.Signer {
	return &load.Signer{AccessKeyID: accessKeyID, SecretAccessKey: secretAccessKey, Region: Region, Service: "execute-api"}
}

// AppendPush appends a signed POST to the connection.
func (g *Gateway) AppendPush(b []byte, s *load.Signer, id string, body []byte) []byte {
	id = strings.TrimSuffix(id, "=")
	fields := s.AppendFields(nil, g.Address, "/"+Stage+"/%40connections/"+id+"%253D", body)
	return load.AppendRequest(b, "POST", g.Address, "/"+Stage+"/@connections/"+id+"%3D", string(fields), body)
}

// AppendAll appends a signed POST to every client of the stage.
func (g *Gateway) AppendAll(b []byte, s *load.Signer, body []byte) []byte {
	fields := s.AppendFields(nil, g.Address, "/"+Stage+"/%40all", body)
	return load.AppendRequest(b, "POST", g.Address, "/"+Stage+"/@all", string(fields), body)
}
