package parity

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func at(requestID, where string) func() First {
	return func() First { return First{RequestID: requestID, Where: where} }
}

// TestReport groups, counts, keeps the first, and puts the gravest first.
func TestReport(t *testing.T) {
	var r Report
	if Lines(r.Entries()) != nil {
		t.Error("an empty report has lines")
	}
	r.See(WorkAfterReturn, "Send", at("", "a line"))
	for i := range 3 {
		_, isNew := r.See(UnsignedCall, "execute-api", at(fmt.Sprint("r", i), "POST /dev/@connections/a="))
		if isNew != (i == 0) {
			t.Errorf("sighting %d: new is %v", i, isNew)
		}
	}
	r.See(UnsignedCall, "dynamodb", at("x", ""))
	got := r.Entries()
	want := []Entry{
		{Kind: UnsignedCall, Subject: "execute-api", Count: 3, RequestID: "r0", Where: "POST /dev/@connections/a="},
		{Kind: UnsignedCall, Subject: "dynamodb", Count: 1, RequestID: "x"},
		{Kind: WorkAfterReturn, Subject: "Send", Count: 1, Where: "a line"},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Entry{}, "At", "Here", "OnAWS", "Do")); diff != "" {
		t.Error(diff)
	}
	for _, e := range got {
		if e.At.IsZero() || time.Since(e.At) > time.Hour || e.Here == "" || e.OnAWS == "" || e.Do == "" {
			t.Errorf("an entry that says too little: %+v", e)
		}
	}
	lines := strings.Join(Lines(got), "\n")
	for _, line := range []string{"- execute-api, 3 times, first POST /dev/@connections/a= [r0]", "- dynamodb, once [x]", "- Send, once, a line"} {
		if !strings.Contains(lines, line) {
			t.Errorf("no %q in\n%s", line, lines)
		}
	}
	if n := strings.Count(lines, "unsigned-call: "); n != 1 {
		t.Errorf("the kind is named %d times:\n%s", n, lines)
	}
}

// TestBounds holds that a report stays small whatever is seen, and loses no count.
func TestBounds(t *testing.T) {
	var r Report
	for i := range 10 * maxSubjects {
		r.See(UnknownKey, fmt.Sprintf("KEY%d", i), at(strings.Repeat("r", 10000), strings.Repeat("é", 10000)))
	}
	got, total := r.Entries(), 0
	for _, e := range got {
		total += e.Count
		if len(e.Where) > maxText+len("…") || len(e.RequestID) > maxText+len("…") {
			t.Errorf("an entry of %d and %d bytes", len(e.Where), len(e.RequestID))
		}
	}
	if len(got) != maxSubjects+1 || total != 10*maxSubjects {
		t.Errorf("%d entries, %d counted", len(got), total)
	}
	if got[0].Subject != Others {
		t.Errorf("the most frequent is %q", got[0].Subject)
	}
}

// TestDocumented wants each kind in docs/differences.md, in the words of the
// report, and no other.
func TestDocumented(t *testing.T) {
	b, err := os.ReadFile("../../docs/differences.md")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, m := range Meanings {
		want = append(want, fmt.Sprintf("| `%s` | %s | %s | %s |", m.Kind, m.Here, m.OnAWS, m.Do))
	}
	var got []string
	_, section, _ := strings.Cut(string(b), "## What a run tells of them")
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		if strings.HasPrefix(line, "| `") {
			got = append(got, strings.TrimSuffix(line, "\n"))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/differences.md (-want +got):\n%s", diff)
	}
}
