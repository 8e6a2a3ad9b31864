package tables

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// A store is the durable copy of all tables: a database, tables.db, and the log
// of what was written since, in journals beside it. Both are written by one
// goroutine. Writers hand it records and wait for the commit that has them; what
// arrives during one commit goes into the next, so that the cost of reaching the
// disk is shared: a commit is one frame of the journal.
//
// A journal that has grown is folded: another takes over, and the records of the
// old one go into the database, in one transaction on a goroutine of its own.
// Journals have numbers; the database says the last that it has. The next one
// always exists, so that a lost file is noticed.
//
// The records are a log: applied in order to the same database they give the
// same, and the tables in memory are what loading it gives.
type store struct {
	dir string
	db  *bolt.DB
	// trouble is told what goes wrong when no caller is there to hear it.
	trouble func(error)

	mu      sync.Mutex
	pending *commit
	failed  error // why nothing can be written now; no record is taken meanwhile
	closed  bool

	wake chan struct{} // has room for one: there is something pending
	done chan struct{} // closed when the writer has ended

	// What follows belongs to the writer.
	journal  *journal
	kept     []record   // the journal's
	backlog  []record   // in memory, and not on disk yet: their commits failed
	frame    []byte     // reused
	folding  chan error // not nil: a fold is under way
	told     string     // the last fold's error
	unfolded *fold      // the one under way, or the one that failed
}

// A fold is a journal whose records are to go into the database.
type fold struct {
	journal *journal
	records []record
}

const (
	// foldSize is the length at which a journal is folded.
	foldSize = 8 << 20
	// maxJournal is where writers wait until the last fold has ended.
	maxJournal = 8 * foldSize
	// retryInterval is how soon what failed is tried again.
	retryInterval = 500 * time.Millisecond
)

// A commit is a group of records that become durable together.
type commit struct {
	records []record
	done    chan struct{}
	err     error
}

// wait returns when the commit's records are on disk, or why they aren't.
func (c *commit) wait() error {
	<-c.done
	return c.err
}

// A recordKind says what a record does.
type recordKind byte

const (
	recordPut       recordKind = iota // table's item key is data
	recordDrop                        // table has no item key
	recordTable                       // table's description is data
	recordGone                        // table and its items are gone
	recordToken                       // a transaction's token key was spent, see token.go
	recordTokenGone                   // token key is forgotten
)

// A record is one entry of the log.
type record struct {
	kind  recordKind
	table string // its id
	key   string
	data  []byte
}

// The database: bucket "meta" with "version" and "folded", the number of the last
// journal that is in it; bucket "tables", table id → description (JSON); bucket
// "items" with a bucket for each table id, key → item (value.go); bucket
// "tokens", client request token → what it was spent on (token.go).
var (
	bucketMeta   = []byte("meta")
	bucketTables = []byte("tables")
	bucketItems  = []byte("items")
	bucketTokens = []byte("tokens")
	keyVersion   = []byte("version")
	keyFolded    = []byte("folded")
)

// fileVersion 2 has journals beside it; version 1 had none.
const fileVersion = 2

var errStoreClosed = errors.New("tables: the store is closed")

// openStore opens or creates the store in dir. Files that another process holds,
// or that are damaged, are an error. trouble hears what no caller does.
func openStore(dir string, trouble func(error)) (*store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("tables: create the data folder: %w", err)
	}
	name := filepath.Join(dir, "tables.db")
	if err := createDatabase(dir, name); err != nil {
		return nil, fmt.Errorf("tables: create %s: %w", name, err)
	}
	db, err := openDatabase(name)
	if err != nil {
		return nil, err
	}
	s := &store{dir: dir, db: db, trouble: trouble, wake: make(chan struct{}, 1), done: make(chan struct{})}
	if err := s.recover(); err != nil {
		db.Close()
		return nil, err
	}
	go s.write()
	return s, nil
}

