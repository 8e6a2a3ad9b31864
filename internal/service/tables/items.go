package tables

import (
	"net/http"

	"tidegate/internal/awshttp"
)

// A writePlan is a checked PutItem, UpdateItem, DeleteItem or ConditionCheck:
// what the state machine executes under the table's lock.
type writePlan struct {
	condition *condition
	// next makes the item from the one that is there, which may be nil; a nil
	// result deletes. A nil next changes nothing: only the condition counts.
	next func(old item) (item, error)
	// key is the item's place.
	key string
	// encoded is next's result in its durable form when that is known before the
	// lock is taken.
	encoded []byte
}

// A change is what a plan makes of its item.
type change struct {
	old, new *row
	// data is new's durable form.
	data []byte
	// none says that there is nothing to write.
	none bool
}

// evaluate decides, under the table's lock, what the plan does; nothing has
// changed yet. A failed condition returns the row that failed it as old.
func (t *table) evaluate(p *writePlan) (change, error) {
	old, _ := t.rows.Get(p.key)
	var have item
	if old != nil {
		have = old.item
	}
	if p.condition != nil && !p.condition.holds(have) {
		return change{old: old}, errConditionFailed
	}
	if p.next == nil {
		return change{old: old, none: true}, nil
	}
	it, err := p.next(have)
	if err != nil {
		return change{old: old}, err
	}
	if it == nil {
		return change{old: old, none: old == nil}, nil
	}
	c := change{old: old, new: &row{key: p.key, item: it, size: it.size()}, data: p.encoded}
	if err := t.memory.room(c); err != nil {
		return change{old: old}, err
	}
	if c.data == nil {
		c.data = it.appendBinary(make([]byte, 0, c.new.size+c.new.size/4+16))
	}
	return c, nil
}

// apply makes the change, which isn't none, and returns its record for the log.
func (t *table) apply(key string, c change) record {
	if c.new == nil {
		t.remove(key)
		return record{kind: recordDrop, table: t.desc.TableId, key: key}
	}
	t.put(c.new)
	return record{kind: recordPut, table: t.desc.TableId, key: key, data: c.data}
}

// execute applies the plan and returns the rows before and after; the commit is
// to be waited for, unless it is nil. A failed condition returns the row that
// failed it.
func (s *Service) execute(t *table, p *writePlan) (old, new *row, c *commit, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dropped {
		return nil, nil, nil, tableNotFound()
	}
	if err := s.store.usable(); err != nil {
		return nil, nil, nil, err
	}
	done, err := t.evaluate(p)
	if err != nil || done.none {
		return done.old, nil, nil, err
	}
	return done.old, done.new, s.store.append(t.apply(p.key, done)), nil
}

var errConditionFailed = &awshttp.Error{Code: codeCondition, Status: http.StatusBadRequest, Message: "The conditional request failed"}

// write runs a checked write and makes its answer.
func (s *Service) write(in *input, t *table, p *writePlan, touched []path) (any, error) {
	old, new, c, err := s.execute(t, p)
	if err == errConditionFailed {
		return nil, conditionFailure(in, old)
	}
	if err != nil {
		return nil, err
	}
	if c != nil {
		if err := c.wait(); err != nil {
			return nil, err
		}
	}
	size := 64
	if in.returnValues != "" && in.returnValues != "NONE" {
		size += max(rowSize(old), rowSize(new)) * 3 / 2
	}
	dst := append(make([]byte, 0, size), '{')
	if attributes := returned(in.returnValues, old, new, touched); attributes != nil {
		dst = append(dst, `"Attributes":`...)
		dst = append(attributes.appendJSON(dst), ',')
	}
	if wantsCapacity(in.returnCapacity) {
		var used capacity
		used.addWrite(t, old, new)
		dst = append(dst, `"ConsumedCapacity":`...)
		dst = append(used.appendJSON(dst, t.name, in.returnCapacity), ',')
	}
	if in.returnMetrics == "SIZE" && t.hasLocalIndex() {
		it := new
		if it == nil {
			it = old
		}
		if it != nil {
			dst = append(dst, `"ItemCollectionMetrics":`...)
			dst = append(appendCollection(dst, t, it.item), ',')
		}
	}
	return raw(closeObject(dst)), nil
}

func rowSize(r *row) int {
	if r == nil {
		return 0
	}
	return r.size
}

