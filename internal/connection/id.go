package connection

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
)

// An ID is a connection's address: which slot space, which slot in it, and
// which of the connections that used the slot one after another. Clients and
// backends see it only as a Codec writes it. The zero ID is no connection's.
type ID struct {
	incarnation uint32 // 24 bits
	slot        uint32
	generation  uint32 // from 1
}

// MaxIncarnation is the greatest number that an incarnation can have (24 bits).
const MaxIncarnation = 1<<24 - 1

// Home returns the incarnation, the number of the slot space, which tells the
// home node.
func (id ID) Home() uint32 { return id.incarnation }

// IDLen is the length of an id as text: 15 characters and a '='.
const IDLen = 16

// ErrMalformedID says that a text is no connection id at all; a well-formed id
// that belongs to nobody is no error of ParseID's.
var ErrMalformedID = errors.New("malformed connection id")

// A Codec writes ids as AWS's look (16 characters, URL-safe base64 of 11 bytes)
// and reads them back. The 88 bits go through a keyed permutation, so that an id
// shows neither how many connections there are nor their order. That hides; it
// authorizes nothing. A Codec is safe for concurrent use.
type Codec struct {
	block cipher.Block
	// first is AES(P) of FF1: the first block of every round's CBC-MAC, which is
	// the same for all since radix, length and tweak are fixed.
	first [aes.BlockSize]byte
	// scratch holds *[16]byte: what is passed to a cipher.Block escapes.
	scratch sync.Pool
}

// NewCodec returns a codec with an AES key of 16, 24 or 32 bytes. The key must
// stay the same as long as connections live.
func NewCodec(key []byte) (*Codec, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("connection: the id key must have 16, 24 or 32 bytes, not %d", len(key))
	}
	c := &Codec{block: block}
	c.scratch.New = func() any { return new([aes.BlockSize]byte) }
	// NIST SP 800-38G, algorithm 7, step 5, with radix 2, n = 88, u = 44, t = 0.
	p := [aes.BlockSize]byte{1, 2, 1, 0, 0, 2, 10, halfBits % 256, 0, 0, 0, 2 * halfBits}
	block.Encrypt(c.first[:], p[:])
	return c, nil
}

const (
	halfBits = 44
	halfMask = 1<<halfBits - 1
	rounds   = 10
)

// round is FF1's round function for radix 2: the low 44 bits of the number that
// the CBC-MAC of P and Q yields (d = 12 bytes of it).
func (c *Codec) round(buf *[aes.BlockSize]byte, i byte, half uint64) uint64 {
	*buf = c.first
	buf[9] ^= i
	for k := range 6 {
		buf[10+k] ^= byte(half >> (40 - 8*k))
	}
	c.block.Encrypt(buf[:], buf[:])
	return binary.BigEndian.Uint64(buf[4:12]) & halfMask
}

// encrypt permutes the 88 bits a‖b.
func (c *Codec) encrypt(a, b uint64) (uint64, uint64) {
	buf := c.scratch.Get().(*[aes.BlockSize]byte)
	for i := range byte(rounds) {
		a, b = b, (a+c.round(buf, i, b))&halfMask
	}
	c.scratch.Put(buf)
	return a, b
}

// decrypt is encrypt's inverse.
func (c *Codec) decrypt(a, b uint64) (uint64, uint64) {
	buf := c.scratch.Get().(*[aes.BlockSize]byte)
	for i := byte(rounds); i > 0; i-- {
		a, b = (b-c.round(buf, i-1, a))&halfMask, a
	}
	c.scratch.Put(buf)
	return a, b
}

// String returns the id as users see it: [A-Za-z0-9_-]{15}=.
func (c *Codec) String(id ID) string { return string(c.AppendID(make([]byte, 0, IDLen), id)) }

// AppendID appends the id as users see it: IDLen bytes.
func (c *Codec) AppendID(to []byte, id ID) []byte {
	// 88 bits: incarnation (24), slot (32), generation (32).
	a := uint64(id.incarnation&MaxIncarnation)<<20 | uint64(id.slot>>12)
	b := uint64(id.slot&0xfff)<<32 | uint64(id.generation)
	a, b = c.encrypt(a, b)
	var raw [11]byte
	for i := range 5 {
		raw[i] = byte(a >> (36 - 8*i))
	}
	raw[5] = byte(a<<4) | byte(b>>40)
	for i := range 5 {
		raw[6+i] = byte(b >> (32 - 8*i))
	}
	return base64.URLEncoding.AppendEncode(to, raw[:])
}

// ParseID reads an id. A text that isn't [A-Za-z0-9_-]{15}= is ErrMalformedID.
// A well-formed one that String never wrote (its last two bits are set) is the
// zero ID, which is nobody's.
func (c *Codec) ParseID(text string) (ID, error) {
	if len(text) != IDLen || text[IDLen-1] != '=' {
		return ID{}, ErrMalformedID
	}
	for i := range IDLen - 1 {
		if !idByte(text[i]) {
			return ID{}, ErrMalformedID
		}
	}
	var raw [12]byte
	if _, err := base64.URLEncoding.Strict().Decode(raw[:], []byte(text)); err != nil {
		return ID{}, nil
	}
	var a, b uint64
	for i := range 5 {
		a = a<<8 | uint64(raw[i])
	}
	a = a<<4 | uint64(raw[5]>>4)
	b = uint64(raw[5] & 0xf)
	for i := range 5 {
		b = b<<8 | uint64(raw[6+i])
	}
	a, b = c.decrypt(a, b)
	return ID{
		incarnation: uint32(a >> 20),
		slot:        uint32(a&0xfffff)<<12 | uint32(b>>32),
		generation:  uint32(b),
	}, nil
}

func idByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}
