package functions

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tidegate/internal/awshttp"
	"tidegate/internal/iampolicy"
)

func TestCreateFunctionAnswers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	archive := zipped(t, map[string]string{"index.js": `exports.handler = async () => 'zip';`})
	in := map[string]any{"FunctionName": "chat", "Runtime": "nodejs20.x", "Role": testRole, "Handler": "index.handler", "Code": map[string]any{"ZipFile": archive},
		"VpcConfig": map[string]any{"SubnetIds": []string{"subnet-1"}}, "Tags": map[string]string{"a": "b"}}
	status, out, _ := f.call("POST", "/2015-03-31/functions", in)
	if status != http.StatusCreated {
		t.Fatalf("%d %v", status, out)
	}
	for _, varies := range []string{"CodeSha256", "LastModified", "RevisionId", "CodeSize"} {
		if out[varies] == nil || out[varies] == "" {
			t.Errorf("%s is missing", varies)
		}
		delete(out, varies)
	}
	// The shape that AWS gave on 2026-01 (recorded), and its defaults.
	want := map[string]any{
		"Architectures": []any{"x86_64"}, "Description": "", "EphemeralStorage": map[string]any{"Size": 512.0},
		"FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:chat", "FunctionName": "chat", "Handler": "index.handler",
		"LoggingConfig": map[string]any{"LogFormat": "Text", "LogGroup": "/aws/lambda/chat"}, "MemorySize": 128.0, "PackageType": "Zip",
		"Role": testRole, "Runtime": "nodejs20.x", "SnapStart": map[string]any{"ApplyOn": "None", "OptimizationStatus": "Off"},
		"State": "Pending", "StateReason": "The function is being created.", "StateReasonCode": "Creating", "Timeout": 3.0,
		"TracingConfig": map[string]any{"Mode": "PassThrough"}, "Version": "$LATEST", "VpcConfig": map[string]any{"SubnetIds": []any{"subnet-1"}},
	}
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("CreateFunction (-want +got):\n%s", diff)
	}
	_, out, _ = f.call("GET", "/2015-03-31/functions/chat", nil)
	cfg := out["Configuration"].(map[string]any)
	if cfg["State"] != "Active" || cfg["LastUpdateStatus"] != "Successful" || out["Tags"].(map[string]any)["a"] != "b" {
		t.Errorf("GetFunction: %v", out)
	}
	if _, got, _ := f.invoke("chat", ""); got != `"zip"` {
		t.Errorf("invoke: %s", got)
	}
}

