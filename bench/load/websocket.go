package load

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
)

// Opcodes of RFC 6455 section 5.2.
const (
	opContinuation = 0
	OpText         = 1
	OpClose        = 8
	opPing         = 9
	opPong         = 10
)

// parseFrames takes what is complete off b and returns how much that was. It
// answers pings; a close frame ends the connection.
func (l *Loop) parseFrames(c *Conn, b []byte) (used int) {
	if c.state == handshaking {
		end := bytes.Index(b, []byte("\r\n\r\n"))
		if end < 0 {
			return 0
		}
		if !bytes.HasPrefix(b, []byte("HTTP/1.1 101")) {
			line, _, _ := bytes.Cut(b, []byte("\r\n"))
			l.fail(c, fmt.Errorf("the handshake was answered with %s", line))
			return 0
		}
		used = end + 4
		c.state = open
		if l.OnOpen != nil {
			l.OnOpen(c)
		}
	}
	for c.state == open {
		final, opcode, payload, size := cutFrame(b[used:])
		if size == 0 {
			return used
		}
		used += size
		switch {
		case opcode == OpClose:
			code := 0
			if len(payload) >= 2 {
				code, payload = int(binary.BigEndian.Uint16(payload)), payload[2:]
			}
			l.fail(c, fmt.Errorf("the server closed with %d %s", code, payload))
		case opcode == opPing:
			c.Write(AppendFrame(nil, opPong, payload))
		case opcode == opPong:
		case opcode == opContinuation:
			c.fragments = append(c.fragments, payload...)
			if final {
				whole := c.fragments
				c.fragments = nil
				l.OnMessage(c, c.opcode, whole)
			}
		case final:
			l.OnMessage(c, opcode, payload)
		default:
			c.opcode, c.fragments = opcode, bytes.Clone(payload)
		}
	}
	return used
}

// cutFrame takes a server's frame off b; size is 0 while it isn't complete.
func cutFrame(b []byte) (final bool, opcode byte, payload []byte, size int) {
	if len(b) < 2 {
		return
	}
	n, head := int(b[1]&0x7f), 2
	switch n {
	case 126:
		if len(b) < 4 {
			return
		}
		n, head = int(binary.BigEndian.Uint16(b[2:])), 4
	case 127:
		if len(b) < 10 {
			return
		}
		n, head = int(binary.BigEndian.Uint64(b[2:])), 10
	}
	if n < 0 || len(b)-head < n { // what is too large fills the buffer, and fails then
		return
	}
	return b[0]&0x80 != 0, b[0] & 0x0f, b[head : head+n], head + n
}

// AppendFrame appends one masked frame, whole.
func AppendFrame(b []byte, opcode byte, payload []byte) []byte {
	b = append(b, 0x80|opcode)
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = append(b, 0x80|126, byte(n>>8), byte(n))
	default:
		b = append(b, 0x80|127)
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	mask := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	b = append(b, mask[:]...)
	for i, x := range payload {
		b = append(b, x^mask[i&3])
	}
	return b
}

var keys uint64

// Handshake is a WebSocket client's request, each with a key of its own.
func Handshake(address, path string) []byte {
	var key [16]byte
	keys++
	binary.BigEndian.PutUint64(key[:], uint64(epoch.UnixNano()))
	binary.BigEndian.PutUint64(key[8:], keys)
	return []byte("GET " + path + " HTTP/1.1\r\nHost: " + address + "\r\nUser-Agent: tidegate-bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: " + base64.StdEncoding.EncodeToString(key[:]) + "\r\nSec-WebSocket-Version: 13\r\n\r\n")
}