// closeObject ends an object whose members were each followed by a comma.
func closeObject(dst []byte) []byte {
	if dst[len(dst)-1] == ',' {
		dst = dst[:len(dst)-1]
	}
	return append(dst, '}')
}

// appendCollection appends an ItemCollectionMetrics: the collection's key, and
// its size in GB as a range, the smallest there is.
func appendCollection(dst []byte, t *table, it item) []byte {
	dst = append(dst, `{"ItemCollectionKey":`...)
	dst = item{{t.keys.hash.name, it.get(t.keys.hash.name)}}.appendJSON(dst)
	return append(dst, `,"SizeEstimateRangeGB":[0.0,1.0]}`...)
}

func conditionFailure(in *input, old *row) error {
	if in.returnOnFailure != "ALL_OLD" || old == nil {
		return errConditionFailed
	}
	e := *errConditionFailed
	e.Fields = map[string]any{"Item": jsonText(old.item.appendJSON(nil))}
	return &e
}

// A jsonText is JSON that encoding/json shall copy.
type jsonText []byte

// MarshalJSON returns the text.
func (t jsonText) MarshalJSON() ([]byte, error) { return t, nil }

// returned are the Attributes that ReturnValues asks for; nil is none.
func returned(mode string, old, new *row, touched []path) item {
	switch {
	case mode == "ALL_OLD" && old != nil:
		return old.item
	case mode == "ALL_NEW" && new != nil:
		return new.item
	case mode == "UPDATED_OLD" && old != nil:
		return projectUpdated(old.item, touched)
	case mode == "UPDATED_NEW" && new != nil:
		return projectUpdated(new.item, touched)
	}
	return nil
}

func projectUpdated(it item, touched []path) item {
	if out := project(it, touched); len(out) > 0 {
		return out
	}
	return nil
}

// prepare is what all three writes have in common: read the request, check it,
// ask for permission, parse the expressions, find the table.
func (s *Service) prepare(c *awshttp.Call, operation string) (in *input, t *table, cond *condition, u *update, err error) {
	in, err = decodeInput(c.Body, operation)
	if err != nil {
		return nil, nil, nil, nil, counted(err)
	}
	name, err := s.checkWrite(in)
	if err != nil {
		return nil, nil, nil, nil, counted(err)
	}
	if err := s.authorize(c, operation, s.arn(name)); err != nil {
		return nil, nil, nil, nil, err
	}
	b := &in.bindings
	missing := ": ConditionExpression is null"
	if operation == "UpdateItem" {
		missing = ": UpdateExpression and ConditionExpression are null"
	}
	err = in.checkMixed(missing)
	if err == nil {
		err = in.problem
	}
	if err == nil && in.legacy.updates != nil {
		u, err = legacyUpdateOf(in.legacy.updates)
	}
	if err == nil && in.legacy.expected != nil {
		cond, err = expectedCondition(in.legacy.expected, in.legacy.operator)
	}
	if err == nil && in.update != nil {
		u, err = parseUpdate(*in.update, b)
	}
	if err == nil && in.condition != nil {
		cond, err = parseCondition("ConditionExpression", *in.condition, b)
	}
	if err == nil {
		err = b.checkUsed()
	}
	if err != nil {
		return nil, nil, nil, nil, counted(err)
	}
	if operation == "PutItem" && in.item.size() > maxItemSize {
		return nil, nil, nil, nil, invalid(errItemSize)
	}
	if t = s.lookup(name); t == nil {
		return nil, nil, nil, nil, tableNotFound()
	}
	return in, t, cond, u, nil
}

func (s *Service) putItem(c *awshttp.Call) (any, error) {
	in, t, cond, _, err := s.prepare(c, "PutItem")
	if err != nil {
		return nil, err
	}
	p, err := t.planPut(in.item)
	if err != nil {
		return nil, err
	}
	p.condition = cond
	return s.write(in, t, p, nil)
}

const errItemSize = "Item size has exceeded the maximum allowed size"

// planPut checks an item to be stored whole.
func (t *table) planPut(it item) (*writePlan, error) {
	if err := t.checkItem(it); err != nil {
		return nil, err
	}
	size := it.size()
	if size > maxItemSize {
		return nil, invalid(errItemSize)
	}
	encoded := it.appendBinary(make([]byte, 0, size+size/4+16))
	// What a request is decoded into has room to grow and a string for each name
	// and value; what is read from its durable form takes half of that.
	kept, err := decodeItem(encoded)
	if err != nil {
		return nil, err
	}
	return &writePlan{
		key:     t.primaryKey(it),
		next:    func(item) (item, error) { return kept, nil },
		encoded: encoded,
	}, nil
}

