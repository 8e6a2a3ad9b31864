package schedules

import (
	"slices"
	"testing"
	"time"
)

func TestParseSchedule(t *testing.T) {
	for text, want := range map[string]string{ // empty: String returns the text itself
		"at(2030-02-28T23:59:59)":               "",
		"rate(1 minutes)":                       "rate(1 minute)",
		"rate(5 minute)":                        "rate(5 minutes)",
		"rate(1 day)":                           "",
		"cron(15 10 ? * 6L 2022-2023)":          "",
		"cron(15 10 ? * 6L)":                    "cron(15 10 ? * 6L *)", // the year is optional
		"cron(*/15 * * * ? *)":                  "",
		"cron(0-59/10 0-23/2 ? * * *)":          "",
		"cron(1-31/30 1-1 ? * 1,7 *)":           "",
		"cron(0/30 20-23 ? * MON-FRI *)":        "cron(0/30 20-23 ? * 2-6 *)",
		"cron(0 8 ? * 2#1 *)":                   "",
		"cron(30 2 LW JAN,FEB,MAR ? 2030-2040)": "cron(30 2 LW 1,2,3 ? 2030-2040)",
	} {
		if want == "" {
			want = text
		}
		if e, err := ParseSchedule(text); err != nil || e.String() != want {
			t.Errorf("%s: %v, %v; want %s", text, e, err, want)
		}
	}
	for _, text := range []string{
		"", "at()", "at(2030-01-01)", "at(2030-01-01T00:00:00Z)", "at(2030-01-01T00:00)", "at(2030-02-30T00:00:00)", "at(2030-1-1T00:00:00)",
		"at(2030-01-01T00:00:00.5)", "at(2030-01-01T24:00:00)", "at(1969-01-01T00:00:00)", " at(2030-01-01T00:00:00)", "at(2030-01-01T00:00:00",
		"rate(30 seconds)", "rate(0 minutes)", "rate(5 weeks)", "rate(5  minutes)", "cron(*/30 * * * * ? *)", "cron(0 0 * * * *)", "cron(0 0 *)",
	} {
		if e, err := ParseSchedule(text); err == nil {
			t.Errorf("%q is taken as %s", text, e)
		}
	}
	if _, err := Parse("at(2030-01-01T00:00:00)"); err == nil {
		t.Error("a rule takes at()")
	}
}