func TestCreateFunctionRefuses(t *testing.T) {
	dir := folder(t, map[string]string{"index.js": ""})
	tests := []struct {
		name   string
		change map[string]any // null removes
		status int
		code   string
		text   string
	}{
		{"python 2", map[string]any{"Runtime": "python2.7"}, 400, "InvalidParameterValueException", "Value python2.7 at 'runtime' failed to satisfy constraint: Tidegate runs nodejs* and python3.*"},
		{"java", map[string]any{"Runtime": "java21"}, 400, "InvalidParameterValueException", "java21"},
		{"no runtime", map[string]any{"Runtime": nil}, 400, "InvalidParameterValueException", "mandatory"},
		{"role", map[string]any{"Role": "admin"}, 400, "ValidationException", "'role'"},
		{"name", map[string]any{"FunctionName": "a b"}, 400, "ValidationException", "'functionName'"},
		{"timeout 0", map[string]any{"Timeout": 0}, 400, "ValidationException", "Value '0' at 'timeout'"},
		{"timeout 901", map[string]any{"Timeout": 901}, 400, "ValidationException", "less than or equal to 900"},
		{"memory", map[string]any{"MemorySize": 64}, 400, "ValidationException", "'memorySize'"},
		{"handler", map[string]any{"Handler": "a b"}, 400, "ValidationException", "'handler'"},
		{"layers", map[string]any{"Layers": []string{"arn:x"}}, 400, "ValidationException", "layers"},
		{"image", map[string]any{"PackageType": "Image"}, 400, "InvalidParameterValueException", "PackageType"},
		{"image uri", map[string]any{"Code": map[string]any{"ImageUri": "x"}}, 400, "InvalidParameterValueException", "ImageUri"},
		{"s3", map[string]any{"Code": map[string]any{"S3Bucket": "b", "S3Key": "k"}}, 400, "InvalidParameterValueException", "no S3"},
		{"no code", map[string]any{"Code": map[string]any{}}, 400, "InvalidParameterValueException", "source"},
		{"relative folder", map[string]any{"Code": map[string]any{"S3Bucket": folderBucket, "S3Key": "src"}}, 400, "InvalidParameterValueException", "absolute"},
		{"absent folder", map[string]any{"Code": map[string]any{"S3Bucket": folderBucket, "S3Key": "/no/such/folder"}}, 400, "InvalidParameterValueException", "/no/such/folder"},
		{"bad zip", map[string]any{"Code": map[string]any{"ZipFile": []byte("zip?")}}, 400, "InvalidParameterValueException", "unzip"},
		{"escaping zip", map[string]any{"Code": map[string]any{"ZipFile": zipped(t, map[string]string{"../x.js": ""})}}, 400, "InvalidParameterValueException", "out of the archive"},
		{"reserved", map[string]any{"Environment": map[string]any{"Variables": map[string]string{"AWS_REGION": "x", "OK": "1"}}}, 400, "InvalidParameterValueException", "Reserved keys used in this request: AWS_REGION"},
		{"long variables", map[string]any{"Environment": map[string]any{"Variables": map[string]string{"LONG": strings.Repeat("x", 5000)}}}, 400, "InvalidParameterValueException", "4KB"},
		{"variable name", map[string]any{"Environment": map[string]any{"Variables": map[string]string{"1A": "x"}}}, 400, "ValidationException", "1A"},
		{"unknown member", map[string]any{"DurableConfig": map[string]any{"x": 1}}, 400, "InvalidParameterValueException", `DurableConfig`},
		{"wrong type", map[string]any{"Timeout": "3"}, 400, "SerializationException", ""},
	}
	f := newFixture(t)
	for _, tt := range tests {
		in := map[string]any{"FunctionName": "f", "Runtime": "nodejs20.x", "Role": testRole, "Handler": "index.handler", "Code": map[string]any{"S3Bucket": folderBucket, "S3Key": dir}}
		for k, v := range tt.change {
			if v == nil {
				delete(in, k)
				continue
			}
			in[k] = v
		}
		status, raw, h := f.raw("POST", "/2015-03-31/functions", in)
		if status != tt.status || h.Get("X-Amzn-Errortype") != tt.code || !strings.Contains(string(raw), tt.text) {
			t.Errorf("%s: %d %s %s", tt.name, status, h.Get("X-Amzn-Errortype"), raw)
		}
	}
	if left, _ := os.ReadDir(filepath.Join(f.cfg.Dir, "code", "f")); len(left) != 0 {
		t.Errorf("refused archives left %v", left)
	}
	serve := newFixture(t, func(c *Config) { c.Folders = false })
	status, raw, _ := serve.raw("POST", "/2015-03-31/functions", map[string]any{"FunctionName": "f", "Runtime": "nodejs20.x", "Role": testRole, "Handler": "index.handler", "Code": map[string]any{"S3Bucket": folderBucket, "S3Key": dir}})
	if status != 400 || !strings.Contains(string(raw), "development only") {
		t.Errorf("a folder where none may be: %d %s", status, raw)
	}
}