func (s *Service) deleteItem(c *awshttp.Call) (any, error) {
	in, t, cond, _, err := s.prepare(c, "DeleteItem")
	if err != nil {
		return nil, err
	}
	p, err := t.planDelete(in.key)
	if err != nil {
		return nil, err
	}
	p.condition = cond
	return s.write(in, t, p, nil)
}

func (t *table) planDelete(key item) (*writePlan, error) {
	if err := t.checkKey(key); err != nil {
		return nil, err
	}
	return &writePlan{key: t.primaryKey(key), next: func(item) (item, error) { return nil, nil }}, nil
}

func (s *Service) updateItem(c *awshttp.Call) (any, error) {
	in, t, cond, u, err := s.prepare(c, "UpdateItem")
	if err != nil {
		return nil, err
	}
	p, touched, err := t.planUpdate(in.key, u)
	if err != nil {
		return nil, err
	}
	p.condition = cond
	return s.write(in, t, p, touched)
}

// planUpdate checks an update, which may be nil, of the item with the key; it
// also returns the paths that are touched.
func (t *table) planUpdate(key item, u *update) (*writePlan, []path, error) {
	if err := t.checkKey(key); err != nil {
		return nil, nil, err
	}
	var touched []path
	if u != nil {
		touched = u.paths()
	}
	for _, p := range touched {
		if t.keys.contains(p[0].name) {
			return nil, nil, badParameter("Cannot update attribute %s. This attribute is part of the key", p[0].name)
		}
	}
	return &writePlan{key: t.primaryKey(key), next: func(old item) (item, error) {
		if old == nil {
			if u != nil && !u.makesItem() {
				return nil, nil
			}
			old = key
		}
		if u == nil {
			return old, nil
		}
		return t.update(u, old)
	}}, touched, nil
}

// update applies u and checks that the result can be stored.
func (t *table) update(u *update, old item) (item, error) {
	it, err := u.apply(old)
	if err != nil {
		return nil, u.legacyOr(err)
	}
	if err := t.checkIndexKeys(it); err != nil {
		return nil, err
	}
	if it.size() > maxItemSize {
		return nil, invalid("Item size to update has exceeded the maximum allowed size")
	}
	if (value{kind: kindMap, m: it}).depth() > maxDepth {
		return nil, invalid(errNesting)
	}
	return it, nil
}

func (s *Service) getItem(c *awshttp.Call) (any, error) {
	in, err := decodeInput(c.Body, "GetItem")
	if err != nil {
		return nil, err
	}
	name, err := s.checkRead(in)
	if err != nil {
		return nil, err
	}
	if err := s.authorize(c, "GetItem", s.arn(name)); err != nil {
		return nil, err
	}
	if err := in.checkMixed(""); err != nil {
		return nil, err
	}
	if in.problem != nil {
		return nil, in.problem
	}
	paths, err := attributePaths(in.legacy.attributes)
	if err != nil {
		return nil, err
	}
	if in.projection != nil {
		if paths, err = parseProjection(*in.projection, &in.bindings); err != nil {
			return nil, err
		}
	}
	if err := in.bindings.checkUsed(); err != nil {
		return nil, err
	}
	t := s.lookup(name)
	if t == nil {
		return nil, tableNotFound()
	}
	if err := t.checkKey(in.key); err != nil {
		return nil, err
	}
	r := t.read(t.primaryKey(in.key))
	dst := append(make([]byte, 0, 64+rowSize(r)*3/2), '{')
	if r != nil {
		it := r.item
		if paths != nil {
			it = project(it, paths)
		}
		dst = append(dst, `"Item":`...)
		dst = append(it.appendJSON(dst), ',')
	}
	if wantsCapacity(in.returnCapacity) {
		var used capacity
		used.addTable(readUnits(rowSize(r), in.consistent))
		dst = append(dst, `"ConsumedCapacity":`...)
		dst = append(used.appendJSON(dst, name, in.returnCapacity), ',')
	}
	return raw(closeObject(dst)), nil
}

// read returns the row with the key, or nil.
func (t *table) read(key string) *row {
	t.mu.RLock()
	r, _ := t.rows.Get(key)
	t.mu.RUnlock()
	return r
}
