package event

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

// TestAuthorizerContextJSON wants a context to come back whole, and a damaged one
// to be an error.
func TestAuthorizerContextJSON(t *testing.T) {
	for _, a := range []*AuthorizerContext{
		NewAuthorizerContext("", "", 0, nil),
		NewAuthorizerContext("ann", "a \"key\"", 12*time.Millisecond, map[string]string{"tenant": "\x00ü", "n": "1", "": "empty"}),
	} {
		b, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		var got AuthorizerContext
		if err := json.Unmarshal(b, &got); err != nil || !reflect.DeepEqual(a, &got) {
			t.Errorf("%s: %v: %s", b, err, got.Append(nil))
		}
	}
	for _, damaged := range []string{`[]`, `{"integrationLatency":"x"}`, `{"n":1}`, `{"n":{}}`} {
		if err := json.Unmarshal([]byte(damaged), new(AuthorizerContext)); err == nil {
			t.Errorf("%s: no error", damaged)
		}
	}
}
