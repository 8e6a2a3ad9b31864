package conformance

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tidegate/sigv4"
	"tidegate/tidegatetest"
)

var (
	targetFlag  = flag.String("target", "in-process", "what to run against: in-process, binary, aws, or the `URL` of an endpoint")
	update      = flag.Bool("update", false, "rewrite index.txt and docs/compat.md")
	backendAddr = flag.String("backend-listen", "127.0.0.1:0", "`ADDRESS` on which the scripts' backends listen")
	backendURL  = flag.String("backend-url", "", "`URL` by which the target reaches them (default: on loopback); AWS needs a public one")
	parallel    = flag.Int("scripts", 4, "how many scripts run at a time")
)

// scripts are all of them, read once.
var scripts = sync.OnceValues(func() ([]*script, error) { return loadScripts(os.DirFS("."), "scripts") })

func allScripts(t *testing.T) []*script {
	t.Helper()
	all, err := scripts()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestScripts runs every script against the target. A supported one must pass,
// an open one is told of, and a missing one must fail: when it passes, its
// status is to be corrected.
func TestScripts(t *testing.T) {
	all := allScripts(t)
	flag.Set("test.parallel", fmt.Sprint(*parallel))
	backends, err := serveBackends(*backendAddr, *backendURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(backends.close)
	shared := newTarget(t, *targetFlag, backends)
	functions := &relays{target: shared, backends: backends}
	t.Cleanup(func() { functions.close(context.Background()) })
	for _, s := range all {
		if len(s.steps) == 0 {
			continue // known, and no script shows it: the index says why
		}
		name := strings.TrimSuffix(strings.TrimPrefix(s.file, "scripts/"), ".txt")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target, functions := shared, functions
			if s.needed("tidegate") && shared.isAWS() {
				t.Skip("it shows what AWS lacks")
			}
			if own := *targetFlag == "in-process" || *targetFlag == "binary"; !own && s.api != nil && len(s.api.services) > 0 {
				t.Skip("its backend stands for a service, of which only a target that was started here knows")
			}
			if clock, extended := s.needed("clock"), s.needed("extended"); clock || extended {
				if *targetFlag != "in-process" {
					t.Skipf("it needs %s, which only the in-process target gives it", strings.Join(s.needs, ", "))
				}
				target = inProcess(t, tidegatetest.Options{IAM: "enforce", FrozenClock: clock, Extended: extended}, backends)
				functions = &relays{target: target, backends: backends}
			}
			judge(t, s, play(t.Context(), target, backends, functions, s))
		})
	}
}

// judge compares what became of a script with its status.
func judge(t testing.TB, s *script, err error) {
	t.Helper()
	switch {
	case s.status == "supported" && err != nil:
		t.Errorf("%s: %s\n%v", s.id, s.title, err)
	case s.status == "missing" && err == nil:
		t.Errorf("%s:1: %s passes: its status is supported, no longer missing (%s)", s.file, s.id, s.why)
	case s.status == "missing":
		t.Logf("%s is missing (%s), as it should be:\n%v", s.id, s.why, err)
	case s.status == "open" && err != nil:
		t.Logf("%s is open, and differs here:\n%v", s.id, err)
	case s.status == "open":
		t.Logf("%s is open, and holds here", s.id)
	}
}

// newTarget opens what -target names.
func newTarget(t *testing.T, name string, backends *backendServer) *target {
	t.Helper()
	run := fmt.Sprintf("%x", time.Now().UnixNano()&0xffffffff)
	switch name {
	case "in-process":
		return inProcess(t, tidegatetest.Options{IAM: "enforce"}, backends)
	case "binary":
		return builtBinary(t, backends)
	case "aws":
		return environment(t, &target{run: run, settle: 10 * time.Second})
	}
	u, err := url.Parse(name)
	if err != nil || u.Host == "" {
		t.Fatalf("-target is in-process, binary, aws, or a URL, not %q", name)
	}
	return environment(t, &target{run: run, endpoint: strings.TrimSuffix(name, "/")})
}

// servers counts those in this process: their functions have names of their own.
var servers atomic.Int64

