package conformance

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"tidegate/tidegatetest"
)

// head is a header that is in order.
const head = `id: WS-02-001
title: It is so.
source: https://docs.aws.amazon.com/
confidence: doc
status: supported
`

// mockAPI is an API whose $default says heard, and whose function is chat.
const mockAPI = `
api
  integrations:
    fixed: {integrationType: MOCK, says: heard}
    web: HTTP_PROXY
  routes:
    $default: {target: fixed, routeResponse: true}
    web: {target: web, routeResponse: true}

`

// TestGrammarErrors: what can't be understood names its file and line.
func TestGrammarErrors(t *testing.T) {
	for text, want := range map[string]string{
		"id: WS-02-001\ntitle: x\n\nalice connects\n":                           "x.txt:1: the header lacks source",
		strings.Replace(head, "doc\n", "sure\n", 1) + "\nalice connects\n":      `x.txt:1: confidence is doc, observed or guess, not "sure"`,
		strings.Replace(head, "supported", "missing", 1) + "\nalice connects\n": "x.txt:1: status missing says why",
		strings.Replace(head, "WS-02-001", "WS-2", 1) + "\nalice connects\n":    "x.txt:1: an id looks like WS-02-017",
		head + "colour: red\n\nalice connects\n":                                "x.txt:6: the header has id, title",
		head + "needs: luck\n\nalice connects\n":                                "x.txt:1: needs is some of",
		head:                                                                    "x.txt:6: a script has steps",
		head + "\nalice jumps\n":                                                `x.txt:7: "alice jumps" is no step`,
		head + "\n  alice connects\n":                                           "x.txt:7: \"alice connects\" is indented",
		head + "\nalice receives\n":                                             "x.txt:7: what alice receives stands behind receives, or below it",
		head + mockAPI + "web sends x\n":                                        "x.txt:15: web is a backend of the api section",
		head + mockAPI + "other throws X: y\n":                                  `x.txt:15: "other throws X: y" is no step`,
		head + "\napi\n  routes:\n    a: nowhere\n\nalice connects\n":           `x.txt:8: api: route a: there is no integration "nowhere"`,
		head + "\napi\n  integrations:\n    a: LAMBDA\n\nalice connects\n":      "x.txt:8: api: integrations: a: integrationType is AWS",
		head + "\napi\n  routes: {a\n\nalice connects\n":                        "x.txt:8: api: ",
		head + "\nalice vanishes\n  now\n":                                      `x.txt:7: "CLIENT vanishes" takes no lines below it`,
	} {
		_, err := parseScript("x.txt", text)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("of\n%s\ngot  %v\nwant %s", text, err, want)
		}
	}
}

