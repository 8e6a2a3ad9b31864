//go:build linux || darwin

package functions

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fakeNPM puts an npm on PATH that writes what it was asked for, and packages
// that export their name; with fail, it says that there is no network.
func fakeNPM(t *testing.T, fail bool) (log string) {
	t.Helper()
	dir := t.TempDir()
	log = filepath.Join(dir, "log")
	script := `#!/bin/sh
echo "$@" >> "` + log + `"
for spec in "$@"; do
  name=
  case "$spec" in
    @*) name="@$(echo "${spec#@}" | cut -d@ -f1)" ;;
    aws-sdk@*) name=aws-sdk ;;
  esac
  if [ -n "$name" ]; then
    mkdir -p "node_modules/$name"
    echo "exports.name = '$name';" > "node_modules/$name/index.js"
    echo '{"main":"index.js"}' > "node_modules/$name/package.json"
  fi
done
`
	if fail {
		script = "#!/bin/sh\necho network unreachable >&2\nexit 1\n"
	}
	if err := os.WriteFile(filepath.Join(dir, "npm"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	return log
}

func TestSDKIsBrought(t *testing.T) {
	log := fakeNPM(t, false)
	cache := t.TempDir()
	f := newFixture(t, func(c *Config) { c.Cache = cache })
	tests := []struct {
		name, runtime string
		files         map[string]string
		want          string
	}{
		{"v2", "nodejs8.10", map[string]string{"index.js": `const AWS = require('aws-sdk'); exports.handler = (e, c, cb) => cb(null, AWS.name);`}, `"aws-sdk"`},
		{"v3", "nodejs20.x", map[string]string{"index.js": `const { name } = require("@aws-sdk/client-dynamodb"); exports.handler = async () => name;`}, `"@aws-sdk/client-dynamodb"`},
		{"dynamic", "nodejs22.x", map[string]string{"index.js": `exports.handler = async () => (await import('@aws-sdk/client-dynamodb')).name;`}, `"@aws-sdk/client-dynamodb"`},
		{"esm", "nodejs22.x", map[string]string{"index.mjs": `import { name } from '@aws-sdk/client-dynamodb'; export const handler = async () => name;`}, `"@aws-sdk/client-dynamodb"`},
		{"another", "nodejs18.x", map[string]string{"index.js": `const { name } = require('@aws-sdk/client-s3'); exports.handler = async () => name;`}, `"@aws-sdk/client-s3"`},
		{"computed", "nodejs20.x", map[string]string{"index.js": `const p = '@aws-sdk/client-' + 'sqs'; const { name } = require(p); exports.handler = async () => name;`}, `"@aws-sdk/client-sqs"`},
		{"own", "nodejs20.x", map[string]string{"index.js": `exports.handler = async () => require('@aws-sdk/client-sns').name;`, "node_modules/@aws-sdk/client-sns/index.js": `exports.name = 'own';`}, `"own"`},
	}
	for _, tt := range tests {
		f.create(tt.name, tt.files, "Runtime", tt.runtime)
		if _, got, _ := f.invoke(tt.name, `{}`); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	// Version 2; the base of version 3, shared by three functions; that with S3; that
	// with SQS. A package of the function's own needs none.
	if n := strings.Count(string(b), "\n"); n != 4 {
		t.Errorf("npm ran %d times, want 4:\n%s", n, b)
	}
	for _, part := range []string{"--ignore-scripts", "--no-audit", "--no-fund", "aws-sdk@2.1693.0", "@aws-sdk/lib-dynamodb@3.", "@aws-sdk/client-s3@<=3."} {
		if !strings.Contains(string(b), part) {
			t.Errorf("npm was not given %s:\n%s", part, b)
		}
	}
	left, _ := filepath.Glob(filepath.Join(cache, "sdk", ".filling-*"))
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestSDKThatCannotBeInstalled(t *testing.T) {
	fakeNPM(t, true)
	f := newFixture(t, func(c *Config) { c.Cache = t.TempDir() })
	f.create("offline", map[string]string{"index.js": `exports.handler = async () => require('@aws-sdk/client-dynamodb').name;`})
	_, got, _ := f.invoke("offline", `{}`)
	if !strings.Contains(got, "Cannot find module '@aws-sdk/client-dynamodb'") {
		t.Errorf("got %s", got)
	}
	for _, part := range []string{"network unreachable", `npm install @aws-sdk/client-dynamodb`} {
		if h := f.last().Hint; !strings.Contains(h, part) {
			t.Errorf("the hint %q lacks %q", h, part)
		}
	}
	f.create("wrong", map[string]string{"index.js": `require('aws-sdk'); exports.handler = async () => 1;`})
	f.invoke("wrong", `{}`)
	if h := f.last().Hint; !strings.Contains(h, "nodejs20.x doesn't bring aws-sdk on Lambda either") {
		t.Errorf("hint %q", h)
	}
}

func TestMissingPackages(t *testing.T) {
	dir := folder(t, map[string]string{
		"index.js":    "const a = require('aws-sdk'), b = require ( \"@aws-sdk/client-s3\" ); require('aws-sdk/clients/dynamodb');",
		"lib/m.mjs":   "import { X } from '@aws-sdk/lib-dynamodb';\nimport '@smithy/types'; const y = await import(`@aws-sdk/client-sqs`);\nexport * from '@aws-sdk/util-dynamodb/x';",
		"bundle.js":   `var t=require("@aws-sdk/client-lambda"),r=5;`,
		"text.txt":    `require('@aws-sdk/client-ecs')`,
		"no.js":       `// about aws-sdk; const x = "@aws-sdk/client-iot"; requires('@aws-sdk/client-ec2')`,
		"has/here.js": `require('@aws-sdk/client-sns')`,
		"has/node_modules/@aws-sdk/client-sns/index.js": `require('@aws-sdk/client-kms')`,
	})
	want := map[string]bool{"aws-sdk": true, "@aws-sdk/client-s3": true, "@aws-sdk/lib-dynamodb": true, "@smithy/types": true, "@aws-sdk/client-sqs": true, "@aws-sdk/util-dynamodb": true, "@aws-sdk/client-lambda": true}
	if diff := cmp.Diff(want, missingPackages(dir)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestInstallationIsStopped ends npm, so that what waits for it fails, and leaves
// nothing half installed.
func TestInstallationIsStopped(t *testing.T) {
	bin, cache := t.TempDir(), t.TempDir()
	began := filepath.Join(bin, "began")
	script := "#!/bin/sh\nmkdir -p node_modules/half\n: > '" + began + "'\nexec sleep 600\n"
	if err := os.WriteFile(filepath.Join(bin, "npm"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	f := newFixture(t, func(c *Config) { c.Cache = cache })
	label, _ := f.sdk.specs(&function{record: record{Runtime: "nodejs22.x"}}, nil)
	stale := filepath.Join(cache, "sdk", ".filling-"+label, "of", "one", "that", "was", "killed")
	if err := os.MkdirAll(stale, 0o755); err != nil {
		t.Fatal(err)
	}
	f.create("waits", map[string]string{"index.js": `exports.handler = async () => require('@aws-sdk/client-dynamodb').name;`})
	answered := make(chan string, 1)
	go func() {
		_, got, _ := f.invoke("waits", `{}`)
		answered <- got
	}()
	eventually(t, "npm", func() bool { _, err := os.Stat(began); return err == nil })
	f.StopInstalling()
	if got := <-answered; !strings.Contains(got, "Cannot find module") {
		t.Errorf("the invocation got %s", got)
	}
	if err := f.Close(t.Context()); err != nil {
		t.Error(err)
	}
	left, err := filepath.Glob(filepath.Join(cache, "sdk", ".filling-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestNPMReason(t *testing.T) {
	for _, tt := range []struct{ out, want string }{
		{"npm error code ECONNREFUSED\nnpm error syscall connect\nnpm error FetchError: request failed\nnpm error     at ClientRequest.<anonymous> (x.js:1)\n\nnpm error A complete log of this run can be found in: /x\n", "code ECONNREFUSED; syscall connect; FetchError: request failed"},
		{"npm ERR! code E404\r\nnpm ERR! 404 Not Found\r\n", "code E404; 404 Not Found"},
		{"network unreachable\n", "network unreachable"},
		{"", ""},
		{strings.Repeat("é", 400), strings.Repeat("é", 150) + "…"},
	} {
		if got := npmReason(tt.out); got != tt.want {
			t.Errorf("%q became %q, want %q", tt.out, got, tt.want)
		}
	}
}

// TestFolderThatIsGone is named, not Node.js.
func TestFolderThatIsGone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	dir := f.create("gone", map[string]string{"index.js": `exports.handler = async () => 1;`})
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if status, got, _ := f.invoke("gone", `{}`); status != 500 || !strings.Contains(got, dir) || !strings.Contains(got, "put it back") {
		t.Errorf("%d %s", status, got)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "index.js"), []byte(`exports.handler = async () => 2;`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, got, _ := f.invoke("gone", `{}`); got != "2" {
		t.Errorf("put back: %s", got)
	}
}
