package mapping

import (
	"errors"
	"strings"
	"testing"

	"tidegate/internal/apigw"
)

func TestTemplate(t *testing.T) {
	for _, text := range []string{"", `{"statusCode": 200}`, "text\n", strings.Repeat("x", apigw.MaxTemplate)} {
		template, err := CompileTemplate(`request template "$default"`, text)
		if err != nil {
			t.Errorf("%.40q: %v", text, err)
			continue
		}
		if got, err := template.Build(&Input{}); err != nil || string(got) != text {
			t.Errorf("%.40q builds %.40q, %v", text, got, err)
		}
	}
}

func TestCompileTemplateRefuses(t *testing.T) {
	const where = `request template "200" of integration abc`
	for _, text := range []string{"$input.body", "${x}", "#set($a = 1)", "## comment", "costs 5 $"} {
		_, err := CompileTemplate(where, text)
		var velocity *VelocityError
		if !errors.As(err, &velocity) || velocity.Where != where || !strings.Contains(err.Error(), where) {
			t.Errorf("%q: %v, want a VelocityError that names the template", text, err)
		}
	}
	_, err := CompileTemplate(where, strings.Repeat("x", apigw.MaxTemplate+1))
	if err == nil || !strings.Contains(err.Error(), where) {
		t.Errorf("a template over the quota: %v", err)
	}
}

func TestSubstituteStageVariables(t *testing.T) {
	vars := map[string]string{"host": "example.org", "fn": "chat", "loop": "${stageVariables.host}"}
	for uri, want := range map[string]string{
		"https://example.org/": "https://example.org/",
		"https://${stageVariables.host}/a/${stageVariables.fn}?b=1": "https://example.org/a/chat?b=1",
		"${stageVariables.none}x":                                   "x",
		"${stageVariables.loop}":                                    "${stageVariables.host}",
		"${stageVariables.host":                                     "${stageVariables.host",
		"a${stageVariables.fn}b${stageVariables.fn":                 "achatb${stageVariables.fn",
		"${context.stage}":                                          "${context.stage}",
	} {
		if got := SubstituteStageVariables(uri, vars); got != want {
			t.Errorf("%q becomes %q, want %q", uri, got, want)
		}
	}
}
