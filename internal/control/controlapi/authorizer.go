package controlapi

import (
	"encoding/json"

	"tidegate/internal/apigw"
	"tidegate/internal/awshttp"
	"tidegate/internal/control"
)

// authorizerOutput is AWS's Authorizer.
type authorizerOutput struct {
	AuthorizerCredentialsArn     string   `json:"authorizerCredentialsArn,omitempty"`
	AuthorizerId                 string   `json:"authorizerId"`
	AuthorizerType               string   `json:"authorizerType"`
	AuthorizerUri                string   `json:"authorizerUri"`
	IdentitySource               []string `json:"identitySource"`
	IdentityValidationExpression string   `json:"identityValidationExpression,omitempty"`
	Name                         string   `json:"name"`
}

// authorizerInput is the body of CreateAuthorizer and UpdateAuthorizer.
type authorizerInput struct {
	AuthorizerCredentialsArn       *string         `json:"authorizerCredentialsArn"`
	AuthorizerPayloadFormatVersion *string         `json:"authorizerPayloadFormatVersion"`
	AuthorizerResultTtlInSeconds   *int            `json:"authorizerResultTtlInSeconds"`
	AuthorizerType                 *string         `json:"authorizerType"`
	AuthorizerUri                  *string         `json:"authorizerUri"`
	EnableSimpleResponses          *bool           `json:"enableSimpleResponses"`
	IdentitySource                 []string        `json:"identitySource"`
	IdentityValidationExpression   *string         `json:"identityValidationExpression"`
	JwtConfiguration               json.RawMessage `json:"jwtConfiguration"`
	Name                           *string         `json:"name"`
}

func (in *authorizerInput) domain() control.AuthorizerInput {
	return control.AuthorizerInput{
		Name:                         in.Name,
		Type:                         in.AuthorizerType,
		URI:                          in.AuthorizerUri,
		CredentialsARN:               in.AuthorizerCredentialsArn,
		IdentitySource:               in.IdentitySource,
		IdentityValidationExpression: in.IdentityValidationExpression,
		PayloadFormatVersion:         in.AuthorizerPayloadFormatVersion,
		ResultTTLInSeconds:           in.AuthorizerResultTtlInSeconds,
		EnableSimpleResponses:        in.EnableSimpleResponses,
		JWTConfiguration:             given(in.JwtConfiguration),
	}
}

func authorizer(a *apigw.Authorizer) authorizerOutput {
	out := authorizerOutput{
		AuthorizerCredentialsArn: a.CredentialsARN, AuthorizerId: a.ID, AuthorizerType: a.Type, AuthorizerUri: a.URI,
		IdentitySource: a.IdentitySource, IdentityValidationExpression: a.IdentityValidationExpression, Name: a.Name,
	}
	if out.IdentitySource == nil {
		out.IdentitySource = []string{}
	}
	return out
}

func (f *face) authorizers() {
	const all, one = "/v2/apis/{apiId}/authorizers", "/v2/apis/{apiId}/authorizers/{id}"
	f.on("POST", all, 201, func(c *awshttp.Call) (any, error) {
		var in authorizerInput
		if err := decode(c, &in); err != nil {
			return nil, err
		}
		a, err := f.service.CreateAuthorizer(c.Context(), apiID(c), in.domain())
		if err != nil {
			return nil, err
		}
		return authorizer(a), nil
	})
	f.on("GET", all, 200, func(c *awshttp.Call) (any, error) {
		authorizers, err := f.service.Authorizers(c.Context(), apiID(c))
		if err != nil {
			return nil, err
		}
		return page(c, authorizers, func(a *apigw.Authorizer) string { return a.ID }, authorizer)
	})
	f.on("GET", one, 200, func(c *awshttp.Call) (any, error) {
		a, err := f.service.Authorizer(c.Context(), apiID(c), childID(c))
		if err != nil {
			return nil, err
		}
		return authorizer(a), nil
	})
	f.on("PATCH", one, 200, func(c *awshttp.Call) (any, error) {
		var in authorizerInput
		if err := decode(c, &in); err != nil {
			return nil, err
		}
		a, err := f.service.UpdateAuthorizer(c.Context(), apiID(c), childID(c), in.domain())
		if err != nil {
			return nil, err
		}
		return authorizer(a), nil
	})
	f.on("DELETE", one, 204, func(c *awshttp.Call) (any, error) {
		return nil, f.service.DeleteAuthorizer(c.Context(), apiID(c), childID(c))
	})
}