// TestScriptFiles: a script lies where its id says, and its id is its own.
func TestScriptFiles(t *testing.T) {
	good := &fstest.MapFile{Data: []byte(head + "\nalice connects\n")}
	for _, test := range []struct {
		files fstest.MapFS
		want  string
	}{
		{fstest.MapFS{"scripts/02-routing/a.txt": good}, ""},
		{fstest.MapFS{"scripts/02-routing/a.txt": good, "scripts/02-routing/b.txt": good}, "scripts/02-routing/b.txt:1: id WS-02-001 is scripts/02-routing/a.txt's already"},
		{fstest.MapFS{"scripts/03-integrations/a.txt": good}, "scripts/03-integrations/a.txt:1: id WS-02-001 does not belong to topic 03"},
		{fstest.MapFS{"scripts/02-routing/A.md": good}, "scripts/02-routing/A.md:1: a script's path is NN-topic"},
	} {
		_, err := loadScripts(test.files, "scripts")
		if got := fmt.Sprint(err); (test.want == "") != (err == nil) || !strings.HasPrefix(got, test.want) && test.want != "" {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}

// TestWrongExpectations: a script that says what isn't so fails, at its line,
// with what was wanted and what came.
func TestWrongExpectations(t *testing.T) {
	backends, err := serveBackends("127.0.0.1:0", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(backends.close)
	target := inProcess(t, tidegatetest.Options{IAM: "enforce"}, backends)
	for steps, want := range map[string]string{
		"alice connects\nalice sends x\nalice receives herd\n":    "x.txt:17: alice receives herd\n    want  herd\n    got   heard",
		"alice connects\nalice sends x\nalice receives nothing\n": "x.txt:17: alice receives nothing\n    want  (nothing)\n    got   heard",
		"alice connects\nalice sends x\nalice is closed 1000\n":   "x.txt:17: alice is closed 1000\n    want  (close frame) 1000\n    got   heard",
		"alice connects to /nowhere\n":                            "x.txt:15: alice connects to /nowhere\n  handshake\n    want  101\n    got   403",
		"alice tries to connect to /nowhere\n":                    "x.txt: the script ends with alice's handshake",
		"alice tries to connect\nalice is refused 403\n":          "x.txt:16: alice is refused 403\n  status\n    want  403\n    got   101",
		"alice sends x\n":                       "x.txt:15: alice sends x\n    alice has not connected",
		"alice connects\nalice sends <bob>\n":   "x.txt:16: alice sends <bob>\n    <bob> stands for nothing here",
		"caller posts to AAAAAAAAAAAAAAA=: x\n": "x.txt:15: caller posts to AAAAAAAAAAAAAAA=: x\n  status\n    want  2xx",
		"operator sends GET /v2/apis/<apiId>\noperator is answered 200 {name: other}\n": "x.txt:16: operator is answered 200 {name: other}\n  name\n    want  \"other\"\n    got   \"conformance WS-02-001\"",
		"alice connects\nalice sends {\"action\":\"web\"}\nweb receives GET /\n":        "x.txt:17: web receives GET /\n    want  GET /\n    got   POST /",
		"alice connects\nalice sends {\"action\":\"web\"}\nweb receives\n  X-None: a\n": "x.txt:17: web receives\n  X-None\n    want  a\n    got   (no such header)",
		"clock advances 1s\n": "x.txt:15: clock advances 1s\n    this target's clock can't be moved",
	} {
		s, err := parseScript("x.txt", head+mockAPI+steps)
		if err != nil {
			t.Errorf("of\n%s%v", steps, err)
			continue
		}
		err = play(t.Context(), target, backends, &relays{target: target, backends: backends}, s)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("of\n%sgot  %v\nwant %s", steps, err, want)
		}
	}
}

// A ruling is a testing.TB that keeps what it is told.
type ruling struct {
	testing.TB
	failed, told string
}

func (r *ruling) Helper()                           {}
func (r *ruling) Errorf(format string, args ...any) { r.failed = fmt.Sprintf(format, args...) }
func (r *ruling) Logf(format string, args ...any)   { r.told = fmt.Sprintf(format, args...) }

// TestStatus: what a status promises is held.
func TestStatus(t *testing.T) {
	wrong := &failure{file: "a.txt", step: &step{line: 9, text: "alice receives x"}}
	for _, test := range []struct {
		status       string
		err          error
		failed, told string
	}{
		{"supported", nil, "", ""},
		{"supported", wrong, "a.txt:9: alice receives x", ""},
		{"missing", wrong, "", "as it should be"},
		{"missing", nil, "its status is supported, no longer missing", ""},
		{"open", wrong, "", "differs here"},
		{"open", nil, "", "holds here"},
	} {
		r := &ruling{TB: t}
		judge(r, &script{id: "WS-02-001", file: "a.txt", status: test.status}, test.err)
		if (r.failed == "") != (test.failed == "") || !strings.Contains(r.failed, test.failed) || !strings.Contains(r.told, test.told) {
			t.Errorf("%s, %v: failed %q, told %q", test.status, test.err, r.failed, r.told)
		}
	}
}

// FuzzScript: whatever a script says, it is understood or refused with its line.
func FuzzScript(f *testing.F) {
	f.Add(head + mockAPI + "alice connects with ?a=b\n  X-A: b\nalice sends x\nweb receives POST /\n  no X-B\n\n  body\n")
	f.Add(head + "\napi\n  models: {a: {schema: {type: object}}}\n  stage: none\n\noperator sends GET /v2/apis {a: [1]}\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseScript("x.txt", text)
		if err != nil && !strings.HasPrefix(err.Error(), "x.txt:") {
			t.Errorf("an error without its line: %v", err)
		}
		if err == nil && len(s.steps) == 0 && s.status != "missing" {
			t.Error("a script without steps was taken")
		}
	})
}

// FuzzMatch: a text without placeholders matches itself and nothing else.
func FuzzMatch(f *testing.F) {
	f.Add("a.b", "axb")
	f.Add("<any>", "x")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		found, err := (values{}).matchText(pattern, text)
		if placeholder.MatchString(pattern) || err != nil {
			return
		}
		if (len(found) == 0) != (pattern == text) {
			t.Errorf("%q of %q: %v", pattern, text, found)
		}
	})
}
