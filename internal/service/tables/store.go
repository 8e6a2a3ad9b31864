package tables

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// A store is the durable copy of all tables: one bbolt file, written by one
// goroutine. Writers hand it records and wait for the commit that has them;
// what arrives during one commit goes into the next, so that the cost of
// reaching the disk is shared.
//
// The records are a log: applied in order to the same file they give the same
// file, and the tables in memory are what loading it gives.
type store struct {
	db *bolt.DB

	mu      sync.Mutex
	pending *commit
	failed  error // the first commit that failed; nothing is written afterwards
	closed  bool

	wake chan struct{} // has room for one: there is something pending
	done chan struct{} // closed when the writer has ended
}

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

// The file: bucket "meta" with "version"; bucket "tables", table id →
// description (JSON); bucket "items" with a bucket for each table id, key →
// item (value.go); bucket "tokens", client request token → what it was spent on
// (token.go). A program that knows no tokens reads the file all the same.
var (
	bucketMeta   = []byte("meta")
	bucketTables = []byte("tables")
	bucketItems  = []byte("items")
	bucketTokens = []byte("tokens")
	keyVersion   = []byte("version")
)

const fileVersion = 1

var errStoreClosed = errors.New("tables: the store is closed")

// openStore opens or creates dir/tables.db. A file that another process holds
// is an error after a second.
func openStore(dir string) (*store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("tables: create the data folder: %w", err)
	}
	name := filepath.Join(dir, "tables.db")
	db, err := bolt.Open(name, 0o600, &bolt.Options{
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
	err = db.Update(func(tx *bolt.Tx) error {
		meta, err := tx.CreateBucketIfNotExists(bucketMeta)
		if err != nil {
			return err
		}
		if v := meta.Get(keyVersion); v == nil {
			if err := meta.Put(keyVersion, binary.AppendUvarint(nil, fileVersion)); err != nil {
				return err
			}
		} else if n, _ := binary.Uvarint(v); n != fileVersion {
			return fmt.Errorf("its format is version %d, this program reads version %d", n, fileVersion)
		}
		for _, b := range [][]byte{bucketTables, bucketItems, bucketTokens} {
			if _, err := tx.CreateBucketIfNotExists(b); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("tables: open %s: %w", name, err)
	}
	s := &store{db: db, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go s.write()
	return s, nil
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
	for range s.wake {
		s.mu.Lock()
		c, closed := s.pending, s.closed
		s.pending = nil
		if c != nil && s.failed != nil {
			c.err = s.failed
		}
		s.mu.Unlock()
		if c != nil {
			if c.err == nil {
				c.err = s.commit(c.records)
			}
			c.records = nil // whoever keeps the commit keeps no items
			if c.err != nil {
				s.mu.Lock()
				s.failed = c.err
				s.mu.Unlock()
			}
			close(c.done)
		}
		if closed {
			return
		}
	}
}

func (s *store) commit(records []record) error {
	err := s.db.Update(func(tx *bolt.Tx) error {
		tables, items, tokens := tx.Bucket(bucketTables), tx.Bucket(bucketItems), tx.Bucket(bucketTokens)
		for _, r := range records {
			if err := applyRecord(tables, items, tokens, r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("tables: the write did not reach the disk, so no further one is taken until the process is started again: %w", err)
	}
	return nil
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

// close writes what is pending and closes the file.
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
	return s.db.Close()
}
