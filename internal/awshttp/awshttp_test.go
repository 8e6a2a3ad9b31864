package awshttp

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tidegate/internal/iampolicy"
	"tidegate/sigv4"
)

// keys is a fixed set of identities.
type keys map[string]Identity

func (k keys) Lookup(id string) (Identity, bool) { i, ok := k[id]; return i, ok }

func policy(t *testing.T, text string) *iampolicy.Document {
	t.Helper()
	d, err := iampolicy.Parse("inline", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// newGate has a root, a role that may read, and a service.
func newGate(t *testing.T, mode Mode) *Gate {
	return &Gate{Mode: mode, Account: "000000000000", Region: "us-east-1", Identities: keys{
		"ROOT": {Secret: "s1", Principal: Principal{Kind: Root, ARN: "arn:aws:iam::000000000000:root"}},
		"ROLE": {Secret: "s2", Token: "tok", Principal: Principal{Kind: Role, ARN: "arn:aws:sts::000000000000:assumed-role/r/s",
			Policies: []*iampolicy.Document{policy(t, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"thing:Read","Resource":"arn:aws:thing:us-east-1:000000000000:x/*"}]}`)}}},
		"SVC": {Secret: "s3", Principal: Principal{Kind: Service, ARN: "events.amazonaws.com"}},
	}}
}

// call sends one signed request to a REST handler that reads thing x/1.
func call(t *testing.T, g *Gate, action string, c *sigv4.Credentials, change func(*http.Request)) (int, string, string) {
	t.Helper()
	h := Protocol{Gate: g, Service: "thing"}.REST(func(c *Call) (any, error) {
		if err := c.Authorize(action, "arn:aws:thing:us-east-1:000000000000:x/1"); err != nil {
			return nil, err
		}
		return map[string]string{"who": c.Principal.ARN, "body": string(c.Body)}, nil
	})
	r := httptest.NewRequest("POST", "http://localhost/x/1", strings.NewReader("hello"))
	if c != nil {
		sigv4.Sign(r, []byte("hello"), *c, "thing", "us-east-1", time.Now())
	}
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Header().Get("X-Amzn-Errortype"), w.Body.String()
}

func TestGate(t *testing.T) {
	root := &sigv4.Credentials{AccessKeyID: "ROOT", SecretAccessKey: "s1"}
	role := &sigv4.Credentials{AccessKeyID: "ROLE", SecretAccessKey: "s2", SessionToken: "tok"}
	badToken := &sigv4.Credentials{AccessKeyID: "ROLE", SecretAccessKey: "s2", SessionToken: "other"}
	wrong := &sigv4.Credentials{AccessKeyID: "ROOT", SecretAccessKey: "other"}
	unknown := &sigv4.Credentials{AccessKeyID: "NOBODY", SecretAccessKey: "x"}
	tokened := &sigv4.Credentials{AccessKeyID: "ROOT", SecretAccessKey: "s1", SessionToken: "tok"}
	sign := func(service, region string, late time.Duration) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Del("Authorization")
			r.Header.Del("X-Amz-Date")
			sigv4.Sign(r, []byte("hello"), *root, service, region, time.Now().Add(late))
		}
	}
	tamper := func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("jello")) }
	for _, tt := range []struct {
		name   string
		mode   Mode
		who    *sigv4.Credentials
		action string
		change func(*http.Request)
		status int
		code   string
	}{
		{"root", Enforce, root, "thing:Write", nil, 200, ""},
		{"role, allowed", Enforce, role, "thing:Read", nil, 200, ""},
		{"role, not allowed", Enforce, role, "thing:Write", nil, 403, "AccessDeniedException"},
		{"role, would be refused", Warn, role, "thing:Write", nil, 200, ""},
		{"wrong session token", Warn, badToken, "thing:Read", nil, 403, "UnrecognizedClientException"},
		{"wrong secret, always refused", Off, wrong, "thing:Read", nil, 403, "InvalidSignatureException"},
		{"changed body", Off, root, "thing:Read", tamper, 403, "InvalidSignatureException"},
		{"unsigned, enforced", Enforce, nil, "thing:Read", nil, 403, "MissingAuthenticationTokenException"},
		{"a token with long-lived keys, enforced", Enforce, tokened, "thing:Read", nil, 403, "UnrecognizedClientException"},
		{"a token with long-lived keys, warned", Warn, tokened, "thing:Read", nil, 200, ""},
		{"another region, enforced", Enforce, root, "thing:Read", sign("thing", "eu-west-1", 0), 403, "InvalidSignatureException"},
		{"another region, warned", Warn, root, "thing:Read", sign("thing", "eu-west-1", 0), 200, ""},
		{"another service", Warn, root, "thing:Read", sign("other", "us-east-1", 0), 403, "InvalidSignatureException"},
		{"an old signature", Warn, root, "thing:Read", sign("thing", "us-east-1", -time.Hour), 403, "InvalidSignatureException"},
		{"unsigned, warned", Warn, nil, "thing:Read", nil, 200, ""},
		{"unknown key, enforced", Enforce, unknown, "thing:Read", nil, 403, "UnrecognizedClientException"},
		{"unknown key, warned", Warn, unknown, "thing:Read", nil, 200, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, code, body := call(t, newGate(t, tt.mode), tt.action, tt.who, tt.change)
			if status != tt.status || code != tt.code {
				t.Errorf("status %d %q, want %d %q; body %s", status, code, tt.status, tt.code, body)
			}
		})
	}
}

// Each protocol words what the gate refuses as its services do.
func TestRefusalsByProtocol(t *testing.T) {
	g := newGate(t, Enforce)
	g.Region = "eu-central-1"
	p := Protocol{Gate: g, Service: "iam"}
	none := map[string]HandlerFunc{"Get": func(*Call) (any, error) { return nil, nil }}
	rest, query := p.REST(func(*Call) (any, error) { return nil, nil }), p.Query("n", none)
	events := p.JSON("1.1", "AWSEvents", "", none)
	const body = "Action=Get"
	root, nobody, wrong := sigv4.Credentials{AccessKeyID: "ROOT", SecretAccessKey: "s1"}, sigv4.Credentials{AccessKeyID: "NOBODY", SecretAccessKey: "x"}, sigv4.Credentials{AccessKeyID: "ROOT", SecretAccessKey: "x"}
	for _, tt := range []struct {
		name   string
		h      http.Handler
		who    *sigv4.Credentials
		region string
		late   time.Duration
		status int
		text   string
	}{
		{"global service", query, &root, "us-east-1", 0, 200, "<GetResponse"},
		{"other region", query, &root, "us-west-2", 0, 403, "<Code>SignatureDoesNotMatch</Code><Message>Credential should be scoped to a valid region.<"},
		{"unsigned", query, nil, "", 0, 403, "<Code>MissingAuthenticationToken</Code>"},
		{"unknown key", query, &nobody, "us-east-1", 0, 403, "<Code>InvalidClientTokenId</Code>"},
		{"wrong secret", query, &wrong, "us-east-1", 0, 403, "<Code>SignatureDoesNotMatch</Code>"},
		{"old", rest, &root, "us-east-1", -time.Hour, 403, `{"message":"Signature expired: `},
		{"early", rest, &root, "us-east-1", time.Hour, 403, `{"message":"Signature not yet current: `},
		{"unknown key", events, &nobody, "us-east-1", 0, 400, `{"__type":"UnrecognizedClientException",`},
		{"unsigned", events, nil, "", 0, 400, `{"__type":"MissingAuthenticationTokenException",`},
	} {
		r := httptest.NewRequest("POST", "http://localhost/", strings.NewReader(body))
		if tt.who != nil {
			sigv4.Sign(r, []byte(body), *tt.who, "iam", tt.region, time.Now().Add(tt.late))
		}
		w := httptest.NewRecorder()
		tt.h.ServeHTTP(w, r)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.text) {
			t.Errorf("%s: %d %s, want %d %s", tt.name, w.Code, w.Body, tt.status, tt.text)
		}
	}
	r := httptest.NewRequest("GET", "http://localhost/", nil)
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 x")
	w := httptest.NewRecorder()
	rest.ServeHTTP(w, r)
	if w.Code != 403 || strings.Contains(w.Body.String(), "sigv4") || w.Header().Get("X-Amzn-Errortype") != "IncompleteSignatureException" {
		t.Errorf("an incomplete signature: %d %s", w.Code, w.Body)
	}
}

// TestLeniencies holds that what AWS would refuse is told under Warn, and only then.
func TestLeniencies(t *testing.T) {
	for _, tt := range []struct {
		who  *sigv4.Credentials
		sign string // the region that it is signed for instead
		want string
	}{
		{nil, "", "unsigned"},
		{&sigv4.Credentials{AccessKeyID: "NOBODY", SecretAccessKey: "x"}, "", "unknown-key"},
		{&sigv4.Credentials{AccessKeyID: "ROLE", SecretAccessKey: "s2", SessionToken: "tok"}, "", ""},
		{&sigv4.Credentials{AccessKeyID: "ROOT", SecretAccessKey: "s1"}, "", "root-key"},
		{&sigv4.Credentials{AccessKeyID: "ROOT", SecretAccessKey: "s1", SessionToken: "tok"}, "", "token root-key"},
		{&sigv4.Credentials{AccessKeyID: "ROOT", SecretAccessKey: "s1"}, "eu-west-1", "region root-key"},
	} {
		for _, mode := range []Mode{Warn, Off, Enforce} {
			g := newGate(t, mode)
			var told []string
			g.Events.Lenient = func(l Leniency) {
				told = append(told, string(l.Reason))
				if l.Service != "thing" || l.RequestID == "" || l.Request == nil {
					t.Errorf("told of %+v", l)
				}
			}
			call(t, g, "thing:Read", tt.who, func(r *http.Request) {
				if tt.sign != "" {
					r.Header.Del("Authorization")
					r.Header.Del("X-Amz-Date")
					sigv4.Sign(r, []byte("hello"), *tt.who, "thing", tt.sign, time.Now())
				}
			})
			want := tt.want
			if mode != Warn {
				want = ""
			}
			if got := strings.Join(told, " "); got != want {
				t.Errorf("%v, %s, %q: told %q, want %q", mode, tt.sign, tt.want, got, want)
			}
		}
	}
}

func TestGateTellsWhatItNotices(t *testing.T) {
	g := newGate(t, Warn)
	var denials []Denial
	var strangers []string
	g.Events.Denied = func(d Denial) { denials = append(denials, d) }
	g.Events.Lenient = func(l Leniency) { strangers = append(strangers, string(l.Reason)+" "+l.AccessKeyID) }
	role := &sigv4.Credentials{AccessKeyID: "ROLE", SecretAccessKey: "s2", SessionToken: "tok"}
	call(t, g, "thing:Write", role, nil)
	call(t, g, "thing:Read", &sigv4.Credentials{AccessKeyID: "NOBODY", SecretAccessKey: "x"}, nil)
	if len(denials) != 1 || denials[0].Enforced || denials[0].Action != "thing:Write" {
		t.Errorf("denials = %+v", denials)
	}
	if len(strangers) != 1 || strangers[0] != "unknown-key NOBODY" {
		t.Errorf("strangers = %v", strangers)
	}

	// What Denied told of, Refused doesn't tell again.
	g.Mode = Enforce
	denials = nil
	var refused []string
	g.Events.Refused = func(r Refusal) { refused = append(refused, r.Err.Code) }
	call(t, g, "thing:Write", role, nil)
	if len(denials) != 1 || !denials[0].Enforced || len(refused) != 0 {
		t.Errorf("denials = %+v, refused = %v; want one denial alone", denials, refused)
	}
	call(t, g, "thing:Read", nil, nil)
	if len(denials) != 1 || len(refused) != 1 {
		t.Errorf("denials = %+v, refused = %v; want the unsigned call refused", denials, refused)
	}
}

func TestResourcePolicyDecidesForServices(t *testing.T) {
	g := newGate(t, Enforce)
	p := policy(t, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"thing:Run","Resource":"arn:t","Condition":{"ArnLike":{"AWS:SourceArn":"arn:aws:events:*:*:rule/r"}}}]}`)
	for source, want := range map[string]bool{"arn:aws:events:us-east-1:0:rule/r": true, "arn:aws:events:us-east-1:0:rule/q": false} {
		r := httptest.NewRequest("POST", "http://localhost/", nil)
		r.Header.Set(HeaderSourceARN, source)
		sigv4.Sign(r, nil, sigv4.Credentials{AccessKeyID: "SVC", SecretAccessKey: "s3"}, "thing", "us-east-1", time.Now())
		c, err := g.Open(r, "thing", 10)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Authorize("thing:Run", "arn:t", p) == nil; got != want {
			t.Errorf("source %s: allowed %v, want %v", source, got, want)
		}
	}
}

// post sends an unsigned request to a handler of a gate that warns.
func post(h http.Handler, target, body string, header map[string]string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", target, strings.NewReader(body))
	for k, v := range header {
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestJSONProtocol(t *testing.T) {
	h := Protocol{Gate: newGate(t, Off), Service: "dynamodb"}.JSON("1.0", "DynamoDB_20120810", "com.amazonaws.dynamodb.v20120810", map[string]HandlerFunc{
		"Ok":   func(c *Call) (any, error) { return map[string]int{"N": 1}, nil },
		"None": func(c *Call) (any, error) { return nil, nil },
		"No":   func(c *Call) (any, error) { return nil, Errorf(400, "ResourceNotFoundException", "no %s", "x") },
		"Boom": func(c *Call) (any, error) { return nil, errors.New("secret detail") },
	})
	for _, tt := range []struct {
		op     string
		status int
		body   string
	}{
		{"Ok", 200, `{"N":1}`},
		{"None", 200, `{}`},
		{"No", 400, `{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"no x"}`},
	} {
		w := post(h, "/", "{}", map[string]string{"X-Amz-Target": "DynamoDB_20120810." + tt.op})
		if w.Code != tt.status || w.Body.String() != tt.body {
			t.Errorf("%s: %d %s, want %d %s", tt.op, w.Code, w.Body, tt.status, tt.body)
		}
		if ct := w.Header().Get("Content-Type"); ct != "application/x-amz-json-1.0" {
			t.Errorf("%s: content type %q", tt.op, ct)
		}
	}
	if w := post(h, "/", "{}", map[string]string{"X-Amz-Target": "DynamoDB_20120810.Boom"}); w.Code != 500 || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("an internal fault shows %d %s", w.Code, w.Body)
	}
	w := post(h, "/", "{}", map[string]string{"X-Amz-Target": "DynamoDB_20120810.Fly"})
	if w.Code != 400 || !strings.Contains(w.Body.String(), "Fly") {
		t.Errorf("an unknown operation is answered with %d %s", w.Code, w.Body)
	}
}

func TestQueryProtocol(t *testing.T) {
	type result struct {
		XMLName struct{} `xml:"GetResult"`
		Name    string   `xml:"Name"`
	}
	h := Protocol{Gate: newGate(t, Off), Service: "iam"}.Query("https://iam.example/doc/", map[string]HandlerFunc{
		"Get": func(c *Call) (any, error) { return result{Name: c.Form["Name"][0]}, nil },
		"No":  func(c *Call) (any, error) { return nil, Errorf(404, "NoSuchEntity", "no <role>") },
	})
	if got := post(h, "/", "Action=Get&Name=a%26b", nil).Body.String(); !strings.Contains(got, `<GetResponse xmlns="https://iam.example/doc/"><GetResult><Name>a&amp;b</Name></GetResult>`) {
		t.Errorf("answer %s", got)
	}
	if w := post(h, "/", "Action=No", nil); w.Code != 404 || !strings.Contains(w.Body.String(), "<Code>NoSuchEntity</Code><Message>no &lt;role&gt;</Message>") {
		t.Errorf("error %d %s", w.Code, w.Body)
	}
	if w := post(h, "/", "Action=Fly", nil); w.Code != 400 || !strings.Contains(w.Body.String(), "InvalidAction") {
		t.Errorf("unknown operation: %d %s", w.Code, w.Body)
	}
}

func TestBodyIsBounded(t *testing.T) {
	h := Protocol{Gate: newGate(t, Off), Service: "thing", MaxBody: 4}.REST(func(c *Call) (any, error) { return nil, nil })
	if w := post(h, "/", "12345", nil); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d, want 413", w.Code)
	}
	if w := post(h, "/", "1234", nil); w.Code != http.StatusOK {
		t.Errorf("status %d, want 200", w.Code)
	}
}

func TestErrorShape(t *testing.T) {
	e := &Error{Code: "NotFoundException", Status: 404, Message: "m", MessageKey: "Message", Fields: map[string]any{"resourceType": "Api"}}
	var got map[string]string
	if err := json.Unmarshal(e.body("", ""), &got); err != nil || got["Message"] != "m" || got["resourceType"] != "Api" {
		t.Errorf("body %v, %v", got, err)
	}
	if b := (&Error{Code: "GoneException", Status: 410, Message: "m", BareBody: true}).body("", ""); b != nil {
		t.Errorf("a bare body holds %s", b)
	}
}
