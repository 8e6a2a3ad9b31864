package schedules

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func instant(t testing.TB, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestParse(t *testing.T) {
	for text, want := range map[string]string{ // empty: String returns the text itself
		"rate(1 minute)":                     "",
		"rate(15 minutes)":                   "",
		"rate(1 hour)":                       "",
		"rate(2 days)":                       "",
		"cron(0 12 * * ? *)":                 "",
		"cron(0/5 8-17 ? * MON-FRI *)":       "cron(0/5 8-17 ? * 2-6 *)",
		"cron(1,2,30-40/3 */2 L * ? 2030)":   "",
		"cron(0 0 L-3,15W,LW jan/3 ? *)":     "cron(0 0 L-3,15W,LW 1/3 ? *)",
		"cron(0 0 ? * 6L *)":                 "",
		"cron(0 0 ? * fril,L *)":             "cron(0 0 ? * 6L,L *)",
		"cron(0 2 ? * SAT#3 *)":              "cron(0 2 ? * 7#3 *)",
		"cron(0 22-2 ? * FRI-MON 2024-2030)": "cron(0 22-2 ? * 6-2 2024-2030)",
	} {
		if want == "" {
			want = text
		}
		e, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if got := e.String(); got != want {
			t.Errorf("%s: String is %s, want %s", text, got, want)
		}
	}
	for text, want := range map[string]string{ // part of the error
		"":                          "rate(N unit)",
		"rate(5 minutes":            "rate(N unit)",
		"at(2030-01-01T00:00:00)":   "rate(N unit)",
		" rate(5 minutes)":          "without spaces",
		"rate(0 minutes)":           "from 1",
		"rate(05 minutes)":          "from 1",
		"rate(1.5 hours)":           "from 1",
		"rate(1 minutes)":           "minute, hour or day",
		"rate(2 minute)":            "minutes, hours or days",
		"rate(2 Minutes)":           "lower case",
		"rate(2  minutes)":          "minutes, hours or days",
		"rate(999999999 days)":      "100000",
		"cron(0 12 * * ?)":          "has 5",
		"cron(0 12 * * * *)":        "just one of",
		"cron(0 12 ? * ? *)":        "just one of",
		"cron(60 12 * * ? *)":       `minute "60"`,
		"cron(0 24 * * ? *)":        `hour "24"`,
		"cron(0 0 0 * ? *)":         `day-of-month "0"`,
		"cron(0 0 * 13 ? *)":        "JAN to DEC",
		"cron(0 0 ? * 0 *)":         "SUN to SAT",
		"cron(0 0 ? * 8 *)":         `day-of-week "8"`,
		"cron(0 0 ? * MON#6 *)":     "1 to 5",
		"cron(0 0 ? * 3#1,6#3 *)":   "stand alone",
		"cron(0 0 ?,1 * MON *)":     "stand alone",
		"cron(0 0 * * ? 1969)":      `year "1969"`,
		"cron(0 0 * * ? 2200)":      `year "2200"`,
		"cron(0 0 * * ? 2030-2020)": "ends before",
		"cron(0/0 0 * * ? *)":       "step",
		"cron(0/60 0 * * ? *)":      "step",
		"cron(? 0 * * ? *)":         `minute "?"`,
		"cron(L 0 * * ? *)":         `minute "L"`,
		"cron(0 0 L-31 * ? *)":      "1 to 30",
		"cron(0 0 32W * ? *)":       "1 to 31",
		"cron(0 0 , * ? *)":         "day-of-month",
		"cron(0 0 1- * ? *)":        "day-of-month",
		"cron(+1 0 1 * ? *)":        "minute",
		strings.Repeat("x", 257):    "256",
	} {
		if e, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v; want an error with %q", text, e, err, want)
		}
	}
}

