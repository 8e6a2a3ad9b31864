// Package functions is the AWS Lambda of one machine: the management and
// Invoke APIs over HTTP, the Runtime API, and execution environments, which are
// processes on this machine. nodejs* runtimes run on the machine's Node.js,
// python3.* runtimes on its Python, on Linux and macOS only; there is no sandbox,
// a function may do what the user may.
//
// Asynchronous invocations (type Event) are stored before they are accepted: what
// waits when the process ends goes on with the next.
//
// Sources: https://docs.aws.amazon.com/lambda/latest/api/ and
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
package functions

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"tidegate/internal/awshttp"
	"tidegate/internal/clock"
	"tidegate/internal/kv"
	"tidegate/sigv4"
)

// Config is what a Service needs. Bucket, Queue, Dir, Gate, Region and Account
// are required.
type Config struct {
	// Bucket keeps the functions' configurations, one key a function.
	Bucket kv.Bucket
	// Queue keeps the asynchronous invocations; QueueLimits fit it. It must not be
	// closed before the service is.
	Queue kv.Queue
	// Dir is a folder of this service's own, for code and the runtime's files.
	Dir string
	// Cache is a folder per user, for the SDK that Lambda's runtimes bring; empty
	// means that it is never installed.
	Cache string
	Gate  *awshttp.Gate
	// Clock times the retries of asynchronous invocations; nil is the machine's.
	// Timeouts of running functions use the machine's own time always.
	Clock   clock.Clock
	Region  string
	Account string
	// Endpoint (http://host:port) is where STS answers, reached with Client (nil:
	// http.DefaultClient) and signed with Credentials, which are those of
	// lambda.amazonaws.com. An empty Endpoint gives functions no credentials.
	Endpoint    string
	Client      *http.Client
	Credentials sigv4.Credentials
	// Environment returns further variables (NAME=value) for a function, such as
	// AWS_ENDPOINT_URL_* and NODE_EXTRA_CA_CERTS; the function's own variables win
	// over them. May be nil.
	Environment func(Function) []string
	// Folders allows code to be a folder of this machine
	// (S3Bucket tidegate-folder).
	Folders bool
	// Redirect returns host:port to which a function's connections to
	// *.amazonaws.com go; nil or an empty answer leaves them alone.
	Redirect func() string
	// Domains returns more names whose connections go there: custom domain names of
	// WebSocket APIs, which may begin with a star. nil: none.
	Domains func() []string
	// Proxy opens a proxy to an environment whose runtime knows no other way to
	// Redirect: the URL for its HTTPS_PROXY, and a func that shuts it again. May be
	// nil.
	Proxy  func() (url string, end func(), err error)
	Events EventListener
	// Inspect returns the loopback port on which a debugger attaches to a function,
	// 0 for none; may be nil. Such a function has one environment at a time and a
	// timeout of a day.
	Inspect func(function string) int
	// MaxEnvironments bounds the processes at one time; 0 means 64: most of them
	// wait for something, and each costs some 50 MB. An invocation beyond waits
	// 10 s for one, then is throttled.
	MaxEnvironments int
	// IdleAfter retires an environment that was not used for so long; 0 means 5
	// minutes.
	IdleAfter time.Duration
}

// A Function is what others may know of a function, without secrets.
type Function struct {
	Name, ARN, Runtime, Handler, Role string
	Timeout                           time.Duration
	MemorySize                        int // MB
	// CodeDir is the folder that holds the code; Folder says that it is the
	// user's own.
	CodeDir string
	Folder  bool
	// Variables are the function's own environment variables. Read only.
	Variables map[string]string
}

