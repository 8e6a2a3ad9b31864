package logs

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// meta is what is known of a log group beside its events.
type meta struct {
	Name      string            `json:"name"`
	Created   int64             `json:"created"` // ms
	Retention int               `json:"retention,omitempty"`
	Tags      map[string]string `json:"tags,omitempty"`
}

// An event is one line of a log.
type event struct {
	time, ingested int64 // ms
	stream         string
	message        string
	// position orders the events of a group by when they were taken, and outlives
	// a restart: the segment's number and the offset in it.
	position int64
}

// before orders events as answers do.
func before(a, b event) int {
	switch {
	case a.time != b.time:
		return cmpInt(a.time, b.time)
	default:
		return cmpInt(a.position, b.position)
	}
}

func cmpInt(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// A stream is what is known of a log stream.
type stream struct {
	created     int64
	first, last int64 // times of its events; 0: it has none
	ingested    int64 // when the last one was taken
	bytes       int64
	since       int64 // the position from which on events of this name are its own
	newSegment  int64 // the last segment that names it
}

// A segment is one file of a group.
type segment struct {
	number      int64
	size        int64
	first, last int64 // times of its events
}

// A group is a log group with its files.
type group struct {
	id, dir string

	mu       sync.RWMutex
	meta     meta
	segments []*segment // oldest first; the last one is written to
	streams  map[string]*stream
	file     *os.File // of the last segment
	closed   bool
}

// A record is a length, a checksum of what follows, and: kind, time, ingestion,
// the stream's name and the message. A record that isn't whole ends a segment.
const (
	headSize   = 8
	fixedSize  = 1 + 8 + 8 + 2
	kindStream = 's' // a stream was created at the time
	kindEvent  = 'e'
	kindGone   = 'd' // a stream was deleted
	maxRecord  = fixedSize + 512 + maxBatchBytes
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func appendRecord(dst []byte, kind byte, e event) []byte {
	n := fixedSize + len(e.stream) + len(e.message)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(n))
	sum := len(dst)
	dst = append(dst, 0, 0, 0, 0, kind)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(e.time))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(e.ingested))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(e.stream)))
	dst = append(append(dst, e.stream...), e.message...)
	binary.LittleEndian.PutUint32(dst[sum:], crc32.Checksum(dst[sum+4:], castagnoli))
	return dst
}

// errDamaged says that a segment ends before its file does.
var errDamaged = errors.New("logs: a record isn't whole")

// readRecords tells each record of a segment up to size bytes. The strings are
// the callee's own.
func readRecords(r io.Reader, number, size int64, tell func(kind byte, e event, end int64) bool) error {
	br := bufio.NewReaderSize(io.LimitReader(r, size), 64<<10)
	var head [headSize]byte
	var body []byte
	for offset := int64(0); ; {
		if _, err := io.ReadFull(br, head[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return errDamaged
		}
		n := int(binary.LittleEndian.Uint32(head[:]))
		if n < fixedSize || n > maxRecord {
			return errDamaged
		}
		body = slices.Grow(body[:0], n)[:n]
		if _, err := io.ReadFull(br, body); err != nil || crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
			return errDamaged
		}
		name := int(binary.LittleEndian.Uint16(body[17:]))
		if fixedSize+name > n {
			return errDamaged
		}
		e := event{
			time: int64(binary.LittleEndian.Uint64(body[1:])), ingested: int64(binary.LittleEndian.Uint64(body[9:])),
			stream: string(body[fixedSize : fixedSize+name]), message: string(body[fixedSize+name:]), position: number<<32 | offset,
		}
		offset += int64(headSize + n)
		if !tell(body[0], e, offset) {
			return nil
		}
	}
}

func (g *group) path(number int64) string {
	return filepath.Join(g.dir, fmt.Sprintf("%08d.log", number))
}

