package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTableClients calls every operation on tables with real clients, which
// check answers' checksums, page, wait, and turn refusals into exceptions of
// their own types.
func TestTableClients(t *testing.T) {
	t.Parallel()
	s := start(t, folder(t, map[string]string{"template.yaml": killStack}))
	for name, c := range map[string]struct {
		command func(t *testing.T) []string
		want    string
	}{
		"JavaScript": {func(t *testing.T) []string {
			return []string{"node", filepath.Join(needClients(t), "tables.mjs"), "javascript"}
		}, "v3 done\nv2 done"},
		"Python": {func(t *testing.T) []string {
			return []string{needBoto3(t), filepath.Join("testdata", "clients", "tables.py"), "python"}
		}, "boto3 done"},
	} {
		t.Run(name, func(t *testing.T) {
			command := c.command(t)
			if got := s.script(nil, command[0], command[1:]...); got != c.want {
				t.Errorf("it printed %s", got)
			}
		})
	}
	t.Run("AWS CLI", func(t *testing.T) {
		if exec.Command("aws", "--version").Run() != nil {
			t.Skip("the AWS CLI is not installed")
		}
		aws := func(args ...string) string {
			return s.script(nil, "aws", append([]string{"dynamodb", "--output", "text"}, args...)...)
		}
		aws("create-table", "--table-name", "cli", "--billing-mode", "PAY_PER_REQUEST", "--attribute-definitions", "AttributeName=id,AttributeType=S", "--key-schema", "AttributeName=id,KeyType=HASH")
		aws("wait", "table-exists", "--table-name", "cli")
		aws("put-item", "--table-name", "cli", "--item", `{"id":{"S":"a"},"n":{"N":"7"}}`)
		aws("update-item", "--table-name", "cli", "--key", `{"id":{"S":"a"}}`, "--update-expression", "ADD n :one", "--expression-attribute-values", `{":one":{"N":"1"}}`)
		if got := aws("get-item", "--table-name", "cli", "--key", `{"id":{"S":"a"}}`, "--query", "Item.n.N"); got != "8" {
			t.Errorf("get-item: %s", got)
		}
		if got := aws("scan", "--table-name", "cli", "--query", "Count"); !strings.HasPrefix(got, "1") {
			t.Errorf("scan: %s", got)
		}
		aws("delete-table", "--table-name", "cli")
		aws("wait", "table-not-exists", "--table-name", "cli")
	})
}
