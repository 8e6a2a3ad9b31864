//go:build unix

package systemd

import (
	"net"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"
)

// TestNotifier holds what is told to sd_notify's protocol: a datagram for each, an
// assignment a line.
func TestNotifier(t *testing.T) {
	sockets := []string{filepath.Join(t.TempDir(), "notify")}
	if runtime.GOOS == "linux" {
		sockets = append(sockets, "@tidegate-test-"+strconv.FormatInt(time.Now().UnixNano(), 36)) // in the abstract namespace
	}
	for _, socket := range sockets {
		c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		n := Notifier{Socket: socket}
		for _, tt := range []struct {
			err  error
			want string
		}{
			{n.Ready("2 APIs from a\nfile"), "READY=1\nSTATUS=2 APIs from a file"},
			{n.Reloading(), "RELOADING=1"},
			{n.MainPID(77, "here"), "MAINPID=77\nREADY=1\nSTATUS=here"},
			{n.Stopping(), "STOPPING=1"},
		} {
			if tt.err != nil {
				t.Fatal(tt.err)
			}
			b := make([]byte, 200)
			k, err := c.Read(b)
			if got := string(b[:k]); err != nil || got != tt.want {
				t.Errorf("told %q, %v, want %q", got, err, tt.want)
			}
		}
		c.Close()
		if err := n.Ready("gone"); err == nil {
			t.Errorf("%s: telling nobody is no error", socket)
		}
	}
	if err := (Notifier{}).Ready("nobody asked"); err != nil {
		t.Errorf("without a socket: %v", err)
	}
}
