package stage

import (
	"strings"
	"testing"

	"tidegate/internal/apigw"
)

func TestLogFormat(t *testing.T) {
	values := map[string]string{"requestId": "R", "identity.sourceIp": "192.0.2.1", "authorizer.numKey": "1"}
	for _, tt := range []struct{ format, want string }{
		{"", ""},
		{"plain", "plain"},
		{"$context.requestId", "R"},
		{`{"id":"$context.requestId","ip":"$context.identity.sourceIp"}`, `{"id":"R","ip":"192.0.2.1"}`},
		{"<r id=\"$context.requestId\"/>", `<r id="R"/>`},
		{"$context.requestId,$context.authorizer.numKey,$context.none", "R,1,-"},
		{"of $context.requestId.", "of R."},
		{"$context.identity.sourceIp [$context.requestId] $context. $context.. $ctx", "192.0.2.1 [R] $context. $context.. $ctx"},
		{"$context.requestId$context.requestId", "RR"},
	} {
		f := ParseLogFormat(tt.format)
		got := f.Append(nil, func(dst []byte, name string) []byte { return append(dst, values[name]...) })
		if string(got) != tt.want {
			t.Errorf("%q: %q, want %q", tt.format, got, tt.want)
		}
		if f.String() != tt.format {
			t.Errorf("%q prints as %q", tt.format, f)
		}
	}
}

func FuzzLogFormat(f *testing.F) {
	f.Add(`$context.requestId "$context.identity.sourceIp"`)
	f.Add("$context..$context.a..b")
	f.Fuzz(func(t *testing.T, format string) {
		if got := ParseLogFormat(format).String(); got != format {
			t.Errorf("%q prints as %q", format, got)
		}
	})
}

func TestLogGroupOf(t *testing.T) {
	for _, tt := range []struct{ arn, group, problem string }{
		{"arn:aws:logs:us-east-1:000000000000:log-group:chat", "chat", ""},
		{"arn:aws:logs:us-east-1:000000000000:log-group:/aws/chat:*", "/aws/chat", ""},
		{"arn:aws:firehose:us-east-1:0:deliverystream/amazon-apigateway-x", "", "Firehose"},
		{"arn:aws:logs:us-east-1:0:log-group:", "", "not the ARN"},
		{"arn:aws:logs:us-east-1:0:log-group:a:log-stream:b", "", "not the ARN"},
		{"chat", "", "not the ARN"},
		{"", "", "not the ARN"},
	} {
		group, err := LogGroupOf(tt.arn)
		if group != tt.group || (err == nil) != (tt.problem == "") || err != nil && !strings.Contains(err.Error(), tt.problem) {
			t.Errorf("%q: %q, %v", tt.arn, group, err)
		}
	}
}

func TestLogSettings(t *testing.T) {
	st := &apigw.Stage{
		DefaultRouteSettings: apigw.RouteSettings{LoggingLevel: "INFO", DataTraceEnabled: true},
		RouteSettings:        map[apigw.RouteKey]apigw.RouteSettings{"quiet": {LoggingLevel: "OFF", DataTraceEnabled: true}, "errors": {LoggingLevel: "ERROR"}},
	}
	for key, want := range map[apigw.RouteKey]LogSetting{"other": {LogInfo, true}, "quiet": {}, "errors": {LogErrors, false}} {
		if got := logSetting(settingsOf(st, key)); got != want {
			t.Errorf("%s: %+v, want %+v", key, got, want)
		}
	}
}
