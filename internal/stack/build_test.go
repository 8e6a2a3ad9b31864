package stack

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What the template says of a build reaches the functions service beside the
// folder; a change of it changes the function.
func TestBuilds(t *testing.T) {
	const head = samHead + "  F:\n    Type: AWS::Serverless::Function\n    Properties: {CodeUri: src/, Runtime: nodejs20.x, Handler: typed.handler}\n"
	tests := []struct {
		name, template string
		noBuild        bool
		want           map[string]any
		wantErr        string
	}{
		{name: "as the folder shows", template: head},
		{name: "other metadata", template: head + "    Metadata: {SamResourceId: F, cfn-lint: {config: {}}}\n"},
		{name: "a runtime's own", template: head + "    Metadata: {BuildMethod: nodejs20.x}\n"},
		{name: "esbuild", template: head + "    Metadata:\n      BuildMethod: esbuild\n      BuildProperties: {EntryPoints: [typed.ts], Minify: 'true', Loader: ['.txt=text']}\n",
			want: map[string]any{"Method": "esbuild", "Properties": map[string]any{"EntryPoints": []any{"typed.ts"}, "Minify": true, "Loader": []any{".txt=text"}}}},
		{name: "makefile", template: strings.Replace(head, "src/", "made/", 1) + "    Metadata: {BuildMethod: makefile}\n",
			want: map[string]any{"Method": "makefile", "LogicalId": "F"}},
		{name: "nothing is built", template: strings.Replace(head, "typed.", "app.", 1), noBuild: true, want: map[string]any{"Method": "none"}},
		{name: "nothing is built of TypeScript", template: head, noBuild: true, wantErr: "the handler's file typed.ts is TypeScript, which isn't built here; point CodeUri at the compiled JavaScript"},
		{name: "Go", template: strings.Replace(strings.Replace(head, "src/", "golang/", 1), "nodejs20.x", "provided.al2023", 1)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, name := range []string{"src/app.js", "src/typed.ts", "made/Makefile", "golang/main.go"} {
				name = filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(name, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s, err := load([]byte(tt.template), "t.yaml", filepath.Join(dir, "t.yaml"), Options{StackName: "test", NoBuild: tt.noBuild})
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Fatalf("got %v, want %s", err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			c := &change{res: s.byID["F"]}
			if err := s.loadCode(c); err != nil {
				t.Fatal(err)
			}
			got, _ := c.code.payload()["TidegateBuild"].(map[string]any)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if plain := hashText("folder " + c.code.folder); (c.code.hash == plain) != (tt.want == nil) {
				t.Errorf("the code's hash doesn't tell of the build")
			}
		})
	}
}

// A layer's BuildMethod reaches the service unless the folder is what a build
// would make.
func TestLayerBuilds(t *testing.T) {
	const head = samHead + "  L:\n    Type: AWS::Serverless::LayerVersion\n    Properties: {ContentUri: DIR}\n    Metadata: {BuildMethod: METHOD}\n"
	dir := t.TempDir()
	for _, name := range []string{"npm/package.json", "out/nodejs/index.js", "both/nodejs/index.js", "both/package.json", "pip/own.py", "made/Makefile"} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		folder, method string
		noBuild        bool
		want           map[string]any
		wantErr        string
	}{
		{folder: "npm", method: "nodejs22.x", want: map[string]any{"Method": "nodejs22.x"}},
		{folder: "both", method: "nodejs22.x", want: map[string]any{"Method": "nodejs22.x"}},
		{folder: "out", method: "nodejs22.x"},
		{folder: "pip", method: "python3.12", want: map[string]any{"Method": "python3.12"}},
		{folder: "made", method: "makefile", want: map[string]any{"Method": "makefile", "LogicalId": "L"}},
		{folder: "made", method: "makefile", noBuild: true},
		{folder: "npm", method: "rust-cargolambda", noBuild: true},
		{folder: "npm", method: "makefile", wantErr: "t.yaml:6:29: L.Metadata.BuildMethod: there is no Makefile in npm"},
		{folder: "npm", method: "esbuild", wantErr: "L.Metadata.BuildMethod: the build method esbuild doesn't build layers here; makefile, nodejs* and python3.* do"},
		{folder: "npm", method: "java21", wantErr: "the build method java21 doesn't build layers here"},
	} {
		t.Run(tt.folder+" "+tt.method, func(t *testing.T) {
			text := strings.NewReplacer("DIR", tt.folder, "METHOD", tt.method).Replace(head)
			s, err := load([]byte(text), "t.yaml", filepath.Join(dir, "t.yaml"), Options{StackName: "test", NoBuild: tt.noBuild})
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Fatalf("got %v, want %s", err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			c := &change{res: s.byID["L"]}
			if err := s.loadCode(c); err != nil {
				t.Fatal(err)
			}
			got, _ := c.code.payload()["TidegateBuild"].(map[string]any)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
