package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// browser opens a tab of a headless Chromium.
func browser(t *testing.T) context.Context {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Skip("Chromium is not installed")
	}
	o := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.Env("TMPDIR="+scratch, "XDG_CONFIG_HOME="+scratch, "XDG_CACHE_HOME="+scratch), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), o...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil { // starts the browser, which must not have a deadline
		t.Fatal(err)
	}
	ctx, cancel = context.WithTimeout(ctx, patience)
	t.Cleanup(cancel)
	return ctx
}

// TestChatInABrowser chats on the example's page with a client beside it.
func TestChatInABrowser(t *testing.T) {
	t.Parallel()
	need(t, "node", "npm")
	ctx := browser(t)
	dir := example(t, "chat")
	s := start(t, dir)
	page := "file://" + filepath.ToSlash(filepath.Join(dir, "index.html")) + "?url=" + url.QueryEscape(s.url())
	other := s.dial()
	err := chromedp.Do(ctx,
		chromedp.Navigate(page),
		chromedp.WaitVisible(chromedp.Search(`//*[@id="state"][contains(., "connected to")]`)),
		chromedp.SendKeys(chromedp.CSS(`input[name=text]`), "hello from a browser\n"),
		chromedp.WaitVisible(chromedp.Search(`//*[@id="log"]/li[contains(., "hello from a browser")]`)),
	)
	if err != nil {
		t.Fatalf("%v; tidegate up said:\n%s", err, s.log)
	}
	other.want("hello from a browser")
	other.say(`{"action":"sendmessage","data":"<b>hello</b> from beside"}`)
	output(t, dir, "", "fire", "HelloEveryMinute")
	if err := chromedp.Do(ctx, chromedp.WaitVisible(chromedp.Search(`//*[@id="log"]/li[contains(., "Hello from Lambda")]`))); err != nil {
		t.Fatalf("%v; tidegate up said:\n%s", err, s.log)
	}
	log, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS("#log")))
	if err != nil || !strings.Contains(log, "<b>hello</b> from beside") {
		t.Errorf("%v; the page shows %q", err, log)
	}
}

// TestForeignPage has a page of another origin try everything a page can, with
// and without what would make the browser ask first: all of it is refused, and
// nothing changes.
func TestForeignPage(t *testing.T) {
	t.Parallel()
	ctx := browser(t)
	s := upMock(t)
	victim := s.dial()
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Write([]byte("<title>evil</title>"))
	}))
	defer evil.Close()
	attack := `(async () => {
		const base = ` + quoteJS(s.run.Endpoint) + `, id = ` + quoteJS(s.only()) + `;
		const tries = {
			createFunction: [base + "/2015-03-31/functions", {method: "POST", body: "{}"}],
			createAPI: [base + "/v2/apis", {method: "POST", body: '{"name":"evil","protocolType":"WEBSOCKET","routeSelectionExpression":"x"}'}],
			push: [base + "/Prod/@connections/" + encodeURIComponent(id), {method: "POST", body: "evil"}],
			readStack: [base + "/_tidegate/stack", {}],
			dynamodb: [base + "/", {method: "POST", body: "{}", headers: {"X-Amz-Target": "DynamoDB_20120810.ListTables"}}],
			iam: [base + "/", {method: "POST", body: "Action=CreateRole", headers: {"Content-Type": "application/x-www-form-urlencoded"}}],
		};
		const out = {};
		for (const [name, [url, init]] of Object.entries(tries)) {
			for (const mode of ["cors", "no-cors"]) {
				try {
					const r = await fetch(url, {...init, mode});
					out[name + " " + mode] = r.type + " " + r.status;
				} catch (err) { out[name + " " + mode] = "refused"; }
			}
		}
		return JSON.stringify(out);
	})()`
	if err := chromedp.Do(ctx, chromedp.Navigate(evil.URL)); err != nil {
		t.Fatal(err)
	}
	result, err := chromedp.Run(ctx, chromedp.Evaluate[string](attack, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]string
	if err := json.Unmarshal([]byte(result), &got); err != nil {
		t.Fatal(err)
	}
	for name, answer := range got {
		// A page can't see what an opaque answer holds; what it did is looked at below.
		if answer != "refused" && answer != "opaque 0" {
			t.Errorf("%s: the page got %q", name, answer)
		}
	}
	if len(got) != 12 {
		t.Errorf("the page tried %d things, want 12: %v", len(got), got)
	}
	apis, err := s.client.Stack(t.Context())
	if err != nil || len(apis.APIs) != 1 {
		t.Errorf("after the attack: %+v %v", apis, err)
	}
	var list struct{ Items []struct{ Name string } }
	if err := s.client.GetJSON(t.Context(), "/v2/apis", &list); err == nil && len(list.Items) != 1 {
		t.Errorf("the page made an API: %+v", list)
	}
	victim.say(`{"action":"ping"}`)
	victim.want(`{"pong":true}`) // not "evil"
	if said := strings.Count(s.log.String(), evil.URL); said == 0 {
		t.Error("the terminal doesn't tell which page was refused")
	}
}

func quoteJS(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// TestAllowedPage has a page of an origin that --allow-origin names call with
// headers for which the browser asks first, and read every answer.
func TestAllowedPage(t *testing.T) {
	t.Parallel()
	ctx := browser(t)
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Write([]byte("<title>friend</title>"))
	}))
	defer page.Close()
	s := upMock(t, "--allow-origin", page.URL)
	victim := s.dial()
	calls := `(async () => {
		const base = ` + quoteJS(s.run.Endpoint) + `, id = ` + quoteJS(s.only()) + `;
		const out = {};
		let r = await fetch(base + "/", {method: "POST", body: "{}", headers: {"X-Amz-Target": "DynamoDB_20120810.ListTables", "Content-Type": "application/x-amz-json-1.0"}});
		out.tables = r.status + " " + await r.text();
		r = await fetch(base + "/Prod/@connections/" + encodeURIComponent(id), {method: "POST", body: "from a page", headers: {"X-Amz-Date": "x"}});
		out.push = r.status + " " + await r.text();
		r = await fetch(base + "/Prod/@connections/x", {method: "DELETE"});
		out.mistake = r.status + " " + r.headers.get("x-amzn-ErrorType");
		return JSON.stringify(out);
	})()`
	if err := chromedp.Do(ctx, chromedp.Navigate(page.URL)); err != nil {
		t.Fatal(err)
	}
	result, err := chromedp.Run(ctx, chromedp.Evaluate[string](calls, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%v; tidegate up said:\n%s", err, s.log)
	}
	var got map[string]string
	if err := json.Unmarshal([]byte(result), &got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"tables": `200 {"TableNames":[]}`, "push": "200 ", "mistake": "400 BadRequestException"} {
		if got[name] != want {
			t.Errorf("%s: the page got %q, want %q", name, got[name], want)
		}
	}
	victim.want("from a page")
}
