package config

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"tidegate/internal/apigw"
)

// write writes a file into a folder of its own.
func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tidegate.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

var same = cmp.Options{cmpopts.IgnoreFields(Config{}, "File", "DataDir", "path", "places", "Limits"), cmp.AllowUnexported(Config{}), cmpopts.EquateEmpty()}

// TestExampleIsTheDefaults: what the example sets is what holds without it, down
// to each limit.
func TestExampleIsTheDefaults(t *testing.T) {
	file := write(t, Example)
	got, _, err := Load(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default(), got, same); diff != "" {
		t.Errorf("the example differs from the defaults (-default +example):\n%s", diff)
	}
	if want := filepath.Join(filepath.Dir(file), Default().DataDir); got.DataDir != want {
		t.Errorf("data_dir is %s, want %s", got.DataDir, want)
	}
	for _, s := range apigw.Settings() {
		if _, ok := got.Limits[s.Name]; !ok {
			t.Errorf("the example doesn't show the limit %s", s.Name)
		}
	}
}

// uncommented takes the examples into the file, instead of the empty lists.
func uncommented() string {
	text := strings.NewReplacer("identities: []\n", "", "apis: []\n", "").Replace(Example)
	return regexp.MustCompile(`(?m)^#(\S| +)`).ReplaceAllStringFunc(text, func(s string) string {
		if s == "# " { // prose
			return s
		}
		return s[1:]
	})
}

