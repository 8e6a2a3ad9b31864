package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tidegate/internal/handoff"
	"tidegate/internal/transport"
	"tidegate/ws"
)

// A handed is a `tidegate serve` that hands off: which process it is changes. It
// writes to a file, which each process inherits.
type handed struct {
	t                         *testing.T
	dir                       string
	Public, Management, Admin string // HOST:PORT each
}

// handOffHead is a configuration's beginning.
const handOffHead = `
listeners: {public: "127.0.0.1:0", management: "127.0.0.1:0", admin: "127.0.0.1:0"}
data_dir: data
identities:
  - {name: script, bearer_token: "` + serveToken + `"}
`

// startHanded runs `tidegate serve` in a clean directory. It ends with the test.
func startHanded(t *testing.T, configuration string, env ...string) *handed {
	t.Helper()
	h := &handed{t: t, dir: folder(t, map[string]string{"tidegate.yaml": configuration})}
	log, err := os.Create(filepath.Join(h.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := tidegate(context.Background(), h.dir, "serve")
	cmd.Env = append(cmd.Env, env...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go cmd.Wait()
	t.Cleanup(func() {
		h.end()
		if t.Failed() {
			t.Logf("tidegate serve said:\n%s", h.said())
		}
	})
	h.await("the server to be ready", func() bool {
		for line := range strings.Lines(h.said()) {
			if strings.Contains(line, `"msg":"ready"`) {
				return json.Unmarshal([]byte(line), h) == nil
			}
		}
		return false
	})
	return h
}

// said is what all processes wrote so far.
func (h *handed) said() string {
	b, _ := os.ReadFile(filepath.Join(h.dir, "log"))
	return string(b)
}

// pid is the process that has the data dir.
func (h *handed) pid() int {
	b, _ := os.ReadFile(filepath.Join(h.dir, "data", "pid"))
	pid, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return pid
}

func (h *handed) await(what string, cond func() bool) {
	h.t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			h.t.Fatalf("waited in vain for %s; tidegate serve said:\n%s", what, h.said())
		}
	}
}

// gone waits for a process's end.
func (h *handed) gone(pid int) {
	h.t.Helper()
	h.await(fmt.Sprintf("process %d to end", pid), func() bool {
		_, _, zombie, ok := stat(pid)
		return !ok || zombie
	})
}

// end ends the process that serves, in good order.
func (h *handed) end() {
	if pid := h.pid(); pid != 0 {
		syscall.Kill(pid, syscall.SIGTERM)
		h.gone(pid)
	}
}

// handOff runs `tidegate handoff` and returns its result.
func (h *handed) handOff(args ...string) (handoff.Result, string, int) {
	h.t.Helper()
	stdout, stderr, code := output(h.t, h.dir, "", append([]string{"handoff", "--data-dir", "data", "--json"}, args...)...)
	var r handoff.Result
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &r); err != nil {
		h.t.Fatalf("tidegate handoff: %q, %q: %v", stdout, stderr, err)
	}
	return r, stderr, code
}

// A crowdBackend answers messages late and at random, and notes who came and went.
type crowdBackend struct {
	*httptest.Server
	mu           sync.Mutex
	connects     map[string]int // by connection id
	disconnects  map[string]int
	longestDelay time.Duration
	release      chan struct{} // closed when messages "hold" may be answered
}

func newCrowdBackend(t *testing.T) *crowdBackend {
	b := &crowdBackend{connects: map[string]int{}, disconnects: map[string]int{}, longestDelay: 40 * time.Millisecond, release: make(chan struct{})}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		id := r.Header.Get("Tidegate-Connection-Id")
		switch {
		case r.URL.Path == "/hook":
			b.mu.Lock()
			defer b.mu.Unlock()
			if r.Header.Get("Tidegate-Event") == "CONNECT" {
				b.connects[id]++
			} else {
				b.disconnects[id]++
			}
		case string(body) == "who":
			io.WriteString(w, id)
		case string(body) == "hold":
			select {
			case <-b.release:
			case <-r.Context().Done(): // who asked is no more
			}
			w.Write(body)
		default:
			wait := rand.N(b.longestDelay)
			if text, ok := strings.CutPrefix(string(body), "wait "); ok {
				wait, _ = time.ParseDuration(text)
			}
			select {
			case <-time.After(wait):
			case <-r.Context().Done(): // who asked is no more
			}
			w.Write(body)
		}
	}))
	t.Cleanup(b.Close)
	return b
}

