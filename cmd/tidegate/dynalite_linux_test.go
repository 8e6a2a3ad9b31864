package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tidegate/sigv4"
)

// BenchmarkDynalite is PutItem and GetItem from 64 callers against Tidegate and
// against dynalite, one after the other. Tidegate verifies each signature and
// has synced a write to the disk when it answers; dynalite verifies nothing, and
// its LevelDB (--path) has handed a write to the kernel, not to the disk, which
// is the best it can do; without --path it keeps items in memory only.
//
// The requests are signed beforehand and written to 64 connections that are kept;
// of an answer only the status and the length are looked at.
//
// Wants dynalite: `npm install -g dynalite`, or DYNALITE=/path/to/its/cli.js.
func BenchmarkDynalite(b *testing.B) {
	script := findDynalite(b)
	for _, operation := range []string{"PutItem", "GetItem"} {
		b.Run(operation, func(b *testing.B) {
			b.Run("tidegate", func(b *testing.B) {
				r := startBench(b, benchFolder(b))
				benchTable(b, r.host, r.cpu, r.client.Credentials(), operation)
			})
			for _, name := range []string{"dynalite-path", "dynalite-memory"} {
				b.Run(name, func(b *testing.B) {
					var args []string
					if name == "dynalite-path" {
						args = []string{"--path", b.TempDir()}
					}
					host, pid := startDynalite(b, script, args)
					benchTable(b, host, func() time.Duration { return processCPU(b, pid) }, sigv4.Credentials{AccessKeyID: "any", SecretAccessKey: "any"}, operation)
				})
			}
		})
	}
}

// findDynalite returns dynalite's cli.js.
func findDynalite(b *testing.B) string {
	needNode(b)
	if script := os.Getenv("DYNALITE"); script != "" {
		return script
	}
	found, err := exec.LookPath("dynalite")
	if err == nil {
		found, err = filepath.EvalSymlinks(found)
	}
	if err != nil {
		b.Skip("dynalite is not installed: npm install -g dynalite, or set DYNALITE to its cli.js")
	}
	return found
}

func startDynalite(b *testing.B, script string, args []string) (host string, pid int) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	host = free.Addr().String()
	_, port, _ := net.SplitHostPort(host)
	free.Close()
	cmd := exec.Command("node", append([]string{script, "--host", "127.0.0.1", "--port", port, "--createTableMs", "0"}, args...)...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("tcp", host); err == nil {
			c.Close()
			return host, cmd.Process.Pid
		}
		if time.Since(began) > patience {
			b.Fatal("dynalite does not answer")
		}
	}
}

// benchTable shares b.N operations on 10,000 items among 64 callers.
func benchTable(b *testing.B, host string, cpu func() time.Duration, who sigv4.Credentials, operation string) {
	const callers, items = 64, 10000
	signed := func(operation, body string) []byte {
		q, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+host+"/", strings.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		q.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
		q.Header.Set("Content-Type", "application/x-amz-json-1.0")
		sigv4.Sign(q, []byte(body), who, "dynamodb", "us-east-1", time.Now())
		var raw bytes.Buffer
		if err := q.Write(&raw); err != nil {
			b.Fatal(err)
		}
		return raw.Bytes()
	}
	put := func(i int) []byte {
		return signed("PutItem", fmt.Sprintf(`{"TableName":"beside","Item":{"id":{"S":"connection-%d"},"room":{"S":"lobby"},"joined":{"N":"1764000000"},"pad":{"S":"%s"}}}`, i, strings.Repeat("x", 200)))
	}
	first := dialRaw(b, host)
	if err := first.ask(signed("CreateTable", `{"TableName":"beside","AttributeDefinitions":[{"AttributeName":"id","AttributeType":"S"}],"KeySchema":[{"AttributeName":"id","KeyType":"HASH"}],"BillingMode":"PAY_PER_REQUEST"}`)); err != nil && !strings.Contains(err.Error(), "ResourceInUseException") {
		b.Fatal(err)
	}
	var conns []*rawConn
	for range callers {
		conns = append(conns, dialRaw(b, host))
	}
	requests := make([][]byte, items)
	for i := range requests {
		requests[i] = put(i)
	}
	if operation == "GetItem" {
		for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) { // dynalite's table takes a while
			err := first.ask(requests[0])
			if err == nil {
				break
			}
			if time.Now().After(end) {
				b.Fatal(err)
			}
		}
		if err := drive(conns, items, func(i int) []byte { return requests[i-1] }); err != nil {
			b.Fatal(err)
		}
		for i := range requests {
			requests[i] = signed("GetItem", fmt.Sprintf(`{"TableName":"beside","Key":{"id":{"S":"connection-%d"}}}`, i))
		}
	}
	began := cpu()
	b.ResetTimer()
	if err := drive(conns, b.N, func(i int) []byte { return requests[i*7919%items] }); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
	b.ReportMetric(float64((cpu()-began).Microseconds())/float64(b.N), "µs-CPU/op")
}

