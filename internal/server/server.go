// Package server wires Tidegate together and holds its listeners. It is the one
// place where sockets, semantics, control and side services meet: everything
// else knows its neighbours only by an interface, a snapshot, or HTTP.
package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tidegate/internal/admin"
	"tidegate/internal/apigw"
	"tidegate/internal/authorizer"
	"tidegate/internal/awshttp"
	"tidegate/internal/clock"
	"tidegate/internal/cluster"
	"tidegate/internal/connection"
	"tidegate/internal/control"
	"tidegate/internal/control/catalog"
	"tidegate/internal/control/controlapi"
	"tidegate/internal/control/usage"
	"tidegate/internal/edge"
	"tidegate/internal/gateway"
	"tidegate/internal/integration"
	"tidegate/internal/intercept"
	"tidegate/internal/kv/filekv"
	"tidegate/internal/mgmtapi"
	"tidegate/internal/observe"
	"tidegate/internal/parity"
	"tidegate/internal/recording"
	"tidegate/internal/rollout"
	"tidegate/internal/service/functions"
	"tidegate/internal/service/identity"
	"tidegate/internal/service/logs"
	"tidegate/internal/service/schedules"
	"tidegate/internal/service/tables"
	"tidegate/internal/stage"
	"tidegate/internal/transport"
	"tidegate/internal/transport/goconn"
	"tidegate/internal/upstream"
	"tidegate/sigv4"
)

// readyWait bounds how long the stored stages may take to be compiled.
const readyWait = 30 * time.Second

// maxConnections is how many clients one process holds at most.
const maxConnections = 1 << 20

// A Server is a whole Tidegate in this process.
type Server struct {
	options     Options
	listeners   []Listener
	store       *filekv.Store
	ca          *intercept.Authority
	certified   *intercept.Domains // certificates of custom domain names
	proxy       *intercept.Door    // for functions that redirection doesn't reach
	root        sigv4.Credentials
	caBundle    string
	serviceKeys serviceKeys

	identity  *identity.Service
	functions *functions.Service
	schedules *schedules.Service
	tables    *tables.Service
	logs      *logs.Service
	logsAPI   observe.ShipperConfig // how Lambda reaches it
	shipper   *observe.Shipper      // carries functions' lines there
	recorder  *recording.Recorder   // nil when nothing is kept
	replayer  *recording.Replayer   // nil without it
	metrics   *observe.Metrics
	stageLogs *observe.Shipper // and those of stages' access and execution logs
	registry  *connection.Registry
	router    *cluster.Router
	gateway   *gateway.Gateway
	backends  *upstream.Client // calls HTTP backends
	keys      *usage.Service
	domains   edge.Domains
	admin     *admin.Service
	catalog   *catalog.Catalog
	plane     *control.Service
	handlers  map[string]http.Handler // of services, by signing name
	fronts    map[Role]*front

	engine  *goconn.Engine   // TLS, what net/http gives back, and all where there are no loops
	loops   transport.Engine // serves the listeners
	memory  *memoryListener  // between services
	inside  *http.Server     // serves memory
	changes changes          // of what is in the store
	handing atomic.Bool      // another process hands off to this one, or this one to it
	stop    context.CancelFunc
	running sync.WaitGroup
}

// Open builds a server and begins to listen. Nothing of a data dir that another
// process holds is touched. Close it.
func Open(ctx context.Context, o Options) (_ *Server, err error) {
	if o.Clock == nil {
		o.Clock = clock.System
	}
	o.Limits = o.Limits.OrAWS()
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	s := &Server{options: o, metrics: observe.NewMetrics(), memory: newMemoryListener(), handlers: map[string]http.Handler{}, stop: stop}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.listeners, err = o.listen(); err != nil {
		return nil, err
	}
	if s.store, err = openData(o.DataDir, o.Patience); err != nil {
		return nil, err
	}
	gate := &awshttp.Gate{Mode: o.IAM, Account: o.Account, Region: o.Region, Events: s.metrics.AWS(o.Observer.AWS())}
	if o.Serve != nil {
		gate.Identities, gate.Tokens, gate.Mode = o.Serve.Identities, o.Serve.Tokens, awshttp.Enforce
	} else if err := s.openDevelopment(ctx, gate); err != nil {
		return nil, err
	}
	if err := s.openGateway(ctx, gate, s.handlers); err != nil {
		return nil, err
	}
	if err := s.openEngines(); err != nil {
		return nil, err
	}
	if !o.Hold {
		s.Accept()
	}
	return s, nil
}

