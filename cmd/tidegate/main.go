// Command tidegate runs WebSocket APIs written for Amazon API Gateway, and talks
// to a Tidegate that runs.
//
// One file holds one verb. Flags and environment are read here and nowhere else;
// what a verb does is another package's work.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes that scripts rely on.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2 // wrong usage, or an invalid template
)

func main() { os.Exit(run(os.Args[1:])) }

// run executes one command line and returns its exit code.
func run(args []string) int {
	ctx := untilInterrupted()
	root := rootCommand()
	root.SetArgs(markIDs(args))
	err := root.ExecuteContext(ctx)
	var coded *exitError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &coded):
		if coded.err != nil {
			fmt.Fprintln(os.Stderr, coded.err)
		}
		return coded.code
	default:
		fmt.Fprintln(os.Stderr, "tidegate:", err)
		return exitFailed
	}
}

// untilInterrupted returns a context that ends with the first Ctrl-C, SIGTERM, or
// SIGHUP, which a terminal sends when it is closed (nohup has it ignored, and so it
// stays). Before it does, the system's own handling is back: a second one ends
// the program at once, whatever the good order still waits for.
func untilInterrupted() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	end := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		end = append(end, syscall.SIGHUP)
	}
	signal.Notify(signals, end...)
	go func() {
		<-signals
		signal.Reset(end...)
		cancel()
	}()
	return ctx
}

// An exitError ends the program with a code of its own.
type exitError struct {
	code int
	err  error // printed as it is; nil when all was said
}

func (e *exitError) Error() string { return fmt.Sprint(e.err) }
func (e *exitError) Unwrap() error { return e.err }

// usage is an error of the caller's.
func usage(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf("tidegate: "+format, args...)}
}

// firstWords are for who calls the program without a command.
const firstWords = `Tidegate runs WebSocket APIs written for Amazon API Gateway, on this machine.

  tidegate up         run the template in this folder: SAM, CloudFormation, CDK or serverless.yml
  tidegate connect    talk to it: each line that you type is a message
  tidegate logs       see what happened, and why something was refused

` + "`tidegate --help` lists all commands, `tidegate COMMAND --help` explains one.\n"

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "tidegate",
		Short: "Run WebSocket APIs written for Amazon API Gateway",
		Long: `Tidegate is Amazon API Gateway's WebSocket APIs as one binary: clients hold a
WebSocket, each message is routed to a function, an HTTP service or a mock, and
any backend pushes to any client with POST /@connections/{id}.`,
		SilenceUsage:               true,
		SilenceErrors:              true,
		SuggestionsMinimumDistance: 2,
		CompletionOptions:          cobra.CompletionOptions{DisableDefaultCmd: true},
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				return usage("there is no command %q; did you mean %s? `tidegate --help` lists them", args[0], strings.Join(near, " or "))
			}
			return usage("there is no command %q; `tidegate --help` lists them", args[0])
		},
		RunE: func(*cobra.Command, []string) error {
			fmt.Print(firstWords)
			return nil
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage("%v; `%s --help` lists the flags", err, cmd.CommandPath())
	})
	root.AddCommand(upCommand(), serveCommand(), validateCommand(), connectCommand(), postCommand(), connectionsCommand(),
		invokeCommand(), fireCommand(), logsCommand(), replayCommand(), disconnectCommand(), resetCommand(), doctorCommand(), completionCommand(),
		envCommand(), handoffCommand(), versionCommand())
	return root
}

// arguments returns a cobra check that words its refusal as this program does.
func arguments(min, max int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < min || len(args) > max {
			return usage("%s takes %s: %s", cmd.Name(), what, cmd.UseLine())
		}
		return nil
	}
}
