package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tidegate/internal/client"
)

const certificateARN = "arn:aws:acm:us-east-1:000000000000:certificate/12345678-1234-1234-1234-123456789012"

// api is the id of the only API.
func (s *stackUnderTest) api() string {
	s.t.Helper()
	stack, err := s.client.Stack(s.t.Context())
	if err != nil || len(stack.APIs) != 1 {
		s.t.Fatalf("%v, %+v", err, stack)
	}
	return stack.APIs[0].ID
}

// at is a URL by a host name at the port that the stack listens on.
func (s *stackUnderTest) at(scheme, host, path string) string {
	s.t.Helper()
	u, err := url.Parse(s.run.Endpoint)
	if err != nil {
		s.t.Fatal(err)
	}
	return scheme + "://" + host + ":" + u.Port() + path
}

// create makes the domain chat.example.test with the AWS CLI and maps a key of it
// to the only stage.
func (s *stackUnderTest) create(key string) {
	s.t.Helper()
	s.script(nil, "aws", "apigatewayv2", "create-domain-name", "--domain-name", "chat.example.test", "--domain-name-configurations", "CertificateArn="+certificateARN)
	args := []string{"apigatewayv2", "create-api-mapping", "--domain-name", "chat.example.test", "--api-id", s.api(), "--stage", "Prod"}
	if key != "" {
		args = append(args, "--api-mapping-key", key)
	}
	s.script(nil, "aws", args...)
}

// TestCustomDomain makes a custom domain name with the AWS CLI, connects and
// pushes by it with real clients, and finds it again after a kill.
func TestCustomDomain(t *testing.T) {
	t.Parallel()
	need(t, "aws")
	clients, python := needClients(t), needBoto3(t)
	s := upMock(t)
	s.create("chat")
	url, endpoint := s.at("wss", "chat.example.test", "/chat/"), s.at("https", "chat.example.test", "/chat")
	got := s.script([]string{"NODE_EXTRA_CA_CERTS=" + s.run.CACert}, "node", filepath.Join(clients, "domain.mjs"), url, endpoint, "Prod", s.run.Endpoint)
	wantOutput(t, got, `{"answer":"{\"pong\":true}","push":"from v3","withStage":"ForbiddenException 403: No method found matching route Prod/@connections/ID for http method POST",`+
		`"unmapped":403,"foreign":"EPROTO"}`)

	here := strings.TrimPrefix(s.run.Endpoint, "http://")
	c := s.dialURL(url, client.DialOptions{CACert: s.run.CACert, Address: here})
	s.script([]string{"AWS_CA_BUNDLE=" + s.run.CABundle}, python, filepath.Join(clients, "domain.py"), endpoint, s.newest())
	c.want("from boto3")
	if status, body := get(t, s.run.Endpoint+"/", http.Header{"Host": {"nobody.example.test"}}); status != http.StatusMisdirectedRequest {
		t.Errorf("a host that is no domain: %d %s", status, body)
	}
	stack, err := s.client.Stack(t.Context())
	if err != nil || len(stack.APIs[0].Stages[0].Domains) != 1 || stack.APIs[0].Stages[0].Domains[0] != url {
		t.Errorf("/_tidegate/stack has %+v, %v; want %s", stack, err, url)
	}

	s.kill()
	again := start(t, s.dir)
	out := &strings.Builder{}
	connect := tidegate(context.Background(), s.dir, "connect", "--count", "1", "-x", `{"action":"ping"}`, again.at("wss", "chat.example.test", "/chat"))
	connect.Stdout, connect.Stderr = out, out
	if err := connect.Run(); err != nil || !strings.Contains(out.String(), `{"pong":true}`) {
		t.Errorf("tidegate connect after a kill: %v %s", err, out)
	}
	again.script(nil, "aws", "apigatewayv2", "delete-domain-name", "--domain-name", "chat.example.test")
	if status, body := get(t, again.run.Endpoint+"/", http.Header{"Host": {"chat.example.test"}}); status != http.StatusMisdirectedRequest {
		t.Errorf("a domain that was deleted: %d %s", status, body)
	}
}

// newest is the connection that came last.
func (s *stackUnderTest) newest() string {
	s.t.Helper()
	all := s.connections()
	if len(all) == 0 {
		s.t.Fatal("nobody is connected")
	}
	return all[len(all)-1].ID
}

