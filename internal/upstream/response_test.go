package upstream

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tidegate/internal/event"
)

// read reads an answer from pieces of the given size, and says how much of the
// text was its own and whether the connection may be used again.
func read(text, method string, piece int) (r *Response, used int, keep bool, err error) {
	a := answer{head: method == http.MethodHead, maxHead: 1 << 10, maxBody: 64}
	for used < len(text) {
		// A buffer of its own each time: what is kept of a piece must be a copy.
		p := []byte(text[used:min(used+piece, len(text))])
		n, done, err := a.feed(p)
		if used += n; err != nil {
			return nil, used, false, err
		}
		if done {
			return &a.response, used, a.keep, nil
		}
		if n != len(p) {
			return nil, used, false, errors.New("it left bytes and is not done")
		}
		copy(p, bytes.Repeat([]byte{'#'}, len(p)))
	}
	if !a.end() {
		return nil, used, false, io.ErrUnexpectedEOF
	}
	return &a.response, used, a.keep, nil
}

// fields are pairs of names and values.
func fields(pairs ...string) []event.Field {
	out := []event.Field{}
	for pair := range slices.Chunk(pairs, 2) {
		out = append(out, event.Field{Name: pair[0], Value: pair[1]})
	}
	return out
}

func TestAnswer(t *testing.T) {
	for _, tt := range []struct {
		name, method, text string
		want               Response
		rest               int // bytes behind the answer
		gone               bool
		err                string
	}{
		{name: "a length", text: "HTTP/1.1 200 OK\r\nb: 2\r\nA:\t 1 \r\nContent-Length: 5\r\n\r\nhello",
			want: Response{Status: 200, Header: fields("A", "1", "B", "2", "Content-Length", "5"), Body: []byte("hello")}},
		{name: "what comes behind", text: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhello",
			want: Response{Status: 200, Header: fields("Content-Length", "2"), Body: []byte("he")}, rest: 3},
		{name: "no reason, bare line ends", text: "HTTP/1.1 404\nContent-Length: 0\n\n", want: Response{Status: 404, Header: fields("Content-Length", "0"), Body: []byte{}}},
		{name: "equal names stay in order", text: "HTTP/1.1 200 \r\nx: 2\r\nX: 1\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
			want: Response{Status: 200, Header: fields("Content-Length", "0", "X", "2", "X", "1"), Body: []byte{}}},
		{name: "chunks", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n3;x=\"y\"\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: 1\r\n\r\nmore",
			want: Response{Status: 200, Header: fields("Trailer", "T"), Body: []byte("abc0123456789")}, rest: 4},
		{name: "chunks and a length", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nContent-Length: 9\r\n\r\n0\r\n\r\n", want: Response{Status: 200, Header: fields()}, gone: true},
		{name: "until the end", text: "HTTP/1.1 200 OK\r\n\r\nhello", want: Response{Status: 200, Header: fields(), Body: []byte("hello")}, gone: true},
		{name: "close", text: "HTTP/1.1 200 OK\r\nConnection: x, CLOSE\r\nContent-Length: 0\r\n\r\n",
			want: Response{Status: 200, Header: fields("Connection", "x, CLOSE", "Content-Length", "0"), Body: []byte{}}, gone: true},
		{name: "HTTP/1.0", text: "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", want: Response{Status: 200, Header: fields("Content-Length", "1"), Body: []byte("x")}, gone: true},
		{name: "HTTP/1.0 that stays", text: "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nx",
			want: Response{Status: 200, Header: fields("Connection", "Keep-Alive", "Content-Length", "1"), Body: []byte("x")}},
		{name: "HEAD", method: "HEAD", text: "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", want: Response{Status: 200, Header: fields("Content-Length", "1000")}},
		{name: "204", text: "HTTP/1.1 204 No Content\r\n\r\n", want: Response{Status: 204, Header: fields()}},
		{name: "304", text: "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", want: Response{Status: 304, Header: fields("Content-Length", "7")}},
		{name: "informal ones before", text: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
			want: Response{Status: 201, Header: fields("Content-Length", "0"), Body: []byte{}}},

		{name: "nothing but informal ones", text: strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", maxInformal+1), err: "answers came before it"},
		{name: "101", text: "HTTP/1.1 101 Switching Protocols\r\n\r\n", err: "switched protocols"},
		{name: "another protocol", text: "SSH-2.0-OpenSSH_9.2\r\n\r\n", err: "begins with"},
		{name: "HTTP/2", text: "HTTP/2.0 200 OK\r\n\r\n", err: "begins with"},
		{name: "no status", text: "HTTP/1.1 2x0 OK\r\n\r\n", err: "begins with"},
		{name: "a status of four digits", text: "HTTP/1.1 2000 OK\r\n\r\n", err: "begins with"},
		{name: "a small status", text: "HTTP/1.1 099 OK\r\n\r\n", err: "status is 099"},
		{name: "a line without a colon", text: "HTTP/1.1 200 OK\r\nabc\r\n\r\n", err: "has the line"},
		{name: "a space before the colon", text: "HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\nx", err: "has the line"},
		{name: "a folded line", text: "HTTP/1.1 200 OK\r\nA: 1\r\n 2\r\n\r\n", err: "has the line"},
		{name: "a control character", text: "HTTP/1.1 200 OK\r\nA: 1\x002\r\n\r\n", err: "control characters"},
		{name: "two lengths", text: "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", err: "two lengths"},
		{name: "a signed length", text: "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx", err: "Content-Length"},
		{name: "a list of lengths", text: "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\nx", err: "Content-Length"},
		{name: "another coding", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", err: "Transfer-Encoding"},
		{name: "chunked twice", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", err: "Transfer-Encoding"},
		{name: "chunks in HTTP/1.0", text: "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", err: "HTTP/1.0"},
		{name: "no size", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n;x\r\n", err: "has the size"},
		{name: "a size with a sign", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", err: "has the size"},
		{name: "a chunk longer than it says", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n", err: "longer than it says"},
		{name: "a bad trailer", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx y: 1\r\n\r\n", err: "has the line"},
		{name: "a long size line", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + strings.Repeat("x", maxChunkLine), err: "a line of its chunked body"},
		{name: "a long trailer", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + strings.Repeat("a: "+strings.Repeat("x", 4000)+"\r\n", 20), err: "its trailer has more"},
		{name: "a long header", text: "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 1<<10) + "\r\n\r\n", err: "more than 1024 bytes"},
		{name: "a body too long", text: "HTTP/1.1 200 OK\r\nContent-Length: 65\r\n\r\n", err: "body too big"},
		{name: "chunks too long", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n" + strings.Repeat("x", 32) + "\r\n21\r\n", err: "body too big"},
		{name: "no end", text: "HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("x", 65), err: "body too big"},
		{name: "cut off in the head", text: "HTTP/1.1 200 OK\r\n", err: "unexpected EOF"},
		{name: "cut off in the body", text: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx", err: "unexpected EOF"},
		{name: "cut off between chunks", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", err: "unexpected EOF"},
	} {
		for _, piece := range []int{1 << 20, 1, 2, 3, 7, 20} {
			got, used, keep, err := read(tt.text, tt.method, piece)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("%s, in pieces of %d: %+v, %v; want an error with %q", tt.name, piece, got, err, tt.err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s, in pieces of %d: %v", tt.name, piece, err)
				continue
			}
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Errorf("%s, in pieces of %d (-want +got):\n%s", tt.name, piece, diff)
			}
			if len(tt.text)-used != tt.rest || keep == tt.gone {
				t.Errorf("%s, in pieces of %d: %d bytes are left and keep is %v, want %d and %v", tt.name, piece, len(tt.text)-used, keep, tt.rest, !tt.gone)
			}
		}
	}
}

// FuzzAnswer holds the parser against that of net/http: what ours takes, it takes
// too and finds the same in it. Ours is the stricter one.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: 1\r\n\r\n",
		"HTTP/1.0 404 Not Found\nconnection: keep-alive\n\nx",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 x\r\n\r\n",
	} {
		f.Add(s, 3, false)
		f.Add(s, 1000, true)
	}
	f.Fuzz(func(t *testing.T, text string, piece int, head bool) {
		method := http.MethodPost
		if head {
			method = http.MethodHead
		}
		got, used, keep, err := read(text, method, max(piece, 1))
		whole, usedWhole, keepWhole, errWhole := read(text, method, len(text)+1)
		if (err == nil) != (errWhole == nil) || err == nil && (used != usedWhole || keep != keepWhole || !cmp.Equal(got, whole)) {
			t.Fatalf("in pieces of %d: %+v, %d, %v, %v; whole: %+v, %d, %v, %v", piece, got, used, keep, err, whole, usedWhole, keepWhole, errWhole)
		}
		if err != nil {
			return
		}
		b := bufio.NewReader(strings.NewReader(text))
		var want *http.Response
		for {
			if want, err = http.ReadResponse(b, &http.Request{Method: method}); err != nil {
				t.Fatalf("net/http refuses %q: %v", text, err)
			}
			if want.StatusCode >= 200 {
				break
			}
		}
		body, err := io.ReadAll(want.Body)
		if err != nil {
			t.Fatalf("net/http refuses the body of %q: %v", text, err)
		}
		if got.Status != want.StatusCode || !bytes.Equal(got.Body, body) {
			t.Fatalf("%q: %d %q, net/http has %d %q", text, got.Status, got.Body, want.StatusCode, body)
		}
		if keep && want.Close {
			t.Fatalf("%q: the connection is kept, net/http closes it", text)
		}
		// Framing has other traces in net/http's header.
		framing := func(f event.Field) bool { return f.Name == "Content-Length" || f.Name == "Trailer" }
		if diff := cmp.Diff(slices.DeleteFunc(FieldsOf(want.Header), framing), slices.DeleteFunc(slices.Clone(got.Header), framing)); diff != "" {
			t.Fatalf("%q (-net/http +ours):\n%s", text, diff)
		}
	})
}

func BenchmarkAnswer(b *testing.B) {
	text := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 128\r\n\r\n" + strings.Repeat("x", 128))
	b.ReportAllocs()
	for b.Loop() {
		a := answer{maxHead: DefaultMaxHead, maxBody: 1 << 20}
		if _, done, err := a.feed(text); !done || err != nil {
			b.Fatal(done, err)
		}
	}
}
