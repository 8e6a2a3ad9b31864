package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tidegate/internal/client"
	"tidegate/sigv4"
	"tidegate/ws"
)

// The benchmarks of docs/performance.md: each runs the program as its users do,
// a process of its own (of the test binary, which is a little bigger than the
// program), and measures from outside. Where it can be said, CPU is
// the server's own, its functions' and the load's left out. They need Linux for
// what /proc tells of a process.

// benchStack has one route of each kind, and three functions.
const benchStack = `
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Parameters: { Backend: { Type: String, Default: "http://127.0.0.1:9" } }
Globals: { Function: { Runtime: nodejs20.x, CodeUri: . } }
Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: { Name: bench, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action }
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: { ApiId: !Ref Api, StageName: Prod, AutoDeploy: true }

  MockRoute:
    Type: AWS::ApiGatewayV2::Route
    Properties: { ApiId: !Ref Api, RouteKey: mock, Target: !Sub "integrations/${Mock}", RouteResponseSelectionExpression: $default }
  MockRouteResponse:
    Type: AWS::ApiGatewayV2::RouteResponse
    Properties: { ApiId: !Ref Api, RouteId: !Ref MockRoute, RouteResponseKey: $default }
  Mock:
    Type: AWS::ApiGatewayV2::Integration
    Properties: { ApiId: !Ref Api, IntegrationType: MOCK, RequestTemplates: { "200": '{"statusCode":200}' }, TemplateSelectionExpression: "200" }
  MockResponse:
    Type: AWS::ApiGatewayV2::IntegrationResponse
    Properties:
      ApiId: !Ref Api
      IntegrationId: !Ref Mock
      IntegrationResponseKey: $default
      ResponseTemplates: { "200": '{"pong":true}' }
      TemplateSelectionExpression: "200"

  HTTPRoute:
    Type: AWS::ApiGatewayV2::Route
    Properties: { ApiId: !Ref Api, RouteKey: http, Target: !Sub "integrations/${HTTP}", RouteResponseSelectionExpression: $default }
  HTTPRouteResponse:
    Type: AWS::ApiGatewayV2::RouteResponse
    Properties: { ApiId: !Ref Api, RouteId: !Ref HTTPRoute, RouteResponseKey: $default }
  HTTP:
    Type: AWS::ApiGatewayV2::Integration
    Properties: { ApiId: !Ref Api, IntegrationType: HTTP_PROXY, IntegrationMethod: POST, IntegrationUri: !Ref Backend }

  FunctionRoute:
    Type: AWS::ApiGatewayV2::Route
    Properties: { ApiId: !Ref Api, RouteKey: function, Target: !Sub "integrations/${Proxy}", RouteResponseSelectionExpression: $default }
  FunctionRouteResponse:
    Type: AWS::ApiGatewayV2::RouteResponse
    Properties: { ApiId: !Ref Api, RouteId: !Ref FunctionRoute, RouteResponseKey: $default }
  Proxy:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: AWS_PROXY
      IntegrationUri: !Sub arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${CommonJS.Arn}/invocations
  Permission:
    Type: AWS::Lambda::Permission
    Properties: { Action: lambda:InvokeFunction, FunctionName: !Ref CommonJS, Principal: apigateway.amazonaws.com }

  CommonJS: { Type: AWS::Serverless::Function, Properties: { FunctionName: commonjs, Handler: common.handler } }
  Module: { Type: AWS::Serverless::Function, Properties: { FunctionName: module, Handler: module.handler } }
  Third: { Type: AWS::Serverless::Function, Properties: { FunctionName: third, Handler: common.handler } }
  Items: { Type: AWS::Serverless::SimpleTable, Properties: { TableName: items } }
`

// handlerCode does a millisecond of work, or none, and answers how many microseconds it
// really took, by its own clock.
const handlerCode = `async (event) => {
  const began = process.hrtime.bigint();
  const work = event.trivial || event.body?.includes("trivial") ? 0n : 1000000n;
  while (process.hrtime.bigint() - began < work);
  return { statusCode: 200, body: String(Number(process.hrtime.bigint() - began) / 1000) };
};
`

