package functions

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/rpc"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-lambda-go/lambda/messages"
)

// Programs of the go1.x runtime listen at the port that this variable names and
// are called there with net/rpc: those built with aws-lambda-go before 1.18 know
// nothing else, later ones prefer it when the variable is set, as it is on
// Lambda's go1.x only.
// https://github.com/aws/aws-lambda-go/blob/main/lambda/rpc_function.go
const portVariable = "_LAMBDA_SERVER_PORT"

const (
	pingPause = 20 * time.Millisecond // at most, between two looks at whether the program listens
	// maxRPCAnswer bounds one answer in net/rpc's encoding: what exceeds
	// maxResponse by less is refused by the Runtime API.
	maxRPCAnswer = maxResponse + 1<<20
)

// rpcPorts are the ports that programs were told to listen at, so that no two
// of them are told the same before the first one listens.
type rpcPorts struct {
	mu    sync.Mutex
	given map[int]bool
}

// take returns a port of the loopback interface that is free now.
func (p *rpcPorts) take() (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, fmt.Errorf("functions: a port for %s: %w", portVariable, err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		if !p.given[port] {
			if p.given == nil {
				p.given = map[int]bool{}
			}
			p.given[port] = true
			return port, nil
		}
	}
	return 0, fmt.Errorf("functions: no free port for %s", portVariable)
}

// give takes the port back; 0 is none.
func (p *rpcPorts) give(port int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.given, port)
}

// A rpcBridge stands between the Runtime API and a program that is called with
// net/rpc: to the one it is a runtime, to the other it is Lambda.
type rpcBridge struct {
	e    *environment
	http *http.Client
	nc   *boundedConn
	rpc  *rpc.Client
}

// bridge carries invocations to the environment's program until it ends, if it
// listens for them; one that asks the Runtime API itself is left alone.
func (e *environment) bridge() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-e.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	b := &rpcBridge{e: e, http: &http.Client{Transport: &http.Transport{}}} // no proxy
	defer b.http.CloseIdleConnections()
	if !b.open(ctx) {
		return
	}
	defer b.rpc.Close()
	stop := context.AfterFunc(ctx, func() { b.rpc.Close() })
	defer stop()
	for b.carry(ctx) {
	}
}

// open connects to the program once it listens and answers a ping; false when it
// ended, or speaks the Runtime API.
func (b *rpcBridge) open(ctx context.Context) bool {
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(b.e.port))
	var d net.Dialer
	for pause := time.Millisecond; ; pause = min(2*pause, pingPause) {
		select {
		case <-ctx.Done():
			return false
		case <-b.e.ready:
			return false
		case <-time.After(pause):
		}
		nc, err := d.DialContext(ctx, "tcp", address)
		if err != nil {
			continue
		}
		b.nc = &boundedConn{Conn: nc}
		b.nc.allow()
		b.rpc = rpc.NewClient(b.nc)
		stop := context.AfterFunc(ctx, func() { nc.Close() })
		err = b.rpc.Call("Function.Ping", &messages.PingRequest{}, &messages.PingResponse{})
		stop()
		if err == nil {
			return true
		}
		b.rpc.Close()
	}
}

// carry takes one invocation to the program and its answer back; false when the
// environment is over.
func (b *rpcBridge) carry(ctx context.Context) bool {
	id, request, err := b.next(ctx)
	if err != nil {
		return false
	}
	b.nc.allow()
	var reply messages.InvokeResponse
	err = b.rpc.Call("Function.Invoke", request, &reply)
	refused := rpc.ServerError("")
	switch {
	case err == nil && reply.Error == nil:
		return b.post(ctx, id+"/response", reply.Payload) == nil
	case err == nil:
		return b.post(ctx, id+"/error", goErrorPayload(reply.Error)) == nil && !b.exit(reply.Error.ShouldExit)
	case errors.As(err, &refused):
		return b.post(ctx, id+"/error", errorPayload("Runtime.Unknown", err.Error())) == nil
	case b.nc.exceeded.Load():
		b.post(ctx, id+"/error", tooLarge().payload)
	}
	// The program ends, which is its answer, or it can't be reached any more.
	return !b.exit(true)
}

// exit ends a program that panicked or hung up.
func (b *rpcBridge) exit(should bool) bool {
	if should {
		b.e.retire(exitItself)
	}
	return should
}

// next waits for the next invocation.
func (b *rpcBridge) next(ctx context.Context) (id string, _ *messages.InvokeRequest, _ error) {
	res, err := b.ask(ctx, http.MethodGet, "next", nil)
	if err != nil {
		return "", nil, err
	}
	defer res.Body.Close()
	payload, err := io.ReadAll(res.Body)
	if err != nil {
		return "", nil, err
	}
	h := res.Header
	deadline, err := strconv.ParseInt(h.Get("Lambda-Runtime-Deadline-Ms"), 10, 64)
	if err != nil {
		return "", nil, err
	}
	id = h.Get("Lambda-Runtime-Aws-Request-Id")
	return id, &messages.InvokeRequest{
		Payload:            payload,
		RequestId:          id,
		XAmznTraceId:       h.Get("Lambda-Runtime-Trace-Id"),
		Deadline:           messages.InvokeRequest_Timestamp{Seconds: deadline / 1000, Nanos: deadline % 1000 * 1_000_000},
		InvokedFunctionArn: h.Get("Lambda-Runtime-Invoked-Function-Arn"),
		ClientContext:      []byte(h.Get("Lambda-Runtime-Client-Context")),
	}, nil
}

// post hands an answer to the Runtime API, which may refuse it: then it has
// answered in its own words.
func (b *rpcBridge) post(ctx context.Context, path string, body []byte) error {
	res, err := b.ask(ctx, http.MethodPost, path, body)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, res.Body)
	res.Body.Close()
	return err
}

func (b *rpcBridge) ask(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+b.e.host+apiPrefix+"/invocation/"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return b.http.Do(r)
}

// goErrorPayload is a function error as the go1.x runtime shows it.
func goErrorPayload(e *messages.InvokeResponse_Error) []byte {
	payload, err := json.Marshal(e)
	if err != nil {
		return errorPayload(e.Type, e.Message)
	}
	return payload
}

// A boundedConn ends after maxRPCAnswer bytes that nobody allowed.
type boundedConn struct {
	net.Conn
	left     atomic.Int64
	exceeded atomic.Bool
}

// allow lets one more answer in.
func (c *boundedConn) allow() { c.left.Store(maxRPCAnswer) }

// Read reads within the bound.
func (c *boundedConn) Read(p []byte) (int, error) {
	left := c.left.Load()
	if left <= 0 {
		c.exceeded.Store(true)
		return 0, errors.New("the answer is too large")
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), left)])
	c.left.Add(-int64(n))
	return n, err
}
