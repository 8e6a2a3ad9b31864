package tables

import (
	"strconv"
	"strings"

	"tidegate/internal/awshttp"
)

// An input is the request of an operation on items, in the union of their
// members. A nil pointer or map is a member that isn't there.
type input struct {
	operation     string
	inTransaction bool

	// problem is the first of the attribute values that can't be: DynamoDB looks at
	// them when the request is otherwise complete, first at the item's or the
	// key's.
	problem     error
	problemRank int

	table, index             *string
	item, key, startKey      item
	hasItem, hasKey, hasFrom bool

	condition, update, keyCondition, filter, projection *string
	bindings                                            bindings
	legacy                                              legacyInput

	returnValues, returnOnFailure, returnCapacity, returnMetrics, selection string

	consistent         bool
	backward           bool
	limit              *int64
	segment, ofSegment *int64
}

// members are the parameters of each operation that Tidegate knows; any new one
// is refused by name.
var members = func() map[string]map[string]bool {
	write := "TableName ConditionExpression ExpressionAttributeNames ExpressionAttributeValues ReturnValues ReturnConsumedCapacity ReturnItemCollectionMetrics ReturnValuesOnConditionCheckFailure Expected ConditionalOperator "
	read := "TableName ProjectionExpression ExpressionAttributeNames ReturnConsumedCapacity ConsistentRead AttributesToGet "
	page := read + "IndexName ExpressionAttributeValues FilterExpression ExclusiveStartKey Limit Select ConditionalOperator "
	action := "TableName ConditionExpression ExpressionAttributeNames ExpressionAttributeValues ReturnValuesOnConditionCheckFailure "
	m := map[string]map[string]bool{}
	for op, list := range map[string]string{
		"PutItem":    write + "Item",
		"UpdateItem": write + "Key UpdateExpression AttributeUpdates",
		"DeleteItem": write + "Key",
		"GetItem":    read + "Key",
		"Query":      page + "KeyConditionExpression ScanIndexForward KeyConditions QueryFilter",
		"Scan":       page + "Segment TotalSegments ScanFilter",
		// The actions of transactions.
		"Put":            action + "Item",
		"Update":         action + "Key UpdateExpression",
		"Delete":         action + "Key",
		"ConditionCheck": action + "Key",
		"Get":            "TableName Key ProjectionExpression ExpressionAttributeNames",
	} {
		m[op] = map[string]bool{}
		for _, name := range strings.Fields(list) {
			m[op][name] = true
		}
	}
	return m
}()

// problemRanks is the order in which DynamoDB looks at attribute values.
var problemRanks = map[string]int{
	"AttributeUpdates": 1, "QueryFilter": 1, "ScanFilter": 1,
	"Expected": 2, "ExclusiveStartKey": 2,
	"ExpressionAttributeNames": 3, "ExpressionAttributeValues": 4,
	"KeyConditions": 5,
}

// foreign reads a member that the operation doesn't have: DynamoDB skips it.
// What it has nowhere may be newer than Tidegate, and is refused by name.
func (s *scanner) foreign(name, operation string) error {
	for _, of := range members {
		if of[name] {
			return s.skip()
		}
	}
	return unsupported("the parameter " + name + " of " + operation)
}

// decodeInput reads the request's body.
func decodeInput(body []byte, operation string) (*input, error) {
	in := &input{operation: operation}
	s := &scanner{b: body, older: operation == "Scan"}
	err := in.read(s)
	if err == nil {
		err = s.end()
	}
	return in, err
}

// read reads the members of in.operation.
func (in *input) read(s *scanner) error {
	known := members[in.operation]
	return s.object(func(name string) error {
		switch {
		case known[name]:
		case in.inTransaction: // ReturnValues, say, is missed by who gives it
			return unsupported("the parameter " + name + " of " + in.operation)
		default:
			return s.foreign(name, in.operation)
		}
		start, depth := s.i, s.depth
		err := in.member(s, name)
		e, ok := err.(*awshttp.Error)
		if !ok || e.Code != codeValidation || in.inTransaction || strings.HasPrefix(e.Message, "Tidegate ") {
			return err
		}
		rank := problemRanks[name]
		if name == "ExclusiveStartKey" && in.operation == "Query" && !s.plain {
			err = invalid(errStartKey.Message + ": " + e.Message)
		}
		if in.problem == nil || rank < in.problemRank {
			in.problem, in.problemRank = err, rank
		}
		in.bindings.broken = true // that they are empty is looked at later
		s.i, s.depth = start, depth
		return s.skip()
	})
}

