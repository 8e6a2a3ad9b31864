package functions

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// One function in the folder for each style of handler.
var styles = map[string]string{
	"index.js": `
exports.promise = async (event) => ({ got: event });
exports.callback = (event, context, callback) => callback(null, { got: event });
exports.succeed = (event, context) => context.succeed('yes');
exports.done = (event, context) => context.done(null, 7);
exports.fail = (event, context) => context.fail(new Error('no'));
exports.nothing = (event) => { globalThis.ran = event; };
exports.timers = (event) => { setTimeout(() => { globalThis.late = true; }, 30); };
exports.later = (event, context, callback) => { setTimeout(() => callback(null, 'later'), 20); };
let flag = 'unset';
exports.waits = (event, context, callback) => { const was = flag; flag = 'unset'; setTimeout(() => { flag = 'set'; }, 60); callback(null, was); };
exports.hurries = (event, context, callback) => { context.callbackWaitsForEmptyEventLoop = false; const was = flag; flag = 'unset'; setTimeout(() => { flag = 'set'; }, 60000); callback(null, was); };
exports.never = () => new Promise(() => {});
exports.first = async (event, context, callback) => { callback(null, 'callback'); return 'promise'; };
exports.undefined = async () => undefined;
exports.circular = async () => { const a = {}; a.a = a; return a; };
exports.throws = () => { throw new TypeError('thrown'); };
exports.rejects = async () => { const e = new Error('rejected'); e.name = 'MyError'; throw e; };
exports.string = (event, context, callback) => callback('plain');
exports.unhandled = () => new Promise(() => { Promise.reject(new Error('nobody')); setTimeout(() => {}, 5000); });
exports.uncaught = () => new Promise(() => { setTimeout(() => { throw new Error('out of the blue'); }, 1); });
exports.exit3 = () => process.exit(3);
exports.exit0 = () => process.exit(0);
exports.signal = () => { process.kill(process.pid, 'SIGKILL'); return new Promise(() => setTimeout(() => {}, 5000)); };
exports.big = async (event) => 'x'.repeat(event.n);
exports.nested = { deep: async () => 'deep' };
exports.notFunction = 5;
`,
	"src/handlers/chat.js": `exports.sendMessage = async () => require('./name').text;`,
	"src/handlers/name.js": `exports.text = 'from src';`,
	"esm/index.mjs":        `import { text } from './other.mjs'; export const handler = async () => text + typeof require;`,
	"esm/other.mjs":        `export const text = 'esm ';`,
	"typed/package.json":   `{"type":"module"}`,
	"typed/index.js":       `const { x } = await import('./x.js'); export const handler = async () => x;`,
	"typed/x.js":           `export const x = 'typed';`,
	"common/index.cjs":     `exports.handler = async () => 'cjs';`,
	"broken/syntax.js":     `exports.handler = async ( => {};`,
	"broken/missing.js":    `require('not-there'); exports.handler = async () => 1;`,
	"broken/throws.js":     `throw new RangeError('at load');`,
	"broken/exits.js":      `process.exit(4);`,
	"broken/rejects.js":    `Promise.reject(new Error('loading')); exports.handler = async () => 1; setTimeout(() => {}, 1000);`,
	"broken/streaming.js":  `exports.handler = awslambda.streamifyResponse(async () => {});`,
	"broken/missing.mjs":   `import 'not-there'; export const handler = async () => 1;`,
}

func TestHandlerStyles(t *testing.T) {
	t.Parallel()
	tests := []struct {
		handler, event, want string
		runtime              string
	}{
		{handler: "index.promise", event: `{"a":[1,"ü"]}`, want: `{"got":{"a":[1,"ü"]}}`},
		{handler: "index.promise", event: ``, want: `{"got":{}}`},
		{handler: "index.callback", event: `"text"`, want: `{"got":"text"}`, runtime: "nodejs8.10"},
		{handler: "index.succeed", want: `"yes"`, runtime: "nodejs4.3"},
		{handler: "index.done", want: `7`},
		{handler: "index.nothing", want: `null`, runtime: "nodejs8.10"},
		{handler: "index.timers", want: `null`},
		{handler: "index.later", want: `"later"`},
		{handler: "index.never", want: `null`},
		{handler: "index.first", want: `"callback"`},
		{handler: "index.undefined", want: `null`},
		{handler: "index.nested.deep", want: `"deep"`},
		{handler: "src/handlers/chat.sendMessage", want: `"from src"`},
		{handler: "esm/index.handler", want: `"esm undefined"`},
		{handler: "typed/index.handler", want: `"typed"`},
		{handler: "common/index.handler", want: `"cjs"`},
	}
	f := newFixture(t)
	for i, tt := range tests {
		t.Run(tt.handler, func(t *testing.T) {
			t.Parallel()
			runtime := tt.runtime
			if runtime == "" {
				runtime = "nodejs20.x"
			}
			name := "style" + string(rune('a'+i))
			f.create(name, styles, "Handler", tt.handler, "Runtime", runtime)
			status, got, h := f.invoke(name, tt.event)
			if status != http.StatusOK || got != tt.want || h.Get("X-Amz-Function-Error") != "" {
				t.Errorf("got %d %s (%s), want %s", status, got, h.Get("X-Amz-Function-Error"), tt.want)
			}
			if v := h.Get("X-Amz-Executed-Version"); v != "$LATEST" {
				t.Errorf("executed version %q", v)
			}
		})
	}
}

