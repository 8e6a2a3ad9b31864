package tables

import (
	"slices"
	"strings"
)

// The parameters that expressions replaced, which old programs still send. Each
// is turned into what the expression in its place would have become (Developer
// Guide, "Legacy conditional parameters").

// A legacyInput is what a request has of them. A nil slice is a parameter that
// isn't there.
type legacyInput struct {
	attributes []string // AttributesToGet
	updates    []legacyUpdate
	expected   []legacyCondition
	keys       []legacyCondition // KeyConditions
	filter     []legacyCondition // QueryFilter or ScanFilter
	operator   string            // ConditionalOperator
}

// A legacyUpdate is an entry of AttributeUpdates.
type legacyUpdate struct {
	name, action string
	value        value // of kindNone when there is none
}

// A legacyCondition is an entry of Expected, KeyConditions, QueryFilter or
// ScanFilter.
type legacyCondition struct {
	name     string
	operator string // ComparisonOperator
	list     []value
	hasList  bool
	value    value // Expected: of kindNone when there is none
	exists   *bool // Expected
}

// readAttributes reads AttributesToGet.
func readAttributes(s *scanner) ([]string, error) {
	names := []string{}
	err := s.array(func(int) error {
		n, err := s.string()
		names = append(names, n)
		return err
	})
	return names, err
}

func readLegacyUpdates(s *scanner) ([]legacyUpdate, error) {
	out := []legacyUpdate{}
	err := s.object(func(name string) error {
		u := legacyUpdate{name: name}
		err := s.object(func(member string) (err error) {
			switch member {
			case "Action":
				u.action, err = s.string()
			case "Value":
				u.value, err = s.value()
			default:
				err = unsupported("the parameter AttributeUpdates." + member)
			}
			return err
		})
		out = append(out, u)
		return err
	})
	return out, err
}

// readLegacyConditions reads the parameter of that name; only Expected's entries
// have Value and Exists.
func readLegacyConditions(s *scanner, parameter string) ([]legacyCondition, error) {
	out := []legacyCondition{}
	err := s.object(func(name string) error {
		c := legacyCondition{name: name}
		err := s.object(func(member string) (err error) {
			switch {
			case member == "ComparisonOperator":
				c.operator, err = s.string()
				if err == nil && c.operator == "" {
					c.operator = " " // given, and no operator: the check shall say so
				}
			case member == "AttributeValueList":
				c.hasList = true
				err = s.array(func(int) error {
					v, err := s.value()
					c.list = append(c.list, v)
					return err
				})
			case member == "Value" && parameter == "Expected":
				c.value, err = s.value()
			case member == "Exists" && parameter == "Expected":
				var b bool
				b, err = s.bool()
				c.exists = &b
			default:
				err = unsupported("the parameter " + parameter + "." + member)
			}
			return err
		})
		out = append(out, c)
		return err
	})
	return out, err
}

// checkMembers notes what the first look at a request finds wrong.
func (l *legacyInput) checkMembers(operation string, c *constraints) {
	if l.attributes != nil && len(l.attributes) == 0 {
		c.add("Value '[]' at 'attributesToGet' failed to satisfy constraint: Member must have length greater than or equal to 1")
	}
	c.enum(l.operator, "conditionalOperator", "OR, AND", "OR", "AND")
	filter := "queryFilter"
	if operation == "Scan" {
		filter = "scanFilter"
	}
	for _, p := range []struct {
		name string
		list []legacyCondition
	}{{"expected", l.expected}, {filter, l.filter}, {"keyConditions", l.keys}} {
		for _, x := range p.list {
			at := p.name + "." + x.name + ".member.comparisonOperator"
			if x.operator == "" && p.name != "expected" {
				c.add("Value null at '%s' failed to satisfy constraint: Member must not be null", at)
			}
			if x.operator != "" && legacyOperators[x.operator].arity == 0 {
				c.add("Value '%s' at '%s' failed to satisfy constraint: Member must satisfy enum value set: [IN, NULL, BETWEEN, LT, NOT_CONTAINS, EQ, GT, NOT_NULL, NE, LE, BEGINS_WITH, GE, CONTAINS]", strings.TrimSpace(x.operator), at)
			}
		}
	}
	for _, u := range l.updates {
		c.enum(u.action, "attributeUpdates."+u.name+".member.action", "ADD, PUT, DELETE", "ADD", "PUT", "DELETE")
	}
}

