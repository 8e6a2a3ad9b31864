package main

import (
	"github.com/spf13/cobra"
)

func postCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "post CONNECTION-ID DATA",
		Short: "Push data to a connected client",
		Long:  "Push data to a connected client, through the same @connections API that backends use.\nDATA is the text itself, @FILE, or - for standard input.",
		Example: `  tidegate post L0SM9cOFvHcCIhw= 'hello'
  tidegate post L0SM9cOFvHcCIhw= @news.json`,
		Args:              arguments(2, 2, "a connection id and the data"),
		ValidArgsFunction: completeConnections,
	}
	endpoint := endpointFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		data, err := dataArgument(idArgument(args[1]))
		if err != nil {
			return err
		}
		c, err := newClient(*endpoint)
		if err != nil {
			return err
		}
		return c.Post(cmd.Context(), idArgument(args[0]), data)
	}
	return cmd
}
