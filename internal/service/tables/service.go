// Package tables is DynamoDB as an http.Handler: tables, items, expressions,
// queries and scans, secondary indexes, batches, transactions, tags and time to
// live, in DynamoDB's wire format, with its limits and its words.
//
// Items live in memory in key order and have a durable copy: a log, folded into a
// bbolt file now and then (store.go). A write holds its table's lock while its
// condition is evaluated and its effect applied and appended to the log; it is
// answered when the log's commit is on disk, so what was acknowledged survives
// the death of the process. Reads don't wait for the disk: they may see a write
// in the milliseconds before it is acknowledged. When a commit fails, as on a
// full disk, its writes and all later ones are answered with
// InternalServerError until the disk takes it: what AWS's means, it may or may
// not have happened. Reads go on, and the writes resume by themselves.
//
// A transaction holds the locks of all its tables while its conditions are
// evaluated and its effects applied and appended as one group of the log: no
// reader who takes all locks sees a part of it, and no crash leaves one.
//
// Locks are taken in this order: Service.mu, table.mu (several in the order of
// the tables' names), tokens.mu, store.mu.
package tables

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"tidegate/internal/awshttp"
	"tidegate/internal/clock"
)

// A Config says where tables live and who may use them.
type Config struct {
	// Dir is the folder of the file that holds the tables, tables.db; it is made
	// when it doesn't exist.
	Dir string
	// Gate authenticates callers; its Account and Region are those of the tables'
	// ARNs.
	Gate *awshttp.Gate
	// MemoryLimit is what items may take in memory, in bytes; 0 means half of what
	// the machine, the container or GOMEMLIMIT has.
	MemoryLimit int64
	// Clock moves time to live and dates tables; nil means clock.System.
	Clock clock.Clock
}

// A Service serves DynamoDB's API. It is safe for concurrent use.
type Service struct {
	gate    *awshttp.Gate
	clock   clock.Clock
	store   *store
	tokens  tokens
	memory  memory
	handler http.Handler
	names   map[string]bool // of the API's operations
	sweeps  sync.WaitGroup
	stop    context.CancelFunc

	mu     sync.RWMutex
	tables map[string]*table // by name
	// changed wakes the sweeper of expired items when a table's time to live is
	// set.
	changed chan struct{}
}

// New opens the tables in c.Dir and loads them. ctx bounds nothing beyond the
// call; Close ends the service.
func New(ctx context.Context, c Config) (*Service, error) {
	if c.Gate == nil {
		return nil, fmt.Errorf("tables: Config.Gate is missing")
	}
	if c.Clock == nil {
		c.Clock = clock.System
	}
	st, err := openStore(c.Dir, func(err error) {
		if c.Gate.Events.Failed != nil {
			c.Gate.Events.Failed("dynamodb", "the tables' files", "", err)
		}
	})
	if err != nil {
		return nil, err
	}
	s := &Service{gate: c.Gate, clock: c.Clock, store: st, tables: map[string]*table{}, changed: make(chan struct{}, 1)}
	s.memory.limit = c.MemoryLimit
	if s.memory.limit == 0 {
		s.memory.limit = memoryLimit()
	}
	if err := s.load(ctx); err != nil {
		st.close()
		return nil, err
	}
	s.handler = s.routes()
	sweepCtx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.sweeps.Go(func() { s.sweep(sweepCtx) })
	return s, nil
}

// load brings the file's tables into memory.
func (s *Service) load(ctx context.Context) error {
	var t *table
	err := s.store.load(s.tokens.load, func(data []byte) error {
		var st storedTable
		if err := json.Unmarshal(data, &st); err != nil {
			return fmt.Errorf("tables: a table's description on disk is damaged: %w", err)
		}
		t = newTable(&st.Description, &s.memory)
		t.tags, t.ttl, t.recovery = st.Tags, st.TimeToLive, st.Recovery
		s.tables[st.Description.TableName] = t
		return ctx.Err()
	}, func(key string, data []byte) error {
		it, err := decodeItem(data)
		if err != nil {
			return fmt.Errorf("%w (table %s)", err, t.name)
		}
		if t.put(&row{key: key, item: it, size: it.size()}); s.memory.held.Load() > s.memory.limit {
			return fmt.Errorf("tables: there are more items than fit: %s", s.memory.full())
		}
		return nil
	})
	s.tokens.sort()
	return err
}

// Close ends the service: what was written before is on disk when it returns.
func (s *Service) Close() error {
	s.stop()
	s.sweeps.Wait()
	return s.store.close()
}

// ServeHTTP answers one call of DynamoDB's json-1.0 protocol.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// A TableInfo is a table at a glance.
type TableInfo struct {
	Name  string
	ARN   string
	Items int
	Bytes int64 // the items' size as DynamoDB counts it
}

