package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"tidegate/internal/client"
)

func fireCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "fire RULE",
		Short:             "Fire a scheduled rule or schedule now",
		Long:              "Fire a scheduled rule, or one of Scheduler's schedules, now, whether or not it is enabled. RULE is its name, logical id or ARN, or a schedule's group/name.",
		Example:           `  tidegate fire HelloEveryMinute`,
		Args:              arguments(1, 1, "a rule or schedule"),
		ValidArgsFunction: completeRules,
	}
	endpoint := endpointFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := newClient(*endpoint)
		if err != nil {
			return err
		}
		name, unknown := args[0], error(nil)
		if stack, err := c.Stack(cmd.Context()); err == nil {
			if rule, err := client.Named("rule or schedule", slices.Concat(stack.Rules, stack.Schedules), name); err == nil {
				name = rule.ARN
			} else { // one that a call made, not the template, or none
				unknown = err
			}
		}
		if err := c.Fire(cmd.Context(), name); err != nil {
			if unknown != nil && strings.HasPrefix(err.Error(), "ResourceNotFoundException") {
				return unknown
			}
			return err
		}
		if isTerminal(os.Stdout) {
			fmt.Println("Fired", args[0]+".")
		}
		return nil
	}
	return cmd
}
