package client

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLook(t *testing.T) {
	for _, tt := range []struct {
		look    Look
		payload string
		binary  bool
		want    string
	}{
		{Look{}, `{"a":1}`, false, `{"a":1}`},
		{Look{Pretty: true}, `{"a":[1,"x"]}`, false, "{\n  \"a\": [\n    1,\n    \"x\"\n  ]\n}"},
		{Look{Pretty: true}, "plain \x1b[2J text", false, `plain \x1b[2J text`},
		{Look{Pretty: true}, `{"a":`, false, `{"a":`},
		{Look{Pretty: true}, "\x00\xff", true, "binary, 2 bytes\n00000000  00 ff                                             |..|"},
		{Look{Pretty: true, Color: true}, `{"a\"":true}`, false, "{\n  \x1b[36m\"a\\\"\"\x1b[0m: \x1b[33mtrue\x1b[0m\n}"},
	} {
		if got := tt.look.message([]byte(tt.payload), tt.binary); got != tt.want {
			t.Errorf("%+v of %q: got %q, want %q", tt.look, tt.payload, got, tt.want)
		}
	}
}

func TestHistory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state", "history")
	h := openHistory(file)
	for _, l := range []string{"one", "two", "two", "", strings.Repeat("x", maxHistoryLine+1)} {
		h.Add(l)
	}
	h = openHistory(file)
	if h.Len() != 2 || h.At(0) != "two" || h.At(1) != "one" {
		t.Errorf("history %q", h.lines)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
		t.Errorf("the file: %v %v", info.Mode(), err)
	}
	for range maxHistory {
		h.Add("a")
		h.Add("b")
	}
	if h = openHistory(file); h.Len() != maxHistory {
		t.Errorf("%d lines are kept", h.Len())
	}
	if b, _ := os.ReadFile(file); strings.Count(string(b), "\n") != maxHistory {
		t.Errorf("the file has %d lines", strings.Count(string(b), "\n"))
	}
}

func TestNearest(t *testing.T) {
	have := []string{"SendMessage", "OnConnect", "OnDisconnect"}
	for name, want := range map[string]string{"SendMesage": "SendMessage", "onconnect": "OnConnect", "Send": "SendMessage", "xyz": "", "": ""} {
		if got := nearestName(name, have); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
