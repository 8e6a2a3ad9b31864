package server

import (
	"syscall"
	"testing"
)

// A listener speaks TCP alone, also where the kernel has Multipath TCP.
func TestListenersSpeakTCPAlone(t *testing.T) {
	named, err := listenOn("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer named.Close()
	ours, err := listen([]string{"127.0.0.1"}, []int{0})
	if err != nil {
		t.Fatal(err)
	}
	defer ours[0].Close()
	for _, l := range []any{named, ours[0]} {
		rc, err := l.(syscall.Conn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		rc.Control(func(fd uintptr) {
			protocol, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_PROTOCOL)
			if err != nil || protocol != syscall.IPPROTO_TCP {
				t.Errorf("the socket's protocol is %d (%v), want TCP's, %d", protocol, err, syscall.IPPROTO_TCP)
			}
		})
	}
}
