package tables

import (
	"strings"
	"testing"
)

const sample = `{"pk":{"S":"k"},"s":{"S":"hello"},"n":{"N":"5"},"b":{"B":"AAE="},"l":{"L":[{"N":"1"},{"N":"2"},{"N":"3"}]},
	"m":{"M":{"a":{"N":"1"},"deep":{"L":[{"M":{"x":{"S":"y"}}}]}}},"ss":{"SS":["a","b"]},"ns":{"NS":["1","2"]},"t":{"BOOL":true},"z":{"NULL":true}}`

const sampleValues = `{":s":{"S":"hello"},":he":{"S":"he"},":a":{"S":"a"},":b":{"S":"b"},":n":{"N":"5"},":one":{"N":"1"},":ten":{"N":"10"},
	":l":{"L":[{"N":"9"}]},":ss":{"SS":["a","c"]},":ns":{"NS":["2","3"]},":t":{"BOOL":true},":S":{"S":"S"},":bin":{"B":"AA=="}}`

func sampleBindings(t testing.TB) *bindings {
	b := &bindings{}
	if err := b.readValues(&scanner{b: []byte(sampleValues)}); err != nil {
		t.Fatal(err)
	}
	b.names = map[string]string{"#s": "s", "#dot": "a.b", "#m": "m", "#status": "status"}
	return b
}

func TestConditions(t *testing.T) {
	it := decodeText(t, sample)
	for expr, want := range map[string]bool{
		"s = :s":                        true,
		"#s = :s":                       true,
		"s <> :s":                       false,
		"nothing <> :s":                 true,
		"nothing = :s":                  false,
		"s = :n":                        false,
		"n < :ten":                      true,
		"n > :ten":                      false,
		"n >= :n and n <= :n":           true,
		"s < :n":                        false,
		"NOT s < :n":                    true,
		"n between :one AND :ten":       true,
		"n BETWEEN :ten and :ten":       false,
		"n IN (:one, :ten, :n)":         true,
		"n in (:one)":                   false,
		"attribute_exists(s)":           true,
		"attribute_exists(m.deep[0].x)": true,
		"attribute_exists(m.deep[1])":   false,
		"attribute_not_exists(s)":       false,
		"attribute_not_exists(#dot)":    true,
		"attribute_type(s, :S)":         true,
		"attribute_type(n, :S)":         false,
		"begins_with(s, :he)":           true,
		"begins_with(s, :a)":            false,
		"begins_with(b, :bin)":          true,
		"begins_with(n, :he)":           false,
		"contains(s, :he)":              true,
		"contains(ss, :a)":              true,
		"contains(ss, :s)":              false,
		"contains(ns, :one)":            true,
		"contains(l, :one)":             true,
		"contains(l, :ten)":             false,
		"size(s) = :n":                  true,
		"size(l) < :n":                  true,
		"size(n) = :n":                  false,
		"size(m) > size(ss)":            false,
		"m.a = :one":                    true,
		"m.deep[0].x = :a":              false,
		"l[0] = :one":                   true,
		"l[7] = :one":                   false,
		"t = :t":                        true,
		"(s = :a OR n = :n) AND t = :t": true,
		"s = :a OR n = :n AND t = :t":   true,
		"NOT (s = :s AND n = :one)":     true,
		"NOT s = :s OR n = :n":          true,
		"(a) = :a":                      false,
		"ss = :ss":                      false,
	} {
		c, err := parseCondition("ConditionExpression", expr, sampleBindings(t))
		if err != nil {
			t.Errorf("%s: %v", expr, err)
			continue
		}
		if got := c.holds(it); got != want {
			t.Errorf("%s = %v, want %v", expr, got, want)
		}
	}
}

