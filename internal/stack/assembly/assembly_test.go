package assembly

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// write makes a folder of files.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestOpen(t *testing.T) {
	const chat = `{"Resources": {"Api": {"Type": "AWS::ApiGatewayV2::Api", "Properties": {"ProtocolType": "WEBSOCKET"}}}}`
	dir := write(t, map[string]string{
		"manifest.json": `{"version": "36.0.0", "artifacts": {
			"Chat": {"type": "aws:cloudformation:stack", "environment": "aws://111122223333/eu-west-1", "properties": {"templateFile": "Chat.template.json"}, "displayName": "Chat"},
			"Chat.assets": {"type": "cdk:asset-manifest", "properties": {"file": "Chat.assets.json"}},
			"assembly-Beta": {"type": "cdk:cloud-assembly", "properties": {"directoryName": "assembly-Beta"}},
			"Tree": {"type": "cdk:tree", "properties": {"file": "tree.json"}}}}`,
		"Chat.template.json": chat,
		"assembly-Beta/manifest.json": `{"version": "36.0.0", "artifacts": {
			"BetaData1234": {"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region",
				"properties": {"templateFile": "BetaData1234.template.json", "stackName": "Beta-Data"}, "displayName": "Beta/Data (Beta-Data)"}}}`,
		"assembly-Beta/BetaData1234.template.json": `{"Resources": {"Http": {"Type": "AWS::ApiGatewayV2::Api", "Properties": {"ProtocolType": "HTTP"}}}}`,
	})
	a, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	data := Stack{ID: "Beta/Data", Name: "Beta-Data", Template: filepath.Join(dir, "assembly-Beta", "BetaData1234.template.json")}
	api := Stack{ID: "Chat", Name: "Chat", Template: filepath.Join(dir, "Chat.template.json"), Account: "111122223333", Region: "eu-west-1", WebSocket: true}
	if diff := cmp.Diff([]Stack{data, api}, a.Stacks); diff != "" {
		t.Errorf("stacks (-want +got):\n%s", diff)
	}
	if len(a.Files) != 4 {
		t.Errorf("made from %v, want two manifests and two templates", a.Files)
	}
	for name, want := range map[string]string{"": "Chat", "Beta/Data": "Beta-Data", "Beta-Data": "Beta-Data"} {
		if s, err := a.Choose(name); err != nil || s.Name != want {
			t.Errorf("Choose(%q) = %s, %v; want %s", name, s.Name, err, want)
		}
	}
	if _, err := a.Choose("Alpha"); !errors.Is(err, ErrChoice) || !strings.Contains(err.Error(), "Beta-Data (Beta/Data)") {
		t.Errorf("a stack that isn't there: %v", err)
	}
}

func TestOpenProblems(t *testing.T) {
	stack := func(file string) string {
		return `{"version": "1", "artifacts": {"A": {"type": "aws:cloudformation:stack", "properties": {"templateFile": "` + file + `"}}}}`
	}
	for _, tt := range []struct {
		name, manifest, want string
	}{
		{"a web app's manifest", `{"name": "app", "icons": []}`, "no cloud assembly"},
		{"a template outside", stack("../t.json"), "not in its folder"},
		{"a template that isn't there", stack("gone.json"), "gone.json"},
		{"an assembly in itself", `{"version": "1", "artifacts": {"B": {"type": "cdk:cloud-assembly", "properties": {"directoryName": "."}}}}`, "deep"},
	} {
		_, err := Open(write(t, map[string]string{"manifest.json": tt.manifest}))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
}

func TestAssets(t *testing.T) {
	dir := write(t, map[string]string{
		"A.assets.json": `{"files": {"ab": {"source": {"path": "asset.ab", "packaging": "zip"}, "destinations": {"d": {"bucketName": "b", "objectKey": "ab.zip"}}},
			"cd": {"source": {"path": "../asset.cd.zip", "packaging": "file"}, "destinations": {"d": {"bucketName": "b", "objectKey": "prefix/cd.zip"}}},
			"ef": {"source": {"executable": ["make"]}, "destinations": {"d": {"objectKey": "ef.zip"}}}}}`,
	})
	got, from, err := AssetsOf(filepath.Join(dir, "A.template.json"))
	if err != nil || from != filepath.Join(dir, "A.assets.json") {
		t.Fatalf("from %s: %v", from, err)
	}
	want := Assets{"ab.zip": filepath.Join(dir, "asset.ab"), "cd.zip": filepath.Join(filepath.Dir(dir), "asset.cd.zip")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("assets (-want +got):\n%s", diff)
	}
	if at, ok := got.Lookup("prefix/cd.zip"); !ok || at != want["cd.zip"] {
		t.Errorf("Lookup with a prefix: %s, %v", at, ok)
	}
	if got, _, err := AssetsOf(filepath.Join(dir, "template.yaml")); got != nil || err != nil {
		t.Errorf("a template of another make: %v, %v", got, err)
	}
}