// api is the configuration of an API with that backend.
func (b *crowdBackend) api() string {
	return strings.ReplaceAll(`
apis:
  - name: crowd
    stages: [{name: prod}]
    route_selection_expression: $request.body.action
    integrations:
      hook: {integration_type: HTTP_PROXY, integration_method: POST, integration_uri: "BACKEND/hook"}
      say: {integration_type: HTTP_PROXY, integration_method: POST, integration_uri: "BACKEND/say"}
    routes:
      - {route_key: $connect, target: hook}
      - {route_key: $disconnect, target: hook}
      - {route_key: $default, target: say, route_response_key: $default}
`, "BACKEND", b.URL)
}

// A byteClient is a WebSocket client whose every byte the test decides on.
type byteClient struct {
	c  net.Conn
	in *bufio.Reader
	id string
}

// dialBytes connects over a connection and, unless it is to stay silent, learns its id.
func dialBytes(t *testing.T, c net.Conn, host string) *byteClient {
	t.Helper()
	return dialStage(t, c, host, "prod")
}

// dialStage is dialBytes to a stage.
func dialStage(t *testing.T, c net.Conn, host, stage string) *byteClient {
	t.Helper()
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(c, "GET /%s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", stage, host)
	r := &byteClient{c: c, in: bufio.NewReaderSize(c, 4096)}
	resp, err := http.ReadResponse(r.in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the handshake: %v, %+v", err, resp)
	}
	if err := r.say("who"); err != nil {
		t.Fatal(err)
	}
	if r.id, err = r.hear(); err != nil {
		t.Fatal(err)
	}
	return r
}

func (h *handed) dial() *byteClient {
	h.t.Helper()
	// A small receive buffer: what a client doesn't read soon waits in the server.
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 16<<10) })
	}}
	c, err := d.Dial("tcp", h.Public)
	if err != nil {
		h.t.Fatal(err)
	}
	return dialBytes(h.t, c, h.Public)
}

func masked(text string) []byte {
	return ws.AppendMaskedFrame(nil, ws.OpText, true, [4]byte{1, 2, 3, 4}, []byte(text))
}

func (r *byteClient) say(text string) error {
	_, err := r.c.Write(masked(text))
	return err
}

// closed is the error of a client that got a close frame.
type closed int

func (c closed) Error() string { return fmt.Sprintf("closed with %d", int(c)) }

// hear returns the next message, its fragments joined.
func (r *byteClient) hear() (string, error) {
	var message []byte
	for {
		var head [10]byte
		if _, err := io.ReadFull(r.in, head[:2]); err != nil {
			return "", err
		}
		size, op := uint64(head[1]), head[0]&0xf
		switch size {
		case 126:
			if _, err := io.ReadFull(r.in, head[2:4]); err != nil {
				return "", err
			}
			size = uint64(head[2])<<8 | uint64(head[3])
		case 127:
			return "", errors.New("a frame of more than 64 KiB")
		}
		payload := make([]byte, size)
		if _, err := io.ReadFull(r.in, payload); err != nil {
			return "", err
		}
		switch op {
		case 8:
			code := 0
			if len(payload) > 1 {
				code = int(payload[0])<<8 | int(payload[1])
			}
			return "", closed(code)
		case 0, 1, 2:
			message = append(message, payload...)
			if head[0]&0x80 != 0 {
				return string(message), nil
			}
		}
	}
}

// push posts a message to a connection, which must be taken.
func (h *handed) push(id, body string) error {
	r, err := http.NewRequest(http.MethodPost, "http://"+h.Management+"/prod/@connections/"+id, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+serveToken)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if answer, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		return fmt.Errorf("push to %s: %d %s", id, resp.StatusCode, answer)
	}
	return nil
}

