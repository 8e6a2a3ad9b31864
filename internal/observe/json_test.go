package observe

import (
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestAppendJSON(t *testing.T) {
	n := Notice{
		Time: time.Date(2026, 11, 22, 16, 0, 0, 5e6, time.FixedZone("", 3600)), Kind: KindMessage, Level: slog.LevelWarn,
		Text: "dev  → \x00\x1b[2m\n", Detail: []string{`client got {"a":"b\c"}`, "bad \xff\xe2\x82 end"},
		Attrs: []slog.Attr{slog.Int("status", 200), slog.Bool("cold", true), slog.Duration("ms", 1234567*time.Nanosecond),
			slog.Any("urls", []string{"ws://a"}), slog.Any("why", errors.New("x")), slog.String("\t", "\t")},
	}
	want := `{"time":"2026-11-22T15:00:00.005Z","level":"WARN","kind":"message","msg":"dev  → \u0000\u001b[2m\n",` +
		`"detail":["client got {\"a\":\"b\\c\"}","bad ` + "\uFFFD\uFFFD\uFFFD" + ` end"],"status":200,"cold":true,"ms":1.234,"urls":["ws://a"],"why":{},"\t":"\t"}`
	got := string(n.AppendJSON([]byte("> ")))
	if diff := cmp.Diff("> "+want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if !json.Valid([]byte(got[2:])) {
		t.Error("it is no JSON")
	}
}

// FuzzAppendString wants what encoding/json reads back to be what went in.
func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "plain", "\"\\\b\f\n\r\t\x7f", "ü\u2028😀\xff\xf0\x9f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b := appendString(nil, s)
		var back string
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		want := s
		if !utf8.ValidString(s) {
			var w strings.Builder
			for _, r := range s { // each bad byte is a U+FFFD
				w.WriteRune(r)
			}
			want = w.String()
		}
		if back != want {
			t.Errorf("%q became %q", s, back)
		}
	})
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0µs", 4 * time.Microsecond: "0µs", 764 * time.Microsecond: "760µs", 999999: "1ms", time.Millisecond: "1ms",
		1234567: "1.2ms", 9960 * time.Microsecond: "10ms", 12 * time.Millisecond: "12ms", 268400 * time.Microsecond: "268ms",
		999970 * time.Microsecond: "1s", 3456 * time.Millisecond: "3.5s", 59960 * time.Millisecond: "1m0s",
		62 * time.Second: "1m2s", 2 * time.Hour: "2h0m0s", -time.Millisecond: "-1ms",
	} {
		if got := Short(d); got != want {
			t.Errorf("Short(%d) = %s, want %s", d, got, want)
		}
	}
}