var benchFiles = map[string]string{
	"template.yaml": benchStack,
	"common.js":     "exports.handler = " + handlerCode,
	"module.mjs":    "export const handler = " + handlerCode,
}

// A benchRun is a tidegate up under measurement.
type benchRun struct {
	b      *testing.B
	cmd    *exec.Cmd
	ready  time.Duration // from exec to the first 200 of /_tidegate/ready
	client *client.Client
	host   string
}

// benchFolder writes the stack's files into a clean folder.
func benchFolder(b *testing.B) string {
	dir := b.TempDir()
	for name, text := range benchFiles {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	return dir
}

// startBench starts the program on the template in dir and waits until it is ready.
func startBench(b *testing.B, dir string, args ...string) *benchRun {
	b.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	host := free.Addr().String()
	_, port, _ := net.SplitHostPort(host)
	free.Close()
	r := &benchRun{b: b, host: host}
	r.cmd = tidegate(context.Background(), dir, append([]string{"up", "--mode", "extended", "--port", port}, args...)...)
	var said bytes.Buffer
	r.cmd.Stdout, r.cmd.Stderr = &said, &said
	began := time.Now()
	if err := r.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(r.end)
	for probe := (&http.Client{}); ; time.Sleep(time.Millisecond) {
		resp, err := probe.Get("http://" + host + "/_tidegate/ready")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				break
			}
		}
		if time.Since(began) > patience {
			r.end()
			b.Fatalf("tidegate up was not ready in %s:\n%s", patience, &said)
		}
	}
	r.ready = time.Since(began)
	run, err := client.Find("", dir)
	if err != nil {
		b.Fatal(err)
	}
	if r.client, err = client.New(run); err != nil {
		b.Fatal(err)
	}
	return r
}

// end stops the program as Ctrl-C does.
func (r *benchRun) end() {
	if r.cmd.ProcessState == nil {
		r.cmd.Process.Signal(os.Interrupt)
		r.cmd.Wait()
	}
}

// cpu is what the server itself has used, its functions' processes left out.
func (r *benchRun) cpu() time.Duration { return processCPU(r.b, r.cmd.Process.Pid) }

// processCPU is what the process has used, in user and kernel mode. The kernel
// counts in hundredths of a second.
func processCPU(b *testing.B, pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// memory is the server's resident set, in MB of 1,000,000 bytes.
func (r *benchRun) memory() float64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid))
	if err != nil {
		r.b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		r.b.Fatal(err)
	}
	return float64(kib) * 1024 / 1e6
}

// A benchSocket is a client that costs next to nothing: it sends one frame over
// and over and looks at the answers' lengths only.
type benchSocket struct {
	net.Conn
	r     *bufio.Reader
	frame []byte
}

// dial connects to the stack's only stage; the client's message is text.
func (r *benchRun) dial(text string) *benchSocket {
	r.b.Helper()
	c, err := net.Dial("tcp", r.host)
	if err != nil {
		r.b.Fatal(err)
	}
	r.b.Cleanup(func() { c.Close() })
	s := &benchSocket{Conn: c, r: bufio.NewReader(c), frame: ws.AppendMaskedFrame(nil, ws.OpText, true, [4]byte{1, 2, 3, 4}, []byte(text))}
	fmt.Fprintf(c, "GET /Prod HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", r.host)
	resp, err := http.ReadResponse(s.r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		r.b.Fatalf("handshake: %v %v", resp, err)
	}
	return s
}