// The messages were held against dynalite 4.0.0, whose suite was recorded on
// DynamoDB; those of syntax have the form seen in reports from DynamoDB: the
// token, and the text from the one before it to the one behind it.
func TestConditionErrors(t *testing.T) {
	for expr, want := range map[string]string{
		"":                                "The expression can not be empty;",
		"  ":                              "The expression can not be empty;",
		"s":                               `Syntax error; token: "<EOF>", near: "s"`,
		"_type = :a":                      `Syntax error; token: "_", near: "_type"`,
		"GI-1-PK = :a":                    `Syntax error; token: "-", near: "GI-1"`,
		"a = = :a":                        `Syntax error; token: "=", near: "= = :a"`,
		"(a = :a":                         `Syntax error; token: "<EOF>", near: ":a"`,
		"a = :a)":                         `Syntax error; token: ")", near: ":a)"`,
		"a[x] = :a":                       `Syntax error; token: "x", near: "[x]"`,
		"a = 5":                           `Syntax error; token: "5", near: "= 5"`,
		"((a = :a))":                      "The expression has redundant parentheses;",
		"abort = :a":                      "Attribute name is a reserved keyword; reserved keyword: abort",
		"Status = :a":                     "Attribute name is a reserved keyword; reserved keyword: Status",
		"a.name = :a":                     "Attribute name is a reserved keyword; reserved keyword: name",
		"foo(a)":                          "Invalid function name; function: foo",
		"Size(a) = :n":                    "Invalid function name; function: Size",
		"size(a)":                         "The function is not allowed to be used this way in an expression; function: size",
		"a = attribute_exists(s)":         "The function is not allowed to be used this way in an expression; function: attribute_exists",
		"attribute_exists(s) = :a":        "The function is not allowed to be used this way in an expression; function: attribute_exists",
		"attribute_exists(:a)":            "Operator or function requires a document path; operator or function: attribute_exists",
		"attribute_exists(a, b)":          "Incorrect number of operands for operator or function; operator or function: attribute_exists, number of operands: 2",
		"a = a":                           "The first operand must be distinct from the remaining operands for this operator or function; operator: =, first operand: [a]",
		"contains(a, a)":                  "The first operand must be distinct from the remaining operands for this operator or function; operator: contains, first operand: [a]",
		"a.b[2] = a.b[2]":                 "The first operand must be distinct from the remaining operands for this operator or function; operator: =, first operand: [a, b, [2]]",
		"begins_with(a, :n)":              "Incorrect operand type for operator or function; operator or function: begins_with, operand type: N",
		"attribute_type(a, :a)":           "Invalid attribute type name found; type: a, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}",
		"a between :b and :a":             "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: AttributeValue: {S:b}, upper bound operand: AttributeValue: {S:a}",
		"a between :n and :a":             "The BETWEEN operator requires same data type for lower and upper bounds; lower bound operand: AttributeValue: {N:5}, upper bound operand: AttributeValue: {S:a}",
		"#x = :a":                         "An expression attribute name used in the document path is not defined; attribute name: #x",
		"a = :zz":                         "An expression attribute value used in expression is not defined; attribute value: :zz",
		"#x = :zz":                        "An expression attribute name used in the document path is not defined; attribute name: #x",
		"abort = :zz and foo(b)":          "Invalid function name; function: foo",
		"size(:n) = :n":                   "Incorrect operand type for operator or function; operator or function: size, operand type: N",
		strings.Repeat("a", 5000) + "=:a": "Expression size has exceeded the maximum allowed size; expression size: 5003",
	} {
		_, err := parseCondition("ConditionExpression", expr, sampleBindings(t))
		if got := messageOf(err); got != "Invalid ConditionExpression: "+want {
			t.Errorf("%.40s: %s\nwant %s", expr, got, want)
		}
	}
}

func TestDeepExpressionIsRefused(t *testing.T) {
	for _, expr := range []string{strings.Repeat("(", 2000) + "a = :a" + strings.Repeat(")", 2000), strings.Repeat("NOT ", 1000) + "a = :a"} {
		if _, err := parseCondition("FilterExpression", expr, sampleBindings(t)); err == nil {
			t.Errorf("%.20s… was taken", expr)
		}
	}
}

func messageOf(err error) string {
	if err == nil {
		return "no error"
	}
	_, m, _ := strings.Cut(err.Error(), ": ")
	return m
}

