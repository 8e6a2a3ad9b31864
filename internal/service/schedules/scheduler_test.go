package schedules

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/aws/aws-sdk-go-v2/service/scheduler/types"

	"tidegate/internal/clock"
	"tidegate/internal/kv"
	"tidegate/sigv4"
)

const (
	fireRole    = "arn:aws:iam::000000000000:role/fire"
	scheduleARN = "arn:aws:scheduler:us-east-1:000000000000:schedule/default/once"
)

func newSchedulerFixture(t testing.TB, bucket kv.Bucket) *fixture {
	t.Helper()
	return newFixture(t, bucket, func(c *Config) { c.SchedulerCredentials = serviceKey })
}

// rest makes a call of Scheduler's.
func (f *fixture) rest(t testing.TB, c sigv4.Credentials, method, path, body string) (int, string) {
	t.Helper()
	r := httptest.NewRequest(method, "http://localhost"+path, strings.NewReader(body))
	sigv4.Sign(r, []byte(body), c, "scheduler", "us-east-1", time.Now())
	w := httptest.NewRecorder()
	f.Scheduler().ServeHTTP(w, r)
	return w.Code, w.Header().Get("X-Amzn-Errortype") + w.Body.String()
}

// scheduled is a body of CreateSchedule.
func scheduled(expression, target, more string) string {
	return fmt.Sprintf(`{"ScheduleExpression":%q,"FlexibleTimeWindow":{"Mode":"OFF"},"Target":{"Arn":%q,"RoleArn":%q%s}%s}`, expression, fnARN, fireRole, target, more)
}

func (f *fixture) mustRest(t testing.TB, method, path, body string) string {
	t.Helper()
	status, answer := f.rest(t, rootKey, method, path, body)
	if status != 200 {
		t.Fatalf("%s %s %s: %d %s", method, path, body, status, answer)
	}
	return answer
}

// TestScheduleFiresOnce is an at() that is deleted after its firing.
func TestScheduleFiresOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newSchedulerFixture(t, newBucket())
		defer f.Close()
		begin := time.Now() // midnight UTC, 2000-01-01
		f.mustRest(t, "POST", "/schedules/once", scheduled("at(2000-01-01T02:00:00)",
			`,"Input":"{\"arn\":\"<aws.scheduler.schedule-arn>\",\"at\":\"<aws.scheduler.scheduled-time>\",\"n\":<aws.scheduler.attempt-number>}"`,
			`,"ScheduleExpressionTimezone":"Europe/Vienna","ActionAfterCompletion":"DELETE"`))
		f.mustRest(t, "POST", "/schedules/stays", scheduled("at(2000-01-01T01:00:00)", "", ""))
		time.Sleep(time.Hour + time.Minute)
		synctest.Wait()
		got := f.lambda.invocations()
		slices.SortFunc(got, func(a, b sent) int { return strings.Compare(a.body, b.body) })
		if len(got) != 2 || !got[0].at.Equal(begin.Add(time.Hour)) || !got[1].at.Equal(begin.Add(time.Hour)) {
			t.Fatalf("invocations %+v", got)
		}
		if want := `{"arn":"` + scheduleARN + `","at":"2000-01-01T01:00:00Z","n":1}`; got[0].body != want {
			t.Errorf("input %s, want %s", got[0].body, want)
		}
		if !strings.Contains(got[1].body, `"detail-type":"Scheduled Event","source":"aws.scheduler"`) || !strings.HasSuffix(got[1].body, `"detail":"{}"}`) {
			t.Errorf("the event %s", got[1].body)
		}
		if status, body := f.rest(t, rootKey, "GET", "/schedules/once", ""); status != 404 || !strings.HasPrefix(body, "ResourceNotFoundException") {
			t.Errorf("after its only firing: %d %s", status, body)
		}
		f.mustRest(t, "GET", "/schedules/stays", "")
		time.Sleep(48 * time.Hour)
		synctest.Wait()
		if n := len(f.lambda.invocations()); n != 2 {
			t.Errorf("%d invocations after two days", n)
		}
	})
}