// receive returns the next message, valid until the next call. A route's own
// error frame is an error.
func (s *benchSocket) receive() ([]byte, error) {
	head, err := s.r.Peek(2)
	if err != nil {
		return nil, err
	}
	n, skip := int(head[1]&0x7f), 2
	if n == 126 {
		if head, err = s.r.Peek(4); err != nil {
			return nil, err
		}
		n, skip = int(head[2])<<8|int(head[3]), 4
	}
	m, err := s.r.Peek(skip + n)
	if err != nil {
		return nil, err
	}
	s.r.Discard(skip + n)
	if bytes.HasPrefix(m[skip:], []byte(`{"message"`)) {
		return nil, fmt.Errorf("the client got %s", m[skip:])
	}
	return m[skip:], nil
}

// ask sends the client's message and returns the answer.
func (s *benchSocket) ask() ([]byte, error) {
	if _, err := s.Write(s.frame); err != nil {
		return nil, err
	}
	return s.receive()
}

// quantiles reports medians and spread, in the given unit.
func quantiles(b *testing.B, name string, all []float64) {
	if len(all) == 0 {
		return
	}
	slices.Sort(all)
	at := func(q float64) float64 { return all[int(q*float64(len(all)-1))] }
	b.ReportMetric(at(0.5), "p50-"+name)
	b.ReportMetric(at(0.95), "p95-"+name)
	b.ReportMetric(all[0], "min-"+name)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// BenchmarkReady is the time from exec to /_tidegate/ready for three functions,
// a table and an API, and the memory of the idle process. "new" has an empty
// data dir, "again" one of the run before.
func BenchmarkReady(b *testing.B) {
	for _, again := range []bool{false, true} {
		b.Run(map[bool]string{false: "new", true: "again"}[again], func(b *testing.B) {
			dir := benchFolder(b)
			startBench(b, dir).end() // makes the certificate authority
			var ready, memory []float64
			for b.Loop() {
				if !again {
					os.RemoveAll(filepath.Join(dir, ".tidegate"))
				}
				r := startBench(b, dir)
				ready = append(ready, ms(r.ready))
				memory = append(memory, r.memory())
				r.end()
			}
			quantiles(b, "ms-ready", ready)
			quantiles(b, "MB", memory)
		})
	}
}

// BenchmarkIdleMemory is the resident memory of the process that serves
// examples/chat, once it is ready.
func BenchmarkIdleMemory(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "chat")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "..", "examples", "chat"))); err != nil {
		b.Fatal(err)
	}
	var memory []float64
	for b.Loop() {
		r := startBench(b, dir)
		time.Sleep(time.Second) // what ends with the start has ended
		memory = append(memory, r.memory())
		r.end()
	}
	quantiles(b, "MB", memory)
}

// BenchmarkWarm is what a warm invocation takes beside its handler: from the
// client's message to its answer through a two-way AWS_PROXY route, and through
// Lambda's Invoke API, less the time that the handler says it took: a handler that
// works for a millisecond, and one that answers at once.
func BenchmarkWarm(b *testing.B) {
	needNode(b)
	r := startBench(b, benchFolder(b))
	added := func(b *testing.B, ask func() ([]byte, error)) {
		if _, err := ask(); err != nil { // the cold one
			b.Fatal(err)
		}
		var all []float64
		for b.Loop() {
			began := time.Now()
			answer, err := ask()
			whole := float64(time.Since(began).Nanoseconds()) / 1000
			if err != nil {
				b.Fatal(err)
			}
			own, err := strconv.ParseFloat(string(answer), 64)
			if err != nil {
				b.Fatal(err)
			}
			all = append(all, whole-own)
		}
		quantiles(b, "µs-added", all)
	}
	invoke := func(event string) func(*testing.B) {
		return func(b *testing.B) {
			c := r.post("/2015-03-31/functions/commonjs/invocations", "lambda", event)
			added(b, func() ([]byte, error) {
				answer, err := c.ask()
				var reply struct{ Body string }
				if err == nil {
					err = json.Unmarshal(answer, &reply)
				}
				return []byte(reply.Body), err
			})
		}
	}
	b.Run("message", func(b *testing.B) { added(b, r.dial(`{"action":"function"}`).ask) })
	b.Run("invoke", invoke("{}"))
	b.Run("trivial-message", func(b *testing.B) { added(b, r.dial(`{"action":"function","for":"trivial"}`).ask) })
	b.Run("trivial-invoke", invoke(`{"trivial":true}`))
}