// A handOffCrowd is clients of every kind that a hand-off must not disturb.
type handOffCrowd struct {
	*handed
	busy    []*byteClient // one message in flight, always
	halved  []*byteClient // have sent half a frame
	deaf    []*byteClient // read nothing; the server has output for them
	pushed  []*byteClient // get pushes, one after the other
	idle    []*byteClient
	said    atomic.Int64 // messages answered
	posted  []int        // to each of pushed
	stop    chan struct{}
	working sync.WaitGroup
}

// all are all clients.
func (c *handOffCrowd) all() []*byteClient {
	return slices.Concat(c.busy, c.halved, c.deaf, c.pushed, c.idle)
}

func newHandOffCrowd(h *handed) *handOffCrowd {
	c := &handOffCrowd{handed: h, stop: make(chan struct{})}
	for _, kind := range []struct {
		n    int
		into *[]*byteClient
	}{{250, &c.busy}, {60, &c.halved}, {5, &c.deaf}, {60, &c.pushed}, {120, &c.idle}} {
		for range kind.n {
			*kind.into = append(*kind.into, h.dial())
		}
	}
	c.posted = make([]int, len(c.pushed))
	return c
}

// begin has everybody do what it does.
func (c *handOffCrowd) begin() {
	for i, client := range c.busy {
		c.working.Go(func() { c.talk(i, client) })
	}
	for i, client := range c.pushed {
		c.working.Go(func() { c.pushTo(i, client) })
		c.working.Go(func() { c.listen(i, client) })
	}
}

func (c *handOffCrowd) stopped() bool {
	select {
	case <-c.stop:
		return true
	default:
		return false
	}
}

// talk sends numbered messages, each when the one before was answered.
func (c *handOffCrowd) talk(i int, client *byteClient) {
	for n := 0; !c.stopped(); n++ {
		text := fmt.Sprintf("message %d of client %d", n, i)
		if err := client.say(text); err != nil {
			c.t.Errorf("client %d: %v", i, err)
			return
		}
		if got, err := client.hear(); err != nil || got != text {
			c.t.Errorf("client %d got %q, %v for %q", i, got, err, text)
			return
		}
		c.said.Add(1)
	}
}

// pushTo posts numbered messages, over connections that callers keep.
func (c *handOffCrowd) pushTo(i int, client *byteClient) {
	for n := 0; !c.stopped(); n++ {
		if err := c.push(client.id, fmt.Sprint("push ", n)); err != nil {
			c.t.Error(err)
			return
		}
		c.posted[i]++
		time.Sleep(5 * time.Millisecond)
	}
	if err := c.push(client.id, "last"); err != nil {
		c.t.Error(err)
	}
}

// listen wants what was posted, once and in order.
func (c *handOffCrowd) listen(i int, client *byteClient) {
	for n := 0; ; n++ {
		got, err := client.hear()
		if err != nil {
			c.t.Errorf("pushed client %d, after %d: %v", i, n, err)
			return
		}
		if got == "last" {
			return
		}
		if got != fmt.Sprint("push ", n) {
			c.t.Errorf("pushed client %d got %q for push %d", i, got, n)
			return
		}
	}
}

// deafen queues messages for clients that don't read, until the socket takes no
// more and some wait in the server. It returns how many each got.
func (c *handOffCrowd) deafen() []int {
	counts := make([]int, len(c.deaf))
	filler := strings.Repeat("x", 100<<10)
	for i, client := range c.deaf {
		for n := 0; ; n++ {
			err := c.push(client.id, fmt.Sprintf("%d %s", n, filler))
			if err != nil {
				if !strings.Contains(err.Error(), ": 429 ") {
					c.t.Fatal(err)
				}
				break // the queue is full: as much waits as can
			}
			counts[i]++
		}
	}
	return counts
}

// undeafen has them read all of it.
func (c *handOffCrowd) undeafen(counts []int) {
	for i, client := range c.deaf {
		for n := range counts[i] {
			got, err := client.hear()
			number, _, _ := strings.Cut(got, " ")
			if err != nil || number != strconv.Itoa(n) || len(got) < 100<<10 {
				c.t.Errorf("deaf client %d got %.20q…, %d bytes, %v for message %d of %d", i, got, len(got), err, n, counts[i])
				break
			}
		}
	}
}

