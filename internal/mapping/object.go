package mapping

import (
	"encoding/json"
	"math/big"
	"strings"

	"tidegate/jsonpath"
	"tidegate/vtl"
)

// velocity turns JSON into what templates work with: objects print as Java's
// maps (WS-05-004), arrays as JSON (WS-05-005).
func velocity(v *jsonpath.Value) any {
	switch v.Kind {
	case jsonpath.Bool:
		return v.Text == "true"
	case jsonpath.Number:
		return numberValue(v.Text)
	case jsonpath.String:
		return v.Text
	case jsonpath.Array:
		items := make([]any, len(v.Items))
		for i := range v.Items {
			items[i] = velocity(&v.Items[i])
		}
		return vtl.NewJSONList(items...)
	case jsonpath.Object:
		return &object{of: v}
	}
	return nil
}

// appendScalar appends what velocity's value prints; ok is false for containers,
// and for numbers that Java may write in another way.
func appendScalar(dst []byte, v *jsonpath.Value) (out []byte, ok bool) {
	switch v.Kind {
	case jsonpath.Bool, jsonpath.String:
		return append(dst, v.Text...), true
	case jsonpath.Number:
		digits := strings.TrimPrefix(v.Text, "-")
		if len(digits) <= 18 && digits[0] != '0' && strings.Trim(digits, "0123456789") == "" {
			return append(dst, v.Text...), true
		}
	}
	return dst, false
}

// object is a JSON object, made into a map when all of it is needed.
type object struct {
	of    *jsonpath.Value
	known []any // its members' values, as far as they were asked for
	all   *vtl.Map
}

// fewMembers is up to how many members one is searched for without a map.
const fewMembers = 16

// member returns the place of a member, -1 when there is none or the map is to
// be asked.
func (o *object) member(name string) int {
	if o.all != nil || len(o.of.Items) > fewMembers {
		return -1
	}
	for i := range o.of.Items {
		if o.of.Items[i].Name == name {
			return i
		}
	}
	return -1
}

// at returns a member's value, the same one each time: templates may change it.
func (o *object) at(i int) any {
	if o.known == nil {
		o.known = make([]any, len(o.of.Items))
	}
	if o.known[i] == nil {
		o.known[i] = velocity(&o.of.Items[i])
	}
	return o.known[i]
}

// Get returns a member's value.
func (o *object) Get(name string) (any, bool) {
	if i := o.member(name); i >= 0 {
		return o.at(i), true
	}
	if o.all == nil && len(o.of.Items) <= fewMembers {
		return nil, false
	}
	return o.Map().Get(name)
}

// Map returns all of it.
func (o *object) Map() *vtl.Map {
	if o.all == nil {
		o.all = vtl.NewMapSize(len(o.of.Items))
		for i := range o.of.Items {
			o.all.Put(o.of.Items[i].Name, o.at(i))
		}
	}
	return o.all
}

// AppendGet appends a member that is no container.
func (o *object) AppendGet(dst []byte, name string) ([]byte, bool) {
	i := o.member(name)
	if i < 0 {
		return dst, false
	}
	return appendScalar(dst, &o.of.Items[i])
}

// numberValue is a number as Java reads it: an integer of any size, or a double.
func numberValue(text string) any {
	n := json.Number(text)
	if i, err := n.Int64(); err == nil {
		return i
	}
	if !strings.ContainsAny(text, ".eE") && len(text) < 1000 {
		if i, ok := new(big.Int).SetString(text, 10); ok {
			return i
		}
	}
	f, err := n.Float64()
	if err != nil {
		return text
	}
	return f
}
