package logs

import (
	"strings"
	"testing"
)

func TestPattern(t *testing.T) {
	const line = `{"level":"error","n":404,"ok":true,"none":null,"req":{"path":"/a/b","tags":["x","y"]}}`
	for _, tt := range []struct {
		pattern, message string
		want             bool
	}{
		{"", "anything", true},
		{"ERROR", "an ERROR came", true},
		{"ERROR", "an error came", false},
		{"ERROR came", "an ERROR came", true},
		{"ERROR gone", "an ERROR came", false},
		{`"ERROR came"`, "an ERROR came", true},
		{`"came ERROR"`, "an ERROR came", false},
		{`"say \"x\""`, `I say "x"`, true},
		{"?WARN ?ERROR", "an ERROR came", true},
		{"?WARN ?INFO", "an ERROR came", false},
		{"ERROR -came", "an ERROR came", false},
		{"-came", "an ERROR", true},
		{`%E\w+R%`, "an ERROR", true},
		{`%^E\w+R%`, "an ERROR", false},
		{`{ $.level = "error" }`, line, true},
		{`{ $.level = error }`, line, true},
		{`{ $.level = "warn" }`, line, false},
		{`{ $.level != "warn" }`, line, true},
		{`{ $.absent != "warn" }`, line, false},
		{`{ $.level = "er*" }`, line, true},
		{`{ $.level = %^e.*r$% }`, line, true},
		{`{ $.n = 404 }`, line, true},
		{`{ $.n >= 400 && $.n < 405 }`, line, true},
		{`{ $.n > 404 || $.n < 404 }`, line, false},
		{`{ ($.n = 1 || $.level = "error") && $.ok IS TRUE }`, line, true},
		{`{ $.none IS NULL }`, line, true},
		{`{ $.level IS NULL }`, line, false},
		{`{ $.absent NOT EXISTS }`, line, true},
		{`{ $.req.path = "/a/b" }`, line, true},
		{`{ $.req.tags[1] = "y" }`, line, true},
		{`{ $['req']['path'] = "/a/*" }`, line, true},
		{`{ $.level = "error" }`, "no JSON { at all", false},
	} {
		p, err := ParsePattern(tt.pattern)
		if err != nil {
			t.Errorf("%s: %v", tt.pattern, err)
		} else if p.Match(tt.message) != tt.want {
			t.Errorf("%s matches %s: %v", tt.pattern, tt.message, !tt.want)
		}
	}
}

func TestPatternMistakes(t *testing.T) {
	for pattern, want := range map[string]string{
		"[a, b]":                          "space-delimited",
		"a:b":                             "double quotes",
		`"open`:                           "ends the text",
		"{ $.x }":                         "want =",
		"{ $ = 1 }":                       "behind $",
		"{ $.x = 1":                       "}",
		"{ $.x > y }":                     "number",
		"{ $.x = 1 } y":                   "nothing behind",
		"%(%":                             "regular expression",
		"-":                               "a term",
		strings.Repeat("x", maxPattern+1): "longer",
		"{" + strings.Repeat("(", 40) + "$.x = 1 }": "parentheses",
	} {
		if _, err := ParsePattern(pattern); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, want %q", pattern, err, want)
		}
	}
}

func FuzzParsePattern(f *testing.F) {
	for _, s := range []string{`a "b" -c ?d %e%`, `{ ($.x = 1 || $['y'][0] != "z*") && $.a NOT EXISTS }`, "[x]"} {
		f.Add(s, `{"x":1,"y":["z"]}`)
	}
	f.Fuzz(func(t *testing.T, pattern, message string) {
		if p, err := ParsePattern(pattern); err == nil {
			p.Match(message)
		}
	})
}