// damaged is the error for a file that can't be read.
func damaged(name string, err error) error {
	return fmt.Errorf("tables: %s is damaged (%w); nothing was changed: put back a copy of the data folder, or move the folder %s away to begin with empty tables", name, err, filepath.Dir(name))
}

// createDatabase makes an empty database and the first journal when there is
// neither. It gets its name when it is whole: a file of that name was one.
func createDatabase(dir, name string) error {
	if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	numbers, err := journalNumbers(dir)
	if err != nil {
		return err
	}
	if len(numbers) > 0 && numbers[len(numbers)-1] > 1 {
		return fmt.Errorf("it is missing and %s is there: put back a copy of the data folder, or move the folder away to begin with empty tables", journalName(dir, numbers[0]))
	}
	fresh := name + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	db, err := bolt.Open(fresh, 0o600, &bolt.Options{NoFreelistSync: true, NoSync: true})
	if err != nil {
		return err
	}
	err = db.Update(initialize)
	if err == nil {
		err = db.Sync()
	}
	if closeErr := db.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if len(numbers) == 0 {
		j, err := createJournal(dir, 1)
		if err != nil {
			return err
		}
		j.f.Close()
	}
	if err := os.Rename(fresh, name); err != nil {
		return err
	}
	return syncFolder(dir)
}

func initialize(tx *bolt.Tx) error {
	for _, b := range [][]byte{bucketMeta, bucketTables, bucketItems, bucketTokens} {
		if _, err := tx.CreateBucketIfNotExists(b); err != nil {
			return err
		}
	}
	return tx.Bucket(bucketMeta).Put(keyVersion, binary.AppendUvarint(nil, fileVersion))
}

// openDatabase opens the database after a look at all of it.
func openDatabase(name string) (db *bolt.DB, err error) {
	if err := checkBolt(name); err != nil {
		return nil, damaged(name, err)
	}
	db, err = bolt.Open(name, 0o600, &bolt.Options{
		Timeout:        time.Second,
		NoFreelistSync: true, // the freelist is found again at start; not writing it keeps commits small
		FreelistType:   bolt.FreelistMapType,
	})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("tables: %s is in use by another process; stop it or use another data folder", name)
	}
	if err != nil {
		return nil, fmt.Errorf("tables: open %s: %w", name, err)
	}
	var version uint64
	err = db.View(func(tx *bolt.Tx) error {
		meta := tx.Bucket(bucketMeta)
		if meta == nil {
			return errNoMeta
		}
		if version, _ = binary.Uvarint(meta.Get(keyVersion)); version < 1 || version > fileVersion {
			return fmt.Errorf("its format is version %d, this program reads versions 1 to %d", version, fileVersion)
		}
		return nil
	})
	if err == nil && version < fileVersion {
		err = db.Update(initialize)
	}
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("tables: open %s: %w", name, err)
	}
	return db, nil
}

// recover brings the journals' records into the database.
func (s *store) recover() error {
	numbers, err := journalNumbers(s.dir)
	if err != nil {
		return fmt.Errorf("tables: %w", err)
	}
	var folded uint64
	s.db.View(func(tx *bolt.Tx) error {
		folded, _ = binary.Uvarint(tx.Bucket(bucketMeta).Get(keyFolded))
		return nil
	})
	var last *journal
	var records []record
	next := folded + 1
	for i, n := range numbers {
		name := journalName(s.dir, n)
		if n <= folded {
			os.Remove(name)
			continue
		}
		if n != next {
			break
		}
		next++
		if last != nil {
			last.f.Close()
		}
		j, more, torn, err := openJournal(s.dir, n)
		if err != nil {
			return damaged(name, err)
		}
		if torn > 0 && i < len(numbers)-1 {
			return damaged(name, errors.New("its end is missing"))
		}
		if torn > 0 {
			s.trouble(fmt.Errorf("tables: the last %d bytes of %s are a write that had not reached the disk when the process ended, and that nobody was told is done; they are dropped", torn, name))
		}
		last, records = j, append(records, more...)
	}
	switch {
	case next <= slices.Max(append(numbers, 0)):
		return damaged(journalName(s.dir, next), errors.New("it is missing and a later one is there"))
	case last == nil && folded > 0:
		return damaged(journalName(s.dir, next), errors.New("it is missing"))
	case last == nil: // a database of version 1, or a first start that was killed
		last, err = createJournal(s.dir, next)
	}
	if err != nil {
		return fmt.Errorf("tables: %w", err)
	}
	s.journal = last
	if len(records) == 0 {
		return nil
	}
	fresh, err := createJournal(s.dir, last.number+1)
	if err == nil {
		if err = s.fold(last.number, records); err != nil {
			fresh.remove()
		}
	}
	if err != nil {
		last.f.Close()
		return fmt.Errorf("tables: bring the log into %s: %w", s.db.Path(), err)
	}
	last.remove()
	s.journal = fresh
	return nil
}

