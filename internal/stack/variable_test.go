package stack

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Variables from outside reach those that the template declares, and no others;
// .env's reach only those without a value of their own.
func TestVariables(t *testing.T) {
	s, err := loadText(t, samHead+`  F:
    Type: AWS::Serverless::Function
    Properties:
      InlineCode: x
      Handler: index.handler
      Runtime: nodejs20.x
      FunctionName: chat
      Environment:
        Variables: {ALL: t, NAME: t, ID: t, OWN: t, EMPTY: '', NULL: , SECRET: '{{resolve:secretsmanager:s}}', QUEUE: !Ref Q, LATER: !Sub '${Q}/x'}
  G: {Type: AWS::Serverless::Function, Properties: {InlineCode: x, Handler: index.handler, Runtime: nodejs20.x}}
  Q: {Type: AWS::SQS::Queue}
`, Options{
		Variables: map[string]map[string]string{"Parameters": {"ALL": "p", "NAME": "p", "ID": "p"}, "chat": {"NAME": "n", "ID": "n"}, "F": {"ID": "i", "UNDECLARED": "i"}, "Gone": {"A": "b"}},
		Blanks:    map[string]string{"OWN": "e", "ALL": "e", "EMPTY": "e", "NULL": "e", "SECRET": "e", "QUEUE": "e", "LATER": "e", "UNDECLARED": "e"},
	})
	if err != nil {
		t.Fatal(err)
	}
	f, d := newFake(t)
	mustApply(t, d, s)
	got := f.bodies["CreateFunction"][0]["Environment"].(map[string]any)["Variables"]
	want := map[string]any{"ALL": "p", "NAME": "n", "ID": "i", "OWN": "t", "EMPTY": "e", "NULL": "e", "SECRET": "e", "QUEUE": "e", "LATER": "e"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var notes []string
	for _, n := range s.Notes {
		notes = append(notes, n.String())
	}
	all := strings.Join(notes, "\n")
	for _, want := range []string{"values are given for the variables of Gone, and there is no such function", "F: doesn't declare the variable UNDECLARED"} {
		if !strings.Contains(all, want) {
			t.Errorf("no note %q in\n%s", want, all)
		}
	}
}
