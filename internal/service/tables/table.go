package tables

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tidwall/btree"

	"tidegate/internal/awshttp"
)

// DynamoDB's limits on items (Service quotas; "Item sizes and formats").
const (
	maxItemSize = 400 << 10
	maxHashKey  = 2048
	maxSortKey  = 1024
	maxDepth    = 32
	maxPage     = 1 << 20
)

// A table is the live state of one table: its items in key order, and its
// indexes. Its items change only by put and remove, in the order in which the
// store's log has the same records: the state is what the log makes of it.
type table struct {
	keys keySchema
	arn  string
	name string
	// indexes is replaced under mu by UpdateTable; checks that need no lock read it
	// as it is at the time. What is inside an index is guarded by mu.
	indexes atomic.Pointer[[]*index]

	// mu guards what follows. It is held while a condition is evaluated and its
	// write applied and handed to the log, so a write is atomic and the log's
	// order is the table's.
	mu      sync.RWMutex
	desc    *description // replaced, never changed
	rows    btree.Map[string, *row]
	bytes   int64
	cost    int64 // of the rows, which is in memory.held
	memory  *memory
	dropped bool
	tags    []tag
	ttl     *timeToLive // nil: never set
	// recovery is nil unless point-in-time recovery was asked for.
	recovery *pointInTime
}

// A row is a stored item; it never changes.
type row struct {
	key  string
	item item
	size int
}

// An index is a secondary index: the rows that have its key attributes, in its
// key's order and then the table's.
type index struct {
	name   string
	global bool
	keys   keySchema
	// attributes are the projected ones; nil means all.
	attributes []path
	rows       btree.Map[string, *row]
	bytes      int64
}

func newTable(d *description, m *memory) *table {
	t := &table{memory: m, desc: d, keys: d.keys(d.KeySchema), arn: d.TableArn, name: d.TableName}
	var indexes []*index
	for _, x := range d.LocalSecondaryIndexes {
		indexes = append(indexes, newIndex(d, x, false))
	}
	for _, x := range d.GlobalSecondaryIndexes {
		indexes = append(indexes, newIndex(d, x, true))
	}
	t.indexes.Store(&indexes)
	return t
}

func newIndex(d *description, x indexDescription, global bool) *index {
	ix := &index{name: x.IndexName, global: global, keys: d.keys(x.KeySchema)}
	if x.Projection.ProjectionType == "ALL" {
		return ix
	}
	seen := map[string]bool{}
	add := func(names ...string) {
		for _, n := range names {
			if !seen[n] {
				seen[n] = true
				ix.attributes = append(ix.attributes, path{{name: n, index: -1}})
			}
		}
	}
	add(d.keys(d.KeySchema).names()...)
	add(ix.keys.names()...)
	add(x.Projection.NonKeyAttributes...)
	return ix
}

func (t *table) index(name string) *index {
	for _, x := range *t.indexes.Load() {
		if x.name == name {
			return x
		}
	}
	return nil
}

// hasLocalIndex tells whether the table keeps item collections.
func (t *table) hasLocalIndex() bool {
	for _, x := range *t.indexes.Load() {
		if !x.global {
			return true
		}
	}
	return false
}

// put stores the item under its key and returns the row it replaced, or nil.
func (t *table) put(r *row) *row {
	old, _ := t.rows.Set(r.key, r)
	t.bytes += int64(r.size)
	cost := r.cost()
	if old != nil {
		t.bytes -= int64(old.size)
		cost -= old.cost()
	}
	t.hold(cost)
	for _, x := range *t.indexes.Load() {
		x.replace(old, r)
	}
	return old
}

// hold counts what the table's rows take in memory.
func (t *table) hold(n int64) {
	t.cost += n
	t.memory.held.Add(n)
}

func (t *table) remove(key string) *row {
	old, found := t.rows.Delete(key)
	if !found {
		return nil
	}
	t.bytes -= int64(old.size)
	t.hold(-old.cost())
	for _, x := range *t.indexes.Load() {
		x.replace(old, nil)
	}
	return old
}

func (x *index) replace(old, new *row) {
	if old != nil && x.holds(old.item) {
		x.rows.Delete(x.key(old))
		x.bytes -= int64(x.size(old))
	}
	if new != nil && x.holds(new.item) {
		x.rows.Set(x.key(new), new)
		x.bytes += int64(x.size(new))
	}
}

// holds tells whether the item has the index's key attributes: an index is
// sparse. Items from before the index may have some that can't be keys.
func (x *index) holds(it item) bool {
	if !x.keys.hash.fits(it.get(x.keys.hash.name), maxHashKey) ||
		x.keys.hasSort() && !x.keys.sort.fits(it.get(x.keys.sort.name), maxSortKey) {
		return false
	}
	return x.keys.moreHash == nil && x.keys.moreSort == nil ||
		fitTogether(it, x.keys.hashes(), maxHashKey) && fitTogether(it, x.keys.sorts(), maxSortKey)
}

