package nearest

import (
	"strings"
	"testing"
)

func TestName(t *testing.T) {
	keys := []string{"integration_uri", "integration_type", "route_key", "idle"}
	for word, want := range map[string]string{
		"integration_url": "integration_uri", "Integration_Typ": "integration_type", "rotue_key": "route_key",
		"idel": "idle", "routekey": "route_key", "idle": "", "port": "", strings.Repeat("i", 300): "",
	} {
		if got := Name(word, keys); got != want {
			t.Errorf("Name(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "", 3}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"abc", "abd", 1}, {"kitten", "sitting", 3}} {
		if got := Distance(c.a, c.b); got != c.want {
			t.Errorf("Distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
