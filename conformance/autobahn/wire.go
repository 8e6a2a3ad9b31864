package autobahn

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"tidegate/ws"
)

// maxReceived bounds what a server may send as one message.
const maxReceived = 64 << 20

// window is how much of what went before a compressed message may refer to.
const window = 32 << 10

// appendTo appends the frame as the client sends it: a Fragment as several.
func (f *Frame) appendTo(dst []byte) []byte {
	payload, op := sized(f.Payload, f.Size), f.Op
	first := len(dst)
	for f.Fragment > 0 && len(payload) > f.Fragment {
		dst = ws.AppendMaskedFrame(dst, op, false, newMask(), payload[:f.Fragment])
		payload, op = payload[f.Fragment:], ws.OpContinuation
	}
	dst = ws.AppendMaskedFrame(dst, op, !f.More, newMask(), payload)
	dst[first] |= f.RSV << 4
	return dst
}

func newMask() (mask [4]byte) {
	binary.BigEndian.PutUint32(mask[:], rand.Uint32())
	return mask
}

// A deflation is what was agreed of permessage-deflate.
type deflation struct {
	agreed   bool
	takeover bool   // the server refers to earlier messages
	before   []byte // what those ended with
	w        *flate.Writer
	out      bytes.Buffer
	r        io.ReadCloser
}

// agree reads the server's answer to the offers. An answer that fits none of them
// is an error (RFC 7692 section 7.1).
func (d *deflation) agree(offers, answers []string) error {
	if len(answers) == 0 {
		return nil
	}
	answer := parameters(strings.Join(answers, ", "))
	if len(offers) == 0 || answer[""] != "permessage-deflate" {
		return fmt.Errorf("the server chose %q, which was not offered", answers)
	}
	var unfit error
	for _, o := range offers {
		if unfit = fits(parameters(o), answer); unfit == nil {
			break
		}
	}
	if unfit != nil {
		return fmt.Errorf("the server's %q: %w", answers, unfit)
	}
	d.agreed = true
	_, without := answer["server_no_context_takeover"]
	d.takeover = !without
	return nil
}

// parameters returns an extension's parameters by name; "" is the extension.
func parameters(text string) map[string]string {
	parts := strings.Split(text, ";")
	all := map[string]string{"": textproto.TrimString(parts[0])}
	for _, p := range parts[1:] {
		name, value, _ := strings.Cut(p, "=")
		all[textproto.TrimString(name)] = strings.Trim(textproto.TrimString(value), `"`)
	}
	return all
}

func fits(offer, answer map[string]string) error {
	if _, wanted := offer["server_no_context_takeover"]; wanted {
		if _, ok := answer["server_no_context_takeover"]; !ok {
			return errors.New("server_no_context_takeover was asked for and is not confirmed")
		}
	}
	if most, wanted := offer["server_max_window_bits"]; wanted {
		bits, err := strconv.Atoi(answer["server_max_window_bits"])
		if limit, _ := strconv.Atoi(most); err != nil || bits < 8 || bits > limit {
			return fmt.Errorf("server_max_window_bits=%s was asked for and is not confirmed", most)
		}
	}
	if bits, ok := answer["client_max_window_bits"]; ok && bits != "15" {
		return fmt.Errorf("this client compresses with windows of 15 bits, not %s", bits)
	}
	for name := range answer {
		known := []string{"", "server_no_context_takeover", "client_no_context_takeover", "server_max_window_bits", "client_max_window_bits"}
		if !slices.Contains(known, name) {
			return fmt.Errorf("the parameter %q is none of the extension's", name)
		}
	}
	return nil
}

// pack compresses a message, without reference to earlier ones.
func (d *deflation) pack(payload []byte) []byte {
	d.out.Reset()
	if d.w == nil {
		d.w, _ = flate.NewWriter(&d.out, flate.BestSpeed) // the level is one
	} else {
		d.w.Reset(&d.out)
	}
	d.w.Write(payload) // to memory: nothing to fail
	d.w.Flush()
	return bytes.TrimSuffix(d.out.Bytes(), []byte("\x00\x00\xff\xff"))
}

