package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"tidegate/internal/client"
)

func envCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "env",
		Short: "Print shell variables that point AWS tools at the running Tidegate",
		Long: `Print shell variables that point AWS's tools and SDKs at the running Tidegate:
its endpoint, keys, region and certificate authority.`,
		Example: `  eval "$(tidegate env)"
  aws dynamodb list-tables`,
		Args: arguments(0, 0, "no argument"),
	}
	endpoint := endpointFlag(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := newClient(*endpoint)
		if err != nil {
			return err
		}
		// Variables that lead nowhere would make the next command's error a riddle.
		if _, _, err := c.Do(cmd.Context(), "tidegate", http.MethodGet, "/_tidegate/ready", nil, nil); err != nil {
			return err
		}
		vars := shellVariables(c)
		if *asJSON {
			m := map[string]string{}
			for _, kv := range vars {
				m[kv[0]] = kv[1]
			}
			return printJSON(os.Stdout, m)
		}
		for _, kv := range vars {
			fmt.Printf("export %s=%s\n", kv[0], quote(kv[1]))
		}
		return nil
	}
	return cmd
}

// shellVariables are what AWS's tools and SDKs read, in a fixed order.
func shellVariables(c *client.Client) [][2]string {
	keys := c.Credentials()
	vars := [][2]string{
		{"AWS_ENDPOINT_URL", c.Run.Endpoint},
		{"AWS_ACCESS_KEY_ID", keys.AccessKeyID},
		{"AWS_SECRET_ACCESS_KEY", keys.SecretAccessKey},
		{"AWS_REGION", c.Run.Region},
		{"AWS_DEFAULT_REGION", c.Run.Region},
		{"TIDEGATE_ENDPOINT", c.Run.Endpoint},
	}
	if c.Run.CABundle != "" {
		vars = append(vars, [2]string{"AWS_CA_BUNDLE", c.Run.CABundle}, [2]string{"NODE_EXTRA_CA_CERTS", c.Run.CACert})
	}
	return vars
}

// quote makes a value safe for a POSIX shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