// Tables lists the tables by name.
func (s *Service) Tables() []TableInfo {
	s.mu.RLock()
	tables := make([]*table, 0, len(s.tables))
	for _, t := range s.tables {
		tables = append(tables, t)
	}
	s.mu.RUnlock()
	out := make([]TableInfo, 0, len(tables))
	for _, t := range tables {
		t.mu.RLock()
		out = append(out, TableInfo{t.name, t.arn, t.rows.Len(), t.bytes})
		t.mu.RUnlock()
	}
	slices.SortFunc(out, func(a, b TableInfo) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (s *Service) arnPrefix() string {
	return "arn:aws:dynamodb:" + s.gate.Region + ":" + s.gate.Account + ":table/"
}

func (s *Service) arn(name string) string { return s.arnPrefix() + name }

// nameOf returns the table's name when ref is a table's ARN in this account
// and region.
func (s *Service) nameOf(ref string) (string, bool) {
	if !strings.HasPrefix(ref, "arn:") {
		return "", false
	}
	name, ok := strings.CutPrefix(ref, s.arnPrefix())
	return name, ok && !strings.Contains(name, "/")
}

// authorize asks the caller's policies. DynamoDB's refusal is a 400.
func (s *Service) authorize(c *awshttp.Call, operation, resource string) error {
	err := c.Authorize("dynamodb:"+operation, resource)
	if e, ok := err.(*awshttp.Error); ok {
		denied := *e
		denied.Status, denied.Code, denied.MessageKey = http.StatusBadRequest, codeAccessDenied, "Message"
		return &denied
	}
	return err
}

// lookup finds the table by name.
func (s *Service) lookup(name string) *table {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.tables[name]
}

// addTable makes the table durable and known.
func (s *Service) addTable(t *table) error {
	data, err := t.stored()
	if err != nil {
		return err
	}
	s.mu.Lock()
	name := t.name
	if s.tables[name] != nil {
		s.mu.Unlock()
		return &awshttp.Error{Code: codeInUse, Status: http.StatusBadRequest, Message: "Table already exists: " + name}
	}
	if err := s.store.usable(); err != nil {
		s.mu.Unlock()
		return err
	}
	s.tables[name] = t
	c := s.store.append(record{kind: recordTable, table: t.desc.TableId, data: data})
	s.mu.Unlock()
	return c.wait()
}

// dropTable removes the table and its items.
func (s *Service) dropTable(name string) (*table, error) {
	s.mu.Lock()
	t := s.tables[name]
	if t == nil {
		s.mu.Unlock()
		return nil, namedTableNotFound(name)
	}
	t.mu.Lock()
	if t.desc.DeletionProtectionEnabled {
		t.mu.Unlock()
		s.mu.Unlock()
		return nil, invalid("Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.")
	}
	if err := s.store.usable(); err != nil {
		t.mu.Unlock()
		s.mu.Unlock()
		return nil, err
	}
	t.dropped = true
	t.hold(-t.cost)
	delete(s.tables, name)
	c := s.store.append(record{kind: recordGone, table: t.desc.TableId})
	t.mu.Unlock()
	s.mu.Unlock()
	return t, c.wait()
}

// stored encodes what the store keeps of the table beside its items.
func (t *table) stored() ([]byte, error) {
	return json.Marshal(storedTable{Description: *t.desc, Tags: t.tags, TimeToLive: t.ttl, Recovery: t.recovery})
}

// describe returns the table's description as of now.
func (t *table) describe() *description {
	t.mu.RLock()
	defer t.mu.RUnlock()
	d := *t.desc
	d.TableSizeBytes, d.ItemCount = t.bytes, int64(t.rows.Len())
	d.LocalSecondaryIndexes = t.describeIndexes(d.LocalSecondaryIndexes)
	d.GlobalSecondaryIndexes = t.describeIndexes(d.GlobalSecondaryIndexes)
	return &d
}

func (t *table) describeIndexes(in []indexDescription) []indexDescription {
	out := slices.Clone(in)
	for i := range out {
		x := t.index(out[i].IndexName)
		out[i].IndexSizeBytes, out[i].ItemCount = x.bytes, int64(x.rows.Len())
	}
	return out
}

// complete gives a new table its id, ARN and time.
func (s *Service) complete(d *description) {
	now := s.clock.Now()
	d.TableId = awshttp.NewRequestID()
	d.TableArn = s.arn(d.TableName)
	d.CreationDateTime = epoch{now}
	if d.BillingModeSummary != nil {
		d.BillingModeSummary.LastUpdateToPayPerRequestDateTime = epoch{now}
	}
	d.nameStream(now)
	for _, list := range [][]indexDescription{d.LocalSecondaryIndexes, d.GlobalSecondaryIndexes} {
		for i := range list {
			list[i].IndexArn = d.TableArn + "/index/" + list[i].IndexName
		}
	}
}