// openDevelopment opens what only up has: well-known keys and roles, the
// certificate authority, the recorder, the side services.
func (s *Server) openDevelopment(ctx context.Context, gate *awshttp.Gate) error {
	if err := s.openIdentity(ctx); err != nil {
		return err
	}
	gate.Identities = s.identity
	if err := s.openAuthority(); err != nil {
		return err
	}
	if err := s.openRecorder(); err != nil {
		return err
	}
	maps.Copy(s.handlers, s.identity.Handlers(gate))
	return s.openServices(ctx, gate, s.handlers)
}

// servicePrincipals are AWS services that call other services here, each with a
// key of its own that lives as long as the process.
var servicePrincipals = []string{"apigateway.amazonaws.com", "lambda.amazonaws.com", "events.amazonaws.com", "scheduler.amazonaws.com"}

// serviceKeys holds those keys' credentials by principal.
type serviceKeys map[string]sigv4.Credentials

func newServiceKeys() serviceKeys {
	keys := serviceKeys{}
	for _, p := range servicePrincipals {
		name, _, _ := strings.Cut(p, ".")
		keys[p] = sigv4.Credentials{AccessKeyID: "TIDEGATE-" + strings.ToUpper(name), SecretAccessKey: randomSecret()}
	}
	return keys
}

// openIdentity opens roles and keys.
func (s *Server) openIdentity(ctx context.Context) error {
	bucket, err := s.store.Bucket(ctx, "identity")
	if err != nil {
		return err
	}
	s.serviceKeys = newServiceKeys()
	var keys []identity.Key
	for principal, c := range s.serviceKeys {
		keys = append(keys, identity.Key{AccessKeyID: c.AccessKeyID, Secret: c.SecretAccessKey, Principal: awshttp.Principal{Kind: awshttp.Service, ARN: principal}})
	}
	if s.options.Loopback {
		s.root = sigv4.Credentials{AccessKeyID: "tidegate", SecretAccessKey: "tidegate"}
		keys = append(keys, identity.Key{AccessKeyID: "test", Secret: "test"})
	} else {
		secret, err := rootSecret(s.options.DataDir)
		if err != nil {
			return err
		}
		s.root = sigv4.Credentials{AccessKeyID: "tidegate", SecretAccessKey: secret}
	}
	keys = append(keys, identity.Key{AccessKeyID: s.root.AccessKeyID, Secret: s.root.SecretAccessKey})
	s.identity, err = identity.New(ctx, identity.Config{Bucket: bucket, Account: s.options.Account, Region: s.options.Region, Keys: keys})
	return err
}

// openAuthority opens the user's certificate authority and what custom domain
// names are served with, and writes what tools and functions trust.
func (s *Server) openAuthority() (err error) {
	if s.ca, err = intercept.Open(filepath.Join(s.options.StateDir, "ca")); err != nil {
		return err
	}
	s.certified = intercept.OpenDomains(filepath.Join(s.options.StateDir, "domains"))
	for name, c := range s.options.Certificates {
		s.certified.Give(name, c)
	}
	s.caBundle = filepath.Join(s.options.DataDir, "ca-bundle.pem")
	if err := s.writeTrust(); err != nil {
		// Without roots on the machine there is nothing to bundle: then clients that
		// replace theirs trust this server alone.
		s.options.Observer.Note(observe.Notice{Kind: observe.KindNote, Level: slog.LevelWarn, Text: err.Error()})
		s.caBundle = s.CACert()
		if err := s.writeTrust(); err != nil {
			return err
		}
	}
	s.proxy = intercept.NewDoor(intercept.DoorConfig{
		Covers: s.answersFor,
		Answer: func(c net.Conn, read []byte) {
			if s.inner().returned.hand(context.Background(), newReturned(c, read)) != nil {
				c.Close()
			}
		},
	})
	return nil
}