// unpack returns what a compressed message says.
func (d *deflation) unpack(packed []byte) ([]byte, error) {
	in := io.MultiReader(bytes.NewReader(packed), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff"))
	if d.r == nil {
		d.r = flate.NewReader(in)
	} else if err := d.r.(flate.Resetter).Reset(in, d.before); err != nil {
		return nil, err
	}
	payload, err := io.ReadAll(io.LimitReader(d.r, maxReceived))
	if err == nil && d.takeover {
		d.before = append(d.before, payload...)
		d.before = d.before[max(0, len(d.before)-window):]
	}
	return payload, err
}

// An arrival is what the server sent: an event, a close frame, or the end.
type arrival struct {
	event  Event
	closed bool
	code   ws.CloseCode // of the close frame; CloseNoStatusReceived: it had none
	err    error        // the end of the connection, or frames that break the protocol
}

// errBreach is what the server did against the protocol.
var errBreach = errors.New("the server broke the protocol")

func breach(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errBreach, fmt.Sprintf(format, args...))
}

// receive reads frames until the connection ends, and hands on what they say.
func receive(r *bufio.Reader, d *deflation, hand func(arrival) bool) {
	var message []byte
	var kind Kind
	packed := false
	for {
		op, fin, rsv, payload, err := readFrame(r)
		var a arrival
		switch {
		case err != nil:
			a.err = err
		case rsv != 0 && !(rsv == 4 && d.agreed && (op == ws.OpText || op == ws.OpBinary)):
			a.err = breach("reserved bits %03b with opcode %d", rsv, op)
		case op.IsControl() && (!fin || len(payload) > ws.MaxControlPayload):
			a.err = breach("a control frame in fragments, or of %d bytes", len(payload))
		case op == ws.OpClose:
			a = readClose(payload)
		case op == ws.OpPing:
			a.event = Event{Kind: Ping, Payload: string(payload)}
		case op == ws.OpPong:
			a.event = Event{Kind: Pong, Payload: string(payload)}
		case op == ws.OpContinuation && kind == "":
			a.err = breach("a continuation of nothing")
		case op != ws.OpContinuation && kind != "":
			a.err = breach("a message inside another")
		case op > ws.OpBinary:
			a.err = breach("opcode %d", op)
		default:
			if op != ws.OpContinuation {
				kind, packed, message = Text, rsv == 4, nil
				if op == ws.OpBinary {
					kind = Binary
				}
			}
			if message = append(message, payload...); len(message) > maxReceived {
				a.err = breach("a message over %d bytes", maxReceived)
			} else if !fin {
				continue
			} else {
				a = whole(kind, message, packed, d)
				kind = ""
			}
		}
		if !hand(a) || a.err != nil {
			return
		}
	}
}

// whole is a message that has come to its end.
func whole(kind Kind, message []byte, packed bool, d *deflation) arrival {
	if packed {
		var err error
		if message, err = d.unpack(message); err != nil {
			return arrival{err: breach("a message can't be decompressed: %v", err)}
		}
	}
	if kind == Text && !utf8.Valid(message) {
		return arrival{err: breach("text that is not UTF-8")}
	}
	return arrival{event: Event{Kind: kind, Payload: string(message)}}
}

// readClose reads a close frame's payload.
func readClose(payload []byte) arrival {
	switch {
	case len(payload) == 0:
		return arrival{closed: true, code: ws.CloseNoStatusReceived}
	case len(payload) == 1 || !utf8.Valid(payload[2:]):
		return arrival{err: breach("a close frame with % x", payload)}
	}
	return arrival{closed: true, code: ws.CloseCode(binary.BigEndian.Uint16(payload))}
}

// readFrame reads one frame of a server.
func readFrame(r *bufio.Reader) (op ws.Opcode, fin bool, rsv byte, payload []byte, err error) {
	var head [8]byte
	if _, err = io.ReadFull(r, head[:2]); err != nil {
		return
	}
	op, fin, rsv = ws.Opcode(head[0]&0xf), head[0]&0x80 != 0, head[0]>>4&7
	size := uint64(head[1] & 0x7f)
	switch {
	case head[1]&0x80 != 0:
		err = breach("a masked frame")
	case size == 126:
		if _, err = io.ReadFull(r, head[:2]); err == nil {
			if size = uint64(binary.BigEndian.Uint16(head[:])); size < 126 {
				err = breach("a length of %d in two bytes", size)
			}
		}
	case size == 127:
		if _, err = io.ReadFull(r, head[:8]); err == nil {
			if size = binary.BigEndian.Uint64(head[:]); size < 64*kib {
				err = breach("a length of %d in eight bytes", size)
			}
		}
	}
	if err == nil && size > maxReceived {
		err = breach("a frame of %d bytes", size)
	}
	if err != nil {
		return
	}
	payload = make([]byte, size)
	_, err = io.ReadFull(r, payload)
	return
}