// A Service serves the functions of one account and region.
type Service struct {
	cfg      Config
	node     func() (string, error) // finds Node.js, once
	runtime  string                 // the folder of the embedded runtime
	starter  *starter
	temp     string          // the folder of environments' temporary folders
	life     string          // 12 hex digits of this Service's own, which each environment's id begins with
	mourner  func() *mourner // started with the first environment; nil at most
	session  *sessions
	sdk      *sdkCache
	pythons  pythons
	rpcPorts rpcPorts
	builders *builders
	queue    *queue
	manage   http.Handler
	invoker  http.Handler
	// initLimit and readyGrace are the constants of these names; a test sets others.
	initLimit, readyGrace time.Duration
	ctx                   context.Context // ends at Close
	cancel                context.CancelFunc
	installing            context.Context // ends at StopInstalling, at Close at the latest
	stopInstalling        context.CancelFunc

	mu         sync.Mutex
	functions  map[string]*function // by record.key
	pools      map[string]*pool     // by record.key
	layers     map[string]*layer    // by ARN
	extensions map[string]bool      // function/extension that were told of
	running    map[string]int       // invocations under way, by function, whichever version
	debugged   map[string]int       // processes of functions under a debugger, by name
	kept       map[string]bool      // functions that keepInspected runs for
	alive      int                  // environments that hold a place
	freed      chan struct{}        // closed and replaced when a place or an environment becomes free
	mourned    bool                 // mourner was asked for
	closed     bool
	exits      sync.WaitGroup // one for each process
	preparing  sync.WaitGroup // one for each function whose code is made ready

	writes sync.Mutex // held over each change of the bucket
}

// Figures of Lambda's, and of this machine.
const (
	defaultIdleAfter = 5 * time.Minute
	accountLimit     = 1000 // concurrent executions in an account

	defaultEnvironments = 64
)

