package event

import (
	"strings"
	"testing"
	"time"
)

func TestTrace(t *testing.T) {
	at := time.Unix(0x5f5e100, 0)
	id := NewRequestID()
	trace := Trace(id, at)
	if !strings.HasPrefix(trace, "Root=1-05f5e100-") || len(trace) != len("Root=1-05f5e100-")+24+len(";Parent=")+16+len(";Sampled=0") {
		t.Errorf("%q", trace)
	}
	for _, as := range []string{trace, "Self=1-0-0;" + trace, strings.TrimSuffix(trace, ";Sampled=0") + ";Sampled=1;Lineage=1:x:0"} {
		if got := RequestIDOf(as); got != id {
			t.Errorf("%q carries %q, want %q", as, got, id)
		}
	}
	for _, no := range []string{"", "Root=1-", "Root=1-05f5e100-abc", "Root=1-05f5e100-0123456789abcdef01234567", "Root=1-05f5e100-zz23456789abcdef012345d7", "Parent=1"} {
		if got := RequestIDOf(no); got != "" {
			t.Errorf("%q carries %q", no, got)
		}
	}
	if got := Trace("0c9a1c2e-0000-4000-8000-000000000000", at); got != "" {
		t.Errorf("an id of another kind: %q", got)
	}
}
