package stack

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNoteLines(t *testing.T) {
	s, err := loadText(t, `Transform: AWS::Serverless-2016-10-31
Globals: {Function: {Tracing: Active}}
Resources:
  F: {Type: AWS::Serverless::Function, Properties: {InlineCode: x, Handler: index.handler, Runtime: nodejs20.x}}
  G: {Type: AWS::Serverless::Function, Properties: {InlineCode: x, Handler: index.handler, Runtime: nodejs20.x}}
  V: {Type: AWS::EC2::VPC}
  L: {Type: AWS::IAM::User}
  Q: {Type: AWS::SQS::Queue}
`, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"t.yaml:2:31: F.Properties.Tracing: has no effect here: there is no X-Ray (so it is with G)",
		"t.yaml:6:3: V.Type: AWS::EC2::VPC belongs to a service that Tidegate lacks: a placeholder stands in for it (so it is with Q AWS::SQS::Queue)",
		"t.yaml:7:3: L.Type: there are roles, no users: a placeholder stands in for it",
	}
	if diff := cmp.Diff(want, NoteLines(s.Notes)); diff != "" {
		t.Error(diff)
	}
	var many []Note
	for range maxAlso + 3 {
		many = append(many, Note{Resource: "R", Message: "m"})
	}
	if lines := NoteLines(many); len(lines) != 1 || !strings.HasSuffix(lines[0], ", R, 2 more)") {
		t.Errorf("many notes: %q", lines)
	}
}
