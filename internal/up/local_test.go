package up

import (
	"testing"

	"tidegate/internal/stack"
)

func TestLocal(t *testing.T) {
	apis := []stack.API{{ID: "abc", Stages: []stack.Stage{{Name: "dev"}, {Name: "prod"}}}}
	url := func(apiID, stage string) string { return "ws://localhost:1/" + apiID + "/" + stage }
	for output, want := range map[string]string{
		"wss://abc.execute-api.us-east-1.amazonaws.com/prod":   "   (here: ws://localhost:1/abc/prod)",
		"https://abc.execute-api.eu-west-1.amazonaws.com/dev/": "   (here: ws://localhost:1/abc/dev)",
		"wss://abc.execute-api.us-east-1.amazonaws.com/other":  "",
		"wss://xyz.execute-api.us-east-1.amazonaws.com/dev":    "",
		"arn:aws:execute-api:us-east-1:000000000000:abc/dev":   "",
		"prod": "",
	} {
		if got := local(output, apis, url); got != want {
			t.Errorf("local(%q) = %q, want %q", output, got, want)
		}
	}
}