func (in *input) member(s *scanner, name string) (err error) {
	text := func(p **string) {
		var t string
		if t, err = s.string(); err == nil {
			*p = &t
		}
	}
	number := func(p **int64) {
		var n int64
		if n, err = s.int(); err == nil {
			*p = &n
		}
	}
	switch name {
	case "TableName":
		text(&in.table)
	case "IndexName":
		text(&in.index)
	case "Item":
		in.item, err = s.attributes()
		in.hasItem = true
	case "Key":
		in.key, err = s.attributes()
		in.hasKey = true
	case "ExclusiveStartKey":
		in.startKey, err = s.attributes()
		in.hasFrom = true
	case "ConditionExpression":
		text(&in.condition)
	case "UpdateExpression":
		text(&in.update)
	case "KeyConditionExpression":
		text(&in.keyCondition)
	case "FilterExpression":
		text(&in.filter)
	case "ProjectionExpression":
		text(&in.projection)
	case "ExpressionAttributeNames":
		err = in.bindings.readNames(s)
	case "ExpressionAttributeValues":
		err = in.bindings.readValues(s)
	case "ReturnValues":
		in.returnValues, err = s.string()
	case "ReturnValuesOnConditionCheckFailure":
		in.returnOnFailure, err = s.string()
	case "ReturnConsumedCapacity":
		in.returnCapacity, err = s.string()
	case "ReturnItemCollectionMetrics":
		in.returnMetrics, err = s.string()
	case "Select":
		in.selection, err = s.string()
	case "ConsistentRead":
		in.consistent, err = s.bool()
	case "ScanIndexForward":
		var forward bool
		forward, err = s.bool()
		in.backward = !forward
	case "AttributesToGet":
		in.legacy.attributes, err = readAttributes(s)
	case "AttributeUpdates":
		in.legacy.updates, err = readLegacyUpdates(s)
	case "Expected":
		in.legacy.expected, err = readLegacyConditions(s, name)
	case "KeyConditions":
		in.legacy.keys, err = readLegacyConditions(s, name)
	case "QueryFilter", "ScanFilter":
		in.legacy.filter, err = readLegacyConditions(s, name)
	case "ConditionalOperator":
		in.legacy.operator, err = s.string()
	case "Limit":
		number(&in.limit)
	case "Segment":
		number(&in.segment)
	case "TotalSegments":
		number(&in.ofSegment)
	}
	return err
}

// readNames reads ExpressionAttributeNames.
func (b *bindings) readNames(s *scanner) error {
	b.names = map[string]string{}
	return s.object(func(key string) error {
		name, err := s.string()
		if err != nil {
			return err
		}
		if !isPlaceholder(key, '#') {
			return invalid("ExpressionAttributeNames contains invalid key: Syntax error; key: \"" + key + "\"")
		}
		if name == "" {
			return invalid("ExpressionAttributeNames contains invalid value: The expression attribute name can not be empty; key: " + key)
		}
		b.names[key] = name
		return nil
	})
}

// readValues reads ExpressionAttributeValues.
func (b *bindings) readValues(s *scanner) error {
	b.values = map[string]value{}
	return s.object(func(key string) error {
		v, err := s.value()
		if e, ok := err.(*awshttp.Error); ok && e.Code == codeValidation && e.Message != errNesting && !s.plain {
			return invalid("ExpressionAttributeValues contains invalid value: " + e.Message + " for key " + key)
		}
		if err != nil {
			return err
		}
		if !isPlaceholder(key, ':') {
			return invalid("ExpressionAttributeValues contains invalid key: Syntax error; key: \"" + key + "\"")
		}
		b.values[key] = v
		return nil
	})
}

func isPlaceholder(key string, first byte) bool {
	return len(key) > 1 && key[0] == first && skipWord(key, 1) == len(key)
}

// checkGiven refuses placeholders without an expression that could use them;
// missing, which the message on values ends with, names the expressions.
func (b *bindings) checkGiven(anyExpression bool, missing string) error {
	for _, p := range []struct {
		what string
		n    int
		nil_ bool
	}{{"ExpressionAttributeNames", len(b.names), b.names == nil}, {"ExpressionAttributeValues", len(b.values), b.values == nil}} {
		switch {
		case p.nil_:
		case !anyExpression:
			message := p.what + " can only be specified when using expressions"
			if p.what == "ExpressionAttributeValues" {
				message += missing
			}
			return invalid(message)
		case p.n == 0 && !b.broken:
			return invalid(p.what + " must not be empty")
		}
	}
	return nil
}

