package main

import (
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"tidegate/internal/client"
	"tidegate/internal/server"
)

func doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look whether this machine is fit to run Tidegate",
		Long: `Look whether this machine is fit to run Tidegate: runtimes of functions, the port,
names, descriptors, file watches, disk, the clock, the certificate authority. Each
line is ok, warn or fail, and says what to do. Exit 1 when one fails.`,
		Example: `  tidegate doctor
  tidegate doctor --json | jq '.checks[] | select(.state != "ok")'`,
		Args: arguments(0, 0, "no argument"),
	}
	asJSON := cmd.Flags().Bool("json", false, "print JSON (the default when piped)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		state, cache, err := server.UserDirs()
		if err != nil {
			return err
		}
		d := client.Doctor{Port: 8420, StateDir: state, CacheDir: cache}
		if run, err := client.Find("", "."); err == nil {
			d.Endpoint = run.Endpoint
		}
		checks := d.Examine(cmd.Context())
		failed := 0
		for _, c := range checks {
			if c.State == client.Fail {
				failed++
			}
		}
		if *asJSON || !isTerminal(os.Stdout) {
			if err := printJSON(os.Stdout, map[string]any{"checks": checks}); err != nil {
				return err
			}
		} else {
			printChecks(checks, colorful(os.Stdout))
		}
		if failed > 0 {
			return &exitError{exitFailed, nil}
		}
		return nil
	}
	return cmd
}

func printChecks(checks []client.Check, color bool) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	paint := map[client.CheckState]string{client.OK: "\x1b[32m", client.Warn: "\x1b[33m", client.Fail: "\x1b[31m"}
	for _, c := range checks {
		state := string(c.State)
		if color {
			state = paint[c.State] + state + "\x1b[0m"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", state, c.Name, c.Found)
		if c.Do != "" {
			fmt.Fprintf(w, "\t\t→ %s\n", c.Do)
		}
	}
	w.Flush()
}
