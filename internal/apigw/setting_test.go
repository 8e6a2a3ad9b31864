package apigw

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestSettings holds that what a setting prints it takes, in both modes, and that
// AWS's fixed quotas can't be set in its mode.
func TestSettings(t *testing.T) {
	for _, mode := range []Mode{ModeAWS, ModeExtended} {
		for _, s := range Settings() {
			l := LimitsOf(mode)
			text := s.Text(&l)
			err := l.Set(s.Name, text)
			if refused := mode == ModeAWS && !s.Adjustable; refused != (err != nil) {
				t.Errorf("mode %s, %s=%s: %v", mode, s.Name, text, err)
			}
			if l != LimitsOf(mode) {
				t.Errorf("mode %s, %s=%s changes something: %+v", mode, s.Name, text, l)
			}
		}
	}
}

func TestSet(t *testing.T) {
	for _, tt := range []struct {
		text, want string // what Changed says, or a part of the error
	}{
		{"message_size=1MiB", "message_size=1MiB"},
		{"message_size=1048576", "message_size=1MiB"},
		{"message_size=131073", "message_size=131073"},
		{"idle=1h30m", "idle=1h30m"},
		{"idle=90s", "idle=1m30s"},
		{"idle=none", "idle=none"},
		{"lifetime=24h", "lifetime=24h"},
		{"binary=off", "binary=off"},
		{"account_rate=50000", "account_rate=50000"},
		{"routes=1", "routes=1"},
		{"integration_timeout=5m", "integration_timeout=5m"},

		{"message_size=1GB", "it is a size such as"},
		{"message_size=none", "it is a size such as"},
		{"message_size=17MiB", "it is from 1KiB to 16MiB"},
		{"message_size=99999999999999999999MiB", "it is a size such as"},
		{"idle=10", "it is a duration such as 30m or 2h, or none"},
		{"idle=0", "it is from 1s to 2562047h, or none"},
		{"idle=-1h", "it is from 1s"},
		{"binary=yes", "it is on or off"},
		{"routes=0", "it is from 1 to 100000"},
		{"routes=1KiB", "it is a whole number"},
		{"account_burst=none", "it is a whole number"},
		{"integration_timeout=1h", "it is from 50ms to 15m"},
		{"Idle=1h", `there is no limit "Idle"; there are message_size`},
	} {
		l := LimitsOf(ModeExtended)
		name, value, _ := strings.Cut(tt.text, "=")
		got := ""
		if err := l.Set(name, value); err != nil {
			got = err.Error()
			if l != LimitsOf(ModeExtended) {
				t.Errorf("%s is refused and changes something", tt.text)
			}
		} else {
			got = strings.Join(l.Changed(), " ")
		}
		if !strings.Contains(got, tt.want) {
			t.Errorf("%s: %s, want %s", tt.text, got, tt.want)
		}
	}
	l := LimitsOf(ModeAWS)
	if err := l.Set("idle", "30m"); err == nil || !strings.Contains(err.Error(), "idle is 10m in mode aws") {
		t.Errorf("idle in mode aws: %v", err)
	}
	if err := l.Set("routes", "600"); err != nil || l.Routes != 600 {
		t.Errorf("AWS raises routes on request: %v, %d", err, l.Routes)
	}
	l = LimitsOf(ModeExtended)
	if err := l.Set("frame_size", "1MiB"); err != nil || l.Check() == nil {
		t.Errorf("a frame may be larger than a message: %v", err)
	}
	if (Limits{}).OrAWS() != LimitsOf(ModeAWS) || l.OrAWS() != l {
		t.Error("the zero value isn't AWS's limits, or others are lost")
	}
}

// TestDocumented wants a line of docs/quotas.md for each setting, with the values
// that both modes really have.
func TestDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/quotas.md")
	if err != nil {
		t.Fatal(err)
	}
	aws, extended := LimitsOf(ModeAWS), LimitsOf(ModeExtended)
	for _, s := range Settings() {
		value := s.Text(&aws)
		if s.Adjustable {
			value += " \\*"
		}
		if line := fmt.Sprintf("\n| `%s` | %s | %s | %s |", s.Name, s.About, value, s.Text(&extended)); !strings.Contains(string(doc), line) {
			t.Errorf("docs/quotas.md lacks the line %s", line[1:])
		}
	}
}
