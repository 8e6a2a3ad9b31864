package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func disconnectCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "disconnect CONNECTION-ID",
		Short:             "Close a client's connection",
		Long:              "Close a client's connection, through the same @connections API that backends use;\nits $disconnect route is called.",
		Example:           `  tidegate disconnect L0SM9cOFvHcCIhw=`,
		Args:              arguments(1, 1, "a connection id"),
		ValidArgsFunction: completeConnections,
	}
	endpoint := endpointFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := newClient(*endpoint)
		if err != nil {
			return err
		}
		if err := c.Disconnect(cmd.Context(), idArgument(args[0])); err != nil {
			return err
		}
		if isTerminal(os.Stdout) {
			fmt.Println("Disconnected", idArgument(args[0])+".")
		}
		return nil
	}
	return cmd
}
