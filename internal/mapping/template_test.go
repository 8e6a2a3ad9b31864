package mapping

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/event"
	"tidegate/vtl"
)

func TestConstantTemplate(t *testing.T) {
	for _, text := range []string{"", `{"statusCode": 200}`, "text\n", strings.Repeat("x", apigw.MaxTemplate)} {
		template, err := CompileTemplate(`request template "$default"`, text)
		if err != nil {
			t.Errorf("%.40q: %v", text, err)
			continue
		}
		if got, err := template.Build(&Input{}); err != nil || string(got) != text || !template.Constant() {
			t.Errorf("%.40q builds %.40q, %v", text, got, err)
		}
	}
}

func TestCompileTemplateRefuses(t *testing.T) {
	const where = `request template "200" of integration abc`
	for text, want := range map[string]string{
		"a\n#if($x)":                             "line 2, column 1: #if isn't closed by #end",
		strings.Repeat("x", apigw.MaxTemplate+1): "at most",
	} {
		_, err := CompileTemplate(where, text)
		if err == nil || !strings.HasPrefix(err.Error(), where) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

func TestTemplateVariables(t *testing.T) {
	in := &Input{
		Context: &event.Context{
			APIID: "abc", Stage: "dev", ConnectionID: "id=", RouteKey: "$connect", EventType: event.TypeConnect,
			ConnectedAt: time.UnixMilli(1700000000000), RequestTime: time.UnixMilli(1700000000123),
			StageVariables: map[string]string{"table": "t1", "a-b": "dash"},
			Identity:       event.Identity{SourceIP: "10.0.0.1"},
		},
		Connect: &event.ConnectRequest{
			Header: []event.Field{{Name: "X-Token", Value: "h"}, {Name: "Host", Value: "x"}},
			Query:  []event.Field{{Name: "token", Value: "q1"}, {Name: "token", Value: "q2"}},
		},
		Body: []byte(`{"action": "send", "n": 5, "big": 12345678901234567890, "f": 1.50, "items": [{"id": 1, "u": "a/b"}, {"id": 2}], "o": {"k": "v"}, "q": "say \"hi\"", "z": null}`),
	}
	for text, want := range map[string]string{
		"$input.body.length()":                                 "158",
		"$input.json('$.q')":                                   `"say \"hi\""`,
		"$input.json('$.items[0]')":                            `{"id":1,"u":"a/b"}`,
		"$input.json('$.none')":                                `""`,
		"$input.json('$.z')":                                   "null",
		"$input.json('$.f') $input.path('$.f')":                "1.50 1.5",
		"$input.path('$.o')":                                   "{k=v}",
		"$input.path('$.items')":                               `[{"id":1,"u":"a\/b"},{"id":2}]`,
		"$input.path('$')":                                     `{action=send, n=5, big=12345678901234567890, f=1.5, items=[{"id":1,"u":"a\/b"},{"id":2}], o={k=v}, q=say "hi", z=null}`,
		"[$input.path('$.none')]":                              "[]",
		"$input.path('$..id')":                                 "[1,2]",
		"$input.path('$.items[?(@.id > 1)]')":                  `[{"id":2}]`,
		"#set($r = $input.path('$'))$r.n $r.items.size()":      "5 2",
		"#foreach($i in $input.path('$.items'))$i.id,#end":     "1,2,",
		"#set($x = $input.path('$.n') + 1)$x":                  "6",
		"$input.params('token') $input.params('x-token')":      "q2 h",
		"$input.params().querystring.token":                    "q2",
		"$input.params().header.get('X-Token')":                "h",
		"[$input.params('none')]":                              "[]",
		"$context.connectionId $context.identity.sourceIp":     "id= 10.0.0.1",
		"[$context.none][$context.authorizer.x.y]":             "[][]",
		"#set($t = $context.requestTimeEpoch + 1)$t":           "1700000000124",
		"$context.identity":                                    "{sourceIp=10.0.0.1}",
		"$stageVariables.table ${stageVariables['a-b']}":       "t1 dash",
		"$stageVariables.keySet()":                             "[a-b, table]",
		"$util.escapeJavaScript($input.path('$.q'))":           `say \"hi\"`,
		`$util.escapeJavaScript("it's a/b é")`:                 `it\'s a\/b \u00E9`,
		"$util.urlEncode('a b&c/ü~*') $util.urlDecode('a+b')":  "a+b%26c%2F%C3%BC%7E* a b",
		"$util.base64Encode('hi') $util.base64Decode('aGk=')":  "aGk= hi",
		"#set($j = $util.parseJson('{\"a\": [1, 2]}'))$j.a[1]": "2",
		"$none $util.none('x')":                                "$none $util.none('x')",
	} {
		template, err := CompileTemplate("t", text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := template.Build(in); err != nil || string(got) != want {
			t.Errorf("%s:\n got %s, %v\nwant %s", text, got, err, want)
		}
	}
	for _, text := range []string{"$util.parseJson('x y')", "$input.json('$.')", "$util.base64Decode('*')"} {
		template, err := CompileTemplate(`request template "x"`, text)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := template.Build(in); err == nil || !strings.HasPrefix(err.Error(), `request template "x": `) {
			t.Errorf("%s: %s, %v", text, out, err)
		}
	}
}

// TestChangedObjects holds that what a template changes in the body's objects is
// seen wherever they are, and that objects serve where maps do.
func TestChangedObjects(t *testing.T) {
	many := `{"m":0`
	for i := range 40 {
		many += fmt.Sprintf(`,"m%d":%d`, i, i+1)
	}
	in := func() *Input {
		return &Input{Body: []byte(`{"o": {"k": "v", "l": [1]}, "n": null, "m": ` + many + `}}`), Context: &event.Context{Stage: "dev", StageVariables: map[string]string{"s": "t"}}}
	}
	for text, want := range map[string]string{
		"#set($x = $b.o.l.add(2))$b.o.l $b":                                           `[1,2] {o={k=v, l=[1,2]}, n=null, m=` + strings.NewReplacer(`"`, "", ":", "=", ",", ", ").Replace(many) + "}}",
		"#set($o = $b.o)#set($x = $o.put('k', 'w'))$b.o.k $b.o":                       "w {k=w, l=[1]}",
		"#set($b.o.k = 'w')#set($b.o['new'] = 1)$b.o.k $b.o.new":                      "w 1",
		"#set($b.o = 'gone')$b.o $b.o.k":                                              "gone $b.o.k",
		"#set($x = $b.o.remove('k'))$b.o $b.o.k":                                      "{l=[1]} $b.o.k",
		"$b.m.m0 $b.m.m39 $b.m.size() $b.m.none":                                      "1 40 41 $b.m.none",
		"$b.n $b.containsKey('n') $!b.n":                                              "$b.n true ",
		"#set($m = {})#set($x = $m.putAll($b.o))$m":                                   "{k=v, l=[1]}",
		"#if($b.o == $input.path('$.o'))same#end":                                     "same",
		"#set($x = $input.path('$.o.l').add(2))$b.o.l":                                "[1]",
		"#set($m = {$b.o: 1})$m.get($b.o) $m.get($input.path('$.o'))":                 "1 1",
		"#foreach($v in $b.o)$v;#end #foreach($e in $b.o.entrySet())$e.key#end":       "v;[1]; kl",
		"#set($context.z = 1)$context.z $context.stage":                               "1 dev",
		"#set($x = $stageVariables.put('z', 1))$stageVariables.z $stageVariables.s":   "1 t",
		"$util.escapeJavaScript($b.o) $util.parseJson('{\"a\": {\"b\": [1.0]}}').a.b": `{k=v, l=[1]} [1.0]`,
	} {
		template, err := CompileTemplate("t", "#set($b = $input.path('$'))"+text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		for range 2 { // nothing of one message is seen by the next
			if got, err := template.Build(in()); err != nil || string(got) != want {
				t.Errorf("%s:\n got %s, %v\nwant %s", text, got, err, want)
			}
		}
	}
}

// TestTemplateLimits holds that no template takes more than its share of time and
// room by what $input and $util do.
func TestTemplateLimits(t *testing.T) {
	in := &Input{Body: []byte(`{"a":[` + strings.Repeat(`{"b":[1,2,3]},`, 200) + `1],"t":"` + strings.Repeat("x", 100_000) + `"}`)}
	for _, text := range []string{
		"#set($s = 'x')#foreach($i in [1..999])#set($s = $util.base64Encode($s))#end",
		"#set($s = '/')#foreach($i in [1..999])#set($s = $util.escapeJavaScript($s))#end",
		"#foreach($i in [1..999])#foreach($j in [1..999])$input.path('$..none')#end#end",
		"#foreach($i in [1..999])#foreach($j in [1..999])#set($x = $input.path('$.a'))#end#end",
		"#foreach($i in [1..999])#foreach($j in [1..999])#set($x = $util.parseJson($input.body))#end#end",
		"#foreach($i in [1..999])$input.json('$')#end",
	} {
		template, err := CompileTemplate("t", text)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := template.Build(in); !errors.Is(err, vtl.ErrLimit) {
			t.Errorf("%s: %d bytes, %v", text, len(out), err)
		}
	}
}

// TestVectors runs the cases of others' making that lie outside the repository.
func TestVectors(t *testing.T) {
	dir := os.Getenv("TIDEGATE_VECTORS")
	if dir == "" {
		t.Skip("TIDEGATE_VECTORS names no folder with vectors of others' making")
	}
	text, err := os.ReadFile(filepath.Join(dir, "vtl-localstack.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Template  string
		Variables struct{ Input struct{ Body string } }
		Expected  any
		Util      string
		Args      []any
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, c := range cases {
		want, isText := c.Expected.(string)
		switch {
		case c.Util != "" && len(c.Args) == 1 && isText && c.Util != "parseJson":
			if c.Args[0] == "it's" {
				continue // AWS's page says that a single quote is escaped
			}
			arg := c.Args[0]
			if f, ok := arg.(float64); ok {
				arg = int64(f)
			}
			if got, _, err := (util{}).Call(c.Util, []any{arg}); err != nil || vtl.Print(got) != want {
				t.Errorf("%s(%v): %v, %v, want %s", c.Util, arg, got, err, want)
			}
		case c.Template != "" && isText:
			template, err := CompileTemplate("t", c.Template)
			if err != nil {
				t.Errorf("%s: %v", c.Template, err)
				continue
			}
			got, err := template.Build(&Input{Body: []byte(c.Variables.Input.Body)})
			if err != nil || string(got) != want {
				t.Errorf("%s: %s, %v, want %s", c.Template, got, err, want)
			}
		default:
			continue
		}
		ran++
	}
	if ran < 15 {
		t.Errorf("only %d cases ran", ran)
	}
}

func TestSubstituteStageVariables(t *testing.T) {
	vars := map[string]string{"host": "example.org", "fn": "chat", "loop": "${stageVariables.host}"}
	for uri, want := range map[string]string{
		"https://example.org/": "https://example.org/",
		"https://${stageVariables.host}/a/${stageVariables.fn}?b=1": "https://example.org/a/chat?b=1",
		"${stageVariables.none}x":                                   "x",
		"${stageVariables.loop}":                                    "${stageVariables.host}",
		"${stageVariables.host":                                     "${stageVariables.host",
		"a${stageVariables.fn}b${stageVariables.fn":                 "achatb${stageVariables.fn",
		"${context.stage}":                                          "${context.stage}",
	} {
		if got := SubstituteStageVariables(uri, vars); got != want {
			t.Errorf("%q becomes %q, want %q", uri, got, want)
		}
	}
}

// storing is a template of 1 KB and a message of 256 bytes, of which it makes an
// item for DynamoDB, as in AWS's examples.
func storing(b testing.TB) (*Template, *Input) {
	b.Helper()
	text := `## stores a message with what is known of its sender
#set($body = $input.path('$'))
#set($limit = 10)
{
  "TableName": "$stageVariables.table",
  "Item": {
    "id": { "S": "$context.requestId" },
    "connection": { "S": "$context.connectionId" },
    "source": { "S": "$context.identity.sourceIp" },
    "route": { "S": "$context.routeKey" },
    "stage": { "S": "$context.stage" },
    "at": { "N": "$context.requestTimeEpoch" },
    "room": { "S": "$util.escapeJavaScript($body.room)" },
    "text": { "S": "$util.escapeJavaScript($body.text)" },
    "raw": { "S": "$util.base64Encode($input.body)" },
#if($body.urgent == true && $body.tags.size() < $limit)
    "priority": { "N": "1" },
#else
    "priority": { "N": "0" },
#end
    "tags": { "L": [
#foreach($tag in $body.tags)
      { "S": "$util.escapeJavaScript($tag)" }#if($foreach.hasNext),#end

#end
    ] },
    "author": $input.json('$.author')
  },
  "ConditionExpression": "attribute_not_exists(id)",
  "ReturnValues": "NONE"
}
`
	text += "## " + strings.Repeat("-", 1024-len(text)-3)
	body := `{"action":"store","room":"lobby","urgent":true,"tags":["a","bb","ccc"],"author":{"name":"Ann","level":7},"text":"`
	body += strings.Repeat("hello you ", 26)[:256-len(body)-2] + `"}`
	if len(text) != 1024 || len(body) != 256 {
		b.Fatal(len(text), len(body))
	}
	template, err := CompileTemplate("t", text)
	if err != nil {
		b.Fatal(err)
	}
	return template, &Input{
		Context: &event.Context{
			APIID: "abc", Stage: "dev", ConnectionID: "PJqB0fHsqRcCHlw=", RequestID: "PJqB1GwZqRcFX-Q=", RouteKey: "store", EventType: event.TypeMessage,
			RequestTime: time.UnixMilli(1700000000123), StageVariables: map[string]string{"table": "messages"}, Identity: event.Identity{SourceIP: "10.0.0.1"},
		},
		Body: []byte(body),
	}
}

// TestTemplateAllocations bounds what a message's template leaves to collect.
func TestTemplateAllocations(t *testing.T) {
	template, in := storing(t)
	if n := testing.AllocsPerRun(100, func() { _, _ = template.Build(in) }); n > 20 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkTemplate(b *testing.B) {
	template, in := storing(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := template.Build(in); err != nil {
			b.Fatal(err)
		}
	}
}
