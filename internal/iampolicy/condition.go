package iampolicy

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Condition is one key of a Condition block under its operator: the key's
// values in the request must satisfy the operator. All of a statement's
// conditions must hold.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
type Condition struct {
	Operator string   // as written: ForAnyValue:StringLikeIfExists
	Key      string   // as written: aws:SourceArn
	Values   []string // numbers and booleans as text

	key      string // in lower case
	set      quantifier
	ifExists bool
	negated  bool
	null     bool
	test     func(value string, context map[string][]string) bool // of one value of the request: does any of Values fit?
}

// A quantifier is the prefix of an operator.
type quantifier uint8

const (
	plain quantifier = iota
	forAny
	forAll
)

// parseConditions reads a Condition block: operator → key → values.
func parseConditions(v any, variables bool) ([]Condition, error) {
	block, ok := v.([]member)
	if !ok {
		return nil, fmt.Errorf("it is %s, not an object", kind(v))
	}
	var out []Condition
	for _, op := range block {
		keys, ok := op.value.([]member)
		if !ok {
			return nil, fmt.Errorf("%s: it is %s, not an object", cut(op.key), kind(op.value))
		}
		if len(keys) == 0 { // AWS drops such a block
			if err := (&Condition{Operator: op.key}).compile(variables); err != nil {
				return nil, err
			}
		}
		for _, k := range keys {
			values, err := scalarList(k.value)
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", cut(op.key), cut(k.key), err)
			}
			c := Condition{Operator: op.key, Key: k.key, Values: values}
			if err := c.compile(variables); err != nil {
				return nil, err
			}
			if !strings.Contains(k.key, ":") || len(k.key) > 256 {
				return nil, fmt.Errorf("%s: the key %q is not of the form service:name, such as aws:SourceArn", cut(op.key), cut(k.key))
			}
			out = append(out, c)
		}
	}
	return out, nil
}

// scalarList reads a string, number or boolean, or a list of them, as text.
func scalarList(v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	out := make([]string, 0, len(list))
	for _, v := range list {
		switch v := v.(type) {
		case string:
			out = append(out, v)
		case bool:
			out = append(out, strconv.FormatBool(v))
		case json.Number:
			out = append(out, v.String())
		default:
			return nil, fmt.Errorf("it has %s where a string must be", kind(v))
		}
	}
	return out, nil
}

// compile reads the operator and turns the values into what it compares.
func (c *Condition) compile(variables bool) error {
	c.key = strings.ToLower(c.Key)
	op := c.Operator
	if rest, ok := strings.CutPrefix(op, "ForAnyValue:"); ok {
		op, c.set = rest, forAny
	} else if rest, ok := strings.CutPrefix(op, "ForAllValues:"); ok {
		op, c.set = rest, forAll
	}
	if op == "Null" {
		c.null = true
		for _, v := range c.Values {
			if !strings.EqualFold(v, "true") && !strings.EqualFold(v, "false") {
				return fmt.Errorf("%s: %s: %q is neither true nor false", c.Operator, c.Key, cut(v))
			}
		}
		return nil
	}
	op, c.ifExists = strings.CutSuffix(op, "IfExists")
	operator, ok := operators[op]
	if !ok {
		return fmt.Errorf("unknown operator %q", cut(c.Operator))
	}
	c.negated = operator.negated
	test, err := operator.compile(c.Values, variables)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", c.Operator, c.Key, err)
	}
	c.test = test
	return nil
}

// holds reports whether the request satisfies the condition.
func (c *Condition) holds(context map[string][]string) bool {
	values := context[c.key]
	if c.null {
		for _, v := range c.Values {
			if strings.EqualFold(v, "true") == (len(values) == 0) {
				return true
			}
		}
		return false
	}
	if len(values) == 0 {
		switch {
		case c.ifExists || c.set == forAll:
			return true
		case c.set == forAny:
			return false
		}
		return c.negated
	}
	// Without a prefix, several values count as ForAnyValue, and as ForAllValues
	// when negated: none of them may fit.
	all := c.set == forAll || c.set == plain && c.negated
	for _, v := range values {
		if ok := c.test(v, context) != c.negated; ok != all {
			return ok
		}
	}
	return all
}

// A test reports whether a value of the request fits any of a policy's.
type test = func(value string, context map[string][]string) bool

// An operator compiles a policy's values to a test.
type operator struct {
	compile func(values []string, variables bool) (test, error)
	negated bool // the condition wants the test to fail
}

