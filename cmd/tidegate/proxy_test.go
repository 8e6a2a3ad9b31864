package main

import (
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const goTemplate = `
Transform: AWS::Serverless-2016-10-31
Resources:
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      RouteSelectionExpression: $request.body.action
      StageName: dev
      Routes: { $default: { FunctionArn: !GetAtt Talk.Arn } }
  Table: { Type: AWS::Serverless::SimpleTable }
  Talk:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: provided.al2023
      Handler: bootstrap
      CodeUri: .
      Timeout: 20
      Environment: { Variables: { TABLE: !Ref Table, WORLD: %q, WORLD_CERT: %q } }
      Policies:
        - DynamoDBCrudPolicy: { TableName: !Ref Table }
        - Statement: [{ Effect: Allow, Action: "execute-api:ManageConnections", Resource: "*" }]
`

// TestGoFunctionReachesUs runs an unmodified Go program: a DynamoDB client
// without an endpoint, a client of the Management API with AWS's own, and one of
// another server.
func TestGoFunctionReachesUs(t *testing.T) {
	t.Parallel()
	need(t, "go")
	world := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "the world answers") }))
	defer world.Close()
	cert := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: world.Certificate().Raw}))
	dir := folder(t, map[string]string{"template.yaml": fmt.Sprintf(goTemplate, world.URL, cert)})
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "bootstrap"), "./testdata/goproxy")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s := start(t, dir, "--iam", "enforce")
	c := s.dial()
	for range 2 {
		c.say(`{"action":"any"}`)
		c.want("pushed; the world answers")
	}
}
