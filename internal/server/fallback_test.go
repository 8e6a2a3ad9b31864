package server

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// serveFallback serves fn as the engine's leftovers are served.
func serveFallback(t *testing.T, fn http.HandlerFunc) (address string, back *memoryListener, told chan string) {
	t.Helper()
	back, told = newMemoryListener(), make(chan string, 1)
	s := httptest.NewUnstartedServer(&fallbackHandler{
		Handler: fn, back: back, panicked: func(text string) { told <- text }, bodyTime: 50 * time.Millisecond, takeTime: 50 * time.Millisecond,
	})
	s.Config.ConnContext = connContext
	s.Config.ErrorLog = nil
	s.Start()
	t.Cleanup(s.Close)
	t.Cleanup(func() { back.Close() })
	return s.Listener.Addr().String(), back, told
}

// say opens a connection that sends text. It ends with the test, and a read
// fails after a minute.
func say(t *testing.T, address, text string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return c
}

const handshake = "GET /dev?x=1 HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"

// TestHandshakeOnAUsedConnection goes back to the engine, with what came behind it.
func TestHandshakeOnAUsedConnection(t *testing.T) {
	address, back, _ := serveFallback(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "plain") })
	c := say(t, address, "GET /one HTTP/1.1\r\nHost: localhost\r\n\r\n")
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "plain" {
		t.Fatalf("%q, %v", b, err)
	}
	if _, err := io.WriteString(c, handshake+"early"); err != nil {
		t.Fatal(err)
	}
	got, err := back.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	br := bufio.NewReader(got)
	req, err := http.ReadRequest(br)
	if err != nil || req.RequestURI != "/dev?x=1" || req.Host != "localhost" || req.Header.Get("Upgrade") != "websocket" {
		t.Fatalf("%+v, %v", req, err)
	}
	c.(*net.TCPConn).CloseWrite()
	if rest, err := io.ReadAll(br); err != nil || string(rest) != "early" {
		t.Errorf("behind the handshake came %q, %v", rest, err)
	}
	if got.RemoteAddr().String() != c.LocalAddr().String() {
		t.Errorf("from %v, want %v", got.RemoteAddr(), c.LocalAddr())
	}
}

// TestFirstHandshakeStays: the engine has seen it and took it for none. To give
// it back would go round in circles.
func TestFirstHandshakeStays(t *testing.T) {
	address, _, _ := serveFallback(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusUpgradeRequired) })
	resp, err := http.ReadResponse(bufio.NewReader(say(t, address, handshake)), nil)
	if err != nil || resp.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("%+v, %v", resp, err)
	}
}

// TestSlowBody ends with the deadline, and a body that came whole lets the
// handler take its time.
func TestSlowBody(t *testing.T) {
	failed := make(chan error, 1)
	address, _, _ := serveFallback(t, func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		failed <- err
		if err == nil {
			time.Sleep(100 * time.Millisecond) // longer than bodyTime
			failed <- r.Context().Err()
		}
	})
	say(t, address, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf")
	if err := <-failed; err == nil || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("half a body: %v", err)
	}
	c := say(t, address, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nfull")
	if err := <-failed; err != nil {
		t.Errorf("a whole body: %v", err)
	}
	if err := <-failed; err != nil {
		t.Errorf("after a whole body: %v", err)
	}
	if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != 200 {
		t.Errorf("%+v, %v", resp, err)
	}
}

// TestSlowReader doesn't hold the handler for ever.
func TestSlowReader(t *testing.T) {
	failed := make(chan error, 1)
	address, _, _ := serveFallback(t, func(w http.ResponseWriter, r *http.Request) {
		part := make([]byte, 1<<20)
		for {
			if _, err := w.Write(part); err != nil {
				failed <- err
				return
			}
		}
	})
	say(t, address, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") // reads nothing
	if err := <-failed; !strings.Contains(err.Error(), "timeout") {
		t.Errorf("writing ended with %v", err)
	}
}

func TestPanicIsTold(t *testing.T) {
	address, _, told := serveFallback(t, func(http.ResponseWriter, *http.Request) { panic("oops") })
	c := say(t, address, "GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if text := <-told; !strings.Contains(text, "oops") || !strings.Contains(text, "/x") {
		t.Error(text)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection goes on")
	}
}
