package tables

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkStorage is 64 callers that each wait until their item of 300 bytes is
// on disk: in the store as it is, and in an append-only log of the plainest
// make, never compacted, which is only here to be measured against. Keys are random among 100,000,
// so most writes replace. docs/adr/0001 tells what was made of it.
func BenchmarkStorage(b *testing.B) {
	for _, c := range []struct {
		name string
		open func(b *testing.B, dir string) storage
	}{
		{"store", openOurs}, {"log", openLog},
	} {
		b.Run(c.name, func(b *testing.B) {
			dir := b.TempDir()
			s := c.open(b, dir)
			data := []byte(strings.Repeat("x", 300))
			before, slowest := bytesWritten(b), atomic.Int64{}
			b.SetParallelism(32) // times GOMAXPROCS, 2 on the machine of record
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					began := time.Now()
					if err := s.put(fmt.Sprintf("connection-%08d", rand.IntN(100000)), data); err != nil {
						b.Error(err)
						return
					}
					took := int64(time.Since(began))
					for was := slowest.Load(); took > was && !slowest.CompareAndSwap(was, took); was = slowest.Load() {
					}
				}
			})
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "put/s")
			b.ReportMetric(float64(bytesWritten(b)-before)/float64(b.N), "written-B/put")
			b.ReportMetric(float64(slowest.Load())/1e6, "slowest-ms")
			if err := s.close(); err != nil {
				b.Fatal(err)
			}
			var size int64
			files, _ := filepath.Glob(filepath.Join(dir, "*"))
			for _, f := range files {
				info, err := os.Stat(f)
				if err != nil {
					b.Fatal(err)
				}
				size += info.Size()
			}
			b.ReportMetric(float64(size)/float64(b.N), "file-B/put")
			began := time.Now()
			s = c.open(b, dir)
			n := s.recover(b)
			b.ReportMetric(float64(time.Since(began).Milliseconds()), "recovery-ms")
			b.ReportMetric(float64(n), "items")
			s.close()
		})
	}
}

// bytesWritten is what this process has caused to be written to disks.
func bytesWritten(b *testing.B) int64 {
	b.Helper()
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		b.Skip(err)
	}
	for line := range strings.Lines(string(text)) {
		var n int64
		if _, err := fmt.Sscanf(line, "write_bytes: %d", &n); err == nil {
			return n
		}
	}
	b.Fatal("no write_bytes in /proc/self/io")
	return 0
}

type storage interface {
	put(key string, data []byte) error
	recover(b *testing.B) (items int)
	close() error
}

type ourStorage struct{ *store }

func openOurs(b *testing.B, dir string) storage {
	s, err := openStore(dir, func(error) {})
	if err != nil {
		b.Fatal(err)
	}
	if err := s.append(record{kind: recordTable, table: "t", data: []byte("{}")}).wait(); err != nil {
		b.Fatal(err)
	}
	return ourStorage{s}
}

func (s ourStorage) put(key string, data []byte) error {
	return s.append(record{kind: recordPut, table: "t", key: key, data: data}).wait()
}

func (s ourStorage) recover(b *testing.B) int {
	n := 0
	nothing := func(string, []byte) error { return nil }
	if err := s.load(nothing, func([]byte) error { return nil }, func(string, []byte) error { n++; return nil }); err != nil {
		b.Fatal(err)
	}
	return n
}

// A logStorage appends length, checksum, key and data of each record, and syncs
// once a group. It never compacts: what that would cost is not in its figures.
type logStorage struct {
	f       *os.File
	mu      sync.Mutex
	pending *logGroup
	wake    chan struct{}
	done    chan struct{}
}

type logGroup struct {
	buf  []byte
	done chan struct{}
	err  error
}

func openLog(b *testing.B, dir string) storage {
	f, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	l := &logStorage{f: f, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go l.write()
	return l
}

func (l *logStorage) put(key string, data []byte) error {
	l.mu.Lock()
	g := l.pending
	if g == nil {
		g = &logGroup{done: make(chan struct{})}
		l.pending = g
	}
	at := len(g.buf)
	g.buf = append(g.buf, 0, 0, 0, 0, 0, 0, 0, 0)
	g.buf = binary.AppendUvarint(g.buf, uint64(len(key)))
	g.buf = append(append(g.buf, key...), data...)
	binary.LittleEndian.PutUint32(g.buf[at:], uint32(len(g.buf)-at-8))
	binary.LittleEndian.PutUint32(g.buf[at+4:], crc32.ChecksumIEEE(g.buf[at+8:]))
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	<-g.done
	return g.err
}

func (l *logStorage) write() {
	defer close(l.done)
	for range l.wake {
		l.mu.Lock()
		g := l.pending
		l.pending = nil
		l.mu.Unlock()
		if g == nil {
			continue
		}
		if _, g.err = l.f.Write(g.buf); g.err == nil {
			g.err = datasync(l.f)
		}
		close(g.done)
	}
}

func (l *logStorage) recover(b *testing.B) int {
	r := bufio.NewReaderSize(l.f, 1<<20)
	items := map[string][]byte{}
	var head [8]byte
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return len(items)
		}
		body := make([]byte, binary.LittleEndian.Uint32(head[:]))
		if _, err := io.ReadFull(r, body); err != nil || crc32.ChecksumIEEE(body) != binary.LittleEndian.Uint32(head[4:]) {
			b.Fatal("the log ends in the middle")
		}
		n, k := binary.Uvarint(body)
		items[string(body[k:k+int(n)])] = body[k+int(n):]
	}
}

func (l *logStorage) close() error {
	close(l.wake)
	<-l.done
	return l.f.Close()
}
