package up

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// project writes files and returns their folder.
func project(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestOverrides(t *testing.T) {
	dir := project(t, map[string]string{
		"map.json":  `{"A": "x y", "N": 3}`,
		"list.json": `[{"ParameterKey": "A", "ParameterValue": "x"}, "B=y"]`,
		"map.yaml":  "A: x\nL: [a, b]\n",
		"deep.yaml": "A: {b: c}\n",
	})
	tests := []struct {
		given []string
		want  map[string]string
		err   string
	}{
		{given: []string{"A=x"}, want: map[string]string{"A": "x"}},
		{given: []string{"A=x B=y", "C=z=1"}, want: map[string]string{"A": "x", "B": "y", "C": "z=1"}},
		{given: []string{`A="x y" B='z w'`}, want: map[string]string{"A": "x y", "B": "z w"}},
		{given: []string{`A="say \"hi\""`}, want: map[string]string{"A": `say "hi"`}},
		{given: []string{"A=it's fine, B too"}, want: map[string]string{"A": "it's fine, B too"}},
		{given: []string{"Q=1", "A=x y"}, want: map[string]string{"Q": "1", "A": "x y"}},
		{given: []string{"A="}, want: map[string]string{"A": ""}},
		{given: []string{"ParameterKey=A,ParameterValue=x ParameterKey=B,ParameterValue=\"y z\""}, want: map[string]string{"A": "x", "B": "y z"}},
		{given: []string{"/app/host=a.test", "db:password=p"}, want: map[string]string{"/app/host": "a.test", "db:password": "p"}},
		{given: []string{"file://map.json", "N=4"}, want: map[string]string{"A": "x y", "N": "4"}},
		{given: []string{"file://list.json"}, want: map[string]string{"A": "x", "B": "y"}},
		{given: []string{"file://map.yaml"}, want: map[string]string{"A": "x", "L": "a,b"}},
		{given: []string{"file://deep.yaml"}, err: "the value of A must be a text or a number, not a map"},
		{given: []string{"file://none.yaml"}, err: "no such file"},
		{given: []string{"A"}, err: `parameter overrides are K=V, not "A"`},
		{given: []string{"=x"}, err: `are K=V, not "=x"`},
		{given: []string{`A="x`}, err: "a quote \" is not closed"},
	}
	for _, tt := range tests {
		got, _, err := Overrides(tt.given, dir)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%q: error %v, want %s", tt.given, err, tt.err)
			}
			continue
		}
		if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
			t.Errorf("%q: %v %s", tt.given, err, diff)
		}
	}
}

const configured = `
Transform: AWS::Serverless-2016-10-31
Parameters: {Stage: {Type: String, Default: dev}, Greeting: {Type: String, Default: none}}
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties:
      {InlineCode: x, Handler: index.handler, Runtime: nodejs20.x, FunctionName: !Sub '${AWS::StackName}-${AWS::Region}-${Stage}-${Greeting}'}
`

