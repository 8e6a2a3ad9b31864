package logs

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"tidegate/internal/awshttp"
	"tidegate/internal/clock"
	"tidegate/internal/kv"
	"tidegate/internal/kv/filekv"
)

// anyone is the root, whatever key signs.
type anyone struct{}

func (anyone) Lookup(string) (awshttp.Identity, bool) { return awshttp.Identity{}, false }

// A fixture is a service in a folder, with a real client.
type fixture struct {
	t      *testing.T
	dir    string
	clock  *clock.Manual
	config Config
	store  kv.Store
	s      *Service
	http   *httptest.Server
	c      *cloudwatchlogs.Client
}

func newFixture(t *testing.T, change func(*Config)) *fixture {
	t.Helper()
	f := &fixture{t: t, dir: t.TempDir(), clock: clock.NewManual(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))}
	f.open(change)
	t.Cleanup(f.close)
	return f
}

func (f *fixture) open(change func(*Config)) {
	f.t.Helper()
	store, err := filekv.Open(filepath.Join(f.dir, "kv"))
	if err != nil {
		f.t.Fatal(err)
	}
	bucket, err := store.Bucket(f.t.Context(), "logs")
	if err != nil {
		f.t.Fatal(err)
	}
	f.store = store
	c := Config{Dir: filepath.Join(f.dir, "logs"), Bucket: bucket, Clock: f.clock, Region: "us-east-1", Account: "000000000000",
		Gate: &awshttp.Gate{Identities: anyone{}, Mode: awshttp.Off, Account: "000000000000", Region: "us-east-1"}}
	if change != nil {
		change(&c)
	}
	if f.s, err = New(f.t.Context(), c); err != nil {
		f.t.Fatal(err)
	}
	f.http = httptest.NewServer(f.s)
	f.c = cloudwatchlogs.New(cloudwatchlogs.Options{Region: "us-east-1", BaseEndpoint: aws.String(f.http.URL),
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""), RetryMaxAttempts: 1})
}

func (f *fixture) close() {
	f.http.Close()
	if err := errors.Join(f.s.Close(), f.store.Close()); err != nil {
		f.t.Error(err)
	}
}

func (f *fixture) check(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) stream(group, stream string) {
	f.t.Helper()
	_, err := f.c.CreateLogGroup(f.t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &group})
	if exists := new(types.ResourceAlreadyExistsException); !errors.As(err, &exists) {
		f.check(err)
	}
	_, err = f.c.CreateLogStream(f.t.Context(), &cloudwatchlogs.CreateLogStreamInput{LogGroupName: &group, LogStreamName: &stream})
	f.check(err)
}

// put writes messages, a second apart, the last one now.
func (f *fixture) put(group, stream string, messages ...string) {
	f.t.Helper()
	var events []types.InputLogEvent
	for i, m := range messages {
		at := f.clock.Now().Add(time.Duration(i-len(messages)+1) * time.Second)
		events = append(events, types.InputLogEvent{Timestamp: aws.Int64(at.UnixMilli()), Message: aws.String(m)})
	}
	_, err := f.c.PutLogEvents(f.t.Context(), &cloudwatchlogs.PutLogEventsInput{LogGroupName: &group, LogStreamName: &stream, LogEvents: events})
	f.check(err)
}

// filter returns the messages of every page.
func (f *fixture) filter(in cloudwatchlogs.FilterLogEventsInput) []string {
	f.t.Helper()
	var got []string
	ids := map[string]bool{}
	for p := cloudwatchlogs.NewFilterLogEventsPaginator(f.c, &in); p.HasMorePages(); {
		page, err := p.NextPage(f.t.Context())
		f.check(err)
		for _, e := range page.Events {
			if ids[*e.EventId] {
				f.t.Errorf("event %s came twice", *e.EventId)
			}
			ids[*e.EventId] = true
			got = append(got, *e.Message)
		}
	}
	return got
}

func want(t *testing.T, what string, got []string, list ...string) {
	t.Helper()
	if strings.Join(got, "|") != strings.Join(list, "|") {
		t.Errorf("%s: got %q, want %q", what, got, list)
	}
}

