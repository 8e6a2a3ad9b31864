package ws

import (
	"encoding/binary"

	gobwas "github.com/gobwas/ws"
)

// AppendFrame appends one frame as a server sends it (unmasked).
func AppendFrame(dst []byte, op Opcode, fin bool, payload []byte) []byte {
	return append(appendHeader(dst, op, fin, 0, len(payload)), payload...)
}

// AppendMaskedFrame appends one frame as a client sends it. The mask should be
// unpredictable (RFC 6455 section 5.3).
func AppendMaskedFrame(dst []byte, op Opcode, fin bool, mask [4]byte, payload []byte) []byte {
	dst = appendHeader(dst, op, fin, 0x80, len(payload))
	dst = append(dst, mask[:]...)
	start := len(dst)
	dst = append(dst, payload...)
	gobwas.Cipher(dst[start:], mask, 0)
	return dst
}

func appendHeader(dst []byte, op Opcode, fin bool, maskBit byte, n int) []byte {
	b0 := byte(op)
	if fin {
		b0 |= 0x80
	}
	switch {
	case n < 126:
		return append(dst, b0, maskBit|byte(n))
	case n < 1<<16:
		return append(dst, b0, maskBit|126, byte(n>>8), byte(n))
	default:
		return binary.BigEndian.AppendUint64(append(dst, b0, maskBit|127), uint64(n))
	}
}

// AppendMessage appends one message as a server sends it, in frames of at most
// maxFrame payload bytes (0: one frame).
func AppendMessage(dst, payload []byte, isBinary bool, maxFrame int) []byte {
	op := OpText
	if isBinary {
		op = OpBinary
	}
	for maxFrame > 0 && len(payload) > maxFrame {
		dst = AppendFrame(dst, op, false, payload[:maxFrame])
		payload, op = payload[maxFrame:], OpContinuation
	}
	return AppendFrame(dst, op, true, payload)
}

// MessageSize returns how many bytes AppendMessage appends for a payload of n.
func MessageSize(n, maxFrame int) int {
	if maxFrame <= 0 || n <= maxFrame {
		return headerBytes(n) + n
	}
	whole := (n - 1) / maxFrame // frames before the last
	last := n - whole*maxFrame
	return whole*(headerBytes(maxFrame)+maxFrame) + headerBytes(last) + last
}

func headerBytes(n int) int {
	switch {
	case n < 126:
		return 2
	case n < 1<<16:
		return 4
	}
	return 10
}

// AppendClose appends a close frame. A code that may not be sent makes one
// without status or text; text is cut to MaxCloseText at a rune's border, and
// left out if it is not UTF-8.
func AppendClose(dst []byte, code CloseCode, text string) []byte {
	if !code.Sendable() {
		return appendHeader(dst, OpClose, true, 0, 0)
	}
	text = trimCloseText(text)
	dst = appendHeader(dst, OpClose, true, 0, 2+len(text))
	dst = binary.BigEndian.AppendUint16(dst, uint16(code))
	return append(dst, text...)
}
