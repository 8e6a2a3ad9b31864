package tables

import (
	"slices"

	"github.com/tidwall/btree"

	"tidegate/internal/awshttp"
)

// A reading is a checked Query or Scan.
type reading struct {
	in         *input
	t          *table
	x          *index // nil: the table itself
	span       keyRange
	filter     *condition
	projection []path
	countOnly  bool
	// whole wants the table's items although an index is read (Select
	// ALL_ATTRIBUTES on a local index).
	whole bool
}

func (r *reading) rows() *btree.Map[string, *row] {
	if r.x != nil {
		return &r.x.rows
	}
	return &r.t.rows
}

func (r *reading) key(row *row) string {
	if r.x != nil {
		return r.x.key(row)
	}
	return row.key
}

// A page is what one Query or Scan returns.
type page struct {
	items   []item
	count   int
	scanned int
	size    int // of the items
	entries int // size of what was read of the table or index
	// fetched counts the units of items that a local index lacks attributes of:
	// each is read from the table.
	fetched float64
	last    item // LastEvaluatedKey; nil when the end was reached
}

// read walks the range from the start key until its end, Limit items or 1 MB.
func (r *reading) read() *page {
	r.t.mu.RLock()
	defer r.t.mu.RUnlock()
	p := &page{}
	limit := int64(-1)
	if r.in.limit != nil {
		limit = *r.in.limit
	}
	from := ""
	if r.in.hasFrom {
		from = r.startKey()
	}
	var last *row
	full := false
	visit := func(key string, row *row) bool {
		if r.in.backward {
			if key < r.span.from {
				return false
			}
			if key == from && from != "" || r.span.to != "" && key >= r.span.to {
				return true
			}
		} else {
			if r.span.to != "" && key >= r.span.to {
				return false
			}
			if key == from && from != "" {
				return true
			}
		}
		if full {
			return false
		}
		size, entry := row.size, row.size
		if r.x != nil {
			entry = r.x.size(row)
		}
		if !r.whole {
			size = entry
		}
		if p.scanned > 0 && p.size+size > maxPage {
			full = true
			return false
		}
		p.scanned++
		p.size += size
		p.entries += entry
		last = row
		if r.whole {
			p.fetched += readUnits(row.size, r.in.consistent)
		}
		r.take(p, row)
		if int64(p.scanned) == limit {
			full = true
			return false
		}
		return true
	}
	rows := r.rows()
	switch {
	case r.in.backward && from != "":
		rows.Descend(from, visit)
	case r.in.backward && r.span.to != "":
		rows.Descend(r.span.to, visit)
	case r.in.backward:
		rows.Reverse(visit)
	default:
		rows.Ascend(max(from, r.span.from), visit)
	}
	if full && last != nil {
		p.last = r.position(last)
	}
	return p
}

// take adds the row to the page if it passes the filter.
func (r *reading) take(p *page, row *row) {
	it := row.item
	if r.x != nil && !r.whole {
		it = r.x.project(it)
	}
	if r.filter != nil && !r.filter.holds(it) {
		return
	}
	p.count++
	if r.countOnly {
		return
	}
	if r.projection != nil {
		it = project(it, r.projection)
	}
	p.items = append(p.items, it)
}

// position is the LastEvaluatedKey that stands for the row.
func (r *reading) position(row *row) item {
	key := r.t.keys.extract(row.item)
	if r.x != nil {
		for _, a := range r.x.keys.extract(row.item) {
			key = key.with(a.name, a.value)
		}
	}
	return key
}

// startKey is the place in the range that ExclusiveStartKey names; the row need
// not exist any more.
func (r *reading) startKey() string {
	primary := r.t.primaryKey(r.in.startKey)
	if r.x == nil {
		return primary
	}
	return string(append(r.x.keys.appendKey(nil, r.in.startKey), primary...))
}

// prepareRead is what Query and Scan have in common, up to finding the table.
func (s *Service) prepareRead(c *awshttp.Call, operation string) (*reading, string, error) {
	in, err := decodeInput(c.Body, operation)
	if err != nil {
		return nil, "", err
	}
	name, err := s.checkRead(in)
	if err != nil {
		return nil, "", err
	}
	resource := s.arn(name)
	if in.index != nil {
		resource += "/index/" + *in.index
	}
	if err := s.authorize(c, operation, resource); err != nil {
		return nil, "", err
	}
	return &reading{in: in}, name, nil
}

