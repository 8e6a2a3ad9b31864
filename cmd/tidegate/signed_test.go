package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/chromedp/chromedp"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// signedTemplate is an API whose clients sign, which lets them into one room, and
// has its subprotocol.
const signedTemplate = `
Transform: AWS::Serverless-2016-10-31
Resources:
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      RouteSelectionExpression: $request.body.action
      StageName: v1
      Auth: {AuthType: AWS_IAM}
      Routes: {$connect: {FunctionArn: !GetAtt Door.Arn}, $default: {FunctionArn: !GetAtt Door.Arn}}
  Response:
    Type: AWS::ApiGatewayV2::RouteResponse
    Properties: {ApiId: !Ref Api, RouteId: !Ref ApiDefaultRoute, RouteResponseKey: $default}
  Door:
    Type: AWS::Serverless::Function
    Properties: {Runtime: nodejs20.x, Handler: index.handler, CodeUri: door}
  Caller:
    Type: AWS::IAM::Role
    Properties:
      RoleName: caller
      AssumeRolePolicyDocument: {Statement: [{Effect: Allow, Principal: {AWS: !Sub 'arn:aws:iam::${AWS::AccountId}:root'}, Action: sts:AssumeRole}]}
      Policies: [{PolicyName: connect, PolicyDocument: {Statement: [{Effect: Allow, Action: execute-api:Invoke, Resource: !Sub 'arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*/$connect'}]}}]
`

const doorFunction = `exports.handler = async ({requestContext: {eventType, identity}, queryStringParameters: query, headers, body}) =>
  eventType === "CONNECT"
    ? {statusCode: query.room === "a b+c/é" ? 200 : 400, headers: headers["Sec-WebSocket-Protocol"] ? {"Sec-WebSocket-Protocol": "chat.v2"} : {}}
    : {statusCode: 200, body: identity.userArn + " heard " + body};`

// TestSignedClients connects with clients of other makers, as their SDKs sign:
// with a query string, subprotocols, and keys of the account and of a session.
func TestSignedClients(t *testing.T) {
	need(t, "node")
	t.Parallel()
	s := start(t, folder(t, map[string]string{"template.yaml": signedTemplate, "door/index.js": doorFunction}), "--iam", "enforce")
	const room, root = "a b+c/é", "chat.v2 arn:aws:iam::000000000000:root heard hello"
	address := s.httpURL()

	in := func(t *testing.T) *stackUnderTest { own := *s; own.t = t; return &own }
	sign := func(t *testing.T, presign bool) (string, http.Header) {
		t.Helper()
		r, err := http.NewRequest(http.MethodGet, address+"?"+url.Values{"room": {room}}.Encode(), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.URL.RawQuery = strings.ReplaceAll(r.URL.RawQuery, "+", "%20")
		keys := aws.Credentials{AccessKeyID: "tidegate", SecretAccessKey: "tidegate"}
		const nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" // SHA-256 of no body
		if presign {
			u, header, err := v4.NewSigner().PresignHTTP(t.Context(), keys, r, nothing, "execute-api", "us-east-1", time.Now())
			if err != nil {
				t.Fatal(err)
			}
			header.Del("Host")
			return "ws" + strings.TrimPrefix(u, "http"), header
		}
		if err := v4.NewSigner().SignHTTP(t.Context(), keys, r, nothing, "execute-api", "us-east-1", time.Now()); err != nil {
			t.Fatal(err)
		}
		return "ws" + strings.TrimPrefix(r.URL.String(), "http"), r.Header
	}
	t.Run("go", func(t *testing.T) {
		for _, presign := range []bool{true, false} {
			u, header := sign(t, presign)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			conn, _, shake, err := ws.Dialer{Header: ws.HandshakeHeaderHTTP(header), Protocols: []string{"chat.v1", "chat.v2"}}.Dial(ctx, u)
			if err != nil {
				t.Fatalf("presigned %v: %v", presign, err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(patience))
			if err := wsutil.WriteClientText(conn, []byte("hello")); err != nil {
				t.Fatal(err)
			}
			answer, err := wsutil.ReadServerText(conn)
			if err != nil {
				t.Fatal(err)
			}
			wantOutput(t, shake.Protocol+" "+string(answer), root)
		}
	})
	t.Run("ws", func(t *testing.T) {
		got := in(t).script(nil, "node", filepath.Join(needClients(t), "signed.mjs"), address, room)
		wantOutput(t, got, root+"\n"+root)
	})
	t.Run("wscat", func(t *testing.T) {
		clients := needClients(t)
		u, _ := sign(t, true)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		cmd := exec.CommandContext(ctx, "node", filepath.Join(clients, "node_modules", "wscat", "bin", "wscat"), "--no-color", "-c", u, "-s", "chat.v2", "-x", "hello", "-w", "1")
		if _, err := cmd.StdinPipe(); err != nil { // at the end of its input it leaves
			t.Fatal(err)
		}
		got, err := cmd.CombinedOutput()
		if !strings.Contains(string(got), strings.TrimPrefix(root, "chat.v2 ")) {
			t.Errorf("%v; wscat printed %q", err, got)
		}
	})
	t.Run("websockets", func(t *testing.T) {
		python := ""
		for _, name := range []string{"python3", "/usr/bin/python3"} {
			if exec.Command(name, "-c", "import boto3, websockets").Run() == nil {
				python = name
			}
		}
		if python == "" {
			t.Skip("no python3 with boto3 and websockets is installed")
		}
		const ana = "chat.v2 arn:aws:sts::000000000000:assumed-role/caller/ana heard hello"
		got := in(t).script(nil, python, filepath.Join("testdata", "clients", "signed.py"), address, room, "arn:aws:iam::000000000000:role/caller")
		wantOutput(t, got, root+"\n"+root+"\n"+ana+"\n"+ana)
	})
	t.Run("browser", func(t *testing.T) {
		ctx := browser(t)
		page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("<title>room</title>")) }))
		defer page.Close()
		if err := chromedp.Do(ctx, chromedp.Navigate(page.URL)); err != nil {
			t.Fatal(err)
		}
		u, _ := sign(t, true)
		got, err := chromedp.Run(ctx, chromedp.Evaluate[string](fmt.Sprintf(`new Promise((resolve) => {
			const socket = new WebSocket(%s, ["chat.v1", "chat.v2"]);
			socket.onopen = () => socket.send("hello");
			socket.onmessage = (m) => resolve(socket.protocol + " " + m.data);
			socket.onclose = (e) => resolve("closed with " + e.code);
		})`, quoteJS(u)), chromedp.EvalAwaitPromise))
		if err != nil {
			t.Fatal(err)
		}
		wantOutput(t, got, root)
	})
}
