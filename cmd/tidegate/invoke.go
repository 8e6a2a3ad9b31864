package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"tidegate/internal/client"
)

func invokeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "invoke FUNCTION [EVENT]",
		Short: "Invoke a function and print what it returns",
		Long: `Invoke a function and print what it returns. FUNCTION is its name, logical id or
ARN; EVENT is JSON, @FILE, or - for standard input ({} when left out). A function
that fails exits with 1 and prints Lambda's error.`,
		Example: `  tidegate invoke Hello
  tidegate invoke SendMessage '{"body":"hi"}'
  tidegate invoke SendMessage @event.json`,
		Args:              arguments(1, 2, "a function and, if you like, an event"),
		ValidArgsFunction: completeFunctions,
	}
	endpoint := endpointFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		event := []byte("{}")
		if len(args) == 2 {
			var err error
			if event, err = dataArgument(args[1]); err != nil {
				return err
			}
		}
		c, err := newClient(*endpoint)
		if err != nil {
			return err
		}
		name := args[0]
		if stack, err := c.Stack(cmd.Context()); err == nil {
			if f, err := client.Named("function", stack.Functions, name); err == nil {
				name = f.Name
			} else if len(stack.Functions) > 0 {
				return err
			}
		}
		result, failed, err := c.Invoke(cmd.Context(), name, event)
		if err != nil {
			return err
		}
		fmt.Fprintln(os.Stdout, string(result))
		if failed != "" {
			return &exitError{exitFailed, fmt.Errorf("tidegate: the function failed (%s)", failed)}
		}
		return nil
	}
	return cmd
}