func TestUpdates(t *testing.T) {
	for expr, want := range map[string]string{
		"SET q = :a":                                    `{"q":{"S":"a"}}`,
		"set q = s":                                     `{"q":{"S":"hello"}}`,
		"SET n = n + :one":                              `{"n":{"N":"6"}}`,
		"SET n = :one - n":                              `{"n":{"N":"-4"}}`,
		"SET q = if_not_exists(q, :one) + :one":         `{"q":{"N":"2"}}`,
		"SET s = if_not_exists(s, :a)":                  `{}`,
		"SET l = list_append(l, :l)":                    `{"l":{"L":[{"N":"1"},{"N":"2"},{"N":"3"},{"N":"9"}]}}`,
		"SET l = list_append(:l, l)":                    `{"l":{"L":[{"N":"9"},{"N":"1"},{"N":"2"},{"N":"3"}]}}`,
		"SET q = list_append(if_not_exists(q, :l), :l)": `{"q":{"L":[{"N":"9"},{"N":"9"}]}}`,
		"SET s = n, n = s":                              `{"n":{"S":"hello"},"s":{"N":"5"}}`,
		"SET m.a = :a, m.z = :b":                        `{"m":{"M":{"a":{"S":"a"},"deep":{"L":[{"M":{"x":{"S":"y"}}}]},"z":{"S":"b"}}}}`,
		"SET m.deep[0].x = :a":                          `{"m":{"M":{"a":{"N":"1"},"deep":{"L":[{"M":{"x":{"S":"a"}}}]}}}}`,
		"SET l[1] = :a":                                 `{"l":{"L":[{"N":"1"},{"S":"a"},{"N":"3"}]}}`,
		"SET l[9] = :b, l[8] = :a":                      `{"l":{"L":[{"N":"1"},{"N":"2"},{"N":"3"},{"S":"a"},{"S":"b"}]}}`,
		"SET l[0] = :a REMOVE l[1]":                     `{"l":{"L":[{"S":"a"},{"N":"3"}]}}`,
		"REMOVE l[0], l[1], l[7]":                       `{"l":{"L":[{"N":"3"}]}}`,
		"REMOVE s, q":                                   `{"s":null}`,
		"REMOVE m.deep[0].x":                            `{"m":{"M":{"a":{"N":"1"},"deep":{"L":[{"M":{}}]}}}}`,
		"ADD n :ten":                                    `{"n":{"N":"15"}}`,
		"ADD q :ten":                                    `{"q":{"N":"10"}}`,
		"ADD ss :ss":                                    `{"ss":{"SS":["a","b","c"]}}`,
		"ADD m.a :ten":                                  `{"m":{"M":{"a":{"N":"11"},"deep":{"L":[{"M":{"x":{"S":"y"}}}]}}}}`,
		"DELETE ss :ss":                                 `{"ss":{"SS":["b"]}}`,
		"DELETE q :ss":                                  `{}`,
		"SET #dot = :a":                                 `{"a.b":{"S":"a"}}`,
		"SET q = (n + :one)":                            `{"q":{"N":"6"}}`,
		"add n :one set q = n remove s delete ns :ns":   `{"n":{"N":"6"},"ns":{"NS":["1"]},"q":{"N":"5"},"s":null}`,
	} {
		old := decodeText(t, sample)
		before := string(old.appendJSON(nil))
		u, err := parseUpdate(expr, sampleBindings(t))
		if err != nil {
			t.Errorf("%s: %v", expr, err)
			continue
		}
		got, err := u.apply(old)
		if err != nil {
			t.Errorf("%s: %v", expr, err)
			continue
		}
		if string(old.appendJSON(nil)) != before {
			t.Errorf("%s changed the old item", expr)
		}
		if c := changes(old, got); c != want {
			t.Errorf("%s: changes are\n%s, want\n%s", expr, c, want)
		}
	}
}

// changes are the attributes of b that differ from a's, those gone as null.
func changes(a, b item) string {
	out := []byte("{")
	names := item{}
	for _, x := range a {
		names = names.with(x.name, value{kind: kindNull})
	}
	for _, x := range b {
		names = names.with(x.name, value{kind: kindNull})
	}
	for _, n := range names {
		v, w := a.get(n.name), b.get(n.name)
		switch {
		case v.equal(w):
			continue
		case w.kind == kindNone:
			out = append(append(appendJSONString(out, n.name), ":null"...), ',')
		default:
			out = append(w.appendJSON(append(appendJSONString(out, n.name), ':')), ',')
		}
	}
	return string(closeObject(out))
}

func TestUpdateErrors(t *testing.T) {
	const invalidExpr = "Invalid UpdateExpression: "
	for expr, want := range map[string]string{
		"":                              invalidExpr + "The expression can not be empty;",
		"INVALID SYNTAX HERE":           invalidExpr + `Syntax error; token: "INVALID", near: "INVALID SYNTAX"`,
		"set _something = :a":           invalidExpr + `Syntax error; token: "_", near: "set _something"`,
		"set a = :a set b = :b":         invalidExpr + `The "SET" section can only be used once in an update expression;`,
		"set a = :a, a = :b":            invalidExpr + "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a], path two: [a]",
		"set a = :a remove a.b":         invalidExpr + "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a], path two: [a, b]",
		"set a.b = :a, a[0] = :b":       invalidExpr + "Two document paths conflict with each other; must remove or rewrite one of these paths; path one: [a, b], path two: [a, [0]]",
		"add q :a":                      invalidExpr + "Incorrect operand type for operator or function; operator: ADD, operand type: STRING",
		"delete ss :n":                  invalidExpr + "Incorrect operand type for operator or function; operator: DELETE, operand type: NUMBER",
		"set q = n + :a":                invalidExpr + "Incorrect operand type for operator or function; operator or function: +, operand type: S",
		"set q = list_append(l, :a)":    invalidExpr + "Incorrect operand type for operator or function; operator or function: list_append, operand type: S",
		"set q = if_not_exists(:a, :b)": invalidExpr + "Operator or function requires a document path; operator or function: if_not_exists",
		"set q = if_not_exists(a)":      invalidExpr + "Incorrect number of operands for operator or function; operator or function: if_not_exists, number of operands: 1",
		"set q = size(n)":               invalidExpr + "The function is not allowed in an update expression; function: size",
		"set q = n + n + n":             invalidExpr + `Syntax error; token: "+", near: "n + n"`,
		"set status = :a":               invalidExpr + "Attribute name is a reserved keyword; reserved keyword: status",
		"set q.x = :a":                  errUpdatePath,
		"set s.x = :a":                  errUpdatePath,
		"set l.x = :a":                  errUpdatePath,
		"set s[0] = :a":                 errUpdatePath,
		"remove q.x":                    errUpdatePath,
		"add q.x :n":                    errUpdatePath,
		"set q = nothing":               errMissingSource,
		"set q = nothing + :n":          errMissingSource,
		"set q = n + s":                 errOperandType,
		"set q = list_append(s, :l)":    errOperandType,
		"add s :n":                      errOperandType,
		"delete n :ss":                  errOperandType,
	} {
		u, err := parseUpdate(expr, sampleBindings(t))
		if err == nil {
			_, err = u.apply(decodeText(t, sample))
		}
		if got := messageOf(err); got != want {
			t.Errorf("%s: %s\nwant %s", expr, got, want)
		}
	}
}