// What a SAM configuration file says is taken; the command line wins.
func TestSAMConfig(t *testing.T) {
	const file = `version = 0.1
[default.global.parameters]
stack_name = "everywhere"
region = "eu-west-1"
[default.deploy.parameters]
stack_name = "chat"
capabilities = "CAPABILITY_IAM"
parameter_overrides = "Stage=\"prod\" Other=1"
[default.local_start_api.parameters]
parameter_overrides = ["Greeting=hi there"]
[test.deploy.parameters]
parameter_overrides = {Stage = "test"}
`
	tests := []struct {
		name  string
		files map[string]string
		o     Options
		want  string // the function's name, or the error after "!"
		note  string
	}{
		{name: "none", want: "only-us-east-1-dev-none", o: Options{StackName: "only"}},
		{name: "TOML", files: map[string]string{"samconfig.toml": file}, want: "chat-eu-west-1-prod-hi there", note: `the template has no parameter "Other", which the configuration file sets`},
		{name: "the command line wins", files: map[string]string{"samconfig.toml": file}, o: Options{StackName: "mine", Region: "us-west-2", Overrides: []string{"Stage=x"}}, want: "mine-us-west-2-x-hi there"},
		{name: "the environment's region is lower", files: map[string]string{"samconfig.toml": file}, o: Options{DefaultRegion: "sa-east-1"}, want: "chat-eu-west-1-prod-hi there"},
		{name: "another environment", files: map[string]string{"samconfig.toml": file}, o: Options{ConfigEnv: "test", StackName: "s", DefaultRegion: "sa-east-1"}, want: "s-sa-east-1-test-none"},
		{name: "YAML", files: map[string]string{"samconfig.yaml": "version: 0.1\ndefault: {deploy: {parameters: {stack_name: y, parameter_overrides: [Stage=a, Greeting=b]}}}\n"}, want: "y-us-east-1-a-b"},
		{name: "another file", files: map[string]string{"conf/my.toml": file}, o: Options{ConfigFile: "conf/my.toml"}, want: "chat-eu-west-1-prod-hi there"},
		{name: "another template", files: map[string]string{"samconfig.toml": "[default.build.parameters]\ntemplate_file = \"sub/t.yaml\"\n", "sub/t.yaml": strings.Replace(configured, "Default: dev", "Default: sub", 1)}, o: Options{StackName: "s"}, want: "s-us-east-1-sub-none"},
		{name: "a stage without a serverless.yml", o: Options{StackName: "s", Stage: "prod"}, want: "s-us-east-1-dev-none", note: "--stage prod is for a serverless.yml, and changes nothing here"},
		{name: "not TOML", files: map[string]string{"samconfig.toml": "version = 0.1\n[default.deploy\n"}, want: "!samconfig.toml:2:"},
		{name: "not YAML", files: map[string]string{"samconfig.yaml": "a: [\n b"}, want: "!samconfig.yaml:3:1: not valid YAML"},
		{name: "a wrong kind", files: map[string]string{"samconfig.toml": "[default.deploy.parameters]\nregion = 3\n"}, want: "!default.deploy.parameters.region must be a text"},
		{name: "a wrong override", files: map[string]string{"samconfig.toml": "[default.deploy.parameters]\nparameter_overrides = \"Stage\"\n"}, want: `!parameter_overrides: parameter overrides are K=V, not "Stage"`},
		{name: "no such environment", files: map[string]string{"samconfig.toml": file}, o: Options{ConfigEnv: "prod"}, want: "!has no such environment"},
		{name: "an environment without a file", o: Options{ConfigEnv: "prod"}, want: "!there is no samconfig.toml"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := project(t, map[string]string{"template.yaml": configured})
			for name, content := range tt.files {
				if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			t.Chdir(dir)
			s, err := Load(tt.o)
			if problem, bad := strings.CutPrefix(tt.want, "!"); bad {
				if err == nil || !strings.Contains(err.Error(), problem) {
					t.Fatalf("error %v, want %s", err, problem)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := s.Functions()[0].Name; got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			var notes []string
			for _, n := range s.Notes {
				notes = append(notes, n.String())
			}
			if !strings.Contains(strings.Join(notes, "\n"), tt.note) {
				t.Errorf("notes %q, want %s", notes, tt.note)
			}
			if len(tt.files) > 0 && len(s.Files) < 2 {
				t.Errorf("an edit of the configuration file goes unseen: %v", s.Files)
			}
		})
	}
}

func TestVariableFiles(t *testing.T) {
	dir := project(t, map[string]string{
		"good.json":  `{"Parameters": {"A": "x"}, "F": {"B": 3, "C": true}}`,
		"flat.json":  "{\n \"A\": \"x\"}",
		"bad.json":   "{\n \"F\": {\"A\": }}",
		"deep.json":  `{"F": {"A": {"b": 1}}}`,
		".env":       "# comment\nA=x\nexport B=\"two words\"\nC='$A'\n",
		"broken.env": "A=\"secret-value\nB",
	})
	got, err := readVariables(filepath.Join(dir, "good.json"))
	if diff := cmp.Diff(map[string]map[string]string{"Parameters": {"A": "x"}, "F": {"B": "3", "C": "true"}}, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	for name, want := range map[string]string{
		"flat.json": "flat.json:2:", "bad.json": "bad.json:2:", "deep.json": "the value of F.A must be a text, a number or a boolean", "none.json": "no such file",
	} {
		if _, err := readVariables(filepath.Join(dir, name)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", name, err, want)
		}
	}
	values, there, err := readDotEnv(filepath.Join(dir, ".env"))
	if diff := cmp.Diff(map[string]string{"A": "x", "B": "two words", "C": "$A"}, values); diff != "" || err != nil || !there {
		t.Error(err, there, diff)
	}
	if _, _, err := readDotEnv(filepath.Join(dir, "broken.env")); err == nil || strings.Contains(err.Error(), "secret-value") {
		t.Errorf("a broken file: %v", err)
	}
	if _, there, err := readDotEnv(filepath.Join(dir, "none")); err != nil || there {
		t.Error(there, err)
	}
}