// writeTrust writes the authorities' certificates, and a bundle of them and the
// system's roots.
func (s *Server) writeTrust() error {
	ours := s.certified.CertPEM()
	if err := s.ca.Trust(s.CACert(), ours); err != nil || s.caBundle == s.CACert() {
		return err
	}
	return s.ca.Bundle(s.caBundle, ours)
}

// answersFor says whether functions' connections to a host and port are this
// server's to answer.
func (s *Server) answersFor(host, port string) bool {
	if s.domains.Lookup(host) != nil {
		_, own, _ := net.SplitHostPort(s.address())
		return port == "443" || port == own
	}
	return port == "443" && strings.HasSuffix(host, ".amazonaws.com") && s.ca.Covers(host)
}

// inMemory is the host by which a service is reached inside this process.
func inMemory(service string) string { return "http://" + service + ".tidegate.internal" }

// openServices opens the side services and adds their handlers.
func (s *Server) openServices(ctx context.Context, gate *awshttp.Gate, handlers map[string]http.Handler) error {
	var err error
	if s.tables, err = tables.New(ctx, tables.Config{Dir: filepath.Join(s.options.DataDir, "tables"), Gate: gate, Clock: s.options.Clock}); err != nil {
		return err
	}
	if err := s.openLogs(ctx, gate, handlers); err != nil {
		return err
	}
	bucket, err := s.store.Bucket(ctx, "functions")
	if err != nil {
		return err
	}
	queue, err := s.store.Queue(ctx, "functions", functions.QueueLimits)
	if err != nil {
		return err
	}
	s.functions, err = functions.New(ctx, functions.Config{
		Bucket: bucket, Queue: queue, Dir: filepath.Join(s.options.DataDir, "functions"), Cache: s.options.CacheDir, Gate: gate,
		Region: s.options.Region, Account: s.options.Account,
		Endpoint: inMemory("sts"), Client: s.memory.client(), Credentials: s.serviceKeys["lambda.amazonaws.com"],
		Environment: s.functionEnvironment, Folders: s.options.Folders, Redirect: s.address, Domains: s.domains.Names, Proxy: s.proxy.Pass, Inspect: s.options.Inspect,
		Events: s.functionEvents(),
	})
	if err != nil {
		return err
	}
	if bucket, err = s.store.Bucket(ctx, "schedules"); err != nil {
		return err
	}
	s.schedules, err = schedules.New(ctx, schedules.Config{
		Bucket: bucket, Gate: gate, Clock: s.options.Clock, Region: s.options.Region, Account: s.options.Account,
		Endpoint: inMemory("lambda"), STS: inMemory("sts"), Client: s.memory.client(),
		Credentials: s.serviceKeys["events.amazonaws.com"], SchedulerCredentials: s.serviceKeys["scheduler.amazonaws.com"],
		Events: s.options.Observer.Schedules(s.options.Display),
	})
	if err != nil {
		return err
	}
	handlers["dynamodb"], handlers["lambda"] = s.metrics.Tables(s.tables, s.tables.HasOperation), s.functions
	handlers["events"], handlers["scheduler"] = s.schedules, s.schedules.Scheduler()
	return nil
}

// openLogs opens CloudWatch Logs and what carries functions' lines to it.
func (s *Server) openLogs(ctx context.Context, gate *awshttp.Gate, handlers map[string]http.Handler) error {
	bucket, err := s.store.Bucket(ctx, "logs")
	if err != nil {
		return err
	}
	s.logs, err = logs.New(ctx, logs.Config{
		Dir: filepath.Join(s.options.DataDir, "logs"), Bucket: bucket, Gate: gate, Region: s.options.Region, Account: s.options.Account,
		Writers: []string{"lambda.amazonaws.com", "apigateway.amazonaws.com"},
	})
	if err != nil {
		return err
	}
	handlers["logs"] = s.logs
	s.logsAPI = observe.ShipperConfig{Endpoint: inMemory("logs"), Client: s.memory.client(), Credentials: s.serviceKeys["lambda.amazonaws.com"],
		Region: s.options.Region, Failed: s.options.Observer.Note}
	s.shipper = observe.NewShipper(s.logsAPI)
	ofStages := s.logsAPI
	ofStages.Credentials = s.serviceKeys["apigateway.amazonaws.com"]
	s.stageLogs = observe.NewShipper(ofStages)
	return nil
}

