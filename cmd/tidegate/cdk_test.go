package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// TestCDK runs what `cdk synth` wrote, as the CDK's constructs make it, under
// enforced policies, and though a package.json above cdk.out says that files are ES
// modules; a new synth is applied, and half of one changes nothing.
func TestCDK(t *testing.T) {
	t.Parallel()
	s := start(t, example(t, "cdk"), "--iam", "enforce")
	table := s.table("Connections827CEF2F")
	speaker, silent := s.dial(), s.dial()
	if rows := s.rows(table, "connectionId"); len(rows) != 2 {
		t.Errorf("in the table are %v, want the two clients", rows)
	}
	speaker.say(`{"action":"sendmessage","data":"grüße 🌊"}`)
	speaker.want("grüße 🌊")
	silent.want("grüße 🌊")
	if _, stderr, code := output(t, s.dir, "", "fire", "EveryMinute2BBCEA8F"); code != 0 {
		t.Fatalf("fire: exit %d: %s", code, stderr)
	}
	silent.want("Hello from Lambda")
	speaker.want("Hello from Lambda")

	speaker.say(`{"action":"sendmessage"}`)
	if m := speaker.next(); !strings.Contains(m, "Internal server error") {
		t.Errorf("a handler that throws told its client %q", m)
	}
	s.await("the trace to name the source's line", func() bool { return strings.Contains(s.log.String(), "lambda/chat.ts:34:") })

	synthesize(t, s, `return { statusCode: 200 };`, `return { statusCode: 200 }; // changed`)
	speaker.say(`{"action":"sendmessage","data":"still here"}`)
	silent.want("still here")
	speaker.want("still here")
	if _, err := os.Stat(filepath.Join(s.dir, ".tidegate")); err != nil {
		t.Errorf("the data lies elsewhere than beside cdk.out: %v", err)
	}
}

// synthesize writes cdk.out as a synth of changed code does, a file after the
// other, and waits until it runs.
func synthesize(t *testing.T, s *stackUnderTest, from, to string) {
	t.Helper()
	out := filepath.Join(s.dir, "cdk.out")
	before, err := filepath.Glob(filepath.Join(out, "asset.*"))
	if err != nil || len(before) != 1 {
		t.Fatalf("assets %v, %v; want one", before, err)
	}
	old := strings.TrimPrefix(filepath.Base(before[0]), "asset.")
	hash := strings.Repeat("ab", 32)
	edit := func(path, from, to string) {
		t.Helper()
		text, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(text, []byte(from)) {
			t.Fatalf("%s has no %q: %v", path, from, err)
		}
		if err := os.WriteFile(path, bytes.ReplaceAll(text, []byte(from), []byte(to)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	template := filepath.Join(out, "TidegateChat.template.json")
	edit(template, old, hash)
	s.await("half a synth to be told", func() bool { return strings.Contains(s.log.String(), "keeps running") })
	if err := os.CopyFS(filepath.Join(out, "asset."+hash), os.DirFS(before[0])); err != nil {
		t.Fatal(err)
	}
	edit(filepath.Join(out, "asset."+hash, "index.js"), "statusCode: 200", "statusCode: 201")
	edit(filepath.Join(out, "TidegateChat.assets.json"), old, hash)
	s.await("the new synth to run", func() bool { return strings.Contains(s.log.String(), "the edited template runs") })
}

// TestCDKAccount runs what `cdk synth` wrote for one account, whose number then
// stands in permissions and policies where it is a pseudo parameter else. All say
// the same account: ARNs that Tidegate makes, the environment of functions, STS.
func TestCDKAccount(t *testing.T) {
	t.Parallel()
	const account = "111122223333"
	dir := filepath.Join(t.TempDir(), "account")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "cdk-account"))); err != nil {
		t.Fatal(err)
	}
	s := start(t, dir, "--iam", "enforce")
	c := s.dial() // the function lets the API of that account call it
	c.say(`{"action":"where"}`)
	answer := strings.Fields(c.next())
	handler, table, said := answer[0], answer[1], answer[len(answer)-1]
	if !strings.HasPrefix(handler, "arn:aws:lambda:eu-west-1:"+account+":function:") || !strings.HasPrefix(table, "arn:aws:dynamodb:eu-west-1:"+account+":table/") || said != account {
		t.Errorf("the handler says %q", answer)
	}
	me, err := sts.New(sts.Options{Region: "eu-west-1", BaseEndpoint: &s.run.Endpoint, Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")}).
		GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil || *me.Account != account || *me.Arn != "arn:aws:iam::"+account+":root" {
		t.Errorf("the caller is %+v, %v", me, err)
	}
	if !strings.Contains(s.log.String(), "arn:aws:execute-api:eu-west-1:"+account+":") {
		t.Errorf("no output has the API's ARN: %s", s.log)
	}
}

// TestCDKChoice holds which stack of several runs, and what a CDK app without
// cdk.out is told.
func TestCDKChoice(t *testing.T) {
	t.Parallel()
	manifest := func(artifacts map[string]any) string {
		b, err := json.Marshal(map[string]any{"version": "55.0.0", "artifacts": artifacts})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	stackOf := func(file string) any {
		return map[string]any{"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region", "properties": map[string]any{"templateFile": file}}
	}
	api := `{"Resources": {"Api": {"Type": "AWS::ApiGatewayV2::Api", "Properties": {"Name": "a", "ProtocolType": "WEBSOCKET", "RouteSelectionExpression": "$request.body.action"}}}}`
	data := `{"Resources": {"T": {"Type": "AWS::SNS::Topic"}}}`
	files := map[string]string{
		"cdk.json":                              "{}",
		"cdk.out/manifest.json":                 manifest(map[string]any{"Data": stackOf("Data.template.json"), "Api": stackOf("Api.template.json")}),
		"cdk.out/Data.template.json":            data,
		"cdk.out/Api.template.json":             api,
		"several/manifest.json":                 manifest(map[string]any{"A": stackOf("A.template.json"), "Beta": map[string]any{"type": "cdk:cloud-assembly", "properties": map[string]any{"directoryName": "assembly-Beta"}}}),
		"several/A.template.json":               api,
		"several/assembly-Beta/manifest.json":   manifest(map[string]any{"B": stackOf("B.template.json")}),
		"several/assembly-Beta/B.template.json": api,
		"unsynthesized/cdk.json":                "{}",
		"leads/manifest.json":                   manifest(map[string]any{"A": stackOf("../A.template.json")}),
	}
	dir := folder(t, files)
	for _, tt := range []struct {
		args []string
		want string
		code int
	}{
		{nil, "Api.template.json", 0},
		{[]string{"--stack-name", "Data"}, "Data.template.json", 0},
		{[]string{"several"}, "has several stacks with a WebSocket API; choose one with --stack-name:\n  A, with a WebSocket API\n  B, with a WebSocket API", 2},
		{[]string{"several", "--stack-name", "B"}, "B.template.json", 0},
		{[]string{"several", "--stack-name", "C"}, `has no stack "C"`, 2},
		{[]string{"unsynthesized"}, "run `cdk synth` first", 2},
		{[]string{"leads"}, "which is not in its folder", 1},
	} {
		stdout, stderr, code := output(t, dir, "", append([]string{"validate"}, tt.args...)...)
		if got := stdout + stderr; code != tt.code || !strings.Contains(got, tt.want) {
			t.Errorf("validate %v: exit %d: %s; want %d, %s", tt.args, code, got, tt.code, tt.want)
		}
	}
}