// BenchmarkCold is a function's first invocation through the Invoke API, less
// the handler's own time, beside two starts of bare Node.js that were timed just
// before it: until a one-line file has written a byte, and until `node -e 0` has
// ended. Each invocation is cold because the function's configuration was
// changed.
func BenchmarkCold(b *testing.B) {
	needNode(b)
	for _, function := range []string{"commonjs", "module"} {
		b.Run(function, func(b *testing.B) {
			r := startBench(b, benchFolder(b))
			c := r.post("/2015-03-31/functions/"+function+"/invocations", "lambda", "{}")
			var bare, whole, cold, added []float64
			file := filepath.Join(b.TempDir(), "bare.js")
			if err := os.WriteFile(file, []byte(`require("fs").writeSync(1, "x")`), 0o644); err != nil {
				b.Fatal(err)
			}
			for i := 0; b.Loop(); i++ {
				body := fmt.Appendf(nil, `{"Timeout":%d}`, 5+i%2)
				resp, answer, err := r.client.Do(b.Context(), "lambda", http.MethodPut, "/2015-03-31/functions/"+function+"/configuration", nil, body)
				if err != nil || resp.StatusCode != http.StatusOK {
					b.Fatalf("%v %s", err, answer)
				}
				time.Sleep(200 * time.Millisecond) // the old environment ends
				bare = append(bare, ms(firstByte(b, file)))
				began := time.Now()
				if err := bareNode("-e", "0").Run(); err != nil {
					b.Fatal(err)
				}
				whole = append(whole, ms(time.Since(began)))
				began = time.Now()
				if answer, err = c.ask(); err != nil {
					b.Fatal(err)
				}
				took := ms(time.Since(began))
				var reply struct{ Body string }
				if err := json.Unmarshal(answer, &reply); err != nil {
					b.Fatal(err)
				}
				own, err := strconv.ParseFloat(reply.Body, 64)
				if err != nil {
					b.Fatal(err)
				}
				cold = append(cold, took-own/1000)
				added = append(added, took-own/1000-bare[len(bare)-1])
			}
			quantiles(b, "ms-node", bare)
			quantiles(b, "ms-node-e-0", whole)
			quantiles(b, "ms-cold", cold)
			quantiles(b, "ms-added", added)
		})
	}
}

// bareNode is Node.js without what a user's environment may burden it with: a
// bundle in NODE_EXTRA_CA_CERTS alone can treble its start.
func bareNode(args ...string) *exec.Cmd {
	cmd := exec.Command("node", args...)
	cmd.Env = cleanEnv()
	return cmd
}

// firstByte is the time from exec to the first byte that a file of code writes.
func firstByte(b *testing.B, file string) time.Duration {
	cmd := bareNode(file)
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
		b.Fatal(err)
	}
	took := time.Since(began)
	if err := cmd.Wait(); err != nil {
		b.Fatal(err)
	}
	return took
}

// BenchmarkRoute is client messages per second and the server's CPU for each,
// from 64 and 512 clients, one message in flight each: to a MOCK route, and
// through HTTP_PROXY to a backend in this process.
func BenchmarkRoute(b *testing.B) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		io.Copy(io.Discard, q.Body)
		w.Write([]byte("ok"))
	}))
	defer backend.Close()
	r := startBench(b, benchFolder(b), "--parameter-overrides", "Backend="+backend.URL)
	for _, route := range []string{"mock", "http"} {
		for _, n := range []int{64, 512} {
			b.Run(fmt.Sprintf("%s/%d", route, n), func(b *testing.B) {
				var clients []func() error
				for range n {
					s := r.dial(fmt.Sprintf(`{"action":%q,"data":"0123456789012345678901234567890123456789"}`, route))
					clients = append(clients, func() error { _, err := s.ask(); return err })
				}
				r.load(b, clients)
			})
		}
	}
}

