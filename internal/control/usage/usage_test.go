package usage

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/awshttp"
	"tidegate/internal/kv/filekv"
)

// A bench is a service on a store, with a clock that the test moves.
type bench struct {
	*Service
	t    *testing.T
	time time.Time
}

func newBench(t *testing.T) *bench {
	t.Helper()
	store, err := filekv.Open(filepath.Join(t.TempDir(), "kv.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	bucket, err := store.Bucket(t.Context(), "usage")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, time: time.Date(2026, 1, 30, 12, 0, 0, 0, time.UTC)} // a Friday
	if b.Service, err = Open(t.Context(), bucket, func() time.Time { return b.time }); err != nil {
		t.Fatal(err)
	}
	return b
}

// call returns the status and the body.
func (b *bench) call(method, path, body string) (int, map[string]any) {
	b.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	w := httptest.NewRecorder()
	b.Handler(&awshttp.Gate{Mode: awshttp.Off, Region: "us-east-1", Account: "000000000000"}).ServeHTTP(w, r)
	out := map[string]any{}
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			b.t.Fatalf("%s %s: %v: %s", method, path, err, w.Body)
		}
	}
	return w.Code, out
}

func (b *bench) admit(want error) {
	b.t.Helper()
	if _, err := b.Admit("01234567890123456789", "api", "prod"); !errors.Is(err, want) {
		b.t.Errorf("Admit: %v, want %v", err, want)
	} else if err != nil && strings.Contains(err.Error(), "0123456789") {
		b.t.Errorf("%v holds the key", err)
	}
}

// ready returns the ids of an enabled key and of a plan that has it.
func (b *bench) ready(plan string) (key, planID string) {
	b.t.Helper()
	_, k := b.call("POST", "/apikeys", `{"name":"k","enabled":true,"value":"01234567890123456789"}`)
	status, p := b.call("POST", "/usageplans", `{"name":"p","apiStages":[{"apiId":"api","stage":"prod"}]`+plan+`}`)
	if status != http.StatusCreated {
		b.t.Fatalf("CreateUsagePlan: %d %v", status, p)
	}
	key, planID = k["id"].(string), p["id"].(string)
	if status, out := b.call("POST", "/usageplans/"+planID+"/keys", `{"keyId":"`+key+`","keyType":"API_KEY"}`); status != http.StatusCreated {
		b.t.Fatalf("CreateUsagePlanKey: %d %v", status, out)
	}
	return key, planID
}

func TestQuotaPeriods(t *testing.T) {
	for _, tt := range []struct {
		period    string
		same, new time.Duration // from Friday the 30th of January, noon
	}{
		{Day, 11 * time.Hour, 13 * time.Hour},
		{Week, 35 * time.Hour, 37 * time.Hour},
		{Month, 35 * time.Hour, 61 * time.Hour},
	} {
		b := newBench(t)
		b.ready(`,"quota":{"limit":2,"period":"` + tt.period + `"}`)
		start := b.time
		b.admit(nil)
		b.admit(nil)
		b.admit(apigw.ErrKeyQuota)
		b.time = start.Add(tt.same)
		b.admit(apigw.ErrKeyQuota)
		b.time = start.Add(tt.new)
		b.admit(nil)
	}
}

func TestThrottle(t *testing.T) {
	b := newBench(t)
	b.ready(`,"throttle":{"rateLimit":2,"burstLimit":3}`)
	for range 3 {
		b.admit(nil)
	}
	b.admit(apigw.ErrKeyThrottled)
	b.time = b.time.Add(500 * time.Millisecond)
	b.admit(nil)
	b.admit(apigw.ErrKeyThrottled)
}

func TestUsage(t *testing.T) {
	b := newBench(t)
	key, plan := b.ready(`,"quota":{"limit":10,"offset":4,"period":"WEEK"}`)
	b.admit(nil)
	b.admit(nil)
	status, out := b.call("GET", "/usageplans/"+plan+"/usage?startDate=2026-01-29&endDate=2026-01-30", "")
	got, _ := json.Marshal(out["values"])
	if want := `{"` + key + `":[[0,10],[2,4]]}`; status != 200 || string(got) != want {
		t.Errorf("GetUsage: %d %s, want %s", status, got, want)
	}
	if status, out := b.call("PATCH", "/usageplans/"+plan+"/keys/"+key+"/usage", `{"patchOperations":[{"op":"replace","path":"/remaining","value":"1"}]}`); status != 200 {
		t.Errorf("UpdateUsage: %d %v", status, out)
	}
	b.admit(nil)
	b.admit(apigw.ErrKeyQuota)
}

func TestPages(t *testing.T) {
	b := newBench(t)
	for range 5 {
		b.call("POST", "/apikeys", `{"name":"k"}`)
	}
	seen, position := map[string]bool{}, ""
	for range 3 {
		_, out := b.call("GET", "/apikeys?limit=2&position="+position, "")
		for _, item := range out["item"].([]any) {
			k := item.(map[string]any)
			if k["value"] != nil {
				t.Error("a list without includeValues tells values")
			}
			seen[k["id"].(string)] = true
		}
		position, _ = out["position"].(string)
	}
	if len(seen) != 5 || position != "" {
		t.Errorf("three pages had %d keys, and then %q", len(seen), position)
	}
}