// TestScheduleRecurs is a rate from now until its end, changed and disabled.
func TestScheduleRecurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newSchedulerFixture(t, newBucket())
		defer f.Close()
		end := time.Now().Add(10 * time.Minute)
		f.mustRest(t, "POST", "/schedules/r", scheduled("rate(5 minutes)", "", fmt.Sprintf(`,"EndDate":%d,"ActionAfterCompletion":"DELETE"`, end.Unix())))
		time.Sleep(6 * time.Minute) // at 0 and 5
		synctest.Wait()
		if n := len(f.lambda.invocations()); n != 2 {
			t.Errorf("%d invocations in six minutes", n)
		}
		// Another input leaves the timing alone.
		f.mustRest(t, "PUT", "/schedules/r", scheduled("rate(5 minutes)", `,"Input":"1"`, fmt.Sprintf(`,"EndDate":%d,"ActionAfterCompletion":"DELETE"`, end.Unix())))
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := f.lambda.invocations(); len(got) != 3 || got[2].body != "1" {
			t.Errorf("invocations %+v", got)
		}
		if len(f.Schedules()) != 0 {
			t.Errorf("after its end there is %+v", f.Schedules())
		}
		f.mustRest(t, "POST", "/schedules/off", scheduled("rate(1 minute)", "", `,"State":"DISABLED"`))
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := len(f.lambda.invocations()); n != 3 {
			t.Errorf("a disabled schedule fired %d times", n-3)
		}
		f.mustRest(t, "PUT", "/schedules/off", scheduled("rate(1 hour)", "", ""))
		synctest.Wait()
		if n := len(f.lambda.invocations()); n != 4 {
			t.Errorf("an enabled schedule fired %d times at once, want 1", n-3)
		}
	})
}

// TestScheduleAfterRestart kills the process before an at() and over a rate.
func TestScheduleAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := newBucket()
		f := newSchedulerFixture(t, bucket)
		f.mustRest(t, "POST", "/schedule-groups/g.1", `{"Tags":[{"Key":"k","Value":"v"}]}`)
		f.mustRest(t, "POST", "/schedules/once", scheduled("at(2000-01-01T01:00:00)", `,"Input":"1"`, `,"GroupName":"g.1","ActionAfterCompletion":"DELETE"`))
		f.mustRest(t, "POST", "/schedules/old", scheduled("at(2000-01-01T01:00:00)", `,"Input":"2","RetryPolicy":{"MaximumEventAgeInSeconds":60}`, ""))
		f.mustRest(t, "POST", "/schedules/rate", scheduled("rate(7 minutes)", "", ""))
		time.Sleep(8 * time.Minute) // rate at 0 and 7
		synctest.Wait()
		f.cancel() // as kill -9 does: nothing more is written
		f.wg.Wait()

		time.Sleep(72 * time.Minute) // now 80: 14, 21, …, 77 are missed: 10
		again := newSchedulerFixture(t, bucket)
		synctest.Wait()
		if want := []string{"default/rate 10", "default/old 1"}; !slices.Equal(again.missed, want) {
			t.Errorf("missed %q, want %q", again.missed, want)
		}
		got := again.firings()
		if len(got) != 1 || got[0].Schedule != "g.1/once" || got[0].Late != 20*time.Minute || !strings.Contains(got[0].String(), "20m0s late") {
			t.Errorf("firings %v", got)
		}
		if names := fmt.Sprint(again.Schedules()); strings.Contains(names, "once") || !strings.Contains(names, "old") {
			t.Errorf("schedules %s", names)
		}
		if got := again.mustRest(t, "GET", "/tags/arn:aws:scheduler:us-east-1:000000000000:schedule-group%2Fg.1", ""); got != `{"Tags":[{"Key":"k","Value":"v"}]}` {
			t.Errorf("tags %s", got)
		}
		again.Close()

		third := newSchedulerFixture(t, bucket)
		defer third.Close()
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if n := len(third.missed); n != 0 {
			t.Errorf("missed %q once more", third.missed)
		}
		if n := len(third.lambda.invocations()); n != 0 {
			t.Errorf("%d firings once more", n)
		}
	})
}

