package iampolicy

import (
	"reflect"
	"strings"
	"testing"
)

func mustParse(t testing.TB, name, text string) *Document {
	t.Helper()
	d, err := Parse(name, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestRoundTrip(t *testing.T) {
	for _, text := range []string{
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`,
		`{"Version":"2012-10-17","Id":"x","Statement":[{"Sid":"A","Effect":"Deny","NotAction":["a:B","c:D*"],"NotResource":["arn:aws:s3:::b/${aws:username}/*","*"]}]}`,
		`{"Statement":[{"Effect":"Allow","Principal":{"AWS":["*","000000000000"],"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"aws:SourceAccount":"000000000000"},"ForAnyValue:StringLikeIfExists":{"a:b":["x*","y"],"c:d":"<&>"}}}]}`,
		`{"Statement":[{"Effect":"Allow","NotPrincipal":"*","Action":"sts:AssumeRole"}]}`,
		`{"Statement":[]}`,
	} {
		d := mustParse(t, "p", text)
		if got := d.String(); got != text {
			t.Errorf("String:\n got  %s\n want %s", got, text)
		}
	}
	// What may be one or many, and numbers and booleans as condition values.
	d := mustParse(t, "p", ` {"Version": "2012-10-17", "Statement": {"Effect":"Allow","Action":["s3:GetObject"],"Resource":["*"],"Condition":{"Bool":{"aws:SecureTransport":true},"NumericLessThan":{"s3:max-keys":[10]}}}}`)
	want := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"true"},"NumericLessThan":{"s3:max-keys":"10"}}}]}`
	if got := d.String(); got != want {
		t.Errorf("String:\n got  %s\n want %s", got, want)
	}
}

func TestParseErrors(t *testing.T) {
	allow := func(more string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"a:b","Resource":"*"},{"Sid":"Second","Effect":"Allow",` + more + `}]}`
	}
	for _, c := range []struct {
		text string
		want []string // parts of the error
	}{
		{``, []string{"policy p:", "too early"}},
		{`[]`, []string{"a list"}},
		{`{"Statement":[]} x`, []string{"follows"}},
		{`{"Version":"2012-10-18","Statement":[]}`, []string{`"2012-10-18"`}},
		{`{"Version":"2012-10-17"}`, []string{"no Statement"}},
		{`{"statement":[]}`, []string{`"statement"`, "spelled Statement"}},
		{`{"Statement":[1]}`, []string{"statement 0", "a number"}},
		{`{"Statement":[{"Action":"a:b","Resource":"*"}]}`, []string{"statement 0", "no Effect"}},
		{`{"Statement":[{"Effect":"allow","Action":"a:b","Resource":"*"}]}`, []string{"Effect", `"allow"`}},
		{allow(`"Resource":"*"`), []string{"statement Second", "neither Action nor NotAction"}},
		{allow(`"Action":"a:b","NotAction":"c:d"`), []string{"both Action and NotAction"}},
		{allow(`"Action":"a:b","Resource":"*","NotResource":"*"`), []string{"both Resource"}},
		{allow(`"Action":"a:b","Principal":"*","NotPrincipal":"*"`), []string{"both Principal"}},
		{allow(`"Action":[],"Resource":"*"`), []string{"statement Second: Action", "empty"}},
		{allow(`"Action":"getitem","Resource":"*"`), []string{"Action", `"getitem"`, "service:Operation"}},
		{allow(`"Action":["a:b",3],"Resource":"*"`), []string{"Action", "a number"}},
		{allow(`"Action":"a:b","Resource":"mytable"`), []string{"Resource", `"mytable"`, "ARN"}},
		{allow(`"Action":"a:b","Resource":"arn:aws:s3:::${oops"`), []string{"not closed"}},
		{allow(`"Action":"a:b","Resource":"*","Action":"c:d"`), []string{`"Action"`, "twice"}},
		{allow(`"Action":"a:b","Resource":"*","Foo":1`), []string{`"Foo"`}},
		{allow(`"Action":"a:b","Resource":"*","Principal":"me"`), []string{"Principal", `"me"`}},
		{allow(`"Action":"a:b","Resource":"*","Principal":{"Robot":"x"}`), []string{"Principal", `"Robot"`}},
		{allow(`"Action":"a:b","Resource":"*","Principal":{"AWS":"arn:aws:iam::000000000000:role/*"}`), []string{"Principal", "role/*"}},
		{allow(`"Action":"a:b","Resource":"*","Condition":{"StringEqual":{"a:b":"c"}}`), []string{"Condition", `"StringEqual"`, "unknown operator"}},
		{allow(`"Action":"a:b","Resource":"*","Condition":{"NullIfExists":{"a:b":"true"}}`), []string{`"NullIfExists"`}},
		{allow(`"Action":"a:b","Resource":"*","Condition":{"StringEquals":{"username":"c"}}`), []string{`"username"`}},
		{allow(`"Action":"a:b","Resource":"*","Condition":{"NumericEquals":{"a:b":"x"}}`), []string{"NumericEquals: a:b", `"x"`, "number"}},
		{allow(`"Action":"a:b","Resource":"*","Condition":{"DateLessThan":{"a:b":"soon"}}`), []string{`"soon"`, "date"}},
		{allow(`"Action":"a:b","Resource":"*","Condition":{"IpAddress":{"a:b":"300.0.0.1"}}`), []string{"300.0.0.1"}},
		{allow(`"Action":"a:b","Resource":"*","Condition":{"Bool":{"a:b":"yes"}}`), []string{`"yes"`}},
		{allow(`"Action":"a:b","Resource":"*","Condition":{"BinaryEquals":{"a:b":"!"}}`), []string{"base64"}},
		{allow(`"Action":"a:b","Resource":"*","Condition":{"ArnLike":{"a:b":"nope"}}`), []string{`"nope"`, "ARN"}},
		{allow(`"Action":"a:b","Resource":"*","Condition":{"StringEquals":{"a:b":{}}}`), []string{"an object"}},
		{strings.Repeat("[", 100), []string{"nested"}},
		{`{"Statement":` + strings.Repeat(" ", maxDocument) + `[]}`, []string{"at most"}},
	} {
		_, err := Parse("p", []byte(c.text))
		if err == nil {
			t.Errorf("%.200s: no error", c.text)
			continue
		}
		for _, part := range c.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%.200s:\n error %v\n lacks %s", c.text, err, part)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"Version":"2012-10-17","Id":"i","Statement":[{"Sid":"A","Effect":"Deny","NotAction":["a:B"],"NotResource":["arn:aws:s3:::b/${aws:username, 'x'}/*${*}"],"Condition":{"ForAllValues:ArnLikeIfExists":{"aws:SourceArn":["arn:aws:*","arn:aws:s3:::${a:b}"]},"Null":{"a:b":true},"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"},"DateLessThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}}}]}`))
	f.Add([]byte(`{"Statement":{"Effect":"Allow","Principal":{"AWS":"000000000000","Service":["a","b"]},"Action":"*"}}`))
	f.Add([]byte(`{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Condition":{"StringEquals":{"a:b":[]}}}}`))
	context := map[string][]string{"aws:username": {"me"}, "a:b": {"1", "2"}}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := Parse("p", data)
		if err != nil {
			return
		}
		text := d.String()
		again, err := Parse("p", []byte(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if again.String() != text {
			t.Fatalf("String of Parse differs:\n %s\n %s", text, again.String())
		}
		for _, s := range [][]Statement{d.Statements, again.Statements} { // funcs aren't comparable
			for i := range s {
				for j := range s[i].Conditions {
					s[i].Conditions[j].test = nil
				}
			}
		}
		if !reflect.DeepEqual(d, again) {
			t.Fatalf("Parse of String differs:\n %+v\n %+v", d, again)
		}
		d, _ = Parse("p", data)
		Evaluate(&Request{Principal: "arn:aws:sts::000000000000:assumed-role/R/S", Action: "a:B", Resource: "arn:aws:s3:::b/me/x", Context: context}, Source{Documents: []*Document{d}}, Source{Documents: []*Document{d}, Resource: true})
	})
}
