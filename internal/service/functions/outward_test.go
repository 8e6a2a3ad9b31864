//go:build linux || darwin

package functions

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/google/go-cmp/cmp"

	"tidegate/internal/awshttp"
	"tidegate/internal/iampolicy"
	"tidegate/sigv4"
)

// bothWays serves TLS and plain HTTP on one port, told apart by the first byte
// as Tidegate's own port does.
type bothWays struct {
	net.Listener
	cfg *tls.Config
}

func (l bothWays) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &peeked{Conn: c, cfg: l.cfg}, nil
}

type peeked struct {
	net.Conn
	cfg *tls.Config
	in  io.Reader
	tls *tls.Conn
}

type prefixed struct {
	net.Conn
	r io.Reader
}

func (p prefixed) Read(b []byte) (int, error) { return p.r.Read(b) }

func (p *peeked) Read(b []byte) (int, error) {
	if p.in == nil {
		first := make([]byte, 1)
		if _, err := io.ReadFull(p.Conn, first); err != nil {
			return 0, err
		}
		all := io.MultiReader(strings.NewReader(string(first)), p.Conn)
		p.in = all
		if first[0] == 0x16 {
			p.tls = tls.Server(prefixed{p.Conn, all}, p.cfg)
			p.in = p.tls
		}
	}
	return p.in.Read(b)
}

func (p *peeked) Write(b []byte) (int, error) {
	if p.tls != nil {
		return p.tls.Write(b)
	}
	return p.Conn.Write(b)
}

// amazonServer answers as *.amazonaws.com: Host, SNI and how it was reached. It
// returns its address and the file with the certificate to trust.
func amazonServer(t *testing.T) (addr, ca string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		DNSNames: []string{"dynamodb.us-east-1.amazonaws.com", "abc.execute-api.us-east-1.amazonaws.com"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	var sni atomic.Value
	sni.Store("")
	cfg := &tls.Config{NextProtos: []string{"http/1.1"}, GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		sni.Store(h.ServerName)
		return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
	}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s", r.Host, r.URL.Path, sni.Swap(""))
	})}
	go srv.Serve(bothWays{l, cfg})
	t.Cleanup(func() { srv.Close() })
	return l.Addr().String(), ca
}

func TestRedirection(t *testing.T) {
	t.Parallel()
	addr, ca := amazonServer(t)
	_, port, _ := net.SplitHostPort(addr)
	f := newFixture(t, func(c *Config) {
		c.Redirect = func() string { return addr }
		c.Environment = func(Function) []string { return []string{"NODE_EXTRA_CA_CERTS=" + ca} }
	})
	f.create("out", map[string]string{"pre.cjs": `globalThis.own = 'kept';`, "index.js": `
const body = (r) => new Promise((ok) => { let s = ''; r.on('data', (d) => s += d); r.on('end', () => ok(s)); });
const get = (m, u) => new Promise((ok, no) => require(m).get(u, (r) => body(r).then(ok)).on('error', no));
exports.handler = async () => ({
  https: await get('https', 'https://dynamodb.us-east-1.amazonaws.com/a'),
  http: await get('http', 'http://dynamodb.us-east-1.amazonaws.com/b'),
  fetch: await (await fetch('https://abc.execute-api.us-east-1.amazonaws.com/dev/@connections/x')).text(),
  tls: await new Promise((ok, no) => { const s = require('tls').connect(443, 'dynamodb.us-east-1.amazonaws.com', () => {
    s.end('GET /c HTTP/1.1\r\nHost: raw\r\nConnection: close\r\n\r\n'); body(s).then((t) => ok(t.split('\r\n\r\n')[1])); }); s.on('error', no); }),
  child: require('child_process').execFileSync(process.execPath, ['-e', "require('https').get('https://dynamodb.us-east-1.amazonaws.com/d', (r) => r.pipe(process.stdout))"]).toString(),
  elsewhere: await get('http', 'http://127.0.0.1:' + process.env.OTHER + '/e'),
  refused: await get('https', 'https://s3.amazonaws.com/f').catch((e) => e.code),
  options: globalThis.own,
});`}, "Timeout", 20)
	status, out, _ := f.call("PUT", "/2015-03-31/functions/out/configuration", map[string]any{"Environment": map[string]any{"Variables": map[string]string{
		"OTHER": port, "NODE_OPTIONS": "--require ./pre.cjs",
	}}})
	if status != 200 {
		t.Fatalf("%d %v", status, out)
	}
	_, got, _ := f.invoke("out", `{}`)
	var have map[string]string
	if err := json.Unmarshal([]byte(got), &have); err != nil {
		t.Fatal(got)
	}
	const dynamo, gate = "dynamodb.us-east-1.amazonaws.com", "abc.execute-api.us-east-1.amazonaws.com"
	want := map[string]string{
		"https": dynamo + " /a " + dynamo, "http": dynamo + " /b ", "fetch": gate + " /dev/@connections/x " + gate,
		"tls": "raw /c " + dynamo, "child": dynamo + " /d " + dynamo, "elsewhere": addr + " /e ",
		"refused": "ERR_TLS_CERT_ALTNAME_INVALID", "options": "kept",
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// stsServer is the AssumeRole of an STS that gives each session a number.
func stsServer(t *testing.T, life time.Duration) (*httptest.Server, *atomic.Int32) {
	t.Helper()
	var calls atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		auth, err := sigv4.Parse(r)
		if err == nil {
			err = auth.Verify(r, body, "lambda-secret", time.Now())
		}
		form, _ := url.ParseQuery(string(body))
		if err != nil || auth.Service != "sts" || form.Get("Action") != "AssumeRole" || form.Get("RoleSessionName") == "" {
			t.Errorf("a call to STS: %v %v", err, form)
		}
		if strings.HasSuffix(form.Get("RoleArn"), "role/gone") {
			w.WriteHeader(403)
			io.WriteString(w, `<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no such role</Message></Error></ErrorResponse>`)
			return
		}
		n := calls.Add(1)
		fmt.Fprintf(w, `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials><AccessKeyId>ASIA%d</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>%s</SessionToken><Expiration>%s</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`,
			n, form.Get("RoleArn")+"/"+form.Get("RoleSessionName"), time.Now().Add(life).UTC().Format(time.RFC3339Nano))
	}))
	t.Cleanup(srv.Close)
	return srv, &calls
}

