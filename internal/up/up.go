// Package up is the development command: it reads a template, starts a server,
// applies the one to the other, and tells the story on the terminal until it is
// told to end.
package up

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/awshttp"
	"tidegate/internal/client"
	"tidegate/internal/observe"
	"tidegate/internal/server"
	"tidegate/internal/stack"
)

// drainTime is how long the end may take: $disconnect is delivered, functions stop.
const drainTime = 10 * time.Second

// Options are what the command line says.
type Options struct {
	Template     string   // a file or a folder; "" means this folder
	Hosts        []string // nil means loopback, both families
	Ports        []int
	DataDir      string // "" means .tidegate beside the template
	Prune        bool
	NoRecord     bool // keep nothing of what clients send
	Fresh        bool // delete what the data dir holds first
	AllowOrigins []string
	// Certificates are what custom domain names are served with:
	// DOMAIN=CERT.pem,KEY.pem.
	Certificates []string
	// Overrides are template parameters as the command line gives them; see Overrides.
	Overrides []string
	Stage     string // of a serverless.yml; "" means the one that it names
	// Region is the one asked for; "" means the configuration file's, the
	// template's, else DefaultRegion.
	Region        string
	DefaultRegion string
	account       string // the running server's; "" means the template's
	// ConfigFile is a SAM configuration file; "" means one beside the template.
	ConfigFile string
	ConfigEnv  string // its environment; "" means default
	EnvVars    string // a file of environment variables in SAM's format
	// Endpoints say where services are that integrations call, by the environment
	// variable that the SDKs know: AWS_ENDPOINT_URL_SQS.
	Endpoints map[string]*url.URL
	Limits    apigw.Limits
	// WebhookSecret signs calls of HTTP backends in mode extended; nil: nothing does.
	WebhookSecret []byte
	Fallback      *url.URL // where calls to services that Tidegate lacks go; nil refuses them
	StackName     string
	IAM           string // enforce, warn or off; "" means warn
	Strict        bool
	NoBuild       bool   // functions run what lies in their folders
	LogFormat     string // auto, text or json
	Inspect       []Inspection

	Out, Err io.Writer
	Terminal bool // a person reads Out
	Color    bool
}

// A UsageError says that flags don't go together.
type UsageError string

// Error says which, and what to do.
func (e UsageError) Error() string { return string(e) }

// Run runs the template until ctx ends. A template that can't run is a
// stack.Diagnostics or ErrNoTemplate.
func Run(ctx context.Context, o Options) error {
	o.Limits = o.Limits.OrAWS()
	template, err := Load(o)
	if err != nil {
		return err
	}
	// A running server keeps its region, account and stack, whatever an edit says.
	o.Region, o.account, o.StackName = template.Region, template.Account, template.Name
	serverOptions, err := o.server(template)
	if err != nil {
		return err
	}
	tale := &story{out: o.Out, json: o.LogFormat == "json" || (o.LogFormat != "text" && !o.Terminal), color: o.Color}
	known := &names{}
	if o.Terminal { // a file takes every line
		tale.flood = newFlood(known.display)
	}
	observer := observe.New()
	notices, _ := observer.Subscribe()
	told := make(chan struct{})
	go func() {
		defer close(told)
		tale.follow(notices)
	}()
	defer func() {
		observer.Close()
		<-told
	}()
	tale.notes(template.Notes)
	serverOptions.Observer = observer
	if o.Fresh {
		if err := tale.fresh(serverOptions.DataDir); err != nil {
			return err
		}
	}
	for _, f := range template.Functions() {
		known.add(f.Name, f.LogicalID)
	}
	serverOptions.Display = known.display
	inspected, err := inspections(o.Inspect, template.Functions())
	if err != nil {
		return err
	}
	serverOptions.Inspect = inspected.port
	s, err := server.Open(ctx, serverOptions)
	if err != nil {
		return err
	}
	r := run{Options: o, template: template, server: s, tale: tale, names: known, inspected: inspected, dataDir: serverOptions.DataDir}
	err = r.serve(ctx)
	os.Remove(filepath.Join(r.dataDir, client.RunFile))
	if err == nil {
		tale.say("", "Stopping: clients are told, functions end. Ctrl-C again ends at once.")
	}
	err = errors.Join(err, r.end())
	if o.Limits.Mode == apigw.ModeAWS {
		tale.parity(observer.Parity())
	}
	return err
}

// fresh deletes what the data dir holds.
func (s *story) fresh(dataDir string) error {
	parts, err := server.Reset(dataDir)
	switch {
	case errors.Is(err, server.ErrNoState):
		return nil
	case err != nil:
		return err
	}
	s.note(slog.LevelInfo, "--fresh deleted what %s held: %d files and folders", dataDir, len(parts))
	return nil
}

