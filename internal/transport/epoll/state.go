//go:build linux

package epoll

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"tidegate/internal/transport"
	"tidegate/ws"
)

// stateVersion is the first byte of a connection's state. What is written there or
// by ws.Decoder does not change without it.
const stateVersion = transport.FrozenVersion

// What a state's strings may have at most, in bytes.
const (
	maxStateText  = 123 // a close frame's
	maxStateDrop  = 64
	maxStateError = 1 << 10
)

// Flags of a state.
const (
	stateWebSocket = 1 << iota // else an HTTP request is awaited
	statePaused
	stateDeflate
	stateShutting
	stateCloseSent
	stateCloseReceived
	stateMid
	stateEnded
	stateByClient
	stateKeptAlive
	stateDeadline
	stateProgress
	stateFlags = iota // how many there are
)

// stateHead is the size of what every state begins with.
const stateHead = 1 + 2 + 1 + 16 + 2 + 1 + 5*8 + 2

// A state is what the engine knows about a connection at rest, beside the local
// address, which its socket knows.
type state struct {
	flags    uint16
	addr     address
	end      ending
	opened   int64 // nanoseconds on the engine's clock, as conn's fields of these names
	active   int64
	quiet    int64
	deadline int64 // with stateDeadline: nanoseconds left
	progress int64 // with stateProgress: nanoseconds since the socket last took a byte
	reason   transport.CloseReason

	in      []byte // read and not used
	decoder []byte // of ws.Decoder; with stateMid
	out     []byte // what waits to be written, perhaps from the middle of a frame
}

// size is how many bytes append appends, or a few more.
func (s *state) size() int {
	n := stateHead + 6*4 + len(s.reason.Text) + len(s.reason.Drop) + len(s.in) + len(s.decoder) + len(s.out)
	if s.reason.Err != nil {
		n += maxStateError
	}
	return n
}

// setPaused changes the state's bytes.
func setPaused(b []byte, paused bool) {
	flags := binary.BigEndian.Uint16(b[1:]) &^ statePaused
	if paused {
		flags |= statePaused
	}
	binary.BigEndian.PutUint16(b[1:], flags)
}

func (s *state) has(flag uint16) bool { return s.flags&flag != 0 }

// stateLocked describes the connection, which stands in phase p. It runs on the
// connection's loop. The slices are the connection's own.
func (c *conn) stateLocked(p phase) state {
	s := state{
		addr: c.addr, end: c.end,
		opened: c.opened.Load(), active: c.active.Load(), quiet: c.quiet,
	}
	for _, f := range []struct {
		set  bool
		flag uint16
	}{
		{p != phaseHead, stateWebSocket}, {c.paused, statePaused}, {c.deflate, stateDeflate}, {c.shutting, stateShutting},
		{c.closeSent, stateCloseSent}, {c.closeRecv, stateCloseReceived},
	} {
		if f.set {
			s.flags |= f.flag
		}
	}
	m := c.more
	if m == nil {
		return s
	}
	now := c.l.e.machine()
	s.in = m.in
	if m.mid {
		s.flags |= stateMid
		s.decoder, _ = m.decoder.AppendBinary(nil) // never fails
	}
	if b := m.out.buf; b != nil {
		s.out = (*b)[m.out.off:]
	}
	if m.request.keptAlive {
		s.flags |= stateKeptAlive
	}
	if m.deadline != 0 {
		s.flags |= stateDeadline
		s.deadline = max(0, m.deadline-now)
	}
	if m.out.progress != 0 {
		s.flags |= stateProgress
		s.progress = max(0, now-m.out.progress)
	}
	if m.ended {
		s.flags |= stateEnded
		s.reason = m.reason
		if m.reason.ByClient {
			s.flags |= stateByClient
		}
	}
	return s
}

// answering is as of conn.answeringLocked.
func (s *state) answering() bool {
	return s.end == endLinger && s.has(stateEnded) && s.has(stateDeadline) && !s.has(stateCloseSent)
}