func TestRefusals(t *testing.T) {
	b := newBench(t)
	key, plan := b.ready("")
	for _, tt := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", "/apikeys", `{"value":"short"}`, 400, "at least 20 characters"},
		{"POST", "/apikeys", `{"value":"01234567890123456789"}`, 409, "API Key already exists"},
		{"POST", "/apikeys?mode=import&format=csv", ``, 400, "ImportApiKeys"},
		{"POST", "/apikeys", `{"stageKeys":["a/b"]}`, 400, "deprecated"},
		{"GET", "/apikeys/none", ``, 404, "Invalid API Key identifier specified"},
		{"GET", "/apikeys?limit=0", ``, 400, "Invalid limit"},
		{"GET", "/apikeys?position=%21", ``, 400, "Invalid position"},
		{"PATCH", "/apikeys/" + key, `{"patchOperations":[{"op":"replace","path":"/value","value":"x"}]}`, 400, "Invalid patch path"},
		{"PATCH", "/apikeys/" + key, `{"patchOperations":[{"op":"add","path":"/name","value":"x"}]}`, 400, "Invalid patch operation"},
		{"POST", "/usageplans", `{}`, 400, "name cannot be blank"},
		{"POST", "/usageplans", `{"name":"x","quota":{"limit":1,"period":"YEAR"}}`, 400, "DAY, WEEK, MONTH"},
		{"POST", "/usageplans", `{"name":"x","quota":{"limit":5,"offset":1,"period":"DAY"}}`, 400, "offset must be 0 for DAY"},
		{"POST", "/usageplans", `{"name":"x","apiStages":[{"apiId":"a","stage":"b","throttle":{"x/GET":{}}}]}`, 400, "single methods"},
		{"POST", "/usageplans", `{"name":"x","throttle":{"rateLimit":-1}}`, 400, "not be negative"},
		{"GET", "/usageplans/none", ``, 404, "Invalid Usage Plan ID specified"},
		{"DELETE", "/usageplans/" + plan, ``, 400, "remove all API stages first"},
		{"POST", "/usageplans/" + plan + "/keys", `{"keyId":"` + key + `","keyType":"API_KEY"}`, 409, "already exist"},
		{"POST", "/usageplans/" + plan + "/keys", `{"keyId":"none","keyType":"API_KEY"}`, 404, "Invalid API Key"},
		{"POST", "/usageplans/" + plan + "/keys", `{"keyId":"` + key + `","keyType":"OTHER"}`, 400, "keyType"},
		{"GET", "/usageplans/" + plan + "/usage?startDate=x&endDate=y", ``, 400, "are dates"},
		{"PATCH", "/usageplans/" + plan, `{"patchOperations":[{"op":"remove","path":"/apiStages","value":"no:no"}]}`, 400, "has no API stage"},
		{"PATCH", "/usageplans/" + plan, `{"patchOperations":[{"op":"replace","path":"/name","value":""}]}`, 400, "cannot be blank"},
	} {
		status, out := b.call(tt.method, tt.path, tt.body)
		if text, _ := out["message"].(string); status != tt.status || !strings.Contains(text, tt.want) {
			t.Errorf("%s %s %s: %d %v, want %d with %q", tt.method, tt.path, tt.body, status, out, tt.status, tt.want)
		}
	}
	b.admit(nil) // nothing of that changed the key or the plan
	if status, _ := b.call("DELETE", "/apikeys/"+key, ""); status != http.StatusAccepted {
		t.Errorf("DeleteApiKey: %d, want 202", status)
	}
	b.admit(apigw.ErrKeyForbidden)
	if _, out := b.call("GET", "/usageplans/"+plan+"/keys", ""); len(out["item"].([]any)) != 0 {
		t.Errorf("the plan still has %v", out)
	}
}

func TestAccount(t *testing.T) {
	b := newBench(t)
	const role = "arn:aws:iam::000000000000:role/logs"
	replace := func(value string) string {
		return `{"patchOperations":[{"op":"replace","path":"/cloudwatchRoleArn","value":"` + value + `"}]}`
	}
	if status, got := b.call("GET", "/account", ""); status != 200 || got["cloudwatchRoleArn"] != nil || got["apiKeyVersion"] != "4" {
		t.Errorf("a new account: %d %v", status, got)
	}
	for _, step := range []struct {
		body   string
		status int
		role   any // afterwards
	}{
		{replace(role), 200, role},
		{replace("nonsense"), 400, role},
		{`{"patchOperations":[{"op":"replace","path":"/throttleSettings/rateLimit","value":"1"}]}`, 400, role},
		{`{"patchOperations":[{"op":"add","path":"/features","value":"UsagePlans"}]}`, 200, role},
		{replace(""), 200, nil},
	} {
		if status, got := b.call("PATCH", "/account", step.body); status != step.status {
			t.Errorf("%s: %d %v", step.body, status, got)
		}
		if _, got := b.call("GET", "/account", ""); got["cloudwatchRoleArn"] != step.role {
			t.Errorf("after %s the role is %v, want %v", step.body, got["cloudwatchRoleArn"], step.role)
		}
	}
}

// TestQuotas stops at as many keys and plans as the limits say, and takes one again
// when one is gone.
func TestQuotas(t *testing.T) {
	b := newBench(t)
	b.most = quotas{2, 2}
	for _, path := range []string{"/apikeys", "/usageplans"} {
		var last string
		for range 2 {
			status, out := b.call("POST", path, `{"name":"n"}`)
			if status != http.StatusCreated {
				t.Fatalf("POST %s: %d %v", path, status, out)
			}
			last = out["id"].(string)
		}
		if status, out := b.call("POST", path, `{"name":"n"}`); status != 429 || !strings.Contains(out["message"].(string), "quota") {
			t.Errorf("POST %s beyond the quota: %d %v", path, status, out)
		}
		b.call("DELETE", path+"/"+last, "")
		if status, out := b.call("POST", path, `{"name":"n"}`); status != http.StatusCreated {
			t.Errorf("POST %s after a delete: %d %v", path, status, out)
		}
	}
}