// TestExampleShowsEveryKey: with its examples the file is a good one, and names
// every key that there is.
func TestExampleShowsEveryKey(t *testing.T) {
	text := uncommented()
	c, _, err := Load(write(t, text), []string{"BACKEND_SECRET=0123456789abcdef", "OPS_SECRET=0123456789abcdeg", "SCRIPT_TOKEN=0123456789abcdef01234567", "WEBHOOK_SECRET=whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if len(c.APIs) != 1 || len(c.APIs[0].Routes) != 4 || c.Identities[0].SecretAccessKey != "0123456789abcdef" {
		t.Errorf("the examples came out as %+v", c)
	}
	var walk func(typ reflect.Type)
	seen := map[reflect.Type]bool{}
	walk = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice || typ.Kind() == reflect.Map {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || seen[typ] {
			return
		}
		seen[typ] = true
		for i := range typ.NumField() {
			f := typ.Field(i)
			if key := f.Tag.Get("key"); key != "" && key != "-" && !strings.Contains(text, key+":") {
				t.Errorf("the example doesn't show the key %s", key)
			}
			walk(f.Type)
		}
	}
	walk(reflect.TypeFor[Config]())
}

// TestMistakes: each names its line, its key and what to do.
func TestMistakes(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unknown key", "mode: extended\nlisteners:\n  pubic: \":1\"\n", `:3:3: listeners: there is no key "pubic"; did you mean public?`},
		{"unknown key, none near", "cluster:\n  nats: on\n", `:1:1: there is no key "cluster"; there are mode, region, account_id, data_dir,`},
		{"unknown key of an API", "apis:\n  - name: chat\n    routes:\n      - route_key: $default\n        integration: {integration_url: x}\n", `:5:23: apis[0].routes[0].integration: there is no key "integration_url"; did you mean integration_uri?`},
		{"a list for keys", "listeners: [a]\n", `:1:12: listeners: here belong keys with values, not a list`},
		{"keys for a value", "mode: {a: b}\n", `:1:7: mode: here belongs one value, not keys`},
		{"a value for a list", "apis: chat\n", `:1:7: apis: here belongs a list, not one value`},
		{"twice", "mode: aws\nmode: aws\n", `:2:1: the key "mode" is given twice, first on line 1`},
		{"not YAML", "mode: [\n", `not valid YAML`},
		{"two documents", "mode: aws\n---\nmode: aws\n", `more than one document`},
		{"mode", "mode: amazon\n", `:1:7: mode: it is aws or extended, not "amazon"`},
		{"duration", "drain_timeout: soon\n", `:1:16: drain_timeout: "soon" is no duration such as 30s or 10m`},
		{"bool", "access_log: perhaps\n", `:1:13: access_log: "perhaps" is neither true nor false`},
		{"address", "listeners: {admin: \"8422\"}\n", `listeners.admin: "8422" is no address such as`},
		{"the same address", "listeners: {admin: \":1\", public: \":1\"}\n", `is an address of`},
		{"all off", "listeners: {admin: off, public: off, management: off}\n", `all are off`},
		{"limit", "limits:\n  idel: 3m\n", `:2:9: limits.idel: there is no limit "idel"`},
		{"limit's value", "limits:\n  idle: ever\n", `:2:9: limits.idle: idle=ever: it is a duration`},
		{"limits of aws", "mode: aws\nlimits: {idle: 3m}\n", `AWS changes it for nobody`},
		{"functions", "services:\n  functions: on\n", `:2:14: services.functions: tidegate serve doesn't run functions yet, nor call them elsewhere; leave it off`},
		{"placeholder", "region: \"{env.NOWHERE}\"\n", `:1:9: region: {env.NOWHERE}: the environment has no variable NOWHERE`},
		{"placeholder without quotes", "region: {env.NOWHERE}\n", `:1:9: region: {env.NOWHERE}: the environment has no variable NOWHERE`},
		{"file", "region: \"{file.nowhere}\"\n", `:1:9: region: {file.…}: stat`},
		{"no name", "identities:\n  - access_key_id: a\n", `:2:5: identities[0]: it needs a name`},
		{"no key", "identities:\n  - name: a\n", `a needs access_key_id and secret_access_key, or bearer_token`},
		{"half a pair", "identities:\n  - {name: a, access_key_id: a}\n", `go together`},
		{"short secret", "identities:\n  - {name: a, access_key_id: a, secret_access_key: tidegate}\n", `secret_access_key has 8 characters; it needs 16`},
		{"short token", "identities:\n  - {name: a, bearer_token: abc}\n", `bearer_token has 3 characters`},
		{"admin with less", "identities:\n  - {name: a, bearer_token: 0123456789abcdef01234567, admin: true, apis: [x]}\n", `an admin may call everything`},
		{"action", "identities:\n  - {name: a, bearer_token: 0123456789abcdef01234567, actions: [\"s3:*\"]}\n", `not "s3:*"`},
		{"names twice", "identities:\n  - {name: a, bearer_token: 0123456789abcdef01234567}\n  - {name: a, bearer_token: 0123456789abcdef01234568}\n", `:3:5: identities[1]: another one has the name "a"`},
		{"half of TLS", "tls: {certificate_file: a}\n", `go together`},
		{"no id", "apis:\n  - description: x\n", `:2:5: apis[0]: it needs an id or a name`},
		{"bad id", "apis:\n  - id: Chat!\n", `is no id`},
		{"ids twice", "apis:\n  - {name: chat, stages: [{name: a}]}\n  - {name: Chat, stages: [{name: a}]}\n", `:3:5: apis[1].id: another API has the id chat`},
		{"no stage", "apis:\n  - name: chat\n", `needs a stage`},
		{"target", "apis:\n  - {name: chat, stages: [{name: a}], routes: [{route_key: x, target: y}]}\n", `apis[0].routes[0].target: there is no integration "y"`},
		{"ordered in mode aws", "mode: aws\napis: [{name: chat, stages: [{name: prod, ordered: true}]}]\n", `apis[0].stages[0].ordered: AWS handles a client's messages in parallel`},
		{"webhook in mode aws", "mode: aws\nwebhook_secret: x\n", `it is for mode extended`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := Load(write(t, c.text), nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got\n%v\nwant it to hold\n%s", err, c.want)
			}
		})
	}
}

