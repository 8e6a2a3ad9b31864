package server

import (
	"crypto/tls"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/awshttp"
	"tidegate/internal/clock"
	"tidegate/internal/observe"
)

// Options say what a server is made of. The zero value of a field is no default
// unless it says so.
type Options struct {
	DataDir  string // everything durable
	StateDir string // per user: the certificate authority; see UserDirs
	CacheDir string // per user: what can be fetched again; see UserDirs
	Hosts    []string
	Ports    []int // 0 takes any free one
	Region   string
	Account  string
	IAM      awshttp.Mode
	// AllowOrigins are web origins that may call everything, as the guard of
	// edge takes them.
	AllowOrigins []string
	// Loopback says that only this machine can reach Hosts: well-known keys are
	// the root's. Otherwise a random root key is made in the data dir.
	Loopback bool
	// Folders lets a function's code be a folder of this machine.
	Folders bool
	// NoRecord keeps nothing of what clients send: there is no replay.
	NoRecord bool
	Observer *observe.Observer
	// Certificates are what custom domain names are served with, by name; each other
	// gets one of an authority of its own.
	Certificates map[string]*tls.Certificate
	// Inspect returns the port on which a debugger attaches to a function, 0 for
	// none. What calls such a function waits as long as it takes. May be nil.
	Inspect func(function string) int
	// Endpoints say where services are that integrations call, by the environment
	// variable that the SDKs know: AWS_ENDPOINT_URL_SQS.
	Endpoints map[string]*url.URL
	// Limits are the account's; the zero value means AWS's.
	Limits apigw.Limits
	// WebhookSecret signs calls of HTTP backends in mode extended; nil: nothing does.
	WebhookSecret []byte
	// Fallback is where calls to services that Tidegate lacks go; nil refuses them.
	Fallback *url.URL
	// Clock is what connections' idle time and lifetime, throttles, schedules and
	// tables' time to live go by; nil is the machine's. Signatures, functions and
	// the network always use the machine's.
	Clock clock.Clock
	// Serve makes it a server in production; nil: it is up's. Hosts, Ports, IAM,
	// Loopback and what belongs to functions then mean nothing.
	Serve *Serve
	// Patience is how long to wait for another process to let go of the data dir; 0 is
	// long enough for one that is just exiting.
	Patience time.Duration
	// Hold opens everything and accepts nobody until Accept is called.
	Hold bool
	// Display turns a function's or rule's name into what a person calls it.
	Display func(name string) string
}

// UserDirs returns the folders of this user that outlive any project: for state
// that must be kept (the certificate authority) and for caches. They follow the
// XDG base directory specification, and the system's customs elsewhere.
func UserDirs() (state, cache string, err error) {
	cache, err = os.UserCacheDir()
	if err != nil {
		return "", "", fmt.Errorf("find the user's cache folder: %w; set XDG_CACHE_HOME", err)
	}
	state = os.Getenv("XDG_STATE_HOME")
	if state == "" && runtime.GOOS == "linux" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", "", fmt.Errorf("find the user's home: %w; set XDG_STATE_HOME", err)
		}
		state = filepath.Join(home, ".local", "state")
	}
	if state == "" {
		if state, err = os.UserConfigDir(); err != nil {
			return "", "", fmt.Errorf("find the user's state folder: %w; set XDG_STATE_HOME", err)
		}
	}
	return filepath.Join(state, "tidegate"), filepath.Join(cache, "tidegate"), nil
}
