package edge

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"tidegate/sigv4"
)

// A call to a service that Tidegate lacks goes to the fallback endpoint as it
// came; one that doesn't answer there, or comes back, is an error.
func TestFallback(t *testing.T) {
	var seen []string
	var edge *Edge
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ring" {
			edge.ServeHTTP(w, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		auth, err := sigv4.Parse(r)
		if err != nil {
			t.Error(err)
			return
		}
		seen = append(seen, strings.Join([]string{r.Method, r.Host, r.URL.RequestURI(), auth.Service, string(body)}, " "))
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, "from elsewhere")
	}))
	defer elsewhere.Close()
	endpoint, err := url.Parse(elsewhere.URL)
	if err != nil {
		t.Fatal(err)
	}
	var failed, fell []UnknownServiceInfo
	f := newFixture(t, nil)
	edge = New(Config{Gateway: f.gateway, Find: f.find, Fallback: endpoint, Services: map[string]http.Handler{"lambda": echo("lambda")},
		Events: EventListener{FellBack: func(i UnknownServiceInfo) { fell = append(fell, i) }, FallbackFailed: func(i UnknownServiceInfo, _ error) { failed = append(failed, i) }}})
	call := func(service, target string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, "https://"+service+".us-east-1.amazonaws.com"+target, strings.NewReader("payload"))
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/"+service+"/aws4_request, SignedHeaders=host;x-amz-date, Signature="+strings.Repeat("0", 64))
		r.Header.Set("X-Amz-Date", "20260101T000000Z")
		w := httptest.NewRecorder()
		edge.ServeHTTP(w, r)
		return w
	}
	if w := call("sqs", "/queue?Action=a%2Fb"); w.Code != http.StatusTeapot || w.Body.String() != "from elsewhere" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if want := "POST sqs.us-east-1.amazonaws.com /queue?Action=a%2Fb sqs payload"; len(seen) != 1 || seen[0] != want {
		t.Errorf("elsewhere saw %q, want %s", seen, want)
	}
	if len(fell) != 1 || fell[0].Service != "sqs" || fell[0].Path != "/queue" {
		t.Errorf("told of %+v", fell)
	}
	if w := call("lambda", "/"); w.Body.String() != "lambda payload" {
		t.Errorf("a service that is here: %s", w.Body)
	}
	if w := call("sqs", "/ring"); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "does not have the service sqs") {
		t.Errorf("a ring: %d %s", w.Code, w.Body)
	}
	elsewhere.Close()
	if w := call("sqs", "/"); w.Code != http.StatusBadGateway || len(failed) != 1 || failed[0].Service != "sqs" {
		t.Errorf("nobody there: %d %s, %v", w.Code, w.Body, failed)
	}
}
