package stage

import (
	"context"
	"errors"
	"fmt"

	"tidegate/internal/apigw"
	"tidegate/internal/authorizer"
	"tidegate/internal/event"
	"tidegate/internal/integration"
)

// An Authorizer guards the $connect route.
type Authorizer struct {
	// Target says for people who decides: a function's ARN, or AWS_IAM.
	Target string
	// Slots admits handshakes, as those of an Integration admit messages.
	Slots chan struct{}

	authorizer authorizer.Authorizer
}

// Authorize decides on a handshake. See authorizer.Authorizer.
func (a *Authorizer) Authorize(ctx context.Context, c *event.Context, connect *event.ConnectRequest, t *authorizer.Trace) (event.Grant, error) {
	return a.authorizer.Authorize(ctx, c, connect, t)
}

// compileAuthorizer returns the route's authorizer, nil when anyone may connect.
func (c *compiler) compileAuthorizer(r *apigw.Route) (*Authorizer, error) {
	if r.AuthorizationType == "" || r.AuthorizationType == apigw.AuthorizationNone {
		return nil, nil
	}
	if r.Key != apigw.RouteConnect {
		return nil, errors.New("authorization is restricted to the $connect route")
	}
	a := &Authorizer{Slots: make(chan struct{}, apigw.MaxInFlightIntegration)}
	var err error
	switch r.AuthorizationType {
	case apigw.AuthorizationIAM:
		a.Target = apigw.AuthorizationIAM
		a.authorizer, err = c.binder.IAM()
		return a, err
	case apigw.AuthorizationCustom:
		for _, def := range c.def.Authorizers {
			if def.ID == r.AuthorizerID {
				err := c.bindAuthorizer(a, def)
				return a, err
			}
		}
		return nil, fmt.Errorf("its authorizerId %q is no authorizer of the API", r.AuthorizerID)
	}
	return nil, fmt.Errorf("authorizationType %s is none of NONE, AWS_IAM and CUSTOM", r.AuthorizationType)
}

func (c *compiler) bindAuthorizer(a *Authorizer, def *apigw.Authorizer) error {
	if def.Type != apigw.AuthorizerRequest {
		return fmt.Errorf("authorizer %s: authorizerType %s is not one of WebSocket APIs, which have REQUEST", def.Name, def.Type)
	}
	arn, err := integration.ParseLambdaURI(def.URI, c.stage.Variables)
	if err != nil {
		return fmt.Errorf("authorizer %s: authorizerUri: %w", def.Name, err)
	}
	a.Target = arn
	if a.authorizer, err = c.binder.Authorizer(def, arn); err != nil {
		return fmt.Errorf("authorizer %s: %w", def.Name, err)
	}
	return nil
}