// TestTiming lists what comes after a moment.
func TestTiming(t *testing.T) {
	anchor := instant(t, "2026-01-01T00:00:30Z")
	for name, c := range map[string]struct {
		schedule Schedule
		after    string
		want     []string
	}{
		"spring: a time that isn't is left out": {
			Schedule{Expression: "cron(30 2 * * ? *)", Timezone: "America/Los_Angeles"}, "2026-03-07T00:00:00Z",
			[]string{"2026-03-07T10:30:00Z", "2026-03-09T09:30:00Z", "2026-03-10T09:30:00Z"}},
		"autumn: a time that is twice counts once, the first time": {
			Schedule{Expression: "cron(30 1 * * ? *)", Timezone: "America/Los_Angeles"}, "2026-10-31T00:00:00Z",
			[]string{"2026-10-31T08:30:00Z", "2026-11-01T08:30:00Z", "2026-11-02T09:30:00Z"}},
		"autumn: every quarter of an hour": {
			Schedule{Expression: "cron(0/30 * * * ? *)", Timezone: "Europe/Vienna"}, "2026-10-24T23:45:00Z",
			[]string{"2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T02:00:00Z", "2026-10-25T02:30:00Z"}},
		"autumn: from within the hour that is shown again": {
			Schedule{Expression: "cron(0/30 * * * ? *)", Timezone: "Europe/Vienna"}, "2026-10-25T01:10:00Z",
			[]string{"2026-10-25T02:00:00Z"}},
		"a clock of half hours": {
			Schedule{Expression: "cron(0 9 ? * MON *)", Timezone: "Asia/Kolkata"}, "2026-06-01T03:29:59Z",
			[]string{"2026-06-01T03:30:00Z", "2026-06-08T03:30:00Z"}},
		"clocks that go back by half an hour": {
			Schedule{Expression: "cron(45 1 * * ? *)", Timezone: "Australia/Lord_Howe"}, "2026-04-04T00:00:00Z",
			[]string{"2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"}},
		"a day that a zone left out": {
			Schedule{Expression: "cron(0 12 * * ? *)", Timezone: "Pacific/Apia"}, "2011-12-29T12:00:00Z",
			[]string{"2011-12-29T22:00:00Z", "2011-12-30T22:00:00Z"}},
		"no year left": {Schedule{Expression: "cron(0 0 1 1 ? 2026)"}, "2026-01-01T00:00:00Z", nil},
		"never":        {Schedule{Expression: "cron(0 0 31 2 ? *)", Timezone: "Europe/Vienna"}, "2026-01-01T00:00:00Z", nil},
		"a rate begins at once": {
			Schedule{Expression: "rate(1 minutes)"}, "2026-01-01T00:00:00Z",
			[]string{"2026-01-01T00:00:30Z", "2026-01-01T00:01:30Z"}},
		"a rate begins at StartDate": {
			Schedule{Expression: "rate(1 hour)", Start: instant(t, "2026-02-01T10:15:00Z"), End: instant(t, "2026-02-01T12:15:00Z")}, "2026-01-01T00:00:00Z",
			[]string{"2026-02-01T10:15:00Z", "2026-02-01T11:15:00Z", "2026-02-01T12:15:00Z", ""}},
		"days are 24 hours, whatever the zone": {
			Schedule{Expression: "rate(1 days)", Timezone: "Europe/Vienna", Start: instant(t, "2026-03-28T01:30:00Z")}, "2026-03-28T00:00:00Z",
			[]string{"2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z"}},
		"cron between two dates": {
			Schedule{Expression: "cron(0 * * * ? *)", Start: instant(t, "2026-01-01T05:00:00Z"), End: instant(t, "2026-01-01T06:30:00Z")}, "2026-01-01T00:00:00Z",
			[]string{"2026-01-01T05:00:00Z", "2026-01-01T06:00:00Z", ""}},
		"at": {Schedule{Expression: "at(2022-11-20T13:00:00)", Timezone: "America/Los_Angeles"}, "2022-01-01T00:00:00Z", []string{"2022-11-20T21:00:00Z", ""}},
		"at has no bounds": {
			Schedule{Expression: "at(2026-01-01T12:00:00)", Start: instant(t, "2027-01-01T00:00:00Z")}, "2026-01-01T00:00:00Z", []string{"2026-01-01T12:00:00Z"}},
		"at in autumn": {Schedule{Expression: "at(2026-10-25T02:30:00)", Timezone: "Europe/Vienna"}, "2026-01-01T00:00:00Z", []string{"2026-10-25T00:30:00Z"}},
		"at in spring": {Schedule{Expression: "at(2026-03-29T02:30:00)", Timezone: "Europe/Vienna"}, "2026-01-01T00:00:00Z", []string{"2026-03-29T01:30:00Z"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.schedule.Anchor = anchor
			timing, err := newTiming(&c.schedule, &zones{})
			if err != nil {
				t.Fatal(err)
			}
			at, got := instant(t, c.after), []string(nil)
			for range max(len(c.want), 1) {
				at = timing.next(at)
				if at.IsZero() {
					if len(c.want) > 0 {
						got = append(got, "")
					}
					break
				}
				got = append(got, at.UTC().Format(time.RFC3339))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestWindow holds that each firing of a flexible window comes in it, before the
// next moment, and at the same time when asked again.
func TestWindow(t *testing.T) {
	sc := &Schedule{ARN: "arn:x", Expression: "cron(0/10 * * * ? *)", Window: 15}
	timing, err := newTiming(sc, &zones{})
	if err != nil {
		t.Fatal(err)
	}
	from := instant(t, "2026-01-01T00:00:00Z")
	delays := map[time.Duration]bool{}
	last := from
	for i, at := 0, from; i < 144; i++ {
		moment, due := timing.pending(at)
		if d := due.Sub(moment); d < 0 || d >= 10*time.Minute {
			t.Fatalf("%v fires %v late", moment, d)
		} else {
			delays[d] = true
		}
		if again, dueAgain := timing.pending(due.Add(-1)); !again.Equal(moment) || !dueAgain.Equal(due) {
			t.Fatalf("%v at %v, asked again %v at %v", moment, due, again, dueAgain)
		}
		if i > 0 && !moment.Equal(last.Add(10*time.Minute)) {
			t.Fatalf("%v follows %v", moment, last)
		}
		at, last = due, moment
	}
	if len(delays) < 50 {
		t.Errorf("144 firings have %d delays", len(delays))
	}
	if n := timing.count(from, from.Add(24*time.Hour)); n < 143 || n > 145 {
		t.Errorf("%d firings in a day", n)
	}
}

func TestZones(t *testing.T) {
	var z zones
	for _, name := range []string{"", "UTC", "Europe/Vienna", "America/Argentina/Buenos_Aires", "Etc/GMT+5"} {
		if _, err := z.load(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"Local", "CEST5", "Mars/Olympus", "../etc/passwd", "/etc/localtime", "Europe", "+02:00"} {
		if l, err := z.load(name); err == nil {
			t.Errorf("%s is taken as %v", name, l)
		}
	}
	if len(z.held) != 3 {
		t.Errorf("%d zones are held", len(z.held))
	}
}

func FuzzParseSchedule(f *testing.F) {
	for _, s := range []string{"at(2030-12-31T23:59:59)", "rate(1 minutes)", "cron(0/5 8-17 ? * MON-FRI)", "cron(30 2 29 2 ? *)"} {
		f.Add(s, "Europe/Vienna", int64(1774746000))
	}
	f.Add("cron(0/7 * * * ? *)", "America/New_York", int64(1793509200))
	var z zones
	f.Fuzz(func(t *testing.T, text, zone string, unix int64) {
		e, err := ParseSchedule(text)
		if err != nil || unix < 0 || unix > 7e9 {
			return
		}
		if again, err := ParseSchedule(e.String()); err != nil || again.String() != e.String() {
			t.Fatalf("%q prints as %q, which reads as %q (%v)", text, e, again, err)
		}
		after := time.Unix(unix, 0)
		timing, err := newTiming(&Schedule{Expression: text, Timezone: zone, Anchor: after, Window: int(unix % 30)}, &z)
		if err != nil {
			return
		}
		next := timing.next(after)
		if next.IsZero() {
			return
		}
		if !next.After(after) {
			t.Fatalf("%q in %s: %v follows %v", text, zone, next, after)
		}
		if between := after.Add(next.Sub(after) / 2); between.After(after) && !timing.next(between).Equal(next) {
			t.Fatalf("%q in %s: after %v comes %v, after %v %v", text, zone, after, next, between, timing.next(between))
		}
	})
}
