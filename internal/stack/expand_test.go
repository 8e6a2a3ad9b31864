package stack

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// valueOf loads a template with one output and returns its value and the notes.
func valueOf(t *testing.T, head, expression string, overrides map[string]string) (string, []string) {
	t.Helper()
	s, err := loadText(t, head+"\nResources: {T: {Type: AWS::SNS::Topic}}\nOutputs: {O: {Value: "+expression+"}}\n", Options{Parameters: overrides})
	if err != nil {
		t.Fatal(err)
	}
	var notes []string
	for _, n := range s.Notes {
		if n.Resource != "T" {
			notes = append(notes, n.String())
		}
	}
	return s.outputs[0].value.json(), notes
}

func TestOutsideValues(t *testing.T) {
	tests := []struct {
		name, expression string
		overrides        map[string]string
		want, note       string
	}{
		{"an import", "!ImportValue net-vpc", map[string]string{"net-vpc": "vpc-1"}, `"vpc-1"`, ""},
		{"an import by Sub", "{Fn::ImportValue: !Sub '${AWS::StackName}-vpc'}", map[string]string{"test-vpc": "vpc-1"}, `"vpc-1"`, ""},
		{"an import nobody gave", "!ImportValue net:vpc", nil, `"import-net:vpc"`, `t.yaml:3:22: Outputs.O.Value: there is no other stack to import "net:vpc" from, so a placeholder stands in for it: give the value with --parameter-overrides net:vpc=VALUE`},
		{"a parameter", "'https://{{resolve:ssm:/app/host}}/'", map[string]string{"/app/host": "a.test"}, `"https://a.test/"`, ""},
		{"a version", "'{{resolve:ssm:/app/host:3}}'", map[string]string{"/app/host": "a.test"}, `"a.test"`, ""},
		{"secure", "'{{resolve:ssm-secure:/app/key}}'", map[string]string{"/app/key": "k"}, `"k"`, ""},
		{"a parameter nobody gave", "'{{resolve:ssm:/app/host}}'", nil, `"ssm-app/host"`, "--parameter-overrides /app/host=VALUE"},
		{"built by Sub", "!Sub '{{resolve:ssm:/${AWS::StackName}/host}}'", map[string]string{"/test/host": "b"}, `"b"`, ""},
		{"a secret's key in JSON", "'{{resolve:secretsmanager:db:SecretString:password}}'", map[string]string{"db": `{"password":"p","port":5432}`}, `"p"`, ""},
		{"a number in JSON", "'{{resolve:secretsmanager:db:SecretString:port::}}'", map[string]string{"db": `{"password":"p","port":5432}`}, `"5432"`, ""},
		{"a secret's key alone", "'{{resolve:secretsmanager:db:SecretString:password}}'", map[string]string{"db:password": "p"}, `"p"`, ""},
		{"a whole secret", "'{{resolve:secretsmanager:db}}'", map[string]string{"db": "p"}, `"p"`, ""},
		{"by ARN", "'{{resolve:secretsmanager:arn:aws:secretsmanager:us-east-1:1:secret:db:SecretString:k}}'", map[string]string{"arn:aws:secretsmanager:us-east-1:1:secret:db:k": "p"}, `"p"`, ""},
		{"a secret nobody gave", "'{{resolve:secretsmanager:db:SecretString:password}}'", nil, `"secret-db-password"`, "--parameter-overrides db:password=VALUE"},
		{"two in one text", "'{{resolve:ssm:a}}-{{resolve:ssm:b}}'", map[string]string{"a": "1", "b": "2"}, `"1-2"`, ""},
		{"not closed", "'{{resolve:ssm:a'", nil, `"{{resolve:ssm:a"`, ""},
		{"nobody asks", "a", map[string]string{"/a/b": "x"}, `"a"`, `nothing in the template asks for "/a/b", which the overrides set`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, notes := valueOf(t, "", tt.expression, tt.overrides)
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if all := strings.Join(notes, "\n"); !strings.Contains(all, tt.note) || tt.note == "" && all != "" {
				t.Errorf("notes %q, want %q", all, tt.note)
			}
		})
	}
	if _, err := loadText(t, "Resources: {T: {Type: AWS::SQS::Queue}}\nOutputs: {O: {Value: !ImportValue x}}\n", Options{Strict: true}); err == nil || !strings.Contains(err.Error(), `to import "x" from`) {
		t.Errorf("strict: %v", err)
	}
}