// endpointVariables name, for the AWS SDKs, the services that Tidegate has. The
// Management API is not among them: a client of it without an endpoint is a
// mistake that AWS would show too.
var endpointVariables = []string{"API_GATEWAY", "APIGATEWAYV2", "CLOUDWATCH_LOGS", "DYNAMODB", "EVENTBRIDGE", "IAM", "LAMBDA", "SCHEDULER", "STS"}

// functionEnvironment is what every function's environment gets beside AWS's own.
func (s *Server) functionEnvironment(f functions.Function) []string {
	env := append(nodeTrust(f, s.CACert(), s.caBundle), "AWS_CA_BUNDLE="+s.caBundle, "SSL_CERT_FILE="+s.caBundle, "REQUESTS_CA_BUNDLE="+s.caBundle)
	// A function is written for its own runtime; what SDKs remark on this machine's
	// Node.js, and on their own age, would only bury what the function says.
	env = append(env, "AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE=1", "AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED=true")
	for _, v := range endpointVariables {
		env = append(env, "AWS_ENDPOINT_URL_"+v+"="+s.Endpoint())
	}
	return env
}

// nodeTrust has a function's Node.js trust our authority beside the system's
// roots. NODE_EXTRA_CA_CERTS would do, but makes Node.js 20 read all roots at each
// start, which doubles it. OpenSSL's store is read at the
// first TLS connection, from SSL_CERT_FILE. Where that can't be, because there is
// no bundle or the function has such settings of its own, it is the former.
// https://nodejs.org/api/cli.html#--use-bundled-ca---use-openssl-ca
func nodeTrust(f functions.Function, ca, bundle string) []string {
	for _, own := range []string{"NODE_OPTIONS", "SSL_CERT_FILE", "SSL_CERT_DIR"} {
		if _, ok := f.Variables[own]; ok {
			bundle = ca
		}
	}
	if bundle == ca {
		return []string{"NODE_EXTRA_CA_CERTS=" + ca}
	}
	return []string{"NODE_OPTIONS=--use-openssl-ca"}
}

// newBinder returns what makes the stages' invokers.
func (s *Server) newBinder(gate *awshttp.Gate, handlers map[string]http.Handler) *binder {
	client, keys := s.memory.client(), s.serviceKeys["apigateway.amazonaws.com"]
	roles := integration.NewRoles(integration.RolesConfig{
		Endpoint: inMemory("sts"), Client: client, Region: s.options.Region, Account: s.options.Account, Credentials: keys,
		Unassumable: func(role, why string) bool {
			if s.options.IAM == awshttp.Enforce {
				return false
			}
			if s.options.IAM == awshttp.Warn {
				s.options.Observer.Relied(parity.RoleNotAssumed, role, func() parity.First { return parity.First{Where: why} })
				s.options.Observer.Note(observe.Notice{Kind: observe.KindRefused, Level: slog.LevelWarn,
					Text: fmt.Sprintf("apigateway.amazonaws.com can't assume %s, the role of an integration or authorizer: %s; on AWS its calls would fail", role, why)})
			}
			return true
		},
	})
	var announcer *integration.Announcer
	if s.options.Limits.Mode == apigw.ModeExtended {
		announcer = &integration.Announcer{Secret: s.options.WebhookSecret}
	}
	bounds := upstream.Config{MaxConns: s.options.Limits.BackendConnections}
	transport := upstream.NewTransport(bounds)
	bounds.Other = transport
	s.backends = upstream.New(bounds)
	return &binder{
		announcer: announcer, alone: s.options.Serve != nil,
		limits: s.options.Limits,
		lambda: integration.LambdaConfig{Endpoint: inMemory("lambda"), Client: client, Region: s.options.Region,
			Account: s.options.Account, Credentials: keys},
		iam:       &authorizer.IAM{Keys: signers{gate.Identities}, Region: s.options.Region, Account: s.options.Account, AnyRegion: gate.Mode != awshttp.Enforce},
		transport: transport, backends: s.backends, inspect: s.options.Inspect,
		roles: roles, memory: client.Transport, endpoints: s.options.Endpoints, fallback: s.options.Fallback, note: s.options.Observer.Note,
		has: func(service string) bool { return handlers[service] != nil || service == "execute-api" },
	}
}

