package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"tidegate/internal/client"
)

func replayCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "replay [REQUEST-ID]",
		Short: "Send a recorded message through the present code, and show what differs",
		Long: `Send a recorded message, connect or disconnect through the present template and
code: the same event, with the same connection id. It shows what became of it
then and now, and what differs: the route, the outcome, the error, the answer by
path, and what the function pushed. The client isn't told the answer, but what
the function pushes is sent; a client that has left gets 410, as on AWS.

REQUEST-ID is the id that the log shows, that of an error frame, or that of a
Lambda invocation. Without it, the latest recorded requests are listed.

With --dry what the function pushes is answered as if it were sent, and isn't. A
push is known by the trace header that AWS's SDKs send; one of a program that
signs its calls itself goes out all the same. Everything else that the function
does, it really does.

` + "`tidegate up`" + ` records up to 20,000 events or 32 MB in the data dir, readable by you
only; --no-record turns that off.`,
		Example: `  tidegate replay
  tidegate replay L0SM9cOFvHcFa7Q=
  tidegate replay L0SM9cOFvHcFa7Q= --dry --json | jq .differences`,
		Args:              arguments(0, 1, "one request id at most"),
		ValidArgsFunction: completeRecordings,
	}
	endpoint := endpointFlag(cmd)
	dry := cmd.Flags().Bool("dry", false, "send nothing to clients")
	list := cmd.Flags().Bool("list", false, "list the latest recorded requests (the default without a REQUEST-ID)")
	limit := cmd.Flags().IntP("limit", "n", 20, "how many to list, at most `N`")
	asJSON := cmd.Flags().Bool("json", false, "print JSON (the default when piped)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *list && len(args) > 0 {
			return usage("replay takes a REQUEST-ID or --list, not both")
		}
		if *dry && len(args) == 0 {
			return usage("--dry needs a REQUEST-ID; `tidegate replay` lists them")
		}
		if *limit < 1 || *limit > 1000 {
			return usage("--limit is a number from 1 to 1000, not %d", *limit)
		}
		c, err := newClient(*endpoint)
		if err != nil {
			return err
		}
		raw := *asJSON || !isTerminal(os.Stdout)
		if len(args) == 0 {
			return listRecordings(cmd, c, *limit, raw)
		}
		r, err := c.Replay(cmd.Context(), idArgument(args[0]), *dry)
		if err != nil {
			return err
		}
		if raw {
			return printIndented(r.Raw)
		}
		fmt.Print(r)
		return nil
	}
	return cmd
}

// listRecordings lists what can be replayed.
func listRecordings(cmd *cobra.Command, c *client.Client, limit int, raw bool) error {
	all, leftOut, whole, err := c.Recordings(cmd.Context(), limit)
	if err != nil {
		return err
	}
	if raw {
		return printIndented(whole)
	}
	if len(all) == 0 {
		fmt.Println("Nothing is recorded yet: no client has connected.")
		return nil
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "REQUEST ID\tEVENT\tROUTE\tOUTCOME\tCONNECTION ID\tWHEN")
	for _, r := range all {
		route := r.RouteKey
		if route == "" {
			route = "(no route)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.RequestID, r.EventType, strings.Trim(strconv.Quote(route), `"`), r.Outcome, r.ConnectionID, ago(r.Time))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if leftOut > 0 {
		fmt.Printf("%d events came faster than they could be recorded.\n", leftOut)
	}
	return nil
}

// printIndented prints a JSON answer for a program, or a person who asked for it.
func printIndented(raw []byte) error {
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return err
	}
	_, err := fmt.Println(b.String())
	return err
}