// TestHandOff replaces a busy server three times, by command and by signal. Nobody
// is disconnected, nothing is lost, doubled or out of order, ids stay valid, and
// each $disconnect is told once.
func TestHandOff(t *testing.T) {
	b := newCrowdBackend(t)
	h := startHanded(t, handOffHead+b.api())
	c := newHandOffCrowd(h)
	long := h.dial()
	waiting := c.deafen() // not for long: after 30 s they are cut off
	c.begin()
	for round := range 3 {
		rest := make([][]byte, len(c.halved))
		for i, client := range c.halved {
			frame := masked(fmt.Sprintf("half %d of client %d", round, i))
			cut := 1 + rand.IntN(len(frame)-1)
			client.c.Write(frame[:cut])
			rest[i] = frame[cut:]
		}
		long.say("wait 1s") // is answered by the old process
		before, said := h.pid(), c.said.Load()
		h.await("some messages", func() bool { return c.said.Load() > said+500 })
		if round == 2 {
			syscall.Kill(before, syscall.SIGUSR2)
			h.await("another process", func() bool { return h.pid() != before })
		} else {
			r, stderr, code := h.handOff()
			if code != exitDone || r.Error != "" || r.PID != h.pid() || r.PID == before || r.Connections+r.Left != len(c.all())+1 {
				t.Fatalf("the hand-off: %+v, %s, exit code %d; %d clients", r, stderr, code, len(c.all()))
			}
		}
		for i, client := range c.halved {
			client.c.Write(rest[i])
		}
		for i, client := range c.halved {
			if got, err := client.hear(); err != nil || got != fmt.Sprintf("half %d of client %d", round, i) {
				t.Errorf("a client in mid-frame got %q, %v", got, err)
			}
		}
		if got, err := long.hear(); err != nil || got != "wait 1s" {
			t.Errorf("the late reply: %q, %v", got, err)
		}
		if round == 0 {
			c.undeafen(waiting)
		}
		h.gone(before)
	}
	said := c.said.Load()
	h.await("some messages", func() bool { return c.said.Load() > said+500 })
	close(c.stop)
	c.working.Wait()
	fresh := h.dial()
	for i, client := range append(c.all(), fresh, long) {
		text := fmt.Sprint("id ", i)
		if err := h.push(client.id, text); err != nil {
			t.Error(err)
		}
		if got, err := client.hear(); err != nil || got != text {
			t.Errorf("client %d got %q, %v", i, got, err)
		}
	}
	for _, client := range append(c.all(), fresh, long) {
		client.c.Close()
	}
	h.end()
	b.mu.Lock()
	defer b.mu.Unlock()
	if want := len(c.all()) + 2; len(b.connects) != want || len(b.disconnects) != want {
		t.Errorf("%d clients connected, %d disconnected, want %d", len(b.connects), len(b.disconnects), want)
	}
	for id, n := range b.disconnects {
		if n != 1 {
			t.Errorf("the $disconnect of %s was told %d times", id, n)
		}
	}
	t.Logf("%d messages", c.said.Load())
}