// openGateway opens what serves clients: the gateway, the control plane that
// tells it what to serve, and the door in front of both.
func (s *Server) openGateway(ctx context.Context, gate *awshttp.Gate, handlers map[string]http.Handler) error {
	node, err := s.store.Bucket(ctx, "node")
	if err != nil {
		return err
	}
	if s.registry, err = openRegistry(ctx, node, maxConnections); err != nil {
		return err
	}
	plans, err := s.store.Bucket(ctx, "usage")
	if err != nil {
		return err
	}
	if s.keys, err = usage.Open(ctx, plans, s.options.Clock.Now); err != nil {
		return err
	}
	s.keys.Bound(s.options.Limits.APIKeys, s.options.Limits.UsagePlans)
	s.running.Go(func() { s.keys.Run(ctx) })
	s.router = cluster.NewRouter(cluster.Node{Registry: s.registry}, s.metrics.Cluster(s.pushNotices()))
	s.gateway = gateway.New(gateway.Config{Registry: s.registry, Elsewhere: s.router, Now: s.options.Clock.Now, Keys: s.keys, Limits: s.options.Limits, Events: s.gatewayEvents(), Logs: s.logsOfStages()})

	if s.catalog, err = catalog.Open(ctx, s.store); err != nil {
		return err
	}
	bind := s.newBinder(gate, handlers)
	follower := rollout.New(rollout.Config{
		Catalog:  s.catalog,
		Compile:  func(d *apigw.Definition, st *apigw.Stage) (*stage.Stage, error) { return stage.Compile(d, st, bind) },
		Publish:  s.gateway.Publish,
		Withdraw: s.gateway.Withdraw,
		Failed:   s.options.Observer.RolloutFailed,

		PublishDomain: s.publishDomain, WithdrawDomain: s.withdrawDomain, DomainFailed: s.domainFailed,
	})
	s.running.Go(func() { follower.Run(ctx) })
	select { // what was deployed before serves from the first connection on
	case <-follower.Ready():
	case <-time.After(readyWait):
		return errors.New("the stages of the data dir could not be read in time; try again, or choose another --data-dir")
	}
	s.plane = control.New(control.Config{
		Catalog: s.catalog, Region: s.options.Region, Clock: s.options.Clock, Limits: s.options.Limits,
		Check: func(d *apigw.Definition, st *apigw.Stage) error {
			_, err := stage.Compile(d, st, bind)
			return err
		},
		Applied: follower.Wait, DomainApplied: follower.WaitDomain,
		Notice: s.options.Observer.ControlNotice,
	})
	handlers["apigateway"] = apiGateway(gate, s.plane, s.keys)
	return s.openDoor(ctx, gate, handlers)
}

// apiGateway is both versions of the control plane's API.
func apiGateway(gate *awshttp.Gate, plane *control.Service, keys *usage.Service) http.Handler {
	second, first := controlapi.New(gate, plane), keys.Handler(gate)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/apikeys") || strings.HasPrefix(r.URL.Path, "/usageplans") || r.URL.Path == "/account" {
			first.ServeHTTP(w, r) // version 1
			return
		}
		second.ServeHTTP(w, r)
	})
}

