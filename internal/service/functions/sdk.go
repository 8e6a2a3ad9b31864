package functions

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Lambda's runtimes bring the AWS SDK for JavaScript: version 2 up to
// nodejs16.x, version 3 since nodejs18.x.
// https://docs.aws.amazon.com/lambda/latest/dg/lambda-nodejs.html
const sdkV2 = "2.1693.0"

// sdkV3 are the packages that each installation of version 3 has, for Node.js
// 20 and newer. Clients that code names besides are taken up to sdkV3Limit.
var sdkV3 = map[string]string{
	"@aws-sdk/client-apigatewaymanagementapi": "3.1169.0",
	"@aws-sdk/client-dynamodb":                "3.1164.0",
	"@aws-sdk/client-eventbridge":             "3.1169.0",
	"@aws-sdk/client-lambda":                  "3.1164.0",
	"@aws-sdk/client-sts":                     "3.1169.0",
	"@aws-sdk/lib-dynamodb":                   "3.1162.0",
	"@aws-sdk/util-dynamodb":                  "3.996.9",
}

// The last release line that runs on Node.js 18, which gave all packages one
// number.
const (
	sdkV3Limit = "3.1169.0"
	sdkV3Old   = "3.637.0"
)

// fewRetries has npm ask a registry that doesn't answer again once and soon, not
// twice and up to a minute apart: whoever waits for up shall hear of it. The least
// pause must not exceed the greatest, or npm fails.
var fewRetries = []string{"--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000"}

// sdkInstallLimit bounds one installation.
const sdkInstallLimit = 10 * time.Minute

// An sdkCache holds installations of the SDK, a folder for each set of
// packages, shared by all of a user's processes.
type sdkCache struct {
	dir    string
	events *EventListener
	node   func() (string, error)
	run    func(ctx context.Context, cmd *exec.Cmd, limit time.Duration) (string, error)

	mu      sync.Mutex
	version func() int // the major version of Node.js
}

// ensure returns a folder whose node_modules has the packages.
func (c *sdkCache) ensure(ctx context.Context, fn *function, names map[string]bool) (string, error) {
	label, specs := c.specs(fn, names)
	advice := fmt.Sprintf("run \"npm install %s\" in the function's folder", strings.Join(slices.Sorted(maps.Keys(names)), " "))
	if c.dir == "" {
		return "", errors.New("the function needs the AWS SDK, and there is no cache to install it into: " + advice)
	}
	// One installation at a time is all that a machine's npm likes.
	c.mu.Lock()
	defer c.mu.Unlock()
	folder := filepath.Join(c.dir, "sdk", label)
	if isFolder(folder) {
		return folder, nil
	}
	if ctx.Err() != nil {
		return "", errClosed
	}
	began := time.Now()
	c.events.progress(Progress{Function: fn.Name, Text: "installing the AWS SDK that Lambda brings (" + label + "), once"})
	if err := c.install(ctx, folder, specs); err != nil {
		if ctx.Err() != nil {
			return "", errClosed
		}
		err = fmt.Errorf("the AWS SDK that the function needs could not be installed: %w; %s, or try again when the network is there", err, advice)
		c.events.progress(Progress{Function: fn.Name, Text: "installing the AWS SDK", Err: err})
		return "", err
	}
	c.events.progress(Progress{Function: fn.Name, Text: fmt.Sprintf("installed the AWS SDK (%s) in %.1f s", label, time.Since(began).Seconds())})
	return folder, nil
}

// wait waits for the installation under way, if any.
func (c *sdkCache) wait() {
	c.mu.Lock()
	defer c.mu.Unlock()
}

// specs returns the set's name and what npm is asked for.
func (c *sdkCache) specs(fn *function, names map[string]bool) (label string, specs []string) {
	if !fn.bringsV3() {
		return "v2-" + sdkV2, []string{"aws-sdk@" + sdkV2}
	}
	old := c.nodeMajor() < 20
	limit := sdkV3Limit
	if old {
		limit = sdkV3Old
	}
	extra := false
	for name, version := range sdkV3 {
		if old {
			version = sdkV3Old
		}
		specs = append(specs, name+"@"+version)
	}
	for name := range names {
		if _, base := sdkV3[name]; base {
			continue
		}
		extra = true
		if strings.HasPrefix(name, "@smithy/") {
			specs = append(specs, name) // numbered apart from the clients
			continue
		}
		specs = append(specs, name+"@<="+limit)
	}
	slices.Sort(specs)
	label = "v3-" + limit
	if extra {
		sum := sha256.Sum256([]byte(strings.Join(specs, " ")))
		label += "-" + hex.EncodeToString(sum[:6])
	}
	return label, specs
}

// nodeMajor returns the version of this machine's Node.js, 0 when it can't be
// told. The caller doesn't hold c.mu.
func (c *sdkCache) nodeMajor() int {
	c.mu.Lock()
	if c.version == nil {
		c.version = sync.OnceValue(func() int {
			node, err := c.node()
			if err != nil {
				return 0
			}
			out, err := exec.Command(node, "--version").Output()
			if err != nil {
				return 0
			}
			major, _, _ := strings.Cut(strings.TrimPrefix(string(out), "v"), ".")
			n, err := strconv.Atoi(major)
			if err != nil {
				return 0
			}
			return n
		})
	}
	version := c.version
	c.mu.Unlock()
	return version()
}

// npmReason is what npm said, on one line, without its stack trace and where it
// keeps its log.
func npmReason(out string) string {
	const most = 300
	var parts []string
	for line := range strings.Lines(out) {
		line = strings.TrimRight(strings.TrimPrefix(strings.TrimPrefix(line, "npm error"), "npm ERR!"), " \r\n")
		text := strings.TrimSpace(line)
		if text == "" || strings.HasPrefix(text, "at ") || strings.HasPrefix(text, "A complete log") {
			continue
		}
		parts = append(parts, text)
	}
	reason := strings.Join(parts, "; ")
	if len(reason) > most {
		reason = strings.ToValidUTF8(reason[:most], "") + "…"
	}
	return reason
}

// install has npm fill the folder.
func (c *sdkCache) install(ctx context.Context, folder string, specs []string) error {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return errors.New("there is no npm on PATH")
	}
	return fillFolder(folder, func(tmp string) error {
		if err := os.WriteFile(filepath.Join(tmp, "package.json"), []byte("{\"private\":true}\n"), 0o644); err != nil {
			return err
		}
		args := append([]string{"install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-progress", "--loglevel=error", "--save-exact"}, fewRetries...)
		cmd := exec.Command(npm, append(args, specs...)...)
		cmd.Dir = tmp
		if out, err := c.run(ctx, cmd, sdkInstallLimit); err != nil {
			return fmt.Errorf("npm: %w: %s", err, npmReason(out))
		}
		if !isFolder(filepath.Join(tmp, "node_modules")) {
			return errors.New("npm installed nothing")
		}
		return nil
	})
}
