package selection

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

// request is a Source; absent values are empty.
type request struct {
	body                               string
	headers, query, context, stageVars map[string]string
}

func (r *request) Body() []byte                     { return []byte(r.body) }
func (r *request) Header(name string) string        { return r.headers[strings.ToLower(name)] }
func (r *request) Query(name string) string         { return r.query[name] }
func (r *request) Context(name string) string       { return r.context[name] }
func (r *request) StageVariable(name string) string { return r.stageVars[name] }

// response is a ResponseSource, mapped is a BasePathSource.
type response struct {
	request
	status int
	answer string
	header map[string][]string
}

func (r *response) StatusCode() int                     { return r.status }
func (r *response) ResponseBody() []byte                { return []byte(r.answer) }
func (r *response) ResponseHeader(name string) []string { return r.header[strings.ToLower(name)] }

type mapped struct{ request }

func (*mapped) BasePath() string { return "chat" }

// TestRouteSelection has AWS's examples and what was seen on AWS.
func TestRouteSelection(t *testing.T) {
	const chat = `{"service":"chat","action":"join"}`
	for _, c := range []struct{ expr, body, want string }{
		{"$request.body.action", chat, "join"},
		{"${request.body.action}", chat, "join"},
		{"${request.body.service}/${request.body.action}", chat, "chat/join"},
		{"$request.body.service/$request.body.action", chat, "chat/join"},
		{"${request.body.action}-${request.body.invalidPath}", chat, "join-"},
		{"$request.body.service-$request.body.action", chat, "join"}, // "service-" is a name
		{"action", chat, "action"},
		{"request.body.action", chat, "request.body.action"},
		{`\$default`, chat, "$default"},
		{`a\b\\$c`, chat, `a\b\$c`},
		{"$request.body.service.do", `{"service":{"do":"x"}}`, "x"},
		{"$request.body.a", `{"a":["x","y"]}`, "[x, y]"},
		{"$request.body.a[0]", `{"a":["x","y"]}`, "x"},
		{"$request.body.a[-1].", `{"a":["x","y"]}`, "y."},
		{"$request.body['a.b']", `{"a.b":"x"}`, "x"},
		{"${request.body['a}b']}", `{"a}b":"x"}`, "x"},
		{`${request.body['it\'s']}!`, `{"it's":"x"}`, "x!"},
		{"$request.body.action", `{"action":1}`, "1"},
		{"$request.body.action", `{"action":true}`, "true"},
		{"$request.body.action", `{"action":null}`, ""},
		{"$request.body.action", `{"action":{"k":1}}`, "{k=1}"},
		{"$request.body.action", `{"action":"sendMessage", body:"hello"}`, "sendMessage"},
		{"$request.body.action", `"join"`, ""},
		{"$request.body.x-y_z", `{"x-y_z":"k"}`, "k"},
		{"($request.body.action)", chat, "(join)"},
		{"$request.body.é", `{"é":"k"}`, "k"},
		{"$request.body", `"join"`, "join"},
	} {
		e, err := Parse(RouteSelection, c.expr)
		if err != nil {
			t.Errorf("Parse(%q): %v", c.expr, err)
			continue
		}
		got, err := e.Append([]byte("dst:"), &request{body: c.body})
		if err != nil || string(got) != "dst:"+c.want {
			t.Errorf("%q of %s = %q, %v; want %q", c.expr, c.body, got, err, c.want)
		}
	}
}

func TestAppendNotJSON(t *testing.T) {
	e, err := Parse(RouteSelection, "x${request.body.action}")
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{"", "hello", `{"action":"join"`} {
		got, err := e.Append([]byte("dst:"), &request{body: body})
		if !errors.Is(err, ErrNotJSON) || string(got) != "dst:" {
			t.Errorf("%q: %q, %v; want dst as it was and ErrNotJSON", body, got, err)
		}
	}
	constant, err := Parse(RouteSelection, "join")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := constant.Append(nil, &request{body: "hello"}); err != nil || string(got) != "join" {
		t.Errorf("a constant of text that isn't JSON: %q, %v", got, err)
	}
}