// A named is a parameter and whether the request has it.
type named struct {
	name  string
	given bool
}

// checkMixed refuses expressions and what they replaced in one request, and
// placeholders without an expression; missing is as checkGiven has it.
func (in *input) checkMixed(missing string) error {
	l := &in.legacy
	var old, expressions []named
	switch in.operation {
	case "Query":
		old = []named{{"AttributesToGet", l.attributes != nil}, {"QueryFilter", l.filter != nil}, {"ConditionalOperator", l.operator != ""},
			{"KeyConditions", l.keys != nil && in.keyCondition != nil}} // alone it goes with expressions
		expressions = []named{{"ProjectionExpression", in.projection != nil}, {"FilterExpression", in.filter != nil}, {"KeyConditionExpression", in.keyCondition != nil}}
	case "Scan":
		old = []named{{"AttributesToGet", l.attributes != nil}, {"ScanFilter", l.filter != nil}, {"ConditionalOperator", l.operator != ""}}
		expressions = []named{{"ProjectionExpression", in.projection != nil}, {"FilterExpression", in.filter != nil}}
	case "GetItem":
		old = []named{{"AttributesToGet", l.attributes != nil}}
		expressions = []named{{"ProjectionExpression", in.projection != nil}}
	default:
		old = []named{{"AttributeUpdates", l.updates != nil}, {"Expected", l.expected != nil}, {"ConditionalOperator", l.operator != ""}}
		expressions = []named{{"UpdateExpression", in.update != nil}, {"ConditionExpression", in.condition != nil}}
	}
	if err := refuseMixed(old, expressions); err != nil {
		return err
	}
	given := slices.ContainsFunc(expressions, func(n named) bool { return n.given })
	if err := in.bindings.checkGiven(given, missing); err != nil {
		return err
	}
	if l.operator == "" {
		return nil
	}
	switch max(len(l.expected), len(l.filter)) {
	case 0:
		return invalid("ConditionalOperator cannot be used without Filter or Expected")
	case 1:
		return invalid("ConditionalOperator can only be used when Filter or Expected has two or more elements")
	}
	return nil
}

func refuseMixed(old, expressions []named) error {
	list := func(of []named) string {
		var names []string
		for _, n := range of {
			if n.given {
				names = append(names, n.name)
			}
		}
		return strings.Join(names, ", ")
	}
	a, b := list(old), list(expressions)
	if a == "" || b == "" {
		return nil
	}
	return invalid("Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {" + a + "} Expression parameters: {" + b + "}")
}

// attributePaths are AttributesToGet as a projection; nil when it isn't there.
func attributePaths(names []string) ([]path, error) {
	var paths []path
	seen := map[string]bool{}
	for _, n := range names {
		if seen[n] {
			return nil, badParameter("Duplicate value in attribute name: %s", n)
		}
		seen[n] = true
		paths = append(paths, path{{name: n, index: -1}})
	}
	return paths, nil
}

// A legacyOperator is what a ComparisonOperator means.
type legacyOperator struct {
	op     operator
	arity  int    // of AttributeValueList: noValues, someValues or the number
	kinds  string // that its values may have, a letter for each; empty: all
	negate bool
}

const (
	noValues   = -1
	someValues = -2
)