func TestHandlerErrors(t *testing.T) {
	tests := []struct {
		handler, kind, message string // message: a prefix; ID stands for the request id
		trace                  string // in the trace's first lines
	}{
		{handler: "index.fail", kind: "Error", message: "no", trace: "Error: no"},
		{handler: "index.throws", kind: "TypeError", message: "thrown", trace: "index.js:"},
		{handler: "index.rejects", kind: "MyError", message: "rejected", trace: "index.js:"},
		{handler: "index.string", kind: "string", message: "plain"},
		{handler: "index.circular", kind: "Error", message: "Unable to stringify response body"},
		{handler: "index.unhandled", kind: "Runtime.UnhandledPromiseRejection", message: "Error: nobody", trace: "index.js:"},
		{handler: "index.uncaught", kind: "Error", message: "out of the blue", trace: "index.js:"},
		{handler: "index.exit3", kind: "Runtime.ExitError", message: "RequestId: ID Error: Runtime exited with error: exit status 3"},
		{handler: "index.exit0", kind: "Runtime.ExitError", message: "RequestId: ID Error: Runtime exited without providing a reason"},
		{handler: "index.signal", kind: "Runtime.ExitError", message: "RequestId: ID Error: Runtime exited with error: signal: killed"},
		{handler: "index.notThere", kind: "Runtime.HandlerNotFound", message: "index.notThere is undefined or not exported"},
		{handler: "index.notFunction", kind: "Runtime.HandlerNotFound", message: "index.notFunction is not a function"},
		{handler: "index", kind: "Runtime.MalformedHandlerName", message: "Bad handler"},
		{handler: "../index.handler", kind: "Runtime.MalformedHandlerName", message: "'../index.handler' is not a valid handler name."},
		{handler: "absent.handler", kind: "Runtime.ImportModuleError", message: "Error: Cannot find module 'absent'\nRequire stack:"},
		{handler: "broken/syntax.handler", kind: "Runtime.UserCodeSyntaxError", message: "SyntaxError: ", trace: "syntax.js:1"},
		{handler: "broken/throws.handler", kind: "RangeError", message: "at load", trace: "throws.js:1"},
		{handler: "broken/rejects.handler", kind: "Runtime.UnhandledPromiseRejection", message: "Error: loading", trace: "rejects.js:1"},
		{handler: "broken/exits.handler", kind: "Runtime.ExitError", message: "RequestId: ID Error: Runtime exited with error: exit status 4"},
		{handler: "broken/missing.handler", kind: "Runtime.ImportModuleError", message: "Error: Cannot find module 'not-there'\nRequire stack:"},
		{handler: "broken/streaming.handler", kind: "Runtime.StreamingUnsupported", message: "Tidegate doesn't run streaming handlers"},
	}
	f := newFixture(t)
	for i, tt := range tests {
		t.Run(tt.handler, func(t *testing.T) {
			t.Parallel()
			name := "error" + string(rune('a'+i))
			f.create(name, styles, "Handler", tt.handler)
			status, got, h := f.invoke(name, `{}`)
			if status != http.StatusOK || h.Get("X-Amz-Function-Error") != "Unhandled" {
				t.Fatalf("got %d %s, X-Amz-Function-Error %q", status, got, h.Get("X-Amz-Function-Error"))
			}
			var body struct {
				ErrorType, ErrorMessage string
				Trace                   []string
			}
			if err := json.Unmarshal([]byte(got), &body); err != nil {
				t.Fatal(err)
			}
			want := strings.ReplaceAll(tt.message, "ID", h.Get("X-Amzn-Requestid"))
			if body.ErrorType != tt.kind || !strings.HasPrefix(body.ErrorMessage, want) {
				t.Errorf("got %s: %s\nwant %s: %s", body.ErrorType, body.ErrorMessage, tt.kind, want)
			}
			if !strings.Contains(strings.Join(body.Trace, "\n"), tt.trace) {
				t.Errorf("trace %q lacks %q", body.Trace, tt.trace)
			}
		})
	}
}

// An environment that ends between two invocations costs the next one nothing
// but a cold start.
func TestAnEnvironmentThatEndsInBetweenIsReplaced(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.create("dies", map[string]string{"index.js": `let n = 0; exports.handler = async () => { setTimeout(() => process.exit(7), 300); return ++n; };`})
	for range 4 {
		if _, got, h := f.invoke("dies", `{}`); got != "1" {
			t.Errorf("got %s (%s)", got, h.Get("X-Amz-Function-Error"))
		}
		eventually(t, "the environment's end", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return len(f.exits) == len(f.starts) })
	}
	if f.exits[0].Reason != exitItself || f.exits[0].Status != "exit status 7" {
		t.Errorf("exit: %v", f.exits[0])
	}
}

func TestCallbackWaitsForEmptyEventLoop(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.create("waits", styles, "Handler", "index.waits")
	f.create("hurries", styles, "Handler", "index.hurries")
	// The timer that the first invocation leaves has run by the second, unless the
	// handler said not to wait for it.
	for name, want := range map[string][]string{"waits": {`"unset"`, `"set"`}, "hurries": {`"unset"`, `"unset"`}} {
		var got []string
		for range 2 {
			_, body, _ := f.invoke(name, `{}`)
			got = append(got, body)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
