package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tidegate/internal/client"
)

// samProject is a project as `sam build` leaves it. Its sources need a tool that
// only SAM has, until they are mended.
var samProject = map[string]string{
	"template.yaml": strings.ReplaceAll(strings.ReplaceAll(samTemplate, "CODE", "src"), "LAYER", "words"),
	"src/app.js":    "exports.handler = async () => ({ statusCode: 200, body: 'source' });",
	"words/words":   "module.exports = 'source';",

	".aws-sam/build/template.yaml":                            strings.ReplaceAll(strings.ReplaceAll(samTemplate, "CODE", "Echo"), "LAYER", "Words"),
	".aws-sam/build/Echo/app.js":                              "exports.handler = async () => ({ statusCode: 200, body: require('words') + process.env.GREETING });",
	".aws-sam/build/Words/nodejs/node_modules/words/index.js": "module.exports = 'built';",
	".aws-sam/build.toml": `
[function_build_definitions.4a2a1e5e]
codeuri = "src"
runtime = "nodejs22.x"
functions = ["Echo"]

[layer_build_definitions.7e0cf5a1]
layer_name = "Words"
codeuri = "words"
build_method = "rust-cargolambda"
`,
	".env": "GREETING=\" from .env\"\n",
}

const samTemplate = `
Transform: AWS::Serverless-2016-10-31
Resources:
  Words:
    Type: AWS::Serverless::LayerVersion
    Metadata: { BuildMethod: rust-cargolambda }
    Properties: { ContentUri: LAYER }
  Echo:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: CODE
      Handler: app.handler
      Runtime: nodejs22.x
      Layers: [!Ref Words]
      Environment: { Variables: { GREETING: '{{resolve:secretsmanager:greeting:SecretString:greeting}}' } }
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties: { RouteSelectionExpression: $request.body.action, Routes: { $default: { FunctionArn: !GetAtt Echo.Arn, RouteResponseSelectionExpression: $default } } }
  Answer:
    Type: AWS::ApiGatewayV2::RouteResponse
    Properties: { ApiId: !Ref Api, RouteId: !Ref ApiDefaultRoute, RouteResponseKey: $default }
`

// setTime makes a file as old as the moment says.
func setTime(t *testing.T, at time.Time, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSAMBuild runs what sam build made as long as it is newer than the sources,
// and goes back and forth on one connection.
func TestSAMBuild(t *testing.T) {
	t.Parallel()
	need(t, "node")
	dir := folder(t, samProject)
	source, template, built := filepath.Join(dir, "src", "app.js"), filepath.Join(dir, "template.yaml"), filepath.Join(dir, ".aws-sam", "build", "template.yaml")
	hourAgo := time.Now().Add(-time.Hour)
	setTime(t, hourAgo, source, template, filepath.Join(dir, "words", "words"))
	setTime(t, hourAgo.Add(time.Minute), built)

	s := start(t, dir)
	if n := strings.Count(s.log.String(), "what sam build made is newer"); n != 1 {
		t.Errorf("that the build is taken was told %d times", n)
	}
	if _, err := os.Stat(filepath.Join(dir, ".tidegate")); err != nil {
		t.Errorf("the data isn't beside the project's template: %v", err)
	}
	c := s.dialURL(s.url(), client.DialOptions{})
	c.say(`{}`)
	c.want("built from .env")

	setTime(t, hourAgo.Add(2*time.Minute), source)
	s.await("the sources, which SAM alone can build, to be told", func() bool {
		return strings.Contains(s.log.String(), "the edited template can't run") && strings.Contains(s.log.String(), "rust-cargolambda")
	})
	c.say(`{}`)
	c.want("built from .env")

	mended := strings.ReplaceAll(samProject["template.yaml"], "    Metadata: { BuildMethod: rust-cargolambda }\n", "")
	if err := os.WriteFile(template, []byte(mended), 0o600); err != nil {
		t.Fatal(err)
	}
	s.await("the sources to run", func() bool { return strings.Contains(s.log.String(), "the edited template runs") })
	c.say(`{}`)
	c.want("source")

	setTime(t, time.Now().Add(time.Minute), built)
	s.await("the next build to run", func() bool { return strings.Count(s.log.String(), "the edited template runs") == 2 })
	c.say(`{}`)
	c.want("built from .env")
}

// TestSAMBuildNamed runs the build that the command line names, and the template
// that it names although a newer build is there.
func TestSAMBuildNamed(t *testing.T) {
	t.Parallel()
	need(t, "node")
	files := map[string]string{}
	for name, content := range samProject {
		files[name] = content
	}
	files["template.yaml"] = strings.ReplaceAll(files["template.yaml"], "    Metadata: { BuildMethod: rust-cargolambda }\n", "")
	for _, tt := range []struct{ args, want string }{
		{filepath.Join(".aws-sam", "build") + " --no-build", "built from .env"},
		{filepath.Join(".aws-sam", "build", "template.yaml"), "built from .env"},
		{"template.yaml", "source"},
	} {
		dir := folder(t, files)
		setTime(t, time.Now().Add(time.Minute), filepath.Join(dir, ".aws-sam", "build", "template.yaml"))
		s := start(t, dir, strings.Fields(tt.args)...)
		c := s.dialURL(s.url(), client.DialOptions{})
		c.say(`{}`)
		c.want(tt.want)
		if _, err := os.Stat(filepath.Join(dir, ".tidegate")); err != nil {
			t.Errorf("up %s: the data isn't in the project's folder: %v", tt.args, err)
		}
		s.stop()
	}
}