func TestExtensions(t *testing.T) {
	const head = "Transform: AWS::LanguageExtensions\nParameters: {L: {Type: CommaDelimitedList, Default: 'x,y'}}\nMappings: {M: {a: {k: v}}}"
	for expression, want := range map[string]string{
		"{Fn::Length: !Ref L}":                                                            "2",
		"{Fn::ToJsonString: {b: !Ref L, a: 1}}":                                           `"{\"a\":1,\"b\":[\"x\",\"y\"]}"`,
		"{Fn::ToJsonString: [!Ref T]}":                                                    `{"Fn::ToJsonString":[{"Ref":"T"}]}`,
		"!FindInMap [M, b, k, {DefaultValue: d}]":                                         `"d"`,
		"!FindInMap [M, a, k, {DefaultValue: d}]":                                         `"v"`,
		"{Fn::ForEach::N: [I, !Ref L, {'k${I}': {Ref: I}}]}":                              `{"kx":"x","ky":"y"}`,
		"{z: 1, Fn::ForEach::N: [I, [a.b], {'k&{I}': !Sub '${I}!'}]}":                     `{"kab":"a.b!","z":1}`,
		"{Fn::ForEach::N: [I, [a], {Fn::ForEach::O: [J, [b, c], {'${I}${J}': '${I}'}]}]}": `{"ab":"a","ac":"a"}`,
	} {
		if got, _ := valueOf(t, head, expression, nil); got != want {
			t.Errorf("%s: got %s, want %s", expression, got, want)
		}
	}
	s, err := loadText(t, "Transform: [AWS::LanguageExtensions]\nResources:\n  Fn::ForEach::Topics:\n    - Name\n    - [A, B]\n    - Topic${Name}: {Type: AWS::SNS::Topic, Properties: {TopicName: !Sub 't-${Name}'}}\n", Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range s.resources {
		got = append(got, r.id+" "+r.properties.json())
	}
	if diff := cmp.Diff([]string{`TopicA {"TopicName":"t-A"}`, `TopicB {"TopicName":"t-B"}`}, got); diff != "" {
		t.Error(diff)
	}
	for template, want := range map[string]string{
		"Fn::ForEach::X: [I, [a, a], {'T${I}': {Type: AWS::SNS::Topic}}]":   `t.yaml:3:32: Resources: a loop makes "Ta" twice`,
		"Fn::ForEach::X: [I, {Ref: T}, {'T${I}': {Type: AWS::SNS::Topic}}]": "the collection of a loop is a list that is known before resources exist",
		"Fn::ForEach::X: I": "a loop is a list of an identifier, a collection and a map to repeat",
		"Fn::ForEach::X: [I, [" + strings.Repeat("a,", 1001) + "], {}]":                        "the loop has 1001 rounds; at most 1000 are allowed",
		bomb("Fn::ForEach::X%: [I%, ["+strings.Repeat("a,b,c,d,e,f,g,h,", 50)+"], {", "}]", 4): "more than 200000 values once loops are repeated",
	} {
		if _, err := loadText(t, "Transform: AWS::LanguageExtensions\nResources:\n  "+template+"\n", Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: error %.300v, want %s", template, err, want)
		}
	}
}

// bomb nests open and close n times; % becomes the depth.
func bomb(open, shut string, n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.ReplaceAll(open, "%", string(rune('A'+i))))
	}
	b.WriteString("'${IA}': {Type: AWS::SNS::Topic}")
	b.WriteString(strings.Repeat(shut, n))
	return b.String()
}

