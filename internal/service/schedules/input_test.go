package schedules

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// anEvent is the example of AWS's page on input transformation.
const anEvent = `{"version":"0","id":"7bf73129-1428-4cd3-a780-95db273d1602","detail-type":"EC2 Instance State-change Notification","source":"aws.ec2",` +
	`"account":"123456789012","time":"2015-11-11T21:29:54Z","region":"us-east-1","resources":["arn:aws:ec2:us-east-1:123456789012:instance/i-abcd1111"],` +
	`"detail":{"instance-id":"i-0123456789","state":"RUNNING","quoted":"say \"hi\"","n":1.50,"list":[{"k":1},{"k":"two"},3]}}`

func TestInput(t *testing.T) {
	rule := &Rule{Name: "tick", ARN: ruleARN}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, c := range map[string]struct {
		target Target
		want   string
	}{
		"all of it":    {Target{}, anEvent},
		"a part":       {Target{InputPath: "$.detail.state"}, `"RUNNING"`},
		"a number":     {Target{InputPath: "$.detail.n"}, `1.50`},
		"the root":     {Target{InputPath: "$"}, anEvent},
		"an element":   {Target{InputPath: "$.resources[0]"}, `"arn:aws:ec2:us-east-1:123456789012:instance/i-abcd1111"`},
		"every one":    {Target{InputPath: "$.detail.list[*].k"}, `[1,"two"]`},
		"every member": {Target{InputPath: "$.detail.list[0].*"}, `[1]`},
		"quoted name":  {Target{InputPath: "$['detail-type']"}, `"EC2 Instance State-change Notification"`},
		"text": {transformed(`"instance <instance> is in <state>"`, "instance", "$.detail.instance-id", "state", "$.detail.state"),
			`"instance i-0123456789 is in RUNNING"`},
		"text with quotes": {transformed(`"instance \"<instance>\" is in <state>"`, "instance", "$.detail.instance-id", "state", "$.detail.state"),
			`"instance \"i-0123456789\" is in RUNNING"`},
		"lines": {transformed("\"instance <i>\"\n\"is <s>\"", "i", "$.detail.instance-id", "s", "$.detail.state"), "\"instance i-0123456789\"\n\"is RUNNING\""},
		"an object": {transformed(`{"instance": <instance>, "state": "<state>", "n": <n>, "list": [9, <list>]}`, "instance", "$.detail.instance-id", "state", "$.detail.state", "n", "$.detail.n", "list", "$.detail.list"),
			`{"instance": "i-0123456789", "state": "RUNNING", "n": 1.50, "list": [9, [{"k":1},{"k":"two"},3]]}`},
		"an escape stays one":      {transformed(`{"a":"<q>","b":<q>}`, "q", "$.detail.quoted"), `{"a":"say \"hi\"","b":"say \"hi\""}`},
		"an object within text":    {transformed(`"is <x>"`, "x", "$.detail.list[0]"), `"is {\"k\":1}"`},
		"nothing is left out":      {transformed(`"<none>!"`, "none", "$.detail.none"), `"!"`},
		"no placeholder":           {transformed(`"a < b and <b>"`), `"a < b and <b>"`},
		"AWS's own":                {transformed(`{"r":<aws.events.rule-arn>,"n":"<aws.events.rule-name>","t":<aws.events.event.ingestion-time>}`), `{"r":"` + ruleARN + `","n":"tick","t":"2026-01-02T03:04:05Z"}`},
		"the event":                {transformed(`{"e":<aws.events.event.json>}`), `{"e":` + anEvent + `}`},
		"the event but its detail": {transformed(`{"e":<aws.events.event>}`), `{"e":` + anEvent[:strings.Index(anEvent, `,"detail":`)] + `}}`},
	} {
		t.Run(name, func(t *testing.T) {
			if tr := c.target.Transformer; tr != nil {
				if err := tr.check(); err != nil {
					t.Fatal(err)
				}
			}
			got, err := c.target.input(rule, json.RawMessage(anEvent), now)
			if err != nil || string(got) != c.want {
				t.Errorf("got %s, %v\nwant %s", got, err, c.want)
			}
		})
	}
	if got, err := (&Target{InputPath: "$.detail.none"}).input(rule, json.RawMessage(anEvent), now); err == nil {
		t.Errorf("a path to nothing yields %s", got)
	}
}

func transformed(template string, paths ...string) Target {
	t := &InputTransformer{InputTemplate: template, InputPathsMap: map[string]string{}}
	for i := 0; i < len(paths); i += 2 {
		t.InputPathsMap[paths[i]] = paths[i+1]
	}
	return Target{Transformer: t}
}

// FuzzInput holds that a template which is accepted yields JSON.
func FuzzInput(f *testing.F) {
	f.Add(`{"a":<x>,"b":"<x> \"<x>\""}`, "$.detail.quoted")
	f.Add(`"<x>"`, "$.detail.list[*].k")
	f.Add(`[<x>,<aws.events.event>]`, "$.resources[0]")
	f.Fuzz(func(t *testing.T, template, path string) {
		target := transformed(template, "x", path)
		if target.Transformer.check() != nil {
			return
		}
		steps, err := parsePath(path)
		if err != nil {
			t.Fatalf("check took the path %q: %v", path, err)
		}
		if pick(json.RawMessage(anEvent), steps) == nil {
			return // a value that isn't there leaves a hole, as on AWS
		}
		got, err := target.input(&Rule{Name: "r", ARN: "arn:r"}, json.RawMessage(anEvent), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		dec := json.NewDecoder(strings.NewReader(string(got)))
		for dec.More() {
			var v any
			if err := dec.Decode(&v); err != nil {
				t.Fatalf("%q with %q yields %s: %v", template, path, got, err)
			}
		}
	})
}
