package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"tidegate/internal/client"
)

func fireCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "fire RULE",
		Short:             "Fire a scheduled rule now",
		Long:              "Fire a scheduled rule now, whether or not it is enabled. RULE is its name, logical id or ARN.",
		Example:           `  tidegate fire HelloEveryMinute`,
		Args:              arguments(1, 1, "a rule"),
		ValidArgsFunction: completeRules,
	}
	endpoint := endpointFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := newClient(*endpoint)
		if err != nil {
			return err
		}
		name := args[0]
		if stack, err := c.Stack(cmd.Context()); err == nil {
			rule, err := client.Named("rule", stack.Rules, name)
			if err != nil {
				return err
			}
			name = rule.Name
		}
		if err := c.Fire(cmd.Context(), name); err != nil {
			return err
		}
		if isTerminal(os.Stdout) {
			fmt.Println("Fired", args[0]+".")
		}
		return nil
	}
	return cmd
}