// operators are IAM's, without prefix and suffix.
var operators = map[string]operator{
	"StringEquals":              {patternTest(patternStyle{}), false},
	"StringNotEquals":           {patternTest(patternStyle{}), true},
	"StringEqualsIgnoreCase":    {patternTest(patternStyle{fold: true}), false},
	"StringNotEqualsIgnoreCase": {patternTest(patternStyle{fold: true}), true},
	"StringLike":                {patternTest(patternStyle{wild: true}), false},
	"StringNotLike":             {patternTest(patternStyle{wild: true}), true},
	"ArnEquals":                 {arnTest, false},
	"ArnLike":                   {arnTest, false},
	"ArnNotEquals":              {arnTest, true},
	"ArnNotLike":                {arnTest, true},
	"NumericEquals":             {ordered(parseNumber, equals), false},
	"NumericNotEquals":          {ordered(parseNumber, equals), true},
	"NumericLessThan":           {ordered(parseNumber, less), false},
	"NumericLessThanEquals":     {ordered(parseNumber, lessEquals), false},
	"NumericGreaterThan":        {ordered(parseNumber, greater), false},
	"NumericGreaterThanEquals":  {ordered(parseNumber, greaterEquals), false},
	"DateEquals":                {ordered(parseDate, equals), false},
	"DateNotEquals":             {ordered(parseDate, equals), true},
	"DateLessThan":              {ordered(parseDate, less), false},
	"DateLessThanEquals":        {ordered(parseDate, lessEquals), false},
	"DateGreaterThan":           {ordered(parseDate, greater), false},
	"DateGreaterThanEquals":     {ordered(parseDate, greaterEquals), false},
	"Bool":                      {boolTest, false},
	"BinaryEquals":              {binaryTest, false},
	"IpAddress":                 {addressTest, false},
	"NotIpAddress":              {addressTest, true},
}

func patternTest(style patternStyle) func([]string, bool) (test, error) {
	return func(values []string, variables bool) (test, error) {
		style := style
		style.variables = variables
		patterns := make([]Pattern, len(values))
		for i, v := range values {
			p, err := newPattern(v, style)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", cut(v), err)
			}
			patterns[i] = p
		}
		return func(value string, context map[string][]string) bool {
			return matchAny(patterns, value, context)
		}, nil
	}
}

func matchAny(patterns []Pattern, value string, context map[string][]string) bool {
	for i := range patterns {
		if patterns[i].match(value, context) {
			return true
		}
	}
	return false
}

// arnTest compares the six parts of an ARN one by one, each with wildcards;
// ArnEquals and ArnLike are the same. A value that begins with a variable is
// compared as a whole.
func arnTest(values []string, variables bool) (test, error) {
	type arn [6]Pattern
	var arns []arn
	var whole []Pattern
	for _, v := range values {
		if variables && strings.HasPrefix(v, "${") {
			p, err := newPattern(v, patternStyle{wild: true, variables: true})
			if err != nil {
				return nil, fmt.Errorf("%q: %w", cut(v), err)
			}
			whole = append(whole, p)
			continue
		}
		parts, err := splitARN(v)
		if err != nil {
			return nil, err
		}
		var a arn
		for j, s := range parts {
			if a[j], err = newPattern(s, patternStyle{wild: true, variables: variables}); err != nil {
				return nil, fmt.Errorf("%q: %w", cut(v), err)
			}
		}
		arns = append(arns, a)
	}
	return func(value string, context map[string][]string) bool {
		got, err := splitARN(value)
		if err != nil {
			return false
		}
		return matchAny(whole, value, context) || slices.ContainsFunc(arns, func(a arn) bool {
			for j := range a {
				if !a[j].match(got[j], context) {
					return false
				}
			}
			return true
		})
	}, nil
}

// splitARN splits at the colons that are not in a variable. A pattern of fewer
// parts that ends in '*', or a bare "*", stands for any remaining ones.
func splitARN(s string) (parts [6]string, err error) {
	start, n, depth := 0, 0, 0
	for i := 0; i < len(s) && n < 5; i++ {
		switch {
		case strings.HasPrefix(s[i:], "${"):
			depth++
		case s[i] == '}' && depth > 0:
			depth--
		case s[i] == ':' && depth == 0:
			parts[n] = s[start:i]
			start = i + 1
			n++
		}
	}
	parts[n] = s[start:]
	if n < 5 {
		if !strings.HasSuffix(s, "*") {
			return parts, fmt.Errorf("%q is not an ARN", cut(s))
		}
		for n++; n < 6; n++ {
			parts[n] = "*"
		}
	}
	return parts, nil
}