// TestScheduleRetries holds that each attempt is numbered and that the end is
// said with the queue that AWS has.
func TestScheduleRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newSchedulerFixture(t, newBucket())
		defer f.Close()
		f.lambda.answer = func(int) (int, string) { return 503, `{"Message":"busy"}` }
		f.mustRest(t, "POST", "/schedules/once", scheduled("at(2000-01-01T00:00:10)",
			`,"Input":"<aws.scheduler.attempt-number> <aws.scheduler.execution-id>","RetryPolicy":{"MaximumRetryAttempts":2},"DeadLetterConfig":{"Arn":"arn:aws:sqs:us-east-1:000000000000:dead"}`, ""))
		time.Sleep(time.Hour)
		synctest.Wait()
		got := f.lambda.invocations()
		if len(got) != 3 || got[0].body[0] != '1' || got[2].body[0] != '3' || got[0].body[1:] != got[2].body[1:] {
			t.Fatalf("invocations %+v", got)
		}
		if last := f.firings()[2]; last.Retry != 0 || !strings.Contains(last.String(), "AWS would send the event to arn:aws:sqs") {
			t.Errorf("the last firing: %s", last)
		}
	})
}

func TestUniversalInvoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newSchedulerFixture(t, newBucket())
		defer f.Close()
		body := func(input string) string {
			return fmt.Sprintf(`{"ScheduleExpression":"rate(1 day)","FlexibleTimeWindow":{"Mode":"OFF"},"Target":{"Arn":"arn:aws:scheduler:::aws-sdk:lambda:invoke","RoleArn":%q,"Input":%q}}`, fireRole, input)
		}
		f.mustRest(t, "POST", "/schedules/u", body(`{"FunctionName":"tick","InvocationType":"Event","Qualifier":"live","Payload":"{\"a\":\"<aws.scheduler.attempt-number>\"}"}`))
		synctest.Wait()
		got := f.lambda.invocations()
		if len(got) != 1 || got[0].path != "/2015-03-31/functions/tick/invocations" || got[0].body != `{"a":"1"}` || got[0].typ != "Event" {
			t.Errorf("invocations %+v", got)
		}
		for _, input := range []string{"", "{}", `{"FunctionName":"x","InvocationType":"Later"}`, `{"FunctionName":"x","LogType":"Tail"}`} {
			if status, answer := f.rest(t, rootKey, "POST", "/schedules/v", body(input)); status != 400 || !strings.Contains(answer, "Invalid RequestJson") {
				t.Errorf("%s: %d %s", input, status, answer)
			}
		}
		if err := f.Fire(t.Context(), "u"); err != nil {
			t.Error(err)
		}
		f.must(t, "PutRule", `{"Name":"u","ScheduleExpression":"rate(1 day)"}`)
		if err := f.Fire(t.Context(), "u"); !errors.Is(err, ErrAmbiguous) {
			t.Errorf("a name that two have: %v", err)
		}
		if err := f.Fire(t.Context(), "default/u"); err != nil {
			t.Error(err)
		}
	})
}