// parse reads filter and projection.
func (r *reading) parse() (err error) {
	in := r.in
	refuse := invalid
	if in.operation == "Query" {
		refuse = func(message string) *awshttp.Error { return counted(invalid(message)).(*awshttp.Error) }
	}
	if r.filter, err = legacyFilter(in.legacy.filter, in.legacy.operator); err != nil {
		return err
	}
	if r.projection, err = attributePaths(in.legacy.attributes); err != nil {
		return err
	}
	if in.filter != nil {
		if r.filter, err = parseCondition("FilterExpression", *in.filter, &in.bindings); err != nil {
			return err
		}
	}
	if in.projection != nil {
		if r.projection, err = parseProjection(*in.projection, &in.bindings); err != nil {
			return err
		}
	}
	parameter := "ProjectionExpression"
	if in.legacy.attributes != nil {
		parameter = "AttributesToGet"
	}
	switch {
	case in.selection == "COUNT":
		r.countOnly = true
		if r.projection != nil {
			return refuse("Cannot specify the " + parameter + " when choosing to get only the Count")
		}
	case in.selection == "ALL_ATTRIBUTES" && r.projection != nil:
		return refuse("Cannot specify the " + parameter + " when choosing to get ALL_ATTRIBUTES")
	case in.selection == "ALL_PROJECTED_ATTRIBUTES" && r.projection != nil:
		return refuse("Cannot specify the " + parameter + " when choosing to get ALL_PROJECTED_ATTRIBUTES")
	case in.selection == "SPECIFIC_ATTRIBUTES" && r.projection == nil:
		return refuse("Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES")
	case in.selection == "ALL_PROJECTED_ATTRIBUTES" && in.index == nil:
		return refuse("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
	}
	return in.bindings.checkUsed()
}

// parseKeys reads the condition on the keys, then filter and projection: what
// an expression can't be comes before what a key condition can't.
func (r *reading) parseKeys() (*keyCondition, error) {
	in := r.in
	switch {
	case in.keyCondition != nil:
		c, err := parseCondition("KeyConditionExpression", *in.keyCondition, &in.bindings)
		if err == nil {
			err = r.parse()
		}
		if err != nil {
			return nil, err
		}
		return newKeyCondition(c)
	case in.legacy.keys != nil:
		kc, err := legacyKeys(in.legacy.keys)
		if err == nil {
			err = r.parse()
		}
		return kc, err
	}
	return nil, invalid("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
}

// checkLegacy refuses what the older filter and list of attributes can't be,
// then the attribute values that can't be: DynamoDB looks at them in this order,
// before it misses a key condition.
func (r *reading) checkLegacy() error {
	in := r.in
	if in.problem != nil && in.problemRank <= problemRanks["QueryFilter"] {
		return in.problem
	}
	if _, err := legacyFilter(in.legacy.filter, in.legacy.operator); err != nil {
		return err
	}
	if _, err := attributePaths(in.legacy.attributes); err != nil {
		return err
	}
	return in.problem
}

// bindIndex finds the index.
func (r *reading) bindIndex() error {
	in := r.in
	if in.index == nil {
		return nil
	}
	if r.x = r.t.index(*in.index); r.x == nil {
		return invalid("The table does not have the specified index: " + *in.index)
	}
	if r.x.global && in.consistent {
		return invalid("Consistent reads are not supported on global secondary indexes")
	}
	return nil
}

// bindSelection checks that the index has the attributes that are asked of it.
func (r *reading) bindSelection() error {
	in := r.in
	if r.x == nil || r.x.attributes == nil {
		return nil
	}
	if in.selection == "ALL_ATTRIBUTES" {
		if r.x.global {
			return badParameter("Select type ALL_ATTRIBUTES is not supported for global secondary index %s because its projection type is not ALL", r.x.name)
		}
		r.whole = true
	}
	for _, p := range r.projection {
		if r.x.hasAttribute(p[0].name) {
			continue
		}
		if r.x.global {
			return badParameter("Global secondary index %s does not project [%s]", r.x.name, p[0].name)
		}
		r.whole = true // a local index fetches from the table
	}
	return nil
}

func (x *index) hasAttribute(name string) bool {
	for _, p := range x.attributes {
		if p[0].name == name {
			return true
		}
	}
	return x.attributes == nil
}

// readKeys is the key schema that the range goes by.
func (r *reading) readKeys() keySchema {
	if r.x != nil {
		return r.x.keys
	}
	return r.t.keys
}

var errStartKey = invalid("The provided starting key is invalid")

// checkStartSchema refuses an ExclusiveStartKey that isn't a key of what is
// read. A query, whose condition on the keys kc is, misses a condition on a
// partition key that fits before it looks at the sort key.
func (r *reading) checkStartSchema(kc *keyCondition) error {
	if !r.in.hasFrom {
		return nil
	}
	key := r.in.startKey
	schemas := []keySchema{r.t.keys}
	if r.x != nil {
		schemas = append(schemas, r.x.keys)
	}
	if r.in.operation == "Scan" && !matchesSchema(key, schemas...) {
		return errStartKey
	}
	names := map[string]bool{}
	for _, k := range schemas {
		for _, n := range k.names() {
			names[n] = true
		}
	}
	if len(key) != len(names) {
		return errStartKey
	}
	k := r.readKeys()
	hashes := k.hashes()
	for i, a := range append(hashes, k.sorts()...) {
		switch v := key.get(a.name); v.kind {
		case a.kind:
		case kindNone:
			return errStartKey
		default:
			return invalid(errKeySchema)
		}
		if kc != nil && i == len(hashes)-1 {
			if _, missing := kc.partsOf(hashes); missing != "" {
				return invalid("Query condition missed key schema element: " + missing)
			}
		}
	}
	for _, a := range key {
		if a.value.text == "" && names[a.name] {
			return invalidf("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty %s value. Key: %s", emptyWord(a.value.kind), a.name)
		}
	}
	return nil
}

// checkStart refuses an ExclusiveStartKey that isn't one of this range; kc is
// the query's condition on the keys, nil for a scan.
func (r *reading) checkStart(kc *keyCondition) error {
	if !r.in.hasFrom {
		return nil
	}
	schemas := []keySchema{r.t.keys}
	if r.x != nil {
		schemas = append(schemas, r.x.keys)
	}
	if !matchesSchema(r.in.startKey, schemas...) { // the index's key fits: the table's doesn't
		return invalid(errStartKey.Message + ": " + errKeySchema)
	}
	switch inside := r.span.contains(r.startKey()); {
	case inside:
		return nil
	case kc == nil:
		return invalidf("The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment. TotalSegments: %d Segment: %d", *r.in.ofSegment, *r.in.segment)
	}
	sorted := false
	for _, p := range kc.parts {
		if slices.ContainsFunc(r.readKeys().hashes(), func(a keyAttribute) bool { return a.name == p.name }) {
			continue
		}
		sorted = true
		if !p.condition().holds(r.in.startKey) {
			return invalid("The provided starting key does not match the range key predicate")
		}
	}
	if sorted { // another partition's
		return invalid("The query can return at most one row and cannot be restarted")
	}
	return invalid("The provided starting key is outside query boundaries based on provided conditions")
}

func (s *Service) query(c *awshttp.Call) (any, error) {
	r, name, err := s.prepareRead(c, "Query")
	if err != nil {
		return nil, err
	}
	in := r.in
	if err := in.checkMixed(": FilterExpression and KeyConditionExpression are null"); err != nil {
		return nil, err
	}
	if err := r.checkLegacy(); err != nil {
		return nil, err
	}
	kc, err := r.parseKeys()
	if err != nil {
		return nil, err
	}
	if r.t = s.lookup(name); r.t == nil {
		return nil, tableNotFound()
	}
	if err := r.bindIndex(); err != nil {
		return nil, err
	}
	schema := r.readKeys()
	if err := r.checkStartSchema(kc); err != nil {
		return nil, err
	}
	if r.span, err = kc.bind(schema); err != nil {
		return nil, err
	}
	if err := r.checkStart(kc); err != nil {
		return nil, err
	}
	if n, found := schema.among(in.legacy.filter); found {
		return nil, invalid("QueryFilter can only contain non-primary key attributes: Primary key attribute: " + n)
	}
	if in.filter != nil {
		r.filter.rootNames(func(n string) {
			if err == nil && schema.contains(n) {
				err = invalid("Filter Expression can only contain non-primary key attributes: Primary key attribute: " + n)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	if err := r.bindSelection(); err != nil {
		return nil, err
	}
	return r.answer(), nil
}

func (s *Service) scan(c *awshttp.Call) (any, error) {
	r, name, err := s.prepareRead(c, "Scan")
	if err != nil {
		return nil, err
	}
	in := r.in
	if err := in.checkMixed(": FilterExpression is null"); err != nil {
		return nil, err
	}
	if in.problem != nil {
		return nil, in.problem
	}
	switch {
	case in.segment != nil && in.ofSegment == nil:
		return nil, invalid("The TotalSegments parameter is required but was not present in the request when Segment parameter is present")
	case in.segment == nil && in.ofSegment != nil:
		return nil, invalid("The Segment parameter is required but was not present in the request when parameter TotalSegments is present")
	case in.segment != nil && *in.segment >= *in.ofSegment:
		return nil, invalidf("The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: %d is not less than TotalSegments: %d", *in.segment, *in.ofSegment)
	case in.segment != nil:
		r.span = segmentRange(uint64(*in.segment), uint64(*in.ofSegment))
	}
	if err := r.parse(); err != nil {
		return nil, err
	}
	if r.t = s.lookup(name); r.t == nil {
		return nil, tableNotFound()
	}
	if err := r.bindIndex(); err != nil {
		return nil, err
	}
	if err := r.bindSelection(); err != nil {
		return nil, err
	}
	if err := r.checkStartSchema(nil); err != nil {
		return nil, err
	}
	if err := r.checkStart(nil); err != nil {
		return nil, err
	}
	return r.answer(), nil
}

// answer reads the page and encodes it, the lock released.
func (r *reading) answer() *awshttp.Response {
	p := r.read()
	dst := make([]byte, 0, 128+p.size*3/2)
	dst = append(dst, `{"Count":`...)
	dst = append(dst, itoa(p.count)...)
	dst = append(dst, `,"ScannedCount":`...)
	dst = append(dst, itoa(p.scanned)...)
	dst = append(dst, ',')
	if !r.countOnly {
		dst = append(dst, `"Items":[`...)
		for i, it := range p.items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = it.appendJSON(dst)
		}
		dst = append(dst, "],"...)
	}
	if p.last != nil {
		dst = append(dst, `"LastEvaluatedKey":`...)
		dst = append(p.last.appendJSON(dst), ',')
	}
	if wantsCapacity(r.in.returnCapacity) {
		var used capacity
		units := readUnits(p.entries, r.in.consistent)
		if r.x != nil {
			used.addIndex(r.x, units)
			used.addTable(p.fetched)
		} else {
			used.addTable(units)
		}
		dst = append(dst, `"ConsumedCapacity":`...)
		dst = append(used.appendJSON(dst, r.t.name, r.in.returnCapacity), ',')
	}
	return raw(closeObject(dst))
}

// A keyCondition is a KeyConditionExpression taken apart: at most one condition
// for each attribute.
type keyCondition struct {
	parts  []keyPart
	legacy bool // KeyConditions
}

// A keyPart is a condition on one key attribute.
type keyPart struct {
	name string
	op   operator
	args []value
}

// condition is the part as the condition that it was.
func (p *keyPart) condition() *condition {
	out := &condition{op: p.op, args: []operand{{path: path{{name: p.name, index: -1}}}}}
	for _, v := range p.args {
		out.args = append(out.args, operand{value: v})
	}
	return out
}

// newKeyCondition takes the parsed expression apart: conditions joined by AND,
// each comparing one attribute with values.
func newKeyCondition(c *condition) (*keyCondition, error) {
	k := &keyCondition{}
	if err := k.collect(c); err != nil {
		return nil, err
	}
	for i, p := range k.parts {
		for _, q := range k.parts[:i] {
			if p.name == q.name {
				return nil, invalid("Invalid KeyConditionExpression: KeyConditionExpressions must only contain one condition per key")
			}
		}
	}
	return k, nil
}

var mirrored = map[operator]operator{opEqual: opEqual, opLess: opGreater, opLessEqual: opGreaterEqual, opGreater: opLess, opGreaterEqual: opLessEqual}

func (k *keyCondition) collect(c *condition) error {
	switch c.op {
	case opAnd:
		if err := k.collect(c.left); err != nil {
			return err
		}
		return k.collect(c.right)
	case opOr, opNot, opNotEqual, opIn, opExists, opNotExists, opType, opContains:
		return invalid("Invalid operator used in KeyConditionExpression: " + c.op.String())
	}
	attribute, op := c.args[0], c.op
	others := c.args[1:]
	if attribute.path == nil && mirrored[op] != opNone && others[0].path != nil {
		attribute, others, op = others[0], c.args[:1], mirrored[op]
	}
	switch {
	case attribute.size:
		return invalid("KeyConditionExpressions cannot contain nested operations")
	case attribute.path == nil && (op == opBetween || op == opBeginsWith):
		return invalidf("Invalid condition in KeyConditionExpression: %s operator must have the key attribute as its first operand", op)
	case attribute.path == nil:
		return invalid("Invalid condition in KeyConditionExpression: No key attribute specified")
	case len(attribute.path) > 1:
		return invalid("KeyConditionExpressions cannot have conditions on nested attributes")
	}
	p := keyPart{name: attribute.path[0].name, op: op}
	for _, o := range others {
		switch {
		case o.size:
			return invalid("KeyConditionExpressions cannot contain nested operations")
		case o.path != nil:
			return invalid("Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition")
		}
		p.args = append(p.args, o.value)
	}
	k.parts = append(k.parts, p)
	return nil
}

// bind fits the conditions to a key schema and returns the range of keys they
// select: every attribute of the partition key has a value, those of the sort
// key from the left on, of which the last may be a range.
func (k *keyCondition) bind(schema keySchema) (keyRange, error) {
	if n := len(schema.names()); len(k.parts) > max(2, n) {
		if k.legacy {
			return keyRange{}, invalid(errConditionCount)
		}
		return keyRange{}, invalidf("The number of query conditions (%d) exceeds the number of key attributes defined in the schema (%d)", len(k.parts), n)
	}
	hashes, missing := k.partsOf(schema.hashes())
	if missing != "" {
		return keyRange{}, invalid("Query condition missed key schema element: " + missing)
	}
	sorts, missing := k.partsOf(schema.sorts())
	if len(hashes)+len(sorts) < len(k.parts) {
		if missing == "" {
			return keyRange{}, invalid("Query key condition not supported")
		}
		return keyRange{}, invalid("Query condition missed key schema element: " + missing)
	}
	for _, p := range append(hashes, sorts...) {
		if !p.op.indexable() {
			return keyRange{}, invalid("Attempted conditional constraint is not an indexable operation")
		}
	}
	for i, p := range append(hashes, sorts...) {
		if p.op != opEqual && (i < len(hashes) || i < len(k.parts)-1) {
			return keyRange{}, invalid("Query key condition not supported")
		}
	}
	var values []value
	for i, a := range schema.hashes() {
		if err := checkKeyPart(hashes[i], a); err != nil {
			return keyRange{}, err
		}
		values = append(values, hashes[i].args[0])
	}
	prefix := appendPartition(nil, values...)
	for i, p := range sorts {
		if err := checkKeyPart(p, schema.sorts()[i]); err != nil {
			return keyRange{}, err
		}
		if i == len(sorts)-1 {
			return p.within(prefix), nil
		}
		prefix = appendSort(prefix, p.args[0])
	}
	return keyRange{string(prefix), string(afterPrefix(prefix))}, nil
}

// partsOf returns the conditions on the attributes, from the left up to the
// first that has none: missing names it.
func (k *keyCondition) partsOf(attributes []keyAttribute) (parts []*keyPart, missing string) {
	for _, a := range attributes {
		i := slices.IndexFunc(k.parts, func(p keyPart) bool { return p.name == a.name })
		if i < 0 {
			return parts, a.name
		}
		parts = append(parts, &k.parts[i])
	}
	return parts, ""
}

func checkKeyPart(p *keyPart, k keyAttribute) error {
	for _, v := range p.args {
		if v.kind != k.kind {
			return badParameter("Condition parameter type does not match schema type")
		}
		if v.text == "" && p.op != opBeginsWith {
			return emptyKeyError(k)
		}
	}
	if p.op == opBeginsWith && k.kind == kindNumber {
		return invalid("Invalid KeyConditionExpression: Incorrect operand type for operator or function; operator or function: begins_with, operand type: N")
	}
	return nil
}

// within is the part of a partition, which begins with prefix, that the sort
// key's condition selects.
func (p *keyPart) within(prefix []byte) keyRange {
	at := func(v value, end bool) []byte {
		return appendKeyPart(append(make([]byte, 0, len(prefix)+len(v.text)+8), prefix...), v, end)
	}
	first := at(p.args[0], p.op != opBeginsWith)
	all := keyRange{string(prefix), string(afterPrefix(prefix))}
	switch p.op {
	case opEqual, opBeginsWith:
		return keyRange{string(first), string(afterPrefix(first))}
	case opLess:
		return keyRange{all.from, string(first)}
	case opLessEqual:
		return keyRange{all.from, string(afterPrefix(first))}
	case opGreater:
		return keyRange{string(afterPrefix(first)), all.to}
	case opGreaterEqual:
		return keyRange{string(first), all.to}
	}
	return keyRange{string(first), string(afterPrefix(at(p.args[1], true)))} // BETWEEN
}
