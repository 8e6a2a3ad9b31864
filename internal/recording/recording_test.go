package recording

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tidegate/internal/apigw"
	"tidegate/internal/cluster"
	"tidegate/internal/event"
	"tidegate/internal/gateway"
	"tidegate/internal/stage"
)

func open(t *testing.T, dir string) *Recorder {
	t.Helper()
	r, err := Open(dir, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func message(id, payload string) gateway.Exchange {
	return gateway.Exchange{
		Subject: gateway.Subject{APIID: "abc", Stage: "Prod", RouteKey: "a", ConnectionID: "conn=", RequestID: id, Target: "arn:f"},
		Type:    event.TypeMessage, MessageID: "m=", DomainName: "localhost:8420", Identity: event.Identity{SourceIP: "::1", UserAgent: "\x00\"ws"},
		ConnectedAt: time.UnixMilli(1000), At: time.Unix(5, 6000).UTC(), Payload: []byte(payload),
		Outcome: gateway.Done, Status: 200, Answer: &stage.Answer{Status: 200, Header: []event.Field{{Name: "X", Value: "y"}}, Body: []byte(`{"n":1}`)},
		Duration: 1500 * time.Microsecond,
	}
}

// sameAuthorizer compares contexts of authorizers by all that they hold.
var sameAuthorizer = cmp.Comparer(func(x, y *event.AuthorizerContext) bool { return reflect.DeepEqual(x, y) })

// TestKept wants what is recorded to come back as it was, also by another
// recorder after a kill, by either id, and to be its owner's alone.
func TestKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "recordings")
	r := open(t, dir)
	binary := message("bin=", "\xff\x00")
	connect := gateway.Exchange{Subject: gateway.Subject{APIID: "abc", Stage: "Prod", RouteKey: "$connect", RequestID: "conn1="}, Type: event.TypeConnect,
		ConnectedAt: time.UnixMilli(7), At: time.Unix(0, 7e6).UTC(), Connect: &event.ConnectRequest{APIID: "abc", Header: []event.Field{{Name: "Host", Value: "h"}}, Query: []event.Field{{Name: "q", Value: "ü"}}},
		Outcome: gateway.RejectedByBackend, Status: 403, Err: errors.New("$connect answered status 403")}
	disconnect := gateway.Exchange{Subject: gateway.Subject{APIID: "abc", Stage: "Prod", RouteKey: "$disconnect", RequestID: "dis="}, Type: event.TypeDisconnect,
		ConnectedAt: time.UnixMilli(7), At: time.Unix(9, 0).UTC(), Close: &event.CloseReason{Code: 1001, Text: "bye"}, Outcome: gateway.Done}
	authorized, signed := message("authorized=", "x"), message("signed=", "x")
	authorized.Authorizer = event.NewAuthorizerContext("ann", "the-key", 12*time.Millisecond, map[string]string{"tenant": "\"ü", "n": "1"})
	signed.Identity.Caller = &event.Caller{AccountID: "123456789012", AccessKeyID: "AKIA\"", ID: "AROA:s", ARN: "arn:aws:sts::123456789012:assumed-role/r/s"}
	all := []gateway.Exchange{authorized, signed, message("text=", `say "hi=" {"requestId":"text="} 🌊`), binary, connect, disconnect}
	for _, x := range all {
		r.Exchange(x)
	}
	r.Invoked("text=", "9a1c2e00-0000-4000-8000-000000000000")
	r.Pushed("text=", Push{ConnectionID: "other=", Bytes: 3, Outcome: "queued", Method: "POST"})
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "new.jsonl"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString(`{"requestId":"cut=","ti`) // as kill -9 leaves it
	f.Close()
	r = open(t, dir)
	defer r.Close()
	r.Exchange(message("after=", "x"))
	for _, x := range all {
		e, err := r.Find(x.RequestID)
		if err != nil {
			t.Fatal(err)
		}
		want := x
		want.Outcome, want.Status, want.Answer, want.Err, want.Duration, want.Target = "", 0, nil, nil, 0, ""
		if diff := cmp.Diff(want, e.exchange(), sameAuthorizer); diff != "" {
			t.Errorf("%s: -want +got\n%s", x.RequestID, diff)
		}
		result, err := resultOf(&x)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(result, e.Result); diff != "" {
			t.Errorf("%s: -want +got\n%s", x.RequestID, diff)
		}
	}
	e, err := r.Find("9a1c2e00-0000-4000-8000-000000000000")
	if err != nil || e.RequestID != "text=" || len(e.Pushes) != 1 || e.Pushes[0].ConnectionID != "other=" || len(e.Invocations) != 1 {
		t.Errorf("by Lambda's id: %+v %v", e, err)
	}
	if _, err := r.Find("none="); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
	latest, lost, err := r.Latest(3)
	if err != nil || lost != 0 || len(latest) != 3 || latest[0].RequestID != "conn1=" || latest[2].RequestID != "after=" {
		t.Errorf("%d lost, %v: %+v", lost, err, latest)
	}
	if info, err := os.Stat(filepath.Join(dir, "new.jsonl")); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

// TestBounds writes far more than is kept, and answers far larger.
func TestBounds(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	defer r.Close()
	x := message("", "")
	x.Answer.Body = []byte(strings.Repeat("ü", 100<<10) + "end")
	const n = 280
	for i := range n {
		x.RequestID = fmt.Sprintf("id%d=", i)
		r.Exchange(x)
		if i%4 == 0 {
			r.flush()
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Fatalf("%v %v", entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Size() > maxFile {
			t.Errorf("%s has %d bytes", e.Name(), info.Size())
		}
	}
	latest, lost, err := r.Latest(n)
	if err != nil || lost != 0 || len(latest) == n || latest[len(latest)-1].RequestID != "id279=" {
		t.Errorf("%d entries, %d lost, %v", len(latest), lost, err)
	}
	if a := latest[0].Answer; a.Size != len(x.Answer.Body) || a.Body != strings.Repeat("ü", maxBody/2) {
		t.Errorf("an answer of %d bytes was kept as %d of %d", len(x.Answer.Body), len(a.Body), a.Size)
	}
	for range 100 { // a disk that doesn't keep up
		r.Exchange(x)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) > maxWaiting+512<<10 || r.lost == 0 {
		t.Errorf("%d bytes wait, %d lines were left out", len(r.waiting), r.lost)
	}
}

// TestExchangeAllocatesNothing: it runs for every message.
func TestExchangeAllocatesNothing(t *testing.T) {
	x := message("id=", `{"action":"a"}`)
	x.Answer.Header = nil
	x.Authorizer = event.NewAuthorizerContext("ann", "the-key", 0, map[string]string{"tenant": "t"})
	x.Identity.Caller = &event.Caller{AccountID: "123456789012", ID: "AROA"}
	buf := make([]byte, 0, 4<<10)
	if n := testing.AllocsPerRun(100, func() { buf = appendExchange(buf[:0], &x) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestDifferences compares answers by path.
func TestDifferences(t *testing.T) {
	answer := func(status int, body string, headers ...event.Field) *Answer {
		return &Answer{Status: status, Header: headers, Body: body}
	}
	for _, tt := range []struct {
		name    string
		was, is Result
		want    []string
	}{
		{"the same", Result{Answer: answer(200, `{"a":1, "b":[1,2]}`), Duration: 1}, Result{Answer: answer(200, `{"b":[1,2],"a":1}`), Duration: 9}, nil},
		{"values", Result{Answer: answer(200, `{"a":1,"b":[1,{"c d":2}],"big":9007199254740993}`)}, Result{Answer: answer(201, `{"a":"1","b":[1,{"c d":3},4],"big":9007199254740992}`)},
			[]string{"answer.body.a 1 1", `answer.body.b[1]["c d"] 2 3`, "answer.body.b[2] <nil> 4", "answer.body.big 9007199254740993 9007199254740992", "answer.statusCode 200 201"}},
		{"text", Result{Answer: answer(200, "no JSON")}, Result{Answer: answer(200, "other")}, []string{"answer.body no JSON other"}},
		{"headers in any case", Result{Answer: answer(200, "", event.Field{Name: "X-A", Value: "1"})}, Result{Answer: answer(200, "", event.Field{Name: "x-a", Value: "1"}, event.Field{Name: "x-a", Value: "2"})},
			[]string{"answer.headers.x-a 1 1, 2"}},
		{"failed now", Result{Outcome: gateway.Done, RouteKey: "a", Answer: answer(200, "x")}, Result{Outcome: gateway.FunctionError, RouteKey: "b", Error: "no"},
			[]string{"routeKey a b", "outcome done function-error", "error <nil> no", "answer map[body:x statusCode:200] <nil>"}},
		{"Lambda's own ids", Result{Error: "RequestId: 9a1c2e00-0000-4000-8000-000000000000 Error: Task timed out"}, Result{Error: "RequestId: 9a1c2e00-0000-4000-8000-000000000001 Error: Task timed out"}, nil},
	} {
		var got []string
		for _, d := range differences(&tt.was, &tt.is, nil, nil) {
			got = append(got, fmt.Sprintf("%s %v %v", d.Path, d.Was, d.Is))
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", tt.name, diff)
		}
	}
	a, b := Push{Method: "POST", ConnectionID: "a", Outcome: "queued"}, Push{Method: "POST", ConnectionID: "b", Outcome: "withheld"}
	if d := differences(&Result{}, &Result{}, []Push{a, {Method: "POST", ConnectionID: "b", Outcome: "queued"}}, []Push{b, a}); len(d) != 0 {
		t.Errorf("pushes in another order: %v", d)
	}
	if d := differences(&Result{}, &Result{}, []Push{a}, []Push{{Method: "POST", ConnectionID: "a", Outcome: "gone"}}); len(d) != 1 || d[0].Path != "pushes[0]" {
		t.Errorf("a client that left: %v", d)
	}
}

// FuzzDifferences wants equal bodies to be equal, and others not.
func FuzzDifferences(f *testing.F) {
	f.Add(`{"a":[1,2,{"b":null}]}`, `{"a":[1,3]}`)
	f.Add(`[[[[1]]]]`, `x`)
	f.Fuzz(func(t *testing.T, a, b string) {
		was, is := &Result{Answer: &Answer{Body: a}}, &Result{Answer: &Answer{Body: b}}
		if d := differences(was, was, nil, nil); len(d) != 0 {
			t.Errorf("%q differs from itself: %v", a, d)
		}
		if len(differences(was, is, nil, nil)) != len(differences(is, was, nil, nil)) {
			t.Errorf("%q and %q differ otherwise the other way round", a, b)
		}
	})
}

// A world is a gateway and a router of a test's own.
type world struct {
	push   func(origin string) error // what the function of the replay does
	pushed []string
	gone   map[string]bool
}

func (w *world) Replay(_ context.Context, x gateway.Exchange) gateway.Exchange {
	if err := w.push(x.RequestID); err != nil {
		x.Outcome, x.Err = gateway.FunctionError, err
	}
	x.Outcome = gateway.Done
	return x
}

func (w *world) PushAll(context.Context, cluster.Audience, []byte, bool) (cluster.Delivery, error) {
	w.pushed = append(w.pushed, "all")
	return cluster.Delivery{Queued: 1}, nil
}

func (w *world) MayBlock() bool { return false }

func (w *world) Push(_ context.Context, to cluster.Target, _ []byte, _ bool) error {
	if w.gone[to.Text] {
		return apigw.ErrGone
	}
	w.pushed = append(w.pushed, to.Text)
	return nil
}

func (w *world) Get(_ context.Context, of cluster.Target) (cluster.Status, error) {
	if w.gone[of.Text] {
		return cluster.Status{}, apigw.ErrGone
	}
	return cluster.Status{}, nil
}

func (w *world) Delete(ctx context.Context, to cluster.Target) error {
	return w.Push(ctx, to, nil, false)
}

// TestPushesOfAReplay tells those of a replay from those of its record and of
// others, and keeps a dry one's to itself.
func TestPushesOfAReplay(t *testing.T) {
	rec := open(t, t.TempDir())
	defer rec.Close()
	w := &world{gone: map[string]bool{"left": true}}
	r := NewReplayer(rec, w, w, func(id string) bool { return !w.gone[id] })
	do := func(origin string) error {
		ctx := context.Background()
		r.Push(ctx, cluster.Target{Text: "a", Origin: origin}, []byte("hi"), false)
		r.Push(ctx, cluster.Target{Text: "stranger", Origin: "elsewhere="}, nil, false)
		r.Push(ctx, cluster.Target{Text: "unknown"}, nil, false)
		return r.Delete(ctx, cluster.Target{Text: "left", Origin: origin})
	}
	w.push = do
	do("id=")
	rec.Exchange(message("id=", "x"))
	recorded := []Push{{"a", 2, "queued", "POST"}, {"left", 0, "gone", "DELETE"}}
	for _, dry := range []bool{true, false} {
		w.pushed = nil
		got, err := r.Replay(t.Context(), "id=", dry)
		if err != nil {
			t.Fatal(err)
		}
		want, sent := recorded, []string{"a", "stranger", "unknown"}
		if dry {
			want, sent = []Push{{"a", 2, "withheld", "POST"}, {"left", 0, "gone", "DELETE"}}, []string{"stranger", "unknown"}
		}
		if diff := cmp.Diff(want, got.Pushes) + cmp.Diff(sent, w.pushed) + cmp.Diff(recorded, got.Record.Pushes); diff != "" {
			t.Errorf("dry %v: -want +got\n%s", dry, diff)
		}
		for _, d := range got.Differences {
			if strings.HasPrefix(d.Path, "pushes") {
				t.Errorf("dry %v: %+v", dry, d)
			}
		}
		if got.Dry != dry {
			t.Error("it doesn't say whether it was dry")
		}
	}
	if _, err := r.Replay(t.Context(), "none=", false); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
}
