package control

import (
	"context"
	"slices"
	"strings"

	"tidegate/internal/apigw"
	"tidegate/internal/authorizer"
)

// An AuthorizerInput is what CreateAuthorizer and UpdateAuthorizer are given; a
// nil member was left out.
type AuthorizerInput struct {
	Name                         *string  // required on create
	Type                         *string  // required on create
	URI                          *string  // required on create
	CredentialsARN               *string  // empty for none
	IdentitySource               []string // replaced on update, unless nil
	IdentityValidationExpression *string

	// What belongs to HTTP APIs; each is refused when it asks for something.
	PayloadFormatVersion  *string
	ResultTTLInSeconds    *int
	EnableSimpleResponses *bool
	JWTConfiguration      bool
}

func (in *AuthorizerInput) check() error {
	if err := checkEnum("AuthorizerType", in.Type, apigw.AuthorizerRequest, "JWT"); err != nil {
		return err
	}
	if err := in.refuse(); err != nil {
		return err
	}
	if err := checkText("Name", in.Name, 1, 128); err != nil {
		return err
	}
	if err := checkText("AuthorizerUri", in.URI, 1, maxURI); err != nil {
		return err
	}
	if in.URI != nil && !strings.HasPrefix(*in.URI, "arn:") {
		return badRequest("AuthorizerUri must be the ARN that invokes a function (arn:aws:apigateway:{region}:lambda:path/2015-03-31/functions/{functionArn}/invocations), not %q", cut(*in.URI))
	}
	if err := checkText("AuthorizerCredentialsArn", in.CredentialsARN, 0, maxURI); err != nil {
		return err
	}
	if in.CredentialsARN != nil && *in.CredentialsARN != "" && !strings.HasPrefix(*in.CredentialsARN, "arn:") {
		return badRequest("AuthorizerCredentialsArn must be the ARN of a role, not %q", cut(*in.CredentialsARN))
	}
	if err := checkText("IdentityValidationExpression", in.IdentityValidationExpression, 0, 1024); err != nil {
		return err
	}
	if err := authorizer.CheckSources(in.IdentitySource); err != nil {
		return badRequest("Invalid IdentitySource specified: %v", err)
	}
	return nil
}

// refuse names what WebSocket APIs can't have.
func (in *AuthorizerInput) refuse() error {
	only := func(what string) error { // WS-09-106
		return badRequest("%s is supported only for HTTP APIs; an authorizer of a WebSocket API is of type REQUEST and answers with a policy", what)
	}
	switch {
	case in.Type != nil && *in.Type == "JWT":
		return only("AuthorizerType JWT")
	case in.JWTConfiguration:
		return only("JwtConfiguration")
	case in.PayloadFormatVersion != nil && *in.PayloadFormatVersion != "":
		return only("AuthorizerPayloadFormatVersion")
	case in.EnableSimpleResponses != nil && *in.EnableSimpleResponses:
		return only("EnableSimpleResponses")
	case in.ResultTTLInSeconds != nil && *in.ResultTTLInSeconds != 0:
		return only("AuthorizerResultTtlInSeconds")
	}
	return nil
}

// apply sets what the input names.
func (in *AuthorizerInput) apply(api *apigw.API, a *apigw.Authorizer) error {
	if in.Name != nil {
		for _, other := range api.Authorizers {
			if other.ID != a.ID && other.Name == *in.Name {
				return conflict("Authorizer name must be unique. Authorizer %s already exists in this RestApi.", cut(*in.Name)) // AWS's words, for WebSocket APIs too, WS-09-107
			}
		}
	}
	set(&a.Name, in.Name)
	set(&a.Type, in.Type)
	set(&a.URI, in.URI)
	set(&a.CredentialsARN, in.CredentialsARN)
	set(&a.IdentityValidationExpression, in.IdentityValidationExpression)
	if in.IdentitySource != nil {
		a.IdentitySource = slices.Clone(in.IdentitySource)
	}
	return nil
}

// CreateAuthorizer makes an authorizer of the API.
func (s *Service) CreateAuthorizer(ctx context.Context, apiID string, in AuthorizerInput) (*apigw.Authorizer, error) {
	switch {
	case in.Type == nil:
		return nil, badRequest("AuthorizerType is required")
	case in.Name == nil:
		return nil, badRequest("Name is required")
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	if in.URI == nil {
		return nil, badRequest("AuthorizerUri is required for a REQUEST authorizer")
	}
	var out *apigw.Authorizer
	err := s.change(ctx, apiID, frozen, func(api *apigw.API) error {
		if most := s.config.Limits.Authorizers; len(api.Authorizers) >= most {
			return exceeded("Authorizers", "API")
		}
		out = &apigw.Authorizer{ID: freshID(api.Authorizers, authorizerIDLength)}
		if err := in.apply(api, out); err != nil {
			return err
		}
		put(&api.Authorizers, out.ID, out)
		return nil
	})
	return out, err
}

// Authorizer returns the API's authorizer.
func (s *Service) Authorizer(ctx context.Context, apiID, id string) (*apigw.Authorizer, error) {
	api, err := s.get(ctx, apiID)
	if err != nil {
		return nil, err
	}
	return findByID(api.Authorizers, "Authorizer", id)
}

// Authorizers returns the API's authorizers, sorted by id.
func (s *Service) Authorizers(ctx context.Context, apiID string) ([]*apigw.Authorizer, error) {
	api, err := s.get(ctx, apiID)
	if err != nil {
		return nil, err
	}
	return sorted(api.Authorizers), nil
}

// UpdateAuthorizer changes what the input names.
func (s *Service) UpdateAuthorizer(ctx context.Context, apiID, id string, in AuthorizerInput) (*apigw.Authorizer, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	var out *apigw.Authorizer
	err := s.change(ctx, apiID, frozen, func(api *apigw.API) error {
		var err error
		if out, err = findByID(api.Authorizers, "Authorizer", id); err != nil {
			return err
		}
		return in.apply(api, out)
	})
	return out, err
}

// DeleteAuthorizer removes the authorizer, unless a route refers to it.
func (s *Service) DeleteAuthorizer(ctx context.Context, apiID, id string) error {
	return s.remove(ctx, apiID, func(api *apigw.API) error {
		a, err := findByID(api.Authorizers, "Authorizer", id)
		if err != nil {
			return err
		}
		for _, r := range sorted(api.Routes) {
			if r.AuthorizerID == id && r.AuthorizationType == apigw.AuthorizationCustom {
				return conflict("Cannot delete authorizer '%s', is referenced in route: %s", a.Name, r.Key) // WS-09-109
			}
		}
		delete(api.Authorizers, id)
		return nil
	})
}
