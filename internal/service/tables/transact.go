package tables

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"tidegate/internal/awshttp"
)

// DynamoDB's limits on transactions.
const (
	maxActions          = 100
	maxTransactionBytes = 4 << 20
	maxToken            = 36
)

// A transaction is a TransactWriteItems or TransactGetItems.
type transaction struct {
	operation string
	actions   []*action // nil: not given
	token     *string

	returnCapacity, returnMetrics string
}

// An action is one entry of a transaction.
type action struct {
	in    *input // its operation is Put, Update, Delete, ConditionCheck or Get
	kinds int    // how many of them the entry has

	name  string // the table's
	t     *table
	cond  *condition
	u     *update
	paths []path // Get: what to return; nil is all

	// invalid is why the action can't be done, which cancels the transaction.
	invalid error
	plan    *writePlan
	change  change
}

// actionKinds are the actions of either operation with the permission that each
// needs (Service authorization reference, DynamoDB).
var actionKinds = map[string]map[string]string{
	"TransactWriteItems": {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"},
	"TransactGetItems":   {"Get": "GetItem"},
}

func decodeTransaction(body []byte, operation string) (*transaction, error) {
	tx := &transaction{operation: operation}
	s := &scanner{b: body, older: true}
	write := operation == "TransactWriteItems"
	err := s.object(func(name string) (err error) {
		switch {
		case name == "TransactItems":
			tx.actions = []*action{}
			return s.array(func(n int) error {
				if n > 1000 { // refused later with the right words; no reason to read on
					return invalid("Member must have length less than or equal to 100")
				}
				a := &action{}
				tx.actions = append(tx.actions, a)
				return s.object(func(kind string) error {
					if actionKinds[operation][kind] == "" {
						return unsupported("the action " + kind + " of " + operation)
					}
					a.kinds++
					a.in = &input{operation: kind, inTransaction: true}
					return a.in.read(s)
				})
			})
		case name == "ReturnConsumedCapacity":
			tx.returnCapacity, err = s.string()
			return err
		case name == "ReturnItemCollectionMetrics" && write:
			tx.returnMetrics, err = s.string()
			return err
		case name == "ClientRequestToken" && write:
			var token string
			token, err = s.string()
			tx.token = &token
			return err
		}
		return s.foreign(name, operation)
	})
	if err == nil {
		err = s.end()
	}
	return tx, err
}

// checkTransaction is the first look at a transaction.
func (s *Service) checkTransaction(tx *transaction) error {
	var c constraints
	if tx.token != nil && *tx.token == "" {
		c.add("Value '' at 'clientRequestToken' failed to satisfy constraint: Member must have length greater than or equal to 1")
	}
	if tx.token != nil && len(*tx.token) > maxToken {
		c.add("Value '%s' at 'clientRequestToken' failed to satisfy constraint: Member must have length less than or equal to 36", *tx.token)
	}
	c.enum(tx.returnCapacity, "returnConsumedCapacity", "INDEXES, TOTAL, NONE", "INDEXES", "TOTAL", "NONE")
	c.enum(tx.returnMetrics, "returnItemCollectionMetrics", "SIZE, NONE", "SIZE", "NONE")
	switch n := len(tx.actions); {
	case tx.actions == nil:
		c.add("Value null at 'transactItems' failed to satisfy constraint: Member must not be null")
	case n == 0:
		c.add("Value '[]' at 'transactItems' failed to satisfy constraint: Member must have length greater than or equal to 1")
	case n > maxActions:
		c.add("Value '%s' at 'transactItems' failed to satisfy constraint: Member must have length less than or equal to 100", tx.print())
		return c.err()
	}
	for i, a := range tx.actions {
		if a.kinds == 0 && tx.operation == "TransactGetItems" {
			c.add("Value null at 'transactItems.%d.member.get' failed to satisfy constraint: Member must not be null", i+1)
		}
		if a.in != nil {
			s.checkAction(a, fmt.Sprintf("transactItems.%d.member.%s%s.", i+1, strings.ToLower(a.in.operation[:1]), a.in.operation[1:]), &c)
		}
	}
	if err := c.err(); err != nil {
		return err
	}
	for _, a := range tx.actions {
		switch {
		case a.kinds == 0:
			return invalid("Invalid Request: TransactWriteRequest should contain Delete or Put or Update request")
		case a.kinds > 1:
			return invalid("TransactItems can only contain one of Check, Put, Update or Delete")
		}
	}
	return nil
}

// checkAction notes members that are missing or of no use; at begins their
// names.
func (s *Service) checkAction(a *action, at string, c *constraints) {
	in := a.in
	var table constraints
	a.name = s.tableName(in.table, &table, false)
	for _, problem := range table {
		*c = append(*c, strings.Replace(problem, "'tableName'", "'"+at+"tableName'", 1))
	}
	missing := func(member string, given bool) {
		if !given {
			c.add("Value null at '%s' failed to satisfy constraint: Member must not be null", at+member)
		}
	}
	switch in.operation {
	case "Put":
		missing("item", in.hasItem)
	case "ConditionCheck":
		missing("conditionExpression", in.condition != nil)
		missing("key", in.hasKey)
	case "Update":
		missing("updateExpression", in.update != nil)
		missing("key", in.hasKey)
	default:
		missing("key", in.hasKey)
	}
	c.enum(in.returnOnFailure, at+"returnValuesOnConditionCheckFailure", "ALL_OLD, NONE", "ALL_OLD", "NONE")
}

// print is how a refusal echoes the actions: their kinds, not their content.
func (tx *transaction) print() string {
	one := strings.TrimSuffix(tx.operation, "s")
	list := make([]string, len(tx.actions))
	for i, a := range tx.actions {
		list[i] = one + "()"
		if a.in != nil {
			list[i] = one + "(" + a.in.operation + ")"
		}
	}
	return "[" + strings.Join(list, ", ") + "]"
}

// bind checks permissions, expressions, tables and keys, in this order. What is
// wrong with an item's content cancels the transaction instead: action.invalid.
func (s *Service) bind(c *awshttp.Call, tx *transaction) error {
	asked := map[string]bool{}
	for _, a := range tx.actions {
		permission := actionKinds[tx.operation][a.in.operation]
		if asked[permission+" "+a.name] {
			continue
		}
		asked[permission+" "+a.name] = true
		if err := s.authorize(c, permission, s.arn(a.name)); err != nil {
			return err
		}
	}
	for _, a := range tx.actions {
		if err := a.parse(); err != nil {
			return err
		}
	}
	tables := map[string]*table{} // one look each: a table's name means one table throughout
	for _, a := range tx.actions {
		if tables[a.name] == nil {
			tables[a.name] = s.lookup(a.name)
		}
		if a.t = tables[a.name]; a.t == nil {
			return tableNotFound()
		}
	}
	seen := map[string]bool{}
	for _, a := range tx.actions {
		if err := a.checkContent(); err != nil {
			return err
		}
		a.makePlan()
		if a.plan == nil {
			continue
		}
		id := a.name + "/" + a.plan.key
		if seen[id] {
			return invalid("Transaction request cannot include multiple operations on one item")
		}
		seen[id] = true
	}
	return nil
}

// parse reads the action's expressions.
func (a *action) parse() (err error) {
	in, b := a.in, &a.in.bindings
	if err := b.checkGiven(in.condition != nil || in.update != nil || in.projection != nil, ""); err != nil {
		return err
	}
	if in.update != nil {
		if a.u, err = parseUpdate(*in.update, b); err != nil {
			return err
		}
	}
	if in.condition != nil {
		if a.cond, err = parseCondition("ConditionExpression", *in.condition, b); err != nil {
			return err
		}
	}
	if in.projection != nil {
		if a.paths, err = parseProjection(*in.projection, b); err != nil {
			return err
		}
	}
	return b.checkUsed()
}

// checkContent refuses what DynamoDB refuses before it opens the transaction: an
// empty key attribute, an item that is put and too large.
func (a *action) checkContent() error {
	it := a.in.key
	if a.in.operation == "Put" {
		if it = a.in.item; it.size() > maxItemSize {
			return invalid(errItemSize)
		}
	}
	for _, k := range []keyAttribute{a.t.keys.hash, a.t.keys.sort} {
		if v := it.get(k.name); k.name != "" && v.kind == k.kind && v.text == "" {
			return emptyKeyError(k)
		}
	}
	return nil
}

// makePlan checks key or item.
func (a *action) makePlan() {
	switch a.in.operation {
	case "Put":
		a.plan, a.invalid = a.t.planPut(a.in.item)
	case "Update":
		a.plan, _, a.invalid = a.t.planUpdate(a.in.key, a.u)
	default:
		a.plan, a.invalid = a.t.planDelete(a.in.key)
		if a.invalid == nil && a.in.operation != "Delete" {
			a.plan.next = nil
		}
	}
	if a.plan != nil {
		a.plan.condition = a.cond
	}
}

// tables are the transaction's tables in the order in which they are locked.
func (tx *transaction) tables() []*table {
	m := map[string]*table{}
	for _, a := range tx.actions {
		m[a.name] = a.t
	}
	out := make([]*table, 0, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, m[name])
	}
	return out
}

