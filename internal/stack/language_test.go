package stack

import (
	"os"
	"path/filepath"
	"testing"
)

func TestModules(t *testing.T) {
	for _, tt := range []struct {
		runtime, handler, want string // want is empty when the handler isn't of the form
	}{
		{"nodejs22.x", "app.handler", "app"}, {"nodejs8.10", "src/app.a.b", "src/app"}, {"nodejs22.x", "app", ""}, {"nodejs22.x", ".x", ""},
		{"python3.12", "app.lambda_handler", "app"}, {"python3.9", "src/handlers/chat.handler", "src/handlers/chat"}, {"python3.12", "pkg.mod.handler", "pkg/mod"},
		{"python3.12", "handler", ""}, {"python3.12", "app.", ""}, {"python3.12", "a..handler", ""}, {"python3.12", "/app.handler", ""}, {"python3.12", "../app.handler", "../app.handler"},
		{"provided.al2023", "anything", "bootstrap"}, {"go1.x", "bin/chat", "bin/chat"},
	} {
		if got, ok := languageOf(tt.runtime).module(tt.handler); got != tt.want || ok != (tt.want != "") {
			t.Errorf("%s %q: %q, %v; want %q", tt.runtime, tt.handler, got, ok, tt.want)
		}
	}
	for _, runtime := range []string{"python2.7", "python3", "java21", "provided.al3", "go1.21", ""} {
		if languageOf(runtime) != nil {
			t.Errorf("%q is taken", runtime)
		}
	}
}

// TestPythonCode takes modules, packages and inline code.
func TestPythonCode(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"py/app.py", "py/pkg/__init__.py", "py/pkg/mod.py"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, properties := range []string{
		"{CodeUri: py, Handler: app.lambda_handler, Runtime: python3.12}", "{CodeUri: py, Handler: pkg.handler, Runtime: python3.13}",
		"{CodeUri: py, Handler: pkg/mod.handler, Runtime: python3.9}", "{InlineCode: \"def f(e, c): return 1\", Handler: index.f, Runtime: python3.12}",
	} {
		template := samHead + "  F:\n    Type: AWS::Serverless::Function\n    Properties: " + properties + "\n"
		if _, err := load([]byte(template), "t.yaml", filepath.Join(dir, "t.yaml"), Options{StackName: "test"}); err != nil {
			t.Errorf("%s: %v", properties, err)
		}
	}
}
