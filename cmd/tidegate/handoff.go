package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"tidegate/internal/config"
	"tidegate/internal/handoff"
	"tidegate/internal/serve"
)

func handoffCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "handoff",
		Short: "Replace a running serve by another process, without a client noticing",
		Long: `Replace a running tidegate serve by a new process: of the program as it is on disk
now, with the configuration as it is now. Listeners and connections go over, nobody is
disconnected, connection ids stay valid. If the new process can't take over, the old one
goes on, and this command says why and fails.
The process is found by its data directory. Linux only.`,
		Example: `  tidegate handoff --data-dir /var/lib/tidegate
  tidegate handoff --binary /opt/tidegate-2/tidegate`,
		Args: arguments(0, 0, "no arguments"),
	}
	f := cmd.Flags()
	dir := f.String("data-dir", "", "the data `DIR` of the process (default: the configuration's)")
	file := f.String("config", "", "the configuration `FILE` that names the data dir (default: as serve finds it)")
	binary := f.String("binary", "", "the new program's `PATH` (default: the one that runs, as it is on disk now)")
	wait := f.Duration("wait", time.Minute, "how long to wait for an earlier hand-off to end")
	asJSON := f.Bool("json", false, "print each step as a line of JSON, the result last")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		found, err := dataDirOf(*dir, *file)
		if err != nil {
			return err
		}
		r := handoff.Request{}
		if *binary != "" {
			if r.Binary, err = filepath.Abs(*binary); err != nil {
				return err
			}
			if _, err := os.Stat(r.Binary); err != nil {
				return usage("--binary: %v", err)
			}
		}
		heard := func(p handoff.Progress) {
			if *asJSON {
				json.NewEncoder(os.Stdout).Encode(p)
			} else if p.Step != handoff.Moving { // there is one for each batch
				fmt.Println(p)
			}
		}
		result, err := askUntil(cmd.Context(), found, r, *wait, heard)
		if err != nil {
			return err
		}
		if *asJSON {
			json.NewEncoder(os.Stdout).Encode(result)
		}
		return outcomeOf(result, *asJSON)
	}
	return cmd
}

// dataDirOf returns the data dir that a flag or the configuration names.
func dataDirOf(dir, file string) (string, error) {
	if dir != "" {
		return filepath.Abs(dir)
	}
	found, err := config.Find(file)
	if err != nil {
		return "", usage("%v; or name the data dir with --data-dir", err)
	}
	c, _, err := config.Load(found, os.Environ())
	if err != nil {
		return "", &exitError{exitUsage, fmt.Errorf("%w\ntidegate: to hand off without reading the configuration, name the data dir with --data-dir", err)}
	}
	return c.DataDir, nil
}

// askUntil asks for a hand-off, again while an earlier one isn't over.
func askUntil(ctx context.Context, dir string, r handoff.Request, wait time.Duration, heard func(handoff.Progress)) (handoff.Result, error) {
	for began, told := time.Now(), false; ; {
		result, err := handoff.Ask(ctx, dir, r, heard)
		if err != nil || !result.Busy || time.Since(began) > wait {
			return result, err
		}
		if !told {
			told = true
			fmt.Fprintf(os.Stderr, "%s; waiting up to %v\n", result.Error, wait)
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return result, ctx.Err()
		}
	}
}

// outcomeOf says how it ended.
func outcomeOf(r handoff.Result, quiet bool) error {
	if r.Error != "" {
		return &exitError{exitFailed, errors.New("tidegate: " + r.Error)}
	}
	if r.Refused != "" {
		return &exitError{exitFailed, fmt.Errorf("tidegate: the new process took only %d connections; the other %d are closed with 1012: %s", r.Connections, r.Left, r.Refused)}
	}
	if !quiet && r.Left > 0 {
		fmt.Printf("%d connections that wait for an answer follow when they have it\n", r.Left)
	}
	return nil
}

// handOffOf says how this process hands off, and whether it was started to take over.
func handOffOf() (serve.HandOff, error) {
	version, revision := buildVersion()
	if revision != "" {
		version += " (" + revision + ")"
	}
	h := serve.HandOff{Version: version, Signal: handOffSignals(), Command: successorOf}
	text, ok := os.LookupEnv(handoff.Variable)
	if !ok {
		return h, nil
	}
	os.Unsetenv(handoff.Variable) // it is about this process alone
	fd, err := strconv.ParseUint(text, 10, 16)
	if err != nil || fd < 3 {
		return h, usage("%s=%q is for a process that takes over from another, which sets it", handoff.Variable, text)
	}
	h.Descriptor = uintptr(fd)
	return h, nil
}

// startedAs is the path by which this program was started: a link that leads to
// another version by then leads there.
var startedAs = func() string {
	path, err := exec.LookPath(os.Args[0])
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return ""
	}
	return path
}()

// successorOf starts the program at a path, "" for this one as it is on disk now,
// with this process's arguments, variables and output.
func successorOf(binary string) *exec.Cmd {
	if binary == "" {
		binary = startedAs
	}
	if _, err := os.Stat(binary); err != nil {
		if own, err := os.Executable(); err == nil {
			binary = own // Linux says so however the file was replaced
		}
	}
	c := exec.Command(binary, os.Args[1:]...)
	c.Env, c.Stdout, c.Stderr = os.Environ(), os.Stdout, os.Stderr
	return c
}