// A cancellationReason is why an action cancels the transaction, or None.
type cancellationReason struct {
	Code    string
	Message string   `json:",omitempty"`
	Item    jsonText `json:",omitempty"`
}

// cancellation is the refusal with a reason for each action; nil when all are
// None.
func cancellation(reasons []cancellationReason) error {
	codes := make([]string, len(reasons))
	canceled := false
	for i := range reasons {
		if reasons[i].Code == "" {
			reasons[i].Code = "None"
		}
		codes[i] = reasons[i].Code
		canceled = canceled || codes[i] != "None"
	}
	if !canceled {
		return nil
	}
	return &awshttp.Error{
		Code: codeCanceled, Status: http.StatusBadRequest, MessageKey: "Message",
		Message: "Transaction cancelled, please refer cancellation reasons for specific reasons [" + strings.Join(codes, ", ") + "]",
		Fields:  map[string]any{"CancellationReasons": reasons},
	}
}

// reasonFor words what went wrong with an action.
func (a *action) reasonFor(err error) (cancellationReason, error) {
	e, ok := err.(*awshttp.Error)
	switch {
	case err == nil:
		return cancellationReason{}, nil
	case err == errConditionFailed:
		r := cancellationReason{Code: "ConditionalCheckFailed", Message: e.Message}
		if a.in.returnOnFailure == "ALL_OLD" && a.change.old != nil {
			r.Item = a.change.old.item.appendJSON(nil)
		}
		return r, nil
	case ok && e.Code == codeValidation:
		return cancellationReason{Code: "ValidationError", Message: e.Message}, nil
	}
	return cancellationReason{}, err
}