// New opens the service: it loads the bucket and writes the runtime's files.
func New(ctx context.Context, cfg Config) (*Service, error) {
	if cfg.Bucket == nil || cfg.Queue == nil || cfg.Gate == nil || cfg.Dir == "" {
		return nil, errors.New("functions: Bucket, Queue, Gate and Dir must be set")
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("functions: %w", err)
	}
	cfg.Dir = dir
	if cfg.Clock == nil {
		cfg.Clock = clock.System
	}
	if cfg.Client == nil {
		cfg.Client = http.DefaultClient
	}
	if cfg.MaxEnvironments <= 0 {
		cfg.MaxEnvironments = defaultEnvironments
	}
	cfg.MaxEnvironments = min(cfg.MaxEnvironments, accountLimit)
	if cfg.IdleAfter <= 0 {
		cfg.IdleAfter = defaultIdleAfter
	}
	s := &Service{
		cfg: cfg, node: sync.OnceValues(findNode), functions: map[string]*function{}, pools: map[string]*pool{}, running: map[string]int{}, debugged: map[string]int{}, kept: map[string]bool{}, layers: map[string]*layer{}, extensions: map[string]bool{},
		freed: make(chan struct{}), initLimit: initLimit, readyGrace: readyGrace,
	}
	if s.runtime, err = writeRuntime(dir); err != nil {
		return nil, fmt.Errorf("functions: writing the runtime's files: %w", err)
	}
	// What functions of an earlier process left behind when it was killed: the
	// folder is ours alone, so is whatever has it in its environment.
	killStragglers("LAMBDA_RUNTIME_DIR=" + s.runtime + "\x00")
	killStragglers("TIDEGATE_TOOL_OF=" + s.runtime + "\x00")
	s.temp = filepath.Join(dir, "temp")
	os.RemoveAll(s.temp) // of a process that was killed
	if err := os.MkdirAll(s.temp, 0o700); err != nil {
		return nil, fmt.Errorf("functions: the folder of temporary files: %w", err)
	}
	s.builders = newBuilders(filepath.Join(dir, "build"))
	if err := s.load(ctx); err != nil {
		return nil, err
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.installing, s.stopInstalling = context.WithCancel(s.ctx)
	s.starter = newStarter()
	s.life = strings.ReplaceAll(awshttp.NewRequestID(), "-", "")[:12]
	s.mourner = sync.OnceValue(func() *mourner { return s.starter.newMourner("]" + s.life) })
	s.session = newSessions(&s.cfg)
	s.sdk = &sdkCache{dir: cfg.Cache, events: &s.cfg.Events, node: s.node, run: s.runTool}
	s.queue = newQueue(s)
	s.routes()
	s.queue.work.Go(s.queue.run)
	s.mu.Lock()
	for _, fn := range s.functions {
		s.inspectLocked(fn)
	}
	s.mu.Unlock()
	go s.sweep()
	if cfg.Folders {
		go s.keepBuilt()
	}
	return s, nil
}

// Functions returns every function, sorted by name.
func (s *Service) Functions() []Function {
	fns := s.list()
	out := make([]Function, len(fns))
	for i, fn := range fns {
		out[i] = fn.info()
	}
	return out
}

// Changed says that a file at or below path was saved. Environments whose code
// lies there are retired: those that run finish first. Correctness doesn't need
// it, since the code is looked at before each reuse; it only frees them sooner.
func (s *Service) Changed(path string) {
	s.mu.Lock()
	var stale []*environment
	for _, p := range s.pools {
		keep := p.idle[:0]
		for _, e := range p.idle {
			if e.fn.Code.Folder != "" && within(e.fn.codeDir, path) && !e.fresh() {
				stale = append(stale, e)
				continue
			}
			keep = append(keep, e)
		}
		p.idle = keep
	}
	s.mu.Unlock()
	for _, e := range stale {
		e.retire(exitStale)
	}
}

// StopInstalling ends an installation under way and lets none begin: the
// invocations that wait for it fail, and none holds up the end of a process.
func (s *Service) StopInstalling() { s.stopInstalling() }

// Close ends every execution environment, with what it has started. Asynchronous
// invocations that wait, or that it cuts off, stay in the queue. Requests that
// come later are refused.
func (s *Service) Close(ctx context.Context) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	var all []*environment
	for _, p := range s.pools {
		for e := range p.all {
			all = append(all, e)
		}
	}
	s.mu.Unlock()
	s.cancel()
	for _, e := range all {
		e.retire(exitClosed)
	}
	ended := make(chan struct{})
	go func() {
		s.exits.Wait()
		close(ended)
	}()
	cleared := make(chan struct{})
	go func() {
		s.sdk.wait() // an installation removes what it has begun
		s.preparing.Wait()
		close(cleared)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		for _, e := range all {
			e.proc.kill()
		}
		<-ended
	}
	select {
	case <-cleared:
	case <-ctx.Done():
	}
	delivered := make(chan struct{})
	go func() {
		s.queue.work.Wait() // an event that is done is taken from the queue
		close(delivered)
	}()
	select {
	case <-delivered:
	case <-ctx.Done():
	}
	s.builders.close()
	s.mu.Lock()
	mourned := s.mourned
	s.mu.Unlock()
	if mourned {
		s.mourner().close()
	}
	s.starter.close()
	return nil
}

// sweep retires environments that nobody has used for a while.
func (s *Service) sweep() {
	tick := time.NewTicker(min(30*time.Second, s.cfg.IdleAfter))
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
		}
		for _, e := range s.takeIdle(time.Now().Add(-s.cfg.IdleAfter)) {
			e.retire(exitIdle)
		}
	}
}

// ServeHTTP serves Lambda's API.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if isInvocation(r) {
		s.invoker.ServeHTTP(w, r)
		return
	}
	s.manage.ServeHTTP(w, r)
}

// writeRuntime puts the embedded files where processes can read them.
func writeRuntime(dir string) (string, error) {
	folder := filepath.Join(dir, "runtime")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	entries, err := runtimeFiles.ReadDir("runtime")
	if err != nil {
		return "", err
	}
	for _, entry := range entries {
		b, err := runtimeFiles.ReadFile("runtime/" + entry.Name())
		if err != nil {
			return "", err
		}
		if err := writeFile(filepath.Join(folder, entry.Name()), b, 0o600); err != nil {
			return "", err
		}
	}
	return folder, nil
}
