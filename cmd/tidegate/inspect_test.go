package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"tidegate/internal/client"
)

const inspectTemplate = `
Transform: AWS::Serverless-2016-10-31
Globals: { Function: { Runtime: nodejs22.x, CodeUri: ., Timeout: 1 } }
Resources:
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      RouteSelectionExpression: $request.body.action
      StageName: dev
      Routes: { $default: { FunctionArn: !GetAtt Talk.Arn } }
  Talk:
    Type: AWS::Serverless::Function
    Properties: { Handler: app.talk, Policies: [{ Statement: [{ Effect: Allow, Action: "execute-api:*", Resource: "*" }] }] }
`

// line 3, where the breakpoint goes, is the one with "word" on it.
const inspectCode = `
exports.talk = async (event) => {
  const word = JSON.parse(event.body).word + "!";
  console.log("said " + word);
  return { statusCode: 200 };
};
`

// A debugger is a client of Node.js's inspector.
type debugger struct {
	s  *stackUnderTest
	ws *client.WebSocket
	id int
}

// attach connects to the inspector at the port, once it listens there for the
// process that an earlier one wasn't.
func (s *stackUnderTest) attach(port, before string) (*debugger, string) {
	s.t.Helper()
	var targets []struct{ WebSocketDebuggerUrl string }
	s.await("the inspector on port "+port, func() bool {
		resp, err := http.Get("http://127.0.0.1:" + port + "/json/list")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return json.NewDecoder(resp.Body).Decode(&targets) == nil && len(targets) == 1 && targets[0].WebSocketDebuggerUrl != before
	})
	ws, err := client.Dial(s.t.Context(), targets[0].WebSocketDebuggerUrl, client.DialOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { ws.Close() })
	return &debugger{s: s, ws: ws}, targets[0].WebSocketDebuggerUrl
}

// A debuggerMessage is an answer (ID) or an event (Method).
type debuggerMessage struct {
	ID     int
	Method string
	Error  json.RawMessage
	Result struct {
		Locations []struct{ LineNumber int }
		Result    struct{ Value any }
	}
	Params struct {
		URL          string // of Debugger.scriptParsed, as what follows
		SourceMapURL string
		CallFrames   []struct {
			CallFrameId  string
			FunctionName string
			Location     struct{ LineNumber int }
		}
	}
}

// receive returns the next message that ok takes.
func (d *debugger) receive(what string, ok func(*debuggerMessage) bool) *debuggerMessage {
	d.s.t.Helper()
	for {
		b, err := d.ws.Receive()
		if err != nil {
			d.s.t.Fatalf("waiting for %s: %v; tidegate up said:\n%s", what, err, d.s.log)
		}
		m := &debuggerMessage{}
		if err := json.Unmarshal(b, m); err != nil {
			d.s.t.Fatal(err)
		}
		if ok(m) {
			return m
		}
	}
}

// call performs a method of the inspector's protocol.
func (d *debugger) call(method, params string) *debuggerMessage {
	d.s.t.Helper()
	d.id++
	id := d.id
	if err := d.ws.Send(fmt.Appendf(nil, `{"id":%d,"method":%q,"params":%s}`, id, method, params)); err != nil {
		d.s.t.Fatal(err)
	}
	m := d.receive(method, func(m *debuggerMessage) bool { return m.ID == id })
	if m.Error != nil {
		d.s.t.Fatalf("%s: %s", method, m.Error)
	}
	return m
}

// breakAt sets a breakpoint in app.js.
func (d *debugger) breakAt(line int) {
	d.s.t.Helper()
	d.call("Runtime.enable", `{}`)
	d.call("Debugger.enable", `{}`)
	if m := d.call("Debugger.setBreakpointByUrl", fmt.Sprintf(`{"urlRegex":"/app\\.js$","lineNumber":%d}`, line)); len(m.Result.Locations) != 1 {
		d.s.t.Fatalf("the breakpoint was set at %v", m.Result.Locations)
	}
}

// paused waits for the breakpoint and evaluates an expression there.
func (d *debugger) paused(line int, expression string) any {
	d.s.t.Helper()
	m := d.receive("the breakpoint", func(m *debuggerMessage) bool { return m.Method == "Debugger.paused" })
	frame := m.Params.CallFrames[0]
	if frame.Location.LineNumber != line {
		d.s.t.Errorf("paused on line %d, want %d", frame.Location.LineNumber, line)
	}
	return d.call("Debugger.evaluateOnCallFrame", fmt.Sprintf(`{"callFrameId":%q,"expression":%q}`, frame.CallFrameId, expression)).Result.Result.Value
}

