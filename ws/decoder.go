package ws

import (
	"unicode/utf8"

	gobwas "github.com/gobwas/ws"
)

// An Opcode says what a frame is (RFC 6455 section 11.8).
type Opcode uint8

// The opcodes that RFC 6455 defines; all others are reserved.
const (
	OpContinuation Opcode = 0x0
	OpText         Opcode = 0x1
	OpBinary       Opcode = 0x2
	OpClose        Opcode = 0x8
	OpPing         Opcode = 0x9
	OpPong         Opcode = 0xA
)

// IsControl reports whether the opcode is a control frame's.
func (o Opcode) IsControl() bool { return o&0x8 != 0 }

// MaxControlPayload is the most bytes in a control frame (section 5.5).
const MaxControlPayload = 125

// A Kind says what an Event is.
type Kind uint8

// What Next found. None means that the input is used up.
const (
	None Kind = iota
	Text
	Binary
	Ping
	Pong
	Close
)

// An Event is what a Decoder found: a whole message, or a control frame.
type Event struct {
	Kind Kind
	// Payload is the message, a ping's or pong's data, or a close frame's text.
	// It may lie in the input that was passed to Next; it is the caller's until
	// that input is used again.
	Payload []byte
	Code    CloseCode // Close only; CloseNoStatusReceived when the frame had none
}

// Limits are what a Decoder accepts. Sizes are payload bytes.
type Limits struct {
	Frame      int  // a frame that declares more fails with ErrFrameTooBig, unless it is over Message too
	Message    int  // a message that would grow beyond fails with ErrMessageTooBig
	Binary     bool // false: a binary message fails with ErrBinary
	FromServer bool // the peer is a server: its frames must not be masked; a client's must be
	Deflate    bool // permessage-deflate was agreed (NegotiateDeflate); Message bounds both sizes
}

// A Decoder turns the bytes of one direction of a connection into events. Its
// zero value is ready. It holds nothing but what was cut off by the end of the
// input, so it costs an idle connection its struct and no buffer; see
// AppendBinary for how it travels.
type Decoder struct {
	msg    []byte // the message so far: fragments and a frame's part, unmasked
	ctl    []byte // a cut-off control frame's payload so far, unmasked
	remain uint64 // payload bytes of the frame under way still to come
	mask   [4]byte
	pos    uint8 // where in the mask the next payload byte falls
	hdr    [maxHeader]byte
	hdrLen uint8
	op     Opcode // of the frame under way
	fin    bool   // of the frame under way
	frame  bool   // a header was read, its payload is under way
	msgOp  Opcode // of the message under way; OpContinuation: none
	packed bool   // the message under way is compressed
	text   utf8Tail
	ended  bool  // a close frame came: what follows is ignored (section 1.4)
	failed uint8 // index+1 into decodeErrors: the decoder stays failed
}

const maxHeader = 14

// rsv1 in a message's first byte says that it is compressed (RFC 7692 section 6).
const rsv1 = 0x40

// Next decodes from in, unmasking in place, up to the next event. It returns
// the event and how many bytes of in it used; Kind None means all of them, and
// that more input is needed. An error is one of the Err values of this package,
// carries the close code to answer with, and is final. Errors come as soon as
// the offending byte does: a header's before its payload, text's in the middle
// of a frame.
func (d *Decoder) Next(in []byte, l *Limits) (Event, int, error) {
	if d.failed != 0 {
		return Event{}, 0, decodeErrors[d.failed-1]
	}
	if d.ended {
		return Event{}, len(in), nil
	}
	n := 0
	for {
		if !d.frame {
			used, err := d.header(in[n:], l)
			n += used
			if err != nil {
				return Event{}, n, d.fail(err)
			}
			if !d.frame {
				return Event{}, n, nil
			}
		}
		p := in[n:]
		if uint64(len(p)) > d.remain {
			p = p[:d.remain]
		}
		n += len(p)
		d.remain -= uint64(len(p))
		d.unmask(p, l)
		var ev Event
		var err *Error
		if d.op.IsControl() {
			ev, err = d.control(p)
		} else {
			ev, err = d.data(p, l)
		}
		if err != nil {
			return Event{}, n, d.fail(err)
		}
		if ev.Kind != None || n == len(in) && d.frame {
			return ev, n, nil
		}
	}
}

