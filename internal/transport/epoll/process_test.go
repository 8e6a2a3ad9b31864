//go:build linux

package epoll

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"tidegate/internal/transport"
	"tidegate/internal/transport/transporttest"
	"tidegate/ws"
)

// childEnv makes a run of this test's program the process that takes connections
// over; see TestMain.
const childEnv = "TIDEGATE_TEST_THAW"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		if err := thawAll(); err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// namingHandler echoes behind its process's id.
type namingHandler struct{ handler }

func (namingHandler) OnMessage(c transport.Conn, m transport.Message) {
	c.Send(fmt.Appendf(nil, "%d %s", os.Getpid(), m.Payload), m.Binary)
}
func (namingHandler) OnClose(transport.Conn, transport.CloseReason) {}
func (namingHandler) Freeze(transport.Conn) ([]byte, error)         { return []byte("half"), nil }
func (namingHandler) Thaw(_ transport.Conn, data []byte) error {
	if string(data) != "half" {
		return fmt.Errorf("data is %q", data)
	}
	return nil
}

// sendBatch writes a batch on the socket between the processes, and waits until it
// was taken: the length of the states, then the states, with the first the sockets.
func sendBatch(to *net.UnixConn, fs []transport.Frozen) error {
	fds := make([]int, len(fs))
	body := make([]transport.Frozen, len(fs))
	for i, f := range fs {
		body[i] = transport.Frozen{Listener: f.Listener, State: f.State, Data: f.Data}
		if err := control(f.File, func(fd int) error { fds[i] = fd; return nil }); err != nil {
			return err
		}
	}
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	if _, _, err := to.WriteMsgUnix(binary.BigEndian.AppendUint32(nil, uint32(len(b))), syscall.UnixRights(fds...), nil); err != nil {
		return err
	}
	if _, err := to.Write(b); err != nil {
		return err
	}
	_, err = io.ReadFull(to, make([]byte, 1))
	return err
}

// receiveBatch reads what sendBatch wrote; io.EOF behind the last.
func receiveBatch(from *net.UnixConn) ([]transport.Frozen, error) {
	size, oob := make([]byte, 4), make([]byte, syscall.CmsgSpace(4*250))
	n, oobn, _, _, err := from.ReadMsgUnix(size, oob)
	if err != nil || n == 0 {
		return nil, io.EOF
	}
	messages, err := syscall.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("%d control messages: %v", len(messages), err)
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(size))
	if _, err := io.ReadFull(from, b); err != nil {
		return nil, err
	}
	var fs []transport.Frozen
	if err := json.Unmarshal(b, &fs); err != nil {
		return nil, err
	}
	for i := range fs {
		fs[i].File = os.NewFile(uintptr(fds[i]), "socket")
	}
	return fs, nil
}

// thawAll is the second process: it serves the listener that it inherited, and
// takes what comes, until the first process is gone.
func thawAll() error {
	conn, err := net.FileConn(os.NewFile(3, "batches"))
	if err != nil {
		return err
	}
	l, err := net.FileListener(os.NewFile(4, "listener"))
	if err != nil {
		return err
	}
	e, err := New(Config{Limits: transport.DefaultLimits()})
	if err != nil {
		return err
	}
	h := namingHandler{newHandler()}
	go func() {
		for range h.conns {
		}
	}()
	go e.Serve(l, h, nil)
	from := conn.(*net.UnixConn)
	for {
		fs, err := receiveBatch(from)
		if err == io.EOF {
			return e.Close()
		}
		if err != nil {
			return err
		}
		if err := e.Thaw(h, nil, fs); err != nil {
			return err
		}
		if _, err := from.Write([]byte{1}); err != nil {
			return err
		}
	}
}

// Connections move to another process, which goes on where this one stopped, and
// this one can close all that it has.
func TestMoveToAnotherProcess(t *testing.T) {
	h := namingHandler{newHandler()}
	h.conns = make(chan transport.Conn, 1000)
	e, err := New(Config{Limits: transport.DefaultLimits()})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- e.Serve(l, h, nil) }()
	said := func(pid int, text string) []byte {
		return ws.AppendFrame(nil, ws.OpText, true, fmt.Appendf(nil, "%d %s", pid, text))
	}
	message := func(text string) []byte {
		return ws.AppendMaskedFrame(nil, ws.OpText, true, [4]byte{1, 2, 3, 4}, []byte(text))
	}
	const n = 100
	clients := make([]net.Conn, n)
	unsent := make([]int, n)
	fill := strings.Repeat("f", 10_000)
	for i := range clients {
		clients[i] = dial(t, l.Addr().String())
		transporttest.Open(t, clients[i])
		conn := <-h.conns
		clients[i].Write(message("here"))
		expect(t, clients[i], said(os.Getpid(), "here"))
		switch i % 10 {
		case 0: // in mid-frame
			clients[i].Write(append(ws.AppendMaskedFrame(nil, ws.OpPing, true, [4]byte{}, nil), message("there")[:3+i%7]...))
			expect(t, clients[i], ws.AppendFrame(nil, ws.OpPong, true, nil))
		case 5: // with unsent output
			for conn.Send([]byte(fill), false) == nil {
				unsent[i]++
			}
		}
	}
	child, to := startChild(t, l)
	left, err := e.Freeze(t.Context(), 30, func(fs []transport.Frozen) error { return sendBatch(to, fs) })
	if err != nil || left.Total() != 0 {
		t.Fatalf("Freeze: %v, %v", left, err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-served; err != transport.ErrEngineClosed {
		t.Errorf("Serve: %v", err)
	}
	for i, c := range clients {
		frame := ws.AppendFrame(nil, ws.OpText, true, []byte(fill))
		for range unsent[i] {
			expect(t, c, frame)
		}
		m := message("there")
		if i%10 == 0 {
			m = m[3+i%7:]
		}
		c.Write(m)
		expect(t, c, said(child, "there"))
	}
	late := dial(t, l.Addr().String()) // the address stays
	transporttest.Open(t, late)
	late.Write(message("new"))
	expect(t, late, said(child, "new"))
	to.Close() // ends the child, which tells its clients
	for _, c := range slices.Concat(clients, []net.Conn{late}) {
		expect(t, c, ws.AppendClose(nil, 1001, "Going away"))
		c.Write(ws.AppendMaskedFrame(nil, ws.OpClose, true, [4]byte{}, []byte{3, 233}))
	}
}

// startChild starts the second process and returns its id and the socket to it.
func startChild(t *testing.T, l net.Listener) (int, *net.UnixConn) {
	t.Helper()
	to, far := socketPair(t)
	defer far.Close()
	to.SetDeadline(time.Now().Add(time.Minute))
	listener, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"=1")
	cmd.ExtraFiles = []*os.File{far, listener}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		to.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the second process: %v", err)
		}
	})
	return cmd.Process.Pid, to
}
