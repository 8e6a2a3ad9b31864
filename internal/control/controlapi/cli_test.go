package controlapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"tidegate/internal/awshttp"
)

// The AWS CLI makes an API and a stage and reads AWS's errors. Each call starts
// Python, so there are few.
func TestAWSCLI(t *testing.T) {
	path, err := exec.LookPath("aws")
	if err != nil {
		t.Skip("aws, the AWS CLI, is not on PATH")
	}
	p := start(t, awshttp.Enforce, nil)
	aws := func(args ...string) (map[string]any, string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), path, append([]string{"--endpoint-url", p.url, "--output", "json", "apigatewayv2"}, args...)...)
		cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1", "AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull, "AWS_MAX_ATTEMPTS=1", "AWS_PAGER=")
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if cmd.Run() != nil {
			return nil, stderr.String()
		}
		out := map[string]any{}
		if stdout.Len() > 0 {
			if err := json.Unmarshal(stdout.Bytes(), &out); err != nil {
				t.Fatalf("aws %s printed %q: %v", args, stdout.String(), err)
			}
		}
		return out, ""
	}
	ok := func(args ...string) map[string]any {
		t.Helper()
		out, errText := aws(args...)
		if errText != "" {
			t.Fatalf("aws %s: %s", strings.Join(args, " "), errText)
		}
		return out
	}
	api, _ := ok("create-api", "--name", "chat", "--protocol-type", "WEBSOCKET", "--route-selection-expression", "$request.body.action")["ApiId"].(string)
	authorizer := ok("create-authorizer", "--api-id", api, "--name", "auth", "--authorizer-type", "REQUEST", "--identity-source", "route.request.header.Cookie",
		"--authorizer-uri", "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:auth/invocations")
	if authorizer["AuthorizerType"] != "REQUEST" || fmt.Sprint(authorizer["IdentitySource"]) != "[route.request.header.Cookie]" || authorizer["AuthorizerResultTtlInSeconds"] != nil {
		t.Errorf("the authorizer is %v", authorizer)
	}
	stage := ok("create-stage", "--api-id", api, "--stage-name", "dev", "--auto-deploy")
	if stage["StageName"] != "dev" || stage["AutoDeploy"] != true || !strings.Contains(fmt.Sprint(stage["LastDeploymentStatusMessage"]), "no routes exist in this API") {
		t.Errorf("the stage with auto-deploy is %v", stage)
	}
	if _, errText := aws("create-deployment", "--api-id", api, "--stage-name", "dev"); !strings.Contains(errText, "(BadRequestException)") || !strings.Contains(errText, "At least one route is required before deploying the Api") {
		t.Errorf("deploying without routes: %s", errText)
	}
}
