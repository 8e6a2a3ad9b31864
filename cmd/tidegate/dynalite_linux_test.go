package main

import (
	"bufio"
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
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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
	conns := make([]*rawConn, callers)
	for i := range conns {
		c, err := net.Dial("tcp", host)
		if err != nil {
			b.Fatal(err)
		}
		conns[i] = &rawConn{Conn: c, r: bufio.NewReader(c)}
		b.Cleanup(func() { c.Close() })
	}
	if err := conns[0].ask(signed("CreateTable", `{"TableName":"beside","AttributeDefinitions":[{"AttributeName":"id","AttributeType":"S"}],"KeySchema":[{"AttributeName":"id","KeyType":"HASH"}],"BillingMode":"PAY_PER_REQUEST"}`)); err != nil && !errors.Is(err, errThere) {
		b.Fatal(err)
	}
	requests := make([][]byte, items)
	for i := range requests {
		if requests[i] = put(i); operation == "PutItem" {
			continue
		}
		for end := time.Now().Add(patience); ; {
			err := conns[0].ask(requests[i])
			if err == nil {
				break
			}
			if time.Now().After(end) {
				b.Fatal(err)
			}
		}
		requests[i] = signed("GetItem", fmt.Sprintf(`{"TableName":"beside","Key":{"id":{"S":"connection-%d"}}}`, i))
	}
	began := cpu()
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for _, c := range conns {
		wg.Go(func() {
			for {
				n := next.Add(1)
				if n > int64(b.N) {
					return
				}
				if err := c.ask(requests[n*7919%items]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
	b.ReportMetric(float64((cpu()-began).Microseconds())/float64(b.N), "µs-CPU/op")
}

// A rawConn speaks just enough HTTP to cost little beside a server.
type rawConn struct {
	net.Conn
	r *bufio.Reader
}

var errThere = errors.New("it is there already")

// ask sends the request and reads the answer, which has a Content-Length.
func (c *rawConn) ask(request []byte) error {
	if _, err := c.Write(request); err != nil {
		return err
	}
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return err
	}
	ok := bytes.HasPrefix(line, []byte("HTTP/1.1 200"))
	status := ""
	if !ok {
		status = string(line)
	}
	length := 0
	for {
		if line, err = c.r.ReadSlice('\n'); err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if len(line) > 15 && (line[0] == 'C' || line[0] == 'c') && (line[8] == 'L' || line[8] == 'l') && line[14] == ':' {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[15:]))); err != nil {
				return err
			}
		}
	}
	if ok {
		_, err = c.r.Discard(length)
		return err
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(c.r, body); err != nil {
		return err
	}
	if bytes.Contains(body, []byte("ResourceInUseException")) {
		return errThere
	}
	return fmt.Errorf("%s%s", status, body)
}