// append appends the state's bytes.
//
//	1 version · 2 flags · 1 address kind · 16 IP · 2 port · 1 end
//	8 opened · 8 active · 8 quiet · 8 deadline · 8 progress · 2 close code
//	4+n each: close text, drop, error, in, decoder, out
func (s *state) append(b []byte) []byte {
	b = append(b, stateVersion)
	b = binary.BigEndian.AppendUint16(b, s.flags)
	b = append(append(b, byte(s.addr.kind)), s.addr.ip[:]...)
	b = binary.BigEndian.AppendUint16(b, s.addr.port)
	b = append(b, byte(s.end))
	for _, v := range []int64{s.opened, s.active, s.quiet, s.deadline, s.progress} {
		b = binary.BigEndian.AppendUint64(b, uint64(v))
	}
	b = binary.BigEndian.AppendUint16(b, uint16(s.reason.Code))
	text := ""
	if s.reason.Err != nil {
		text = s.reason.Err.Error()
	}
	b = appendBytes(b, cut(s.reason.Text, maxStateText))
	b = appendBytes(b, cut(s.reason.Drop, maxStateDrop))
	b = appendBytes(b, cut(text, maxStateError))
	b = appendBytes(b, s.in)
	b = appendBytes(b, s.decoder)
	return appendBytes(b, s.out)
}

// cut returns the first n bytes of s, less a rune that is cut in two.
func cut(s string, n int) string { return strings.ToValidUTF8(s[:min(len(s), n)], "") }

func appendBytes[T string | []byte](b []byte, v T) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(v))), v...)
}

var errState = errors.New("epoll: state of a frozen connection is cut off, damaged or of another version")

// parseState reads what append wrote. The slices share b.
func parseState(b []byte) (*state, error) {
	if len(b) < stateHead {
		return nil, errState
	}
	if b[0] != stateVersion {
		return nil, fmt.Errorf("%w: version %d, want %d", errState, b[0], stateVersion)
	}
	s := &state{flags: binary.BigEndian.Uint16(b[1:]), end: ending(b[22])}
	s.addr.kind, s.addr.ip, s.addr.port = addressKind(b[3]), [16]byte(b[4:20]), binary.BigEndian.Uint16(b[20:])
	if s.flags >= 1<<stateFlags || s.addr.kind > address6 || s.end > endFlush {
		return nil, errState
	}
	for i, v := range []*int64{&s.opened, &s.active, &s.quiet, &s.deadline, &s.progress} {
		*v = int64(binary.BigEndian.Uint64(b[23+8*i:]))
	}
	if s.deadline < 0 || s.progress < 0 {
		return nil, errState
	}
	s.reason.Code = ws.CloseCode(binary.BigEndian.Uint16(b[stateHead-2:]))
	b = b[stateHead:]
	var fields [6][]byte
	for i, most := range []int{maxStateText, maxStateDrop, maxStateError, len(b), len(b), len(b)} {
		if len(b) < 4 || uint64(binary.BigEndian.Uint32(b)) > uint64(min(most, len(b)-4)) {
			return nil, errState
		}
		n := 4 + int(binary.BigEndian.Uint32(b))
		fields[i], b = b[4:n:n], b[n:]
	}
	if len(b) > 0 {
		return nil, errState
	}
	s.reason.Text, s.reason.Drop, s.reason.ByClient = string(fields[0]), string(fields[1]), s.has(stateByClient)
	if len(fields[2]) > 0 {
		s.reason.Err = errors.New(string(fields[2]))
	}
	s.in, s.decoder, s.out = fields[3], fields[4], fields[5]
	return s, s.check()
}

// check refuses what no connection at rest can be.
func (s *state) check() error {
	websocket := s.has(stateWebSocket)
	switch {
	case !websocket && s.flags&^(stateKeptAlive|stateDeadline|stateProgress) != 0,
		websocket && s.has(stateKeptAlive),
		s.has(stateMid) != (len(s.decoder) > 0),
		s.end != endNone && !s.has(stateCloseSent) && !s.answering(),
		s.has(stateCloseSent) && !s.has(stateEnded),
		s.has(stateEnded) && !s.has(stateCloseSent) && !s.answering():
		return errState
	}
	if s.has(stateMid) {
		return new(ws.Decoder).UnmarshalBinary(s.decoder)
	}
	return nil
}
