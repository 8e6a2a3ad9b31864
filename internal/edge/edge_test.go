package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/connection"
	"tidegate/internal/gateway"
	"tidegate/internal/stage"
	"tidegate/sigv4"
)

// fakeManagement writes down what it was asked for.
type fakeManagement struct{}

func (fakeManagement) Serve(_ context.Context, q *sigv4.Request, secure bool, body []byte, apiID string, stage apigw.StageName, id string) (int, string, string, []byte) {
	return 200, "request", "", fmt.Appendf(nil, "directly %s %s/%s %s %s %v %s %s", q.Method, apiID, stage, id, body, secure, q.Path, q.Get("x-thing"))
}

func (fakeManagement) MayBlock() bool { return false }

func (fakeManagement) ServeConnection(w http.ResponseWriter, r *http.Request, apiID string, stage apigw.StageName, id string) {
	fmt.Fprintf(w, "@connections %s %s/%s %s", r.Method, apiID, stage, id)
}

func (fakeManagement) ServeAll(w http.ResponseWriter, r *http.Request, apiID string, stage apigw.StageName) {
	fmt.Fprintf(w, "@all %s %s/%s", r.Method, apiID, stage)
}

// echo is a service that says its name and the body it got.
func echo(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, "%s %s", name, b)
	})
}

type fixture struct {
	edge     *Edge
	gateway  *gateway.Gateway
	registry *connection.Registry
	refused  []RefusedInfo
	unknown  []UnknownServiceInfo
	omitted  []string
}

// newFixture has a door to the stages, each written as api/stage.
func newFixture(t testing.TB, guard *Guard, stages ...string) *fixture {
	t.Helper()
	return newFixtureOf(t, 1, guard, stages...)
}