// openDoor opens Tidegate's own pages and the edge.
func (s *Server) openDoor(ctx context.Context, gate *awshttp.Gate, handlers map[string]http.Handler) error {
	records, err := s.store.Bucket(ctx, "stacks")
	if err != nil {
		return err
	}
	management := mgmtapi.New(mgmtapi.Config{Gate: gate, Router: s.reach(), Codec: s.registry.Codec(), Admit: s.gateway.AdmitCall, MaxPayload: s.options.Limits.MessageSize})
	pages := admin.Config{Replays: s.replayer,
		Mode: string(s.options.Limits.Mode), Limits: s.options.Limits.Changed(),
		Gate: gate, Records: records, StageURL: s.StageURL, DomainURLs: s.DomainURLs, Connections: s.connections, Fire: s.fire, Observer: s.options.Observer, Metrics: s.writeMetrics}
	if s.options.Serve != nil {
		_, loopback, err := s.reachable()
		if err != nil {
			return err
		}
		pages.MetricsOpen = loopback[RoleAdmin]
	}
	if s.logs != nil {
		pages.Kept = func(ctx context.Context, function, requestID string, from, to time.Time) ([]observe.Notice, error) {
			return observe.Kept(ctx, s.logsAPI, s.options.Display, function, requestID, from, to)
		}
	}
	s.admin = admin.New(pages)
	own := http.Handler(s.admin)
	if s.options.Serve != nil { // up hands nothing off
		own = s.changes.guard(own, changing)
		for name, h := range handlers {
			handlers[name] = s.changes.guard(h, always)
		}
	}
	return s.openFronts(edge.Config{
		Context:    ctx,
		Gateway:    s.gateway,
		Find:       s.router.Find,
		Limits:     s.options.Limits,
		Management: management,
		Services:   handlers,
		Fallback:   s.options.Fallback,
		Own:        own,
		Domains:    &s.domains,
		Events:     s.doorEvents(),
	})
}

// socketLimits are the account's limits as sockets are held to them.
func socketLimits(l *apigw.Limits) transport.Limits {
	t := transport.DefaultLimits()
	t.Frame, t.Message, t.BinaryAllowed, t.Deflate = l.FrameSize, l.MessageSize, l.Binary, l.Compression
	t.Idle, t.Lifetime, t.Ping = l.Idle, l.Lifetime, l.Ping
	t.SendQueue = max(t.SendQueue, 2*l.MessageSize) // one that may be sent fits behind one that is
	// Names and the rest of a head are beside what is bounded; a handshake beyond
	// the limits is the door's to answer.
	t.Header = max(t.Header, l.URLSize+l.HeaderSize+8<<10)
	return t
}

// Drain ends what clients see: none is admitted any more, all are closed, and
// every $disconnect is delivered, or ctx ends. The APIs answer all the while: it
// is $disconnect functions that call them.
func (s *Server) Drain(ctx context.Context) error {
	s.admin.SetUnready()
	if s.options.Serve == nil {
		s.schedules.Close()
		s.functions.StopInstalling()
	} else {
		s.settle(ctx)
	}
	return s.gateway.Drain(ctx)
}

// Close ends everything. What was acknowledged is on disk.
func (s *Server) Close() error {
	for _, l := range s.listeners {
		l.Open.Close()
	}
	var errs []error
	if s.loops != nil {
		errs = append(errs, s.loops.Close())
	}
	if s.engine != nil {
		errs = append(errs, s.engine.Close())
	}
	for _, f := range s.fronts {
		f.close()
	}
	if s.schedules != nil {
		s.schedules.Close()
	}
	if s.functions != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		errs = append(errs, s.functions.Close(ctx))
	}
	if s.proxy != nil {
		s.proxy.Close()
	}
	if s.shipper != nil {
		s.shipper.Close() // while what it calls still answers
	}
	if s.stageLogs != nil {
		s.stageLogs.Close()
	}
	if s.inside != nil {
		s.inside.Close()
	}
	s.memory.Close()
	s.stop()
	if s.backends != nil {
		s.backends.Close()
	}
	s.running.Wait()
	if s.tables != nil {
		errs = append(errs, s.tables.Close())
	}
	if s.recorder != nil {
		errs = append(errs, s.recorder.Close())
	}
	if s.logs != nil {
		errs = append(errs, s.logs.Close())
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	return errors.Join(errs...)
}