// append adds the records to the log and returns the commit to wait for. They
// are in one commit: all become durable or none. The caller holds the locks of
// the tables that the records belong to.
func (s *store) append(records ...record) *commit {
	s.mu.Lock()
	if err := s.failed; err != nil || s.closed {
		s.mu.Unlock()
		if err == nil {
			err = errStoreClosed
		}
		c := &commit{err: err, done: make(chan struct{})}
		close(c.done)
		return c
	}
	c := s.pending
	if c == nil {
		c = &commit{done: make(chan struct{})}
		s.pending = c
	}
	c.records = append(c.records, records...)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return c
}

// usable returns why nothing can be written any more, or nil.
func (s *store) usable() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// write is the one goroutine that writes.
func (s *store) write() {
	defer close(s.done)
	var retry <-chan time.Time
	for {
		select {
		case <-s.wake:
		case err := <-s.folding:
			s.folded(err)
		case <-retry:
		}
		s.mu.Lock()
		c, closed := s.pending, s.closed
		s.pending = nil
		s.mu.Unlock()
		err := s.commit(c)
		s.mu.Lock()
		if before := s.failed; before == nil && err != nil {
			s.failed = fmt.Errorf("tables: the write did not reach the disk: %w. Writes are refused until it can be written to %s again, which is tried every half second; if the disk is full, make room", err, s.dir)
		} else if err == nil {
			s.failed = nil
		}
		failed := s.failed
		s.mu.Unlock()
		if c != nil {
			c.err, c.records = failed, nil // whoever keeps the commit keeps no items
			close(c.done)
		}
		retry = nil
		if failed != nil || s.unfolded != nil && s.folding == nil {
			retry = time.After(retryInterval)
		}
		if closed {
			return
		}
	}
}

// commit makes the records of c, which may be nil, durable, after those that are
// behind. When it fails they are all behind.
func (s *store) commit(c *commit) error {
	if c != nil {
		s.backlog = append(s.backlog, c.records...)
	}
	if s.unfolded != nil && s.folding == nil {
		s.startFold()
	}
	if len(s.backlog) == 0 {
		return nil
	}
	if s.journal.size >= maxJournal && s.unfolded != nil {
		if s.folding == nil {
			s.startFold()
		}
		if err := <-s.folding; s.folded(err) != nil {
			return err
		}
	}
	if s.journal.size >= foldSize && s.unfolded == nil {
		if fresh, err := createJournal(s.dir, s.journal.number+1); err == nil {
			s.unfolded = &fold{s.journal, s.kept}
			s.journal, s.kept = fresh, nil
			s.startFold()
		} else if s.journal.size >= maxJournal {
			return err
		}
	}
	s.frame = appendFrame(s.frame[:0], s.backlog)
	if err := s.journal.add(s.frame); err != nil {
		return err
	}
	s.kept = append(s.kept, s.backlog...)
	clear(s.backlog) // so that it keeps no items
	s.backlog = s.backlog[:0]
	if cap(s.frame) > foldSize {
		s.frame = nil
	}
	return nil
}

