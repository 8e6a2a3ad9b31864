package upstream

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tidegate/internal/event"
)

// A script is a backend that does with each of its connections, the first, the
// second and so on, what a test says.
type script struct {
	origin *Origin
	client *Client
	conns  atomic.Int32
}

// serve answers connection n, from 0, until it returns; then it is closed.
func newScript(t testing.TB, c Config, serve func(n int, nc net.Conn, r *bufio.Reader)) *script {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &script{client: New(c)}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			n := int(s.conns.Add(1)) - 1
			running.Go(func() {
				defer nc.Close()
				serve(n, nc, bufio.NewReader(nc))
			})
		}
	})
	s.origin = s.client.Origin(&url.URL{Scheme: "http", Host: l.Addr().String()})
	t.Cleanup(func() {
		s.client.Close()
		l.Close()
		running.Wait()
	})
	return s
}

// take reads one request; nil: there is none any more.
func take(r *bufio.Reader) []byte {
	req, err := http.ReadRequest(r)
	if err != nil {
		return nil
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil
	}
	return append([]byte(req.Method+" "+req.RequestURI+" "), body...)
}

// echo answers each request with what it is.
func echo(_ int, nc net.Conn, r *bufio.Reader) {
	for text := take(r); text != nil; text = take(r) {
		fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
	}
}

func (s *script) do(ctx context.Context, method, body string) (string, error) {
	resp, err := s.origin.Do(ctx, &Request{Method: method, Target: "/x", Host: "h", Body: []byte(body), MaxBody: 8 << 20, Timeout: time.Minute})
	if err != nil {
		return "", err
	}
	return string(resp.Body), nil
}

// eachLine runs a test with connections that a loop reads, where there are loops,
// and with ones that goroutines read.
func eachLine(t *testing.T, f func(t *testing.T, c Config)) {
	if haveLoops {
		t.Run("loop", func(t *testing.T) { f(t, Config{}) })
	}
	t.Run("goroutine", func(t *testing.T) { f(t, Config{streams: true}) })
}

func TestConnectionIsKept(t *testing.T) {
	eachLine(t, func(t *testing.T, c Config) {
		s := newScript(t, c, echo)
		for i := range 5 {
			body := fmt.Sprint("message ", i)
			if got, err := s.do(t.Context(), "POST", body); err != nil || got != "POST /x "+body {
				t.Fatalf("%q, %v", got, err)
			}
		}
		if n := s.conns.Load(); n != 1 {
			t.Errorf("%d connections, want one", n)
		}
	})
}

