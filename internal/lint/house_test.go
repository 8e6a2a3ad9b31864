package lint

import (
	_ "embed"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

//go:embed deps.rules
var depsRules string

// root is the module's folder, seen from this package's.
var root = filepath.Join("..", "..")

// walls are where third-party code may be used. Everything else is the
// standard library's or ours.
var walls = []Wall{
	{Module: "github.com/gobwas/ws", Packages: []string{"ws", "internal/client", "conformance"}}, // conformance: a client that is none of ours
	{Module: "github.com/gobwas/httphead", Packages: []string{"ws", "internal/client"}},
	{Module: "go.etcd.io/bbolt", Packages: []string{"internal/kv/filekv", "internal/service/tables"}},
	{Module: "github.com/evanw/esbuild", Packages: []string{"internal/service/functions"}},
	{Module: "github.com/aws/aws-lambda-go", Packages: []string{"internal/service/functions"}},           // what go1.x programs are called with
	{Module: "github.com/joho/godotenv", Packages: []string{"internal/stack/serverless", "internal/up"}}, // .env
	{Module: "github.com/santhosh-tekuri/jsonschema", Packages: []string{"internal/model"}},
	{Module: "github.com/tidwall/btree", Packages: []string{"internal/service/tables"}},
	{Module: "github.com/prometheus", Packages: []string{"internal/observe"}},
	{Module: "go.opentelemetry.io", Packages: []string{"internal/observe"}},
	{Module: "github.com/nats-io", Packages: []string{"internal/cluster/natsbus"}},
	{Module: "go.yaml.in/yaml", Packages: []string{"internal/stack", "internal/up", "internal/config", "conformance"}}, // up: samconfig.yaml, files of parameters
	{Module: "github.com/BurntSushi/toml", Packages: []string{"internal/up"}},                                          // samconfig.toml
	{Module: "github.com/spf13/cobra", Packages: []string{"cmd/tidegate"}},
	{Module: "github.com/spf13/pflag", Packages: []string{"cmd/tidegate"}},
	{Module: "github.com/fsnotify/fsnotify", Packages: []string{"internal/up"}},
	// The Go project's own additions to its standard library.
	{Module: "golang.org/x/sys"},
	{Module: "golang.org/x/sync"},
	{Module: "golang.org/x/term"},
}

// words are composed, so that this file doesn't hold them.
var words = []Word{
	{
		Pattern: regexp.MustCompile(`(^|[^A-Za-z0-9_.~$}-])/(` + strings.Join([]string{"work", "farm", "tmp/bash"}, "|") + `)(/|_jobs)`),
		Advice:  "a path of one developer's machine; use a relative path, t.TempDir() or a setting",
	},
	{
		Pattern: regexp.MustCompile(`(registry\.npm` + `js\.org|registry\.yarn` + `pkg\.com|proxy\.go` + `lang\.org|sum\.go` + `lang\.org|goproxy\.` + `(io|cn)|py` + `pi\.org|files\.python` + `hosted\.org|repo1?\.maven|deb\.deb` + `ian\.org)`),
		Advice:  "a package registry's host; let each client use the registry it is configured for (npm: omit-lockfile-registry-resolved)",
	},
}

func report(t *testing.T, found []Finding) {
	t.Helper()
	for _, f := range found {
		t.Error(f)
	}
}

// load parses the house once for all tests.
var load = sync.OnceValues(func() (*Module, error) { return Load(os.DirFS(root)) })

func house(t *testing.T) *Module {
	t.Helper()
	m, err := load()
	if err != nil {
		t.Fatal(err)
	}
	if m.Path != "tidegate" || len(m.Packages) < 10 {
		t.Fatalf("loaded module %q with %d packages: this is not the house", m.Path, len(m.Packages))
	}
	return m
}

func TestImports(t *testing.T) {
	rules, err := ParseRules(depsRules)
	if err != nil {
		t.Fatalf("deps.rules: %v", err)
	}
	report(t, CheckImports(house(t), rules))
}

func TestThirdParty(t *testing.T) { report(t, CheckThirdParty(house(t), walls)) }
func TestComments(t *testing.T)   { report(t, CheckComments(house(t))) }
func TestInit(t *testing.T)       { report(t, CheckInit(house(t))) }
func TestNames(t *testing.T)      { report(t, CheckNames(house(t))) }

func TestWords(t *testing.T) {
	found, err := CheckWords(os.DirFS(root), words)
	if err != nil {
		t.Fatal(err)
	}
	report(t, found)
}
