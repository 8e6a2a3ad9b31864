package tables

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const everyType = `{"b":{"B":"AAH/"},"bs":{"BS":["AQ==","Ag=="]},"f":{"BOOL":false},"l":{"L":[{"S":"x"},{"L":[]},{"M":{}}]},"m":{"M":{"k":{"N":"1.5"},"z":{"NULL":true}}},"n":{"N":"-12"},"ns":{"NS":["-1","2"]},"s":{"S":"é\"\\\n\u0001😀"},"ss":{"SS":["a","b"]},"t":{"BOOL":true}}`

func decodeText(t *testing.T, text string) item {
	t.Helper()
	s := &scanner{b: []byte(text)}
	it, err := s.attributes()
	if err == nil {
		err = s.end()
	}
	if err != nil {
		t.Fatalf("decode %s: %v", text, err)
	}
	return it
}

func TestValueRoundTrips(t *testing.T) {
	it := decodeText(t, everyType)
	if diff := cmp.Diff(everyType, string(it.appendJSON(nil))); diff != "" {
		t.Errorf("as JSON (-want +got):\n%s", diff)
	}
	back, err := decodeItem(it.appendBinary(nil))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(everyType, string(back.appendJSON(nil))); diff != "" {
		t.Errorf("through the durable form (-want +got):\n%s", diff)
	}
}

func TestDecodeDamagedItem(t *testing.T) {
	b := decodeText(t, everyType).appendBinary(nil)
	for i := range b {
		if _, err := decodeItem(b[:i]); err == nil {
			t.Errorf("the first %d of %d bytes decode", i, len(b))
		}
	}
	if _, err := decodeItem(append(b, 0)); err == nil {
		t.Error("a byte too many decodes")
	}
}

func TestAttributeValueErrors(t *testing.T) {
	deep := strings.Repeat(`{"L":[`, 40) + `{"S":"x"}` + strings.Repeat(`]}`, 40)
	for name, c := range map[string]struct{ value, want string }{
		"none":         {`{}`, "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"},
		"two":          {`{"S":"a","N":"1"}`, "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"},
		"null false":   {`{"NULL":false}`, "One or more parameter values were invalid: Null attribute value types must have the value of true"},
		"empty SS":     {`{"SS":[]}`, "One or more parameter values were invalid: An string set  may not be empty"},
		"empty NS":     {`{"NS":[]}`, "One or more parameter values were invalid: An number set  may not be empty"},
		"empty BS":     {`{"BS":[]}`, "One or more parameter values were invalid: Binary sets should not be empty"},
		"double SS":    {`{"SS":["b","a","b"]}`, `One or more parameter values were invalid: Input collection ["a", "b", "b"] contains duplicates.`},
		"double NS":    {`{"NS":["1","1.0"]}`, "One or more parameter values were invalid: Input collection contains duplicates."},
		"not a number": {`{"N":"x"}`, "The parameter cannot be converted to a numeric value: x"},
		"base64":       {`{"B":"abc"}`, "Base64 encoded length is expected a multiple of 4 bytes but found: 3"},
		"too deep":     {deep, errNesting},
	} {
		s := &scanner{b: []byte(c.value)}
		_, err := s.value()
		if err == nil || !strings.HasSuffix(err.Error(), ": "+c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

func TestItemSize(t *testing.T) {
	for text, want := range map[string]int{
		`{"a":{"S":"bcd"}}`:                     4,
		`{"a":{"N":"123"}}`:                     4,
		`{"a":{"BOOL":true}}`:                   2,
		`{"a":{"L":[{"S":"x"},{"S":"y"}]}}`:     1 + 3 + 2 + 2,
		`{"a":{"M":{"k":{"S":"v"}}}}`:           1 + 3 + 1 + 2,
		`{"a":{"SS":["x","yz"]}}`:               4,
		`{"a":{"B":"AAEC"},"b":{"S":"é"}}`:      1 + 3 + 1 + 2,
		`{"a":{"NULL":true},"b":{"L":[]}}`:      2 + 1 + 3,
		`{"a":{"NS":["1","100"]},"b":{"M":{}}}`: 1 + 4 + 1 + 3,
	} {
		if got := decodeText(t, text).size(); got != want {
			t.Errorf("size of %s = %d, want %d", text, got, want)
		}
	}
}

// FuzzScanner holds the reader against encoding/json: what it takes is JSON, and
// its own output reads back the same.
func FuzzScanner(f *testing.F) {
	f.Add(everyType)
	f.Add(`{"a":{"S":"\ud83d\ude00\ud83d"},"a":null}`)
	f.Add(`{"a":{"M":{"x":{"N":"1e3"}}}} `)
	f.Fuzz(func(t *testing.T, text string) {
		s := &scanner{b: []byte(text)}
		it, err := s.attributes()
		if err == nil {
			err = s.end()
		}
		if err != nil {
			return
		}
		if !json.Valid([]byte(text)) {
			t.Fatalf("%q was read though it is not JSON", text)
		}
		out := it.appendJSON(nil)
		if !json.Valid(out) {
			t.Fatalf("%q became %q, which is not JSON", text, out)
		}
		again := &scanner{b: out}
		it2, err := again.attributes()
		if err != nil || string(it2.appendJSON(nil)) != string(out) {
			t.Fatalf("%q became %q, then %v %q", text, out, err, it2.appendJSON(nil))
		}
		back, err := decodeItem(it.appendBinary(nil))
		if err != nil || string(back.appendJSON(nil)) != string(out) {
			t.Fatalf("%q came back from its durable form as %q, %v", out, back.appendJSON(nil), err)
		}
	})
}

// FuzzDecodeItem: damaged bytes are an error, never a panic.
func FuzzDecodeItem(f *testing.F) {
	f.Add([]byte{1, 1, 'a', 1, 1, 'x'})
	f.Fuzz(func(t *testing.T, b []byte) {
		if it, err := decodeItem(b); err == nil {
			it.size()
		}
	})
}