// startFold folds s.unfolded on a goroutine of its own.
func (s *store) startFold() {
	done, f := make(chan error, 1), s.unfolded
	s.folding = done
	go func() { done <- s.fold(f.journal.number, f.records) }()
}

// folded notes how the fold ended; one that failed is tried again.
func (s *store) folded(err error) error {
	s.folding = nil
	if err != nil && err.Error() != s.told {
		s.told = err.Error()
		s.trouble(fmt.Errorf("tables: %s could not be brought up to date: %w. Nothing is lost: the log beside it has it all, and it is tried again every half second; if the disk is full, make room", s.db.Path(), err))
	}
	if err != nil {
		return err
	}
	s.told = ""
	s.unfolded.journal.remove()
	s.unfolded = nil
	return nil
}

// fold applies the records of the journal with the number to the database, in
// one transaction. Of an item's records only the last counts.
func (s *store) fold(number uint64, records []record) error {
	type place struct{ table, key string }
	last := make(map[place]int, len(records))
	for i, r := range records {
		if r.kind == recordPut || r.kind == recordDrop {
			last[place{r.table, r.key}] = i
		}
	}
	return s.db.Update(func(tx *bolt.Tx) error {
		tables, items, tokens := tx.Bucket(bucketTables), tx.Bucket(bucketItems), tx.Bucket(bucketTokens)
		for i, r := range records {
			if (r.kind == recordPut || r.kind == recordDrop) && last[place{r.table, r.key}] != i {
				continue
			}
			if err := applyRecord(tables, items, tokens, r); err != nil {
				return err
			}
		}
		return tx.Bucket(bucketMeta).Put(keyFolded, binary.AppendUvarint(nil, number))
	})
}

func applyRecord(tables, items, tokens *bolt.Bucket, r record) error {
	id := []byte(r.table)
	switch r.kind {
	case recordToken:
		return tokens.Put([]byte(r.key), r.data)
	case recordTokenGone:
		return tokens.Delete([]byte(r.key))
	case recordTable:
		if _, err := items.CreateBucketIfNotExists(id); err != nil {
			return err
		}
		return tables.Put(id, r.data)
	case recordGone:
		if err := items.DeleteBucket(id); err != nil {
			return err
		}
		return tables.Delete(id)
	}
	b := items.Bucket(id)
	if b == nil {
		return fmt.Errorf("no table with id %s", r.table)
	}
	if r.kind == recordPut {
		return b.Put([]byte(r.key), r.data)
	}
	return b.Delete([]byte(r.key))
}

// load calls token for every spent token, then table for every description,
// each followed by item for every one of its items in key order. The slices are
// valid during the call.
func (s *store) load(token func(key string, data []byte) error, table func(data []byte) error, item func(key string, data []byte) error) error {
	return s.db.View(func(tx *bolt.Tx) error {
		err := tx.Bucket(bucketTokens).ForEach(func(k, v []byte) error { return token(string(k), v) })
		if err != nil {
			return err
		}
		items := tx.Bucket(bucketItems)
		return tx.Bucket(bucketTables).ForEach(func(id, data []byte) error {
			if err := table(data); err != nil {
				return err
			}
			return items.Bucket(id).ForEach(func(k, v []byte) error { return item(string(k), v) })
		})
	})
}

// close writes what is pending, brings the database up to date and closes it.
func (s *store) close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	<-s.done
	err := s.failed
	if s.folding != nil {
		s.folded(<-s.folding)
	}
	// What can't be folded now is in the journals and will be at the next start.
	if s.unfolded == nil && len(s.kept) > 0 {
		if fresh, createErr := createJournal(s.dir, s.journal.number+1); createErr == nil {
			s.unfolded = &fold{s.journal, s.kept}
			s.journal = fresh
			s.folded(s.fold(s.unfolded.journal.number, s.kept))
		}
	}
	if s.unfolded != nil {
		s.unfolded.journal.f.Close()
	}
	s.journal.f.Close()
	return errors.Join(err, s.db.Close())
}
