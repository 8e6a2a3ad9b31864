package main

import (
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

func connectionsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "connections",
		Short: "List the clients that are connected",
		Long:  "List the clients that are connected: their ids, APIs, stages and addresses. The\noutput is a table on a terminal, and JSON when piped.",
		Example: `  tidegate connections
  tidegate connections --json | jq -r '.connections[].connectionId'`,
		Args: arguments(0, 0, "no argument"),
	}
	endpoint := endpointFlag(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print JSON (the default when piped)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := newClient(*endpoint)
		if err != nil {
			return err
		}
		all, err := c.Connections(cmd.Context())
		if err != nil {
			return err
		}
		if *asJSON || !isTerminal(os.Stdout) {
			return printJSON(os.Stdout, map[string]any{"connections": all})
		}
		if len(all) == 0 {
			fmt.Println("No client is connected.")
			return nil
		}
		w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "CONNECTION ID\tAPI\tSTAGE\tCLIENT\tCONNECTED\tLAST ACTIVE")
		for _, conn := range all {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", conn.ID, conn.APIID, conn.Stage, conn.SourceIP, ago(conn.ConnectedAt), ago(conn.LastActive))
		}
		return w.Flush()
	}
	return cmd
}

// ago says how long since a moment, for a person.
func ago(t time.Time) string {
	return time.Since(t).Truncate(time.Second).String() + " ago"
}