func TestRoleCredentials(t *testing.T) {
	t.Parallel()
	sts, calls := stsServer(t, time.Hour)
	f := newFixture(t, func(c *Config) {
		c.Endpoint, c.Credentials = sts.URL, sigv4.Credentials{AccessKeyID: "AKIALAMBDA", SecretAccessKey: "lambda-secret"}
	})
	code := map[string]string{"index.js": `exports.handler = async () => [process.env.AWS_ACCESS_KEY_ID, process.env.AWS_SESSION_TOKEN];`}
	f.create("keys", code)
	if _, got, _ := f.invoke("keys", `{}`); got != `["ASIA1","`+testRole+`/keys"]` {
		t.Error(got)
	}
	age := func(by time.Duration) { // as if that much more time had passed
		ss := f.Service.session
		ss.mu.Lock()
		for key, held := range ss.held {
			held.born, held.retire = held.born.Add(-by), held.retire.Add(-by)
			ss.held[key] = held
		}
		ss.mu.Unlock()
		eventually(t, "the environment to be idle", func() bool {
			f.Service.mu.Lock()
			defer f.Service.mu.Unlock()
			idle := f.pools["keys"].idle
			for _, e := range idle {
				e.expires = e.expires.Add(-by)
			}
			return len(idle) == 1
		})
	}
	// With half of the session's life before it, the environment goes on; then it
	// makes way for one with new keys.
	age(25 * time.Minute)
	if _, got, _ := f.invoke("keys", `{}`); !strings.HasPrefix(got, `["ASIA1"`) {
		t.Errorf("after 25 minutes: %s", got)
	}
	age(10 * time.Minute)
	if _, got, _ := f.invoke("keys", `{}`); !strings.HasPrefix(got, `["ASIA2"`) {
		t.Errorf("after 35 minutes: %s", got)
	}
	if calls.Load() != 2 {
		t.Errorf("%d calls", calls.Load())
	}
	f.create("refused", code, "Role", "arn:aws:iam::000000000000:role/gone")
	status, got, h := f.invoke("refused", `{}`)
	if status != 403 || h.Get("X-Amzn-Errortype") != "AccessDeniedException" || !strings.Contains(got, "cannot be assumed by Lambda") || !strings.Contains(got, "no such role") {
		t.Errorf("%d %s", status, got)
	}
}

