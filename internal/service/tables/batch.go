package tables

import (
	"fmt"
	"strings"

	"tidegate/internal/awshttp"
)

// DynamoDB's limits on batches.
const (
	maxBatchWrites = 25
	maxBatchGets   = 100
	maxBatchBytes  = 16 << 20
)

// A getRequest is one table's part of a BatchGetItem.
type getRequest struct {
	table      string // as the caller named it
	keys       []item
	projection *string
	attributes []string // AttributesToGet; nil: not given
	bindings   bindings
	consistent bool

	name  string
	t     *table
	paths []path
}

func (s *Service) batchGetItem(c *awshttp.Call) (any, error) {
	requests, mode, err := decodeBatchGet(c.Body)
	if err != nil {
		return nil, err
	}
	if err := s.checkBatchGet(requests, mode); err != nil {
		return nil, err
	}
	if err := s.bindGets(c, requests); err != nil {
		return nil, err
	}
	return raw(answerBatchGet(requests, mode)), nil
}

// checkBatchGet is the first look at a BatchGetItem.
func (s *Service) checkBatchGet(requests []*getRequest, mode string) error {
	var c constraints
	c.enum(mode, "returnConsumedCapacity", "INDEXES, TOTAL, NONE", "INDEXES", "TOTAL", "NONE")
	switch {
	case requests == nil:
		c.add("Value null at 'requestItems' failed to satisfy constraint: Member must not be null")
	case len(requests) == 0:
		c.add("Value at 'RequestItems' failed to satisfy constraint: Member must have length greater than or equal to 1")
	}
	total, named := 0, true
	for _, r := range requests {
		named = s.nameTable(r.table, &r.name) && named
	}
	if !named {
		c.badTableNames(printGets(requests))
	}
	for _, r := range requests {
		switch {
		case r.keys == nil:
			c.add("Value null at 'requestItems.%s.member.keys' failed to satisfy constraint: Member must not be null", r.table)
		case len(r.keys) == 0:
			c.add("Value '[]' at 'requestItems.%s.member.keys' failed to satisfy constraint: Member must have length greater than or equal to 1", r.table)
		case len(r.keys) > maxBatchGets:
			c.add("Value at 'RequestItems.%s.member.Keys' failed to satisfy constraint: Member must have length less than or equal to 100", r.table)
		}
		if r.attributes != nil && len(r.attributes) == 0 {
			c.add("Value '[]' at 'requestItems.%s.member.attributesToGet' failed to satisfy constraint: Member must have length greater than or equal to 1", r.table)
		}
		total += len(r.keys)
	}
	if err := c.err(); err != nil {
		return err
	}
	if total > maxBatchGets {
		return invalid("Too many items requested for the BatchGetItem call")
	}
	return nil
}

// nameTable notes the name of a batch's table; ok is false when no table can have
// it.
func (s *Service) nameTable(given string, name *string) (ok bool) {
	var c constraints
	*name = s.tableName(&given, &c, false)
	return len(c) == 0 && len(*name) >= 3
}

// bindGets checks every table's part: name, permission, expressions, keys.
func (s *Service) bindGets(c *awshttp.Call, requests []*getRequest) error {
	for _, r := range requests {
		if err := s.authorize(c, "BatchGetItem", s.arn(r.name)); err != nil {
			return err
		}
	}
	for _, r := range requests {
		err := refuseMixed([]named{{"AttributesToGet", r.attributes != nil}}, []named{{"ProjectionExpression", r.projection != nil}})
		if err == nil {
			r.paths, err = attributePaths(r.attributes)
		}
		if err == nil {
			err = r.bindings.checkGiven(r.projection != nil, "")
		}
		if err == nil && r.projection != nil {
			r.paths, err = parseProjection(*r.projection, &r.bindings)
		}
		if err == nil {
			err = r.bindings.checkUsed()
		}
		if err != nil {
			return err
		}
		seen := map[string]bool{}
		for _, k := range r.keys {
			key := string(k.appendBinary(nil))
			if seen[key] {
				return invalid("Provided list of item keys contains duplicates")
			}
			seen[key] = true
		}
	}
	for _, r := range requests {
		if r.t = s.lookup(r.name); r.t == nil {
			return tableNotFound()
		}
		for _, k := range r.keys {
			if err := r.t.checkKey(k); err != nil {
				return err
			}
		}
	}
	return nil
}

