package main

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"tidegate/internal/client"
	"tidegate/internal/observe"
	"tidegate/internal/up"
)

func logsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "logs [FUNCTION]",
		Short: "Show what happened, by function and request",
		Long: `Show what happened: handshakes, messages, pushes, refusals with their reasons,
and what functions wrote. With a FUNCTION (its name, logical id or ARN), that
function's lines only. --request-id takes the id of an error frame, of a refused
handshake or of an invocation, and shows all that belongs to it.

What the gateway did is remembered while Tidegate runs; what functions wrote is
kept in the data dir, and longer.`,
		Example: `  tidegate logs --follow
  tidegate logs SendMessage --since 10m
  tidegate logs --request-id L0SM9cOFvHcFa7Q=`,
		Args:              arguments(0, 1, "one function at most"),
		ValidArgsFunction: completeFunctions,
	}
	endpoint := endpointFlag(cmd)
	follow := cmd.Flags().BoolP("follow", "f", false, "go on with what comes, until Ctrl-C")
	since := cmd.Flags().String("since", "", "how far to look back: a `DURATION` (10m, 1h) or a time (2026-11-22T18:00:00Z); default 10m, with --request-id everything")
	requestID := cmd.Flags().String("request-id", "", "only what belongs to the request with this `ID`")
	asJSON := cmd.Flags().Bool("json", false, "print JSON, an object a line (the default when piped)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		q := client.LogQuery{RequestID: *requestID, Follow: *follow}
		var err error
		if q.Since, err = parseSince(*since, *requestID != ""); err != nil {
			return err
		}
		c, err := newClient(*endpoint)
		if err != nil {
			return err
		}
		if len(args) == 1 {
			stack, err := c.Stack(cmd.Context())
			if err != nil {
				return err
			}
			f, err := client.Named("function", stack.Functions, args[0])
			if err != nil {
				return err
			}
			q.Function = f.Name
		}
		raw := *asJSON || !isTerminal(os.Stdout)
		color := colorful(os.Stdout)
		told := false
		err = c.Logs(cmd.Context(), q, func(l client.LogLine) error {
			told = true
			return printLog(l, raw, color, q.RequestID != "")
		})
		if err == nil && !told && q.RequestID != "" {
			return fmt.Errorf("nothing is known of the request %q: `tidegate logs --since 1h` shows what is", q.RequestID)
		}
		return err
	}
	return cmd
}

// parseSince reads --since.
func parseSince(text string, everything bool) (time.Time, error) {
	switch {
	case text == "" && everything:
		return time.UnixMilli(0), nil
	case text == "":
		text = "10m"
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return time.Now().Add(-d), nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	return time.Time{}, usage("--since is a duration such as 10m or 1h30m, or a time such as 2026-11-22T18:00:00Z, not %q", text)
}

// printLog prints one line. What another line tells as well is left out, unless
// one request is looked at.
func printLog(l client.LogLine, raw, color, all bool) error {
	if raw {
		_, err := fmt.Printf("%s\n", l.Raw)
		return err
	}
	var level slog.Level
	if level.UnmarshalText([]byte(l.Level)) != nil || level < slog.LevelInfo && !all {
		return nil
	}
	if all && l.Do != "" {
		l.Detail = append(l.Detail, "to do: "+l.Do)
	}
	_, err := fmt.Print(up.Text(observe.Notice{Time: l.Time, Kind: l.Kind, Level: level, Text: l.Text, Detail: l.Detail}, color))
	return err
}

// colorful says whether what is written to the file may have colours.
func colorful(f *os.File) bool {
	return isTerminal(f) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
