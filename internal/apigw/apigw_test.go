package apigw

import "testing"

func TestRouteTarget(t *testing.T) {
	for target, want := range map[string]string{"integrations/abc": "abc", "integrations/": "", "": "", "abc": "", "authorizers/abc": ""} {
		if got := (&Route{Target: target}).IntegrationID(); got != want {
			t.Errorf("target %q: integration %q, want %q", target, got, want)
		}
	}
}

func TestTwoWay(t *testing.T) {
	one := &Route{RouteResponseSelectionExpression: "$default"}
	if one.TwoWay() {
		t.Error("an expression alone makes a route two-way")
	}
	two := &Route{Responses: map[string]*RouteResponse{"r": {Key: "$default"}}}
	if !two.TwoWay() {
		t.Error("a route response makes no route two-way")
	}
}