// newFixtureOf is that of a process of that incarnation.
func newFixtureOf(t testing.TB, incarnation uint32, guard *Guard, stages ...string) *fixture {
	t.Helper()
	codec, err := connection.NewCodec(make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{}
	if f.registry, err = connection.NewRegistry(codec, incarnation, 0); err != nil {
		t.Fatal(err)
	}
	f.gateway = gateway.New(gateway.Config{Registry: f.registry})
	for _, s := range stages {
		api, name, _ := strings.Cut(s, "/")
		publish(t, f.gateway, api, name)
	}
	f.edge = New(Config{
		Gateway: f.gateway, Find: f.find, Management: fakeManagement{}, Guard: guard, Domains: domainsOf(guard), Own: echo("own"),
		Services: map[string]http.Handler{
			"lambda": echo("lambda"), "dynamodb": echo("dynamodb"), "apigateway": echo("apigateway"), "events": echo("events"), "iam": echo("iam"),
		},
		Events: EventListener{
			Refused:        func(i RefusedInfo) { f.refused = append(f.refused, i) },
			UnknownService: func(i UnknownServiceInfo) { f.unknown = append(f.unknown, i) },
			StageOmitted:   func(i StageOmittedInfo) { f.omitted = append(f.omitted, i.String()) },
		},
	})
	return f
}

// find is what a router does for a process that is alone.
func (f *fixture) find(_ context.Context, text string) (string, apigw.StageName, bool) {
	c, ok, err := f.registry.LookupText(text)
	if err != nil || !ok {
		return "", "", false
	}
	return c.APIID(), c.Stage(), true
}

func publish(t testing.TB, g *gateway.Gateway, api, name string) *stage.Stage {
	t.Helper()
	s, err := stage.Compile(&apigw.Definition{APIID: api, RouteSelectionExpression: "$request.body.action"}, &apigw.Stage{Name: apigw.StageName(name)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	g.Publish(s)
	return s
}

// signed adds a credential scope of the service.
func signed(service string) func(*http.Request) {
	return func(r *http.Request) {
		sigv4.Sign(r, nil, sigv4.Credentials{AccessKeyID: "k", SecretAccessKey: "s"}, service, "us-east-1", time.Now())
	}
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func (f *fixture) do(method, url, body string, with ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	for _, set := range with {
		set(r)
	}
	w := httptest.NewRecorder()
	f.edge.ServeHTTP(w, r)
	return w
}

func TestDispatch(t *testing.T) {
	const id = "L0SM9cOFvHcCIhw="
	form := header("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	for _, tt := range []struct {
		name, method, url, body string
		with                    []func(*http.Request)
		status                  int
		want                    string
	}{
		{name: "own path", url: "http://localhost:8420/_tidegate/ready", want: "own "},
		{name: "own path wins over credentials", url: "http://localhost/_tidegate/x", with: []func(*http.Request){signed("lambda")}, want: "own "},
		{name: "not quite its own path", url: "http://localhost/_tidegatex", status: 403},
		{name: "ping", url: "http://abc.execute-api.us-east-1.amazonaws.com/ping", want: "healthy"},

		{name: "connections by stage", method: "POST", url: "http://localhost/one/@connections/" + id, want: "@connections POST aaa/one " + id},
		{name: "connections of an endpoint that ends in a slash", method: "POST", url: "https://bbb.execute-api.us-east-1.amazonaws.com/both//@connections/" + id, want: "@connections POST bbb/both " + id},
		{name: "connections encoded", method: "GET", url: "http://localhost/one/%40connections/L0SM9cOFvHcCIhw%3D", want: "@connections GET aaa/one " + id},
		{name: "connections by API and stage", method: "DELETE", url: "http://localhost/bbb/both/@connections/" + id, want: "@connections DELETE bbb/both " + id},
		{name: "connections of the stage $default", method: "POST", url: "http://localhost/$default/@connections/" + id, want: "@connections POST ccc/$default " + id},
		{name: "connections of the stage %24default", method: "POST", url: "http://localhost/%24default/@connections/" + id, want: "@connections POST ccc/$default " + id},
		{name: "connections of an unknown stage", method: "POST", url: "http://localhost/no/@connections/" + id, status: 403},
		{name: "connections of an unknown API", method: "POST", url: "http://localhost/zzz/one/@connections/" + id, status: 403},
		{name: "connections without stage among several", method: "POST", url: "http://localhost/@connections/" + id, status: 403},
		{name: "connections of two APIs, id unknown", method: "POST", url: "http://localhost/both/@connections/" + id, want: "@connections POST /both " + id},
		{name: "connections by host", method: "POST", url: "https://bbb.execute-api.us-east-1.amazonaws.com/both/@connections/" + id, want: "@connections POST bbb/both " + id},
		{name: "connections by host and port", method: "POST", url: "https://BBB.execute-api.localhost:8420/both/@connections/" + id, want: "@connections POST bbb/both " + id},
		{name: "connections by host, stage too many", method: "POST", url: "https://bbb.execute-api.x/bbb/both/@connections/" + id, status: 403},
		{name: "connections of a disabled endpoint", method: "POST", url: "https://off.execute-api.x/p/@connections/" + id, status: 403},
		{name: "connections by path of a disabled endpoint", method: "POST", url: "https://localhost/p/@connections/" + id, want: "@connections POST off/p " + id},
		{name: "connections before a service's scope", method: "POST", url: "http://localhost/one/@connections/" + id, with: []func(*http.Request){signed("lambda")}, want: "@connections POST aaa/one " + id},

		{name: "target", method: "POST", url: "http://localhost/", body: "b", with: []func(*http.Request){header("X-Amz-Target", "DynamoDB_20120810.PutItem")}, want: "dynamodb b"},
		{name: "target before scope", method: "POST", url: "http://localhost/", with: []func(*http.Request){header("X-Amz-Target", "AWSEvents.PutRule"), signed("dynamodb")}, want: "events "},
		{name: "unknown target, known scope", method: "POST", url: "http://localhost/", with: []func(*http.Request){header("X-Amz-Target", "New.Op"), signed("dynamodb")}, want: "dynamodb "},
		{name: "scope", method: "GET", url: "http://localhost/one", with: []func(*http.Request){signed("lambda")}, want: "lambda "},
		{name: "presigned scope", method: "GET", url: "http://localhost/2015-03-31/functions", with: []func(*http.Request){func(r *http.Request) {
			sigv4.Presign(r, sigv4.Credentials{AccessKeyID: "k", SecretAccessKey: "s"}, "apigateway", "us-east-1", time.Minute, time.Now())
			r.RequestURI = r.URL.RequestURI()
		}}, want: "apigateway "},
		{name: "path of the control plane", url: "http://localhost/v2/apis", want: "apigateway "},
		{name: "path of Lambda", method: "POST", url: "http://localhost/2015-03-31/functions/f/invocations", body: "{}", want: "lambda {}"},
		{name: "query call by its version", method: "POST", url: "http://localhost/", body: "Action=CreateRole&Version=2010-05-08&RoleName=r", with: []func(*http.Request){form}, want: "iam Action=CreateRole&Version=2010-05-08&RoleName=r"},
		{name: "query call in the URL", url: "http://localhost/?Action=ListRoles&Version=2010-05-08", want: "iam "},

		{name: "stage", url: "http://localhost/one", status: 426, want: `{"message":"Upgrade Required"}`},
		{name: "stage with a slash", url: "http://localhost/one/", status: 426},
		{name: "API and stage", url: "http://localhost/bbb/both", status: 426},
		{name: "stage by host", url: "http://bbb.execute-api.x/both", status: 426},
		{name: "stage by host, signed", url: "http://bbb.execute-api.x/both", with: []func(*http.Request){signed("execute-api")}, status: 426},
		{name: "the stage $default by host", url: "http://ccc.execute-api.x/", status: 426},
		{name: "stage of two APIs", url: "http://localhost/both", status: 403, want: `{"message":"Forbidden"}`},
		{name: "no stage", url: "http://localhost/no", status: 403, want: `{"message":"Forbidden"}`},
		{name: "root among several stages", url: "http://localhost/", status: 403},
		{name: "unknown API's host", url: "http://zzz.execute-api.x/one", status: 403},
		{name: "another API's stage by host", url: "http://aaa.execute-api.x/both2", status: 403},
		{name: "disabled endpoint", url: "http://off.execute-api.x/p", status: 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, nil, "aaa/one", "aaa/both", "bbb/both", "ccc/$default")
			publish(t, f.gateway, "off", "p").DisableExecuteAPIEndpoint = true
			if tt.method == "" {
				tt.method = "GET"
			}
			if tt.status == 0 {
				tt.status = 200
			}
			w := f.do(tt.method, tt.url, tt.body, tt.with...)
			if w.Code != tt.status || tt.want != "" && w.Body.String() != tt.want {
				t.Errorf("%d %q, want %d %q", w.Code, w.Body, tt.status, tt.want)
			}
			if tt.status == 403 {
				if kind := w.Header()["x-amzn-ErrorType"]; len(kind) != 1 || kind[0] == "" { // spelt as AWS spells it
					t.Errorf("x-amzn-ErrorType %q", kind)
				}
				if len(f.refused) != 1 || f.refused[0].Why == "" {
					t.Errorf("notices: %v", f.refused)
				}
			}
		})
	}
}

func TestTheOnlyStageNeedsNoName(t *testing.T) {
	f := newFixture(t, nil, "aaa/one")
	if w := f.do("POST", "http://localhost/@connections/x", ""); w.Body.String() != "@connections POST aaa/one x" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if want := `POST "/@connections/x" on host "localhost"`; len(f.omitted) != 1 || f.omitted[0] != want {
		t.Errorf("an omitted stage was told as %q, want %q", f.omitted, want)
	}
	if f.do("POST", "http://localhost/one/@connections/x", ""); len(f.omitted) != 1 {
		t.Errorf("omitted: %q", f.omitted)
	}
	of := newFixture(t, nil, "aaa/$default") // which has no path on AWS either
	if of.do("POST", "http://localhost/@connections/x", ""); len(of.omitted) != 0 {
		t.Errorf("omitted: %q", of.omitted)
	}
	if w := f.do("GET", "http://localhost/", ""); w.Code != 426 || w.Header().Get("Upgrade") != "websocket" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// /@all is an extension: mode aws knows no such path.
func TestAll(t *testing.T) {
	f := newFixture(t, nil, "aaa/one", "bbb/two", "ccc/two")
	if r := f.do("POST", "http://localhost/one/@all", "x"); r.Code != http.StatusForbidden {
		t.Errorf("in mode aws: %d %s", r.Code, r.Body)
	}
	f.edge.limits = apigw.LimitsOf(apigw.ModeExtended)
	for url, want := range map[string]string{
		"http://localhost/one/@all":                      "@all POST aaa/one",
		"http://localhost/bbb/two/@all/":                 "@all POST bbb/two",
		"http://ccc.execute-api.localhost:8420/two/@all": "@all POST ccc/two",
	} {
		if r := f.do("POST", url, "x"); r.Body.String() != want {
			t.Errorf("%s: %d %q, want %q", url, r.Code, r.Body, want)
		}
	}
	if r := f.do("POST", "http://localhost/two/@all", "x"); r.Code != http.StatusForbidden {
		t.Errorf("a stage of two APIs: %d %s", r.Code, r.Body)
	}
}

func TestStageOfTwoAPIsIsSettledByTheID(t *testing.T) {
	f := newFixture(t, nil, "aaa/both", "bbb/both", "bbb/other")
	for _, tt := range []struct{ api, stage, want string }{{"bbb", "both", "bbb/both"}, {"aaa", "both", "aaa/both"}, {"bbb", "other", "/both"}} {
		c, err := f.registry.Reserve(connection.Info{APIID: tt.api, Stage: apigw.StageName(tt.stage)})
		if err != nil {
			t.Fatal(err)
		}
		if w := f.do("POST", "http://localhost/both/@connections/"+c.String(), ""); w.Body.String() != "@connections POST "+tt.want+" "+c.String() {
			t.Errorf("a connection of %s/%s: %d %s", tt.api, tt.stage, w.Code, w.Body)
		}
	}
}

func TestAmbiguousStageIsExplained(t *testing.T) {
	f := newFixture(t, nil, "aaa/both", "bbb/both")
	f.do("GET", "http://localhost/both", "")
	if len(f.refused) != 1 || f.refused[0].Reason != AmbiguousStage || !strings.Contains(f.refused[0].String(), "/aaa/both, /bbb/both") {
		t.Errorf("notices: %v", f.refused)
	}
}

func TestUnknownService(t *testing.T) {
	for _, tt := range []struct {
		name, method, url, body string
		with                    []func(*http.Request)
		contentType             string
		message                 func([]byte) (code, text string)
		want                    string
	}{
		{name: "json", method: "POST", url: "http://localhost/", body: "{}", with: []func(*http.Request){header("X-Amz-Target", "AmazonSQS.SendMessage")},
			contentType: "application/x-amz-json-1.1", message: jsonError("__type"), want: "AWS_ENDPOINT_URL_SQS"},
		{name: "json of a service nobody knows", method: "POST", url: "http://localhost/", with: []func(*http.Request){header("X-Amz-Target", "Strange_2020.Do")},
			contentType: "application/x-amz-json-1.1", message: jsonError("__type"), want: "Strange_2020"},
		{name: "rest-json", method: "GET", url: "http://localhost/v1/x", with: []func(*http.Request){signed("cognito-idp")},
			contentType: "application/json", message: jsonError(""), want: "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER"},
		{name: "query", method: "POST", url: "http://localhost/", body: "Action=Publish&Version=2010-03-31", with: []func(*http.Request){header("Content-Type", "application/x-www-form-urlencoded")},
			contentType: "text/xml", message: queryErrorOf, want: "AWS_ENDPOINT_URL_SNS"},
		{name: "rest-xml", method: "GET", url: "http://localhost/bucket/key", with: []func(*http.Request){signed("s3")},
			contentType: "application/xml", message: s3ErrorOf, want: "AWS_ENDPOINT_URL_S3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, nil)
			w := f.do(tt.method, tt.url, tt.body, tt.with...)
			code, text := tt.message(w.Body.Bytes())
			if w.Code != 400 || w.Header().Get("Content-Type") != tt.contentType || !strings.Contains(text, tt.want) {
				t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
			}
			if code != "" && code != "NotImplemented" {
				t.Errorf("code %q", code)
			}
			if len(f.unknown) != 1 || !strings.Contains(f.unknown[0].String(), "lacks") {
				t.Errorf("notices: %v", f.unknown)
			}
		})
	}
}

func jsonError(typeKey string) func([]byte) (string, string) {
	return func(b []byte) (string, string) {
		var m map[string]string
		if err := json.Unmarshal(b, &m); err != nil {
			return err.Error(), ""
		}
		return m[typeKey], m["message"]
	}
}

func queryErrorOf(b []byte) (string, string) {
	var e queryError
	if err := xml.Unmarshal(b, &e); err != nil {
		return err.Error(), ""
	}
	return e.Code, e.Message
}

func s3ErrorOf(b []byte) (string, string) {
	var e restXMLError
	if err := xml.Unmarshal(b, &e); err != nil {
		return err.Error(), ""
	}
	return e.Code, e.Message
}

func TestGuard(t *testing.T) {
	guard := &Guard{
		AllowOrigins: []string{"https://friend.example"},
		Addresses:    []netip.Addr{netip.MustParseAddr("192.0.2.5")},
		Domains:      newDomains(domain("ws.dev.example", "=aaa/one")),
	}
	for _, tt := range []struct {
		name, url    string
		origin, site string
		status       int
		reason       Reason
	}{
		{name: "an SDK", url: "http://localhost:8420/v2/apis"},
		{name: "an address", url: "http://127.0.0.9:8420/v2/apis"},
		{name: "IPv6", url: "http://[::1]:8420/v2/apis"},
		{name: "mapped", url: "http://[::ffff:127.0.0.1]:8420/v2/apis"},
		{name: "our address", url: "http://192.0.2.5/v2/apis"},
		{name: "another address", url: "http://192.0.2.6/v2/apis", status: 421, reason: WrongHost},
		{name: "below localhost", url: "http://x.localhost/v2/apis"},
		{name: "a domain", url: "http://WS.dev.example/", status: 426},
		{name: "below a domain", url: "http://x.ws.dev.example/v2/apis", status: 421, reason: WrongHost},
		{name: "amazonaws", url: "https://dynamodb.us-east-1.amazonaws.com/v2/apis"},
		{name: "amazonaws with more behind", url: "https://dynamodb.us-east-1.amazonaws.com.evil.example/v2/apis", status: 421, reason: WrongHost},
		{name: "an API's host", url: "https://aaa.execute-api.eu-west-1.amazonaws.com/one", status: 426},
		{name: "a rebound name", url: "http://evil.example:8420/v2/apis", status: 421, reason: WrongHost},
		{name: "almost localhost", url: "http://evillocalhost/v2/apis", status: 421, reason: WrongHost},
		{name: "almost loopback", url: "http://127.0.0.1.evil.example/v2/apis", status: 421, reason: WrongHost},

		{name: "our console", url: "http://localhost:8420/_tidegate/stack", origin: "http://localhost:8420", site: "same-origin"},
		{name: "our console over TLS", url: "https://localhost:8420/_tidegate/stack", origin: "https://localhost:8420", site: "same-origin"},
		{name: "our port over another scheme", url: "https://localhost:8420/_tidegate/stack", origin: "http://localhost:8420", status: 403, reason: ForeignOrigin},
		{name: "another port", url: "http://localhost:8420/_tidegate/stack", origin: "http://localhost:3000", site: "same-site", status: 403, reason: ForeignOrigin},
		{name: "a foreign page", url: "http://localhost:8420/v2/apis", origin: "https://evil.example", site: "cross-site", status: 403, reason: ForeignOrigin},
		{name: "a sandboxed page", url: "http://localhost:8420/v2/apis", origin: "null", status: 403, reason: ForeignOrigin},
		{name: "a foreign page's image", url: "http://localhost:8420/v2/apis", site: "cross-site", status: 403, reason: CrossSite},
		{name: "a neighbour's image", url: "http://localhost:8420/v2/apis", site: "same-site", status: 403, reason: CrossSite},
		{name: "typed", url: "http://localhost:8420/_tidegate/console/", site: "none"},
		{name: "a friend", url: "http://localhost:8420/v2/apis", origin: "https://friend.example", site: "cross-site"},
		{name: "almost a friend", url: "http://localhost:8420/v2/apis", origin: "https://friend.example.evil.example", status: 403, reason: ForeignOrigin},
		{name: "a page of an API's rebound host", url: "http://aaa.execute-api.evil.example/one/@connections/x", origin: "http://aaa.execute-api.evil.example", site: "same-origin", status: 403, reason: ForeignOrigin},
		{name: "the same without Origin", url: "http://aaa.execute-api.evil.example/one/@connections/x", site: "same-origin", status: 403, reason: CrossSite},
		{name: "a page pushes", url: "http://localhost/one/@connections/x", origin: "https://evil.example", status: 403, reason: ForeignOrigin},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, guard, "aaa/one")
			r := httptest.NewRequest("GET", tt.url, nil)
			if tt.origin != "" {
				r.Header.Set("Origin", tt.origin)
			}
			if tt.site != "" {
				r.Header.Set("Sec-Fetch-Site", tt.site)
			}
			w := httptest.NewRecorder()
			f.edge.ServeHTTP(w, r)
			want := tt.status
			if want == 0 {
				want = 200
			}
			if w.Code != want {
				t.Errorf("%d %s, want %d", w.Code, w.Body, want)
			}
			if tt.reason == "" {
				if len(f.refused) > 0 && f.refused[0].Reason != NoUpgrade { // which isn't the guard's
					t.Errorf("notices: %v", f.refused)
				}
				return
			}
			if len(f.refused) != 1 || f.refused[0].Reason != tt.reason {
				t.Errorf("notices: %v, want %s", f.refused, tt.reason)
			}
			var body struct{ Message string }
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || len(body.Message) < 20 {
				t.Errorf("the answer doesn't say why: %s", w.Body)
			}
		})
	}
}