const domainStack = `
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Resources:
  Certificate: { Type: AWS::CertificateManager::Certificate, Properties: { DomainName: chat.example.test } }
  Node: { Type: AWS::Serverless::Function, Properties: { FunctionName: node, Runtime: nodejs22.x, CodeUri: ., Handler: app.handler } }
  Python: { Type: AWS::Serverless::Function, Properties: { FunctionName: python, Runtime: python3.12, CodeUri: ., Handler: main.handler } }
  Chat:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      RouteSelectionExpression: $request.body.action
      StageName: Prod
      DisableExecuteApiEndpoint: true
      Routes: { $default: { FunctionArn: !GetAtt Node.Arn } }
      Domain:
        DomainName: chat.example.test
        CertificateArn: !Ref Certificate
        BasePath: [chat, v2/chat]
        Route53: { HostedZoneName: example.test. }
  Names:
    Type: AWS::Route53::RecordSet
    Properties: { HostedZoneName: example.test., Name: www.example.test., Type: A, AliasTarget: { DNSName: !GetAtt ApiGatewayDomainNameV2SUFFIX.RegionalDomainName, HostedZoneId: !GetAtt ApiGatewayDomainNameV2SUFFIX.RegionalHostedZoneId } }
Outputs:
  Regional: { Value: !GetAtt ApiGatewayDomainNameV2SUFFIX.RegionalDomainName }
`

// domainCode pings the domain that the event names, verifying its certificate.
const domainCode = `
const https = require("node:https");
const get = (url) => new Promise((resolve) => {
  https.get(url, (res) => { res.resume(); resolve([res.statusCode, res.socket.authorized]); }).on("error", (err) => resolve(String(err)));
});
exports.handler = async (event) => event.urls ? Promise.all(event.urls.map(get)) : { statusCode: 200 };
`

const domainPython = `
import urllib.request

def handler(event, context):
    return [[urllib.request.urlopen(url).status, True] for url in event["urls"]]
`

// TestDomainOfTemplate runs a SAM template with a custom domain: handlers reach it
// by its name and verify its certificate, clients connect by two base paths, and
// the domain goes when it leaves the template.
func TestDomainOfTemplate(t *testing.T) {
	t.Parallel()
	need(t, "node", "python3")
	const suffix = "3301a14795" // SHA-1 of chat.example.test
	template := strings.ReplaceAll(domainStack, "SUFFIX", suffix)
	s := start(t, folder(t, map[string]string{"template.yaml": template, "app.js": domainCode, "main.py": domainPython}))
	urls, err := json.Marshal([]string{"https://chat.example.test/ping", s.at("https", "chat.example.test", "/ping")})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"node", "python"} {
		got, failed, err := s.client.Invoke(t.Context(), name, []byte(`{"urls":`+string(urls)+`}`))
		if compact := strings.ReplaceAll(string(got), " ", ""); err != nil || failed != "" || compact != "[[200,true],[200,true]]" {
			t.Errorf("%s: %s %s %v, want [[200,true],[200,true]]", name, got, failed, err)
		}
	}
	here := strings.TrimPrefix(s.run.Endpoint, "http://")
	for _, path := range []string{"/chat", "/chat/", "/v2/chat/"} {
		s.dialURL(s.at("wss", "chat.example.test", path), client.DialOptions{CACert: s.run.CACert, Address: here})
	}
	host := s.api() + ".execute-api.us-east-1.amazonaws.com"
	if status, body := get(t, s.run.Endpoint+"/Prod", http.Header{"Host": {host}}); status != http.StatusForbidden || body != `{"message":"Forbidden"}` {
		t.Errorf("the disabled execute-api endpoint: %d %s", status, body)
	}
	for _, want := range []string{s.at("wss", "chat.example.test", "/v2/chat/"), "hosts file", "Output Regional = d-"} {
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("up says nothing of %q", want)
		}
	}

	cut := template[:strings.Index(template, "      Domain:")] + "Outputs: {}\n"
	if err := os.WriteFile(filepath.Join(s.dir, "template.yaml"), []byte(cut), 0o644); err != nil {
		t.Fatal(err)
	}
	s.await("the domain to be gone", func() bool {
		status, _ := get(t, s.run.Endpoint+"/ping", http.Header{"Host": {"chat.example.test"}})
		return status == http.StatusMisdirectedRequest
	})
}