// answerBatchGet reads the items; what goes beyond 16 MB is returned as
// unprocessed.
func answerBatchGet(requests []*getRequest, mode string) []byte {
	dst := []byte(`{"Responses":{`)
	var left []*getRequest
	var used []byte
	size := 0
	for i, r := range requests {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendJSONString(dst, r.table)
		dst = append(dst, ':', '[')
		var units capacity
		found := 0
		for j, k := range r.keys {
			row := r.t.read(r.t.primaryKey(k))
			if size+rowSize(row) > maxBatchBytes {
				rest := *r
				rest.keys = r.keys[j:]
				left = append(left, &rest)
				break
			}
			size += rowSize(row)
			units.addTable(readUnits(rowSize(row), r.consistent))
			if row == nil {
				continue
			}
			it := row.item
			if r.paths != nil {
				it = project(it, r.paths)
			}
			if found > 0 {
				dst = append(dst, ',')
			}
			found++
			dst = it.appendJSON(dst)
		}
		dst = append(dst, ']')
		if wantsCapacity(mode) {
			if used != nil {
				used = append(used, ',')
			}
			used = units.appendJSON(used, r.name, mode)
		}
	}
	dst = append(dst, `},"UnprocessedKeys":{`...)
	for i, r := range left {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = r.appendJSON(dst)
	}
	dst = append(dst, "},"...)
	if used != nil {
		dst = append(dst, `"ConsumedCapacity":[`...)
		dst = append(append(dst, used...), ']', ',')
	}
	return closeObject(dst)
}

// appendJSON appends the request as a member of UnprocessedKeys.
func (r *getRequest) appendJSON(dst []byte) []byte {
	dst = appendJSONString(dst, r.table)
	dst = append(dst, `:{"Keys":[`...)
	for i, k := range r.keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = k.appendJSON(dst)
	}
	dst = append(dst, "],"...)
	if r.consistent {
		dst = append(dst, `"ConsistentRead":true,`...)
	}
	if r.projection != nil {
		dst = append(dst, `"ProjectionExpression":`...)
		dst = append(appendJSONString(dst, *r.projection), ',')
	}
	if r.attributes != nil {
		dst = append(dst, `"AttributesToGet":[`...)
		for i, name := range r.attributes {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSONString(dst, name)
		}
		dst = append(dst, ']', ',')
	}
	if r.bindings.names != nil {
		dst = append(dst, `"ExpressionAttributeNames":{`...)
		for name, to := range r.bindings.names {
			dst = append(appendJSONString(dst, name), ':')
			dst = append(appendJSONString(dst, to), ',')
		}
		dst = append(closeObject(dst), ',')
	}
	return closeObject(dst)
}

func decodeBatchGet(body []byte) (requests []*getRequest, mode string, err error) {
	s := &scanner{b: body}
	err = s.object(func(name string) (err error) {
		switch name {
		case "RequestItems":
			requests = []*getRequest{}
			return s.object(func(table string) error {
				r := &getRequest{table: table}
				requests = append(requests, r)
				return s.object(func(name string) error { return r.member(s, name) })
			})
		case "ReturnConsumedCapacity":
			mode, err = s.string()
			return err
		}
		return s.foreign(name, "BatchGetItem")
	})
	if err == nil {
		err = s.end()
	}
	return requests, mode, err
}

func (r *getRequest) member(s *scanner, name string) (err error) {
	switch name {
	case "Keys":
		r.keys = []item{}
		return s.array(func(n int) error {
			if n > 1000 { // refused later with the right words; no reason to read on
				return invalid("Too many items requested for the BatchGetItem call")
			}
			k, err := s.attributes()
			r.keys = append(r.keys, k)
			return err
		})
	case "ProjectionExpression":
		var t string
		t, err = s.string()
		r.projection = &t
	case "AttributesToGet":
		r.attributes, err = readAttributes(s)
	case "ExpressionAttributeNames":
		err = r.bindings.readNames(s)
	case "ConsistentRead":
		r.consistent, err = s.bool()
	default:
		err = s.foreign(name, "BatchGetItem")
	}
	return err
}

