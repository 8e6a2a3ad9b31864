package tables

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// bbolt trusts its file: a damaged one makes it panic or die of a signal, on
// goroutines of its own, anywhere between the opening and the last read. So the
// file is walked before bbolt sees it. The walk finds pages that are missing,
// broken, out of order or used twice; a byte that changed inside a key or an item
// is for decodeItem to find, if it can be found at all, for bbolt's pages have no
// checksums.
//
// The format is that of go.etcd.io/bbolt, internal/common: integers in the
// machine's order (little-endian wherever Go runs this), a file of pages.
const (
	boltMagic     = 0xED0CDAED
	boltVersion   = 2
	boltMetaSize  = 64 // of which the last 8 are a checksum
	boltHeader    = 16 // id, flags, count, overflow
	boltBranch    = 0x01
	boltLeaf      = 0x02
	boltNested    = 0x01 // the element's value is a bucket
	boltMaxDepth  = 64
	boltMaxBucket = 4 // tables → items → an id; one more is damage
)

var errNoMeta = errors.New("it is no tables file, or its first pages are damaged")

// A boltWalk checks one file.
type boltWalk struct {
	f        io.ReaderAt
	pageSize uint64
	pages    uint64 // that the file has and the metadata counts
	seen     []uint64
	buf      []byte
}

// checkBolt says what is wrong with the database file, or nil.
func checkBolt(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	w := &boltWalk{f: f}
	root, err := w.meta(uint64(info.Size()))
	if err != nil {
		return err
	}
	w.seen = make([]uint64, w.pages/64+1)
	return w.tree(root, nil, nil, 0, 0)
}

// meta reads the metadata and returns the root bucket's page.
func (w *boltWalk) meta(size uint64) (root uint64, err error) {
	// The second metadata page lies where the first says that pages end, or where
	// it may when the first is damaged.
	var best []byte
	first := make([]byte, boltHeader+boltMetaSize)
	for _, at := range []int64{0, 4096, 8192, 16384, 32768, 65536, 1024, 2048} {
		if _, err := w.f.ReadAt(first, at); err != nil {
			continue
		}
		m := bytes.Clone(first[boltHeader:])
		h := fnv.New64a()
		h.Write(m[:boltMetaSize-8])
		if binary.LittleEndian.Uint32(m) != boltMagic || binary.LittleEndian.Uint32(m[4:]) != boltVersion || h.Sum64() != binary.LittleEndian.Uint64(m[56:]) {
			continue
		}
		if best == nil || binary.LittleEndian.Uint64(m[48:]) > binary.LittleEndian.Uint64(best[48:]) {
			best = m
		}
	}
	if best == nil {
		return 0, errNoMeta
	}
	w.pageSize = uint64(binary.LittleEndian.Uint32(best[8:]))
	w.pages = binary.LittleEndian.Uint64(best[40:])
	if w.pageSize < 1024 || w.pageSize > 65536 || w.pages > size/w.pageSize {
		return 0, fmt.Errorf("it should have %d pages of %d bytes and has %d bytes: it was cut off", w.pages, w.pageSize, size)
	}
	return binary.LittleEndian.Uint64(best[16:]), nil
}

// page reads a page with what overflows from it, and marks it as used.
func (w *boltWalk) page(id uint64) ([]byte, error) {
	if id < 2 || id >= w.pages {
		return nil, fmt.Errorf("page %d is referred to and can't be", id)
	}
	var head [boltHeader]byte
	if _, err := w.f.ReadAt(head[:], int64(id*w.pageSize)); err != nil {
		return nil, err
	}
	more := uint64(binary.LittleEndian.Uint32(head[12:]))
	if binary.LittleEndian.Uint64(head[:]) != id || more >= w.pages-id {
		return nil, fmt.Errorf("page %d is damaged", id)
	}
	for p := id; p <= id+more; p++ {
		if w.seen[p/64]&(1<<(p%64)) != 0 {
			return nil, fmt.Errorf("page %d is used twice", p)
		}
		w.seen[p/64] |= 1 << (p % 64)
	}
	b := make([]byte, (more+1)*w.pageSize)
	_, err := w.f.ReadAt(b, int64(id*w.pageSize))
	return b, err
}

// tree walks the page and all below it; its keys are from low on and below
// high, which may be nil.
func (w *boltWalk) tree(id uint64, low, high []byte, depth, bucket int) error {
	if depth > boltMaxDepth {
		return fmt.Errorf("page %d lies too deep", id)
	}
	b, err := w.page(id)
	if err != nil {
		return err
	}
	if err := w.elements(b, low, high, depth, bucket); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

var errElement = errors.New("an entry is damaged")

// elements walks what a page has, be it in the file or inside another page.
func (w *boltWalk) elements(b, low, high []byte, depth, bucket int) error {
	flags, count := binary.LittleEndian.Uint16(b[8:]), int(binary.LittleEndian.Uint16(b[10:]))
	if flags != boltBranch && flags != boltLeaf || boltHeader+count*16 > len(b) || flags == boltBranch && count == 0 {
		return errors.New("its header is damaged")
	}
	key := func(i int) (k, v []byte, nested bool, err error) {
		at := boltHeader + i*16
		e := b[at : at+16]
		pos, ksize, vsize := uint64(binary.LittleEndian.Uint32(e)), uint64(binary.LittleEndian.Uint32(e[4:])), uint64(0)
		if flags == boltLeaf {
			nested = binary.LittleEndian.Uint32(e)&boltNested != 0
			if binary.LittleEndian.Uint32(e) > boltNested {
				return nil, nil, false, errElement
			}
			pos, ksize, vsize = uint64(binary.LittleEndian.Uint32(e[4:])), uint64(binary.LittleEndian.Uint32(e[8:])), uint64(binary.LittleEndian.Uint32(e[12:]))
		}
		from := uint64(at) + pos
		if pos < 16 || from+ksize+vsize > uint64(len(b)) {
			return nil, nil, false, errElement
		}
		return b[from : from+ksize], b[from+ksize : from+ksize+vsize], nested, nil
	}
	var before []byte
	for i := range count {
		k, v, nested, err := key(i)
		if err != nil {
			return err
		}
		if i > 0 && bytes.Compare(k, before) <= 0 || bytes.Compare(k, low) < 0 || high != nil && bytes.Compare(k, high) >= 0 {
			return errors.New("its keys are out of order")
		}
		before = k
		if flags == boltBranch {
			next := high
			if i+1 < count {
				if next, _, _, err = key(i + 1); err != nil {
					return err
				}
			}
			if err := w.tree(binary.LittleEndian.Uint64(b[boltHeader+i*16+8:]), k, next, depth+1, bucket); err != nil {
				return err
			}
		} else if nested {
			if err := w.nested(v, depth, bucket+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// nested walks a bucket inside a leaf: one with pages of its own, or small
// enough to lie in the value.
func (w *boltWalk) nested(v []byte, depth, bucket int) error {
	if len(v) < 16 || bucket > boltMaxBucket {
		return errElement
	}
	if root := binary.LittleEndian.Uint64(v); root != 0 {
		return w.tree(root, nil, nil, depth+1, bucket)
	}
	if len(v) < 16+boltHeader || binary.LittleEndian.Uint16(v[16+8:]) != boltLeaf {
		return errElement
	}
	return w.elements(v[16:], nil, nil, depth+1, bucket)
}