// BenchmarkPush is signed POSTs to @connections per second, from 16 keep-alive
// connections to 1,000 clients, and the server's CPU for each. Clients read what
// they get in this process.
func BenchmarkPush(b *testing.B) {
	r := startBench(b, benchFolder(b))
	for range 1000 {
		s := r.dial("")
		go io.Copy(io.Discard, s)
	}
	all, err := r.client.Connections(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	var callers []func() error
	for i := range 16 {
		var next int
		var each []*signedPost
		for j := i; j < len(all); j += 16 {
			p := r.post("/Prod/@connections/"+url.PathEscape(all[j].ID), "execute-api", strings.Repeat("x", 64))
			if len(each) > 0 {
				p.Close()
				p.Conn, p.r = each[0].Conn, each[0].r
			}
			each = append(each, p)
		}
		callers = append(callers, func() error {
			next++
			_, err := each[next%len(each)].ask()
			return err
		})
	}
	r.load(b, callers)
}

// BenchmarkTable is PutItem and GetItem over HTTP, 16 callers, signed.
func BenchmarkTable(b *testing.B) {
	r := startBench(b, benchFolder(b))
	for _, operation := range []string{"PutItem", "GetItem"} {
		b.Run(operation, func(b *testing.B) {
			var callers []func() error
			for i := range 16 {
				key := fmt.Sprintf(`"id":{"S":"connection-%d"}`, i)
				body := `{"TableName":"items","Key":{` + key + `}}`
				if operation == "PutItem" {
					body = `{"TableName":"items","Item":{` + key + `,"room":{"S":"lobby"},"joined":{"N":"1764000000"}}}`
				}
				p := r.post("/", "dynamodb", body, "X-Amz-Target", "DynamoDB_20120810."+operation, "Content-Type", "application/x-amz-json-1.0")
				callers = append(callers, func() error { _, err := p.ask(); return err })
			}
			r.load(b, callers)
		})
	}
}

// load shares b.N operations among the callers and reports the rate and the
// server's CPU.
func (r *benchRun) load(b *testing.B, callers []func() error) {
	for _, call := range callers {
		if err := call(); err != nil {
			b.Fatal(err)
		}
	}
	cpu := r.cpu()
	b.ResetTimer()
	var wg sync.WaitGroup
	for i, call := range callers {
		n := b.N / len(callers)
		if i < b.N%len(callers) {
			n++
		}
		wg.Go(func() {
			for range n {
				if err := call(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
	b.ReportMetric(float64((r.cpu()-cpu).Microseconds())/float64(b.N), "µs-CPU/op")
}

// A signedPost is one signed request, sent over and over on one connection: a
// signature holds for minutes.
type signedPost struct {
	net.Conn
	r       *bufio.Reader
	request []byte
}

// post signs a POST; fields are further header fields, name and value.
func (r *benchRun) post(path, service, body string, fields ...string) *signedPost {
	r.b.Helper()
	q, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+r.host+path, strings.NewReader(body))
	if err != nil {
		r.b.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		q.Header.Set(fields[i], fields[i+1])
	}
	sigv4.Sign(q, []byte(body), r.client.Credentials(), service, "us-east-1", time.Now())
	var raw bytes.Buffer
	if err := q.Write(&raw); err != nil {
		r.b.Fatal(err)
	}
	c, err := net.Dial("tcp", r.host)
	if err != nil {
		r.b.Fatal(err)
	}
	r.b.Cleanup(func() { c.Close() })
	return &signedPost{Conn: c, r: bufio.NewReader(c), request: raw.Bytes()}
}

// ask sends the request and returns the answer's body.
func (p *signedPost) ask() ([]byte, error) {
	if _, err := p.Write(p.request); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(p.r, nil)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return body, err
}

// needNode skips the benchmark when Node.js is missing.
func needNode(b *testing.B) {
	if _, err := exec.LookPath("node"); err != nil {
		b.Skip("node is not installed")
	}
}
