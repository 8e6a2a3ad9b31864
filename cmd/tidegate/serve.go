package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"tidegate/internal/config"
	"tidegate/internal/serve"
	"tidegate/internal/systemd"
)

func serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the WebSocket APIs of a configuration file, in production",
		Long: `Run the WebSocket APIs of a configuration file, in production: with listeners for
clients, backends and administrators, and nobody let in but the identities that the
file names. SIGHUP reads the file again, SIGTERM or Ctrl-C drains and ends, SIGUSR2
hands off to a new process of the program as it is on disk now (see tidegate handoff).
Any key can be set by a variable too: TIDEGATE_LISTENERS_PUBLIC is listeners.public.`,
		Example: `  tidegate serve --print-config > tidegate.yaml
  tidegate serve --config tidegate.yaml`,
		Args: arguments(0, 0, "no arguments"),
	}
	f := cmd.Flags()
	file := f.String("config", "", "the configuration `FILE` (default: tidegate.yaml in this folder, then /etc/tidegate/tidegate.yaml)")
	example := f.Bool("print-config", false, "print an annotated configuration with every key, and end")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *example {
			fmt.Print(config.Example)
			return nil
		}
		found, err := config.Find(*file)
		if err != nil {
			return usage("%v", err)
		}
		// SIGHUP means to end elsewhere, and has been taken for that.
		signal.Reset(syscall.SIGHUP)
		reload := make(chan os.Signal, 1)
		signal.Notify(reload, syscall.SIGHUP)
		// At the end SIGHUP gets its own meaning back: a reload that comes late must not
		// cut the drain short.
		context.AfterFunc(cmd.Context(), func() { signal.Notify(reload, syscall.SIGHUP) })
		handOff, err := handOffOf()
		if err != nil {
			return err
		}
		err = serve.Run(cmd.Context(), serve.Options{File: found, Environ: os.Environ(), Out: os.Stdout, Terminal: isTerminal(os.Stdout),
			Reload: reload, Systemd: systemd.Notifier{Socket: os.Getenv("NOTIFY_SOCKET")}, HandOff: handOff})
		if err != nil && invalidConfig(err) {
			return &exitError{exitUsage, err}
		}
		return err
	}
	return cmd
}
