package event

import "strings"

// SubstituteStageVariables replaces each ${stageVariables.NAME} in an
// integration's URI by the variable's value, or by nothing when the stage has
// no such variable. It does so once: a value's own text is left alone.
//
// Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/aws-api-gateway-stage-variables-reference.html
func SubstituteStageVariables(uri string, vars map[string]string) string {
	const open = "${stageVariables."
	if !strings.Contains(uri, open) {
		return uri
	}
	var b strings.Builder
	for {
		before, after, found := strings.Cut(uri, open)
		name, rest, closed := strings.Cut(after, "}")
		if !found || !closed {
			b.WriteString(uri)
			return b.String()
		}
		b.WriteString(before)
		b.WriteString(vars[name])
		uri = rest
	}
}