// TestBigBodies has both directions meet full socket buffers.
func TestBigBodies(t *testing.T) {
	eachLine(t, func(t *testing.T, c Config) {
		s := newScript(t, c, echo)
		body := strings.Repeat("0123456789abcdef", 4<<20/16)
		for range 2 {
			if got, err := s.do(t.Context(), "PUT", body); err != nil || got != "PUT /x "+body {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
		}
	})
}

func TestManyAtOnce(t *testing.T) {
	eachLine(t, func(t *testing.T, c Config) {
		s := newScript(t, Config{MaxConns: 8, MaxIdle: 4, streams: c.streams}, echo)
		var all sync.WaitGroup
		for i := range 64 {
			all.Go(func() {
				for k := range 20 {
					body := fmt.Sprint(i, " ", k)
					if got, err := s.do(t.Context(), "POST", body); err != nil || got != "POST /x "+body {
						t.Errorf("%q, %v", got, err)
					}
				}
			})
		}
		all.Wait()
		s.origin.mu.Lock()
		defer s.origin.mu.Unlock()
		if o := s.origin; len(o.conns) > 8 || len(o.idle) > 4 || len(o.waiting) > 0 || o.dialing > 0 {
			t.Errorf("%d connections, %d of them idle, %d calls wait, %d connections are dialed", len(o.conns), len(o.idle), len(o.waiting), o.dialing)
		}
	})
}

// TestStale: a backend closes a kept connection while the next request is under
// way. Only what may be sent twice is sent twice.
func TestStale(t *testing.T) {
	eachLine(t, func(t *testing.T, c Config) {
		for _, tt := range []struct {
			method string
			twice  bool
		}{{"GET", true}, {"PUT", true}, {"DELETE", true}, {"POST", false}, {"PATCH", false}} {
			s := newScript(t, c, func(n int, nc net.Conn, r *bufio.Reader) {
				if n > 0 {
					echo(n, nc, r)
					return
				}
				take(r)
				io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				take(r) // and hangs up without an answer
			})
			if _, err := s.do(t.Context(), tt.method, "first"); err != nil {
				t.Fatal(err)
			}
			got, err := s.do(t.Context(), tt.method, "second")
			if tt.twice && (err != nil || got != tt.method+" /x second") || !tt.twice && err == nil {
				t.Errorf("%s: %q, %v", tt.method, got, err)
			}
		}
	})
}

// TestStaleTogether: what is sent a second time isn't sent on another kept connection,
// which a backend that was restarted has forgotten as well.
func TestStaleTogether(t *testing.T) {
	eachLine(t, func(t *testing.T, c Config) {
		const kept = 3
		var together sync.WaitGroup
		together.Add(kept)
		s := newScript(t, c, func(n int, nc net.Conn, r *bufio.Reader) {
			if n >= kept {
				echo(n, nc, r)
				return
			}
			take(r)
			together.Done()
			together.Wait()
			io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			take(r) // and hangs up without an answer
		})
		var first sync.WaitGroup
		for range kept {
			first.Go(func() {
				if _, err := s.do(t.Context(), "GET", "first"); err != nil {
					t.Error(err)
				}
			})
		}
		first.Wait()
		if got, err := s.do(t.Context(), "GET", "second"); err != nil || got != "GET /x second" {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// TestKeepAliveIsHeeded: a kept connection isn't used when the backend is about to
// close it, by what it said itself.
func TestKeepAliveIsHeeded(t *testing.T) {
	eachLine(t, func(t *testing.T, c Config) {
		for _, tt := range []struct {
			name, says string
			idle       time.Duration
			conns      int32
		}{
			{"in time", "Keep-Alive: timeout=5\r\n", 3900 * time.Millisecond, 1},
			{"too late", "Keep-Alive: timeout=5\r\n", 4 * time.Second, 2},
			{"with more", "Connection: keep-alive\r\nKeep-Alive: max=100, Timeout=20\r\n", 19 * time.Second, 2},
			{"said otherwise", "Keep-Alive: timeout=soon, max=0\r\n", 80 * time.Second, 1},
			{"not said", "", 80 * time.Second, 1},
		} {
			s := newScript(t, c, func(_ int, nc net.Conn, r *bufio.Reader) {
				for take(r) != nil {
					io.WriteString(nc, "HTTP/1.1 200 OK\r\n"+tt.says+"Content-Length: 0\r\n\r\n")
				}
			})
			for range 2 {
				if _, err := s.do(t.Context(), "POST", "x"); err != nil {
					t.Fatal(err)
				}
				s.origin.mu.Lock()
				for _, idle := range s.origin.idle {
					idle.mu.Lock()
					idle.idleAt -= int64(tt.idle)
					idle.mu.Unlock()
				}
				s.origin.mu.Unlock()
			}
			if n := s.conns.Load(); n != tt.conns {
				t.Errorf("%s: %d connections, want %d", tt.name, n, tt.conns)
			}
		}
	})
}

// TestFreshIsNotRepeated: a backend that hangs up on a new connection is asked once.
func TestFreshIsNotRepeated(t *testing.T) {
	eachLine(t, func(t *testing.T, c Config) {
		s := newScript(t, c, func(_ int, _ net.Conn, r *bufio.Reader) { take(r) })
		if got, err := s.do(t.Context(), "GET", ""); err == nil {
			t.Errorf("got %q", got)
		}
		if n := s.conns.Load(); n != 1 {
			t.Errorf("%d connections, want one", n)
		}
	})
}

// TestClosedWhileIdle: a connection that the backend closed is not used, even for
// what can't be sent twice.
func TestClosedWhileIdle(t *testing.T) {
	eachLine(t, func(t *testing.T, c Config) {
		closed := make(chan struct{}, 1)
		s := newScript(t, c, func(n int, nc net.Conn, r *bufio.Reader) {
			text := take(r)
			fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
			nc.Close()
			closed <- struct{}{}
		})
		for range 3 {
			if _, err := s.do(t.Context(), "POST", "x"); err != nil {
				t.Fatal(err)
			}
			<-closed
			waitFor(t, func() bool {
				s.origin.mu.Lock()
				defer s.origin.mu.Unlock()
				return len(s.origin.conns) == 0
			})
		}
	})
}

// waitFor waits until something is so, for as long as a test may take.
func waitFor(t *testing.T, so func() bool) {
	t.Helper()
	for range 10_000 {
		if so() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("it never was so")
}

func TestAnswersThatEndTheConnection(t *testing.T) {
	eachLine(t, func(t *testing.T, c Config) {
		for name, tt := range map[string]struct{ text, want, err string }{
			"until the end":     {"HTTP/1.1 200 OK\r\n\r\nhello", "hello", ""},
			"close":             {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", "ok", ""},
			"more than asked":   {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n", "ok", ""},
			"cut off":           {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "", "unexpected EOF"},
			"cut off in a head": {"HTTP/1.1 200", "", "unexpected EOF"},
			"not HTTP":          {"+OK POP3 ready\r\n\r\n", "", "malformed HTTP response"},
			"switched":          {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "", "switched protocols"},
			"too big":           {"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", "", "body too big"},
		} {
			s := newScript(t, c, func(_ int, nc net.Conn, r *bufio.Reader) {
				take(r)
				io.WriteString(nc, tt.text)
			})
			for range 2 {
				got, err := s.do(t.Context(), "POST", "x")
				if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
					t.Errorf("%s: %q, %v; want %q, %q", name, got, err, tt.want, tt.err)
				}
			}
			if n := s.conns.Load(); n != 2 {
				t.Errorf("%s: %d connections, want two", name, n)
			}
		}
	})
}

func TestTimeAndCancellation(t *testing.T) {
	eachLine(t, func(t *testing.T, c Config) {
		giveUp := make(chan func(), 1)
		s := newScript(t, c, func(_ int, _ net.Conn, r *bufio.Reader) {
			for got := take(r); got != nil; got = take(r) {
				if string(got) == "POST /x give up" {
					(<-giveUp)()
				}
			}
		})
		request := &Request{Method: "POST", Target: "/", Host: "h", Timeout: time.Millisecond}
		if _, err := s.origin.Do(t.Context(), request); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("over its time: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := s.do(ctx, "POST", "x"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("over the caller's time: %v", err)
		}
		ctx, cancel = context.WithCancel(t.Context())
		giveUp <- cancel
		if _, err := s.do(ctx, "POST", "give up"); !errors.Is(err, context.Canceled) {
			t.Errorf("given up: %v", err)
		}
		waitFor(t, func() bool { // what nobody waits for ends; one that was opened too late is idle
			s.origin.mu.Lock()
			defer s.origin.mu.Unlock()
			return len(s.origin.conns) == len(s.origin.idle)
		})
	})
}

// TestCutShortInTheQueue: a call that is given up while it waits for a connection
// takes nothing from those behind it.
func TestCutShortInTheQueue(t *testing.T) {
	eachLine(t, func(t *testing.T, c Config) {
		release := make(chan struct{})
		s := newScript(t, Config{MaxConns: 1, streams: c.streams}, func(n int, nc net.Conn, r *bufio.Reader) {
			<-release
			echo(n, nc, r)
		})
		first := make(chan error, 1)
		go func() {
			_, err := s.do(t.Context(), "POST", "first")
			first <- err
		}()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := s.do(ctx, "POST", "second"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		close(release)
		if got, err := s.do(t.Context(), "POST", "third"); err != nil || got != "POST /x third" {
			t.Errorf("%q, %v", got, err)
		}
		if err := <-first; err != nil {
			t.Error(err)
		}
	})
}

// A bomb is a Receiver with a fault.
type bomb struct{ done chan struct{} }

func (b bomb) Receive(*Response, error) {
	defer close(b.done)
	panic("a fault")
}

// TestPanicCostsOneConnection: others' calls go on.
func TestPanicCostsOneConnection(t *testing.T) {
	eachLine(t, func(t *testing.T, c Config) {
		s := newScript(t, c, echo)
		for range 3 {
			b := bomb{make(chan struct{})}
			s.origin.Start(t.Context(), &Request{Method: "POST", Target: "/", Host: "h", MaxBody: 100, Timeout: time.Minute}, b)
			<-b.done
			waitFor(t, func() bool {
				s.origin.mu.Lock()
				defer s.origin.mu.Unlock()
				return len(s.origin.conns) == 0
			})
		}
		if got, err := s.do(t.Context(), "POST", "x"); err != nil || got != "POST /x x" {
			t.Errorf("%q, %v", got, err)
		}
	})
}

func TestUnreachable(t *testing.T) {
	s := newScript(t, Config{}, echo)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	o := s.client.Origin(&url.URL{Scheme: "http", Host: l.Addr().String()})
	if _, err := o.Do(t.Context(), &Request{Method: "POST", Target: "/", Host: "h", Timeout: time.Minute}); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Error(err)
	}
}

func TestClose(t *testing.T) {
	eachLine(t, func(t *testing.T, c Config) {
		asked := make(chan struct{})
		s := newScript(t, c, func(_ int, _ net.Conn, r *bufio.Reader) {
			take(r)
			close(asked)
			take(r)
		})
		failed := make(chan error)
		go func() {
			_, err := s.do(t.Context(), "POST", "x")
			failed <- err
		}()
		<-asked
		s.client.Close()
		if err := <-failed; !errors.Is(err, ErrClosed) {
			t.Errorf("under way: %v", err)
		}
		if _, err := s.do(t.Context(), "POST", "x"); !errors.Is(err, ErrClosed) {
			t.Errorf("afterwards: %v", err)
		}
	})
}

func TestAgeEndsConnections(t *testing.T) {
	eachLine(t, func(t *testing.T, c Config) {
		for name, c := range map[string]Config{"idle": {IdleTimeout: time.Nanosecond, streams: c.streams}, "old": {Lifetime: time.Nanosecond, streams: c.streams}} {
			s := newScript(t, c, echo)
			for range 2 {
				if _, err := s.do(t.Context(), "POST", "x"); err != nil {
					t.Fatal(err)
				}
				s.client.sweep.look()
			}
			if n := s.conns.Load(); n != 2 {
				t.Errorf("%s: %d connections, want two", name, n)
			}
		}
	})
}

// TestWhoIsCalledHow pins which origins go by net/http.
func TestWhoIsCalledHow(t *testing.T) {
	proxied := NewTransport(Config{})
	proxied.Proxy = func(r *http.Request) (*url.URL, error) {
		if r.URL.Hostname() == "far.example" {
			return url.Parse("http://proxy.example:3128")
		}
		return nil, nil
	}
	c := New(Config{Other: proxied})
	defer c.Close()
	for text, own := range map[string]bool{
		"http://h.example": true, "http://h.example:8080/x": true, "http://[::1]:80": true, "http://127.0.0.1": true,
		"https://h.example": false, "http://far.example": false, "http://münchen.example": false, "http://[fe80::1%25eth0]": false,
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if o := c.Origin(u); o.own.Load() != own || c.Origin(u) != o {
			t.Errorf("%s: own is %v", text, o.own.Load())
		}
	}
}

// newSecure returns an origin with TLS that tells who called it how.
func newSecure(t *testing.T, http2 bool, trusted bool) (*Origin, func() (proto string, conns int)) {
	t.Helper()
	var mu sync.Mutex
	var proto string
	conns := map[string]bool{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		proto, conns[r.RemoteAddr] = r.Proto, true
		mu.Unlock()
		w.Header().Set("X-B", "1")
		w.Header().Set("X-A", r.Host)
		w.Header()["Date"] = nil
		w.Write(body)
	}))
	server.EnableHTTP2 = http2
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	other := NewTransport(Config{})
	if trusted {
		other.TLSClientConfig = &tls.Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	}
	c := New(Config{Other: other})
	t.Cleanup(c.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return c.Origin(u), func() (string, int) {
		mu.Lock()
		defer mu.Unlock()
		return proto, len(conns)
	}
}

// TestTLS: net/http makes the first call, and finds out what is spoken; the client
// does what it can.
func TestTLS(t *testing.T) {
	for _, tt := range []struct {
		http2 bool
		proto string
		conns int
	}{{false, "HTTP/1.1", 2}, {true, "HTTP/2.0", 1}} {
		o, seen := newSecure(t, tt.http2, true)
		for i := range 4 {
			for _, body := range []string{"abc", strings.Repeat("0123456789abcdef", 1<<16)} {
				resp, err := o.Do(t.Context(), &Request{Method: "POST", Target: "/x", Host: "virtual.example", Body: []byte(body), MaxBody: 1 << 20, Timeout: time.Minute})
				if err != nil || string(resp.Body) != body || resp.Status != 200 || !slices.Contains(resp.Header, event.Field{Name: "X-A", Value: "virtual.example"}) || !slices.IsSortedFunc(resp.Header, func(a, b event.Field) int { return strings.Compare(a.Name, b.Name) }) {
					t.Fatalf("%s, call %d: %+v, %v", tt.proto, i, resp, err)
				}
			}
		}
		// One that says something between calls, a session ticket that comes late, isn't used again.
		if proto, conns := seen(); proto != tt.proto || conns < tt.conns || conns > tt.conns+1 || o.own.Load() == tt.http2 {
			t.Errorf("%s over %d connections, own is %v; want %s over %d or one more", proto, conns, o.own.Load(), tt.proto, tt.conns)
		}
		if _, err := o.Do(t.Context(), &Request{Method: "POST", Target: "/x", Host: "h", Body: []byte("abcd"), MaxBody: 3, Timeout: time.Minute}); !errors.Is(err, ErrTooBig) {
			t.Errorf("too big: %v", err)
		}
		to := count{make(chan error, 1)}
		o.Start(t.Context(), &Request{Method: "POST", Target: "/x", Host: "h", Body: []byte("abc"), MaxBody: 3, Timeout: time.Minute}, to)
		if err := <-to.done; err != nil {
			t.Errorf("started: %v", err)
		}
	}
}

// TestUntrusted: a certificate that the machine doesn't trust is refused, by either.
func TestUntrusted(t *testing.T) {
	for _, own := range []bool{false, true} {
		o, seen := newSecure(t, false, false)
		o.own.Store(own)
		for range 2 {
			if _, err := o.Do(t.Context(), &Request{Method: "POST", Target: "/", Host: "h", Timeout: time.Minute}); err == nil || !strings.Contains(err.Error(), "certificate") {
				t.Error(err)
			}
		}
		if _, conns := seen(); conns > 0 || o.own.Load() {
			t.Error("it was called")
		}
	}
}

func TestRequestsThatCannotBeSent(t *testing.T) {
	good := Request{Method: "POST", Target: "/", Host: "h"}
	for name, change := range map[string]func(*Request){
		"method":       func(r *Request) { r.Method = "PO ST" },
		"no method":    func(r *Request) { r.Method = "" },
		"target":       func(r *Request) { r.Target = "/a b" },
		"relative":     func(r *Request) { r.Target = "a" },
		"line in it":   func(r *Request) { r.Target = "/\r\nX: 1" },
		"host":         func(r *Request) { r.Host = "h\r\nX: 1" },
		"no host":      func(r *Request) { r.Host = "" },
		"header":       func(r *Request) { r.Header = fields("X", "secret\r\nY: 1") },
		"header name":  func(r *Request) { r.Header = fields("X:", "secret") },
		"empty header": func(r *Request) { r.Header = fields("", "secret") },
	} {
		r := good
		change(&r)
		if b, err := AppendRequest(nil, &r); !errors.Is(err, ErrRequest) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	r := good
	r.Header, r.Body = fields("A", "b\tc", "D", ""), []byte("xyz")
	if b, err := AppendRequest(nil, &r); err != nil || string(b) != "POST / HTTP/1.1\r\nHost: h\r\nA: b\tc\r\nD: \r\nContent-Length: 3\r\n\r\nxyz" {
		t.Errorf("%q, %v", b, err)
	}
}

// count is a Receiver that lets a benchmark go on.
type count struct{ done chan error }

func (c count) Receive(_ *Response, err error) { c.done <- err }

func BenchmarkCall(b *testing.B) {
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
	s := newScript(b, Config{}, func(_ int, nc net.Conn, r *bufio.Reader) {
		buf := make([]byte, 4<<10)
		for {
			if n, err := r.Read(buf); err != nil || !bytes.HasSuffix(buf[:n], []byte("{}")) {
				return
			}
			nc.Write(answer)
		}
	})
	request := &Request{Method: "POST", Target: "/", Host: "h", Body: []byte("{}"), MaxBody: 1 << 10, Timeout: time.Minute}
	b.Run("Do", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.origin.Do(b.Context(), request); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Start", func(b *testing.B) {
		to := count{make(chan error, 1)}
		b.ReportAllocs()
		for b.Loop() {
			s.origin.Start(b.Context(), request, to)
			if err := <-to.done; err != nil {
				b.Fatal(err)
			}
		}
	})
}