var legacyOperators = map[string]legacyOperator{
	"EQ":           {op: opEqual, arity: 1},
	"NE":           {op: opNotEqual, arity: 1},
	"LE":           {op: opLessEqual, arity: 1, kinds: "SNB"},
	"LT":           {op: opLess, arity: 1, kinds: "SNB"},
	"GE":           {op: opGreaterEqual, arity: 1, kinds: "SNB"},
	"GT":           {op: opGreater, arity: 1, kinds: "SNB"},
	"NOT_NULL":     {op: opExists, arity: noValues},
	"NULL":         {op: opNotExists, arity: noValues},
	"CONTAINS":     {op: opContains, arity: 1, kinds: "SNB"},
	"NOT_CONTAINS": {op: opContains, arity: 1, kinds: "SNB", negate: true},
	"BEGINS_WITH":  {op: opBeginsWith, arity: 1, kinds: "SB"},
	"IN":           {op: opIn, arity: someValues, kinds: "SNB"},
	"BETWEEN":      {op: opBetween, arity: 2, kinds: "SNB"},
}

// normal gives an entry of Expected the form that the others have: an operator
// and a list.
func (c legacyCondition) normal() (legacyCondition, error) {
	hasValue := c.value.kind != kindNone
	switch {
	case c.hasList && hasValue:
		return c, badParameter("Value and AttributeValueList cannot be used together for Attribute: %s", c.name)
	case c.operator != "" && c.exists != nil:
		return c, badParameter("Exists and ComparisonOperator cannot be used together for Attribute: %s", c.name)
	case c.operator != "" && c.operator != "NULL" && c.operator != "NOT_NULL" && !c.hasList && !hasValue:
		return c, badParameter("Value or AttributeValueList must be used with ComparisonOperator: %s for Attribute: %s", c.operator, c.name)
	case c.operator == "" && c.hasList:
		return c, badParameter("AttributeValueList can only be used with a ComparisonOperator for Attribute: %s", c.name)
	case c.operator == "" && c.exists != nil && !*c.exists:
		if hasValue {
			return c, badParameter("Value cannot be used when Exists is false for Attribute: %s", c.name)
		}
		c.operator = "NULL"
	case c.operator == "" && !hasValue:
		exists := "null"
		if c.exists != nil {
			exists = "true"
		}
		return c, badParameter("Value must be provided when Exists is %s for Attribute: %s", exists, c.name)
	case c.operator == "":
		c.operator = "EQ"
	}
	if hasValue {
		c.list = []value{c.value}
	}
	return c, nil
}

// check refuses values that the operator can't have.
func (c *legacyCondition) check() error {
	o := legacyOperators[c.operator]
	if n := len(c.list); o.arity == noValues && n != 0 || o.arity == someValues && n == 0 || o.arity > 0 && n != o.arity {
		return badParameter("Invalid number of argument(s) for the %s ComparisonOperator", c.operator)
	}
	for _, v := range c.list {
		if v.kind != c.list[0].kind {
			return badParameter("AttributeValues inside AttributeValueList must be of same type")
		}
	}
	for _, v := range c.list {
		if name := v.kind.String(); o.kinds != "" && (len(name) > 1 || !strings.Contains(o.kinds, name)) {
			return badParameter("ComparisonOperator %s is not valid for %s AttributeValue type", c.operator, name)
		}
	}
	if o.op == opBetween {
		if order, _ := c.list[0].compare(c.list[1]); order > 0 {
			return invalid("The BETWEEN condition was provided a range where the lower bound is greater than the upper bound")
		}
	}
	return nil
}

// condition is the entry as the condition that an expression gives.
func (c *legacyCondition) condition() *condition {
	o := legacyOperators[c.operator]
	out := &condition{op: o.op, args: []operand{{path: path{{name: c.name, index: -1}}}}}
	for _, v := range c.list {
		out.args = append(out.args, operand{value: v})
	}
	if o.negate {
		out = &condition{op: opNot, left: out}
	}
	return out
}

