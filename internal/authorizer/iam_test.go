package authorizer

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tidegate/internal/event"
	"tidegate/internal/iampolicy"
	"tidegate/sigv4"
)

type keys map[string]Key

func (k keys) Lookup(id string) (Key, bool) { key, ok := k[id]; return key, ok }

func document(t testing.TB, text string) []*iampolicy.Document {
	t.Helper()
	d, err := iampolicy.Parse("own", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return []*iampolicy.Document{d}
}

func TestIAM(t *testing.T) {
	const role = "arn:aws:sts::123456789012:assumed-role/client/s"
	iam := &IAM{Region: region, Account: account, Keys: keys{
		"ROOT":   {Secret: "s1", Root: true, ARN: "arn:aws:iam::123456789012:root", Account: account},
		"ROLE":   {Secret: "s2", Token: "tok", ARN: role, Account: account, UserID: "AROAX:s", Policies: document(t, allow)},
		"DENIED": {Secret: "s3", ARN: role, Account: account, Policies: document(t, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"execute-api:Invoke","Resource":"*/$connect"}]}`)},
		"NONE":   {Secret: "s4", ARN: role, Account: account},
	}}
	type how struct {
		key, secret, token, service, region string
		query                               bool
		at                                  time.Duration
		change                              func(*event.ConnectRequest)
	}
	for _, tt := range []struct {
		name   string
		how    how
		want   error
		detail string
	}{
		{"root by header", how{key: "ROOT", secret: "s1"}, nil, ""},
		{"root by query", how{key: "ROOT", secret: "s1", query: true}, nil, ""},
		{"role by header", how{key: "ROLE", secret: "s2", token: "tok"}, nil, ""},
		{"role by query", how{key: "ROLE", secret: "s2", token: "tok", query: true}, nil, ""},
		{"unsigned", how{}, ErrUnsigned, "AWS_IAM"},
		{"unknown key", how{key: "NOBODY", secret: "s1"}, ErrSignature, `"NOBODY" is unknown`},
		{"wrong secret", how{key: "ROOT", secret: "other"}, ErrSignature, "canonical request"},
		{"no token", how{key: "ROLE", secret: "s2"}, ErrSignature, "session token"},
		{"wrong token", how{key: "ROLE", secret: "s2", token: "other", query: true}, ErrSignature, "session token"},
		{"token on a long-lived key", how{key: "ROOT", secret: "s1", token: "tok"}, ErrSignature, "long-lived"},
		{"service", how{key: "ROOT", secret: "s1", service: "iotdevicegateway"}, ErrSignature, "must be execute-api"},
		{"region", how{key: "ROOT", secret: "s1", region: "eu-west-1"}, ErrSignature, "the API is in us-east-1"},
		{"expired", how{key: "ROOT", secret: "s1", query: true, at: -time.Hour}, ErrSignature, "presigned request was good until"},
		{"old", how{key: "ROOT", secret: "s1", at: -time.Hour}, ErrSignature, "Signature expired"},
		{"other stage", how{key: "ROOT", secret: "s1", query: true, change: func(r *event.ConnectRequest) { r.Target = strings.Replace(r.Target, "/default", "/other", 1) }}, ErrSignature, ""},
		{"other parameter", how{key: "ROOT", secret: "s1", query: true, change: func(r *event.ConnectRequest) { r.Target += "&room=1" }}, ErrSignature, ""},
		{"explicit deny", how{key: "DENIED", secret: "s3"}, ErrDenied, "statement 1 of policy own denies"},
		{"no policy", how{key: "NONE", secret: "s4"}, ErrDenied, "no identity-based policy of " + role},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, connect := handshake()
			if tt.how.key != "" {
				sign(connect, tt.how.query, sigv4.Credentials{AccessKeyID: tt.how.key, SecretAccessKey: tt.how.secret, SessionToken: tt.how.token},
					or(tt.how.service, signingName), or(tt.how.region, region), time.Now().Add(tt.how.at))
			}
			if tt.how.change != nil {
				tt.how.change(connect)
			}
			grant, err := iam.Authorize(t.Context(), c, connect, &Trace{})
			if !errors.Is(err, tt.want) || tt.want == nil && (err != nil || grant.Caller.AccessKeyID != tt.how.key) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if err != nil && (!strings.Contains(err.Error(), tt.detail) || strings.Contains(err.Error(), "s1")) {
				t.Errorf("%q doesn't say %q, or says a secret", err, tt.detail)
			}
			if tt.how.token == "tok" && tt.want == nil {
				want := &event.Caller{AccountID: account, AccessKeyID: "ROLE", ID: "AROAX:s", ARN: role}
				if diff := cmp.Diff(want, grant.Caller); diff != "" {
					t.Errorf("caller (-want +got):\n%s", diff)
				}
				c.Identity.Caller = grant.Caller
				out := string(event.AppendProxy(nil, c, connect, nil))
				if want := `"identity":{"userArn":"` + role + `","accountId":"123456789012","caller":"AROAX:s","sourceIp":"192.0.2.1","accessKey":"ROLE","user":"AROAX:s"}`; !strings.Contains(out, want) {
					t.Errorf("the event %s lacks %s", out, want)
				}
			}
		})
	}
}

// sign signs the handshake as an SDK does: as a GET of the https URL.
func sign(connect *event.ConnectRequest, query bool, keys sigv4.Credentials, service, region string, at time.Time) {
	r, err := http.NewRequest(http.MethodGet, "https://"+connect.DomainName+connect.Target, nil)
	if err != nil {
		panic(err)
	}
	if query {
		sigv4.Presign(r, keys, service, region, 5*time.Minute, at)
		connect.Target = r.URL.RequestURI()
		return
	}
	sigv4.Sign(r, nil, keys, service, region, at)
	for name, values := range r.Header {
		connect.Header = append(connect.Header, event.Field{Name: name, Value: values[0]})
	}
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
