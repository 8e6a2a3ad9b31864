// Package systemd tells the service manager how a service of Type=notify is, by
// the protocol of sd_notify.
//
// Source: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
package systemd

import (
	"fmt"
	"net"
	"strings"
)

// A Notifier tells who listens at a socket. The zero value tells nobody.
type Notifier struct {
	Socket string // $NOTIFY_SOCKET: a path, or @NAME in the abstract namespace
}

// Ready says that the service is up, or again after Reloading.
func (n Notifier) Ready(status string) error { return n.tell("READY=1", "STATUS="+status) }

// Reloading says that the service reads its configuration again; Ready follows.
func (n Notifier) Reloading() error { return n.tell("RELOADING=1") }

// Stopping says that the service has begun to end.
func (n Notifier) Stopping() error { return n.tell("STOPPING=1") }

// MainPID says that the service goes on in another process, which is up and stays
// when this one ends.
func (n Notifier) MainPID(pid int, status string) error {
	return n.tell(fmt.Sprintf("MAINPID=%d", pid), "READY=1", "STATUS="+status)
}

func (n Notifier) tell(lines ...string) error {
	if n.Socket == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.Socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell systemd: %w", err)
	}
	defer c.Close()
	for i, line := range lines {
		lines[i] = strings.ReplaceAll(line, "\n", " ")
	}
	if _, err := c.Write([]byte(strings.Join(lines, "\n"))); err != nil {
		return fmt.Errorf("tell systemd: %w", err)
	}
	return nil
}