// SetReady makes /_tidegate/ready answer 200.
func (s *Server) SetReady() { s.admin.SetReady() }

// RootKey is the account's root's.
func (s *Server) RootKey() sigv4.Credentials { return s.root }

// RootKeyFile holds the root key's secret when it is a random one, else it is "".
func (s *Server) RootKeyFile() string {
	if s.options.Loopback {
		return ""
	}
	return filepath.Join(s.options.DataDir, RootKeyFile)
}

// CACert is a file of the certificate authorities, PEM: the user's own, and those
// of custom domain names.
func (s *Server) CACert() string { return filepath.Join(s.options.DataDir, "ca.pem") }

// CABundle is a file of the system's roots and those authorities, PEM.
func (s *Server) CABundle() string { return s.caBundle }

// Client is an HTTP client for this server's own endpoint.
func (s *Server) Client() *http.Client { return &http.Client{Timeout: 2 * time.Minute} }

// address is host:port of the first listener, as this machine reaches it.
func (s *Server) address() string {
	a := s.listeners[0].Open.Addr().(*net.TCPAddr)
	host := "127.0.0.1"
	if !a.IP.IsUnspecified() && !a.IP.IsLoopback() {
		host = a.IP.String()
	}
	return net.JoinHostPort(host, strconv.Itoa(a.Port))
}

// Endpoint is the base URL of every HTTP API: http://localhost:8420.
func (s *Server) Endpoint() string { return "http://" + s.host() }

// host is what people call the first listener.
func (s *Server) host() string {
	a := s.listeners[0].Open.Addr().(*net.TCPAddr)
	if s.options.Loopback || a.IP.IsUnspecified() {
		return "localhost:" + strconv.Itoa(a.Port)
	}
	return s.address()
}

// StageURL is where clients reach a stage: without the API's id when only one
// API has a stage of that name.
func (s *Server) StageURL(apiID, name string) string {
	scheme := "ws"
	if s.options.Serve != nil && s.options.Serve.Certificate != nil {
		scheme = "wss"
	}
	if len(s.gateway.StagesNamed(apigw.StageName(name))) > 1 {
		return fmt.Sprintf("%s://%s/%s/%s", scheme, s.host(), apiID, name)
	}
	return fmt.Sprintf("%s://%s/%s", scheme, s.host(), name)
}

// fire fires a rule; what is wrong reaches the caller.
func (s *Server) fire(ctx context.Context, rule string) error {
	if s.schedules == nil {
		return awshttp.Errorf(http.StatusNotFound, "ResourceNotFoundException", "there are no rules: schedules are off")
	}
	err := s.schedules.Fire(ctx, rule)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, schedules.ErrNoRule):
		return awshttp.Errorf(http.StatusNotFound, "ResourceNotFoundException", "%v", err)
	}
	return awshttp.Errorf(http.StatusBadRequest, "ValidationException", "%v", err)
}

// writeMetrics writes what was counted, for Prometheus.
func (s *Server) writeMetrics(w io.Writer) error {
	type key struct {
		api   string
		stage apigw.StageName
	}
	count := map[key]int{}
	for c := range s.registry.All() {
		if c.State() == connection.Open {
			count[key{c.APIID(), c.Stage()}]++
		}
	}
	var open []observe.OpenCount
	for _, st := range s.gateway.Stages() { // also those without any, and in order
		open = append(open, observe.OpenCount{API: st.APIID, Stage: string(st.Name), Count: count[key{st.APIID, st.Name}]})
	}
	return s.metrics.Write(w, open)
}

// connections lists who is connected.
func (s *Server) connections() []admin.Connection {
	var all []admin.Connection
	for c := range s.registry.All() {
		if c.State() != connection.Open {
			continue
		}
		id := c.Identity()
		all = append(all, admin.Connection{ID: c.String(), APIID: c.APIID(), Stage: string(c.Stage()), SourceIP: id.SourceIP,
			UserAgent: id.UserAgent, ConnectedAt: c.ConnectedAt(), LastActive: c.LastActive()})
	}
	return all
}
