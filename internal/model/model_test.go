package model_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"tidegate/internal/apigw"
	"tidegate/internal/model"
)

const person = `{"$schema":"http://json-schema.org/draft-04/schema#","title":"Person","type":"object",
 "required":["action","name"],
 "properties":{"action":{"enum":["join"]},"name":{"type":"string","minLength":2,"pattern":"^[a-z]+$"},"age":{"type":"integer","minimum":0,"exclusiveMinimum":true},
 "friend":{"$ref":"#"},"pet":{"$ref":"https://apigateway.amazonaws.com/restapis/api1/models/Pet"}},
 "additionalProperties":false}`

func set(schemas map[string]string) *model.Set {
	var all []*apigw.Model
	for name, s := range schemas {
		all = append(all, &apigw.Model{Name: name, Schema: s})
	}
	return model.NewSet("api1", all)
}

func TestValidate(t *testing.T) {
	m, err := set(map[string]string{"Person": person, "Pet": `{"type":"object","required":["legs"]}`}).Compile("Person")
	if err != nil {
		t.Fatal(err)
	}
	deep := strings.Repeat(`{"action":"join","name":"ab","friend":`, 200) + `{}` + strings.Repeat("}", 200)
	for message, want := range map[string]string{
		`{"action":"join","name":"bo"}`:                     "",
		`{"action":"join","name":"bo","age":1}`:             "",
		`{"action":"join","name":"bo","pet":{"legs":4}}`:    "",
		`{"action":"join","name":"bo","pet":{}}`:            `[object has missing required properties (["legs"])]`,
		`{}`:                                                `[object has missing required properties (["action","name"])]`,
		`[]`:                                                `[instance type (array) does not match any allowed primitive type (allowed: ["object"])]`,
		`{"action":"go","name":"bo"}`:                       `[instance value ("go") not found in enum (possible values: ["join"])]`,
		`{"action":"join","name":"b"}`:                      `[string is too short (length: 1, required minimum: 2)]`,
		`{"action":"join","name":"B2"}`:                     `[ECMA 262 regex "^[a-z]+$" does not match input string "B2"]`,
		`{"action":"join","name":"bo","more":1}`:            `[object instance has properties which are not allowed by the schema: ["more"]]`,
		`{"action":"join","name":"bo","age":0}`:             "exclusiveMinimum",
		`{"action":"join","name":"bo","age":1e99999999999}`: "exponent",
		`hello`:                "no JSON",
		``:                     "no JSON",
		`{} {}`:                "no JSON",
		`{action:"join"}`:      "no JSON",
		deep:                   "nested more than",
		`{"action":"join","na`: "no JSON",
	} {
		err := m.Validate([]byte(message))
		var invalid *model.Invalid
		switch {
		case want == "":
			if err != nil {
				t.Errorf("%.60s: %v", message, err)
			}
		case !errors.As(err, &invalid):
			t.Errorf("%.60s: %v is no *Invalid", message, err)
		case strings.HasPrefix(want, "["):
			if got := invalid.ValidationErrorString(); got != want {
				t.Errorf("%.60s:\n got %s\nwant %s", message, got, want)
			}
		case !strings.Contains(err.Error(), want):
			t.Errorf("%.60s: %v does not say %q", message, err, want)
		}
	}
	err = m.Validate([]byte(`{"action":"join","name":"bo","friend":{"action":"join","name":"X/~"}}`))
	if want := `(at /friend/name), says Person#/properties/name/pattern`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("where it is wrong: %v, want %s", err, want)
	}
}