func TestCIDR(t *testing.T) {
	for expression, want := range map[string]string{
		"!Cidr [192.168.0.0/24, 3, 5]":                                   `["192.168.0.0/27","192.168.0.32/27","192.168.0.64/27"]`,
		"!Cidr [10.0.0.0/16, 2]":                                         `["10.0.0.0/24","10.0.1.0/24"]`,
		"!Select [1, !Cidr ['2001:db8::/56', 2, 64]]":                    `"2001:db8:0:1::/64"`,
		"!Select [0, !Cidr [!GetAtt T.CidrBlock, 2, !Ref AWS::NoValue]]": `{"Fn::Select":["0",{"Fn::Cidr":[{"Fn::GetAtt":["T","CidrBlock"]},2,""]}]}`,
	} {
		if got, _ := valueOf(t, "", expression, nil); got != parse([]byte(want), &reporter{}).json() {
			t.Errorf("%s: got %s, want %s", expression, got, want)
		}
	}
}

func TestInclude(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"variables.yaml": "A: 1\nB: !Ref AWS::Region\n",
		"topics.json":    `{"T": {"Type": "AWS::SNS::Topic"}}`,
		"outputs.yaml":   "Outputs:\n  P: {Value: p}\n",
		"bad.yaml":       "a: [\n b",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	include := func(name string) string {
		return "{Name: AWS::Include, Parameters: {Location: ./" + name + "}}"
	}
	read := func(template string) (*Stack, error) {
		return load([]byte(template), "t.yaml", filepath.Join(dir, "t.yaml"), Options{StackName: "test"})
	}
	s, err := read("Transform: " + include("outputs.yaml") + "\nResources:\n  Fn::Transform: " + include("topics.json") +
		"\n  U:\n    Type: AWS::SNS::Topic\n    Properties: {X: {B: own, Fn::Transform: " + include("variables.yaml") + "}}\n")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s.byID["U"].properties.json(), `{"X":{"A":1,"B":"own"}}`; got != want {
		t.Errorf("U has %s, want %s", got, want)
	}
	if s.byID["T"] == nil || len(s.outputs) != 1 || len(s.Files) != 4 {
		t.Errorf("resources %v, outputs %d, included %v", keys(s.byID), len(s.outputs), s.Files)
	}
	if _, err := read("Resources: {T: {Type: AWS::SNS::Topic, Properties: !Transform " + include("bad.yaml") + "}}\n"); err == nil || !strings.Contains(err.Error(), "bad.yaml:3:1: not valid YAML") {
		t.Errorf("a broken file: %v", err)
	}
}

func TestRules(t *testing.T) {
	const rest = "\nParameters: {Stage: {Type: String, Default: dev}, Zones: {Type: CommaDelimitedList, Default: 'a,b'}}\nResources: {T: {Type: AWS::SNS::Topic}}\n"
	tests := []struct{ rule, want string }{
		{"{Assertions: [{Assert: {Fn::Contains: [[dev, prod], !Ref Stage]}}]}", ""},
		{"{Assertions: [{Assert: {Fn::Contains: [[test, prod], !Ref Stage]}, AssertDescription: test or prod}]}", "t.yaml:1:26: Rules.R.Assertions[0]: the template's rule R doesn't hold: test or prod; give other values with --parameter-overrides"},
		{"{RuleCondition: !Equals [!Ref Stage, prod], Assertions: [{Assert: !Equals [a, b]}]}", ""},
		{"{Assertions: [{Assert: {Fn::EachMemberIn: [!Ref Zones, [a, b, c]]}}]}", ""},
		{"{Assertions: [{Assert: {Fn::EachMemberIn: [!Ref Zones, [a]]}}]}", "doesn't hold"},
		{"{Assertions: [{Assert: {Fn::EachMemberEquals: [!Ref Zones, a]}}]}", "doesn't hold"},
		{"{Assertions: [{Assert: !Not [{Fn::Contains: [!Ref Zones, z]}]}]}", ""},
		{"{Assertions: [{Assert: {Fn::EachMemberIn: [{Fn::ValueOfAll: ['AWS::EC2::VPC::Id', Tags.X]}, [a]]}}]}", ""},
		{"{Asertions: []}", `a rule has no member "Asertions"; did you mean "Assertions"?`},
	}
	for _, tt := range tests {
		_, err := loadText(t, "Rules: {R: "+tt.rule+"}"+rest, Options{})
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: error %v, want %q", tt.rule, err, tt.want)
		}
	}
}
