package functions

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tidegate/internal/iampolicy"
)

// expect calls and holds the answer against a status and a part of its text.
func (f *fixture) expect(method, path string, body any, status int, text string) map[string]any {
	f.t.Helper()
	got, raw, h := f.raw(method, path, body)
	if got != status || !strings.Contains(string(raw)+h.Get("X-Amzn-Errortype"), text) {
		f.t.Errorf("%s %s: %d %s %s; want %d %s", method, path, got, h.Get("X-Amzn-Errortype"), raw, status, text)
	}
	var out map[string]any
	json.Unmarshal(raw, &out) // an empty body is none
	return out
}

func TestVersionsAndAliases(t *testing.T) {
	t.Parallel()
	bucket, dir := newBucket(), t.TempDir()
	open := func() *fixture { return newFixture(t, func(c *Config) { c.Bucket, c.Dir = bucket, dir }) }
	f := open()
	archive := func(text string) []byte {
		return zipped(t, map[string]string{"index.js": `exports.handler = async (e, c) => ['` + text + `', process.env.AWS_LAMBDA_FUNCTION_VERSION, c.functionVersion, c.invokedFunctionArn.split(':').slice(7).join(':')].join(' ');`})
	}
	const one = "/2015-03-31/functions/one"
	create := map[string]any{"FunctionName": "one", "Runtime": "nodejs20.x", "Role": testRole, "Handler": "index.handler", "Publish": true, "Code": map[string]any{"ZipFile": archive("a")}}
	f.expect("POST", "/2015-03-31/functions", create, 201, `"Version":"1"`)
	f.expect("POST", one+"/versions", nil, 201, `"Version":"1"`) // nothing has changed
	f.expect("PUT", one+"/code", map[string]any{"ZipFile": archive("b")}, 200, `"Version":"$LATEST"`)
	f.expect("POST", one+"/versions", map[string]any{"CodeSha256": "x"}, 400, "is different from current CodeSHA256")
	second := f.expect("POST", one+"/versions", map[string]any{"Description": "second"}, 201, `"FunctionArn":"arn:aws:lambda:us-east-1:000000000000:function:one:2"`)
	if second["Description"] != "second" || second["Version"] != "2" {
		t.Errorf("PublishVersion: %v", second)
	}
	f.expect("PUT", one+"/code", map[string]any{"ZipFile": archive("c"), "Publish": true}, 200, `"Version":"3"`)

	f.expect("POST", one+"/aliases", map[string]any{"Name": "live", "FunctionVersion": "1"}, 201, `"AliasArn":"arn:aws:lambda:us-east-1:000000000000:function:one:live","Name":"live","FunctionVersion":"1"`)
	f.expect("POST", one+"/aliases", map[string]any{"Name": "live", "FunctionVersion": "1"}, 409, "Alias already exists")
	f.expect("POST", one+"/aliases", map[string]any{"Name": "7", "FunctionVersion": "1"}, 400, "'name'")
	f.expect("POST", one+"/aliases", map[string]any{"Name": "x", "FunctionVersion": "9"}, 404, "function:one:9")
	f.expect("POST", one+"/aliases", map[string]any{"Name": "dev", "FunctionVersion": "$LATEST"}, 201, "")
	f.expect("GET", one+"/aliases/none", nil, 404, "Cannot find alias arn: arn:aws:lambda:us-east-1:000000000000:function:one:none")
	f.expect("GET", one+"/aliases?FunctionVersion=1", nil, 200, `{"Aliases":[{"AliasArn":"arn:aws:lambda:us-east-1:000000000000:function:one:live",`)
	f.expect("GET", one+"/versions", nil, 200, `"FunctionArn":"arn:aws:lambda:us-east-1:000000000000:function:one:$LATEST"`)
	f.expect("GET", one+"/versions?MaxItems=2", nil, 200, `"NextMarker":"one:1"`)
	f.expect("GET", one+"/versions?MaxItems=2&Marker=one:1", nil, 200, `{"Versions":[{"FunctionName":"one","FunctionArn":"arn:aws:lambda:us-east-1:000000000000:function:one:2"`)
	f.expect("GET", "/2015-03-31/functions?FunctionVersion=ALL", nil, 200, `function:one:3"`)
	f.expect("GET", one+"?Qualifier=live", nil, 200, `"FunctionArn":"arn:aws:lambda:us-east-1:000000000000:function:one:live"`)
	f.expect("GET", one+"/configuration?Qualifier=live", nil, 200, `"Version":"1"`)

	invoked := func(path, want, version string) {
		t.Helper()
		status, raw, h := f.raw("POST", "/2015-03-31/functions/"+path, "{}")
		if status != 200 || string(raw) != `"`+want+`"` || h.Get("X-Amz-Executed-Version") != version {
			t.Errorf("%s: %d %s, version %s; want %s", path, status, raw, h.Get("X-Amz-Executed-Version"), want)
		}
	}
	all := func() {
		t.Helper()
		invoked("one/invocations", "c $LATEST $LATEST ", "$LATEST")
		invoked("one:1/invocations", "a 1 1 1", "1")
		invoked("one/invocations?Qualifier=live", "a 1 1 live", "1")
		invoked("arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Aone%3A2/invocations", "b 2 2 2", "2")
		invoked("one:dev/invocations", "c $LATEST $LATEST dev", "$LATEST")
	}
	all()
	f.Close(context.Background())
	f = open()
	all()
	f.expect("POST", one+"/invocations?Qualifier=gone", "{}", 404, "function:one:gone")
	f.expect("PUT", one+"/aliases/live", map[string]any{"FunctionVersion": "3", "RevisionId": "old"}, 412, "PreconditionFailed")
	f.expect("PUT", one+"/aliases/live", map[string]any{"FunctionVersion": "3"}, 200, `"FunctionVersion":"3"`)
	invoked("one:live/invocations", "c 3 3 live", "3")

	f.expect("PUT", one+"/aliases/live", map[string]any{"RoutingConfig": map[string]any{"AdditionalVersionWeights": map[string]float64{"2": 1.5}}}, 400, "less than or equal to 1.0")
	f.expect("PUT", one+"/aliases/dev", map[string]any{"RoutingConfig": map[string]any{"AdditionalVersionWeights": map[string]float64{"2": 0.5}}}, 400, "$LATEST is not supported for an alias pointing to more than 1 version")
	f.expect("PUT", one+"/aliases/live", map[string]any{"RoutingConfig": map[string]any{"AdditionalVersionWeights": map[string]float64{"2": 0.5}}}, 200, `"RoutingConfig":{"AdditionalVersionWeights":{"2":0.5}}`)
	seen := map[string]int{}
	for range 60 { // one of two never comes in 60 throws once in 10^18
		_, _, h := f.invoke("one:live", "{}")
		seen[h.Get("X-Amz-Executed-Version")]++
	}
	if seen["2"] == 0 || seen["3"] == 0 || seen["2"]+seen["3"] != 60 {
		t.Errorf("by weight 0.5 ran %v", seen)
	}

	f.expect("DELETE", one+"?Qualifier=2", nil, 409, "Unable to delete version because the following aliases reference it: [live]")
	f.expect("DELETE", one+"?Qualifier=$LATEST", nil, 400, "$LATEST version cannot be deleted")
	f.expect("DELETE", one+"?Qualifier=live", nil, 400, "aliases")
	f.expect("DELETE", one+"?Qualifier=1", nil, 204, "")
	f.expect("POST", one+":1/invocations", "{}", 404, "function:one:1")
	f.expect("PUT", "/2015-03-31/functions/one:2/code", map[string]any{"ZipFile": archive("d")}, 400, "UpdateFunctionCode")
	f.expect("DELETE", one+"/aliases/live", nil, 204, "")
	f.expect("DELETE", one+"/aliases/live", nil, 204, "")
	eventually(t, "the code of version 1 to go", func() bool {
		left, _ := os.ReadDir(filepath.Join(dir, "code", "one"))
		return len(left) == 2
	})
	f.expect("DELETE", one, nil, 204, "")
	if len(bucket.values) != 0 {
		t.Errorf("the bucket holds %v", bucket.values)
	}
}

