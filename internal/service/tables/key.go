package tables

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// A keyAttribute is an attribute of a key schema with its declared type.
type keyAttribute struct {
	name string
	kind kind
}

// A keySchema is a table's or an index's key: a partition key and, when it has
// a name, a sort key.
type keySchema struct {
	hash, sort keyAttribute
	// moreHash and moreSort are what a global index's key has besides, up to three
	// each: it can be made of several attributes.
	moreHash, moreSort []keyAttribute
}

// add puts the attribute behind those of its part of the key.
func (k *keySchema) add(a keyAttribute, isHash bool) {
	first, more := &k.sort, &k.moreSort
	if isHash {
		first, more = &k.hash, &k.moreHash
	}
	if first.name == "" {
		*first = a
	} else {
		*more = append(*more, a)
	}
}

// hashes are the attributes of the partition key.
func (k keySchema) hashes() []keyAttribute { return append([]keyAttribute{k.hash}, k.moreHash...) }

// sorts are the attributes of the sort key, none when there is none.
func (k keySchema) sorts() []keyAttribute {
	if !k.hasSort() {
		return nil
	}
	return append([]keyAttribute{k.sort}, k.moreSort...)
}

func (k keySchema) hasSort() bool { return k.sort.name != "" }

// names are the key's attribute names.
func (k keySchema) names() []string {
	names := make([]string, 0, 2)
	for _, a := range append(k.hashes(), k.sorts()...) {
		names = append(names, a.name)
	}
	return names
}

// contains tells whether the attribute is part of the key.
func (k keySchema) contains(name string) bool {
	if name == k.hash.name || k.hasSort() && name == k.sort.name {
		return true
	}
	named := func(a keyAttribute) bool { return a.name == name }
	return slices.ContainsFunc(k.moreHash, named) || slices.ContainsFunc(k.moreSort, named)
}

// extract returns the key attributes of an item.
func (k keySchema) extract(it item) item {
	out := make(item, 0, 2)
	for _, n := range k.names() {
		if v := it.get(n); v.kind != kindNone {
			out = append(out, attribute{n, v})
		}
	}
	return sortItem(out)
}

// Keys in memory and on disk are strings that sort as DynamoDB returns items:
// eight bytes of the partition key's hash, the partition key, the sort key,
// each of them attribute by attribute. A
// scan goes by hash, which is stable and knows no order that clients could
// rely on; all items of a partition are neighbours, in the order of their sort
// keys. Within a string a zero byte is written as 00 FF, and 00 01 ends a part,
// so that a shorter value sorts before a longer one that begins with it.

// appendKey appends the key of the item, which has all key attributes.
func (k keySchema) appendKey(dst []byte, it item) []byte {
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
	dst = appendKeyPart(dst, it.get(k.hash.name), true)
	for _, a := range k.moreHash {
		dst = appendKeyPart(dst, it.get(a.name), true)
	}
	binary.BigEndian.PutUint64(dst[at:], partitionHash(dst[at+8:]))
	if k.hasSort() {
		dst = appendSort(dst, it.get(k.sort.name))
	}
	for _, a := range k.moreSort {
		dst = appendSort(dst, it.get(a.name))
	}
	return dst
}

// appendPartition appends what the keys of a partition begin with.
func appendPartition(dst []byte, values ...value) []byte {
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
	for i := range values {
		dst = appendKeyPart(dst, values[i], true)
	}
	binary.BigEndian.PutUint64(dst[at:], partitionHash(dst[at+8:]))
	return dst
}

func appendSort(dst []byte, v value) []byte { return appendKeyPart(dst, v, true) }

// appendKeyPart appends one key value; end false leaves it open, for
// begins_with.
func appendKeyPart(dst []byte, v value, end bool) []byte {
	from := len(dst)
	if v.kind == kindNumber {
		dst = appendNumberKey(dst, v.text)
	} else {
		dst = append(dst, v.text...)
	}
	zeros := 0
	for _, c := range dst[from:] {
		if c == 0 {
			zeros++
		}
	}
	if zeros > 0 {
		raw := append([]byte(nil), dst[from:]...)
		dst = dst[:from]
		for _, c := range raw {
			dst = append(dst, c)
			if c == 0 {
				dst = append(dst, 0xff)
			}
		}
	}
	if end {
		dst = append(dst, 0, 1)
	}
	return dst
}

// partitionHash is FNV-1a with a finalizer that spreads short keys over all
// bits. It is part of the file's format.
func partitionHash(b []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// afterPrefix is the first string behind all that begin with p, which isn't
// all 0xff.
func afterPrefix(p []byte) []byte {
	out := append([]byte(nil), p...)
	for i := len(out) - 1; i >= 0; i-- {
		if out[i] < 0xff {
			out[i]++
			return out[:i+1]
		}
	}
	return nil
}

// A keyRange is the half-open range [from, to) of keys; an empty to is the end.
type keyRange struct{ from, to string }

// segmentRange is the part of all hashes that segment of total scans.
func segmentRange(segment, total uint64) keyRange {
	bound := func(n uint64) string {
		if n == 0 || n == total {
			return ""
		}
		q, _ := bits.Div64(n, 0, total)
		return string(binary.BigEndian.AppendUint64(nil, q))
	}
	return keyRange{bound(segment), bound(segment + 1)}
}

func (r keyRange) contains(key string) bool {
	return key >= r.from && (r.to == "" || key < r.to)
}