// An Origin of any length is not repeated whole.
func TestGuardClips(t *testing.T) {
	f := newFixture(t, &Guard{}, "aaa/one")
	w := f.do("GET", "http://localhost/one", "", header("Origin", "http://"+strings.Repeat("é", 5000)))
	if w.Code != 403 || w.Body.Len() > 400 || !bytes.Contains(w.Body.Bytes(), []byte("…")) {
		t.Errorf("%d %d bytes", w.Code, w.Body.Len())
	}
}

func FuzzDispatch(f *testing.F) {
	for _, path := range []string{"/one", "/one/@connections/x", "/aaa/one/%40connections/%3D", "/_tidegate/../one", "//", "/%2f/@connections/"} {
		f.Add("localhost", path, "https://x", "AWS4-HMAC-SHA256 Credential=k/d/r/lambda/aws4_request")
	}
	f.Add("aaa.execute-api.x", "/one", "", "")
	fix := newFixture(f, &Guard{}, "aaa/one", "aaa/both", "bbb/both")
	f.Fuzz(func(t *testing.T, host, path, origin, authorization string) {
		r, err := http.NewRequestWithContext(context.Background(), "POST", "http://localhost", strings.NewReader("Version=2010-05-08"))
		if err != nil {
			t.Fatal(err)
		}
		r.URL.Path, r.RequestURI, r.Host = path, path, host
		r.Header["Origin"], r.Header["Authorization"] = []string{origin}, []string{authorization}
		w := httptest.NewRecorder()
		fix.edge.ServeHTTP(w, r)
		if origin != "" && w.Code < 400 && origin != "http://"+host && !strings.EqualFold(origin, "http://"+host) {
			t.Errorf("a page of %q on host %q got %d", origin, host, w.Code)
		}
		fix.refused, fix.unknown = nil, nil
	})
}
