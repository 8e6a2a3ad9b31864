package tables

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// A journal is one file of the log: what was written since the last journal was
// folded into the database. It is a row of frames, one for each group of records
// that became durable together:
//
//	"TGj1", the payload's length, its CRC-32C, the CRC-32C of these twelve bytes
//	payload: records, each its kind, table, key and data, with lengths as varints
//
// Integers are little-endian, 32 bits. A frame is synced before the next one is
// written, so only the last can be incomplete, and then nobody was told that its
// records are kept. Anything else that can't be read is damage.
type journal struct {
	name   string
	number uint64
	f      *os.File
	// size is the length of what is whole and on disk.
	size int64
}

const (
	journalMagic  = "TGj1"
	journalHeader = 16
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func journalName(dir string, number uint64) string {
	return filepath.Join(dir, fmt.Sprintf("tables-%08d.log", number))
}

// journalNumbers lists the journals in dir, lowest first.
func journalNumbers(dir string) ([]uint64, error) {
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, e := range entries {
		var n uint64
		if _, err := fmt.Sscanf(e.Name(), "tables-%d.log", &n); err == nil && journalName(dir, n) == filepath.Join(dir, e.Name()) {
			numbers = append(numbers, n)
		}
	}
	return numbers, nil
}

// createJournal makes an empty journal that a crash doesn't take back.
func createJournal(dir string, number uint64) (*journal, error) {
	j := &journal{name: journalName(dir, number), number: number}
	var err error
	if j.f, err = os.OpenFile(j.name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600); err != nil {
		return nil, err
	}
	if err := syncFolder(dir); err != nil {
		j.f.Close()
		os.Remove(j.name)
		return nil, err
	}
	return j, nil
}

// syncFolder makes the names in dir durable.
func syncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // it can't, and NTFS keeps a journal of names
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// add appends the frame and returns when it is on disk. After an error the
// journal is as it was: the frame may be added again.
func (j *journal) add(frame []byte) error {
	_, err := j.f.WriteAt(frame, j.size)
	if err == nil {
		err = datasync(j.f)
	}
	if err != nil {
		j.f.Truncate(j.size) // what can't be cut off is written over, or is an incomplete frame
		return err
	}
	j.size += int64(len(frame))
	return nil
}

// appendFrame appends a frame with the records to dst.
func appendFrame(dst []byte, records []record) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, journalHeader)...)
	for i := range records {
		r := &records[i]
		dst = append(dst, byte(r.kind))
		dst = appendText(appendText(dst, r.table), r.key)
		dst = binary.AppendUvarint(dst, uint64(len(r.data)))
		dst = append(dst, r.data...)
	}
	head, payload := dst[at:at+journalHeader], dst[at+journalHeader:]
	copy(head, journalMagic)
	binary.LittleEndian.PutUint32(head[4:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(head[8:], crc32.Checksum(payload, castagnoli))
	binary.LittleEndian.PutUint32(head[12:], crc32.Checksum(head[:12], castagnoli))
	return dst
}

// openJournal opens the journal and reads its records. torn is the length of an
// incomplete frame at its end, which is cut off.
func openJournal(dir string, number uint64) (j *journal, records []record, torn int64, err error) {
	name := journalName(dir, number)
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, nil, 0, err
	}
	text, err := io.ReadAll(f)
	if err != nil {
		f.Close()
		return nil, nil, 0, err
	}
	records, whole, err := parseJournal(text)
	if err == nil && whole < len(text) {
		if err = f.Truncate(int64(whole)); err == nil {
			err = f.Sync()
		}
	}
	if err != nil {
		f.Close()
		return nil, nil, 0, err
	}
	return &journal{name: name, number: number, f: f, size: int64(whole)}, records, int64(len(text) - whole), nil
}

// parseJournal reads frames; whole is the length of those that are complete.
// An error says that what follows the last complete one isn't just an
// incomplete frame at the end.
func parseJournal(text []byte) (records []record, whole int, err error) {
	for whole < len(text) {
		rest := text[whole:]
		payload, ok := frame(rest)
		if !ok {
			if followed(rest) {
				return records, whole, fmt.Errorf("damaged at byte %d, with more behind it", whole)
			}
			return records, whole, nil
		}
		whole += journalHeader + len(payload)
		if records, err = parseRecords(records, payload); err != nil {
			return records, whole, err
		}
	}
	return records, whole, nil
}

// header reads a frame's header; length is that of its payload.
func header(b []byte) (length int, ok bool) {
	if len(b) < journalHeader || string(b[:4]) != journalMagic || crc32.Checksum(b[:12], castagnoli) != binary.LittleEndian.Uint32(b[12:]) {
		return 0, false
	}
	return int(binary.LittleEndian.Uint32(b[4:])), true
}

// frame reads the payload of the frame that b begins with.
func frame(b []byte) (payload []byte, ok bool) {
	n, ok := header(b)
	if !ok || n > len(b)-journalHeader {
		return nil, false
	}
	payload = b[journalHeader : journalHeader+n]
	return payload, crc32.Checksum(payload, castagnoli) == binary.LittleEndian.Uint32(b[8:])
}

// followed tells whether a frame begins behind the one that b begins with and
// that can't be read. Items may hold what looks like a header; that inside the
// length of the broken frame doesn't count.
func followed(b []byte) bool {
	if n, ok := header(b); ok {
		return n < len(b)-journalHeader
	}
	for at := 1; at < len(b); at++ {
		i := bytes.Index(b[at:], []byte(journalMagic))
		if i < 0 {
			return false
		}
		at += i
		if _, ok := header(b[at:]); ok {
			return true
		}
	}
	return false
}

var errRecord = errors.New("a record of it can't be read")

// parseRecords appends the payload's records; they share one copy of it.
func parseRecords(records []record, payload []byte) ([]record, error) {
	d := binaryDecoder{s: string(payload)}
	for d.s != "" {
		r := record{kind: recordKind(d.byte()), table: d.text(), key: d.text(), data: []byte(d.text())}
		if d.failed || r.kind > recordTokenGone {
			return records, errRecord
		}
		records = append(records, r)
	}
	return records, nil
}

// remove ends the journal: its records are in the database.
func (j *journal) remove() {
	j.f.Close()
	os.Remove(j.name) // one that stays is known by its number and removed at the next start
}
