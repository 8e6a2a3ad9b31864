// Package peers is what the bench measures beside Tidegate, and the HTTP backend
// that all of them route to.
package peers

import (
	_ "embed"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"tidegate/bench/proc"
)

//go:embed nginx.conf
var nginxConf string

//go:embed nchan.conf
var nchanConf string

// nchanModule is where Debian's package libnginx-mod-nchan puts it.
const nchanModule = "/usr/lib/nginx/modules/ngx_nchan_module.so"

// Installed says what is missing for a peer, nil when it can be started.
func Installed(name string) error {
	switch name {
	case "gws":
		return nil
	case "nginx", "nchan":
		if _, err := exec.LookPath("nginx"); err != nil {
			return fmt.Errorf("%s: nginx is not installed; on Debian: apt-get install nginx libnginx-mod-nchan", name)
		}
		if _, err := os.Stat(nchanModule); name == "nchan" && err != nil {
			return fmt.Errorf("nchan is not installed; on Debian: apt-get install libnginx-mod-nchan")
		}
		return nil
	}
	return fmt.Errorf("there is no peer %q; there are nginx, nchan and gws", name)
}

// startTime is how long a peer may take to accept connections.
const startTime = 10 * time.Second

// StartNginx runs nginx, as a reverse proxy or with nchan, in a new folder below
// dir, on the address listen.
func StartNginx(nchan bool, dir, listen, backend string) (*proc.Group, error) {
	own, err := os.MkdirTemp(dir, "nginx-")
	if err != nil {
		return nil, err
	}
	text := nginxConf
	if nchan {
		text = nchanConf
	}
	text = strings.NewReplacer("@DIR@", own, "@LISTEN@", listen, "@BACKEND@", backend, "@NCHAN@", nchanModule).Replace(text)
	file := filepath.Join(own, "nginx.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return start(own, []string{listen}, "nginx", "-e", filepath.Join(own, "error.log"), "-c", file, "-p", own)
}

// StartSelf runs a program of this package: this executable with the given
// arguments. It is ready when it accepts at each of the addresses.
func StartSelf(dir string, addresses []string, args ...string) (*proc.Group, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	own, err := os.MkdirTemp(dir, args[0]+"-")
	if err != nil {
		return nil, err
	}
	return start(own, addresses, self, args...)
}

func start(dir string, addresses []string, program string, args ...string) (*proc.Group, error) {
	log, err := os.Create(filepath.Join(dir, "said"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	g := proc.NewGroup()
	if _, err := g.Start(log, dir, nil, program, args...); err != nil {
		return nil, err
	}
	for end := time.Now().Add(startTime); len(addresses) > 0; {
		c, err := net.Dial("tcp", addresses[0])
		if err == nil {
			c.Close()
			addresses = addresses[1:]
			continue
		}
		if !g.Alive() || time.Now().After(end) {
			g.End()
			said, _ := os.ReadFile(log.Name())
			return nil, fmt.Errorf("%s does not accept: %w; it said:\n%s", program, err, said)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return g, nil
}