// expectedCondition makes one condition of Expected; nil of none.
func expectedCondition(list []legacyCondition, conditionalOperator string) (*condition, error) {
	list = slices.Clone(list)
	for i, c := range list {
		var err error
		if list[i], err = c.normal(); err != nil {
			return nil, err
		}
	}
	return legacyFilter(list, conditionalOperator)
}

// legacyFilter makes one condition of a filter's entries; nil of none.
func legacyFilter(list []legacyCondition, conditionalOperator string) (*condition, error) {
	var all []*condition
	for _, c := range list {
		if err := c.check(); err != nil {
			return nil, err
		}
		all = append(all, c.condition())
	}
	op := opAnd
	if conditionalOperator == "OR" {
		op = opOr
	}
	return joinConditions(all, op), nil
}

// joinConditions makes a tree whose depth grows with the logarithm of the
// number.
func joinConditions(list []*condition, op operator) *condition {
	switch len(list) {
	case 0:
		return nil
	case 1:
		return list[0]
	}
	half := len(list) / 2
	return &condition{op: op, left: joinConditions(list[:half], op), right: joinConditions(list[half:], op)}
}

const errConditionCount = "Conditions can be of length 1 or 2 only"

// legacyKeys makes KeyConditions what a KeyConditionExpression gives.
func legacyKeys(list []legacyCondition) (*keyCondition, error) {
	k := &keyCondition{legacy: true}
	for _, c := range list {
		if err := c.check(); err != nil {
			return nil, err
		}
		o := legacyOperators[c.operator]
		p := keyPart{name: c.name, op: o.op, args: c.list}
		if o.negate {
			p.op = opNot
		}
		k.parts = append(k.parts, p)
	}
	if n := len(k.parts); n < 1 || n > maxKeyAttributes {
		return nil, invalid(errConditionCount)
	}
	return k, nil
}

// indexable tells whether a range of keys can stand for the operator.
func (o operator) indexable() bool {
	return o == opEqual || o >= opLess && o <= opBetween || o == opBeginsWith
}

// legacyUpdateOf makes AttributeUpdates what an UpdateExpression gives.
func legacyUpdateOf(list []legacyUpdate) (*update, error) {
	u := &update{legacy: true}
	for _, e := range list {
		target := path{{name: e.name, index: -1}}
		k := e.value.kind
		switch {
		case k == kindNone && e.action != "DELETE":
			return nil, badParameter("Only DELETE action is allowed when no attribute value is specified")
		case k == kindNone:
			u.remove = append(u.remove, target)
		case e.action == "DELETE":
			if !k.isSet() {
				return nil, badParameter("DELETE action with value is not supported for the type %s", k)
			}
			u.drop = append(u.drop, setChange{target, e.value})
		case e.action == "ADD":
			if k != kindNumber && k != kindList && !k.isSet() {
				return nil, badParameter("ADD action is not supported for the type %s", k)
			}
			u.add = append(u.add, setChange{target, e.value})
		default:
			u.set = append(u.set, assignment{target, updateExpr{op: updValue, value: e.value}})
		}
	}
	return u, nil
}

// makesItem tells whether the update makes an item that isn't there: one of
// AttributeUpdates that only deletes doesn't (API reference, AttributeUpdates).
func (u *update) makesItem() bool {
	return !u.legacy || len(u.set)+len(u.add) > 0 || len(u.remove)+len(u.drop) == 0
}

// legacyOr returns the message of an update that doesn't fit the item, which
// AttributeUpdates words in its own way.
func (u *update) legacyOr(err error) error {
	if u.legacy && err.Error() == invalid(errOperandType).Error() {
		return invalid("Type mismatch for attribute to update")
	}
	return err
}

// among finds an attribute of the schema among the conditions.
func (k keySchema) among(list []legacyCondition) (string, bool) {
	i := slices.IndexFunc(list, func(c legacyCondition) bool { return k.contains(c.name) })
	if i < 0 {
		return "", false
	}
	return list[i].name, true
}
