package functions

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// conversation is a runtime's connection to a Runtime API.
type conversation struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

// converse returns an environment without a process, and a way to connect to it.
func converse(t *testing.T) (e *environment, dial func() *conversation) {
	e = &environment{
		s: &Service{readyGrace: 10 * time.Second}, fn: &function{arn: "arn:x", record: record{Timeout: 10}}, takers: make(chan *taker, maxTakers), ready: make(chan struct{}),
		failed: make(chan struct{}), ended: make(chan struct{}), state: stateStarted, out: newOutput(&EventListener{}, &function{record: record{Name: "f"}}),
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e.host = l.Addr().String()
	server := newRuntimeServer(e, l)
	go server.serve()
	t.Cleanup(server.close)
	return e, func() *conversation {
		nc, err := net.Dial("tcp", e.host)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		nc.SetDeadline(time.Now().Add(20 * time.Second)) // a missing answer fails the test
		return &conversation{t, nc, bufio.NewReader(nc)}
	}
}

// send writes requests: method, path, body and further fields of each.
func (c *conversation) send(e *environment, requests ...[4]string) {
	c.t.Helper()
	var b strings.Builder
	for _, r := range requests {
		fmt.Fprintf(&b, "%s /2018-06-01/runtime%s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n%s\r\n%s", r[0], r[1], e.host, len(r[2]), r[3], r[2])
	}
	if _, err := io.WriteString(c, b.String()); err != nil {
		c.t.Fatal(err)
	}
}

// want reads an answer and compares its status and body.
func (c *conversation) want(what string, status int, body string) *http.Response {
	c.t.Helper()
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		c.t.Fatalf("%s: %v", what, err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status || !strings.Contains(string(b), body) {
		c.t.Errorf("%s: %d %s %v, want %d %s", what, resp.StatusCode, b, err, status, body)
	}
	return resp
}

func newTestInvocation(id string) *invocation {
	return &invocation{requestID: id, payload: []byte(`"` + id + `"`), deadline: time.Now().Add(time.Minute), answer: make(chan answer, 1)}
}

var nextRequest = [4]string{"GET", "/invocation/next", "", ""}

// Requests that don't wait for the answers before them are answered in order.
func TestRuntimeRequestsInARow(t *testing.T) {
	e, dial := converse(t)
	c := dial()
	c.send(e, [4]string{"GET", "/nothing", "", ""}, [4]string{"POST", "/invocation/x/response", "1", ""}, nextRequest)
	one, two := newTestInvocation("one"), newTestInvocation("two")
	if !e.deliver(one) {
		if err := e.deliverLate(one); err != nil {
			t.Fatal(err)
		}
	}
	c.want("an unknown path", 404, "NotFound")
	c.want("a response too early", 400, "InvalidRequestID")
	c.want("next", 200, `"one"`)
	c.send(e, [4]string{"POST", "/invocation/one/response", `"done"`, ""}, nextRequest)
	if a := <-one.answer; a.failed || string(a.payload) != `"done"` {
		t.Errorf("answer %s", a.payload)
	}
	if err := e.deliverLate(two); err != nil {
		t.Fatal(err)
	}
	c.want("response", 202, `{"status":"OK"}`)
	c.want("the next after it", 200, `"two"`)
}

// An invocation goes to no connection whose runtime has left while it waited.
func TestRuntimeLeavesAndComesBack(t *testing.T) {
	e, dial := converse(t)
	first := dial()
	first.send(e, nextRequest)
	<-e.ready
	gone := <-e.takers
	first.Close()
	eventually(t, "the runtime's leaving", func() bool { return len(gone.claim) == 0 })
	e.takers <- gone
	second := dial()
	second.send(e, nextRequest)
	inv := newTestInvocation("one")
	if err := e.deliverLate(inv); err != nil {
		t.Fatal(err)
	}
	second.want("next", 200, `"one"`)
}

// Clients in other languages ask for the connection's end, wait to be let send a
// body, or send one in chunks.
func TestRuntimeClientsOfOtherMakes(t *testing.T) {
	e, dial := converse(t)
	c := dial()
	c.send(e, [4]string{"GET", "/invocation/next", "", "Connection: close\r\n"})
	inv := newTestInvocation("one")
	if err := e.deliverLate(inv); err != nil {
		t.Fatal(err)
	}
	if resp := c.want("next", 200, `"one"`); !resp.Close {
		t.Error("the answer doesn't say that the connection ends")
	}
	if _, err := c.in.ReadByte(); err != io.EOF {
		t.Errorf("behind the answer: %v, want the end", err)
	}
	c = dial()
	fmt.Fprintf(c, "POST /2018-06-01/runtime/invocation/one/response HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n", e.host)
	c.want("leave to go on", 100, "")
	io.WriteString(c, "3\r\n\"ab\r\n2\r\nc\"\r\n0\r\n\r\n")
	c.want("response", 202, "OK")
	if a := <-inv.answer; string(a.payload) != `"abc"` {
		t.Errorf("answer %s", a.payload)
	}
	c.send(e, [4]string{"GET", "/nothing", "", "X: " + strings.Repeat("x", maxRuntimeHead) + "\r\n"})
	c.want("a head without end", 400, "")
}
