package functions

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEntries(t *testing.T) {
	const at, id = "2026-11-22T21:26:56.834Z", "c651bcc2-af0e-47aa-a611-9c3f9053aa36"
	info := at + "\t" + id + "\tINFO\t"
	for _, tt := range []struct {
		line string
		want []entry
	}{
		{"plain\rline", []entry{{"plain\rline", "plain\rline", false}}},
		{info + "one\rtwo", []entry{{info + "one\ntwo", "one\ntwo", false}}},
		{"half" + info + "one", []entry{{"half", "half", false}, {info + "one", "one", false}}},
		{at + "\tundefined\tWARN\tat load", []entry{{at + "\tundefined\tWARN\tat load", "at load", true}}},
		{"[INFO]\t" + at + "\t" + id + "\ta\rb", []entry{{"[INFO]\t" + at + "\t" + id + "\ta\nb", "[INFO]\t" + at + "\t" + id + "\ta\nb", false}}},
		{"quoted [INFO]\t" + at + "\t" + id + "\ta\rb", []entry{{"quoted [INFO]\t" + at + "\t" + id + "\ta\rb", "quoted [INFO]\t" + at + "\t" + id + "\ta\rb", false}}},
	} {
		if diff := cmp.Diff(tt.want, entries(tt.line, false), cmp.AllowUnexported(entry{})); diff != "" {
			t.Errorf("%q: %s", tt.line, diff)
		}
	}
}

// tail invokes the function and returns what its log tail has, an event a line.
func (f *fixture) tail(name, event string) []string {
	f.t.Helper()
	_, _, h := f.invoke(name, event, "X-Amz-Log-Type", "Tail")
	log, err := base64.StdEncoding.DecodeString(h.Get("X-Amz-Log-Result"))
	if err != nil {
		f.t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(log), "\n"), "\n")
}

// TestLogFormatJSON has the platform, the runtime and a failure write JSON.
func TestLogFormatJSON(t *testing.T) {
	f := newFixture(t)
	f.create("json", map[string]string{"index.js": `
exports.handler = async () => { console.debug('low'); console.log('one\ntwo', { a: 1 }); console.warn({ x: 1n }); console.error('failed:', new TypeError('e')); throw new Error('boom'); };`},
		"LoggingConfig", map[string]string{"LogFormat": "JSON"})
	var got []string
	for _, line := range f.tail("json", `{}`) {
		var e struct {
			Type, Level, RequestID, ErrorType string
			Message                           any
			Record                            struct{ RequestID, Status string }
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if len(e.RequestID+e.Record.RequestID) != 36 {
			t.Errorf("no request id: %s", line)
		}
		if m, ok := e.Message.(map[string]any); ok {
			e.Message = m["errorMessage"]
		}
		message, _ := e.Message.(string)
		got = append(got, strings.Join([]string{e.Type, e.Level, e.ErrorType, e.Record.Status, strings.SplitAfter(message, "TypeError: e")[0]}, "|"))
	}
	want := []string{"platform.start||||", "|INFO|||one\ntwo { a: 1 }", "|WARN|||{ x: 1n }", "|ERROR|TypeError||failed: TypeError: e", "|ERROR|||boom", "platform.report|||error|"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLoggingConfigRefused(t *testing.T) {
	for config, want := range map[string]string{
		`{"LogFormat":"XML"}`:                                   "enum value set: [JSON, Text]",
		`{"LogFormat":"JSON","SystemLogLevel":"FATAL"}`:         "loggingConfig.systemLogLevel",
		`{"LogFormat":"Text","ApplicationLogLevel":"INFO"}`:     "need the LogFormat JSON",
		`{"LogFormat":"JSON","ApplicationLogLevel":"CRITICAL"}`: "enum value set: [TRACE, DEBUG, INFO, WARN, ERROR, FATAL]",
	} {
		if err := checkLogging(json.RawMessage(config)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", config, err)
		}
	}
}

// TestSyntaxErrorOfModule shows where it is.
func TestSyntaxErrorOfModule(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.create("m", map[string]string{"index.mjs": "import fs from 'fs';\nexport const handler = async () => {\n  const x = ;\n};\n"}) // a name of one character
	_, body, _ := f.invoke("m", `{}`)
	if !strings.Contains(body, `index.mjs:3","  const x = ;","            ^"`) {
		t.Errorf("%s", body)
	}
}

// TestSettingsThatAreNeverSet has what tools read of a function besides what
// Tidegate has.
func TestSettingsThatAreNeverSet(t *testing.T) {
	f := newFixture(t)
	f.create("fn", map[string]string{"index.js": "exports.handler = async () => 1;"})
	for path, want := range map[string]string{
		"/2016-08-19/account-settings":                                 `"FunctionCount":1`,
		"/2015-03-31/event-source-mappings/":                           `{"EventSourceMappings":[]}`,
		"/2015-03-31/event-source-mappings/?FunctionName=fn":           `{"EventSourceMappings":[]}`,
		"/2015-03-31/event-source-mappings/?FunctionName=none":         "Function not found",
		"/2021-10-31/functions/fn/urls":                                `{"FunctionUrlConfigs":[]}`,
		"/2021-10-31/functions/fn/url":                                 "does not exist",
		"/2019-09-30/functions/fn/provisioned-concurrency?List=ALL":    `{"ProvisionedConcurrencyConfigs":[]}`,
		"/2019-09-30/functions/fn/provisioned-concurrency?Qualifier=1": "not found",
		"/2020-06-30/functions/fn/code-signing-config":                 `{"FunctionName":"fn"}`,
		"/2021-07-20/functions/fn/runtime-management-config":           `"UpdateRuntimeOn":"Auto"`,
		"/2024-08-31/functions/fn/recursion-config":                    `{"RecursiveLoop":"Terminate"}`,
	} {
		_, body, _ := f.raw(http.MethodGet, path, nil)
		if !strings.Contains(string(body), want) {
			t.Errorf("%s: %s", path, body)
		}
	}
}