func TestFilter(t *testing.T) {
	f := newFixture(t, nil)
	const g = "/aws/lambda/f"
	f.stream(g, "2026/11/22/[$LATEST]a")
	f.stream(g, "2026/11/22/[$LATEST]b")
	f.put(g, "2026/11/22/[$LATEST]b", "b1", "b2 ERROR", "b3") // 11:59:58, :59, 12:00:00
	f.clock.Advance(time.Second)
	f.put(g, "2026/11/22/[$LATEST]a", "a1", "a2 ERROR") // 12:00:00, :01
	group := aws.String(g)
	want(t, "all, by time", f.filter(cloudwatchlogs.FilterLogEventsInput{LogGroupName: group}), "b1", "b2 ERROR", "b3", "a1", "a2 ERROR")
	want(t, "in pages", f.filter(cloudwatchlogs.FilterLogEventsInput{LogGroupName: group, Limit: aws.Int32(2)}), "b1", "b2 ERROR", "b3", "a1", "a2 ERROR")
	want(t, "pattern", f.filter(cloudwatchlogs.FilterLogEventsInput{LogGroupName: group, FilterPattern: aws.String("ERROR")}), "b2 ERROR", "a2 ERROR")
	want(t, "prefix", f.filter(cloudwatchlogs.FilterLogEventsInput{LogGroupName: group, LogStreamNamePrefix: aws.String("2026/11/22/[$LATEST]a")}), "a1", "a2 ERROR")
	want(t, "names", f.filter(cloudwatchlogs.FilterLogEventsInput{LogGroupIdentifier: aws.String("arn:aws:logs:us-east-1:000000000000:log-group:" + g + ":*"), LogStreamNames: []string{"2026/11/22/[$LATEST]b"}, FilterPattern: aws.String("-ERROR")}), "b1", "b3")
	noon := f.clock.Now().Add(-time.Second).UnixMilli()
	want(t, "from and to noon", f.filter(cloudwatchlogs.FilterLogEventsInput{LogGroupName: group, StartTime: &noon, EndTime: &noon}), "b3", "a1")

	f.close()
	f.open(nil)
	want(t, "after a restart", f.filter(cloudwatchlogs.FilterLogEventsInput{LogGroupName: group, FilterPattern: aws.String("ERROR")}), "b2 ERROR", "a2 ERROR")
}

func TestGetEvents(t *testing.T) {
	f := newFixture(t, nil)
	f.stream("g", "s")
	f.put("g", "s", "1", "2", "3", "4", "5")
	get := func(token *string, head bool) (*cloudwatchlogs.GetLogEventsOutput, []string) {
		t.Helper()
		out, err := f.c.GetLogEvents(t.Context(), &cloudwatchlogs.GetLogEventsInput{LogGroupName: aws.String("g"), LogStreamName: aws.String("s"), Limit: aws.Int32(2), StartFromHead: &head, NextToken: token})
		f.check(err)
		var got []string
		for _, e := range out.Events {
			got = append(got, *e.Message)
		}
		return out, got
	}
	out, got := get(nil, false)
	want(t, "the tail", got, "4", "5")
	back, got := get(out.NextBackwardToken, false)
	want(t, "before it", got, "2", "3")
	_, got = get(back.NextForwardToken, false)
	want(t, "forward again", got, "4", "5")
	end, got := get(out.NextForwardToken, false)
	want(t, "the end", got)
	if *end.NextForwardToken != *out.NextForwardToken {
		t.Error("at the end the token changed: who follows would never stop")
	}
	f.clock.Advance(time.Second)
	f.put("g", "s", "6")
	_, got = get(end.NextForwardToken, false)
	want(t, "what came since", got, "6")
	_, got = get(nil, true)
	want(t, "the head", got, "1", "2")
}