// tableName resolves the TableName member to a name in this account.
func (s *Service) tableName(ref *string, c *constraints, quiet bool) string {
	switch {
	case ref == nil:
		c.add("Value null at 'tableName' failed to satisfy constraint: Member must not be null")
		return ""
	case *ref == "" && quiet:
		c.add("Value at 'TableName' failed to satisfy constraint: Member must have length greater than or equal to 1")
		return ""
	case *ref == "":
		c.add("Value '' at 'tableName' failed to satisfy constraint: Member must have length greater than or equal to 1")
		return ""
	}
	if strings.HasPrefix(*ref, "arn:") {
		name, ok := s.nameOf(*ref)
		if !ok {
			return *ref // no table has such a name: not found
		}
		return name
	}
	if len(*ref) > 255 {
		c.add("Value '%s' at 'tableName' failed to satisfy constraint: Member must have length less than or equal to 255", *ref)
	}
	if !nameLetters(*ref) {
		c.add("Value '%s' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+", *ref)
	}
	return *ref
}

const enumReturnValues = "Failed to satisfy constraint: Member must satisfy enum value set: [ALL_OLD, UPDATED_OLD, ALL_NEW, UPDATE_NEW, NONE]"

// checkWrite is the first look at a PutItem, UpdateItem or DeleteItem. It
// returns the table's name.
func (s *Service) checkWrite(in *input) (string, error) {
	var c constraints
	name := s.tableName(in.table, &c, true)
	if len(c) > 0 {
		return "", c.err()
	}
	if in.operation == "PutItem" && !in.hasItem {
		c.add("Value null at 'item' failed to satisfy constraint: Member must not be null")
	}
	if in.operation != "PutItem" && !in.hasKey {
		c.add("Value null at 'key' failed to satisfy constraint: Member must not be null")
	}
	badReturn := true
	switch in.returnValues {
	case "", "NONE", "ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW":
		badReturn = false
	}
	if badReturn && in.operation == "UpdateItem" {
		return "", constraints{enumReturnValues}.err()
	}
	c.enum(in.returnCapacity, "returnConsumedCapacity", "INDEXES, TOTAL, NONE", "INDEXES", "TOTAL", "NONE")
	if badReturn {
		c.add(enumReturnValues)
	}
	c.enum(in.returnMetrics, "returnItemCollectionMetrics", "SIZE, NONE", "SIZE", "NONE")
	c.enum(in.returnOnFailure, "returnValuesOnConditionCheckFailure", "ALL_OLD, NONE", "ALL_OLD", "NONE")
	in.legacy.checkMembers(in.operation, &c)
	if err := c.err(); err != nil {
		return "", err
	}
	if in.operation != "UpdateItem" && in.returnValues != "" && in.returnValues != "NONE" && in.returnValues != "ALL_OLD" {
		return "", invalid("ReturnValues can only be ALL_OLD or NONE")
	}
	return name, nil
}

// checkRead is the first look at a GetItem, Query or Scan.
func (s *Service) checkRead(in *input) (string, error) {
	var c constraints
	name := s.tableName(in.table, &c, false)
	if o := in.legacy.operator; in.operation == "Query" && len(c) == 0 && o != "" && o != "AND" && o != "OR" {
		return "", invalid("Failed to satisfy constraint: Member must satisfy enum value set: [ALL, OR]") // AWS's words
	}
	c.enum(in.returnCapacity, "returnConsumedCapacity", "INDEXES, TOTAL, NONE", "INDEXES", "TOTAL", "NONE")
	in.legacy.checkMembers(in.operation, &c)
	if in.operation == "GetItem" {
		if !in.hasKey {
			c.add("Value null at 'key' failed to satisfy constraint: Member must not be null")
		}
		return name, c.err()
	}
	c.enum(in.selection, "select", "SPECIFIC_ATTRIBUTES, COUNT, ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES",
		"SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES")
	if in.index != nil {
		c.checkName(*in.index, "indexName")
	}
	if in.limit != nil && *in.limit < 1 {
		if in.operation == "Query" {
			c.add("Value at 'Limit' failed to satisfy constraint: Member must have value greater than or equal to 1")
		} else {
			c.add("Value '%d' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1", *in.limit)
		}
	}
	c.between(in.ofSegment, "totalSegments", 1, 1000000)
	c.between(in.segment, "segment", 0, 999999)
	return name, c.err()
}