func TestCompileRefuses(t *testing.T) {
	for schema, want := range map[string]string{
		`{"type":"objekt"}`: "no JSON Schema draft 4",
		`[]`:                "no JSON object",
		`{`:                 "no JSON",
		`{"$schema":"http://json-schema.org/draft-07/schema#"}`:                              "reads draft 4 only",
		`{"$ref":"http://example.com/schema.json"}`:                                          "nothing is fetched",
		`{"$ref":"file:///etc/passwd"}`:                                                      "nothing is fetched",
		`{"$ref":"https://apigateway.amazonaws.com/restapis/other/models/M"}`:                "nothing is fetched",
		`{"$ref":"https://apigateway.amazonaws.com/restapis/api1/models/None"}`:              `no model "None"`,
		`{"pattern":"(?=a)b"}`:                                                               "no lookaround",
		`{"pattern":"` + strings.Repeat("a", 5000) + `"}`:                                    "at most 4096 fit",
		`{"description":"` + strings.Repeat("a", 401<<10) + `"}`:                             "at most 409600 fit",
		strings.Repeat(`{"not":`, 200) + `{}` + strings.Repeat("}", 200):                     "nested more than 128",
		`{"$ref":"#/definitions/none"}`:                                                      "none",
		`{"properties":{"a":{"$ref":"https://apigateway.amazonaws.com/restapis/api1/bad"}}}`: "nothing is fetched",
	} {
		_, err := set(map[string]string{"M": schema}).Compile("M")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v, want %q", schema, err, want)
		}
	}
	if _, err := set(nil).Compile("M"); err == nil {
		t.Error("a model that isn't there compiles")
	}
}

// TestSteps holds messages against schemas that branch without end.
func TestSteps(t *testing.T) {
	var b strings.Builder
	for i := range 40 { // 2^40 ways through it
		fmt.Fprintf(&b, `"d%d":{"anyOf":[{"$ref":"#/definitions/d%d"},{"$ref":"#/definitions/d%d"}]},`, i, i+1, i+1)
	}
	for name, schema := range map[string]string{
		"branches": `{"$ref":"#/definitions/d0","definitions":{` + b.String() + `"d40":{"type":"array"}}}`,
		"recurses": `{"definitions":{"n":{"anyOf":[{"properties":{"x":{"$ref":"#/definitions/n"}},"required":["y"]},{"properties":{"x":{"$ref":"#/definitions/n"}},"required":["z"]}]}},"$ref":"#/definitions/n"}`,
	} {
		m, err := set(map[string]string{"M": schema}).Compile("M")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		message := strings.Repeat(`{"x":`, 60) + `{}` + strings.Repeat("}", 60)
		for range 2 { // the second use of one compiled schema
			if err := m.Validate([]byte(message)); err == nil || !strings.Contains(err.Error(), "steps") {
				t.Errorf("%s: %v, want one that speaks of steps", name, err)
			}
		}
	}
	m, err := set(map[string]string{"M": `{"$ref":"#"}`}).Compile("M")
	if err == nil {
		err = m.Validate([]byte(`{}`))
	}
	if err == nil {
		t.Error("a schema that is nothing but itself is no mistake")
	}
}

func TestConcurrentValidate(t *testing.T) {
	m, err := set(map[string]string{"M": `{"type":"object","required":["a"]}`}).Compile("M")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	for i := range 8 { // more at once than there are compiled schemas
		go func() {
			var err error
			for range 200 {
				if got := m.Validate(fmt.Appendf(nil, `{"%c":1}`, 'a'+rune(i%2))); (got == nil) != (i%2 == 0) {
					err = fmt.Errorf("goroutine %d: %v", i, got)
				}
			}
			done <- err
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func FuzzValidate(f *testing.F) {
	f.Add(person, `{"action":"join","name":"bo"}`)
	f.Add(`{"anyOf":[{"$ref":"#"},{"uniqueItems":true}]}`, `[1,1e3,"a"]`)
	f.Fuzz(func(t *testing.T, schema, message string) {
		m, err := set(map[string]string{"M": schema, "Pet": `{}`}).Compile("M")
		if err != nil {
			return
		}
		if err := m.Validate([]byte(message)); err != nil && err.Error() == "" {
			t.Error("an error without text")
		}
	})
}
