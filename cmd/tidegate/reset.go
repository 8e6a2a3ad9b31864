package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"tidegate/internal/server"
	"tidegate/internal/up"
)

func resetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reset [TEMPLATE or DIR]",
		Short: "Delete what a template's data dir holds",
		Long: `Delete what a template's data dir holds: APIs, tables with their items, rules,
functions' code and logs. It asks first; without a terminal it takes --yes. The
template isn't touched, and neither is what others put into that folder. Of a
template that runs, nothing is deleted.`,
		Example: `  tidegate reset
  tidegate reset examples/chat --yes`,
		Args: arguments(0, 1, "one template at most"),
	}
	var o up.Options
	cmd.Flags().StringVarP(&o.Template, "template", "t", "", "the template's `PATH`, or that of the folder that holds it")
	cmd.Flags().StringVar(&o.DataDir, "data-dir", "", "`DIR` to delete the state of (default: .tidegate beside the template)")
	yes := cmd.Flags().BoolP("yes", "y", false, "don't ask")
	asJSON := cmd.Flags().Bool("json", false, "print what was deleted as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			if o.Template != "" {
				return usage("reset takes one template: %s or %s", o.Template, args[0])
			}
			o.Template = args[0]
		}
		dir, err := up.DataDir(o)
		if err != nil {
			return invalidTemplate(err)
		}
		parts, err := server.State(dir)
		if errors.Is(err, server.ErrNoState) {
			if *asJSON {
				return printJSON(os.Stdout, map[string]any{"dataDir": dir, "deleted": []server.StatePart{}})
			}
			fmt.Println("There is nothing to delete in", dir+".")
			return nil
		}
		if err != nil {
			return err
		}
		if !*yes {
			if !isTerminal(os.Stdin) || !isTerminal(os.Stderr) {
				return usage("reset deletes %s: say --yes where nobody can be asked", dir)
			}
			if !confirmed(dir, parts) {
				return &exitError{exitFailed, errors.New("Nothing was deleted.")}
			}
		}
		if parts, err = server.Reset(dir); err != nil {
			return err
		}
		if *asJSON {
			return printJSON(os.Stdout, map[string]any{"dataDir": dir, "deleted": parts})
		}
		for _, p := range parts {
			fmt.Printf("deleted %s (%s)\n", p.Name, size(p.Bytes))
		}
		return nil
	}
	return cmd
}

// confirmed asks a person.
func confirmed(dir string, parts []server.StatePart) bool {
	fmt.Fprintf(os.Stderr, "In %s:\n", dir)
	for _, p := range parts {
		fmt.Fprintf(os.Stderr, "  %s (%s)\n", p.Name, size(p.Bytes))
	}
	fmt.Fprint(os.Stderr, "Delete all of it? [y/N] ")
	line, _ := bufio.NewReader(os.Stdin).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return true
	}
	return false
}

// size is a number of bytes as a person reads it.
func size(n int64) string {
	switch {
	case n < 10<<10:
		return fmt.Sprintf("%d bytes", n)
	case n < 10<<20:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}