// settleTime is how long after the start what starting took is given back to the
// system: a garbage collection then costs nobody anything.
const settleTime = 500 * time.Millisecond

// A run is one template on one server.
type run struct {
	Options
	template  *stack.Stack
	server    *server.Server
	tale      *story
	names     *names
	inspected inspected
	dataDir   string
}

// serve applies the template, says where it is, and follows its edits until ctx
// ends.
func (r *run) serve(ctx context.Context) error {
	if err := r.writeRunFile(); err != nil {
		return err
	}
	result, err := r.apply(ctx, r.template)
	if ctx.Err() != nil {
		return nil // told to end while starting
	}
	if err != nil {
		return err
	}
	r.server.SetReady()
	r.announce(result)
	r.inspected.tell(r.tale)
	settled := time.AfterFunc(settleTime, func() { observe.FreeMemory() })
	defer settled.Stop()
	r.watch(ctx)
	return nil
}

// apply makes the stack what the template says, and tells what that took.
func (r *run) apply(ctx context.Context, template *stack.Stack) (*stack.Result, error) {
	progress := newProgress(r.tale)
	deployer := &stack.Deployer{Endpoint: r.server.Endpoint(), Client: r.server.Client(), Credentials: r.server.RootKey(), Region: r.Region, Progress: progress.step}
	result, err := deployer.Apply(ctx, template)
	if err != nil {
		return nil, err
	}
	progress.end()
	r.tale.notes(result.Notes[len(template.Notes):]) // the template's own were told
	for _, named := range slices.Concat(result.Functions, result.Rules, result.Schedules) {
		r.names.add(named.Name, named.LogicalID)
	}
	return result, nil
}

// end stops everything in good order.
func (r *run) end() error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	return errors.Join(r.server.Drain(ctx), r.server.Close())
}

// server turns the command line into the server's options.
func (o Options) server(template *stack.Stack) (server.Options, error) {
	dataDir, err := o.dataDir(template.Home)
	if err != nil {
		return server.Options{}, err
	}
	state, cache, err := server.UserDirs()
	if err != nil {
		return server.Options{}, err
	}
	hosts := o.Hosts
	if len(hosts) == 0 {
		hosts = []string{"127.0.0.1", "::1"}
	}
	loopback := true
	for _, h := range hosts {
		loopback = loopback && isLoopback(h)
	}
	mode := awshttp.Mode(o.IAM)
	switch {
	case !loopback && (mode == awshttp.Warn || mode == awshttp.Off):
		return server.Options{}, UsageError(fmt.Sprintf("--iam %s is for loopback only: on %s anyone could call every API; leave it out, or listen on loopback", mode, strings.Join(hosts, ", ")))
	case !loopback:
		mode = awshttp.Enforce
	case mode == "":
		mode = awshttp.Warn
	}
	certificates, err := certificates(o.Certificates)
	if err != nil {
		return server.Options{}, err
	}
	return server.Options{Certificates: certificates, DataDir: dataDir, StateDir: state, CacheDir: cache, Hosts: hosts, Ports: o.Ports, Region: o.Region, Account: o.account,
		IAM: mode, AllowOrigins: o.AllowOrigins, Endpoints: o.Endpoints, Limits: o.Limits, WebhookSecret: o.WebhookSecret, Fallback: o.Fallback, Loopback: loopback, Folders: true, NoRecord: o.NoRecord}, nil
}

// dataDir is where everything durable lies: the flag's, or in the project's folder.
func (o Options) dataDir(home string) (string, error) {
	if o.DataDir != "" {
		return filepath.Abs(o.DataDir)
	}
	return filepath.Abs(filepath.Join(home, ".tidegate"))
}

// DataDir is the data dir of the template that the options name; the template
// isn't read.
func DataDir(o Options) (string, error) {
	if o.DataDir != "" {
		return o.dataDir("")
	}
	path, _, err := findTemplate(o.Template)
	if err != nil {
		return "", err
	}
	home := path
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		home = filepath.Dir(path)
	}
	if home, err = filepath.Abs(home); err != nil {
		return "", err
	}
	return o.dataDir(stack.Project(home))
}

// isLoopback says that only this machine reaches the host.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// names are what the user calls what AWS's APIs know by physical names. They are
// safe for concurrent use.
type names struct{ logical sync.Map }

// add remembers a logical id.
func (n *names) add(physical, logical string) {
	if physical != "" {
		n.logical.Store(physical, logical)
	}
}

// display turns a physical name into the logical id, when there is one.
func (n *names) display(physical string) string {
	if id, ok := n.logical.Load(physical); ok {
		return id.(string)
	}
	return physical
}