// Each qualifier has a policy of its own.
func TestQualifiedPermissions(t *testing.T) {
	f := newFixture(t)
	f.create("f", map[string]string{"index.js": ""}, "Publish", true)
	const path = "/2015-03-31/functions/f"
	f.expect("POST", path+"/aliases", map[string]any{"Name": "live", "FunctionVersion": "1"}, 201, "")
	permit := map[string]any{"StatementId": "gw", "Action": "lambda:InvokeFunction", "Principal": "apigateway.amazonaws.com"}
	f.expect("POST", path+"/policy?Qualifier=live", permit, 201, `function:f:live`)
	f.expect("POST", path+"/policy?Qualifier=live", permit, 409, "already exists")
	f.expect("POST", path+"/policy?Qualifier=gone", permit, 404, "function:f:gone")
	f.expect("GET", path+"/policy", nil, 404, "does not exist")
	f.expect("GET", path+"/policy?Qualifier=live", nil, 200, `function:f:live`)
	for arn, want := range map[string]iampolicy.Decision{":live": iampolicy.Allow, "": iampolicy.ImplicitDeny, ":1": iampolicy.ImplicitDeny} {
		got := iampolicy.Evaluate(&iampolicy.Request{Principal: "apigateway.amazonaws.com", Action: "lambda:InvokeFunction", Resource: f.arn("f") + arn},
			iampolicy.Source{Documents: f.policyOf("f"), Resource: true})
		if got.Decision != want {
			t.Errorf("on f%s: %v, want %v", arn, got.Decision, want)
		}
	}
	f.expect("DELETE", path+"/policy/gw", nil, 404, "No policy")
	f.expect("DELETE", path+"/policy/gw?Qualifier=live", nil, 204, "")
}