// fitTogether tells whether the item has all the attributes, of most bytes
// together.
func fitTogether(it item, keys []keyAttribute, most int) bool {
	size := 0
	for _, k := range keys {
		v := it.get(k.name)
		if !k.fits(v, most) {
			return false
		}
		size += v.size()
	}
	return size <= most
}

// fits tells whether the value can be the key attribute, of most bytes.
func (k keyAttribute) fits(v value, most int) bool {
	return v.kind == k.kind && v.text != "" && (v.kind == kindNumber || len(v.text) <= most)
}

func (x *index) key(r *row) string {
	return string(append(x.keys.appendKey(make([]byte, 0, 64+len(r.key)), r.item), r.key...))
}

// project returns what the index holds of the item.
func (x *index) project(it item) item {
	if x.attributes == nil {
		return it
	}
	return project(it, x.attributes)
}

func (x *index) size(r *row) int {
	if x.attributes == nil {
		return r.size
	}
	return x.project(r.item).size()
}

// checkItem refuses an item that can't be stored: key attributes missing, of
// the wrong type, empty or too long, index keys of the wrong type or empty.
func (t *table) checkItem(it item) error {
	for _, k := range []keyAttribute{t.keys.hash, t.keys.sort} {
		if k.name == "" {
			continue
		}
		v := it.get(k.name)
		switch {
		case v.kind == kindNone:
			return badParameter("Missing the key %s in the item", k.name)
		case v.kind != k.kind:
			return badParameter("Type mismatch for key %s expected: %s actual: %s", k.name, k.kind, v.kind)
		}
	}
	if err := t.checkKeyValues(it); err != nil {
		return err
	}
	return t.checkIndexKeys(it)
}

func (t *table) checkKeyValues(it item) error {
	for _, k := range []keyAttribute{t.keys.hash, t.keys.sort} {
		if k.name == "" {
			continue
		}
		v := it.get(k.name)
		if v.text == "" {
			return emptyKeyError(k)
		}
		switch {
		case k == t.keys.hash && v.size() > maxHashKey:
			return badParameter("Size of hashkey has exceeded the maximum size limit of2048 bytes")
		case k != t.keys.hash && v.size() > maxSortKey:
			return badParameter("Aggregated size of all range keys has exceeded the size limit of 1024 bytes")
		}
	}
	return nil
}

func emptyWord(k kind) string {
	if k == kindBinary {
		return "binary"
	}
	return "string"
}

func emptyKeyError(k keyAttribute) *awshttp.Error {
	return invalidf("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty %s value. Key: %s", emptyWord(k.kind), k.name)
}

func (t *table) checkIndexKeys(it item) error {
	for _, x := range *t.indexes.Load() {
		hashes, sorts := 0, 0
		for _, k := range append(x.keys.hashes(), x.keys.sorts()...) {
			v := it.get(k.name)
			if v.kind == k.kind && slices.Contains(x.keys.hashes(), k) {
				hashes += v.size()
			} else if v.kind == k.kind {
				sorts += v.size()
			}
			switch {
			case v.kind == kindNone:
			case v.kind != k.kind:
				return badParameter("Type mismatch for Index Key %s Expected: %s Actual: %s IndexName: %s", k.name, k.kind, v.kind, x.name)
			case v.text == "":
				return invalidf("One or more parameter values are not valid. A value specified for a secondary index key is not supported. The AttributeValue for a key attribute cannot contain an empty %s value. IndexName: %s, IndexKey: %s", emptyWord(k.kind), x.name, k.name)
			case hashes > maxHashKey:
				return badParameter("Size of hashkey has exceeded the maximum size limit of2048 bytes")
			case sorts > maxSortKey:
				return badParameter("Aggregated size of all range keys has exceeded the size limit of 1024 bytes")
			}
		}
	}
	return nil
}

// checkKey refuses a Key parameter that isn't just the table's key.
func (t *table) checkKey(key item) error {
	if !matchesSchema(key, t.keys) {
		return invalid(errKeySchema)
	}
	return t.checkKeyValues(key)
}

const errKeySchema = "The provided key element does not match the schema"

func matchesSchema(key item, schemas ...keySchema) bool {
	want := map[string]kind{}
	for _, k := range schemas {
		for _, a := range append(k.hashes(), k.sorts()...) {
			want[a.name] = a.kind
		}
	}
	if len(key) != len(want) {
		return false
	}
	for i := range key {
		if want[key[i].name] != key[i].value.kind {
			return false
		}
	}
	return true
}

// primaryKey is the table's key of an item or Key parameter.
func (t *table) primaryKey(it item) string {
	return string(t.keys.appendKey(make([]byte, 0, 64), it))
}