// TestHandOffUnderFanOuts holds that a message for all reaches all, once and in
// order, wherever each connection is when it is posted.
func TestHandOffUnderFanOuts(t *testing.T) {
	b := newCrowdBackend(t)
	h := startHanded(t, handOffHead+b.api())
	const callers = 3
	clients := make([]*byteClient, 600)
	for i := range clients {
		clients[i] = h.dial()
	}
	toAll := func(body string) {
		r, err := http.NewRequest(http.MethodPost, "http://"+h.Management+"/prod/@all", strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return
		}
		r.Header.Set("Authorization", "Bearer "+serveToken)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		if want := fmt.Sprintf(`"queued":%d`, len(clients)); resp.StatusCode != http.StatusOK || !strings.Contains(string(answer), want) {
			t.Errorf("%s: %d %s, %v, want %s", body, resp.StatusCode, answer, err, want)
		}
	}
	var listening sync.WaitGroup
	for i, client := range clients {
		listening.Go(func() {
			var next [callers]int
			for ended := 0; ended < callers; {
				var caller, n int
				got, err := client.hear()
				if err == nil {
					_, err = fmt.Sscanf(got, "%d of %d", &n, &caller)
				}
				if err != nil || n >= 0 && n != next[caller] {
					t.Errorf("client %d, after %v: %q, %v", i, next, got, err)
					return
				}
				if next[caller]++; n < 0 {
					ended++
				}
			}
		})
	}
	stop, posted := make(chan struct{}), atomic.Int64{}
	var posting sync.WaitGroup
	for caller := range callers {
		posting.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					toAll(fmt.Sprintf("-1 of %d", caller))
					return
				default:
					toAll(fmt.Sprintf("%d of %d", n, caller))
					posted.Add(1)
				}
			}
		})
	}
	for range 3 {
		before, since := h.pid(), posted.Load()
		h.await("some messages", func() bool { return posted.Load() > since+20 })
		if r, stderr, code := h.handOff(); code != exitDone || r.PID == before || r.Connections+r.Left < len(clients) {
			t.Errorf("the hand-off: %+v, %s, exit code %d", r, stderr, code)
			break
		}
		h.gone(before)
	}
	close(stop)
	posting.Wait()
	if t.Failed() {
		for _, client := range clients {
			client.c.Close()
		}
	}
	listening.Wait()
	t.Logf("%d messages for %d clients", posted.Load(), len(clients))
}

// TestHandOffOfABreach holds that a client which broke the protocol, and is owed an
// answer, gets it from the next process, and the close frame behind it.
func TestHandOffOfABreach(t *testing.T) {
	b := newCrowdBackend(t)
	h := startHanded(t, handOffHead+b.api())
	client, before := h.dial(), h.pid()
	client.say("hold")
	client.c.Write([]byte("\xc1\x80\x00\x00\x00\x00")) // a reserved bit
	h.await("the breach to be noticed", func() bool { return strings.Contains(h.said(), transport.DropProtocolError) })
	client.say("is not looked at")
	r, stderr, code := h.handOff()
	if code != exitDone || r.Connections != 1 || r.Left != 0 {
		t.Fatalf("%+v, %s, exit code %d", r, stderr, code)
	}
	if err := h.push(client.id, "pushed"); err != nil {
		t.Error(err)
	}
	if got, err := client.hear(); err != nil || got != "pushed" {
		t.Errorf("got %q, %v, want what was pushed", got, err)
	}
	close(b.release)
	if got, err := client.hear(); err != nil || got != "hold" {
		t.Errorf("got %q, %v, want the answer", got, err)
	}
	if got, err := client.hear(); !errors.Is(err, closed(ws.CloseProtocolError)) {
		t.Errorf("got %q, %v, want the close frame", got, err)
	}
	client.c.Close()
	h.gone(before)
	h.end()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.disconnects) != 1 || b.disconnects[client.id] != 1 {
		t.Errorf("$disconnect: %v", b.disconnects)
	}
}