// TestNoSecretInMistakes: what a placeholder brought is never repeated.
func TestNoSecretInMistakes(t *testing.T) {
	_, _, err := Load(write(t, "drain_timeout: {env.SECRET}\naccess_log: \"{env.SECRET}\"\nlimits: {idle: 1s}\n"), []string{"SECRET=hunter2", "TIDEGATE_DRAIN_TIMEOUT=hunter2"})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the mistake repeats the secret, or is none: %v", err)
	}
}

// TestEnvironment: a variable wins over the file; one that is nearly a key is
// remarked on, any other left alone.
func TestEnvironment(t *testing.T) {
	c, remarks, err := Load(write(t, "listeners: {public: \":1\"}\nregion: eu-west-1\n"), []string{
		"TIDEGATE_LISTENERS_PUBLIC=:2, [::1]:3", "TIDEGATE_LISTENERS_ADMIN=off", "TIDEGATE_LIMITS_IDLE=3m", "TIDEGATE_MANAGEMENT_PUBLIC=false",
		"TIDEGATE_DRAINTIMEOUT=3s", "TIDEGATE_PORT_8420_TCP_ADDR=10.0.0.1", "TIDEGATE_SERVICE_HOST=10.0.0.1",
		"TIDEGATE_ENDPOINT=x", "TIDEGATE_ACCESS_KEY_ID=x", "TIDEGATE_SECRET_ACCESS_KEY=x", "TIDEGATE_APIS=[]",
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Addresses{":2", "[::1]:3"}, c.Listeners.Public); diff != "" || c.Listeners.Admin != nil || c.Management.Public || c.AppliedLimits().Idle.String() != "3m0s" || c.Region != "eu-west-1" {
		t.Errorf("the environment made %+v\n%s", c, diff)
	}
	if diff := cmp.Diff([]string{"the environment variable TIDEGATE_APIS means nothing here: apis is a list, which stands in the file; a value in it may be {env.NAME}",
		"the environment variable TIDEGATE_DRAINTIMEOUT means nothing here; did you mean TIDEGATE_DRAIN_TIMEOUT?"}, remarks); diff != "" {
		t.Error(diff)
	}
}

// TestPlaceholders: from the environment and from files; a backslash keeps one.
func TestPlaceholders(t *testing.T) {
	file := write(t, "webhook_secret: 'a{env.X}b{file.secret}c\\{env.X}'\n")
	if err := os.WriteFile(filepath.Join(filepath.Dir(file), "secret"), []byte("s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _, err := Load(file, []string{"X=x"})
	if err != nil || c.WebhookSecret != "axbsc{env.X}" {
		t.Errorf("got %q, %v", c.WebhookSecret, err)
	}
}

// TestAliasesAreBounded: a short file can't stand for millions of values.
func TestAliasesAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("apis:\n  - &a0 {stage_variables: {a: b}}\n")
	for i := 1; i < 30; i++ {
		b.WriteString("  - &a" + string(rune('a'+i%26)) + string(rune('0'+i/26)) + " {routes: [")
		for range 10 {
			if i == 1 {
				b.WriteString("*a0, ")
			} else {
				b.WriteString("*a" + string(rune('a'+(i-1)%26)) + string(rune('0'+(i-1)/26)) + ", ")
			}
		}
		b.WriteString("]}\n")
	}
	if _, _, err := Load(write(t, b.String()), nil); err == nil {
		t.Error("the file is taken")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(Example)
	f.Add(uncommented())
	f.Add("apis: [&a {routes: [*a]}]")
	f.Fuzz(func(t *testing.T, text string) {
		c, _, err := decode("f.yaml", []byte(text), nil)
		if err == nil && (c.AppliedLimits().MessageSize == 0 || !filepath.IsAbs(c.DataDir)) {
			t.Error("a good file without limits or a data dir")
		}
	})
}

// TestFixed: what a reload can't change is named.
func TestFixed(t *testing.T) {
	a, b := Default(), Default()
	b.Region, b.Listeners.Admin, b.APIs = "eu-west-1", nil, []API{{ID: "x"}}
	if diff := cmp.Diff([]string{"region", "listeners.admin"}, a.Fixed(b)); diff != "" {
		t.Error(diff)
	}
}