// ordered makes the operators of a type that has an order: parse turns text
// into a number that compares like it.
func ordered(parse func(string) (float64, error), ok func(request, policy float64) bool) func([]string, bool) (test, error) {
	return func(values []string, _ bool) (test, error) {
		want := make([]float64, len(values))
		for i, v := range values {
			n, err := parse(v)
			if err != nil {
				return nil, err
			}
			want[i] = n
		}
		return func(value string, _ map[string][]string) bool {
			got, err := parse(value)
			return err == nil && slices.ContainsFunc(want, func(w float64) bool { return ok(got, w) })
		}, nil
	}
}

func equals(a, b float64) bool        { return a == b }
func less(a, b float64) bool          { return a < b }
func lessEquals(a, b float64) bool    { return a <= b }
func greater(a, b float64) bool       { return a > b }
func greaterEquals(a, b float64) bool { return a >= b }

func parseNumber(s string) (float64, error) {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || n != n {
		return 0, fmt.Errorf("%q is not a number", cut(s))
	}
	return n, nil
}

// parseDate returns seconds since 1970 of a date in one of the ISO 8601 forms
// of https://www.w3.org/TR/NOTE-datetime, or of such a number itself.
func parseDate(s string) (float64, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", time.DateOnly, "2006-01", "20060102T150405Z"} {
		if t, err := time.Parse(layout, s); err == nil {
			return float64(t.Unix()) + float64(t.Nanosecond())/1e9, nil
		}
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		if len(s) == 4 { // a year
			return float64(time.Date(int(n), 1, 1, 0, 0, 0, 0, time.UTC).Unix()), nil
		}
		return float64(n), nil
	}
	return 0, fmt.Errorf("%q is not a date such as 2026-01-31T12:00:00Z", cut(s))
}

func boolTest(values []string, _ bool) (test, error) {
	for _, v := range values {
		if !strings.EqualFold(v, "true") && !strings.EqualFold(v, "false") {
			return nil, fmt.Errorf("%q is neither true nor false", cut(v))
		}
	}
	return func(value string, _ map[string][]string) bool {
		return slices.ContainsFunc(values, func(v string) bool { return strings.EqualFold(v, value) })
	}, nil
}

func binaryTest(values []string, _ bool) (test, error) {
	want := make([][]byte, len(values))
	for i, v := range values {
		b, err := base64.StdEncoding.DecodeString(v)
		if err != nil {
			return nil, fmt.Errorf("%q is not base64", cut(v))
		}
		want[i] = b
	}
	return func(value string, _ map[string][]string) bool {
		got, err := base64.StdEncoding.DecodeString(value)
		return err == nil && slices.ContainsFunc(want, func(w []byte) bool { return bytes.Equal(w, got) })
	}, nil
}

func addressTest(values []string, _ bool) (test, error) {
	want := make([]netip.Prefix, len(values))
	for i, v := range values {
		p, err := parsePrefix(v)
		if err != nil {
			return nil, fmt.Errorf("%q is neither an IP address nor a range such as 203.0.113.0/24", cut(v))
		}
		want[i] = p
	}
	return func(value string, _ map[string][]string) bool {
		a, err := netip.ParseAddr(value)
		return err == nil && slices.ContainsFunc(want, func(p netip.Prefix) bool { return p.Contains(a.Unmap().WithZone("")) })
	}, nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return netip.Prefix{}, err
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, err
	}
	if p.Addr().Is4In6() {
		return p, errors.New("IPv4 in IPv6")
	}
	return p.Masked(), nil
}

// writeConditions writes conditions with one operator, which stand next to
// each other, as one block.
func writeConditions(b *bytes.Buffer, conditions []Condition) {
	if len(conditions) == 0 {
		return
	}
	b.WriteString(`,"Condition":{`)
	for i, c := range conditions {
		same := i > 0 && conditions[i-1].Operator == c.Operator
		switch {
		case same:
			b.WriteByte(',')
		case i > 0:
			b.WriteString("},")
		}
		if !same {
			b.WriteString(quote(c.Operator) + ":{")
		}
		b.WriteString(quote(c.Key) + ":")
		if len(c.Values) == 0 {
			b.WriteString("[]")
		} else {
			writeStrings(b, c.Values)
		}
	}
	b.WriteString("}}")
}
