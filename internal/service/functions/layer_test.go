//go:build linux || darwin

package functions

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const layers = "/2018-10-31/layers"

// publishLayer makes a layer version of a folder or an archive and returns its ARN.
func (f *fixture) publishLayer(name string, content map[string]any) string {
	f.t.Helper()
	status, out, _ := f.call("POST", layers+"/"+name+"/versions", map[string]any{"Content": content})
	if status != 201 {
		f.t.Fatalf("PublishLayerVersion: %d %v", status, out)
	}
	return out["LayerVersionArn"].(string)
}

func inFolder(dir string) map[string]any {
	return map[string]any{"S3Bucket": folderBucket, "S3Key": dir}
}

func TestLayersAPI(t *testing.T) {
	t.Parallel()
	bucket, dir := newBucket(), t.TempDir()
	f := openFixture(t, func(c *Config) { c.Bucket, c.Dir = bucket, dir })
	const arn = "arn:aws:lambda:us-east-1:000000000000:layer:text"
	archive := zipped(t, map[string]string{"python/text.py": "text = 'one'"})
	in := map[string]any{"Content": map[string]any{"ZipFile": archive}, "Description": "words", "CompatibleRuntimes": []string{"python3.12"}, "LicenseInfo": "MIT"}
	out := f.expect("POST", layers+"/text/versions", in, 201, `"LayerArn":"`+arn+`","LayerVersionArn":"`+arn+`:1","Description":"words"`)
	content := out["Content"].(map[string]any)
	if out["Version"] != 1.0 || out["CreatedDate"] == "" || content["CodeSize"] != float64(len(archive)) || content["CodeSha256"] == "" {
		t.Errorf("PublishLayerVersion: %v", out)
	}
	f.expect("POST", layers+"/text/versions", map[string]any{"Content": map[string]any{"ZipFile": zipped(t, map[string]string{"python/text.py": "text = 'two'"})}}, 201, arn+":2")
	f.expect("POST", layers+"/text/versions", map[string]any{"Content": map[string]any{"ZipFile": []byte("zip?")}}, 400, "unzip")
	f.expect("POST", layers+"/text/versions", map[string]any{}, 400, "'content'")
	f.expect("POST", layers+"/te%20xt/versions", in, 400, "'layerName'")
	f.expect("GET", layers+"/text/versions/1", nil, 200, `"LicenseInfo":"MIT"`)
	f.expect("GET", layers+"/text/versions/9", nil, 404, "The resource you requested does not exist.")
	f.expect("GET", layers+"?find=LayerVersion&Arn="+arn+":2", nil, 200, `"Version":2`)
	f.expect("GET", layers+"?find=LayerVersion&Arn=arn:aws:lambda:us-east-1:123456789012:layer:x:1", nil, 404, "ResourceNotFoundException")
	f.expect("GET", layers, nil, 200, `{"Layers":[{"LayerName":"text","LayerArn":"`+arn+`","LatestMatchingVersion":{"LayerVersionArn":"`+arn+`:2"`)
	f.expect("GET", layers+"?CompatibleRuntime=python3.12", nil, 200, `"LatestMatchingVersion":{"LayerVersionArn":"`+arn+`:1"`)
	f.expect("GET", layers+"/text/versions?MaxItems=1", nil, 200, `"NextMarker":"2"`)
	f.expect("GET", layers+"/text/versions?Marker=2", nil, 200, `{"LayerVersions":[{"LayerVersionArn":"`+arn+`:1"`)

	create := map[string]any{"FunctionName": "f", "Runtime": "python3.12", "Role": testRole, "Handler": "app.handler",
		"Code": inFolder(folder(t, map[string]string{"app.py": "from text import text\ndef handler(e, c): return text"}))}
	for _, tt := range []struct {
		layers []string
		text   string
	}{
		{[]string{arn + ":7"}, "Layer version " + arn + ":7 does not exist."},
		{[]string{"arn:aws:lambda:us-east-1:017000801446:layer:AWSLambdaPowertoolsPythonV3:7"}, "belongs to another account"},
		{[]string{arn + ":1", arn + ":2"}, "Two different versions of the same layer"},
		{[]string{"text"}, "'layers'"},
		{make([]string, 6), "Cannot reference more than 5 layers."},
	} {
		create["Layers"] = tt.layers
		f.expect("POST", "/2015-03-31/functions", create, 400, tt.text)
	}
	create["Layers"] = []string{arn + ":1"}
	f.expect("POST", "/2015-03-31/functions", create, 201, `"Layers":[{"Arn":"`+arn+`:1","CodeSize":`)
	run := func(want string) {
		t.Helper()
		if _, got, _ := f.invoke("f", "{}"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	needPython(t)
	run(`"one"`)
	f.expect("PUT", "/2015-03-31/functions/f/configuration", map[string]any{"Timeout": 5}, 200, arn+":1") // stays
	f.expect("DELETE", layers+"/text/versions/1", nil, 204, "")
	f.expect("DELETE", layers+"/text/versions/1", nil, 204, "")
	f.expect("GET", layers+"/text/versions/1", nil, 404, "")
	run(`"one"`) // who has it keeps it
	f.Close(context.Background())
	f = openFixture(t, func(c *Config) { c.Bucket, c.Dir = bucket, dir })
	run(`"one"`)
	f.expect("PUT", "/2015-03-31/functions/f/configuration", map[string]any{"Layers": []string{arn + ":2"}}, 200, arn+":2")
	run(`"two"`)
	f.expect("PUT", "/2015-03-31/functions/f/configuration", map[string]any{"Layers": []string{}}, 200, "")
	if _, got, _ := f.invoke("f", "{}"); !strings.Contains(got, "No module named 'text'") {
		t.Error(got)
	}
	f.expect("DELETE", layers+"/text/versions/2", nil, 204, "")
	f.expect("POST", layers+"/text/versions", in, 201, arn+":3") // no number twice
	left, _ := os.ReadDir(filepath.Join(dir, "layers", "text"))
	if len(left) != 1 {
		t.Errorf("deleted layers left %v", left)
	}
}

// Two layers make one /opt: the later one on top, found as on Lambda by
// require, import, import() and Python's import; variables that say /opt are led
// there, and a saved file of a layer is live.
func TestLayersAreFound(t *testing.T) {
	t.Parallel()
	told := make(chan Progress, 100)
	f := newFixture(t, func(c *Config) { c.Events.Progress = func(p Progress) { told <- p } })
	needPython(t)
	low := folder(t, map[string]string{
		"nodejs/node_modules/words/index.js": "module.exports = 'low';", "nodejs/node_modules/only-low/index.js": "module.exports = require('words') + '!';",
		"nodejs/node_modules/aws-lib/package.json": `{"name":"aws-lib","type":"module","exports":"./m.mjs"}`, "nodejs/node_modules/aws-lib/m.mjs": "export default 'esm';",
		"python/words.py": "text = 'low'", "data.txt": "low", "extensions/watcher": "",
	})
	high := folder(t, map[string]string{
		"nodejs/node_modules/words/index.js": "module.exports = 'high';", "nodejs/node20/node_modules/versioned/index.js": "module.exports = 'for 20';",
		"python/lib/python3.12/site-packages/sited.py": "text = 'site'", "data.txt": "high", "bin/README": "",
	})
	if err := os.WriteFile(filepath.Join(high, "bin", "tool"), []byte("#!/bin/sh\necho from the layer\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	both := []string{f.publishLayer("low", inFolder(low)), f.publishLayer("high", inFolder(high))}
	vars := map[string]any{"Variables": map[string]string{"FILE": "/opt/data.txt", "LIST": "/var/task:/opt/x:/optical", "URL": "https://x.example/opt/y"}}
	f.create("cjs", map[string]string{"index.js": `
exports.handler = async () => [require('words'), require('only-low'), require('versioned'), (await import('aws-lib')).default,
  require('fs').readFileSync(process.env.FILE, 'utf8'), require('child_process').execSync('tool').toString().trim(), process.env.URL].join();`},
		"Layers", both, "Environment", vars)
	want := `"high,high!,for 20,esm,high,from the layer,https://x.example/opt/y"`
	if _, got, _ := f.invoke("cjs", "{}"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if p := <-told; p.Function != "cjs" || !strings.Contains(p.Text, "extension watcher") {
		t.Errorf("told %v of the extension", p)
	}
	f.create("esm", map[string]string{"index.mjs": `
import words from 'words';
import lib from 'aws-lib';
export const handler = async () => [words, lib, process.env.LIST].join();`}, "Layers", both, "Environment", vars)
	if _, got, _ := f.invoke("esm", "{}"); !strings.HasPrefix(got, `"high,esm,/`) || strings.Contains(got, "/var/task") || !strings.HasSuffix(got, `/x:/optical"`) {
		t.Error(got)
	}
	f.createPython("py", map[string]string{"app.py": `
import words, sited, sys, os
def handler(e, c): return [words.text, sited.text, open(os.environ["FILE"]).read()]`}, "Layers", both, "Environment", vars)
	if _, got, _ := f.invoke("py", "{}"); got != `["low", "site", "high"]` {
		t.Error(got)
	}
	write(t, filepath.Join(high, "nodejs/node_modules/words/index.js"), "module.exports = 'higher';")
	write(t, filepath.Join(high, "data.txt"), "higher")
	if _, got, _ := f.invoke("cjs", "{}"); !strings.Contains(got, ",higher,") {
		t.Errorf("after saving: %s", got)
	}
}

func TestBootstrapInLayer(t *testing.T) {
	f := openFixture(t)
	dir := t.TempDir()
	install(t, program(t, "goecho"), filepath.Join(dir, "bootstrap"), 0o755)
	arn := f.publishLayer("runtime", inFolder(dir))
	f.create("f", map[string]string{"data": ""}, "Runtime", "provided.al2023", "Layers", []string{arn})
	if _, got, _ := f.invoke("f", "[7]"); got != "[7]" {
		t.Error(got)
	}
}

func TestWrapperScript(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	needPython(t)
	dir := t.TempDir()
	script := "#!/bin/sh\nexport WRAPPED=\"$(basename $0) $#\"\nexec \"$@\"\n"
	if err := os.WriteFile(filepath.Join(dir, "wrap"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "plain"), script)
	arn := f.publishLayer("wrap", inFolder(dir))
	with := func(path string) []any {
		return []any{"Layers", []string{arn}, "Environment", map[string]any{"Variables": map[string]string{"AWS_LAMBDA_EXEC_WRAPPER": path}}}
	}
	node := map[string]string{"index.js": "exports.handler = async () => process.env.WRAPPED;"}
	f.create("node", node, with("/opt/wrap")...)
	if _, got, _ := f.invoke("node", "{}"); got != `"wrap 2"` {
		t.Error(got)
	}
	f.createPython("python", map[string]string{"app.py": "import os\ndef handler(e, c): return os.environ['WRAPPED']"}, with("/opt/wrap")...)
	if _, got, _ := f.invoke("python", "{}"); got != `"wrap 3"` {
		t.Error(got)
	}
	for path, want := range map[string]string{"/opt/none": "exit status 127", "/opt/plain": "exit status 126"} {
		name := filepath.Base(path)
		f.create(name, node, with(path)...)
		_, got, _ := f.invoke(name, "{}")
		if end := f.last(); !strings.Contains(got, want) || end.ErrorType != "Runtime.ExitError" || !strings.Contains(end.Hint, "AWS_LAMBDA_EXEC_WRAPPER: "+dir) {
			t.Errorf("%s: %s, hint %q", path, got, end.Hint)
		}
	}
	// Not on a runtime without a language, as on AWS.
	f.createCustom("go", "goecho", with("/opt/wrap")...)
	var out struct{ Environment []string }
	_, got, _ := f.invoke("go", `"environment"`)
	if err := json.Unmarshal([]byte(got), &out); err != nil || strings.Contains(got, "WRAPPED=") {
		t.Errorf("%v %s", err, got)
	}
}
