package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"

	"tidegate/internal/client"
)

// TestSecondInterrupt ends the process at once, although a backend keeps the
// $disconnect of a client.
func TestSecondInterrupt(t *testing.T) {
	t.Parallel()
	told, done := make(chan struct{}, 1), make(chan struct{})
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told <- struct{}{}
		<-done
	}))
	defer backend.Close()
	defer close(done)
	dir := folder(t, map[string]string{"template.yaml": strings.Replace(mockAPI, "  Stage:\n", `  Leave:
    Type: AWS::ApiGatewayV2::Route
    Properties: { ApiId: !Ref Api, RouteKey: $disconnect, Target: !Sub "integrations/${Backend}" }
  Backend:
    Type: AWS::ApiGatewayV2::Integration
    Properties: { ApiId: !Ref Api, IntegrationType: HTTP_PROXY, IntegrationMethod: POST, IntegrationUri: "`+backend.URL+`" }
  Stage:
`, 1)})
	log := &logBuffer{}
	cmd := tidegate(context.Background(), dir, "up", "--port", "0", "--log-format", "text")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	s := &stackUnderTest{t: t, dir: dir, cmd: cmd, log: log}
	s.await("the stack to be ready", func() bool { return strings.Contains(log.String(), "Ready.") })
	var err error
	if s.run, err = client.Find("", dir); err != nil {
		t.Fatal(err)
	}
	if s.client, err = client.New(s.run); err != nil {
		t.Fatal(err)
	}
	s.dial()
	cmd.Process.Signal(os.Interrupt)
	<-told
	cmd.Process.Signal(os.Interrupt)
	cmd.Wait() // the state says it
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGINT {
		t.Errorf("it ended with %v:\n%s", cmd.ProcessState, log)
	}
}
