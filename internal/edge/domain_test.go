package edge

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"tidegate/internal/apigw"
)

// newDomains serves the domains.
func newDomains(domains ...*apigw.Domain) *Domains {
	d := &Domains{}
	for _, domain := range domains {
		d.Publish(domain)
	}
	return d
}

func domainsOf(g *Guard) *Domains {
	if g == nil {
		return nil
	}
	return g.Domains
}

// domain has mappings, each written as key=api/stage.
func domain(name string, mappings ...string) *apigw.Domain {
	d := &apigw.Domain{Name: name, Mappings: map[string]*apigw.APIMapping{}}
	for _, m := range mappings {
		key, to, _ := strings.Cut(m, "=")
		api, stage, _ := strings.Cut(to, "/")
		d.Mappings[m] = &apigw.APIMapping{ID: m, Key: key, APIID: api, Stage: apigw.StageName(stage)}
	}
	return d
}

func TestDomains(t *testing.T) {
	guard := &Guard{Domains: newDomains(
		domain("ws.example.test", "=aaa/one", "chat=bbb/two", "chat/v2=bbb/three", "gone=bbb/undeployed"),
		domain("keyed.example.test", "chat=aaa/one"),
		domain("*.example.test", "=bbb/two"),
		domain("dev.localhost", "=aaa/one"),
	)}
	f := newFixture(t, guard, "aaa/one", "bbb/two", "bbb/three")
	for _, tt := range []struct {
		name, method, url string
		status            int
		body              string // in the answer
		stage             string // that a handshake finds, "" for none
		reason            Reason
	}{
		{name: "root", url: "http://ws.example.test/", status: 426, stage: "aaa/one"},
		{name: "root, port and case", url: "http://WS.Example.TEST.:8420/", status: 426, stage: "aaa/one"},
		{name: "a key", url: "http://ws.example.test/chat", status: 426, stage: "bbb/two"},
		{name: "a key and a slash", url: "http://ws.example.test/chat/", status: 426, stage: "bbb/two"},
		{name: "the longest key", url: "http://ws.example.test/chat/v2", status: 426, stage: "bbb/three"},
		{name: "half a segment", url: "http://ws.example.test/chatter", status: 403, body: `{"message":"Forbidden"`, reason: NoMapping},
		{name: "the stage in the path", url: "http://ws.example.test/one", status: 403, reason: NoMapping},
		{name: "behind a key", url: "http://ws.example.test/chat/two", status: 403, reason: NoMapping},
		{name: "unmapped", url: "http://keyed.example.test/", status: 403, body: `{"message":"Forbidden"`, reason: NoMapping},
		{name: "no deployment", url: "http://ws.example.test/gone", status: 403, reason: NoSuchStage},
		{name: "a star", url: "http://other.example.test/", status: 426, stage: "bbb/two"},
		{name: "two labels below a star", url: "http://a.b.example.test/", status: 421, reason: WrongHost},
		{name: "the star's own", url: "http://example.test/", status: 421, reason: WrongHost},
		{name: "below localhost", url: "http://dev.localhost/", status: 426, stage: "aaa/one"},

		{name: "health", url: "http://ws.example.test/ping", status: 200, body: "healthy"},
		{name: "more health", url: "http://ws.example.test/sping", status: 200, body: "healthy"},
		{name: "AWS's APIs are elsewhere", url: "http://keyed.example.test/v2/apis", status: 403, reason: NoMapping},
		{name: "so are Tidegate's", url: "http://dev.localhost/_tidegate/stack", status: 403, reason: NoMapping},

		{name: "push at the root", method: "POST", url: "http://ws.example.test/@connections/x", status: 200, body: "@connections POST aaa/one x"},
		{name: "push", method: "POST", url: "http://ws.example.test/chat/@connections/x", status: 200, body: "@connections POST bbb/two x"},
		{name: "push below a long key", method: "POST", url: "http://ws.example.test/chat/v2/@connections/x", status: 200, body: "@connections POST bbb/three x"},
		{name: "push with a slash too many", method: "POST", url: "http://ws.example.test/chat//@connections/x", status: 200, body: "@connections POST bbb/two x"},
		{name: "push with the stage", method: "POST", url: "http://ws.example.test/chat/two/@connections/x=", status: 403,
			body: "No method found matching route two/@connections/x= for http method POST", reason: NoMapping},
		{name: "push with the stage at the root", method: "POST", url: "http://ws.example.test/one/@connections/x", status: 403,
			body: "No method found matching route one/@connections/x for http method POST", reason: NoMapping},
		{name: "push unmapped", method: "POST", url: "http://keyed.example.test/@connections/x", status: 403, body: `{"message":"Forbidden"`, reason: NoMapping},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f.refused = nil
			if tt.method == "" {
				tt.method = http.MethodGet
			}
			r := httptest.NewRequest(tt.method, tt.url, nil)
			w := httptest.NewRecorder()
			f.edge.ServeHTTP(w, r)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.body) {
				t.Errorf("%d %s, want %d with %s", w.Code, w.Body, tt.status, tt.body)
			}
			var reason Reason
			if len(f.refused) > 0 {
				reason = f.refused[0].Reason
			}
			if tt.reason == "" && tt.status == http.StatusUpgradeRequired {
				tt.reason = NoUpgrade
			}
			if reason != tt.reason {
				t.Errorf("reason %q, want %q", reason, tt.reason)
			}
			if tt.method != http.MethodGet {
				return
			}
			got := ""
			if s, no := f.edge.admissible(r.Host, r.URL.Path); no == nil {
				got = s.APIID + "/" + string(s.Name)
			}
			if got != tt.stage {
				t.Errorf("a handshake finds %q, want %q", got, tt.stage)
			}
		})
	}
	f.edge.domains.Withdraw("ws.example.test")
	if _, no := f.edge.admissible("ws.example.test", "/chat"); no == nil || no.reason != NoMapping {
		t.Errorf("a withdrawn domain: %+v, want the star's answer", no)
	}
	if got := strings.Join(guard.Domains.Addresses("bbb", "two"), " "); got != "*.example.test/" {
		t.Errorf("the stage is at %s", got)
	}
}

// TestDomainKeepsPagesOut: a page of a custom domain is foreign to everything but
// handshakes.
func TestDomainKeepsPagesOut(t *testing.T) {
	f := newFixture(t, &Guard{Domains: newDomains(domain("dev.localhost", "=aaa/one"))}, "aaa/one")
	r := httptest.NewRequest(http.MethodPost, "http://dev.localhost/@connections/x", nil)
	r.Header.Set("Origin", "http://dev.localhost")
	w := httptest.NewRecorder()
	f.edge.ServeHTTP(w, r)
	if w.Code != http.StatusForbidden || len(f.refused) != 1 || f.refused[0].Reason != ForeignOrigin {
		t.Errorf("%d %s, %+v", w.Code, w.Body, f.refused)
	}
}