// endpointsOf says where the services are that scripts' backends stand for.
func endpointsOf(t *testing.T, backends *backendServer) map[string]*url.URL {
	t.Helper()
	all, err := backends.endpoints()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// inProcess starts a Tidegate in this process.
func inProcess(t *testing.T, o tidegatetest.Options, backends *backendServer) *target {
	t.Helper()
	o.Endpoints = endpointsOf(t, backends)
	o.Template = writeTemplate(t)
	s := tidegatetest.Start(t, o)
	to := &target{
		run: fmt.Sprintf("in-process-%d", servers.Add(1)), region: tidegatetest.Region, account: tidegatetest.Account, endpoint: s.Endpoint(),
		credentials: sigv4.Credentials{AccessKeyID: s.AccessKeyID, SecretAccessKey: s.SecretAccessKey},
	}
	to.functionRole, to.log = "arn:aws:iam::"+to.account+":role/relay", s.Log
	if o.FrozenClock {
		to.advance = s.Advance
	}
	return to
}

// given is what every script finds: the role as which functions run and API Gateway
// calls services, and a table.
const given = `Resources:
  Relay:
    Type: AWS::IAM::Role
    Properties:
      RoleName: relay
      AssumeRolePolicyDocument:
        Version: '2012-10-17'
        Statement: [{Effect: Allow, Principal: {Service: [lambda.amazonaws.com, apigateway.amazonaws.com]}, Action: 'sts:AssumeRole'}]
      Policies:
        - PolicyName: services
          PolicyDocument:
            Version: '2012-10-17'
            Statement:
              - {Effect: Allow, Action: ['dynamodb:PutItem', 'dynamodb:GetItem', 'dynamodb:DeleteItem'], Resource: !GetAtt Table.Arn}
              - {Effect: Allow, Action: ['lambda:InvokeFunction', 'events:PutEvents', 'events:ListRules'], Resource: '*'}
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: conformance
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
`

// writeTemplate writes it into a clean folder and returns that.
func writeTemplate(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "template.yaml"), []byte(given), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// builtBinary builds the program and runs `tidegate up` in a clean folder.
func builtBinary(t *testing.T, backends *backendServer) *target {
	t.Helper()
	dir := writeTemplate(t)
	program := filepath.Join(dir, "tidegate.exe") // the ending matters on Windows alone
	if out, err := exec.Command("go", "build", "-o", program, "tidegate/cmd/tidegate").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	cmd := exec.Command(program, "up", "--port", "0", "--iam", "enforce", "--log-format", "json", "--no-record")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "AWS_REGION="+tidegatetest.Region, "XDG_STATE_HOME="+filepath.Join(dir, "state"))
	for variable, u := range endpointsOf(t, backends) {
		cmd.Env = append(cmd.Env, variable+"="+u.String())
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		select {
		case <-ended:
		case <-time.After(30 * time.Second):
			cmd.Process.Kill()
			t.Error("tidegate up did not end in 30 s")
		}
		log.Close()
		if said, err := os.ReadFile(log.Name()); t.Failed() && err == nil {
			t.Logf("tidegate up said:\n%s", said[max(0, len(said)-256<<10):])
		}
	})
	return &target{
		run: "test", region: tidegatetest.Region, account: tidegatetest.Account, endpoint: awaitReady(t, dir, ended),
		credentials:  sigv4.Credentials{AccessKeyID: "tidegate", SecretAccessKey: "tidegate"},
		functionRole: "arn:aws:iam::" + tidegatetest.Account + ":role/relay",
	}
}

// awaitReady waits until the program in dir is ready, and returns where it is.
func awaitReady(t *testing.T, dir string, ended <-chan error) string {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		select {
		case err := <-ended:
			t.Fatalf("tidegate up ended: %v", err)
		default:
		}
		endpoint, err := readyEndpoint(filepath.Join(dir, "log"))
		if err == nil {
			return endpoint
		}
	}
	t.Fatal("tidegate up was not ready in a minute")
	return ""
}

// errNotReady says that the program has not said ready yet.
var errNotReady = errors.New("not ready")

// readyEndpoint finds the line in which the program says that it is ready.
func readyEndpoint(log string) (string, error) {
	text, err := os.ReadFile(log)
	if err != nil {
		return "", err
	}
	_, rest, ok := strings.Cut(string(text), `"endpoint":"`)
	if !ok {
		return "", errNotReady
	}
	endpoint, _, _ := strings.Cut(rest, `"`)
	resp, err := http.Get(endpoint + "/_tidegate/ready")
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		return "", errNotReady
	}
	return endpoint, nil
}

// environment takes region, account and keys from the environment, as AWS's tools
// name them.
func environment(t *testing.T, to *target) *target {
	t.Helper()
	to.credentials = sigv4.Credentials{AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: os.Getenv("AWS_SESSION_TOKEN")}
	to.region, to.account, to.functionRole = os.Getenv("AWS_REGION"), os.Getenv("AWS_ACCOUNT_ID"), os.Getenv("CONFORMANCE_ROLE_ARN")
	var missing []string
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ACCOUNT_ID", "CONFORMANCE_ROLE_ARN"} {
		if os.Getenv(name) == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		t.Fatalf("-target %s needs %s in the environment", *targetFlag, strings.Join(missing, ", "))
	}
	if to.isAWS() && *backendURL == "" {
		t.Fatal("-target aws needs -backend-url, a public URL that leads to -backend-listen")
	}
	return to
}

// TestIndex wants index.txt and docs/compat.md to say what the scripts say.
func TestIndex(t *testing.T) {
	all := allScripts(t)
	for path, want := range map[string]string{"index.txt": indexText(all), filepath.Join("..", "docs", "compat.md"): compatText(all)} {
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s is stale; go test ./conformance -run TestIndex -update rewrites it", path)
		}
	}
}