func TestManagement(t *testing.T) {
	t.Parallel()
	bucket := newBucket()
	dir := t.TempDir()
	f := newFixture(t, func(c *Config) { c.Bucket, c.Dir = bucket, dir })
	expect := func(method, path string, body any, status int, text string) map[string]any {
		t.Helper()
		got, raw, h := f.raw(method, path, body)
		if got != status || !strings.Contains(string(raw)+h.Get("X-Amzn-Errortype"), text) {
			t.Errorf("%s %s: %d %s %s; want %d %s", method, path, got, h.Get("X-Amzn-Errortype"), raw, status, text)
		}
		var out map[string]any
		json.Unmarshal(raw, &out) // an empty body is none
		return out
	}
	const one = "/2015-03-31/functions/one"
	expect("GET", one, nil, 404, `"Message":"Function not found: arn:aws:lambda:us-east-1:000000000000:function:one"`)
	expect("GET", one, nil, 404, `"Type":"User"`)
	expect("POST", one+"/invocations", "{}", 404, "Function not found: arn:aws:lambda:us-east-1:000000000000:function:one:$LATEST")
	archive := func(text string) []byte {
		return zipped(t, map[string]string{"index.js": `exports.handler = async () => '` + text + `' + (process.env.VV || '');`})
	}
	create := map[string]any{"FunctionName": "one", "Runtime": "nodejs20.x", "Role": testRole, "Handler": "index.handler", "Code": map[string]any{"ZipFile": archive("a")}}
	first := expect("POST", "/2015-03-31/functions/", create, 201, "")
	expect("POST", "/2015-03-31/functions", create, 409, "Function already exist: one")
	expect("POST", one+"/invocations", "", 200, `"a"`)
	expect("POST", one+"/invocations?Qualifier=live", "", 404, "function:one:live")
	expect("POST", "/2015-03-31/functions/one%3A%24LATEST/invocations", "", 200, `"a"`)
	expect("POST", "/2015-03-31/functions/000000000000:function:one/invocations", "", 200, `"a"`)
	expect("POST", "/2015-03-31/functions/arn:aws:lambda:eu-west-1:000000000000:function:one/invocations", "", 404, "eu-west-1")

	updated := expect("PUT", one+"/code", map[string]any{"ZipFile": archive("b")}, 200, `"LastUpdateStatus":"InProgress"`)
	if updated["CodeSha256"] == first["CodeSha256"] || updated["RevisionId"] == first["RevisionId"] {
		t.Error("UpdateFunctionCode kept the hash or the revision")
	}
	expect("POST", one+"/invocations", "", 200, `"b"`)
	expect("PUT", one+"/configuration", map[string]any{"Environment": map[string]any{"Variables": map[string]string{"VV": "2"}}, "Timeout": 5}, 200, `"Timeout":5`)
	expect("POST", one+"/invocations", "", 200, `"b2"`)
	expect("PUT", one+"/configuration", map[string]any{"Timeout": 6, "RevisionId": "old"}, 412, "PreconditionFailedException")
	expect("PUT", one+"/configuration", map[string]any{"Runtime": "ruby3.3"}, 400, "ruby3.3")
	expect("GET", one+"/configuration", nil, 200, `"Variables":{"VV":"2"}`)
	expect("GET", "/2015-03-31/functions?MaxItems=1", nil, 200, `"FunctionName":"one"`)
	eventually(t, "the old code's removal", func() bool {
		left, _ := os.ReadDir(filepath.Join(dir, "code", "one"))
		return len(left) == 1
	})

	const arn = "/2017-03-31/tags/arn:aws:lambda:us-east-1:000000000000:function:one"
	expect("POST", arn, map[string]any{"Tags": map[string]string{"x": "1", "y": "2"}}, 204, "")
	expect("DELETE", arn+"?tagKeys=x", nil, 204, "")
	expect("GET", arn, nil, 200, `{"Tags":{"y":"2"}}`)

	expect("GET", one+"/policy", nil, 404, "The resource you requested does not exist.")
	permit := map[string]any{"StatementId": "gw", "Action": "lambda:InvokeFunction", "Principal": "apigateway.amazonaws.com", "SourceArn": "arn:aws:execute-api:us-east-1:000000000000:abc/*"}
	expect("POST", one+"/policy", permit, 201, `{\"Sid\":\"gw\",\"Effect\":\"Allow\",\"Principal\":{\"Service\":\"apigateway.amazonaws.com\"},\"Action\":\"lambda:InvokeFunction\",\"Resource\":\"arn:aws:lambda:us-east-1:000000000000:function:one\",\"Condition\":{\"ArnLike\":{\"AWS:SourceArn\":`)
	expect("POST", one+"/policy", permit, 409, "The statement id (gw) provided already exists.")
	expect("POST", one+"/policy", map[string]any{"StatementId": "x", "Action": "lambda:InvokeFunction", "Principal": "nobody"}, 400, "principal was invalid")
	expect("GET", one+"/policy", nil, 200, `\"Version\":\"2012-10-17\"`)
	expect("DELETE", one+"/policy/other", nil, 404, "Statement other is not found in resource policy.")

	for path, name := range map[string]string{
		"POST /2021-11-15/functions/one/response-streaming-invocations": "InvokeWithResponseStream",
		"POST /2015-03-31/event-source-mappings/":                       "CreateEventSourceMapping",
		"GET /2030-01-01/nothing":                                       "GET /2030-01-01/nothing",
	} {
		method, path, _ := strings.Cut(path, " ")
		expect(method, path, nil, 400, name)
	}

	// A new service finds what the old one kept, and nothing else.
	f.Close(context.Background())
	f = newFixture(t, func(c *Config) { c.Bucket, c.Dir = bucket, dir })
	expect("POST", one+"/invocations", "", 200, `"b2"`)
	expect("GET", one+"/policy", nil, 200, `\"Sid\":\"gw\"`)
	expect("DELETE", one+"/policy/gw", nil, 204, "")
	expect("DELETE", one, nil, 204, "")
	expect("DELETE", one, nil, 404, "Function not found")
	eventually(t, "the code's removal", func() bool {
		left, _ := os.ReadDir(filepath.Join(dir, "code", "one"))
		return len(left) == 0
	})
	if len(bucket.values) != 0 {
		t.Errorf("the bucket holds %v", bucket.values)
	}
}