func TestSchedulerRefuses(t *testing.T) {
	f := newSchedulerFixture(t, newBucket())
	defer f.Close()
	f.mustRest(t, "POST", "/schedules/s", scheduled("rate(1 day)", "", `,"State":"DISABLED","ClientToken":"t-1"`))
	f.mustRest(t, "POST", "/schedules/s", scheduled("rate(1 day)", "", `,"State":"DISABLED","ClientToken":"t-1"`)) // the same call again
	other := func(arn string) string {
		return strings.Replace(scheduled("rate(1 day)", "", ""), fnARN, arn, 1)
	}
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string // code and part of the message
	}{
		{"POST", "/schedules/s", scheduled("rate(1 day)", "", `,"ClientToken":"t-1"`), 409, `ConflictException{"Message":"Schedule s already exists."}`},
		{"POST", "/schedules/s", scheduled("rate(1 day)", "", `,"ClientToken":"t-2"`), 409, "ConflictException"},
		{"PUT", "/schedules/none", scheduled("rate(1 day)", "", ""), 404, `ResourceNotFoundException{"Message":"Schedule none does not exist."}`},
		{"DELETE", "/schedules/none", "", 404, "ResourceNotFoundException"},
		{"GET", "/schedules/s?groupName=g", "", 404, "ResourceNotFoundException"},
		{"POST", "/schedules/x", scheduled("rate(1 day)", "", `,"GroupName":"g"`), 404, `ResourceNotFoundException{"Message":"Schedule group g does not exist."}`},
		{"POST", "/schedules/a%20b", scheduled("rate(1 day)", "", ""), 400, "at 'name'"},
		{"POST", "/schedules/x", scheduled("rate(30 seconds)", "", ""), 400, "Invalid Schedule Expression rate(30 seconds)."},
		{"POST", "/schedules/x", scheduled("rate(1 day)", "", `,"ScheduleExpressionTimezone":"Mars/Olympus"`), 400, "Mars/Olympus"},
		{"POST", "/schedules/x", scheduled("rate(1 day)", "", `,"StartDate":1000`), 400, "cannot be earlier than 5 minutes ago"},
		{"POST", "/schedules/x", scheduled("rate(1 day)", "", `,"EndDate":1000`), 400, "EndDate"},
		{"POST", "/schedules/x", scheduled("rate(1 day)", "", `,"State":"ON"`), 400, "enum value set"},
		{"POST", "/schedules/x", scheduled("rate(1 day)", "", `,"Nonsense":1`), 400, "Nonsense"},
		{"POST", "/schedules/x", strings.Replace(scheduled("rate(1 day)", "", ""), `"OFF"`, `"FLEXIBLE"`, 1), 400, "MaximumWindowInMinutes must be"},
		{"POST", "/schedules/x", strings.Replace(scheduled("rate(1 day)", "", ""), `"OFF"`, `"OFF","MaximumWindowInMinutes":5`, 1), 400, "must not be"},
		{"POST", "/schedules/x", strings.Replace(scheduled("rate(1 day)", "", ""), `"OFF"`, `"FLEXIBLE","MaximumWindowInMinutes":1441`, 1), 400, "1440"},
		{"POST", "/schedules/x", other("arn:aws:sqs:us-east-1:000000000000:q"), 400, "arn:aws:sqs:us-east-1:000000000000:q, of service sqs"},
		{"POST", "/schedules/x", other("arn:aws:scheduler:::aws-sdk:dynamodb:putItem"), 400, "universal target arn:aws:scheduler:::aws-sdk:dynamodb:putItem"},
		{"POST", "/schedules/x", other("nonsense"), 400, "not in correct format"},
		{"POST", "/schedules/x", scheduled("rate(1 day)", `,"SqsParameters":{}`, ""), 400, "SqsParameters"},
		{"POST", "/schedules/x", scheduled("rate(1 day)", `,"RetryPolicy":{"MaximumRetryAttempts":186}`, ""), 400, "185"},
		{"POST", "/schedules/x", strings.Replace(scheduled("rate(1 day)", "", ""), fireRole, "role", 1), 400, "target.roleArn"},
		{"POST", "/schedule-groups/default", "{}", 400, "cannot be performed on schedule group default"},
		{"DELETE", "/schedule-groups/default", "", 400, "cannot be performed on schedule group default"},
		{"DELETE", "/schedule-groups/none", "", 404, "Schedule group none does not exist."},
		{"GET", "/schedules?MaxResults=101", "", 400, "maxResults"},
		{"GET", "/schedules?NextToken=!", "", 400, "NextToken"},
		{"GET", "/schedules?ScheduleGroup=none", "", 404, "Schedule group none"},
		{"GET", "/tags/" + "arn:aws:scheduler:us-east-1:000000000000:schedule%2Fdefault%2Fs", "", 400, "schedule group"},
		{"PATCH", "/schedules/s", "", 404, "PATCH /schedules/s"},
		{"GET", "/nonsense", "", 404, "UnknownOperationException"},
	} {
		if status, body := f.rest(t, rootKey, c.method, c.path, c.body); status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s %s %s: %d %s; want %d %s", c.method, c.path, c.body, status, body, c.status, c.want)
		}
	}
	if n := len(f.Schedules()); n != 1 {
		t.Errorf("%d schedules", n)
	}
	if status, body := f.rest(t, roleKey, "GET", "/schedules/s", ""); status != 403 || !strings.Contains(body, "scheduler:GetSchedule") {
		t.Errorf("a role that may not: %d %s", status, body)
	}
	f.Service.maxSchedules = 1
	if status, body := f.rest(t, rootKey, "POST", "/schedules/x", scheduled("rate(1 day)", "", "")); status != 402 || !strings.HasPrefix(body, "ServiceQuotaExceededException") {
		t.Errorf("a schedule too many: %d %s", status, body)
	}
}