func (s *Service) transactWriteItems(c *awshttp.Call) (any, error) {
	tx, err := decodeTransaction(c.Body, "TransactWriteItems")
	if err != nil {
		return nil, err
	}
	if err := s.checkTransaction(tx); err != nil {
		return nil, err
	}
	if err := s.bind(c, tx); err != nil {
		return nil, err
	}
	done, again, err := s.transact(tx)
	if err != nil {
		return nil, err
	}
	if done != nil {
		if err := done.wait(); err != nil {
			return nil, err
		}
	}
	return raw(tx.answer(again)), nil
}

// transact does all actions or none. again says that the token's transaction was
// done before: nothing happened, and every change is the item as it is.
func (s *Service) transact(tx *transaction) (done *commit, again bool, err error) {
	for _, t := range tx.tables() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.dropped {
			return nil, false, tableNotFound()
		}
	}
	if err := s.store.usable(); err != nil {
		return nil, false, err
	}
	var spent *spentToken
	now := s.clock.Now()
	if tx.token != nil {
		s.tokens.mu.Lock()
		defer s.tokens.mu.Unlock()
		spent = &spentToken{key: *tx.token, sum: tx.sum(), expires: now.Add(tokenLifetime)}
		if before := s.tokens.find(*tx.token, now); before != nil {
			if before.sum != spent.sum {
				return nil, false, errTokenMismatch
			}
			for _, a := range tx.actions {
				if a.plan != nil {
					a.change.old, _ = a.t.rows.Get(a.plan.key)
				}
			}
			return before.commit, true, nil
		}
	}
	if err := tx.evaluate(); err != nil {
		return nil, false, err
	}
	var records []record
	for _, a := range tx.actions {
		if !a.change.none {
			records = append(records, a.t.apply(a.plan.key, a.change))
		}
	}
	if spent != nil {
		records = append(records, s.tokens.spend(spent, now)...)
	}
	if len(records) == 0 {
		return nil, false, nil
	}
	done = s.store.append(records...)
	if spent != nil {
		spent.commit = done
	}
	return done, false, nil
}

// evaluate decides every action against the tables as they are; they are locked.
func (tx *transaction) evaluate() error {
	reasons := make([]cancellationReason, len(tx.actions))
	size := 0
	for i, a := range tx.actions {
		err := a.invalid
		if err == nil {
			a.change, err = a.t.evaluate(a.plan)
		}
		if reasons[i], err = a.reasonFor(err); err != nil {
			return err
		}
		size += rowSize(a.change.new)
		if tx.operation == "TransactGetItems" {
			size += rowSize(a.change.old)
		}
	}
	if err := cancellation(reasons); err != nil {
		return err
	}
	return checkTransactionSize(size)
}

func checkTransactionSize(size int) error {
	if size > maxTransactionBytes {
		return invalidf("The items of a transaction have 4 MB at most, those of this one %d bytes", size)
	}
	return nil
}

