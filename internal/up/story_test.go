package up

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tidegate/internal/observe"
	"tidegate/internal/parity"
)

// TestStoryTellsEverything wants every notice told, in order, however many wait
// at a time.
func TestStoryTellsEverything(t *testing.T) {
	var out bytes.Buffer
	s := &story{out: &out}
	const n = 3000 // more than one write takes
	notices := make(chan observe.Notice, n)
	var want strings.Builder
	for i := range n {
		notices <- observe.Notice{Kind: observe.KindNote, Text: fmt.Sprint("note ", i), Detail: []string{"and why"}}
		fmt.Fprintf(&want, "note        note %d\n                      and why\n", i)
	}
	close(notices)
	s.follow(notices)
	if out.String() != want.String() {
		t.Errorf("%d bytes were told, want %d; the first:\n%.200s", out.Len(), want.Len(), out.String())
	}
}

// TestStoryLeavesOut what another line tells, but for programs.
func TestStoryLeavesOut(t *testing.T) {
	n := observe.Notice{Kind: observe.KindInvocation, Level: slog.LevelDebug, Text: "told elsewhere"}
	for _, json := range []bool{false, true} {
		var out bytes.Buffer
		(&story{out: &out, json: json}).tell(n)
		if told := strings.Contains(out.String(), n.Text); told != json {
			t.Errorf("JSON %v: told %v: %q", json, told, out.String())
		}
	}
}

// TestStoryInJSON wants every line to have a time, up's own notes too.
func TestStoryInJSON(t *testing.T) {
	var out bytes.Buffer
	s := &story{out: &out, json: true}
	s.note(slog.LevelInfo, "a note")
	var got struct {
		Time time.Time
		Msg  string
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got.Msg != "a note" || got.Time.Year() < 2026 {
		t.Errorf("%s: %v; want a note with its time", out.Bytes(), err)
	}
}

// TestStoryOfParity is silent without entries, for people a list, for programs one
// object.
func TestStoryOfParity(t *testing.T) {
	var report parity.Report
	var out bytes.Buffer
	people, programs := &story{out: &out}, &story{out: &out, json: true}
	people.parity(report.Entries())
	programs.parity(report.Entries())
	if out.Len() > 0 {
		t.Errorf("of nothing it tells %q", out.String())
	}
	report.See(parity.UnsignedCall, "execute-api", func() parity.First { return parity.First{RequestID: "r", Where: "POST \x1b[2J"} })
	people.parity(report.Entries())
	for _, want := range []string{"  unsigned-call: an unsigned call", "      on AWS: 403", "      to do:  sign it", "      - execute-api, once, POST \\x1b[2J [r]\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	out.Reset()
	programs.parity(report.Entries())
	var got struct {
		Kind    string
		Entries []parity.Entry
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got.Kind != observe.KindParity || len(got.Entries) != 1 || got.Entries[0].Kind != parity.UnsignedCall || got.Entries[0].Count != 1 {
		t.Errorf("%s: %v", out.Bytes(), err)
	}
}

func TestStoryLine(t *testing.T) {
	at := time.Date(2026, 11, 22, 16, 5, 6, 0, time.Local)
	n := observe.Notice{Time: at, Kind: observe.KindInvocation, Level: slog.LevelError, Text: "Chat\x1b[2J", Detail: []string{"at x"}}
	plain, colored := &story{}, &story{color: true}
	if got, want := string(plain.appendText(nil, n)), "16:05:06  invocation  Chat\\x1b[2J\n                      at x\n"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	want := "\x1b[2m16:05:06\x1b[0m  \x1b[31minvocation\x1b[0m  \x1b[31mChat\\x1b[2J\x1b[0m\n                      \x1b[2mat x\x1b[0m\n"
	if got := string(colored.appendText(nil, n)); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestStoryOfAFlood tells the first of many, trouble apart, and how many more
// there were: as soon as the second is over, however quiet it is then.
func TestStoryOfAFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		s := &story{out: &out, flood: newFlood(func(name string) string { return "Fn of " + name })}
		notices := make(chan observe.Notice)
		done := make(chan struct{})
		go func() {
			s.follow(notices)
			close(done)
		}()
		message := observe.Notice{Kind: observe.KindMessage, Text: "fine", Attrs: []slog.Attr{slog.String("routeKey", "a")}}
		line := observe.Notice{Kind: observe.KindOutput, Text: "line", Attrs: []slog.Attr{slog.String("function", "f")}}
		note := observe.Notice{Kind: observe.KindNote, Text: "note"}
		bad := message
		bad.Level, bad.Text = slog.LevelWarn, "bad"
		for range 100 {
			notices <- message
			notices <- note
		}
		for range 21 {
			notices <- bad
			notices <- line
		}
		time.Sleep(2 * floodTime)
		synctest.Wait()
		got := out.String()
		for text, want := range map[string]int{"fine": floodLines, "bad": floodLines, "output      line": floodLines, "note        note": 100,
			"… 80 more messages on a in the last second": 1, "… 1 more failed messages on a": 1, "… 1 more lines of Fn of f": 1} {
			if n := strings.Count(got, text); n != want {
				t.Errorf("%q was told %d times, want %d", text, n, want)
			}
		}
		out.Reset()
		for range 21 {
			notices <- message
		}
		close(notices)
		<-done
		if got := out.String(); strings.Count(got, "fine") != floodLines || !strings.Contains(got, "… 1 more messages on a") {
			t.Errorf("at the end:\n%s", got)
		}
		for i := range 2 * floodSubjects {
			n := message
			n.Attrs = []slog.Attr{slog.String("routeKey", fmt.Sprint(i))}
			s.flood.admits(&n)
		}
		if len(s.flood.seen) > floodSubjects+1 {
			t.Errorf("%d subjects are told apart", len(s.flood.seen))
		}
	})
}

// TestStoryColors wants a function's name in one colour, whatever it says.
func TestStoryColors(t *testing.T) {
	n := observe.Notice{Kind: observe.KindOutput, Text: "Fn [id=]  \x1b]0;x\x07", Attrs: []slog.Attr{slog.String("function", "f")}}
	got := Text(n, true)
	if strings.ContainsAny(strings.ReplaceAll(got, "\x1b[", ""), "\x1b\x07") || !strings.Contains(got, functionColors[hash("f")%6]+"Fn"+reset+" [id=]  \\x1b]0;x\\x07") {
		t.Errorf("%q", got)
	}
}
