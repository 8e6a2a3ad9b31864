package schedules

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"tidegate/internal/awshttp"
	"tidegate/internal/clock"
	"tidegate/internal/iampolicy"
	"tidegate/internal/kv"
	"tidegate/sigv4"
)

// memBucket is a kv.Bucket in memory.
type memBucket struct {
	kv.Bucket // Watch and Swap: not called
	mu        sync.Mutex
	m         map[string]kv.Entry
	writes    uint64
	fail      error // returned by the next writes
}

func newBucket() *memBucket { return &memBucket{m: map[string]kv.Entry{}} }

func (b *memBucket) Get(_ context.Context, key string) (kv.Entry, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e, ok := b.m[key]; ok {
		return e, nil
	}
	return kv.Entry{}, kv.ErrNotFound
}

func (b *memBucket) Put(_ context.Context, key string, value []byte) (uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := errors.Join(kv.CheckKey(key), b.fail); err != nil {
		return 0, err
	}
	b.writes++
	b.m[key] = kv.Entry{Key: key, Value: slices.Clone(value), Revision: b.writes}
	return b.writes, nil
}

func (b *memBucket) Delete(_ context.Context, key string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.m, key)
	return b.fail
}

func (b *memBucket) List(_ context.Context, prefix string) ([]kv.Entry, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []kv.Entry
	for _, k := range slices.Sorted(maps.Keys(b.m)) {
		if strings.HasPrefix(k, prefix) {
			out = append(out, b.m[k])
		}
	}
	return out, nil
}

const (
	testAccount = "000000000000"
	fnARN       = "arn:aws:lambda:us-east-1:000000000000:function:tick"
	ruleARN     = "arn:aws:events:us-east-1:000000000000:rule/tick"
)

var (
	rootKey    = sigv4.Credentials{AccessKeyID: "tidegate", SecretAccessKey: "tidegate"}
	roleKey    = sigv4.Credentials{AccessKeyID: "role", SecretAccessKey: "role's secret"}
	serviceKey = sigv4.Credentials{AccessKeyID: "events", SecretAccessKey: "events' secret"}
)

// identities knows the root, a role that may only describe, and the service.
type identities struct{}

