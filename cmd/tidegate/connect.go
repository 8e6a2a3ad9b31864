package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tidegate/internal/client"
	"tidegate/internal/server"
)

func connectCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "connect [URL]",
		Short: "Hold a WebSocket and chat over it",
		Long: `Hold a WebSocket: each line typed is a message, each message that arrives is a
line. URL defaults to the stage of the stack that runs here. In a script, lines
come from standard input; --wait says how long to listen after the last one, and
--count ends it as soon as so many messages have come.`,
		Example: `  tidegate connect ws://localhost:8420/dev
  tidegate connect -H 'Authorization: secret' --subprotocol chat
  echo '{"action":"sendmessage","data":"hi"}' | tidegate connect --count 1`,
		Args: arguments(0, 1, "one URL at most"),
	}
	endpoint := endpointFlag(cmd)
	headers := cmd.Flags().StringArrayP("header", "H", nil, "a `HEADER` of the handshake, 'Name: value' (repeatable)")
	subprotocols := cmd.Flags().StringArray("subprotocol", nil, "a subprotocol's `NAME` to offer (repeatable)")
	send := cmd.Flags().StringArrayP("send", "x", nil, "`TEXT` of a message to send first (repeatable)")
	wait := cmd.Flags().Duration("wait", time.Second, "without a terminal: for what `DURATION` to listen after the last line was sent")
	raw := cmd.Flags().Bool("raw", false, "show messages as they are, on a terminal too (the default when piped)")
	clock := cmd.Flags().BoolP("timestamps", "T", false, "on a terminal: show when a message came")
	ping := cmd.Flags().Duration("ping", 0, "ping at this `INTERVAL`, such as 1m")
	controls := cmd.Flags().BoolP("show-ping-pong", "P", false, "on a terminal: show pings and pongs")
	noHistory := cmd.Flags().Bool("no-history", false, "don't keep what is typed for the next time")
	count := cmd.Flags().Int("count", 0, "end after `N` messages; exit 1 if the connection or --wait ends sooner (0: no matter)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		header, err := parseHeaders(*headers)
		if err != nil {
			return err
		}
		var url string
		if len(args) == 1 {
			url = args[0]
		}
		url, ca, err := stageURL(cmd, *endpoint, url)
		if err != nil {
			return err
		}
		socket, err := client.Dial(cmd.Context(), url, client.DialOptions{Header: header, Subprotocols: *subprotocols, CACert: ca, Address: domainAddress(cmd.Context(), *endpoint, url)})
		if err != nil {
			return otherStages(cmd.Context(), *endpoint, url, err)
		}
		defer socket.Close()
		chat := client.Chat{Socket: socket, URL: url, First: *send, In: os.Stdin, Out: os.Stdout, Wait: *wait, Count: *count, Ping: *ping, Controls: *controls,
			Look: client.Look{Pretty: isTerminal(os.Stdout) && !*raw, Color: colorful(os.Stdout), Clock: *clock}}
		if state, _, err := server.UserDirs(); err == nil && !*noHistory {
			chat.HistoryFile = filepath.Join(state, "history")
		}
		if isTerminal(os.Stdin) && isTerminal(os.Stdout) && *count == 0 {
			return chat.Interactive(cmd.Context())
		}
		return chat.Script(cmd.Context())
	}
	return cmd
}

// stageURL returns the URL to connect to, and the CA to trust for it: the one
// given, or that of the only stage that runs.
func stageURL(cmd *cobra.Command, endpoint, url string) (string, string, error) {
	run, err := findRun(endpoint)
	if url != "" {
		if !strings.HasPrefix(url, "ws://") && !strings.HasPrefix(url, "wss://") {
			return "", "", usage("%q is not a WebSocket URL such as ws://localhost:8420/dev", url)
		}
		ca := run.CACert // no run file is no error here: the URL may lead anywhere
		if ca == "" {
			ca = os.Getenv("AWS_CA_BUNDLE") // what tidegate env sets
		}
		return url, ca, nil
	}
	if err != nil {
		return "", "", err
	}
	c, err := client.New(run)
	if err != nil {
		return "", "", err
	}
	stack, err := c.Stack(cmd.Context())
	if err != nil {
		return "", "", err
	}
	switch urls := stageURLs(stack); len(urls) {
	case 0:
		return "", "", errors.New("the stack that runs has no stage of a WebSocket API to connect to")
	case 1:
		return urls[0], run.CACert, nil
	default:
		return "", "", usage("say which stage to connect to: %s", strings.Join(urls, ", "))
	}
}

// domainAddress returns where the Tidegate that runs here listens when the URL is
// by a custom domain name of its stages, which no name server knows; else "".
func domainAddress(ctx context.Context, endpoint, address string) string {
	asked, err := url.Parse(address)
	if err != nil || asked.Hostname() == "localhost" {
		return ""
	}
	run, err := findRun(endpoint)
	if err != nil {
		return ""
	}
	here, err := url.Parse(run.Endpoint)
	if err != nil || here.Host == asked.Host {
		return ""
	}
	c, err := client.New(run)
	if err != nil {
		return ""
	}
	stack, err := c.Stack(ctx)
	if err != nil {
		return ""
	}
	for _, api := range stack.APIs {
		for _, s := range api.Stages {
			for _, known := range s.Domains {
				if isDomain(known, asked.Hostname()) {
					return here.Host
				}
			}
		}
	}
	return ""
}

// isDomain says that a host is the one of a URL, whose first label may be a star.
func isDomain(known, host string) bool {
	_, known, _ = strings.Cut(known, "://")
	known, _, _ = strings.Cut(known, "/")
	known, _, _ = strings.Cut(known, ":")
	_, parent, _ := strings.Cut(host, ".")
	return strings.EqualFold(known, host) || strings.EqualFold(known, "*."+parent)
}

// otherStages adds to a refusal which stages run here, when the URL is none of
// theirs: API Gateway's 403 doesn't say that the stage was misspelled.
func otherStages(ctx context.Context, endpoint, url string, refused error) error {
	run, err := findRun(endpoint)
	if err != nil {
		return refused
	}
	c, err := client.New(run)
	if err != nil {
		return refused
	}
	stack, err := c.Stack(ctx)
	if err != nil {
		return refused
	}
	urls := stageURLs(stack)
	address, _, _ := strings.Cut(url, "?")
	if len(urls) == 0 || slices.Contains(urls, address) {
		return refused
	}
	return fmt.Errorf("%w; the stack that runs here is at %s", refused, strings.Join(urls, ", "))
}

// parseHeaders reads 'Name: value' flags.
func parseHeaders(flags []string) (http.Header, error) {
	h := http.Header{}
	for _, f := range flags {
		name, value, ok := strings.Cut(f, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return nil, usage("the header %q is not of the form 'Name: value'", f)
		}
		h.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return h, nil
}