// A writeRequest is one put or delete of a BatchWriteItem.
type writeRequest struct {
	item, key item
	isPut     bool
	isDelete  bool
}

// A tableWrites is one table's part of a BatchWriteItem.
type tableWrites struct {
	table  string
	writes []writeRequest

	name  string
	t     *table
	plans []*writePlan
}

func (s *Service) batchWriteItem(c *awshttp.Call) (any, error) {
	requests, mode, metrics, err := decodeBatchWrite(c.Body)
	if err != nil {
		return nil, err
	}
	if err := s.checkBatchWrite(requests, mode, metrics); err != nil {
		return nil, err
	}
	if err := s.bindWrites(c, requests); err != nil {
		return nil, err
	}
	var commits []*commit
	var used, collections []byte
	for _, r := range requests {
		var units capacity
		var sizes []byte
		seen := map[string]bool{}
		for i, p := range r.plans {
			old, new, done, err := s.execute(r.t, p)
			if err != nil {
				return nil, err
			}
			if done != nil {
				commits = append(commits, done)
			}
			units.addWrite(r.t, old, new)
			it := r.writes[i].item
			if it == nil {
				it = r.writes[i].key
			}
			if metrics == "SIZE" && r.t.hasLocalIndex() && !seen[it.get(r.t.keys.hash.name).text] {
				seen[it.get(r.t.keys.hash.name).text] = true
				if sizes != nil {
					sizes = append(sizes, ',')
				}
				sizes = appendCollection(sizes, r.t, it)
			}
		}
		if wantsCapacity(mode) {
			if used != nil {
				used = append(used, ',')
			}
			used = units.appendJSON(used, r.name, mode)
		}
		if sizes != nil {
			if collections != nil {
				collections = append(collections, ',')
			}
			collections = append(appendJSONString(collections, r.table), ":["...)
			collections = append(append(collections, sizes...), ']')
		}
	}
	for _, done := range commits {
		if err := done.wait(); err != nil {
			return nil, err
		}
	}
	dst := []byte(`{"UnprocessedItems":{},`)
	if used != nil {
		dst = append(dst, `"ConsumedCapacity":[`...)
		dst = append(append(dst, used...), ']', ',')
	}
	if collections != nil {
		dst = append(dst, `"ItemCollectionMetrics":{`...)
		dst = append(append(dst, collections...), '}', ',')
	}
	return raw(closeObject(dst)), nil
}

// checkBatchWrite is the first look at a BatchWriteItem.
func (s *Service) checkBatchWrite(requests []*tableWrites, mode, metrics string) error {
	var list constraints
	list.enum(mode, "returnConsumedCapacity", "INDEXES, TOTAL, NONE", "INDEXES", "TOTAL", "NONE")
	list.enum(metrics, "returnItemCollectionMetrics", "SIZE, NONE", "SIZE", "NONE")
	if requests == nil {
		list.add("Value null at 'requestItems' failed to satisfy constraint: Member must not be null")
	}
	named, filled := true, true
	for _, r := range requests {
		named = s.nameTable(r.table, &r.name) && named
		filled = filled && len(r.writes) > 0 && len(r.writes) <= maxBatchWrites
	}
	if !named {
		list.badTableNames(printWrites(requests))
	}
	if !filled {
		list.add("Value '%s' at 'requestItems' failed to satisfy constraint: Map value must satisfy constraint: [Member must have length less than or equal to 25, Member must have length greater than or equal to 1]", printWrites(requests))
	}
	if err := list.err(); err != nil {
		return err
	}
	if len(requests) == 0 {
		return invalid("The requestItems parameter is required for BatchWriteItem")
	}
	total := 0
	for _, r := range requests {
		for _, w := range r.writes {
			switch {
			case w.isPut == w.isDelete: // DynamoDB says so of neither too
				return invalid("Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes")
			case w.isPut && w.item.size() > maxItemSize:
				return invalid(errItemSize)
			}
		}
		total += len(r.writes)
	}
	if total > maxBatchWrites {
		return invalid("Too many items requested for the BatchWriteItem call")
	}
	return nil
}