// TestInspect holds a function at a breakpoint for longer than its timeout, then
// lets it go on; so it does with changed code, on the same port.
func TestInspect(t *testing.T) {
	t.Parallel()
	need(t, "node")
	dir := folder(t, map[string]string{"template.yaml": inspectTemplate, "app.js": inspectCode})
	port := lastingPort(t)
	s := start(t, dir, "--inspect", "Talk="+port)
	s.await("word of the port", func() bool { return strings.Contains(s.log.String(), "Talk: attach a debugger to 127.0.0.1:"+port) })
	d, url := s.attach(port, "") // before any invocation
	d.breakAt(3)
	c := s.dial()
	c.say(`{"action":"x","word":"hello"}`)
	if got := d.paused(3, "word + event.requestContext.routeKey"); got != "hello!$default" {
		t.Errorf("evaluated to %v", got)
	}
	time.Sleep(1500 * time.Millisecond) // the function's timeout is one second
	if strings.Contains(s.log.String(), "timed out") {
		t.Error("the timeout ended it")
	}
	c.say(`{"action":"x","word":"second"}`) // waits its turn
	d.call("Debugger.resume", `{}`)
	s.await("the first invocation's end", func() bool { return strings.Contains(s.log.String(), "said hello!") })
	if got := d.paused(3, "word"); got != "second!" {
		t.Errorf("the second: %v", got)
	}
	d.call("Debugger.resume", `{}`)
	s.await("the second invocation's end", func() bool { return strings.Contains(s.log.String(), "said second!") })

	if err := os.WriteFile(filepath.Join(dir, "app.js"), []byte(strings.Replace(inspectCode, `"!"`, `"?"`, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	d, _ = s.attach(port, url)
	d.breakAt(3)
	c.say(`{"action":"x","word":"third"}`)
	if got := d.paused(3, "word"); got != "third?" {
		t.Errorf("after the change: %v", got)
	}
	d.call("Debugger.resume", `{}`)
	s.await("the third invocation's end", func() bool { return strings.Contains(s.log.String(), "said third?") })
}

// line 3, where the breakpoint goes, is the one with "word" on it; none of the
// lines before it are in the bundle.
const inspectTypeScript = `interface Event { body: string }
interface Answer { statusCode: number }
export const talk = async (event: Event): Promise<Answer> => {
  const word: string = JSON.parse(event.body).word + "!";
  console.log("said " + word);
  return { statusCode: 200 };
};
`

// generatedLine prints the line, from 0, of a bundle that a line of a source
// became, as an editor finds it by the source map.
const generatedLine = `
const fs = require("node:fs"), path = require("node:path"), { SourceMap } = require("node:module");
const [bundle, url, source, line] = process.argv.slice(1);
const map = new SourceMap(JSON.parse(url.startsWith("data:") ? Buffer.from(url.slice(url.indexOf(",") + 1), "base64") : fs.readFileSync(path.resolve(path.dirname(bundle), url))));
fs.readFileSync(bundle, "utf8").split("\n").forEach((text, i) => {
  const at = map.findEntry(i, text.search(/\S|$/));
  if (at.originalSource && path.resolve(path.dirname(bundle), at.originalSource) === source && at.originalLine === Number(line) && at.generatedLine === i) console.log(i);
});
`

// TestInspectTypeScript sets a breakpoint by the .ts file, as an editor does it:
// the source map beside the script that runs says where that is.
func TestInspectTypeScript(t *testing.T) {
	t.Parallel()
	need(t, "node")
	dir := folder(t, map[string]string{"template.yaml": inspectTemplate, "app.ts": inspectTypeScript})
	port := lastingPort(t)
	s := start(t, dir, "--inspect", "Talk="+port)
	d, _ := s.attach(port, "")
	if err := d.ws.Send([]byte(`{"id":1000,"method":"Debugger.enable","params":{}}`)); err != nil {
		t.Fatal(err)
	}
	script := d.receive("the bundle with its source map", func(m *debuggerMessage) bool {
		return m.Method == "Debugger.scriptParsed" && strings.HasSuffix(m.Params.URL, "/app.js") && m.Params.SourceMapURL != ""
	}).Params
	out, err := exec.Command("node", "-e", generatedLine, strings.TrimPrefix(script.URL, "file://"), script.SourceMapURL, filepath.Join(dir, "app.ts"), "3").Output()
	line, lineErr := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil || lineErr != nil {
		t.Fatalf("line 3 of app.ts is at %q of %s: %v", out, script.URL, err)
	}
	if line == 3 {
		t.Fatal("the bundle has the line where the source has it: this shows nothing")
	}
	d.breakAt(line)
	c := s.dial()
	c.say(`{"action":"x","word":"typed"}`)
	if got := d.paused(line, "event.body + typeof word"); got != `{"action":"x","word":"typed"}undefined` {
		t.Errorf("before the line ran: %v", got)
	}
	d.call("Debugger.resume", `{}`)
	s.await("the invocation's end", func() bool { return strings.Contains(s.log.String(), "said typed!") })
}

// TestInspectUsage wants wrong use to be told before anything starts.
func TestInspectUsage(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"template.yaml": inspectTemplate + `
  Raw: { Type: AWS::Serverless::Function, Properties: { Runtime: provided.al2023, Handler: bootstrap } }
`, "app.js": inspectCode, "bootstrap": "#!/bin/sh\n"})
	for _, tt := range []struct{ flags, want string }{
		{"9x", "[FUNCTION=]PORT"},
		{"0", "[FUNCTION=]PORT"},
		{"=9229", "[FUNCTION=]PORT"},
		{"Nope=9229", "the template has no function Nope; it has Raw, Talk"},
		{"Raw=9229", "Raw runs on provided.al2023"},
		{"Talk=9229 9229", "names Talk twice"},
	} {
		args := []string{"up", "--port", "0"}
		for _, f := range strings.Fields(tt.flags) {
			args = append(args, "--inspect", f)
		}
		if _, stderr, code := output(t, dir, "", args...); code != 2 || !strings.Contains(stderr, tt.want) {
			t.Errorf("%s: exit %d: %s", tt.flags, code, stderr)
		}
	}
}
