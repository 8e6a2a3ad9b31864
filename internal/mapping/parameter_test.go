package mapping

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tidegate/internal/apigw"
	"tidegate/internal/event"
)

var declared = map[string]apigw.ParameterConstraint{
	"route.request.querystring.token": {},
	"route.request.header.X-Room":     {},
}

func TestParameters(t *testing.T) {
	in := &Input{
		Context: &event.Context{
			ConnectionID:   "PJqB0fHsqRcCHlw=",
			StageVariables: map[string]string{"table": "rooms"},
		},
		Connect: &event.ConnectRequest{
			Header: []event.Field{{Name: "x-room", Value: "a"}, {Name: "X-Room", Value: "b"}},
			Query:  []event.Field{{Name: "token", Value: "1"}, {Name: "Token", Value: "2"}, {Name: "token", Value: ""}},
		},
		Body: []byte(`{"user":{"id":7},"list":["x"],'lenient':yes}`),
	}
	for _, c := range []struct {
		value string
		want  []string // one for each parameter that is built
	}{
		{"'static text'", []string{"static text"}},
		{"''", []string{""}},
		{"'it's'", []string{"it's"}},
		{"context.connectionId", []string{"PJqB0fHsqRcCHlw="}},
		{"context.authorizer.sub", nil},
		{"stageVariables.table", []string{"rooms"}},
		{"stageVariables.none", nil},
		{"route.request.header.X-Room", []string{"b"}},
		{"route.request.multivalueheader.X-Room", []string{"a", "b"}},
		{"route.request.querystring.token", []string{""}},
		{"route.request.multivaluequerystring.token", []string{"1", ""}},
		{"route.request.body.user.id", []string{"7"}},
		{"route.request.body['list'][0]", []string{"x"}},
		{"route.request.body.list", []string{"[x]"}},
		{"route.request.body.lenient", []string{"yes"}},
		{"route.request.body.none", nil},
		{"route.request.body", []string{string(in.Body)}},
	} {
		p, err := CompileParameters(map[string]string{"integration.request.header.N": c.value}, declared)
		if err != nil {
			t.Errorf("%s: %v", c.value, err)
			continue
		}
		var got []string
		for _, parameter := range p.Build(in) {
			if parameter.Location != event.InHeader || parameter.Name != "N" {
				t.Errorf("%s is built as %+v", c.value, parameter)
			}
			got = append(got, parameter.Value)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.value, diff)
		}
	}
}