// printWrites is how a refusal echoes the requests: the attributes' names, not
// their values.
func printWrites(requests []*tableWrites) string {
	var parts []string
	for _, r := range requests {
		list := make([]string, len(r.writes))
		for i, w := range r.writes {
			if list[i] = "WriteRequest(deleteRequest=DeleteRequest(key=" + printNames(w.item) + "))"; w.isPut {
				list[i] = "WriteRequest(putRequest=PutRequest(item=" + printNames(w.item) + "))"
			}
		}
		parts = append(parts, fmt.Sprintf("%s=[%s]", r.table, strings.Join(list, ", ")))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// printGets is a BatchGetItem as badTableNames shows it, without values.
func printGets(requests []*getRequest) string {
	var parts []string
	for _, r := range requests[:min(len(requests), 8)] {
		keys := "..."
		if len(r.keys) == 1 {
			keys = printNames(r.keys[0])
		}
		parts = append(parts, r.table+"=KeysAndAttributes(keys=["+keys+"])")
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// badTableNames notes a batch, printed without its values, one of whose tables
// can't have its name.
func (c *constraints) badTableNames(printed string) {
	c.add("Value '%s' at 'requestItems' failed to satisfy constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 255, Member must have length greater than or equal to 3, Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+]", printed)
}

// printNames is an item without its values, its first attributes.
func printNames(it item) string {
	var b strings.Builder
	for i, a := range it {
		if i == 8 {
			b.WriteString(", ...")
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(a.name + "=AttributeValue")
	}
	return "{" + b.String() + "}"
}

// bindWrites checks every table's part, so that nothing is written when
// anything is wrong.
func (s *Service) bindWrites(c *awshttp.Call, requests []*tableWrites) error {
	for _, r := range requests {
		if err := s.authorize(c, "BatchWriteItem", s.arn(r.name)); err != nil {
			return err
		}
	}
	for _, r := range requests {
		if r.t = s.lookup(r.name); r.t == nil {
			return tableNotFound()
		}
		seen := map[string]bool{}
		for _, w := range r.writes {
			var p *writePlan
			var err error
			switch {
			case w.isPut && !r.t.keysFit(w.item):
				err = invalid(errKeySchema)
			case w.isPut:
				p, err = r.t.planPut(w.item)
			default:
				p, err = r.t.planDelete(w.key)
			}
			if err != nil {
				return err
			}
			if seen[p.key] {
				return invalid("Provided list of item keys contains duplicates")
			}
			seen[p.key] = true
			r.plans = append(r.plans, p)
		}
	}
	return nil
}

// keysFit tells whether the item has the table's key attributes with their
// types; a batch words it otherwise than PutItem.
func (t *table) keysFit(it item) bool { return matchesSchema(t.keys.extract(it), t.keys) }

func decodeBatchWrite(body []byte) (requests []*tableWrites, mode, metrics string, err error) {
	s := &scanner{b: body, older: true}
	err = s.object(func(name string) (err error) {
		switch name {
		case "RequestItems":
			requests = []*tableWrites{}
			return s.object(func(table string) error {
				r := &tableWrites{table: table}
				requests = append(requests, r)
				return s.array(func(n int) error {
					if n > 1000 {
						return invalid("Too many items requested for the BatchWriteItem call")
					}
					r.writes = append(r.writes, writeRequest{})
					return r.writes[n].read(s)
				})
			})
		case "ReturnConsumedCapacity":
			mode, err = s.string()
			return err
		case "ReturnItemCollectionMetrics":
			metrics, err = s.string()
			return err
		}
		return s.foreign(name, "BatchWriteItem")
	})
	if err == nil {
		err = s.end()
	}
	return requests, mode, metrics, err
}

func (w *writeRequest) read(s *scanner) error {
	return s.object(func(kind string) error {
		if kind != "PutRequest" && kind != "DeleteRequest" {
			return unsupported("the parameter " + kind + " of BatchWriteItem")
		}
		return s.object(func(name string) (err error) {
			switch {
			case kind == "PutRequest" && name == "Item":
				w.isPut = true
				w.item, err = s.attributes()
			case kind == "DeleteRequest" && name == "Key":
				w.isDelete = true
				w.key, err = s.attributes()
			default:
				err = unsupported("the parameter " + kind + "." + name + " of BatchWriteItem")
			}
			return err
		})
	})
}