// A rawConn speaks just enough HTTP to cost little beside a server.
type rawConn struct {
	fd int
	in []byte // of an answer that isn't whole yet
}

func dialRaw(b *testing.B, host string) *rawConn {
	at, err := net.ResolveTCPAddr("tcp4", host)
	if err != nil {
		b.Fatal(err)
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { syscall.Close(fd) })
	to := &syscall.SockaddrInet4{Port: at.Port}
	copy(to.Addr[:], at.IP.To4())
	if err := errors.Join(syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1), syscall.Connect(fd, to)); err != nil {
		b.Fatal(err)
	}
	return &rawConn{fd: fd}
}

// drive keeps one request in flight on each connection until total are
// answered, from one thread that only waits when no answer is there.
func drive(conns []*rawConn, total int, request func(i int) []byte) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	poll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	defer syscall.Close(poll)
	sent := 0
	send := func(c *rawConn) error {
		if sent == total {
			return nil
		}
		sent++
		return c.send(request(sent))
	}
	for i, c := range conns {
		if err := syscall.EpollCtl(poll, syscall.EPOLL_CTL_ADD, c.fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(i)}); err != nil {
			return err
		}
		if err := send(c); err != nil {
			return err
		}
	}
	events, buf := make([]syscall.EpollEvent, len(conns)), make([]byte, 64<<10)
	for answered := 0; answered < total; {
		n, err := syscall.EpollWait(poll, events, int(patience.Milliseconds()))
		if err == syscall.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return fmt.Errorf("no answer: %v", err)
		}
		for _, e := range events[:n] {
			c := conns[e.Fd]
			whole, err := c.receive(buf)
			if err != nil {
				return err
			}
			if whole {
				answered++
				if err := send(c); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (c *rawConn) send(request []byte) error {
	n, err := syscall.Write(c.fd, request)
	if err == nil && n < len(request) {
		err = io.ErrShortWrite
	}
	return err
}

// receive reads once and tells whether the answer is whole. It is an error
// unless its status is 200.
func (c *rawConn) receive(buf []byte) (whole bool, err error) {
	n, err := syscall.Read(c.fd, buf)
	if err != nil || n == 0 {
		return false, fmt.Errorf("the server hung up: %v", err)
	}
	answer := buf[:n]
	if len(c.in) > 0 {
		c.in = append(c.in, answer...)
		answer = c.in
	}
	head, body, found := bytes.Cut(answer, []byte("\r\n\r\n"))
	length := 0
	if found {
		if length, err = contentLength(head); err != nil {
			return false, err
		}
	}
	if !found || len(body) < length {
		if len(c.in) == 0 {
			c.in = append(c.in, answer...)
		}
		return false, nil
	}
	if !bytes.HasPrefix(answer, []byte("HTTP/1.1 200")) {
		return false, fmt.Errorf("%s", answer)
	}
	c.in = c.in[:0]
	return true, nil
}

func contentLength(head []byte) (int, error) {
	for _, name := range []string{"\r\nContent-Length: ", "\r\ncontent-length: "} {
		if _, after, found := bytes.Cut(head, []byte(name)); found {
			digits, _, _ := bytes.Cut(after, []byte("\r\n"))
			return strconv.Atoi(string(digits))
		}
	}
	return 0, fmt.Errorf("an answer without Content-Length: %s", head)
}

// ask sends the request and waits for its answer.
func (c *rawConn) ask(request []byte) error {
	if err := c.send(request); err != nil {
		return err
	}
	for buf := make([]byte, 64<<10); ; {
		if whole, err := c.receive(buf); whole || err != nil {
			return err
		}
	}
}
