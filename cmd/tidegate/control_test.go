package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What boto3 has of apigatewayv2 and Tidegate doesn't serve: HTTP APIs' own,
// portals and routing rules.
func unservedHere(operation string) bool {
	for _, part := range []string{"portal", "product", "routing_rule"} {
		if strings.Contains(operation, part) {
			return true
		}
	}
	return slices.Contains([]string{"delete_cors_configuration", "export_api", "import_api", "reimport_api", "reset_authorizers_cache"}, operation)
}

// boto3 calls every operation that WebSocket APIs have, and knows each failure by
// its class.
func TestControlPlaneWithBoto3(t *testing.T) {
	python := needBoto3(t)
	s := start(t, folder(t, map[string]string{"template.yaml": "Resources:\n  Topic:\n    Type: AWS::SNS::Topic\n"}))
	var got struct {
		Problems []string
		Failures map[string][]any
		Left     []string
	}
	if err := json.Unmarshal([]byte(s.script(nil, python, "testdata/clients/control.py", s.run.Endpoint)), &got); err != nil {
		t.Fatal(err)
	}
	for _, p := range got.Problems {
		t.Error(p)
	}
	for _, operation := range got.Left {
		if !unservedHere(operation) {
			t.Errorf("%s was not called", operation)
		}
	}
	for name, want := range map[string][]any{
		"missing": {"NotFoundException", 404.0}, "invalid": {"BadRequestException", 400.0}, "conflict": {"ConflictException", 409.0},
		"used": {"ConflictException", 409.0}, "served": {"BadRequestException", 400.0}, "quota": {"TooManyRequestsException", 429.0},
	} {
		if f := got.Failures[name]; len(f) != 3 || !cmp.Equal(f[:2], want) || f[2] == "" {
			t.Errorf("%s fails with %v, want %v and a message", name, f, want)
		}
	}
}

func TestControlPlaneWithJavaScript(t *testing.T) {
	clients := needClients(t)
	s := start(t, folder(t, map[string]string{"template.yaml": "Resources:\n  Topic:\n    Type: AWS::SNS::Topic\n"}))
	out := s.script(nil, "node", clients+"/control.mjs", s.run.Endpoint)
	const want = `{"problems":[],"failures":{"missing":[true,404],"invalid":[true,400],"conflict":[true,409],"quota":[true,429]}}`
	if out != want {
		t.Errorf("node control.mjs printed\n%s\nwant\n%s", out, want)
	}
}