func TestInvokeRefuses(t *testing.T) {
	f := newFixture(t)
	f.create("f", map[string]string{"index.js": `exports.handler = async () => 1;`})
	tests := []struct {
		name, body string
		header     []string
		status     int
		code, text string
	}{
		{"junk", `{"a":`, nil, 400, "InvalidRequestContentException", `"message":"Could not parse request body into json: Could not parse payload into json: `},
		{"bad utf-8", "\"n\x87r\"", nil, 400, "InvalidRequestContentException", "Invalid UTF-8 start byte 0x87"},
		{"large", `"` + strings.Repeat("x", maxSyncPayload) + `"`, nil, 413, "RequestTooLargeException", "Request must be smaller than 6291456 bytes for the InvokeFunction operation"},
		{"large event", `"` + strings.Repeat("x", maxEventPayload) + `"`, []string{"X-Amz-Invocation-Type", "Event"}, 413, "RequestTooLargeException", "1048576"},
		{"type", `{}`, []string{"X-Amz-Invocation-Type", "Later"}, 400, "ValidationException", "Later"},
		{"log type", `{}`, []string{"X-Amz-Log-Type", "Head"}, 400, "ValidationException", "Head"},
		{"client context", `{}`, []string{"X-Amz-Client-Context", "%%"}, 400, "InvalidRequestContentException", "base64"},
		{"long client context", `{}`, []string{"X-Amz-Client-Context", strings.Repeat("A", 3584)}, 400, "InvalidRequestContentException", "3583"},
		{"tenant", `{}`, []string{"X-Amz-Tenant-Id", "t"}, 400, "InvalidParameterValueException", "X-Amz-Tenant-Id"},
	}
	for _, tt := range tests {
		status, got, h := f.invoke("f", tt.body, tt.header...)
		if status != tt.status || h.Get("X-Amzn-Errortype") != tt.code || !strings.Contains(got, tt.text) {
			t.Errorf("%s: %d %s %.300s", tt.name, status, h.Get("X-Amzn-Errortype"), got)
		}
	}
	if status, got, _ := f.invoke("f", `{}`, "X-Amz-Invocation-Type", "DryRun"); status != 204 || got != "" {
		t.Errorf("DryRun: %d %s", status, got)
	}
	if n := f.startCount(); n != 0 {
		t.Errorf("%d environments were started", n)
	}
}

