package conformance

import "testing"

func TestMatchText(t *testing.T) {
	for _, test := range []struct {
		pattern, text string
		match         bool
		captured      string
	}{
		{"a.b", "a.b", true, ""},
		{"a.b", "axb", false, ""},
		{`{"id":"<connectionId:who>"}`, `{"id":"L0SM9cOFvHcCIhw="}`, true, "L0SM9cOFvHcCIhw="},
		{`{"id":"<connectionId:who>"}`, `{"id":"short"}`, false, ""},
		{"<known> <number>", "value 12.5", true, ""},
		{"<known> <number>", "other 12.5", false, ""},
		{"<any>", "", true, ""},
		{"<text>", "", false, ""},
		{"<number:who>/<number:who>", "1/1", true, "1"},
		{"<number:who>/<number:who>", "1/2", false, ""},
	} {
		v := values{"known": "value"}
		found, err := v.matchText(test.pattern, test.text)
		if err != nil || (len(found) == 0) != test.match || v["who"] != test.captured {
			t.Errorf("%s of %s: %v, %v, captured %q", test.pattern, test.text, found, err, v["who"])
		}
	}
	for _, pattern := range []string{"<unknown>", "<unknown:x>"} {
		if _, err := (values{}).matchText(pattern, "x"); err == nil {
			t.Errorf("%s stands for nothing, and is no error", pattern)
		}
	}
}

func TestMatchJSON(t *testing.T) {
	const got = `{"a":1,"b":{"c":"x","at":1700000000000},"list":[1,"two"],"none":null}`
	for _, test := range []struct {
		pattern string
		whole   bool
		where   string // of the mismatch; "" for none
	}{
		{`{"a":1}`, false, ""},
		{`{"a":1}`, true, "b"},
		{"a: 1\nb: {c: x, at: <epochMillis>}\nlist: [1, two]\nnone: null", true, ""},
		{`{"a":"1"}`, false, "a"},
		{`{"b":{"c":"<number>"}}`, false, "b.c"},
		{`{"b":{"c":"y"}}`, false, "b.c"},
		{`{"list":[1]}`, false, "list"},
		{`{"list":[1,"<any>"]}`, false, ""},
		{`{"a":"<absent>"}`, false, "a"},
		{`{"z":"<absent>"}`, false, ""},
		{`{"z":1}`, false, "z"},
		{`{"a":"<text>"}`, false, "a"},
	} {
		pattern, err := parseValue(test.pattern)
		if err != nil {
			t.Fatal(err)
		}
		value, err := parseValue(got)
		if err != nil {
			t.Fatal(err)
		}
		found, err := values{}.matchJSON(pattern, value, test.whole, "")
		where := ""
		if len(found) > 0 {
			where = found[0].at
		}
		if err != nil || where != test.where {
			t.Errorf("%s: %+v, %v; want a mismatch at %q", test.pattern, found, err, test.where)
		}
	}
}