func TestNext(t *testing.T) {
	for _, c := range []struct {
		text, after string
		want        []string
	}{
		{"cron(0 12 * * ? *)", "2026-02-28T11:59:59Z", []string{"2026-02-28T12:00:00Z", "2026-03-01T12:00:00Z"}},
		{"cron(0 12 * * ? *)", "2026-02-28T12:00:00Z", []string{"2026-03-01T12:00:00Z"}},
		{"cron(*/25 23 31 12 ? *)", "2026-12-31T23:26:00Z", []string{"2026-12-31T23:50:00Z", "2027-12-31T23:00:00Z"}},
		{"cron(0 0 29 2 ? *)", "2026-01-01T00:00:00Z", []string{"2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"}},
		{"cron(0 0 L * ? *)", "2028-01-31T00:00:00Z", []string{"2028-02-29T00:00:00Z", "2028-03-31T00:00:00Z"}},
		{"cron(0 0 LW * ? *)", "2026-01-01T00:00:00Z", []string{"2026-01-30T00:00:00Z", "2026-02-27T00:00:00Z", "2026-03-31T00:00:00Z"}},
		{"cron(0 0 1W * ? *)", "2026-07-15T00:00:00Z", []string{"2026-08-03T00:00:00Z", "2026-09-01T00:00:00Z"}}, // the 1st is a Saturday: not July
		{"cron(0 0 L-30 * ? *)", "2026-02-01T00:00:00Z", []string{"2026-03-01T00:00:00Z", "2026-05-01T00:00:00Z"}},
		{"cron(0 2 ? * SAT#3 *)", "2026-01-01T00:00:00Z", []string{"2026-01-17T02:00:00Z", "2026-02-21T02:00:00Z"}},
		{"cron(0 2 ? * MON#5 *)", "2026-01-01T00:00:00Z", []string{"2026-03-30T02:00:00Z", "2026-06-29T02:00:00Z"}},
		{"cron(0 0 ? * L *)", "2026-01-01T00:00:00Z", []string{"2026-01-03T00:00:00Z", "2026-01-10T00:00:00Z"}},
		{"cron(0 0 ? * 2L 2026)", "2026-11-01T00:00:00Z", []string{"2026-11-30T00:00:00Z", "2026-12-28T00:00:00Z", ""}},
		{"cron(0 22-1 ? * SAT-SUN *)", "2026-01-03T22:30:00Z", []string{"2026-01-03T23:00:00Z", "2026-01-04T00:00:00Z", "2026-01-04T01:00:00Z", "2026-01-04T22:00:00Z"}},
		{"cron(59 23 31 12 ? 2199)", "1960-01-01T00:00:00Z", []string{"2199-12-31T23:59:00Z", ""}},
		{"cron(0 0 31 2 ? *)", "2026-01-01T00:00:00Z", []string{""}},
		{"cron(0 0 1 1 ? 2020)", "2026-01-01T00:00:00Z", []string{""}},
		{"rate(5 minutes)", "2026-01-01T00:00:07Z", []string{"2026-01-01T00:05:07Z", "2026-01-01T00:10:07Z"}},
		{"rate(5 minutes)", "2026-01-01T00:09:00Z", []string{"2026-01-01T00:10:07Z"}},
		{"rate(1 day)", "2025-01-01T00:00:00Z", []string{"2026-01-02T00:00:07Z"}},
	} {
		anchor := instant(t, "2026-01-01T00:00:07Z")
		e, err := Parse(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		at := instant(t, c.after)
		for _, want := range c.want {
			got := e.Next(anchor, at)
			if want == "" {
				if !got.IsZero() {
					t.Errorf("%s after %v: %v, want none", c.text, at, got)
				}
				break
			}
			if !got.Equal(instant(t, want)) {
				t.Errorf("%s after %v: %v, want %s", c.text, at, got, want)
				break
			}
			at = got
		}
	}
}

func TestCount(t *testing.T) {
	anchor := instant(t, "2026-01-01T00:00:30Z")
	for _, c := range []struct {
		text, after, until string
		want               int
	}{
		{"rate(1 minute)", "2026-01-01T00:00:30Z", "2026-01-01T00:05:30Z", 5},
		{"rate(1 minute)", "2026-01-01T00:05:30Z", "2026-01-01T00:06:29Z", 0},
		{"rate(1 minute)", "2025-01-01T00:05:30Z", "2026-01-01T00:02:00Z", 1},
		{"rate(1 minute)", "2026-01-02T00:00:00Z", "2026-01-01T00:02:00Z", 0},
		{"rate(1 minute)", "2026-01-01T00:00:00Z", "2036-01-01T00:02:00Z", maxCount},
		{"cron(0/10 * * * ? *)", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", 6},
		{"cron(* * * * ? *)", "2026-01-01T00:00:00Z", "2036-01-01T01:00:00Z", maxCount},
		{"cron(0 0 31 2 ? *)", "2026-01-01T00:00:00Z", "2036-01-01T01:00:00Z", 0},
	} {
		e, err := Parse(c.text)
		if err != nil {
			t.Fatal(err)
		}
		if got := e.Count(anchor, instant(t, c.after), instant(t, c.until)); got != c.want {
			t.Errorf("%s from %s to %s: %d, want %d", c.text, c.after, c.until, got, c.want)
		}
	}
}

// vectors reads a file of the folder that TIDEGATE_VECTORS names.
func vectors(t *testing.T, file string, v any) {
	t.Helper()
	dir := os.Getenv("TIDEGATE_VECTORS")
	if dir == "" {
		t.Skipf("TIDEGATE_VECTORS doesn't name the folder with %s", file)
	}
	data, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
}

func TestValidityVectors(t *testing.T) {
	var cases []struct {
		Expr  string
		Valid bool
	}
	vectors(t, "schedule-validity.json", &cases)
	for _, c := range cases {
		if _, err := Parse(c.Expr); (err == nil) != c.Valid {
			t.Errorf("%q: %v, want valid %t", c.Expr, err, c.Valid)
		}
	}
	if len(cases) < 40 {
		t.Errorf("only %d cases", len(cases))
	}
}

func TestNextVectors(t *testing.T) {
	var cases []struct {
		Expr string
		From time.Time
		Next []time.Time
	}
	vectors(t, "cron-next.json", &cases)
	n := 0
	for _, c := range cases {
		e, err := Parse(c.Expr)
		if err != nil {
			t.Errorf("%s: %v", c.Expr, err)
			continue
		}
		at := c.From
		for _, want := range c.Next {
			n++
			if at = e.Next(at, at); !at.Equal(want) {
				t.Errorf("%s: %v, want %v", c.Expr, at, want)
				break
			}
		}
	}
	if n < 90 {
		t.Errorf("only %d instants", n)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"rate(1 minute)", "rate(20 days)", "cron(0/5 8-17 ? * MON-FRI 2020,2030/7)", "cron(1,*/3 0 L-3,15W,LW jan/3 ? *)", "cron(0 2 ? * SAT#3 *)", "cron(0 0 ? * 6L *)"} {
		f.Add(s)
	}
	after := time.Date(2026, 5, 17, 3, 4, 5, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		e, err := Parse(s)
		if err != nil {
			return
		}
		again, err := Parse(e.String())
		if err != nil {
			t.Fatalf("%q prints as %q: %v", s, e, err)
		}
		if !reflect.DeepEqual(e, again) {
			t.Fatalf("%q prints as %q, which is another", s, e)
		}
		next := e.Next(after, after)
		if !next.IsZero() && (!next.After(after) || e.Count(after, after, next) != 1) {
			t.Fatalf("%q: next is %v, count %d", s, next, e.Count(after, after, next))
		}
	})
}

func BenchmarkNext(b *testing.B) {
	for _, text := range []string{"rate(1 minute)", "cron(0/5 8-17 ? * MON-FRI *)", "cron(0 0 29 2 ? *)", "cron(0 0 31 2 ? *)"} {
		e, err := Parse(text)
		if err != nil {
			b.Fatal(err)
		}
		at := time.Date(2026, 5, 17, 3, 4, 5, 0, time.UTC)
		b.Run(strings.ReplaceAll(text, " ", "_"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e.Next(at, at)
			}
		})
	}
}