func TestGoSDK(t *testing.T) {
	t.Parallel()
	deny, err := iampolicy.Parse("deny", []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"lambda:Get*","Resource":"*"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, func(c *Config) {
		c.Gate = &awshttp.Gate{Mode: awshttp.Enforce, Account: testAccount, Region: testRegion, Identities: identities{
			"AKIAROOT": {Secret: "root", Principal: awshttp.Principal{Kind: awshttp.Root, ARN: "arn:aws:iam::000000000000:root", Account: testAccount}},
			"AKIAROLE": {Secret: "role", Principal: awshttp.Principal{Kind: awshttp.Role, ARN: "arn:aws:sts::000000000000:assumed-role/r/s", Account: testAccount, Policies: []*iampolicy.Document{deny}}},
		}}
	})
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	client := func(key, secret string) *lambda.Client {
		return lambda.New(lambda.Options{Region: testRegion, BaseEndpoint: aws.String(srv.URL), Credentials: credentials.NewStaticCredentialsProvider(key, secret, ""), RetryMaxAttempts: 1})
	}
	ctx := context.Background()
	c := client("AKIAROOT", "root")
	create := &lambda.CreateFunctionInput{FunctionName: aws.String("sdk"), Role: aws.String(testRole), Handler: aws.String("index.handler"), Runtime: types.RuntimeNodejs20x,
		Code: &types.FunctionCode{ZipFile: zipped(t, map[string]string{"index.js": `exports.handler = async (e, c) => { console.log('hello'); if (e.fail) throw new Error('no'); return [e, c.clientContext]; };`})}}
	if _, err := c.CreateFunction(ctx, create); err != nil {
		t.Fatal(err)
	}
	if err := lambda.NewFunctionActiveV2Waiter(c).Wait(ctx, &lambda.GetFunctionInput{FunctionName: aws.String("sdk")}, 10*time.Second); err != nil {
		t.Error(err)
	}
	out, err := c.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("sdk"), Payload: []byte(`{"a":1}`), LogType: types.LogTypeTail, ClientContext: aws.String("eyJ4IjoxfQ==")})
	if err != nil {
		t.Fatal(err)
	}
	if out.StatusCode != 200 || string(out.Payload) != `[{"a":1},{"x":1}]` || aws.ToString(out.ExecutedVersion) != "$LATEST" || out.LogResult == nil || out.FunctionError != nil {
		t.Errorf("%+v %s", out, out.Payload)
	}
	if out, err = c.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("sdk"), Payload: []byte(`{"fail":1}`)}); err != nil || aws.ToString(out.FunctionError) != "Unhandled" {
		t.Errorf("%v %+v", err, out)
	}
	var notFound *types.ResourceNotFoundException
	if _, err := c.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: aws.String("none")}); !errors.As(err, &notFound) || notFound.ErrorMessage() != "Function not found: arn:aws:lambda:us-east-1:000000000000:function:none" || aws.ToString(notFound.Type) != "User" {
		t.Errorf("GetFunction: %v", err)
	}
	var conflict *types.ResourceConflictException
	if _, err := c.CreateFunction(ctx, create); !errors.As(err, &conflict) {
		t.Errorf("CreateFunction: %v", err)
	}
	var content *types.InvalidRequestContentException
	if _, err := c.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("sdk"), Payload: []byte(`{`)}); !errors.As(err, &content) {
		t.Errorf("Invoke with junk: %v", err)
	}
	var large *types.RequestTooLargeException
	if _, err := c.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("sdk"), Payload: []byte(`"` + strings.Repeat("x", maxSyncPayload) + `"`)}); !errors.As(err, &large) {
		t.Errorf("Invoke with 6 MB: %v", err)
	}
	var invalid *types.InvalidParameterValueException
	create.FunctionName, create.Runtime = aws.String("ruby"), types.RuntimeRuby33
	if _, err := c.CreateFunction(ctx, create); !errors.As(err, &invalid) {
		t.Errorf("CreateFunction for Ruby: %v", err)
	}
	limited := client("AKIAROLE", "role")
	if _, err := limited.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: aws.String("sdk")}); err != nil {
		t.Errorf("an allowed call: %v", err)
	}
	for name := range map[string]bool{"sdk": true, "none": true} {
		if _, err := limited.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String(name)}); err == nil || !strings.Contains(err.Error(), "AccessDeniedException") {
			t.Errorf("a call that no policy allows, of %s: %v", name, err)
		}
	}
	if _, err := c.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: aws.String("sdk")}); err != nil {
		t.Error(err)
	}
}
