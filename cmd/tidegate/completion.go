package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"tidegate/internal/client"
)

func completionCommand() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	cmd := &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print a script that completes commands in your shell",
		Long: `Print a script that completes commands, flags, and the names of functions, rules
and connections of the Tidegate that runs here.`,
		Example: `  source <(tidegate completion bash)
  tidegate completion zsh > "${fpath[1]}/_tidegate"
  tidegate completion fish > ~/.config/fish/completions/tidegate.fish
  tidegate completion powershell | Out-String | Invoke-Expression`,
		Args:      arguments(1, 1, "a shell: bash, zsh, fish or powershell"),
		ValidArgs: shells,
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch args[0] {
		case "bash":
			return cmd.Root().GenBashCompletionV2(os.Stdout, true)
		case "zsh":
			return cmd.Root().GenZshCompletion(os.Stdout)
		case "fish":
			return cmd.Root().GenFishCompletion(os.Stdout, true)
		case "powershell":
			return cmd.Root().GenPowerShellCompletionWithDesc(os.Stdout)
		}
		return usage("there is no completion for %q: choose bash, zsh, fish or powershell", args[0])
	}
	return cmd
}

// completing asks the running Tidegate, briefly: a shell waits.
func completing(cmd *cobra.Command, args []string, ask func(context.Context, *client.Client) []string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	endpoint, _ := cmd.Flags().GetString("endpoint")
	c, err := newClient(endpoint)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), time.Second)
	defer cancel()
	return ask(ctx, c), cobra.ShellCompDirectiveNoFileComp
}

// logicalIDs are what people call resources.
func logicalIDs(all []client.Resource) []string {
	var ids []string
	for _, r := range all {
		ids = append(ids, r.LogicalID)
	}
	return ids
}

func completeFunctions(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return completing(cmd, args, func(ctx context.Context, c *client.Client) []string {
		stack, err := c.Stack(ctx)
		if err != nil {
			return nil
		}
		return logicalIDs(stack.Functions)
	})
}

func completeRules(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return completing(cmd, args, func(ctx context.Context, c *client.Client) []string {
		stack, err := c.Stack(ctx)
		if err != nil {
			return nil
		}
		return logicalIDs(slices.Concat(stack.Rules, stack.Schedules))
	})
}

func completeConnections(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return completing(cmd, args, func(ctx context.Context, c *client.Client) []string {
		all, err := c.Connections(ctx)
		if err != nil {
			return nil
		}
		var ids []string
		for _, conn := range all {
			ids = append(ids, conn.ID+"\t"+conn.Stage+" from "+conn.SourceIP)
		}
		return ids
	})
}

func completeRecordings(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return completing(cmd, args, func(ctx context.Context, c *client.Client) []string {
		all, _, _, err := c.Recordings(ctx, 50)
		if err != nil {
			return nil
		}
		var ids []string
		for _, r := range slices.Backward(all) {
			ids = append(ids, fmt.Sprintf("%s\t%s %s, %s", r.RequestID, r.EventType, r.RouteKey, r.Outcome))
		}
		return ids
	})
}