// TestKinds evaluates an expression of each kind that isn't about the message.
func TestKinds(t *testing.T) {
	src := &response{
		request: request{
			body:    `{"kind":"k"}`,
			headers: map[string]string{"x-api-key": "secret"},
			context: map[string]string{"authorizer.usageIdentifierKey": "usage"},
		},
		status: 404,
		answer: `{"errorMessage":"no such room"}`,
		header: map[string][]string{"x-n": {"1", "2"}},
	}
	for _, c := range []struct {
		kind       Kind
		expr, want string
		src        Source
	}{
		{APIKeySelection, "$request.header.x-api-key", "secret", src},
		{APIKeySelection, "${request.header.X-API-Key}", "secret", src},
		{APIKeySelection, "$context.authorizer.usageIdentifierKey", "usage", src},
		{APIMappingSelection, "$request.basepath", "chat", &mapped{}},
		{ModelSelection, "${request.body.kind}", "k", src},
		{ModelSelection, "action", "action", src},
		{RouteResponseSelection, "$default", "$default", src},
		{RouteResponseSelection, `\$default`, "$default", src},
		{TemplateSelection, "${request.body.kind}", "k", src},
		{TemplateSelection, `\$default`, "$default", src},
		{IntegrationResponseSelection, "${integration.response.statuscode}", "404", src},
		{IntegrationResponseSelection, "${integration.response.body.errorMessage}", "no such room", src},
		{IntegrationResponseSelection, "${integration.response.body.none}", "", src},
		{IntegrationResponseSelection, "${integration.response.body.errorMessage}", "", &response{answer: "<html>"}},
		{ResponseTemplateSelection, "${integration.response.header.X-N}", "2", src},
		{ResponseTemplateSelection, "${integration.response.header.none}", "", src},
		{ResponseTemplateSelection, "${integration.response.multivalueheader.X-N}", "[1, 2]", src},
		{ResponseTemplateSelection, "${integration.response.multivalueheader.none}", "", src},
		{ResponseTemplateSelection, "${request.body.kind}-${integration.response.statuscode}", "k-404", src},
	} {
		e, err := Parse(c.kind, c.expr)
		if err != nil {
			t.Errorf("%v: Parse(%q): %v", c.kind, c.expr, err)
			continue
		}
		if got, err := e.Append(nil, c.src); err != nil || string(got) != c.want {
			t.Errorf("%v: %q = %q, %v; want %q", c.kind, c.expr, got, err, c.want)
		}
	}
}

