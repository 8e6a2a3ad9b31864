package ws

import (
	"encoding/binary"
	"errors"
)

// frozenVersion is the first byte of what AppendBinary writes.
const frozenVersion = 1

var errFrozen = errors.New("ws: frozen decoder is cut off or of another version")

// AppendBinary appends the decoder's state, so that another process can go on
// in mid-frame. It implements encoding.BinaryAppender; the error is always nil.
//
//	1 version · 1 failed · 1 flags (1 fin, 2 frame, 4 ended, 8 packed) · 1 op · 1 msgOp · 1 pos
//	4 mask · 8 remain · 1+n header · 1+n rune tail · 4+n control payload · 4+n message
func (d *Decoder) AppendBinary(b []byte) ([]byte, error) {
	var flags byte
	for i, f := range []bool{d.fin, d.frame, d.ended, d.packed} {
		if f {
			flags |= 1 << i
		}
	}
	b = append(b, frozenVersion, d.failed, flags, byte(d.op), byte(d.msgOp), d.pos)
	b = append(b, d.mask[:]...)
	b = binary.BigEndian.AppendUint64(b, d.remain)
	b = append(append(b, d.hdrLen), d.hdr[:d.hdrLen]...)
	b = append(append(b, d.text.n), d.text.b[:d.text.n]...)
	b = append(binary.BigEndian.AppendUint32(b, uint32(len(d.ctl))), d.ctl...)
	return append(binary.BigEndian.AppendUint32(b, uint32(len(d.msg))), d.msg...), nil
}

// UnmarshalBinary sets the decoder to what AppendBinary wrote.
func (d *Decoder) UnmarshalBinary(b []byte) error {
	if len(b) < 18 || b[0] != frozenVersion || int(b[1]) > len(decodeErrors) {
		return errFrozen
	}
	n := Decoder{
		failed: b[1],
		fin:    b[2]&1 != 0, frame: b[2]&2 != 0, ended: b[2]&4 != 0, packed: b[2]&8 != 0,
		op: Opcode(b[3]), msgOp: Opcode(b[4]), pos: b[5] & 3,
		mask:   [4]byte(b[6:10]),
		remain: binary.BigEndian.Uint64(b[10:18]),
	}
	b = b[18:]
	short := func(dst []byte) (uint8, bool) {
		if len(b) == 0 || int(b[0]) > len(dst) || len(b) < 1+int(b[0]) {
			return 0, false
		}
		k := copy(dst, b[1:1+int(b[0])])
		b = b[1+k:]
		return uint8(k), true
	}
	long := func() ([]byte, bool) {
		if len(b) < 4 || uint64(len(b)-4) < uint64(binary.BigEndian.Uint32(b)) {
			return nil, false
		}
		k := 4 + int(binary.BigEndian.Uint32(b))
		p := append([]byte(nil), b[4:k]...)
		b = b[k:]
		return p, true
	}
	var ok [4]bool
	n.hdrLen, ok[0] = short(n.hdr[:])
	if ok[0] {
		n.text.n, ok[1] = short(n.text.b[:utf8TailMax])
	}
	if ok[1] {
		n.ctl, ok[2] = long()
	}
	if ok[2] {
		n.msg, ok[3] = long()
	}
	if !ok[3] || len(b) != 0 {
		return errFrozen
	}
	if n.frame && n.hdrLen > 0 || n.hdrLen >= 2 && int(n.hdrLen) >= headerSize(n.hdr[1]) {
		return errFrozen // a header is either under way or done
	}
	*d = n
	return nil
}