func TestParametersWithoutTheirSource(t *testing.T) {
	p, err := CompileParameters(map[string]string{
		"integration.request.header.A": "route.request.header.X-Room",
		"integration.request.header.B": "route.request.multivaluequerystring.token",
		"integration.request.header.C": "context.stage",
		"integration.request.header.D": "stageVariables.x",
		"integration.request.header.E": "route.request.body.x",
		"integration.request.header.F": "route.request.body",
		"integration.request.header.G": "'g'",
	}, declared)
	if err != nil {
		t.Fatal(err)
	}
	want := []event.Parameter{{Location: event.InHeader, Name: "G", Value: "g"}}
	if diff := cmp.Diff(want, p.Build(&Input{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := (*Parameters)(nil).Build(&Input{}); got != nil {
		t.Errorf("no parameters build %v", got)
	}
}

func TestParameterLocations(t *testing.T) {
	p, err := CompileParameters(map[string]string{
		"integration.request.querystring.q":                "'2'",
		"integration.request.path.p":                       "'3'",
		"integration.request.header.Sec-WebSocket-Version": "'0'",
		"integration.request.header.Host":                  "'example.org'",
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []event.Parameter{
		{Location: event.InHeader, Name: "Host", Value: "example.org"},
		{Location: event.InHeader, Name: "Sec-WebSocket-Version", Value: "0"},
		{Location: event.InPath, Name: "p", Value: "3"},
		{Location: event.InQuery, Name: "q", Value: "2"},
	}
	if diff := cmp.Diff(want, p.Build(&Input{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCompileParametersRefuses(t *testing.T) {
	const header = "integration.request.header.X"
	for _, c := range []struct{ key, value, want string }{
		{"X", "'v'", "begins with none of"},
		{"method.request.header.X", "'v'", "begins with none of"},
		{"integration.request.header.", "'v'", "begins with none of"},
		{"integration.request.header.a b", "'v'", `name "a b" has characters`},
		{"integration.request.header.Content-Length", "'1'", "can't be mapped"},
		{"integration.request.header.transfer-encoding", "'chunked'", "can't be mapped"},
		{header, "", "is neither"},
		{header, "'", "is neither"},
		{header, "static", "is neither"},
		{header, "$context.connectionId", "is neither"},
		{header, "method.request.header.X", "is neither"},
		{header, "route.request.path.X", "is neither"},
		{header, "route.request.bodyx", "is neither"},
		{header, "context.", "characters other than"},
		{header, "context.nope", `no context variable "nope"`},
		{header, "stageVariables.a b", "characters other than"},
		{header, "route.request.header.Other", `does not declare "route.request.header.Other"`},
		{header, "route.request.multivaluequerystring.other", `does not declare "route.request.querystring.other"`},
		{header, "route.request.body..x", "deep scans"},
		{"integration.request.path.p", "route.request.multivalueheader.X-Room", "one value"},
	} {
		_, err := CompileParameters(map[string]string{c.key: c.value}, declared)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.key) {
			t.Errorf("%s from %q: %v, want an error with the key and %q", c.key, c.value, err, c.want)
		}
	}
}

func TestMissing(t *testing.T) {
	r := &event.ConnectRequest{
		Header: []event.Field{{Name: "x-there", Value: "1"}, {Name: "X-Blank", Value: " "}},
		Query:  []event.Field{{Name: "there", Value: "1"}, {Name: "empty", Value: ""}},
	}
	got := Missing(map[string]apigw.ParameterConstraint{
		"route.request.header.X-There":      {Required: true},
		"route.request.header.X-Blank":      {Required: true},
		"route.request.header.X-None":       {Required: true},
		"route.request.header.X-Other":      {},
		"route.request.querystring.there":   {Required: true},
		"route.request.querystring.There":   {Required: true},
		"route.request.querystring.empty":   {Required: true},
		"route.request.querystring.whoever": {Required: false},
	}, r)
	want := []string{
		"route.request.header.X-Blank", "route.request.header.X-None",
		"route.request.querystring.There", "route.request.querystring.empty",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := Missing(nil, r); got != nil {
		t.Errorf("nothing declared, yet %v is missing", got)
	}
}

// FuzzCompileParameters checks that what compiles builds without a panic, and
// that the name survives.
func FuzzCompileParameters(f *testing.F) {
	f.Add("integration.request.header.X", "route.request.body.a[0]['b']", `{"a":[{"b":1}]}`)
	f.Add("integration.request.path.X", "'x'", "")
	f.Add("integration.request.querystring.X", "route.request.multivalueheader.X-Room", "x")
	f.Fuzz(func(t *testing.T, key, value, body string) {
		p, err := CompileParameters(map[string]string{key: value}, declared)
		if err != nil {
			return
		}
		for _, parameter := range p.Build(&Input{Context: &event.Context{}, Connect: &event.ConnectRequest{}, Body: []byte(body)}) {
			if want := "integration.request." + parameter.Location.String() + "." + parameter.Name; want != key {
				t.Fatalf("%q builds %q", key, want)
			}
		}
	})
}

func BenchmarkBuild(b *testing.B) {
	p, err := CompileParameters(map[string]string{
		"integration.request.header.connectionId": "context.connectionId",
		"integration.request.header.action":       "route.request.body.action",
	}, nil)
	if err != nil {
		b.Fatal(err)
	}
	in := &Input{Context: &event.Context{ConnectionID: "PJqB0fHsqRcCHlw="}, Body: []byte(`{"action":"sendmessage","data":"hello"}`)}
	b.ReportAllocs()
	for b.Loop() {
		p.Build(in)
	}
}