// sum tells transactions apart whose token is the same: a hash of everything
// that the actions say, whatever the order in which maps were written.
func (tx *transaction) sum() (out [sha256.Size]byte) {
	h := sha256.New()
	for _, a := range tx.actions {
		in := a.in
		b := appendText(nil, in.operation)
		b = appendText(b, a.name)
		b = in.item.appendBinary(b)
		b = in.key.appendBinary(b)
		for _, expression := range []*string{in.condition, in.update} {
			if expression == nil {
				b = append(b, 0)
			} else {
				b = appendText(append(b, 1), *expression)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(in.bindings.names)) {
			b = appendText(appendText(append(b, 1), name), in.bindings.names[name])
		}
		for _, name := range slices.Sorted(maps.Keys(in.bindings.values)) {
			b = in.bindings.values[name].appendBinary(appendText(append(b, 2), name))
		}
		h.Write(appendText(append(b, 0), in.returnOnFailure))
	}
	h.Sum(out[:0])
	return out
}

// answer tells what the transaction used. One that was done before only read.
func (tx *transaction) answer(again bool) []byte {
	dst := []byte{'{'}
	if wantsCapacity(tx.returnCapacity) {
		dst = append(tx.appendCapacity(dst, again), ',')
	}
	if tx.returnMetrics == "SIZE" && !again {
		dst = tx.appendCollections(dst)
	}
	return closeObject(dst)
}

// appendCapacity appends ConsumedCapacity: an entry for each table.
func (tx *transaction) appendCapacity(dst []byte, reads bool) []byte {
	var names []string
	units := map[string]*capacity{}
	for _, a := range tx.actions {
		u := units[a.name]
		if u == nil {
			u = &capacity{split: "WriteCapacityUnits"}
			if reads {
				u.split = "ReadCapacityUnits"
			}
			units[a.name] = u
			names = append(names, a.name)
		}
		switch {
		case reads:
			u.addTable(readUnits(rowSize(a.change.old), true))
		case a.in.operation == "ConditionCheck":
			u.addTable(writeUnits(rowSize(a.change.old)))
		default:
			u.addWrite(a.t, a.change.old, a.change.new)
		}
	}
	dst = append(dst, `"ConsumedCapacity":[`...)
	for i, name := range names {
		if i > 0 {
			dst = append(dst, ',')
		}
		units[name].double()
		dst = units[name].appendJSON(dst, name, tx.returnCapacity)
	}
	return append(dst, ']')
}

// appendCollections appends ItemCollectionMetrics: a list for each table that
// has a local index, in which each collection stands once.
func (tx *transaction) appendCollections(dst []byte) []byte {
	lists := map[string][]byte{}
	seen := map[string]bool{}
	for _, a := range tx.actions {
		it := a.in.key
		if a.in.hasItem {
			it = a.in.item
		}
		id := a.name + "/" + string(appendPartition(nil, it.get(a.t.keys.hash.name)))
		if a.in.operation == "ConditionCheck" || !a.t.hasLocalIndex() || seen[id] {
			continue
		}
		seen[id] = true
		if lists[a.name] != nil {
			lists[a.name] = append(lists[a.name], ',')
		}
		lists[a.name] = appendCollection(lists[a.name], a.t, it)
	}
	if len(lists) == 0 {
		return dst
	}
	dst = append(dst, `"ItemCollectionMetrics":{`...)
	for _, name := range slices.Sorted(maps.Keys(lists)) {
		dst = append(appendJSONString(dst, name), ':', '[')
		dst = append(append(dst, lists[name]...), ']', ',')
	}
	return append(closeObject(dst), ',')
}

func (s *Service) transactGetItems(c *awshttp.Call) (any, error) {
	tx, err := decodeTransaction(c.Body, "TransactGetItems")
	if err != nil {
		return nil, err
	}
	if err := s.checkTransaction(tx); err != nil {
		return nil, err
	}
	if err := s.bind(c, tx); err != nil {
		return nil, err
	}
	if err := tx.read(); err != nil {
		return nil, err
	}
	dst := []byte{'{'}
	if wantsCapacity(tx.returnCapacity) {
		dst = append(tx.appendCapacity(dst, true), ',')
	}
	dst = append(dst, `"Responses":[`...)
	for i, a := range tx.actions {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '{')
		if r := a.change.old; r != nil {
			it := r.item
			if a.paths != nil {
				it = project(it, a.paths)
			}
			dst = it.appendJSON(append(dst, `"Item":`...))
		}
		dst = append(dst, '}')
	}
	return raw(append(dst, ']', '}')), nil
}

// read finds the items of one moment: with all tables locked.
func (tx *transaction) read() error {
	for _, t := range tx.tables() {
		t.mu.RLock()
		defer t.mu.RUnlock()
		if t.dropped {
			return tableNotFound()
		}
	}
	return tx.evaluate()
}