func TestReservedConcurrency(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.create("f", map[string]string{"index.js": `exports.handler = async (e) => { while (e && !require('fs').existsSync(e)) await new Promise((r) => setTimeout(r, 5)); return 1; };`}, "Timeout", 60)
	const path = "/functions/f/concurrency"
	f.expect("GET", "/2019-09-30"+path, nil, 200, `{}`)
	f.expect("PUT", "/2017-10-31"+path, map[string]any{"ReservedConcurrentExecutions": -1}, 400, "greater than or equal to 0")
	f.expect("PUT", "/2017-10-31"+path, map[string]any{"ReservedConcurrentExecutions": 0}, 200, `{"ReservedConcurrentExecutions":0}`)
	f.expect("POST", "/2015-03-31/functions/f/invocations", "null", 429, `"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded"`)
	f.expect("PUT", "/2017-10-31"+path, map[string]any{"ReservedConcurrentExecutions": 1}, 200, "")
	f.expect("GET", "/2015-03-31/functions/f", nil, 200, `"Concurrency":{"ReservedConcurrentExecutions":1}`)
	file := filepath.Join(t.TempDir(), "go on")
	done := make(chan string)
	go func() { _, got, _ := f.invoke("f", fmt.Sprintf("%q", file)); done <- got }()
	eventually(t, "one to run", func() bool { f.Service.mu.Lock(); defer f.Service.mu.Unlock(); return f.running["f"] == 1 })
	f.expect("POST", "/2015-03-31/functions/f/invocations", "null", 429, "TooManyRequestsException")
	write(t, file, "")
	if got := <-done; got != "1" {
		t.Error(got)
	}
	f.expect("DELETE", "/2017-10-31"+path, nil, 204, "")
	if status, got, _ := f.invoke("f", "null"); status != http.StatusOK || got != "1" {
		t.Errorf("%d %s", status, got)
	}
}
