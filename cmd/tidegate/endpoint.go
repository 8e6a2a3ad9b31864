package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"tidegate/internal/client"
)

// endpointFlag adds --endpoint to a verb that talks to a running Tidegate.
func endpointFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("endpoint", "", "`URL` of the Tidegate to talk to (default: $TIDEGATE_ENDPOINT, then .tidegate/run.json in this folder or one above)")
}

// findRun locates the running Tidegate: flag, environment, run file.
func findRun(flag string) (client.Run, error) {
	if flag == "" {
		flag = os.Getenv("TIDEGATE_ENDPOINT")
	}
	run, err := client.Find(flag, ".")
	if err != nil && flag != "" {
		return run, usage("%v", err)
	}
	if run.Region == "" {
		run.Region = region()
	}
	// An identity of tidegate serve; up needs none. The shell's AWS keys are left
	// alone: they are most often those of a real account.
	switch id, secret := os.Getenv("TIDEGATE_ACCESS_KEY_ID"), os.Getenv("TIDEGATE_SECRET_ACCESS_KEY"); {
	case id != "" && secret != "":
		run.AccessKeyID, run.Secret = id, secret
	case id != "" || secret != "":
		return run, usage("TIDEGATE_ACCESS_KEY_ID and TIDEGATE_SECRET_ACCESS_KEY go together: one of them is not set")
	}
	return run, err
}

// newClient returns a client of the running Tidegate.
func newClient(flag string) (*client.Client, error) {
	run, err := findRun(flag)
	if err != nil {
		return nil, err
	}
	return client.New(run)
}

// stageURLs are the URLs of the stages that run.
func stageURLs(stack *client.Stack) []string {
	var urls []string
	for _, api := range stack.APIs {
		for _, s := range api.Stages {
			urls = append(urls, s.URL)
		}
	}
	return urls
}

// isTerminal says whether a person reads or writes the file.
func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// printJSON writes v for a program to read.
func printJSON(w io.Writer, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, string(b))
	return err
}

// dataArgument returns what an argument stands for: the text itself, @FILE, or
// - for standard input.
func dataArgument(arg string) ([]byte, error) {
	switch {
	case arg == "-":
		return io.ReadAll(os.Stdin)
	case len(arg) > 1 && arg[0] == '@':
		return os.ReadFile(arg[1:])
	}
	return []byte(arg), nil
}