// open reads what the group's files hold and opens the last for writing.
func (g *group) open() error {
	if err := os.MkdirAll(g.dir, 0o700); err != nil {
		return fmt.Errorf("logs: %w", err)
	}
	entries, err := os.ReadDir(g.dir) // by name, so by number
	if err != nil {
		return fmt.Errorf("logs: %w", err)
	}
	g.streams = map[string]*stream{}
	for _, entry := range entries {
		var number int64
		if n, err := fmt.Sscanf(entry.Name(), "%08d.log", &number); n != 1 || err != nil {
			continue
		}
		if err := g.read(number); err != nil {
			return err
		}
	}
	if len(g.segments) == 0 {
		return g.begin(1)
	}
	last := g.segments[len(g.segments)-1]
	if g.file, err = os.OpenFile(g.path(last.number), os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return fmt.Errorf("logs: %w", err)
	}
	// What a crash left half written goes.
	if err := g.file.Truncate(last.size); err != nil {
		return fmt.Errorf("logs: %w", err)
	}
	return nil
}

// read learns what one segment holds.
func (g *group) read(number int64) error {
	f, err := os.Open(g.path(number))
	if err != nil {
		return fmt.Errorf("logs: %w", err)
	}
	defer f.Close()
	seg := &segment{number: number}
	g.segments = append(g.segments, seg)
	readRecords(f, number, 1<<40, func(kind byte, e event, end int64) bool {
		seg.size = end
		g.note(kind, e, seg)
		return true
	}) // what is damaged is as if it weren't there
	return nil
}

// note keeps streams and segments in step with a record. The caller holds mu.
func (g *group) note(kind byte, e event, seg *segment) {
	st := g.streams[e.stream]
	switch {
	case kind == kindGone:
		delete(g.streams, e.stream)
		return
	case st == nil:
		st = &stream{created: e.time, since: e.position}
		g.streams[e.stream] = st
	}
	st.newSegment = seg.number
	if kind != kindEvent {
		return
	}
	if st.first == 0 || e.time < st.first {
		st.first = e.time
	}
	st.last, st.ingested = max(st.last, e.time), max(st.ingested, e.ingested)
	st.bytes += int64(len(e.message)) + eventOverhead
	if seg.first == 0 || e.time < seg.first {
		seg.first = e.time
	}
	seg.last = max(seg.last, e.time)
}

// begin starts a new segment. The caller holds mu.
func (g *group) begin(number int64) error {
	f, err := os.OpenFile(g.path(number), os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("logs: %w", err)
	}
	if g.file != nil {
		g.file.Close()
	}
	g.file = f
	g.segments = append(g.segments, &segment{number: number})
	return nil
}

// write appends records whole or not at all. The caller holds mu.
func (g *group) write(b []byte, segmentBytes int64) (*segment, error) {
	if g.closed {
		return nil, notFound("The specified log group does not exist.")
	}
	seg := g.segments[len(g.segments)-1]
	if seg.size > 0 && seg.size+int64(len(b)) > segmentBytes {
		if err := g.begin(seg.number + 1); err != nil {
			return nil, err
		}
		seg = g.segments[len(g.segments)-1]
	}
	if _, err := g.file.Write(b); err != nil {
		g.file.Truncate(seg.size) // a full disk may have taken a part
		return nil, fmt.Errorf("logs: write: %w", err)
	}
	return seg, nil
}

// createStream makes a stream.
func (g *group) createStream(name string, now, segmentBytes int64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.streams[name] != nil {
		return alreadyExists("The specified log stream already exists")
	}
	if len(g.streams) >= maxStreams {
		return limitExceeded(fmt.Sprintf("Tidegate keeps %d log streams of a group at most; delete some", maxStreams))
	}
	return g.mark(kindStream, name, now, segmentBytes)
}

// deleteStream removes a stream; its events can't be read any more.
func (g *group) deleteStream(name string, now, segmentBytes int64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.streams[name] == nil {
		return notFound("The specified log stream does not exist.")
	}
	return g.mark(kindGone, name, now, segmentBytes)
}