// writeRunFile tells other commands where this Tidegate is.
func (r *run) writeRunFile() error {
	return client.WriteRun(r.dataDir, client.Run{
		Endpoint: r.server.Endpoint(), PID: os.Getpid(), Region: r.Region, Stack: r.template.Name,
		AccessKeyID: r.server.RootKey().AccessKeyID, SecretFile: r.server.RootKeyFile(),
		CACert: r.server.CACert(), CABundle: r.server.CABundle(),
	})
}

// announce says what runs and where.
func (r *run) announce(result *stack.Result) {
	if len(r.urls(result)) > 0 { // else that is said below, of all
		for _, note := range unreachable(result.APIs) {
			r.tale.note(slog.LevelWarn, "%s", note)
		}
	}
	if r.tale.json {
		attrs := []slog.Attr{slog.String("endpoint", r.server.Endpoint()), slog.Any("urls", r.urls(result)), slog.Any("domainUrls", r.domainURLs(result)), slog.Any("outputs", result.Outputs), slog.String("mode", string(r.Limits.Mode))}
		if f := r.server.RootKeyFile(); f != "" {
			attrs = append(attrs, slog.String("rootKeyFile", f))
		}
		r.tale.tell(observe.Notice{Time: time.Now(), Kind: observe.KindNote, Level: slog.LevelInfo, Text: "ready", Attrs: attrs})
		return
	}
	lines := []string{"", "Ready."}
	if urls := r.urls(result); len(urls) > 0 {
		lines[1] = "Ready. Clients connect to:"
		for _, u := range urls {
			lines = append(lines, "  "+u)
		}
		lines = append(lines, r.domainLines(result)...)
		lines = append(lines, "Try it:   tidegate connect "+urls[0])
	} else {
		lines[1] = "Ready. The template has no stage of a WebSocket API, so there is nothing for clients to connect to."
	}
	lines = append(lines, "AWS APIs: "+r.server.Endpoint()+`   (eval "$(tidegate env)" points aws and SDKs there)`)
	lines = append(lines, "Limits:   "+limitsLine(&r.Limits))
	if f := r.server.RootKeyFile(); f != "" {
		lines = append(lines, "Root key: "+r.server.RootKey().AccessKeyID+", its secret in "+f)
	}
	names := make([]string, 0, len(result.Outputs))
	for k := range result.Outputs {
		names = append(names, k)
	}
	sort.Strings(names)
	for _, k := range names {
		lines = append(lines, fmt.Sprintf("Output %s = %s%s", k, printable(result.Outputs[k]), local(result.Outputs[k], result.APIs, r.server.StageURL)))
	}
	for _, rule := range result.Rules {
		lines = append(lines, "Rule "+rule.LogicalID+" fires on its schedule; now: tidegate fire "+rule.LogicalID)
	}
	for _, schedule := range result.Schedules {
		lines = append(lines, "Schedule "+schedule.LogicalID+" fires on its own; now: tidegate fire "+schedule.LogicalID)
	}
	r.tale.say(append(lines, "Ctrl-C ends.", "")...)
}

// limitsLine says which limits hold.
func limitsLine(l *apigw.Limits) string {
	line := "AWS's quotas (--mode aws)"
	if l.Mode == apigw.ModeExtended {
		line = "Tidegate's own (--mode extended)"
	}
	if changed := l.Changed(); len(changed) > 0 {
		line += ", " + strings.Join(changed, ", ")
	}
	return line
}

// unreachable says which APIs no client can reach.
func unreachable(apis []stack.API) []string {
	var notes []string
	for _, api := range apis {
		if len(api.Stages) == 0 {
			notes = append(notes, api.LogicalID+" has no stage, so no client can connect to it: add an AWS::ApiGatewayV2::Stage, with AutoDeploy: true or a deployment")
		}
	}
	return notes
}

// local says, for an output that is an API's address on AWS, which one it is here:
// people copy what a template calls its URL.
func local(output string, apis []stack.API, url func(apiID, stage string) string) string {
	for _, api := range apis {
		_, rest, found := strings.Cut(output, "://"+api.ID+".execute-api.")
		_, path, _ := strings.Cut(rest, "/")
		for _, s := range api.Stages {
			if found && strings.TrimSuffix(path, "/") == s.Name {
				return "   (here: " + url(api.ID, s.Name) + ")"
			}
		}
	}
	return ""
}

// urls are those that clients connect to.
func (r *run) urls(result *stack.Result) []string {
	urls := []string{} // in JSON a list, also when empty
	for _, api := range result.APIs {
		for _, s := range api.Stages {
			urls = append(urls, r.server.StageURL(api.ID, s.Name))
		}
	}
	return urls
}