// MidMessage reports whether a frame or a fragmented message is under way.
func (d *Decoder) MidMessage() bool {
	return d.frame || d.hdrLen > 0 || d.msgOp != OpContinuation
}

func (d *Decoder) fail(err *Error) error {
	d.msg, d.ctl = nil, nil
	d.failed = err.index + 1
	return err
}

func (d *Decoder) unmask(p []byte, l *Limits) {
	if l.FromServer || len(p) == 0 {
		return
	}
	gobwas.Cipher(p, d.mask, int(d.pos))
	d.pos = uint8((int(d.pos) + len(p)) & 3)
}

// header takes header bytes until the header is whole, and checks each as it
// comes.
func (d *Decoder) header(in []byte, l *Limits) (used int, err *Error) {
	need := 2
	if d.hdrLen >= 2 {
		need = headerSize(d.hdr[1])
	}
	for int(d.hdrLen) < need {
		if used == len(in) {
			return used, nil
		}
		d.hdr[d.hdrLen] = in[used]
		d.hdrLen++
		used++
		switch d.hdrLen {
		case 1:
			if err := d.checkOpcode(d.hdr[0], l); err != nil {
				return used, err
			}
		case 2:
			if err := checkLengthByte(d.hdr[0], d.hdr[1], l); err != nil {
				return used, err
			}
			need = headerSize(d.hdr[1])
		}
	}
	size, err := payloadLength(&d.hdr)
	if err != nil {
		return used, err
	}
	d.op, d.fin = Opcode(d.hdr[0]&0xF), d.hdr[0]&0x80 != 0
	if !d.op.IsControl() {
		if uint64(len(d.msg))+size > uint64(l.Message) { // first: fragments wouldn't help
			return used, ErrMessageTooBig
		}
		if size > uint64(l.Frame) {
			return used, ErrFrameTooBig
		}
		if d.op != OpContinuation {
			d.msgOp, d.packed = d.op, d.hdr[0]&rsv1 != 0
		}
	}
	if d.hdr[1]&0x80 != 0 {
		copy(d.mask[:], d.hdr[need-4:need])
	}
	d.remain, d.pos, d.hdrLen, d.frame = size, 0, 0, true
	return used, nil
}

// checkOpcode checks a header's first byte: FIN, RSV1-3, opcode.
func (d *Decoder) checkOpcode(b byte, l *Limits) *Error {
	op, fin := Opcode(b&0xF), b&0x80 != 0
	switch {
	case b&0x70 != 0 && !(l.Deflate && b&0x70 == rsv1 && (op == OpText || op == OpBinary)):
		return ErrReservedBits
	case op > OpPong, op > OpBinary && op < OpClose:
		return ErrReservedOpcode
	case op.IsControl():
		if !fin {
			return ErrControlFragmented
		}
	case op == OpContinuation:
		if d.msgOp == OpContinuation {
			return ErrNothingToContinue
		}
	case d.msgOp != OpContinuation:
		return ErrExpectedContinuation
	case op == OpBinary && !l.Binary:
		return ErrBinary
	}
	return nil
}

// checkLengthByte checks a header's second byte: MASK and the short length.
func checkLengthByte(b0, b1 byte, l *Limits) *Error {
	switch masked := b1&0x80 != 0; {
	case !masked && !l.FromServer:
		return ErrUnmasked
	case masked && l.FromServer:
		return ErrMasked
	case Opcode(b0&0xF).IsControl() && b1&0x7F > MaxControlPayload:
		return ErrControlTooLong
	}
	return nil
}

