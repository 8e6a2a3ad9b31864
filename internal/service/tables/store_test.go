package tables

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// testStore opens the store in dir; what it is troubled by is in told.
func testStore(t testing.TB, dir string) (s *store, told *[]string, err error) {
	t.Helper()
	told = new([]string)
	s, err = openStore(dir, func(err error) { *told = append(*told, err.Error()) })
	return s, told, err
}

// writeItems writes 200-byte items from to until, 50 a commit, into table "t".
func writeItems(t testing.TB, s *store, from, until int) {
	t.Helper()
	for i := from; i < until; i += 50 {
		var records []record
		for k := i; k < min(i+50, until); k++ {
			records = append(records, record{kind: recordPut, table: "t", key: fmt.Sprintf("key-%05d", k), data: []byte(strings.Repeat(fmt.Sprintf("%04d", k), 50))})
		}
		if err := s.append(records...).wait(); err != nil {
			t.Fatal(err)
		}
	}
}

func items(t testing.TB, s *store) map[string]string {
	t.Helper()
	got := map[string]string{}
	nothing := func(string, []byte) error { return nil }
	if err := s.load(nothing, func([]byte) error { return nil }, func(k string, v []byte) error { got[k] = string(v); return nil }); err != nil {
		t.Fatal(err)
	}
	return got
}

// abandon leaves the files as a killed process does.
func abandon(t testing.TB, s *store) {
	t.Helper()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.wake <- struct{}{}
	<-s.done
	if s.folding != nil {
		<-s.folding
	}
	s.journal.f.Close()
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
}

