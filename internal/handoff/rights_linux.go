package handoff

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// maxFiles is how many files one message takes (SCM_MAX_FD).
const maxFiles = 253

// rightsSize is the room for as many.
var rightsSize = syscall.CmsgSpace(4 * maxFiles)

// rights encodes files for a socket.
func rights(files []*os.File) ([]byte, error) {
	if len(files) == 0 {
		return nil, nil
	}
	if len(files) > maxFiles {
		return nil, fmt.Errorf("%d files are more than go at once", len(files))
	}
	fds := make([]int, len(files))
	for i, f := range files {
		// Fd would make sockets block. The numbers are used before the files can go.
		rc, err := f.SyscallConn()
		if err != nil {
			return nil, err
		}
		if err := rc.Control(func(fd uintptr) { fds[i] = int(fd) }); err != nil {
			return nil, err
		}
	}
	return syscall.UnixRights(fds...), nil
}

// filesOf returns the files that came with a read. They close themselves on exec.
func filesOf(oob []byte, flags int) (files []*os.File, err error) {
	if flags&syscall.MSG_CTRUNC != 0 {
		err = errFilesLost
	}
	if len(oob) == 0 {
		return nil, err
	}
	messages, perr := syscall.ParseSocketControlMessage(oob)
	err = errors.Join(err, perr)
	for i := range messages {
		fds, perr := syscall.ParseUnixRights(&messages[i])
		err = errors.Join(err, perr)
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "handed off"))
		}
	}
	return files, err
}

// mayAsk says why whoever is at the other end of a socket may not ask for a hand-off:
// it starts a program of his choice as this process's user.
func mayAsk(c *net.UnixConn) error {
	rc, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var who *syscall.Ucred
	var cerr error
	if err := rc.Control(func(fd uintptr) {
		who, cerr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); err != nil {
		return err
	}
	if cerr != nil {
		return os.NewSyscallError("getsockopt", cerr)
	}
	if own := os.Geteuid(); who.Uid != 0 && int(who.Uid) != own {
		return fmt.Errorf("the user with the id %d may not ask: this process is run by %d", who.Uid, own)
	}
	return nil
}

// socketPair returns two connected sockets.
func socketPair() (a, b *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return os.NewFile(uintptr(fds[0]), "hand-off"), os.NewFile(uintptr(fds[1]), "hand-off"), nil
}