func TestGroupsAndStreams(t *testing.T) {
	f := newFixture(t, nil)
	ctx := t.Context()
	f.stream("/aws/lambda/one", "s")
	f.stream("/aws/lambda/two", "s")
	f.stream("other", "s")
	var names []string
	for p := cloudwatchlogs.NewDescribeLogGroupsPaginator(f.c, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: aws.String("/aws/"), Limit: aws.Int32(1)}); p.HasMorePages(); {
		page, err := p.NextPage(ctx)
		f.check(err)
		for _, g := range page.LogGroups {
			names = append(names, *g.LogGroupName)
			if !strings.HasSuffix(*g.Arn, *g.LogGroupName+":*") {
				t.Errorf("ARN %s", *g.Arn)
			}
		}
	}
	want(t, "groups", names, "/aws/lambda/one", "/aws/lambda/two")
	_, err := f.c.PutRetentionPolicy(ctx, &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: aws.String("other"), RetentionInDays: aws.Int32(1)})
	f.check(err)
	f.stream("other", "t")
	f.put("other", "t", "old")
	f.clock.Advance(25 * time.Hour)
	f.put("other", "t", "new")
	want(t, "within the retention", f.filter(cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("other")}), "new")
	f.close()
	f.open(nil)
	out, err := f.c.DescribeLogGroups(ctx, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePattern: aws.String("OTH")})
	f.check(err)
	if len(out.LogGroups) != 1 || aws.ToInt32(out.LogGroups[0].RetentionInDays) != 1 {
		t.Errorf("the retention was not kept: %+v", out.LogGroups)
	}
	streams, err := f.c.DescribeLogStreams(ctx, &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: aws.String("other"), OrderBy: types.OrderByLastEventTime, Descending: aws.Bool(true), Limit: aws.Int32(1)})
	f.check(err)
	if len(streams.LogStreams) != 1 || *streams.LogStreams[0].LogStreamName != "t" || streams.NextToken == nil {
		t.Errorf("streams %+v", streams.LogStreams)
	}
	_, err = f.c.DeleteLogStream(ctx, &cloudwatchlogs.DeleteLogStreamInput{LogGroupName: aws.String("other"), LogStreamName: aws.String("t")})
	f.check(err)
	f.stream("other", "t") // another one of the same name
	want(t, "a stream's events end with it", f.filter(cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("other")}))
	_, err = f.c.DeleteLogGroup(ctx, &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: aws.String("other")})
	f.check(err)
	if _, err := os.Stat(filepath.Join(f.dir, "logs", idOf("other"))); !os.IsNotExist(err) {
		t.Errorf("the group's files are left: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	f := newFixture(t, nil)
	ctx := t.Context()
	f.stream("g", "s")
	now := f.clock.Now().UnixMilli()
	put := func(stream string, events ...types.InputLogEvent) error {
		_, err := f.c.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{LogGroupName: aws.String("g"), LogStreamName: &stream, LogEvents: events})
		return err
	}
	at := func(ms int64, m string) types.InputLogEvent {
		return types.InputLogEvent{Timestamp: aws.Int64(ms), Message: aws.String(m)}
	}
	var absent *types.ResourceNotFoundException
	if err := put("none", at(now, "x")); !errors.As(err, &absent) || *absent.Message != "The specified log stream does not exist." {
		t.Errorf("no stream: %v", err)
	}
	if _, err := f.c.FilterLogEvents(ctx, &cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("none")}); !errors.As(err, &absent) || *absent.Message != "The specified log group does not exist." {
		t.Errorf("no group: %v", err)
	}
	var bad *types.InvalidParameterException
	for what, err := range map[string]error{
		"order": put("s", at(now, "x"), at(now-1, "y")),
		"size":  put("s", at(now, strings.Repeat("x", maxBatchBytes))),
		"span":  put("s", at(now-25*time.Hour.Milliseconds(), "x"), at(now, "y")),
		"empty": put("s", at(now, "")),
		"pattern": func() error {
			_, err := f.c.FilterLogEvents(ctx, &cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("g"), FilterPattern: aws.String("[a]")})
			return err
		}(),
		"token": func() error {
			_, err := f.c.FilterLogEvents(ctx, &cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("g"), NextToken: aws.String("x")})
			return err
		}(),
		"name": func() error {
			_, err := f.c.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String("a b")})
			return err
		}(),
		"retention": func() error {
			_, err := f.c.PutRetentionPolicy(ctx, &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: aws.String("g"), RetentionInDays: aws.Int32(2)})
			return err
		}(),
	} {
		if !errors.As(err, &bad) {
			t.Errorf("%s: %v", what, err)
		}
	}
	var exists *types.ResourceAlreadyExistsException
	if _, err := f.c.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String("g")}); !errors.As(err, &exists) {
		t.Errorf("twice: %v", err)
	}
	out, err := f.c.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{LogGroupName: aws.String("g"), LogStreamName: aws.String("s"),
		LogEvents: []types.InputLogEvent{at(now-15*24*time.Hour.Milliseconds(), "old")}})
	f.check(err)
	if out.RejectedLogEventsInfo == nil || aws.ToInt32(out.RejectedLogEventsInfo.TooOldLogEventEndIndex) != 1 {
		t.Errorf("too old: %+v", out.RejectedLogEventsInfo)
	}
	if _, err := f.c.StartQuery(ctx, &cloudwatchlogs.StartQueryInput{StartTime: &now, EndTime: &now, QueryString: aws.String("x")}); err == nil || !strings.Contains(err.Error(), "Tidegate's logs has no StartQuery") {
		t.Errorf("StartQuery: %v", err)
	}
}

// TestBounds keeps the newest events of a group, and of all groups.
func TestBounds(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.SegmentBytes, c.GroupBytes, c.TotalBytes = 1000, 4000, 6000 })
	line := strings.Repeat("x", 80)
	for _, g := range []string{"g", "h"} {
		f.stream(g, "s")
		f.stream(g, "empty")
		for i := range 100 {
			f.clock.Advance(time.Second)
			f.put(g, "s", fmt.Sprintf("%s %d", line, i))
		}
	}
	for _, g := range []string{"g", "h"} {
		got := f.filter(cloudwatchlogs.FilterLogEventsInput{LogGroupName: &g})
		if len(got) < 10 || len(got) > 40 || got[len(got)-1] != line+" 99" {
			t.Errorf("%s has %d events", g, len(got))
		}
	}
	var size int64
	filepath.Walk(f.s.Dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			size += info.Size()
		}
		return nil
	})
	if size > 6000 {
		t.Errorf("the files have %d bytes", size)
	}
}

// TestDamage: what a crash left half written is no event and doesn't stay.
func TestDamage(t *testing.T) {
	f := newFixture(t, nil)
	f.stream("g", "s")
	f.put("g", "s", "whole", "cut")
	f.close()
	file := filepath.Join(f.dir, "logs", idOf("g"), "00000001.log")
	info, err := os.Stat(file)
	f.check(err)
	f.check(os.Truncate(file, info.Size()-1))
	f.open(nil)
	f.clock.Advance(time.Second)
	f.put("g", "s", "after")
	want(t, "after a crash", f.filter(cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("g")}), "whole", "after")
}
