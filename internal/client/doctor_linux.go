package client

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"tidegate/internal/uring"
)

// freeBytes is the space that this user may take.
func freeBytes(dir string) (uint64, bool) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, false
	}
	return s.Bavail * uint64(s.Bsize), true
}

// kernel looks at the limits that many connections and watched files meet.
func kernel() []Check {
	var checks []Check
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err == nil {
		c := Check{"descriptors", OK, fmt.Sprintf("%d now, %d at most", limit.Cur, limit.Max), ""}
		if limit.Max < 4096 { // Go raises the former to the latter
			c.State, c.Do = Warn, "each connection takes one: ulimit -Hn 65536, or LimitNOFILE of the service"
		}
		checks = append(checks, c)
	}
	c := Check{"io_uring", OK, "a message for many leaves by one system call for 64 of them", ""}
	if r, err := uring.New(1); err != nil {
		c.State, c.Found = Warn, err.Error()
		c.Do = "a message for many costs about 1.4 times the CPU: sysctl kernel.io_uring_disabled=0, or allow it in the container's seccomp profile; Linux 5.19 or newer"
	} else {
		r.Close()
	}
	checks = append(checks, c)
	for _, s := range []struct {
		name, file string
		least      int
		do         string
	}{
		{"inotify watches", "fs/inotify/max_user_watches", 8192, "sysctl fs.inotify.max_user_watches=65536: saved files are seen late or not at all otherwise"},
		{"inotify instances", "fs/inotify/max_user_instances", 64, "sysctl fs.inotify.max_user_instances=512"},
		{"accept queue", "net/core/somaxconn", 128, "sysctl net.core.somaxconn=4096: many clients that come at once are turned away otherwise"},
	} {
		b, err := os.ReadFile("/proc/sys/" + s.file)
		if err != nil {
			continue
		}
		n, err := strconv.Atoi(strings.TrimSpace(string(b)))
		if err != nil {
			continue
		}
		c := Check{s.name, OK, strconv.Itoa(n), ""}
		if n < s.least {
			c.State, c.Do = Warn, s.do
		}
		checks = append(checks, c)
	}
	return checks
}
