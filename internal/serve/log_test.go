package serve

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"tidegate/internal/observe"
)

// TestJournalIsBounded: of what others do wrong, a second has so many lines; what
// Tidegate itself says is never left out.
func TestJournalIsBounded(t *testing.T) {
	var out bytes.Buffer
	o := observe.New()
	j := newJournal(o, &out, false)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for range 100 {
		o.Note(observe.Notice{Time: at, Kind: observe.KindRefused, Level: slog.LevelWarn, Text: "refused"})
	}
	o.Note(observe.Notice{Time: at, Kind: observe.KindNote, Level: slog.LevelError, Text: "ours"})
	o.Note(observe.Notice{Time: at, Kind: observe.KindParity, Level: slog.LevelDebug, Text: "quiet"})
	o.Note(observe.Notice{Time: at.Add(time.Second), Kind: observe.KindRefused, Level: slog.LevelWarn, Text: "refused"})
	o.Close()
	<-j.told
	text := out.String()
	if n := strings.Count(text, "msg=refused"); n != mostTroubles+1 {
		t.Errorf("%d lines of refusals, want %d", n, mostTroubles+1)
	}
	if !strings.Contains(text, "msg=ours") || !strings.Contains(text, "count=80") || strings.Contains(text, "quiet") {
		t.Errorf("the log is\n%s", text)
	}
}