func TestProjection(t *testing.T) {
	for expr, want := range map[string]string{
		"s, n":                 `{"n":{"N":"5"},"s":{"S":"hello"}}`,
		"nothing":              `{}`,
		"m.a":                  `{"m":{"M":{"a":{"N":"1"}}}}`,
		"l[2], l[0], s":        `{"l":{"L":[{"N":"1"},{"N":"3"}]},"s":{"S":"hello"}}`,
		"m.deep[0].x, #m.a":    `{"m":{"M":{"a":{"N":"1"},"deep":{"L":[{"M":{"x":{"S":"y"}}}]}}}}`,
		"m.deep[5], l[9], n.x": `{}`,
	} {
		paths, err := parseProjection(expr, sampleBindings(t))
		if err != nil {
			t.Errorf("%s: %v", expr, err)
			continue
		}
		if got := string(project(decodeText(t, sample), paths).appendJSON(nil)); got != want {
			t.Errorf("%s: %s, want %s", expr, got, want)
		}
	}
	for expr, want := range map[string]string{
		"!!! INVALID !!!": `Syntax error; token: "!", near: "!!"`,
		"a, a":            "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a], path two: [a]",
		"a.b, a":          "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a, b], path two: [a]",
		"s, #s":           "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [s], path two: [s]",
		"name":            "Attribute name is a reserved keyword; reserved keyword: name",
	} {
		_, err := parseProjection(expr, sampleBindings(t))
		if got := messageOf(err); got != "Invalid ProjectionExpression: "+want {
			t.Errorf("%s: %s, want %s", expr, got, want)
		}
	}
}

func TestReservedWords(t *testing.T) {
	if n := len(reservedWords); n != 573 {
		t.Errorf("%d reserved words, the developer guide has 573", n)
	}
	for w, want := range map[string]bool{"ABORT": true, "zone": true, "connectionId": false, "Ttl": true, "TIMESTAMP": true, "id": false} {
		if isReserved(w) != want {
			t.Errorf("isReserved(%s) = %v", w, !want)
		}
	}
}

// FuzzExpressions: any text is parsed or refused, and what was parsed can be
// evaluated.
func FuzzExpressions(f *testing.F) {
	for _, e := range []string{"s = :s AND NOT (n < :n OR size(l) = :one)", "SET a.b[1] = if_not_exists(n, :n) + :one REMOVE l[0] ADD ss :ss", "a, b.c[0]", "pk = :a AND begins_with(sk, :b)"} {
		f.Add(e)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b, it := sampleBindings(t), decodeText(t, sample)
		if c, err := parseCondition("ConditionExpression", text, b); err == nil {
			c.holds(it)
			c.holds(nil)
			if k, err := newKeyCondition(c); err == nil {
				k.bind(keySchema{hash: keyAttribute{"pk", kindString}, sort: keyAttribute{"sk", kindString}})
			}
		}
		if u, err := parseUpdate(text, b); err == nil {
			if got, err := u.apply(it); err == nil {
				if back, err := decodeItem(got.appendBinary(nil)); err != nil || len(back) != len(got) {
					t.Fatalf("%q leaves an item that can't be stored: %v", text, err)
				}
			}
		}
		if p, err := parseProjection(text, b); err == nil {
			project(it, p)
		}
	})
}