func (c *constraints) between(n *int64, member string, low, high int64) {
	if n != nil && *n < low {
		c.add("Value '%d' at '%s' failed to satisfy constraint: Member must have value greater than or equal to %d", *n, member, low)
	}
	if n != nil && *n > high {
		c.add("Value '%d' at '%s' failed to satisfy constraint: Member must have value less than or equal to %d", *n, member, high)
	}
}

// capacity is what an operation used, for ReturnConsumedCapacity.
type capacity struct {
	table, total float64
	indexes      []indexUnits
	// split, when not empty, is the member that repeats the units as read or
	// write units, which only transactions tell.
	split string
}

type indexUnits struct {
	name   string
	global bool
	units  float64
}

// addIndex counts units of an index.
func (c *capacity) addIndex(x *index, units float64) {
	c.total += units
	for i := range c.indexes {
		if c.indexes[i].name == x.name {
			c.indexes[i].units += units
			return
		}
	}
	c.indexes = append(c.indexes, indexUnits{x.name, x.global, units})
}

// double makes what was counted twice as much: a transaction prepares and
// commits each item.
func (c *capacity) double() {
	c.table, c.total = 2*c.table, 2*c.total
	for i := range c.indexes {
		c.indexes[i].units *= 2
	}
}

func (c *capacity) addTable(units float64) {
	c.table += units
	c.total += units
}

// writeUnits are one for each KiB begun.
func writeUnits(size int) float64 { return float64(max(1, (size+1023)/1024)) }

// readUnits are one for each 4 KiB begun, half of it when eventually
// consistent. Nothing read costs as much as a little.
func readUnits(size int, consistent bool) float64 {
	n := float64(max(1, (size+4095)/4096))
	if !consistent {
		n /= 2
	}
	return n
}

// addWrite counts what writing new over old costs; either may be nil.
func (c *capacity) addWrite(t *table, old, new *row) {
	size := 0
	if old != nil {
		size = old.size
	}
	if new != nil {
		size = max(size, new.size)
	}
	c.addTable(writeUnits(size))
	for _, x := range *t.indexes.Load() {
		c.addIndexWrite(x, old, new)
	}
}

// addIndexWrite: an index pays for what changes in it; a changed index key is a
// removal and an insertion.
func (c *capacity) addIndexWrite(x *index, old, new *row) {
	had, has := old != nil && x.holds(old.item), new != nil && x.holds(new.item)
	switch {
	case had && has && x.key(old) == x.key(new):
		a, b := x.project(old.item), x.project(new.item)
		if !(value{kind: kindMap, m: a}).equal(value{kind: kindMap, m: b}) {
			c.addIndex(x, writeUnits(max(a.size(), b.size())))
		}
	case had && has:
		c.addIndex(x, writeUnits(x.size(old))+writeUnits(x.size(new)))
	case had:
		c.addIndex(x, writeUnits(x.size(old)))
	case has:
		c.addIndex(x, writeUnits(x.size(new)))
	}
}

// appendJSON appends a ConsumedCapacity object as mode asks.
func (c *capacity) appendJSON(dst []byte, table, mode string) []byte {
	dst = append(dst, `{"TableName":`...)
	dst = appendJSONString(dst, table)
	dst = append(dst, ',')
	dst = c.appendUnits(dst, c.total)
	if mode == "INDEXES" {
		dst = append(dst, `,"Table":{`...)
		dst = append(c.appendUnits(dst, c.table), '}')
		for _, kind := range []struct {
			name   string
			global bool
		}{{"LocalSecondaryIndexes", false}, {"GlobalSecondaryIndexes", true}} {
			n := 0
			for _, x := range c.indexes {
				if x.global != kind.global {
					continue
				}
				if n == 0 {
					dst = append(dst, `,"`+kind.name+`":{`...)
				} else {
					dst = append(dst, ',')
				}
				n++
				dst = appendJSONString(dst, x.name)
				dst = append(dst, ':', '{')
				dst = append(c.appendUnits(dst, x.units), '}')
			}
			if n > 0 {
				dst = append(dst, '}')
			}
		}
	}
	return append(dst, '}')
}

func (c *capacity) appendUnits(dst []byte, units float64) []byte {
	dst = append(dst, `"CapacityUnits":`...)
	dst = strconv.AppendFloat(dst, units, 'f', 1, 64)
	if c.split != "" {
		dst = append(appendJSONString(append(dst, ','), c.split), ':')
		dst = strconv.AppendFloat(dst, units, 'f', 1, 64)
	}
	return dst
}

// wants tells whether the caller asked for consumed capacity.
func wantsCapacity(mode string) bool { return mode == "TOTAL" || mode == "INDEXES" }
