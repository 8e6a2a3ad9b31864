package serve

import (
	"bytes"
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"
)

// connectConfig is one API whose $connect is a constant answer.
const connectConfig = `
data_dir: data
listeners: { public: "127.0.0.1:0", management: off, admin: off }
identities:
  - { name: backend, access_key_id: backend, secret_access_key: "backend-secret-key" }
apis:
  - name: bench
    route_selection_expression: $request.body.action
    stages: [{ name: bench }]
    routes:
      - route_key: $connect
        integration:
          integration_type: MOCK
          template_selection_expression: \$default
          request_templates: { $default: '{"statusCode":200}' }
          integration_responses: [{ integration_response_key: $default }]
`

// BenchmarkConnect is a client that connects and stays, through everything that
// serve runs. The clients are descriptors and allocate nothing: the allocations are
// the server's. cpu-ns is the whole process's, both ends of each connection.
func BenchmarkConnect(b *testing.B) {
	host := serveFile(b, connectConfig)
	addr, err := net.ResolveTCPAddr("tcp", host)
	if err != nil {
		b.Fatal(err)
	}
	to := &syscall.SockaddrInet4{Port: addr.Port, Addr: [4]byte(addr.IP.To4())}
	handshake := []byte("GET /bench HTTP/1.1\r\nHost: " + host + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	const atOnce, held = 32, 4096
	fds := make([]int, 0, held)
	defer func() { leave(fds) }()
	answer := make([]byte, 4<<10)
	b.ReportAllocs()
	cpu := time.Duration(0)
	began := processTime()
	for b.Loop() {
		if len(fds) == held {
			b.StopTimer()
			cpu += processTime() - began
			leave(fds)
			fds = fds[:0]
			time.Sleep(100 * time.Millisecond) // the server sees the ends
			began = processTime()
			b.StartTimer()
		}
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			b.Fatal(err)
		}
		fds = append(fds, fd)
		if err := syscall.Connect(fd, to); err != nil {
			b.Fatal(err)
		}
		if _, err := syscall.Write(fd, handshake); err != nil {
			b.Fatal(err)
		}
		if len(fds)%atOnce != 0 {
			continue
		}
		for _, fd := range fds[len(fds)-atOnce:] {
			n, err := syscall.Read(fd, answer)
			if err != nil || !bytes.HasPrefix(answer[:n], []byte("HTTP/1.1 101 ")) {
				b.Fatalf("%q, %v", answer[:n], err)
			}
		}
	}
	cpu += processTime() - began
	b.ReportMetric(float64(cpu)/float64(b.N), "cpu-ns/op")
}

// leave closes the clients' ends with a reset, so that no port stays in use.
func leave(fds []int) {
	for _, fd := range fds {
		syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
		syscall.Close(fd)
	}
}

// processTime is the CPU that this process has used.
func processTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(fmt.Sprint("getrusage: ", err))
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
