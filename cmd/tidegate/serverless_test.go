package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestServerless runs a serverless.yml under enforced policies: events, the role
// that the framework makes, an answer, a schedule; an edit of a file that it
// includes is applied.
func TestServerless(t *testing.T) {
	t.Parallel()
	s := start(t, example(t, "serverless"), "--iam", "enforce", "--stage", "prod")
	if url := s.url(); !strings.HasSuffix(url, "/prod") {
		t.Errorf("clients connect to %s, want the stage prod", url)
	}
	table := s.table("Connections")
	if table != "chat-prod-connections" {
		t.Errorf("the table is %s", table)
	}
	speaker, silent := s.dial(), s.dial()
	if rows := s.rows(table, "connectionId"); len(rows) != 2 {
		t.Errorf("in the table are %v, want the two clients", rows)
	}
	speaker.say(`{"action":"sendmessage","data":"grüße 🌊"}`)
	speaker.want("heard by 1")
	silent.want("grüße 🌊")
	fire := func() {
		t.Helper()
		if _, stderr, code := output(t, s.dir, "", "fire", "HelloEventsRuleSchedule1"); code != 0 {
			t.Fatalf("fire: exit %d: %s", code, stderr)
		}
	}
	fire()
	silent.want("Good day from Lambda")
	speaker.want("Good day from Lambda")

	if err := os.WriteFile(filepath.Join(s.dir, "greetings.yml"), []byte("prod: Changed\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.await("the edit to run", func() bool { return strings.Contains(s.log.String(), "the edited template runs") })
	fire()
	silent.want("Changed")
	silent.Close()
	s.await("who left to leave the table", func() bool { return len(s.rows(table, "connectionId")) == 1 })
}

// TestServerlessMistakes holds where what is wrong with a service is told.
func TestServerlessMistakes(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{
		"serverless.yml":     "service: s\nprovider: {name: aws}\nfunctions: ${file(./functions.yml)}\n",
		"functions.yml":      "f:\n  handler: index.handler\n  runtime: nodejs20.x\n  environment:\n    KEY: ${env:TIDEGATE_TEST_UNSET}\n",
		"index.js":           "exports.handler = async () => ({})",
		"code/serverless.ts": "",
	})
	for _, tt := range []struct{ arg, want string }{
		{".", "functions.yml:5:10: ${env:TIDEGATE_TEST_UNSET} has no value; set the environment variable TIDEGATE_TEST_UNSET"},
		{"code", "run `serverless package`"},
		{filepath.Join("code", "serverless.ts"), "run `serverless package`"},
	} {
		if _, stderr, code := output(t, dir, "", "validate", tt.arg); code != 2 || !strings.Contains(stderr, tt.want) {
			t.Errorf("validate %s: exit %d: %s; want %s", tt.arg, code, stderr, tt.want)
		}
	}
}

// TestServerlessPlugins runs what plugins are for without them: handlers in
// TypeScript, and a schedule of EventBridge Scheduler's, which must be let in by
// the role that the service makes.
func TestServerlessPlugins(t *testing.T) {
	t.Parallel()
	need(t, "node")
	for _, plugin := range []string{"serverless-esbuild", "serverless-webpack", "serverless-bundle", "serverless-plugin-typescript"} {
		dir := folder(t, map[string]string{
			"serverless.yml": `service: chat
provider: {name: aws, runtime: nodejs22.x}
plugins: [` + plugin + `]
functions:
  say:
    handler: src/say.handler
    events:
      - websocket: {route: $default, routeResponseSelectionExpression: $default}
      - schedule: {rate: rate(365 days), method: scheduler, name: yearly, input: {from: Scheduler}}
`,
			"src/say.ts": `import { greet } from './greet';
export const handler = async (event: { body?: string; from?: string }) => {
  if (event.from) console.log(greet(event.from));
  return { statusCode: 200, body: greet(event.body ?? '') };
};
`,
			"src/greet.ts": "export const greet = (whom: string): string => `hello ${whom}`;\n",
		})
		s := start(t, dir, "--iam", "enforce")
		c := s.dial()
		c.say("you")
		c.want("hello you")
		if _, stderr, code := output(t, dir, "", "fire", "SayEventsRuleSchedule1"); code != 0 {
			t.Errorf("%s: fire: exit %d: %s", plugin, code, stderr)
		}
		s.await("the schedule to call the function", func() bool { return strings.Contains(s.log.String(), "hello Scheduler") })
		s.stop()
	}
}