// fill makes a store with 1,000 items in the database and 200 in the log, and
// returns its folder.
func fill(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	s, _, err := testStore(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.append(record{kind: recordTable, table: "t", data: []byte("{}")}).wait(); err != nil {
		t.Fatal(err)
	}
	writeItems(t, s, 0, 1000)
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if s, _, err = testStore(t, dir); err != nil {
		t.Fatal(err)
	}
	writeItems(t, s, 1000, 1200)
	abandon(t, s)
	return dir
}

func TestStoreReplaysItsLog(t *testing.T) {
	dir := fill(t)
	for range 2 { // the second opens what the first folded
		s, told, err := testStore(t, dir)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(items(t, s)); n != 1200 || len(*told) > 0 {
			t.Errorf("%d items, %q", n, *told)
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestStoreFolds lets the log grow past what is folded, from several writers.
func TestStoreFolds(t *testing.T) {
	dir := t.TempDir()
	s, told, err := testStore(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.append(record{kind: recordTable, table: "t", data: []byte("{}")}).wait(); err != nil {
		t.Fatal(err)
	}
	data := []byte(strings.Repeat("x", 20000))
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := range 300 {
				if err := s.append(record{kind: recordPut, table: "t", key: fmt.Sprintf("%d-%d", w, i), data: data}).wait(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	abandon(t, s)
	if numbers, err := journalNumbers(dir); err != nil || numbers[len(numbers)-1] < 3 {
		t.Errorf("24 MB were written and the log has the numbers %d (%v)", numbers, err)
	}
	if s, _, err = testStore(t, dir); err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if n := len(items(t, s)); n != 1200 || len(*told) > 0 {
		t.Errorf("%d items, %q", n, *told)
	}
}

// A write that didn't reach the disk whole is dropped, and said.
func TestTornWrite(t *testing.T) {
	dir := fill(t)
	numbers, err := journalNumbers(dir)
	if err != nil {
		t.Fatal(err)
	}
	name := journalName(dir, numbers[len(numbers)-1])
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, text[:len(text)-100], 0o600); err != nil {
		t.Fatal(err)
	}
	s, told, err := testStore(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if n := len(items(t, s)); n != 1150 || len(*told) != 1 || !strings.Contains((*told)[0], name) {
		t.Errorf("%d items, %q", n, *told)
	}
}

// TestDamage: a damaged file is an error that names it and says what to do, and
// the files stay as they were.
func TestDamage(t *testing.T) {
	good := fill(t)
	numbers, err := journalNumbers(good)
	if err != nil {
		t.Fatal(err)
	}
	log := filepath.Base(journalName(good, numbers[len(numbers)-1]))
	cut := func(keep float64) func([]byte) []byte {
		return func(b []byte) []byte { return b[:int(float64(len(b))*keep)] }
	}
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte { b[at] ^= 0x10; return b }
	}
	for name, c := range map[string]struct {
		file   string
		damage func([]byte) []byte // nil removes the file
	}{
		"a database cut in half":                 {"tables.db", cut(0.5)},
		"an empty database":                      {"tables.db", cut(0)},
		"a database that is text":                {"tables.db", func([]byte) []byte { return []byte(strings.Repeat("hello\n", 5000)) }},
		"no database, and a log":                 {"tables.db", nil},
		"a database that has lost its last fold": {"tables.db", func(b []byte) []byte { return spoilNewerMeta(b) }},
		"no log":                                 {log, nil},
		"a log damaged at its first byte":        {log, flip(0)},
		"a log damaged in its first payload":     {log, flip(50)},
		"a log damaged in its first length":      {log, flip(5)},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(good)); err != nil {
				t.Fatal(err)
			}
			at := filepath.Join(dir, c.file)
			text, err := os.ReadFile(at)
			if err != nil {
				t.Fatal(err)
			}
			if c.damage == nil {
				os.Remove(at)
			} else if err := os.WriteFile(at, c.damage(text), 0o600); err != nil {
				t.Fatal(err)
			}
			before, _ := os.ReadFile(at)
			s, _, err := testStore(t, dir)
			if err == nil {
				s.close()
				t.Fatal("it opened")
			}
			if !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "begin with empty tables") {
				t.Errorf("it says: %v", err)
			}
			if after, _ := os.ReadFile(at); string(after) != string(before) {
				t.Error("the file was changed")
			}
		})
	}
}

// spoilNewerMeta damages the metadata of the last transaction, so that bbolt
// would fall back on the one before.
func spoilNewerMeta(b []byte) []byte {
	at := 0
	if string(b[boltHeader+48:boltHeader+56]) < string(b[4096+boltHeader+48:4096+boltHeader+56]) { // little-endian, and below 256
		at = 4096
	}
	b[at+boltHeader+20] ^= 1
	return b
}

// FuzzDamage changes a byte of the database or the log, or cuts it off. Opening
// it is an error that names the file, or finds every item, or says what it
// dropped: never a panic, never a loss that isn't said. A log that ends with a
// whole write is what it always is, so one that was cut there can't be told.
func FuzzDamage(f *testing.F) {
	good := fill(f)
	var files []string
	fs.WalkDir(os.DirFS(good), ".", func(name string, d fs.DirEntry, err error) error {
		if !d.IsDir() {
			files = append(files, name)
		}
		return err
	})
	for i := range uint32(60) {
		f.Add(uint8(i), i*i*997, uint8(1<<(i%8)), i%7 == 0)
	}
	f.Fuzz(func(t *testing.T, file uint8, at uint32, mask uint8, cut bool) {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(good)); err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, files[int(file)%len(files)])
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		i := int(at) % len(text)
		if text[i] ^= mask; cut {
			text = text[:i]
		}
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
		s, told, err := testStore(t, dir)
		if err != nil {
			if !strings.Contains(err.Error(), dir) {
				t.Errorf("it names no file: %v", err)
			}
			return
		}
		defer s.close()
		n := 0
		err = s.load(func(string, []byte) error { return nil }, func([]byte) error { return nil }, func(string, []byte) error { n++; return nil })
		_, whole, _ := parseJournal(text)
		if atFrame := strings.HasSuffix(name, ".log") && cut && whole == len(text); err == nil && n < 1200 && len(*told) == 0 && !atFrame {
			t.Errorf("it found %d items of 1200 and said nothing", n)
		}
	})
}