// TestVariables evaluates those that the grammar has but no kind uses by itself.
func TestVariables(t *testing.T) {
	src := &request{query: map[string]string{"q": "1"}, stageVars: map[string]string{"v": "2"}}
	e, err := parse("$request.querystring.q/$stageVariables.v")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := e.Append(nil, src); err != nil || string(got) != "1/2" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestAppendNeedsItsSource(t *testing.T) {
	for _, c := range []struct {
		kind       Kind
		expr, want string
	}{
		{IntegrationResponseSelection, "${integration.response.statuscode}", "no response"},
		{APIMappingSelection, "$request.basepath", "no base path"},
	} {
		e, err := Parse(c.kind, c.expr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Append(nil, &request{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q of a plain Source: %v, want %q", c.expr, err, c.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct {
		kind       Kind
		expr, want string
	}{
		{RouteSelection, "", "it is empty"},
		{RouteSelection, "$", `write \$`},
		{RouteSelection, "a$ b", `write \$`},
		{RouteSelection, "$default", `no variable "default"`},
		{RouteSelection, "$request", `no variable "request"`},
		{RouteSelection, "$request.bodyx", `no variable "request.bodyx"`},
		{RouteSelection, "${request.body.a", "not closed by }"},
		{RouteSelection, "${request.body['a}", "not closed by }"},
		{RouteSelection, "$request.body['a", "bracket after $ is not closed"},
		{RouteSelection, "${}", `no variable ""`},
		{RouteSelection, "${ request.body.a }", "no variable"},
		{RouteSelection, "${request.body.a${request.body.b}}", "within another"},
		{RouteSelection, "$request.body..a", "deep scans"},
		{RouteSelection, "$request.body.a[?(@.b)]", "filters"},
		{RouteSelection, "$request.body.a.length()", "functions"},
		{RouteSelection, "$request.body.a..", "name is missing"},
		{RouteSelection, "$request.header.x", "can't use request.header; it can use request.body"},
		{RouteSelection, "$stageVariables.x", "can't use stageVariables"},
		{RouteSelection, "$context", "context needs a name"},
		{RouteSelection, "${context.}", "context needs a name"},
		{RouteSelection, "${context.a b}", "context needs a name"},
		{RouteSelection, "\xff", "not UTF-8"},
		{RouteSelection, strings.Repeat("x", MaxExpression+1), "at most 1024"},
		{APIKeySelection, "$request.header.key", "only be $request.header.x-api-key or $context.authorizer.usageIdentifierKey"},
		{APIKeySelection, "key", "only be"},
		{APIKeySelection, "$request.body.key", "can't use request.body"},
		{APIMappingSelection, "$request.basepath/x", "only be $request.basepath"},
		{APIMappingSelection, "$request.basepath.x", "has no parts"},
		{RouteResponseSelection, "default", "only be $default"},
		{RouteResponseSelection, "$request.body.a", "can't use variables"},
		{IntegrationResponseSelection, "$request.body.a", "can't use request.body"},
		{ResponseTemplateSelection, "${integration.response.body.a}", "can't use integration.response.body"},
		{Kind(99), "x", "Kind(99) is no kind"},
	} {
		_, err := Parse(c.kind, c.expr)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: Parse(%.40q) = %v, want an error with %q", c.kind, c.expr, err, c.want)
		}
	}
}

func TestString(t *testing.T) {
	for expr, want := range map[string]string{
		"$request.body.action":     "${request.body.action}",
		"$request.body":            "${request.body}",
		"$request.body['a b'].c/x": "${request.body['a b'].c}/x",
		`\$default`:                `\$default`,
		`x\y`:                      `x\y`,
		"$context.authorizer.k-$request.header.h": "${context.authorizer.k-}${request.header.h}",
		"$request.basepath":                       "${request.basepath}",
	} {
		e, err := parse(expr)
		if err != nil {
			t.Errorf("parse(%q): %v", expr, err)
			continue
		}
		if got := e.String(); got != want {
			t.Errorf("%q prints as %q, want %q", expr, got, want)
		}
	}
}

func TestConstant(t *testing.T) {
	for expr, want := range map[string]string{"action": "action", `\$default`: "$default", `a\$b`: "a$b"} {
		e, err := Parse(TemplateSelection, expr)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := e.Constant(); !ok || got != want {
			t.Errorf("Constant of %q = %q, %v", expr, got, ok)
		}
	}
	for _, expr := range []string{"$request.body.a", "x$request.body.a"} {
		e, err := Parse(TemplateSelection, expr)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := e.Constant(); ok {
			t.Errorf("%q is no constant, but %q", expr, got)
		}
	}
}

// FuzzParse holds Parse and String together, for expressions of every kind,
// and checks that evaluating one never panics.
func FuzzParse(f *testing.F) {
	for _, expr := range []string{
		"$request.body.action", "${request.body.a}/${request.body['b\\'}']}", `\$default`, `\\$x`, "action",
		"$request.header.x-api-key", "$context.authorizer.usageIdentifierKey", "$request.basepath",
		"${integration.response.statuscode}", "${integration.response.multivalueheader.X}", "$request.body.a[*].b[-1]",
	} {
		for kind := RouteSelection; kind <= ResponseTemplateSelection; kind++ {
			f.Add(int(kind), expr, `{"a":[{"b":[1]}]}`)
		}
	}
	f.Fuzz(func(t *testing.T, kind int, expr, body string) {
		e, err := Parse(Kind(kind), expr)
		if err != nil {
			return
		}
		printed := e.String()
		if len(printed) > MaxExpression {
			return // braces and escapes have made it longer than what is read
		}
		again, err := Parse(Kind(kind), printed)
		if err != nil {
			t.Fatalf("%q prints as %q: %v", expr, printed, err)
		}
		if !reflect.DeepEqual(e, again) || again.String() != printed {
			t.Fatalf("%q prints as %q, which is %q", expr, printed, again)
		}
		src := &response{request: request{body: body}, answer: body}
		one, err1 := e.Append(nil, src)
		two, err2 := again.Append(nil, src)
		if string(one) != string(two) || (err1 == nil) != (err2 == nil) {
			t.Fatalf("%q gives %q, %v; printed, %q, %v", expr, one, err1, two, err2)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	src := Source(&bench{[]byte(`{"service":"chat","action":"sendmessage","data":"hello"}`)})
	for _, expr := range []string{"$request.body.action", "${request.body.service}/${request.body.action}", "action"} {
		b.Run(strings.ReplaceAll(expr, "/", "|"), func(b *testing.B) {
			e, err := Parse(RouteSelection, expr)
			if err != nil {
				b.Fatal(err)
			}
			dst := make([]byte, 0, 128)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.Append(dst, src); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// bench is a Source that doesn't allocate.
type bench struct{ body []byte }

func (b *bench) Body() []byte              { return b.body }
func (*bench) Header(string) string        { return "" }
func (*bench) Query(string) string         { return "" }
func (*bench) Context(string) string       { return "" }
func (*bench) StageVariable(string) string { return "" }