func (identities) Lookup(id string) (awshttp.Identity, bool) {
	switch id {
	case rootKey.AccessKeyID:
		return awshttp.Identity{Secret: rootKey.SecretAccessKey, Principal: awshttp.Principal{Kind: awshttp.Root, ARN: "arn:aws:iam::000000000000:root", Account: testAccount}}, true
	case roleKey.AccessKeyID:
		d, err := iampolicy.Parse("see", []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["events:Describe*","events:List*"],"Resource":"arn:aws:events:*:*:rule/*"}]}`))
		if err != nil {
			panic(err)
		}
		return awshttp.Identity{Secret: roleKey.SecretAccessKey, Principal: awshttp.Principal{Kind: awshttp.Role, ARN: "arn:aws:sts::000000000000:assumed-role/see/x", Account: testAccount, Policies: []*iampolicy.Document{d}}}, true
	case serviceKey.AccessKeyID:
		return awshttp.Identity{Secret: serviceKey.SecretAccessKey, Principal: awshttp.Principal{Kind: awshttp.Service, ARN: "events.amazonaws.com", Account: testAccount}}, true
	}
	return awshttp.Identity{}, false
}

// A lambda stands for the Lambda service: it keeps the invocations and answers
// what answer says.
type lambda struct {
	mu     sync.Mutex
	got    []sent
	answer func(n int) (status int, body string) // n counts from 1; nil: 202
}

type sent struct {
	at          time.Time
	path, body  string
	source, typ string
}

// RoundTrip checks the signature as Lambda would.
func (l *lambda) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	auth, err := sigv4.Parse(r)
	if err != nil {
		return nil, err
	}
	if err := auth.Verify(r, body, serviceKey.SecretAccessKey, time.Now()); err != nil {
		return nil, err
	}
	if auth.Service != "lambda" || !slices.Contains(auth.SignedHeaders, "x-amz-source-arn") {
		return nil, fmt.Errorf("signed for %s, headers %v", auth.Service, auth.SignedHeaders)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.got = append(l.got, sent{time.Now(), r.URL.EscapedPath(), string(body), r.Header.Get(awshttp.HeaderSourceARN) + " " + r.Header.Get(awshttp.HeaderSourceAccount), r.Header.Get("X-Amz-Invocation-Type")})
	status, text := 202, ""
	if l.answer != nil {
		status, text = l.answer(len(l.got))
	}
	w := httptest.NewRecorder()
	w.Header().Set("X-Amzn-Requestid", fmt.Sprint("req-", len(l.got)))
	w.WriteHeader(status)
	w.WriteString(text)
	return w.Result(), nil
}

func (l *lambda) invocations() []sent {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.got)
}

// A fixture is a service over a lambda.
type fixture struct {
	*Service
	lambda *lambda
	mu     sync.Mutex
	fired  []Firing
	missed []string
	failed []error
}

func newFixture(t testing.TB, bucket kv.Bucket, change func(*Config)) *fixture {
	t.Helper()
	f := &fixture{lambda: &lambda{}}
	c := Config{
		Bucket: bucket, Endpoint: "http://lambda.test/", Client: &http.Client{Transport: f.lambda}, Credentials: serviceKey, Region: "us-east-1", Account: testAccount,
		Gate: &awshttp.Gate{Identities: identities{}, Mode: awshttp.Enforce, Account: testAccount, Region: "us-east-1"},
		Events: EventListener{
			Fired: func(x Firing) { f.mu.Lock(); defer f.mu.Unlock(); f.fired = append(f.fired, x) },
			Missed: func(m Miss) {
				f.mu.Lock()
				defer f.mu.Unlock()
				f.missed = append(f.missed, fmt.Sprint(m.Rule+m.Schedule, " ", m.Count))
			},
			Failed: func(err error) { f.mu.Lock(); defer f.mu.Unlock(); f.failed = append(f.failed, err) },
		},
	}
	if change != nil {
		change(&c)
	}
	var err error
	if f.Service, err = New(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) firings() []Firing {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.fired)
}

// call makes an API call and returns status and body.
func (f *fixture) call(t testing.TB, c sigv4.Credentials, operation, body string) (int, string) {
	t.Helper()
	r := httptest.NewRequest("POST", "http://localhost/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AWSEvents."+operation)
	sigv4.Sign(r, []byte(body), c, "events", "us-east-1", time.Now())
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func (f *fixture) must(t testing.TB, operation, body string) string {
	t.Helper()
	status, answer := f.call(t, rootKey, operation, body)
	if status != 200 {
		t.Fatalf("%s %s: %d %s", operation, body, status, answer)
	}
	return answer
}

// putTick makes the rule tick with one target.
func (f *fixture) putTick(t testing.TB, expression, more string) {
	t.Helper()
	f.must(t, "PutRule", fmt.Sprintf(`{"Name":"tick","ScheduleExpression":%q%s}`, expression, more))
	f.must(t, "PutTargets", `{"Rule":"tick","Targets":[{"Id":"fn","Arn":"`+fnARN+`"}]}`)
}

// TestFires is the story: a rate, then the same rule as a cron, then disabled.
func TestFires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, newBucket(), nil)
		begin := time.Now() // midnight UTC, 2000-01-01
		f.putTick(t, "rate(5 minutes)", "")
		time.Sleep(4*time.Minute + 59*time.Second)
		synctest.Wait()
		if n := len(f.lambda.invocations()); n != 0 {
			t.Fatalf("%d invocations before the first interval has passed", n)
		}
		time.Sleep(6 * time.Minute)
		synctest.Wait()
		got := f.lambda.invocations()
		if len(got) != 2 {
			t.Fatalf("%d invocations in eleven minutes", len(got))
		}
		for i, inv := range got {
			if want := begin.Add(time.Duration(i+1) * 5 * time.Minute); !inv.at.Equal(want) {
				t.Errorf("invocation %d at %v, want %v", i, inv.at, want)
			}
		}
		inv := got[1]
		if want := "/2015-03-31/functions/" + fnARN + "/invocations"; inv.path != want {
			t.Errorf("path %s, want %s", inv.path, want)
		}
		if inv.typ != "Event" || inv.source != ruleARN+" "+testAccount {
			t.Errorf("headers %s, %s", inv.typ, inv.source)
		}
		var event map[string]any
		if err := json.Unmarshal([]byte(inv.body), &event); err != nil {
			t.Fatal(err)
		}
		if id, _ := event["id"].(string); len(id) != 36 {
			t.Errorf("id %v", event["id"])
		}
		delete(event, "id")
		want := map[string]any{"version": "0", "detail-type": "Scheduled Event", "source": "aws.events", "account": testAccount, "time": "2000-01-01T00:10:00Z", "region": "us-east-1", "resources": []any{ruleARN}, "detail": map[string]any{}}
		if diff := cmp.Diff(want, event); diff != "" {
			t.Errorf("event (-want +got):\n%s", diff)
		}
		firing := f.firings()[1]
		if firing.Rule != "tick" || firing.ARN != ruleARN || firing.Target != fnARN || firing.RequestID != "req-2" || firing.Manual || firing.Err != nil || firing.Attempt != 1 {
			t.Errorf("firing %+v", firing)
		}

		// A cron replaces the rate; targets stay.
		f.must(t, "PutRule", `{"Name":"tick","ScheduleExpression":"cron(30 * * * ? *)"}`)
		time.Sleep(20 * time.Minute) // 00:30:59
		synctest.Wait()
		if got = f.lambda.invocations(); len(got) != 3 || !got[2].at.Equal(begin.Add(30*time.Minute)) {
			t.Fatalf("with a cron: %v", got[2:])
		}
		f.must(t, "DisableRule", `{"Name":"tick"}`)
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if n := len(f.lambda.invocations()); n != 3 {
			t.Errorf("a disabled rule fired %d times", n-3)
		}
		if infos := f.Rules(); len(infos) != 1 || !infos[0].Next.IsZero() || infos[0].State != Disabled {
			t.Errorf("Rules: %+v", infos)
		}
		f.must(t, "EnableRule", `{"Name":"tick"}`)
		if infos := f.Rules(); !infos[0].Next.Equal(begin.Add(4*time.Hour+30*time.Minute)) || infos[0].ScheduleExpression != "cron(30 * * * ? *)" {
			t.Errorf("Rules: %+v", infos)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestInputAndTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, newBucket(), nil)
		defer f.Close()
		f.must(t, "PutRule", `{"Name":"tick","ScheduleExpression":"rate(1 minute)"}`)
		f.must(t, "PutTargets", `{"Rule":"tick","EventBusName":"default","Targets":[{"Id":"b","Arn":"`+fnARN+`:live","Input":"{ \"say\": \"<hi>\" }"},{"Id":"a","Arn":"`+fnARN+`"},{"Id":"c","Arn":"`+fnARN+`2"}]}`)
		time.Sleep(time.Minute)
		synctest.Wait()
		byPath := map[string]string{}
		for _, inv := range f.lambda.invocations() {
			byPath[inv.path] = inv.body
		}
		if got := byPath["/2015-03-31/functions/"+fnARN+":live/invocations"]; got != `{ "say": "<hi>" }` {
			t.Errorf("the constant input arrived as %s", got)
		}
		if a := byPath["/2015-03-31/functions/"+fnARN+"/invocations"]; len(byPath) != 3 || a == "" || a != byPath["/2015-03-31/functions/"+fnARN+"2/invocations"] {
			t.Errorf("invocations: %v; those of one firing have the same event", byPath)
		}

		f.must(t, "RemoveTargets", `{"Rule":"tick","Ids":["a","c","unknown"]}`)
		if got := f.must(t, "ListTargetsByRule", `{"Rule":"tick"}`); got != `{"Targets":[{"Id":"b","Arn":"`+fnARN+`:live","Input":"{ \"say\": \"\u003chi\u003e\" }"}]}` {
			t.Errorf("ListTargetsByRule: %s", got)
		}
	})
}

// TestChangeKeepsDue changes targets between firings: the rate counts on.
func TestChangeKeepsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, newBucket(), nil)
		defer f.Close()
		f.putTick(t, "rate(10 minutes)", "")
		time.Sleep(9 * time.Minute)
		f.putTick(t, "rate(10 minutes)", "")
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(f.lambda.invocations()); n != 1 {
			t.Errorf("%d invocations; the same expression put again must not start over", n)
		}
	})
}

func TestRetries(t *testing.T) {
	for _, c := range []struct {
		name     string
		policy   string
		answer   func(n int) (int, string)
		attempts int
		text     string
	}{
		{"recovers", "", func(n int) (int, string) {
			if n < 4 {
				return 500, `{"Message":"boom"}`
			}
			return 202, ""
		}, 4, ""},
		{"throttled, no retries", `,"RetryPolicy":{"MaximumRetryAttempts":0}`, func(int) (int, string) { return 429, `{"message":"Rate Exceeded."}` }, 1, "429"},
		{"two retries", `,"RetryPolicy":{"MaximumRetryAttempts":2}`, func(int) (int, string) { return 503, `oh` }, 3, "oh"},
		{"until too old", `,"RetryPolicy":{"MaximumEventAgeInSeconds":60}`, func(int) (int, string) { return 500, `` }, 6, "500"}, // at 0, 1, 3, 7, 15, 31 s
		{"not allowed", "", func(int) (int, string) { return 403, `{"Message":"not authorized"}` }, 1, "AWS::Lambda::Permission"},
		{"no function", "", func(int) (int, string) { return 404, `{"Message":"Function not found"}` }, 1, "Function not found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, newBucket(), nil)
				defer f.Close()
				f.lambda.answer = c.answer
				f.must(t, "PutRule", `{"Name":"tick","ScheduleExpression":"rate(1 day)"}`)
				f.must(t, "PutTargets", `{"Rule":"tick","Targets":[{"Id":"fn","Arn":"`+fnARN+`"`+c.policy+`}]}`)
				time.Sleep(24*time.Hour + 10*time.Minute)
				synctest.Wait()
				fired := f.firings()
				if len(fired) != c.attempts {
					t.Fatalf("%d attempts, want %d", len(fired), c.attempts)
				}
				last := fired[len(fired)-1]
				if last.Retry != 0 || (last.Err == nil) != (c.text == "") || last.Err != nil && !strings.Contains(last.Err.Error(), c.text) {
					t.Errorf("the last: %v", last)
				}
				for i, x := range fired[:len(fired)-1] {
					if x.Retry == 0 || x.Err == nil || x.Attempt != i+1 {
						t.Errorf("attempt %d: %+v", i+1, x)
					}
				}
			})
		})
	}
}

// TestRestart opens the service again on the same bucket, an hour later.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := newBucket()
		f := newFixture(t, bucket, nil)
		f.putTick(t, "rate(7 minutes)", `,"Description":"d","Tags":[{"Key":"k","Value":"v"}]`)
		f.must(t, "PutRule", `{"Name":"off","ScheduleExpression":"rate(1 minute)","State":"DISABLED"}`)
		f.must(t, "PutRule", `{"Name":"..dots.","ScheduleExpression":"cron(0 0 1 1 ? 2001)"}`)
		before := f.must(t, "DescribeRule", `{"Name":"tick"}`)
		time.Sleep(8 * time.Minute) // fired at 7
		synctest.Wait()
		f.cancel() // as kill -9 does: nothing more is written
		f.wg.Wait()

		time.Sleep(time.Hour) // 14, 21, …, 63 are missed: 8
		again := newFixture(t, bucket, nil)
		defer again.Close()
		if want := []string{"tick 8"}; !slices.Equal(again.missed, want) {
			t.Errorf("missed %q, want %q", again.missed, want)
		}
		synctest.Wait()
		if n := len(again.lambda.invocations()); n != 0 {
			t.Errorf("%d missed firings were made up", n)
		}
		if after := again.must(t, "DescribeRule", `{"Name":"tick"}`); after != before {
			t.Errorf("after the restart %s, before %s", after, before)
		}
		if got := again.must(t, "ListTagsForResource", `{"ResourceARN":"`+ruleARN+`"}`); got != `{"Tags":[{"Key":"k","Value":"v"}]}` {
			t.Errorf("tags %s", got)
		}
		if n := len(again.Rules()); n != 3 {
			t.Errorf("%d rules", n)
		}
		time.Sleep(2 * time.Minute) // 70: the rate counts on
		synctest.Wait()
		if n := len(again.lambda.invocations()); n != 1 {
			t.Errorf("%d invocations when the rate's next moment came", n)
		}
	})
}

// TestClockJumps advances a clock over several firings: one is made, the others
// are said to be missed.
func TestClockJumps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		manual := clock.NewManual(time.Now())
		f := newFixture(t, newBucket(), func(c *Config) { c.Clock = manual })
		defer f.Close()
		f.putTick(t, "rate(1 minute)", "")
		synctest.Wait()
		manual.Advance(time.Minute)
		synctest.Wait()
		manual.Advance(5*time.Minute + 30*time.Second)
		synctest.Wait()
		if n := len(f.lambda.invocations()); n != 2 {
			t.Errorf("%d invocations", n)
		}
		if want := []string{"tick 4"}; !slices.Equal(f.missed, want) {
			t.Errorf("missed %q, want %q", f.missed, want)
		}
		if n := manual.Waiting(); n != 1 {
			t.Errorf("%d timers wait, want one", n)
		}
	})
}

func TestFire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, newBucket(), nil)
		defer f.Close()
		f.putTick(t, "cron(0 0 1 1 ? 2199)", `,"State":"DISABLED"`)
		f.must(t, "PutRule", `{"Name":"empty","ScheduleExpression":"rate(1 day)"}`)
		for _, name := range []string{"tick", ruleARN} {
			if err := f.Fire(t.Context(), name); err != nil {
				t.Errorf("Fire(%s): %v", name, err)
			}
		}
		if fired := f.firings(); len(fired) != 2 || !fired[0].Manual {
			t.Errorf("%+v", fired)
		}
		for name, want := range map[string]error{"none": ErrNoRule, strings.Replace(ruleARN, "us-east-1", "eu-west-1", 1): ErrNoRule, "empty": ErrNoTargets} {
			if err := f.Fire(t.Context(), name); !errors.Is(err, want) {
				t.Errorf("Fire(%s): %v, want %v", name, err, want)
			}
		}
		f.lambda.answer = func(int) (int, string) { return 500, `{"Message":"boom"}` }
		if err := f.Fire(t.Context(), "tick"); err == nil || !strings.Contains(err.Error(), "boom") {
			t.Errorf("Fire of a target that fails: %v", err)
		}
	})
}

func TestErrors(t *testing.T) {
	f := newFixture(t, newBucket(), nil)
	defer f.Close()
	f.putTick(t, "rate(1 day)", "")
	target := func(more string) string {
		return `{"Rule":"tick","Targets":[{"Id":"x","Arn":"` + fnARN + `",` + more + `}]}`
	}
	for _, c := range []struct{ operation, body, code, message string }{
		{"PutRule", `{"Name":"r","ScheduleExpression":"rate(1 minutes)"}`, "ValidationException", "Parameter ScheduleExpression is not valid."},
		{"PutRule", `{"Name":"r","ScheduleExpression":"rate(1 minute)","EventBusName":"mine"}`, "ValidationException", "ScheduleExpression is supported only on the default event bus."},
		{"PutRule", `{"Name":"r"}`, "ValidationException", "EventPattern or ScheduleExpression must be specified"},
		{"PutRule", `{"Name":"r","EventPattern":"{}"}`, "ValidationException", "scheduled rules only"},
		{"PutRule", `{"Name":"a b","ScheduleExpression":"rate(1 minute)"}`, "ValidationException", "'name'"},
		{"PutRule", `{"Name":"` + strings.Repeat("x", 65) + `","ScheduleExpression":"rate(1 minute)"}`, "ValidationException", "between 1 and 64"},
		{"PutRule", `{"Name":"r","ScheduleExpression":"rate(1 minute)","State":"ON"}`, "ValidationException", "enum"},
		{"PutRule", `{"Name":"r","ScheduleExpression":"rate(1 minute)","State":"ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"}`, "ValidationException", "CloudTrail"},
		{"PutRule", `{"Name":"r","ScheduleExpression":"rate(1 minute)","Surprise":1}`, "ValidationException", "Surprise"},
		{"PutRule", `{"Name":1}`, "SerializationException", "Name"},
		{"DescribeRule", `{"Name":"none"}`, "ResourceNotFoundException", "Rule none does not exist on EventBus default."},
		{"DescribeRule", `{"Name":"tick","EventBusName":"mine"}`, "ResourceNotFoundException", "Event bus mine does not exist."},
		{"EnableRule", `{"Name":"none"}`, "ResourceNotFoundException", "Rule none does not exist"},
		{"ListTargetsByRule", `{"Rule":"none"}`, "ResourceNotFoundException", "Rule none"},
		{"RemoveTargets", `{"Rule":"none","Ids":["x"]}`, "ResourceNotFoundException", "Rule none"},
		{"RemoveTargets", `{"Rule":"tick"}`, "ValidationException", "'ids'"},
		{"DeleteRule", `{"Name":"tick"}`, "ValidationException", "Rule can't be deleted since it has targets."},
		{"PutTargets", `{"Rule":"none","Targets":[{"Id":"x","Arn":"` + fnARN + `"}]}`, "ResourceNotFoundException", "Rule none"},
		{"PutTargets", `{"Rule":"tick","Targets":[]}`, "ValidationException", "'targets'"},
		{"PutTargets", `{"Rule":"tick","Targets":[{"Id":"x","Arn":"tick"}]}`, "ValidationException", "Parameter tick is not valid. Reason: Provided Arn is not in correct format."},
		{"PutTargets", `{"Rule":"tick","Targets":[{"Id":"x","Arn":"arn:aws:sqs:us-east-1:000000000000:q"}]}`, "ValidationException", "service sqs"},
		{"PutTargets", target(`"InputPath":"detail"`), "ValidationException", "InputPath of target"},
		{"PutTargets", target(`"InputPath":"$..x"`), "ValidationException", "no such step"},
		{"PutTargets", target(`"InputTransformer":{"InputTemplate":"x"}`), "ValidationException", "no valid JSON"},
		{"PutTargets", target(`"InputTransformer":{"InputTemplate":"<x>"}`), "ValidationException", "\u003cx\u003e"},
		{"PutTargets", target(`"InputTransformer":{"InputTemplate":"{}","InputPathsMap":{"aws.x":"$"}}`), "ValidationException", "aws.x"},
		{"PutTargets", target(`"InputTransformer":{"InputTemplate":"{}"},"InputPath":"$.detail"`), "ValidationException", "Only one of"},
		{"PutTargets", target(`"RoleArn":"x"`), "ValidationException", "RoleArn"},
		{"PutTargets", target(`"Input":"{oops"`), "ValidationException", "not valid JSON"},
		{"PutTargets", target(`"Input":"` + strings.Repeat("1", 8193) + `"`), "ValidationException", "8192"},
		{"PutTargets", target(`"RetryPolicy":{"MaximumRetryAttempts":186}`), "ValidationException", "185"},
		{"PutTargets", target(`"RetryPolicy":{"MaximumEventAgeInSeconds":59}`), "ValidationException", "86400"},
		{"PutTargets", target(`"Frobnicate":1`), "ValidationException", "Frobnicate"},
		{"ListRules", `{"Limit":0}`, "ValidationException", "'limit'"},
		{"ListRules", `{"NextToken":"!"}`, "ValidationException", "NextToken"},
		{"PutEvents", `{"Entries":[]}`, "UnknownOperationException", "PutEvents"},
		{"TestEventPattern", `{}`, "UnknownOperationException", "TestEventPattern"},
		{"Nonsense", `{}`, "UnknownOperationException", "Nonsense"},
		{"TagResource", `{"ResourceARN":"arn:aws:events:us-east-1:000000000000:archive/x"}`, "ResourceNotFoundException", "archive/x"},
	} {
		status, body := f.call(t, rootKey, c.operation, c.body)
		var e struct {
			Type    string `json:"__type"`
			Message string `json:"message"`
		}
		if err := json.Unmarshal([]byte(body), &e); err != nil || status != 400 || e.Type != c.code || !strings.Contains(e.Message, c.message) {
			t.Errorf("%s %.200s:\n %d %s\n want %s with %q", c.operation, c.body, status, body, c.code, c.message)
		}
	}
	if got := f.must(t, "ListTargetsByRule", `{"Rule":"tick"}`); strings.Count(got, `"Id"`) != 1 {
		t.Errorf("a refused target was kept: %s", got)
	}
	f.must(t, "DeleteRule", `{"Name":"none"}`)

	// The reason of a bad expression stands beside AWS's words.
	if _, body := f.call(t, rootKey, "PutRule", `{"Name":"r","ScheduleExpression":"cron(0 1 * * * *)"}`); !strings.Contains(body, "just one of day-of-month and day-of-week must be ?") {
		t.Errorf("%s", body)
	}
	if status, body := f.call(t, roleKey, "PutRule", `{"Name":"r","ScheduleExpression":"rate(1 minute)"}`); status != 400 || !strings.Contains(body, "events:PutRule") {
		t.Errorf("a role that may not: %d %s", status, body)
	}
	if status, body := f.call(t, roleKey, "DescribeRule", `{"Name":"tick"}`); status != 200 || body != `{"Name":"tick","Arn":"`+ruleARN+`","State":"ENABLED","ScheduleExpression":"rate(1 day)","EventBusName":"default","CreatedBy":"000000000000"}` {
		t.Errorf("a role that may: %d %s", status, body)
	}
}

func TestLimitsAndLists(t *testing.T) {
	f := newFixture(t, newBucket(), func(c *Config) { c.MaxRules = 5 })
	defer f.Close()
	for i := range 5 {
		f.must(t, "PutRule", fmt.Sprintf(`{"Name":"r%d","ScheduleExpression":"rate(1 day)"}`, i))
		f.must(t, "PutTargets", fmt.Sprintf(`{"Rule":"r%d","Targets":[{"Id":"x","Arn":"%s%d"}]}`, i, fnARN, i%2))
	}
	if status, body := f.call(t, rootKey, "PutRule", `{"Name":"r9","ScheduleExpression":"rate(1 day)"}`); status != 400 || !strings.Contains(body, "LimitExceededException") {
		t.Errorf("a rule too many: %d %s", status, body)
	}
	f.must(t, "PutRule", `{"Name":"r1","ScheduleExpression":"rate(2 days)"}`)
	targets := make([]string, 5)
	for i := range targets {
		targets[i] = fmt.Sprintf(`{"Id":"t%d","Arn":"%s"}`, i, fnARN)
	}
	if status, body := f.call(t, rootKey, "PutTargets", `{"Rule":"r0","Targets":[`+strings.Join(targets, ",")+`]}`); status != 400 || !strings.Contains(body, "LimitExceededException") {
		t.Errorf("a sixth target: %d %s", status, body)
	}
	if got := f.must(t, "ListRuleNamesByTarget", `{"TargetArn":"`+fnARN+`0"}`); got != `{"RuleNames":["r0","r2","r4"]}` {
		t.Errorf("ListRuleNamesByTarget: %s", got)
	}
	var names []string
	token := ""
	for pages := 1; ; pages++ {
		var out struct {
			Rules     []struct{ Name string }
			NextToken string
		}
		body := fmt.Sprintf(`{"NamePrefix":"r","Limit":2,"NextToken":%q}`, token)
		if err := json.Unmarshal([]byte(f.must(t, "ListRules", body)), &out); err != nil {
			t.Fatal(err)
		}
		for _, r := range out.Rules {
			names = append(names, r.Name)
		}
		if token = out.NextToken; token == "" {
			if pages != 3 {
				t.Errorf("%d pages", pages)
			}
			break
		}
	}
	if want := []string{"r0", "r1", "r2", "r3", "r4"}; !slices.Equal(names, want) {
		t.Errorf("ListRules: %v", names)
	}
}

// TestStoreFails: a write that fails changes nothing, and firing goes on.
func TestStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := newBucket()
		f := newFixture(t, bucket, nil)
		f.putTick(t, "rate(1 minute)", "")
		bucket.mu.Lock()
		bucket.fail = errors.New("disk full")
		bucket.mu.Unlock()
		if status, body := f.call(t, rootKey, "DisableRule", `{"Name":"tick"}`); status != 500 || strings.Contains(body, "disk full") {
			t.Errorf("%d %s", status, body)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(f.lambda.invocations()) != 1 || len(f.failed) != 1 {
			t.Errorf("%d invocations, failures %v", len(f.lambda.invocations()), f.failed)
		}
		if err := f.Close(); err == nil {
			t.Error("Close says nothing of the failed write")
		}
	})
}

// TestCloseCutsOff closes while a delivery hangs and another waits to retry.
func TestCloseCutsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := roundTripper(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		f := newFixture(t, newBucket(), func(c *Config) { c.Client = &http.Client{Transport: hangs} })
		f.putTick(t, "rate(1 minute)", "")
		time.Sleep(70 * time.Second)
		synctest.Wait()
		begin := time.Now()
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if d := time.Since(begin); d != 0 {
			t.Errorf("Close took %v", d)
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// BenchmarkClockwork lets 10,000 rules come due, one after the other.
func BenchmarkClockwork(b *testing.B) {
	manual := clock.NewManual(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	s := &Service{clock: manual, rules: map[string]*ruleState{}, wake: make(chan struct{}, 1)}
	for i := range 10_000 {
		r := &Rule{Name: fmt.Sprint("r", i), ScheduleExpression: "rate(10000 minutes)", State: Enabled, Anchor: manual.Now().Add(time.Duration(i) * time.Minute)}
		state := newRuleState()
		if err := s.set(state, r, manual.Now()); err != nil {
			b.Fatal(err)
		}
		s.rules[r.Name] = state
	}
	manual.Advance(9999 * time.Minute)
	b.ReportAllocs()
	for b.Loop() {
		manual.Advance(time.Minute)
		if firings, _ := s.takeDue(); len(firings) != 1 {
			b.Fatalf("%d firings", len(firings))
		}
	}
}
