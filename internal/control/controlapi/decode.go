package controlapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"unicode/utf8"

	"tidegate/internal/awshttp"
)

// decode reads the call's body, a JSON object, into the struct that in points to.
// What can't be read is a SerializationException that says why. As on AWS a
// member that isn't known is let be, and so is one whose name differs in case
// only, which encoding/json would take.
func decode(c *awshttp.Call, in any) error {
	body := bytes.TrimSpace(c.Body)
	if len(body) == 0 {
		return nil
	}
	if !utf8.Valid(body) {
		return unreadable("it is not UTF-8")
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		return unreadable(reason(err))
	}
	known := map[string]bool{}
	t := reflect.TypeOf(in).Elem()
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		known[name] = true
	}
	strangers := false
	for name := range members {
		if !known[name] {
			delete(members, name)
			strangers = true
		}
	}
	if strangers {
		var err error
		if body, err = json.Marshal(members); err != nil {
			return err
		}
	}
	if err := json.Unmarshal(body, in); err != nil {
		return unreadable(reason(err))
	}
	return nil
}

func unreadable(why string) error {
	return awshttp.Errorf(400, "SerializationException", "the request's JSON could not be read: %s", why)
}

// reason words an error of encoding/json without Go's types.
func reason(err error) string {
	var t *json.UnmarshalTypeError
	switch {
	case err == nil:
		return "null is no object"
	case !errors.As(err, &t):
		return strings.TrimPrefix(err.Error(), "json: ")
	case t.Field == "":
		return "it must be an object, not " + t.Value
	}
	return t.Field + " must be " + kind(t.Type) + ", not " + t.Value
}

// kind names what JSON calls the type.
func kind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "an array"
	}
	return "an object"
}
