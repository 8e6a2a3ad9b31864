package model

import (
	"encoding/json"
	"fmt"
	"math/big"
	"net/url"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// An Invalid says why a message fits no model.
type Invalid struct {
	Model string
	// Text is $context.error.validationErrorString, without its brackets.
	Text string
	// Path leads to the value in the message, and Keyword to what it offends in
	// the schema, both as JSON pointers; empty means the whole, or unknown.
	Path, Keyword string
}

// Error tells where and what.
func (i *Invalid) Error() string {
	text := "the message does not fit the model " + i.Model + ": " + i.Text
	if i.Path != "" {
		text += " (at " + i.Path + ")"
	}
	if i.Keyword != "" {
		text += ", says " + i.Keyword
	}
	return text
}

// ValidationErrorString is the value of $context.error.validationErrorString.
func (i *Invalid) ValidationErrorString() string { return "[" + i.Text + "]" }

// maxText bounds what of a message or schema gets into an explanation, in bytes.
const maxText = 1 << 10

// leaf returns the first of the errors that lie deepest: those around it only
// say that there is one.
func leaf(e *jsonschema.ValidationError) *jsonschema.ValidationError {
	for len(e.Causes) > 0 {
		switch e.ErrorKind.(type) {
		case *kind.AnyOf, *kind.OneOf, *kind.Not:
			return e
		}
		e = e.Causes[0]
	}
	return e
}

func describe(model string, e *jsonschema.ValidationError) *Invalid {
	e = leaf(e)
	i := &Invalid{Model: model, Text: clip(words(e.ErrorKind), maxText)}
	for _, step := range e.InstanceLocation {
		i.Path += "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(step)
	}
	i.Path = clip(i.Path, maxText)
	where := e.SchemaURL
	if at := strings.LastIndexByte(where, '/'); at >= 0 {
		where = where[at+1:]
	}
	if _, name, ok := strings.Cut(e.SchemaURL, "/models/"); ok {
		where = name
	}
	if plain, err := url.PathUnescape(where); err == nil {
		where = plain
	}
	i.Keyword = where
	if path := e.ErrorKind.KeywordPath(); len(path) > 0 {
		i.Keyword += "/" + strings.Join(path, "/")
	}
	i.Keyword = clip(i.Keyword, maxText)
	return i
}

func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// words says what is wrong as API Gateway's validator does, where its texts are
// known (java json-schema-validator 2, validation.properties), else in the
// library's words.
func words(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Type:
		return fmt.Sprintf("instance type (%s) does not match any allowed primitive type (allowed: %s)", k.Got, quoted(k.Want))
	case *kind.Required:
		return fmt.Sprintf("object has missing required properties (%s)", quoted(k.Missing))
	case *kind.AdditionalProperties:
		return fmt.Sprintf("object instance has properties which are not allowed by the schema: %s", quoted(k.Properties))
	case *kind.Enum:
		return fmt.Sprintf("instance value (%s) not found in enum (possible values: %s)", value(k.Got), value(k.Want))
	case *kind.MinLength:
		return fmt.Sprintf("string is too short (length: %d, required minimum: %d)", k.Got, k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("string is too long (length: %d, maximum allowed: %d)", k.Got, k.Want)
	case *kind.Pattern:
		return fmt.Sprintf("ECMA 262 regex %q does not match input string %q", k.Want, k.Got)
	case *kind.Minimum:
		return fmt.Sprintf("numeric instance is lower than the required minimum (minimum: %s, found: %s)", number(k.Want), number(k.Got))
	case *kind.Maximum:
		return fmt.Sprintf("numeric instance is greater than the required maximum (maximum: %s, found: %s)", number(k.Want), number(k.Got))
	case *kind.MinItems:
		return fmt.Sprintf("array is too short: must have at least %d elements but instance has %d elements", k.Want, k.Got)
	case *kind.MaxItems:
		return fmt.Sprintf("array is too long: must have at most %d elements but instance has %d elements", k.Want, k.Got)
	}
	e := &jsonschema.ValidationError{ErrorKind: k}
	text := e.Error()
	if _, after, ok := strings.Cut(text, ": "); ok { // "at '': …"
		text = after
	}
	return text
}

// quoted prints names sorted, as a JSON array.
func quoted(names []string) string {
	names = slices.Clone(names)
	slices.Sort(names)
	for i, n := range names {
		names[i] = fmt.Sprintf("%q", n)
	}
	return "[" + strings.Join(names, ",") + "]"
}

func value(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

func number(r *big.Rat) string {
	if r.IsInt() && r.Num().BitLen() < 256 {
		return r.Num().String()
	}
	f, _ := r.Float64()
	return fmt.Sprint(f)
}