// TestSchedulerSDK talks to the service with the AWS SDK for Go.
func TestSchedulerSDK(t *testing.T) {
	f := newSchedulerFixture(t, newBucket())
	defer f.Close()
	server := httptest.NewServer(f.Scheduler())
	defer server.Close()
	client := scheduler.New(scheduler.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(server.URL),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: rootKey.AccessKeyID, SecretAccessKey: rootKey.SecretAccessKey}, nil
		}),
	})
	ctx := t.Context()
	group := aws.String("g")
	made, err := client.CreateScheduleGroup(ctx, &scheduler.CreateScheduleGroupInput{Name: group, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("1")}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.TagResource(ctx, &scheduler.TagResourceInput{ResourceArn: made.ScheduleGroupArn, Tags: []types.Tag{{Key: aws.String("b"), Value: aws.String("2")}}}); err != nil {
		t.Error(err)
	}
	if _, err := client.UntagResource(ctx, &scheduler.UntagResourceInput{ResourceArn: made.ScheduleGroupArn, TagKeys: []string{"a"}}); err != nil {
		t.Error(err)
	}
	tags, err := client.ListTagsForResource(ctx, &scheduler.ListTagsForResourceInput{ResourceArn: made.ScheduleGroupArn})
	if err != nil || len(tags.Tags) != 1 || *tags.Tags[0].Key != "b" {
		t.Errorf("ListTagsForResource: %+v, %v", tags, err)
	}
	start := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	for i := range 5 {
		_, err := client.CreateSchedule(ctx, &scheduler.CreateScheduleInput{
			Name: aws.String(fmt.Sprint("s", i)), GroupName: group, ScheduleExpression: aws.String("rate(1 hour)"), StartDate: &start, Description: aws.String("d"),
			FlexibleTimeWindow: &types.FlexibleTimeWindow{Mode: types.FlexibleTimeWindowModeFlexible, MaximumWindowInMinutes: aws.Int32(5)},
			Target:             &types.Target{Arn: aws.String(fnARN), RoleArn: aws.String(fireRole), Input: aws.String("{}"), RetryPolicy: &types.RetryPolicy{MaximumRetryAttempts: aws.Int32(0)}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	got, err := client.GetSchedule(ctx, &scheduler.GetScheduleInput{Name: aws.String("s1"), GroupName: group})
	if err != nil || !got.StartDate.Equal(start) || *got.FlexibleTimeWindow.MaximumWindowInMinutes != 5 || *got.Target.Input != "{}" ||
		*got.Target.RetryPolicy.MaximumRetryAttempts != 0 || *got.ScheduleExpressionTimezone != "UTC" || got.State != types.ScheduleStateEnabled {
		t.Errorf("GetSchedule: %+v, %v", got, err)
	}
	var names []string
	pages := scheduler.NewListSchedulesPaginator(client, &scheduler.ListSchedulesInput{GroupName: group, NamePrefix: aws.String("s"), MaxResults: aws.Int32(2)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range page.Schedules {
			names = append(names, *s.Name)
		}
	}
	if want := []string{"s0", "s1", "s2", "s3", "s4"}; !slices.Equal(names, want) {
		t.Errorf("pages hold %q", names)
	}
	groups, err := client.ListScheduleGroups(ctx, &scheduler.ListScheduleGroupsInput{})
	if err != nil || len(groups.ScheduleGroups) != 2 || groups.ScheduleGroups[1].State != types.ScheduleGroupStateActive {
		t.Errorf("ListScheduleGroups: %+v, %v", groups, err)
	}
	var conflict *types.ConflictException
	if _, err := client.CreateScheduleGroup(ctx, &scheduler.CreateScheduleGroupInput{Name: group}); !errors.As(err, &conflict) {
		t.Errorf("a group twice: %v", err)
	}
	var bad *types.ValidationException
	if _, err := client.CreateSchedule(ctx, &scheduler.CreateScheduleInput{Name: aws.String("q"), ScheduleExpression: aws.String("rate(1 day)"),
		FlexibleTimeWindow: &types.FlexibleTimeWindow{Mode: types.FlexibleTimeWindowModeOff},
		Target:             &types.Target{Arn: aws.String("arn:aws:sqs:us-east-1:000000000000:q"), RoleArn: aws.String(fireRole)}}); !errors.As(err, &bad) || !strings.Contains(bad.ErrorMessage(), "sqs") {
		t.Errorf("a queue: %v", err)
	}
	if _, err := client.DeleteScheduleGroup(ctx, &scheduler.DeleteScheduleGroupInput{Name: group}); err != nil {
		t.Error(err)
	}
	var missing *types.ResourceNotFoundException
	if _, err := client.GetSchedule(ctx, &scheduler.GetScheduleInput{Name: aws.String("s1"), GroupName: group}); !errors.As(err, &missing) {
		t.Errorf("a schedule of a deleted group: %v", err)
	}
	if n := len(f.Schedules()); n != 0 {
		t.Errorf("%d schedules", n)
	}
}

// BenchmarkSchedules lets 10,000 schedules of an hour live through an hour:
// ns/op over 3600 s is the part of a core that they take, Lambda's side and the
// disk left out. bytes/schedule is what each holds.
func BenchmarkSchedules(b *testing.B) {
	manual := clock.NewManual(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	bucket := newBucket()
	f := newFixture(b, bucket, func(c *Config) {
		c.Clock, c.SchedulerCredentials = manual, serviceKey
		c.Client = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 202, Header: http.Header{}, Body: http.NoBody}, nil
		})}
		c.Events = EventListener{}
	})
	defer f.Close()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 10_000 {
		f.mustRest(b, "POST", fmt.Sprint("/schedules/s", i), scheduled(fmt.Sprintf("cron(%d * * * ? *)", i%60), `,"Input":"{}"`, `,"ScheduleExpressionTimezone":"Europe/Vienna"`))
	}
	f.cancel() // from here on the benchmark is the clockwork
	f.wg.Wait()
	runtime.GC()
	runtime.ReadMemStats(&after)
	var stored int
	for k, e := range bucket.m {
		stored += len(k) + len(e.Value) // the bucket's own, which is a file otherwise
	}
	b.ResetTimer()
	for b.Loop() {
		n := 0
		for range 60 {
			manual.Advance(time.Minute)
			firings, _ := f.takeDue()
			for _, d := range firings {
				f.attempt(context.Background(), f.scheduleDelivery(d.schedule, firingID(d.schedule.ARN, d.schedule.Anchor, d.at), d.at), 1)
			}
			n += len(firings)
		}
		if n != 10_000 {
			b.Fatalf("%d firings in an hour", n)
		}
	}
	b.ReportMetric(float64(int(after.HeapAlloc-before.HeapAlloc)-stored)/10_000, "bytes/schedule")
}