// TestHandOffThatFails holds that a new process which can't take over changes
// nothing: the old one goes on with its clients and its stores, and says why.
func TestHandOffThatFails(t *testing.T) {
	b := newCrowdBackend(t)
	configuration := handOffHead + b.api()
	h := startHanded(t, configuration)
	before, client := h.pid(), h.dial()
	file := filepath.Join(h.dir, "tidegate.yaml")
	for _, tt := range []struct {
		name, binary, configuration, says string
	}{
		{name: "a binary that ends", binary: "#!/bin/sh\necho no luck >&2\nexit 3\n", says: "exit status 3"},
		{name: "a binary that is none", binary: "ELF it is not", says: "exec format error"},
		{name: "a mistake in the configuration", configuration: strings.Replace(configuration, "data_dir", "data_dri", 1), says: "tidegate.yaml:3:1"},
		{name: "an API that can't be", configuration: strings.Replace(configuration, "target: say", "target: nowhere", 1), says: "nowhere"},
		{name: "an address that is taken", configuration: strings.Replace(configuration, `management: "127.0.0.1:0"`, fmt.Sprintf("management: %q", b.Listener.Addr()), 1), says: "taken by"},
	} {
		args := []string(nil)
		if tt.binary != "" {
			path := filepath.Join(t.TempDir(), "tidegate")
			if err := os.WriteFile(path, []byte(tt.binary), 0o700); err != nil {
				t.Fatal(err)
			}
			args = []string{"--binary", path}
		}
		if tt.configuration != "" {
			if err := os.WriteFile(file, []byte(tt.configuration), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r, stderr, code := h.handOff(args...)
		if code != exitFailed || !strings.Contains(r.Error, tt.says) || !strings.Contains(stderr, tt.says) || !strings.Contains(stderr, "this process goes on") {
			t.Errorf("%s: exit code %d, %+v, %s", tt.name, code, r, stderr)
		}
		if err := client.say(tt.name); err != nil {
			t.Error(err)
		}
		if got, err := client.hear(); err != nil || got != tt.name {
			t.Errorf("%s: the client got %q, %v", tt.name, got, err)
		}
		if err := h.push(client.id, "push"); err != nil {
			t.Error(err)
		}
		if got, err := client.hear(); err != nil || got != "push" {
			t.Errorf("%s: the client got %q, %v", tt.name, got, err)
		}
		h.dial() // new clients are let in
		if h.pid() != before {
			t.Errorf("%s: the data dir is process %d's", tt.name, h.pid())
		}
	}
	if strings.Contains(h.said(), "stores closed") {
		t.Error("the stores were closed for a process that can't take over")
	}
	if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	if r, stderr, code := h.handOff(); code != exitDone || r.PID == before {
		t.Errorf("the hand-off: %+v, %s, exit code %d", r, stderr, code)
	}
	if stdout, stderr, code := output(t, t.TempDir(), "", "handoff", "--data-dir", "."); code != exitFailed || stdout != "" || !strings.Contains(stderr, "no `tidegate serve` runs there") {
		t.Errorf("where nothing runs: %q, %q, exit code %d", stdout, stderr, code)
	}
}

// TestHandOffOfStoredAPIs holds that an API which no file declares goes over with
// its clients, and that one which the new process can't serve is found before the old
// one has closed its stores.
func TestHandOffOfStoredAPIs(t *testing.T) {
	b := newCrowdBackend(t)
	head := handOffHead + `  - {name: ops, access_key_id: ops, secret_access_key: "` + serveSecret + `", admin: true}`
	h := startHanded(t, head+b.api())
	made := func(path, body string) string {
		status, answer := callSigned(t, "ops", "apigateway", "POST", h.Admin, "/v2/apis"+path, body)
		var id struct{ IntegrationID, RouteID string }
		if err := json.Unmarshal([]byte(answer), &id); err != nil || status != http.StatusCreated {
			t.Fatalf("make %s: %d %s", path, status, answer)
		}
		return cmp.Or(id.IntegrationID, id.RouteID)
	}
	made("", `{"name":"made","protocolType":"WEBSOCKET","routeSelectionExpression":"$request.body.action","tags":{"_custom_id_":"made"}}`)
	say := made("/made/integrations", `{"integrationType":"HTTP_PROXY","integrationMethod":"POST","integrationUri":"`+b.URL+`/say"}`)
	route := made("/made/routes", `{"routeKey":"$default","routeResponseSelectionExpression":"$default","target":"integrations/`+say+`"}`)
	made("/made/routes/"+route+"/routeresponses", `{"routeResponseKey":"$default"}`)
	made("/made/stages", `{"stageName":"live"}`)
	made("/made/deployments", `{"stageName":"live"}`)
	c, err := net.Dial("tcp", h.Public)
	if err != nil {
		t.Fatal(err)
	}
	client := dialStage(t, c, h.Public, "live")
	there := func(when string) {
		t.Helper()
		if err := client.say(when); err != nil {
			t.Error(err)
		}
		if got, err := client.hear(); err != nil || got != when {
			t.Errorf("%s, the client got %q, %v", when, got, err)
		}
	}
	if r, stderr, code := h.handOff(); code != exitDone || r.Connections != 1 {
		t.Fatalf("%+v, %s, exit code %d", r, stderr, code)
	}
	there("handed off")
	takes := head + strings.Replace(b.api(), "- name: crowd", "- name: crowd\n    id: made", 1)
	if err := os.WriteFile(filepath.Join(h.dir, "tidegate.yaml"), []byte(takes), 0o600); err != nil {
		t.Fatal(err)
	}
	closed := strings.Count(h.said(), "stores closed")
	if r, stderr, code := h.handOff(); code != exitFailed || !strings.Contains(r.Error, "after the step started") || !strings.Contains(r.Error, "was made through the API already") {
		t.Errorf("with an id that is taken: %+v, %s, exit code %d", r, stderr, code)
	}
	if n := strings.Count(h.said(), "stores closed"); n != closed {
		t.Error("the stores were closed for a process that can't take over")
	}
	there("not handed off")
}

// killAt begins a hand-off, kills the old process when a step is told of, and returns
// what was told.
func (h *handed) killAt(step handoff.Step) handoff.Progress {
	h.t.Helper()
	before := h.pid()
	cmd := tidegate(h.t.Context(), h.dir, "handoff", "--data-dir", "data", "--json")
	out, err := cmd.StdoutPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	var last handoff.Progress
	for d := json.NewDecoder(out); last.Step != step; {
		if err := d.Decode(&last); err != nil {
			h.t.Fatalf("the hand-off ended behind %q: %v", last.Step, err)
		}
	}
	if step == handoff.Started { // it shall not have spoken yet
		syscall.Kill(last.PID, syscall.SIGSTOP)
		defer syscall.Kill(last.PID, syscall.SIGCONT)
	}
	syscall.Kill(before, syscall.SIGKILL)
	h.gone(before)
	io.Copy(io.Discard, out)
	cmd.Wait()
	return last
}

// TestHandOffWhoseOldProcessDies kills the old process at each step. The new one
// goes on with the listeners, so that nobody who comes is refused, and with the
// connections that went over.
func TestHandOffWhoseOldProcessDies(t *testing.T) {
	b := newCrowdBackend(t)
	h := startHanded(t, handOffHead+b.api())
	for _, step := range []handoff.Step{handoff.Started, handoff.Prepared, handoff.Closed, handoff.Ready, handoff.Listening, handoff.Moving} {
		clients := []*byteClient{h.dial()}
		if step == handoff.Moving {
			for range handoff.BatchSize {
				clients = append(clients, h.dial())
			}
		}
		before := h.pid()
		gone := h.killAt(step)
		came := h.dial() // has waited in the listener's queue, if need be
		h.await("the new process to have the data dir", func() bool { return h.pid() != before })
		if err := h.push(came.id, "push"); err != nil {
			t.Errorf("after %s: %v", step, err)
		}
		if got, err := came.hear(); err != nil || got != "push" {
			t.Errorf("after %s: the client got %q, %v", step, got, err)
		}
		alive := 0
		for _, c := range clients {
			c.say("still there") // to a socket that is closed, perhaps
		}
		for _, c := range clients {
			if got, err := c.hear(); err == nil && got == "still there" {
				alive++
			}
			c.c.Close()
		}
		if alive < gone.Connections || step == handoff.Moving && alive == 0 {
			t.Errorf("%d clients are still there, and %d had gone over", alive, gone.Connections)
		}
		came.c.Close()
	}
	if r, stderr, code := h.handOff(); code != exitDone { // the last of them can hand off itself
		t.Errorf("%+v, %s, exit code %d", r, stderr, code)
	}
}

// TestHandOffUnderSystemd holds what the service manager hears: ready once, then
// that the service goes on in another process, from the one it knows.
func TestHandOffUnderSystemd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.SetReadDeadline(time.Now().Add(patience))
	next := func() string {
		b := make([]byte, 4096)
		n, err := l.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	h := startHanded(t, handOffHead+newCrowdBackend(t).api(), "NOTIFY_SOCKET="+path)
	if said := next(); !strings.HasPrefix(said, "READY=1\n") {
		t.Errorf("at the start: %q", said)
	}
	before := h.pid()
	r, stderr, code := h.handOff()
	if code != exitDone {
		t.Fatalf("%+v, %s", r, stderr)
	}
	if said, want := next(), fmt.Sprintf("MAINPID=%d\nREADY=1\n", r.PID); !strings.HasPrefix(said, want) {
		t.Errorf("at the hand-off: %q, want %q", said, want)
	}
	h.gone(before)
	h.end()
	if said := next(); said != "STOPPING=1" {
		t.Errorf("at the end: %q", said)
	}
}

// TestHandOffWithTLS holds what becomes of clients that can't go over, because TLS
// ends in the process: they can be pushed to as long as they are there, get the
// replies that they wait for, and are closed with 1012.
func TestHandOffWithTLS(t *testing.T) {
	b := newCrowdBackend(t)
	certificate := writeCertificate(t, filepath.Join(t.TempDir(), "a"))
	h := startHanded(t, handOffHead+fmt.Sprintf("tls: {certificate_file: %q, private_key_file: %q}\n", certificate, strings.TrimSuffix(certificate, ".crt")+".key")+b.api())
	pem, err := os.ReadFile(certificate)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	dial := func() *byteClient {
		c, err := tls.Dial("tcp", h.Public, &tls.Config{RootCAs: roots, ServerName: "localhost"})
		if err != nil {
			t.Fatal(err)
		}
		return dialBytes(t, c, h.Public)
	}
	waits, rests := dial(), dial()
	waits.say("hold")
	before := h.pid()
	r, stderr, code := h.handOff()
	if code != exitDone || r.Connections != 0 {
		t.Fatalf("%+v, %s, exit code %d", r, stderr, code)
	}
	if err := h.push(waits.id, "by the new process, to the old one"); err != nil { // its message is under way: it is still there
		t.Error(err)
	}
	for _, want := range []string{"by the new process, to the old one", "hold"} {
		if want == "hold" {
			close(b.release)
		}
		if got, err := waits.hear(); err != nil || got != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	for _, client := range []*byteClient{waits, rests} {
		if got, err := client.hear(); !errors.Is(err, closed(1012)) {
			t.Errorf("got %q, %v", got, err)
		}
		client.c.Close()
	}
	h.gone(before)
	if err := h.push(waits.id, "too late"); err == nil || !strings.Contains(err.Error(), ": 410 ") {
		t.Errorf("after the end: %v", err)
	}
	if dial().id == "" {
		t.Error("nobody is let in")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.disconnects[waits.id] != 1 || b.disconnects[rests.id] != 1 {
		t.Errorf("$disconnect: %v", b.disconnects)
	}
}

// TestHandOffUnderWS is a hand-off as Node's most used client sees it, and one whose
// old process is killed before its last reply: that reply is lost, nothing else.
func TestHandOffUnderWS(t *testing.T) {
	dir := needClients(t)
	b := newCrowdBackend(t)
	h := startHanded(t, handOffHead+b.api())
	cmd := exec.CommandContext(t.Context(), "node", filepath.Join(dir, "numbered.mjs"), "ws://"+h.Public+"/prod", "50")
	cmd.Stderr = os.Stderr
	stop, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "connected" {
		t.Fatalf("the clients said %q, %v", lines.Text(), lines.Err())
	}
	for range 2 {
		if r, stderr, code := h.handOff(); code != exitDone || r.Connections+r.Left != 50 {
			t.Fatalf("%+v, %s, exit code %d", r, stderr, code)
		}
	}
	unlucky := h.dial()
	unlucky.say("hold")
	before := h.pid()
	if r, stderr, code := h.handOff(); code != exitDone {
		t.Fatalf("%+v, %s, exit code %d", r, stderr, code)
	}
	time.Sleep(time.Second) // the others have their replies by then
	syscall.Kill(before, syscall.SIGKILL)
	h.gone(before)
	for range 20 { // more than may be in flight
		if err := unlucky.say("again"); err != nil {
			t.Fatal(err)
		}
		if got, err := unlucky.hear(); err != nil || got != "again" {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	stop.Close()
	var seen struct{ Messages, Wrong, Closed int }
	done := make(chan struct{})
	go func() {
		defer close(done)
		if lines.Scan() {
			json.Unmarshal(lines.Bytes(), &seen)
		}
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("the clients don't end")
	}
	if seen.Messages == 0 || seen.Wrong != 0 || seen.Closed != 0 {
		t.Errorf("the clients noticed %+v", seen)
	}
	cmd.Wait()
}