// asCaller signs for nobody: the gate finds the principal by the key.
func TestAuthorization(t *testing.T) {
	f := newFixture(t)
	f.create("f", map[string]string{"index.js": `exports.handler = async () => 1;`})
	f.call("POST", "/2015-03-31/functions/f/policy", map[string]any{"StatementId": "gw", "Action": "lambda:InvokeFunction", "Principal": "apigateway.amazonaws.com", "SourceArn": "arn:aws:execute-api:us-east-1:000000000000:abc/*"})
	fn, err := f.find(reference{name: "f"}, false)
	if err != nil {
		t.Fatal(err)
	}
	if len(fn.policy) != 1 {
		t.Fatalf("%d policies", len(fn.policy))
	}
	for source, want := range map[string]iampolicy.Decision{
		"arn:aws:execute-api:us-east-1:000000000000:abc/dev/$connect": iampolicy.Allow,
		"arn:aws:execute-api:us-east-1:000000000000:xyz/dev/$connect": iampolicy.ImplicitDeny,
	} {
		got := iampolicy.Evaluate(&iampolicy.Request{Principal: "apigateway.amazonaws.com", Action: "lambda:InvokeFunction", Resource: fn.arn, Context: map[string][]string{"aws:sourcearn": {source}}},
			iampolicy.Source{Documents: fn.policy, Resource: true})
		if got.Decision != want {
			t.Errorf("from %s: %v", source, got)
		}
	}
	refuses := newFixture(t, func(c *Config) {
		c.Gate = &awshttp.Gate{Identities: identities{}, Mode: awshttp.Enforce, Account: testAccount, Region: testRegion}
	})
	for _, path := range []string{"GET /2015-03-31/functions", "POST /2015-03-31/functions/f/invocations", "DELETE /2015-03-31/functions/f"} {
		method, path, _ := strings.Cut(path, " ")
		if status, out, _ := refuses.call(method, path, nil); status != 403 {
			t.Errorf("unsigned %s %s: %d %v", method, path, status, out)
		}
	}
}

func FuzzPattern(f *testing.F) {
	for _, path := range []string{"/2015-03-31/functions/f/invocations", "/%zz", "//", "/2017-03-31/tags/arn%3Aaws", "/a/b/%2F/d/e/f/g"} {
		f.Add(path)
	}
	s := &Service{cfg: Config{Region: testRegion, Account: testAccount}, functions: map[string]*function{}}
	f.Fuzz(func(t *testing.T, path string) {
		req, err := http.NewRequest("GET", "http://localhost", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.URL.Path = path
		_, name, _, err := splitPath(req)
		if err != nil {
			return
		}
		ref, err := s.parseReference(name, "")
		if err == nil && !namePattern.MatchString(ref.name) {
			t.Errorf("%q gave the name %q", path, ref.name)
		}
	})
}

func FuzzUnzip(f *testing.F) {
	f.Add(zipped(f, map[string]string{"index.js": "x", "a/b.js": "y"}))
	f.Add(zipped(f, map[string]string{"../evil": "x"}))
	f.Add(zipped(f, map[string]string{`..\evil`: "x", "/abs": "y"}))
	s := &Service{cfg: Config{Dir: f.TempDir()}}
	f.Fuzz(func(t *testing.T, archive []byte) {
		c, err := s.unpack("code/f", archive)
		if err != nil {
			return
		}
		dir := filepath.Join(s.cfg.Dir, "code", "f", c.Dir)
		defer os.RemoveAll(dir)
		if entries, _ := os.ReadDir(filepath.Dir(dir)); len(entries) != 1 || bytes.Contains([]byte(entries[0].Name()), []byte("evil")) {
			t.Errorf("the archive wrote outside of its folder: %v", entries)
		}
	})
}