// mark writes a record about a stream. The caller holds mu.
func (g *group) mark(kind byte, name string, now, segmentBytes int64) error {
	e := event{time: now, ingested: now, stream: name}
	b := appendRecord(nil, kind, e)
	seg, err := g.write(b, segmentBytes)
	if err != nil {
		return err
	}
	e.position = seg.number<<32 | seg.size
	seg.size += int64(len(b))
	g.note(kind, e, seg)
	return nil
}

// put appends events to a stream and drops old segments over groupBytes.
func (g *group) put(name string, events []event, segmentBytes, groupBytes int64) error {
	var b []byte
	for _, e := range events {
		e.stream = name
		b = appendRecord(b, kindEvent, e)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.streams[name] == nil {
		return notFound("The specified log stream does not exist.")
	}
	seg, err := g.write(b, segmentBytes)
	if err != nil {
		return err
	}
	seg.size += int64(len(b))
	for _, e := range events {
		e.stream = name
		g.note(kindEvent, e, seg)
	}
	for g.bytesLocked() > groupBytes {
		if dropped, err := g.dropLocked(); !dropped || err != nil {
			return err
		}
	}
	return nil
}

// dropOldest removes the oldest segment that isn't written to.
func (g *group) dropOldest() (dropped bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.dropLocked()
}

func (g *group) dropLocked() (bool, error) {
	if len(g.segments) < 2 {
		return false, nil
	}
	seg := g.segments[0]
	if err := os.Remove(g.path(seg.number)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, fmt.Errorf("logs: %w", err)
	}
	g.segments = g.segments[1:]
	for name, st := range g.streams {
		if st.newSegment <= seg.number {
			delete(g.streams, name)
		}
	}
	return true, nil
}

// scan tells the events of the streams that pass between two times, in the order
// in which they were taken.
func (g *group) scan(from, to int64, pass func(stream string) bool, tell func(event) bool) error {
	type part struct {
		file   *os.File
		number int64
		size   int64
	}
	g.mu.RLock()
	var parts []part
	since := make(map[string]int64, len(g.streams))
	for name, st := range g.streams {
		since[name] = st.since
	}
	var openErr error
	for _, seg := range g.segments {
		if seg.first == 0 || seg.last < from || seg.first >= to {
			continue
		}
		f, err := os.Open(g.path(seg.number)) // it can be read although it is dropped meanwhile
		if err != nil {
			openErr = fmt.Errorf("logs: %w", err)
			break
		}
		parts = append(parts, part{f, seg.number, seg.size})
	}
	g.mu.RUnlock()
	defer func() {
		for _, p := range parts {
			p.file.Close()
		}
	}()
	if openErr != nil {
		return openErr
	}
	more := true
	for _, p := range parts {
		err := readRecords(p.file, p.number, p.size, func(kind byte, e event, _ int64) bool {
			if kind != kindEvent || e.time < from || e.time >= to || !pass(e.stream) {
				return true
			}
			if first, ok := since[e.stream]; !ok || e.position < first {
				return true // deleted, or of a deleted one of the same name
			}
			more = tell(e)
			return more
		})
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// bytes is the size of the group's files.
func (g *group) bytes() int64 {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.bytesLocked()
}

func (g *group) bytesLocked() int64 {
	var n int64
	for _, seg := range g.segments {
		n += seg.size
	}
	return n
}

// close closes the file; nothing is written any more.
func (g *group) close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	if g.file == nil {
		return nil
	}
	err := g.file.Close()
	g.file = nil
	return err
}

// destroy removes the group's files.
func (g *group) destroy() error {
	err := g.close()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.segments, g.streams = nil, map[string]*stream{}
	return errors.Join(err, os.RemoveAll(g.dir))
}

// streamNames returns the names of the streams that begin with prefix, sorted.
func (g *group) streamNames(prefix string) []string {
	g.mu.RLock()
	defer g.mu.RUnlock()
	var names []string
	for name := range g.streams {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
