package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Long:  "Print the version, the revision it was built from, and Go's version and system.",
		Args:  arguments(0, 0, "no argument"),
	}
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	cmd.RunE = func(*cobra.Command, []string) error {
		version, revision := buildVersion()
		if *asJSON {
			return printJSON(os.Stdout, map[string]string{"version": version, "revision": revision,
				"go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH})
		}
		if revision != "" {
			revision = " (" + revision + ")"
		}
		fmt.Printf("tidegate %s%s %s %s/%s\n", version, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return nil
	}
	return cmd
}

// buildVersion is what the Go tool wrote into the binary.
func buildVersion() (version, revision string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown", ""
	}
	version = info.Main.Version
	if version == "" {
		version = "(devel)"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			revision = s.Value[:12]
		}
	}
	return version, revision
}
