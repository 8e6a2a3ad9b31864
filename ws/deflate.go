package ws

import (
	"bytes"
	"compress/flate"
	"io"
	"strings"
	"sync"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws/wsflate"
)

// maxOffers bounds how many offers of extensions are looked at.
const maxOffers = 16

// NegotiateDeflate returns the Sec-WebSocket-Extensions that accepts the first
// offer of permessage-deflate (RFC 7692) among the values of a client's header
// of that name, or "" when there is none that can be accepted. Neither side
// carries its window from one message to the next; an offer that wants a server
// window below 15 bits is declined, since nobody here compresses with less. A
// malformed header, or a parameter that the RFC does not know, declines.
func NegotiateDeflate(values []string) string {
	var offers []httphead.Option
	for _, v := range values {
		var ok bool
		if offers, ok = httphead.ParseOptions([]byte(v), offers); !ok {
			return ""
		}
	}
	for i, offer := range offers {
		if i == maxOffers {
			break
		}
		if !strings.EqualFold(string(offer.Name), wsflate.ExtensionName) {
			continue
		}
		var p wsflate.Parameters
		if p.Parse(offer) != nil || p.ServerMaxWindowBits.Defined() && p.ServerMaxWindowBits < 15 {
			continue
		}
		// A client that can't do without its own window has to say so by not
		// offering: section 7.1.1.2 lets the server ask it not to keep one.
		answer := "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
		if p.ServerMaxWindowBits.Defined() {
			answer += "; server_max_window_bits=15" // who asks for it wants it said (section 7.1.2.1)
		}
		return answer
	}
	return ""
}

// An inflater is what reads a compressed message.
type inflater struct {
	in bytes.Reader
	r  *wsflate.Reader
}

var inflaters = sync.Pool{New: func() any {
	f := new(inflater)
	f.r = wsflate.NewReader(&f.in, func(r io.Reader) wsflate.Decompressor { return flate.NewReader(r) })
	return f
}}

// inflate returns what a compressed message says, at most max bytes of it.
func inflate(p []byte, max int) ([]byte, *Error) {
	f := inflaters.Get().(*inflater)
	defer inflaters.Put(f)
	f.in.Reset(p)
	f.r.Reset(&f.in)
	// A message mostly grows to a few times its size; a bomb grows step by step.
	out := make([]byte, 0, min(4*len(p)+64, max+1))
	for {
		if len(out) == cap(out) {
			if len(out) > max {
				return nil, ErrMessageTooBig
			}
			grown := make([]byte, len(out), min(2*cap(out), max+1))
			copy(grown, out)
			out = grown
		}
		n, err := f.r.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		if len(out) > max {
			return nil, ErrMessageTooBig
		}
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, ErrDeflate
		}
	}
}

// A deflater is what writes a compressed message.
type deflater struct {
	out bytes.Buffer
	w   *wsflate.Writer
}

var deflaters = sync.Pool{New: func() any {
	f := new(deflater)
	f.w = wsflate.NewWriter(&f.out, func(w io.Writer) wsflate.Compressor {
		c, err := flate.NewWriter(w, flate.BestSpeed)
		if err != nil {
			panic(err) // BestSpeed is a level
		}
		return c
	})
	return f
}}

// deflateFrom is the size from which a message is compressed: a smaller one
// hardly gets smaller.
const deflateFrom = 128

// AppendDeflated is AppendMessage for a connection on which NegotiateDeflate was
// agreed: the message is compressed, if that makes it smaller. It is never more
// than MessageSize says.
func AppendDeflated(dst, payload []byte, isBinary bool, maxFrame int) []byte {
	if len(payload) < deflateFrom {
		return AppendMessage(dst, payload, isBinary, maxFrame)
	}
	f := deflaters.Get().(*deflater)
	defer deflaters.Put(f)
	f.out.Reset()
	f.w.Reset(&f.out)
	f.w.Write(payload) // to memory: nothing to fail
	f.w.Flush()
	packed := f.out.Bytes()
	if len(packed) >= len(payload) {
		return AppendMessage(dst, payload, isBinary, maxFrame)
	}
	first := len(dst)
	dst = AppendMessage(dst, packed, isBinary, maxFrame)
	dst[first] |= rsv1
	return dst
}