// headerSize returns the size of a header whose second byte is b1.
func headerSize(b1 byte) int {
	n := 2
	switch b1 & 0x7F {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if b1&0x80 != 0 {
		n += 4
	}
	return n
}

// payloadLength reads the length from a whole header. It must be written in as
// few bytes as it can be (section 5.2).
func payloadLength(h *[maxHeader]byte) (uint64, *Error) {
	switch n := uint64(h[1] & 0x7F); n {
	case 126:
		n = uint64(h[2])<<8 | uint64(h[3])
		if n < 126 {
			return 0, ErrLengthEncoding
		}
		return n, nil
	case 127:
		n = 0
		for _, b := range h[2:10] {
			n = n<<8 | uint64(b)
		}
		if n < 1<<16 || n>>63 != 0 {
			return 0, ErrLengthEncoding
		}
		return n, nil
	default:
		return n, nil
	}
}

// control takes the next part of a control frame's payload.
func (d *Decoder) control(p []byte) (Event, *Error) {
	if d.remain > 0 || len(d.ctl) > 0 {
		d.ctl = append(d.ctl, p...)
		p = d.ctl
	}
	if d.remain > 0 {
		return Event{}, nil
	}
	d.frame, d.ctl = false, nil
	switch d.op {
	case OpPing:
		return Event{Kind: Ping, Payload: p}, nil
	case OpPong:
		return Event{Kind: Pong, Payload: p}, nil
	}
	code := CloseNoStatusReceived
	switch {
	case len(p) == 1:
		return Event{}, ErrCloseLength
	case len(p) >= 2:
		code, p = CloseCode(p[0])<<8|CloseCode(p[1]), p[2:]
		if !code.Sendable() {
			return Event{}, ErrCloseCode
		}
		if !utf8.Valid(p) {
			return Event{}, ErrCloseText
		}
	}
	d.msg, d.ended = nil, true
	return Event{Kind: Close, Payload: p, Code: code}, nil
}

// data takes the next part of a data frame's payload.
func (d *Decoder) data(p []byte, l *Limits) (Event, *Error) {
	last := d.remain == 0 && d.fin
	if d.remain == 0 {
		d.frame = false
	}
	if d.packed {
		return d.packedData(p, last, l)
	}
	kind := Binary
	if d.msgOp == OpText {
		kind = Text
		// A message that is whole in the input takes the short way.
		if last && len(d.msg) == 0 && d.text.n == 0 {
			if !utf8.Valid(p) {
				return Event{}, ErrInvalidUTF8
			}
		} else if !d.text.add(p) || last && d.text.n > 0 {
			return Event{}, ErrInvalidUTF8
		}
	}
	if last && len(d.msg) == 0 {
		d.msgOp = OpContinuation
		return Event{Kind: kind, Payload: p}, nil
	}
	d.msg = append(d.msg, p...)
	if !last {
		return Event{}, nil
	}
	p = d.msg
	d.msg, d.msgOp = nil, OpContinuation
	return Event{Kind: kind, Payload: p}, nil
}

// packedData takes the next part of a compressed message's payload.
func (d *Decoder) packedData(p []byte, last bool, l *Limits) (Event, *Error) {
	if len(d.msg) > 0 || !last {
		d.msg = append(d.msg, p...)
		p = d.msg
	}
	if !last {
		return Event{}, nil
	}
	kind := Binary
	if d.msgOp == OpText {
		kind = Text
	}
	d.msg, d.msgOp, d.packed = nil, OpContinuation, false
	p, err := inflate(p, l.Message)
	if err == nil && kind == Text && !utf8.Valid(p) {
		err = ErrInvalidUTF8
	}
	if err != nil {
		return Event{}, err
	}
	return Event{Kind: kind, Payload: p}, nil
}

// utf8TailMax is the most bytes of a rune that can be cut off.
const utf8TailMax = utf8.UTFMax - 1

// A utf8Tail validates text that comes in parts: it keeps the bytes of a rune
// that the end of a part cut off.
type utf8Tail struct {
	b [utf8.UTFMax]byte
	n uint8
}

// add reports whether the text is still valid with p behind it. An incomplete
// rune that can't become valid is found at once.
func (t *utf8Tail) add(p []byte) bool {
	for t.n > 0 && len(p) > 0 {
		t.b[t.n] = p[0]
		t.n++
		p = p[1:]
		// FullRune is true for an invalid prefix too.
		if utf8.FullRune(t.b[:t.n]) {
			if r, size := utf8.DecodeRune(t.b[:t.n]); r == utf8.RuneError && size == 1 {
				return false
			}
			t.n = 0
		}
	}
	cut := len(p)
	for i := len(p) - 1; i >= 0 && i >= len(p)-utf8.UTFMax+1; i-- {
		if utf8.RuneStart(p[i]) {
			if !utf8.FullRune(p[i:]) {
				cut = i
			}
			break
		}
	}
	if !utf8.Valid(p[:cut]) {
		return false
	}
	if cut < len(p) {
		t.n = uint8(copy(t.b[:], p[cut:]))
	}
	return true
}
