package main

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// asyncTemplate has a function that is invoked for later, one that gets its
// records, and one that fails for a queue that Tidegate lacks.
const asyncTemplate = `
Transform: AWS::Serverless-2016-10-31
Globals: { Function: { Runtime: nodejs22.x, CodeUri: ., Timeout: 20, Environment: { Variables: { DIR: %q } } } }
Resources:
  Work:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: work
      Handler: app.work
      EventInvokeConfig:
        MaximumRetryAttempts: 1
        DestinationConfig: { OnSuccess: { Type: Lambda, Destination: !GetAtt Record.Arn } }
  Record: { Type: AWS::Serverless::Function, Properties: { Handler: app.record } }
  Fail:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: fail
      Handler: app.fail
      EventInvokeConfig: { MaximumRetryAttempts: 0, DestinationConfig: { OnFailure: { Type: SQS } } }
      DeadLetterQueue: { Type: SNS, TargetArn: "arn:aws:sns:us-east-1:000000000000:dead" }
  Retry: { Type: AWS::Serverless::Function, Properties: { FunctionName: retry, Handler: app.fail } }
`

const asyncCode = `
const fs = require("node:fs"), path = require("node:path");
const add = (name, line) => fs.appendFileSync(path.join(process.env.DIR, name), line + "\n");
exports.work = async (e) => { await new Promise((r) => setTimeout(r, 20)); add("done", e.id); return "<" + e.id + ">"; };
exports.record = async (e) => { add("recorded", [e.requestPayload.id, e.responsePayload, e.requestContext.condition].join(" ")); };
exports.fail = async () => { throw new Error("on purpose"); };
`

// TestKillLosesNoEvent kills the process while it accepts events and works
// through them. After the restart every accepted one is done, and its record,
// which the function's role may send, is where it belongs.
func TestKillLosesNoEvent(t *testing.T) {
	t.Parallel()
	need(t, "node")
	results := t.TempDir()
	dir := folder(t, map[string]string{"template.yaml": fmt.Sprintf(asyncTemplate, results), "app.js": asyncCode})
	s := start(t, dir, "--iam", "enforce")
	invoke := func(function, payload string) (int, error) {
		header := http.Header{"X-Amz-Invocation-Type": {"Event"}}
		resp, _, err := s.client.Do(t.Context(), "lambda", http.MethodPost, "/2015-03-31/functions/"+url.PathEscape(function)+"/invocations", header, []byte(payload))
		if err != nil {
			return 0, err
		}
		return resp.StatusCode, nil
	}
	var mu sync.Mutex
	var accepted []string
	var callers sync.WaitGroup
	for c := range 4 {
		callers.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d", c, i)
				status, err := invoke("work", fmt.Sprintf(`{"id":%q}`, id))
				if err != nil || status != http.StatusAccepted {
					return
				}
				mu.Lock()
				accepted = append(accepted, id)
				mu.Unlock()
			}
		})
	}
	s.await("events to be accepted, and some to be done", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(accepted) >= 40 && len(linesOf(results, "done")) > 0
	})
	s.kill()
	callers.Wait()

	s = start(t, dir, "--iam", "enforce")
	missing := func(name, form string) (left []string) {
		there := map[string]bool{}
		for _, line := range linesOf(results, name) {
			there[line] = true
		}
		for _, id := range accepted {
			if !there[strings.ReplaceAll(form, "ID", id)] {
				left = append(left, id)
			}
		}
		return left
	}
	s.await("every accepted event to be done", func() bool { return len(missing("done", "ID")) == 0 })
	s.await("every record", func() bool { return len(missing("recorded", "ID <ID> Success")) == 0 })

	for _, name := range []string{"fail", "retry"} {
		if status, err := invoke(name, `{}`); err != nil || status != http.StatusAccepted {
			t.Fatalf("%s: %d %v", name, status, err)
		}
	}
	for _, said := range []string{
		"Fail [", "given up after 1 attempt: retries exhausted",
		"Tidegate has no SNS, so nothing was sent to arn:aws:sns:us-east-1:000000000000:dead", "Tidegate has no SQS, so nothing was sent to arn:aws:sqs:",
		"Retry [", "failed: attempt 2 follows in 1m0s, at ",
	} {
		s.await("the terminal to tell "+said, func() bool { return strings.Contains(s.log.String(), said) })
	}
}

// linesOf are the lines of a file, none when it isn't there.
func linesOf(dir, name string) []string {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}
