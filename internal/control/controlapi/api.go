package controlapi

import (
	"encoding/json"

	"tidegate/internal/apigw"
	"tidegate/internal/awshttp"
	"tidegate/internal/control"
)

// apiOutput is AWS's Api.
type apiOutput struct {
	ApiEndpoint               string            `json:"apiEndpoint"`
	ApiId                     string            `json:"apiId"`
	ApiKeySelectionExpression string            `json:"apiKeySelectionExpression,omitempty"`
	CreatedDate               string            `json:"createdDate"`
	Description               string            `json:"description,omitempty"`
	DisableSchemaValidation   bool              `json:"disableSchemaValidation,omitempty"`
	DisableExecuteApiEndpoint bool              `json:"disableExecuteApiEndpoint"`
	IpAddressType             string            `json:"ipAddressType"`
	Name                      string            `json:"name"`
	ProtocolType              string            `json:"protocolType"`
	RouteSelectionExpression  string            `json:"routeSelectionExpression"`
	Tags                      map[string]string `json:"tags"`
	Version                   string            `json:"version,omitempty"`
}

// apiInput is the body of CreateApi and UpdateApi.
type apiInput struct {
	ApiKeySelectionExpression *string           `json:"apiKeySelectionExpression"`
	CorsConfiguration         json.RawMessage   `json:"corsConfiguration"`
	CredentialsArn            *string           `json:"credentialsArn"`
	Description               *string           `json:"description"`
	DisableSchemaValidation   *bool             `json:"disableSchemaValidation"`
	DisableExecuteApiEndpoint *bool             `json:"disableExecuteApiEndpoint"`
	IpAddressType             *string           `json:"ipAddressType"`
	Name                      *string           `json:"name"`
	ProtocolType              *string           `json:"protocolType"`
	RouteKey                  *string           `json:"routeKey"`
	RouteSelectionExpression  *string           `json:"routeSelectionExpression"`
	Tags                      map[string]string `json:"tags"`
	Target                    *string           `json:"target"`
	Version                   *string           `json:"version"`
}

func (in *apiInput) domain() control.APIInput {
	return control.APIInput{
		Name:                      in.Name,
		ProtocolType:              in.ProtocolType,
		RouteSelectionExpression:  in.RouteSelectionExpression,
		APIKeySelectionExpression: in.ApiKeySelectionExpression,
		Description:               in.Description,
		Version:                   in.Version,
		DisableSchemaValidation:   in.DisableSchemaValidation,
		DisableExecuteAPIEndpoint: in.DisableExecuteApiEndpoint,
		IPAddressType:             in.IpAddressType,
		Tags:                      in.Tags,
		Target:                    in.Target,
		RouteKey:                  in.RouteKey,
		CredentialsARN:            in.CredentialsArn,
		CORS:                      given(in.CorsConfiguration),
	}
}

// given says whether a member was sent with more than null or {} in it.
func given(raw json.RawMessage) bool {
	var members map[string]json.RawMessage
	if len(raw) == 0 || json.Unmarshal(raw, &members) == nil {
		return len(members) > 0
	}
	return true
}

func (f *face) api(a *apigw.API) apiOutput {
	return apiOutput{
		ApiEndpoint:               f.service.Endpoint(a.ID),
		ApiId:                     a.ID,
		ApiKeySelectionExpression: a.APIKeySelectionExpression,
		CreatedDate:               timestamp(a.Created),
		Description:               a.Description,
		DisableSchemaValidation:   a.DisableSchemaValidation,
		DisableExecuteApiEndpoint: a.DisableExecuteAPIEndpoint,
		IpAddressType:             a.IPAddressType,
		Name:                      a.Name,
		ProtocolType:              "WEBSOCKET",
		RouteSelectionExpression:  a.RouteSelectionExpression,
		Tags:                      orEmpty(a.Tags),
		Version:                   a.Version,
	}
}

func (f *face) apis() {
	f.on("POST", "/v2/apis", 201, func(c *awshttp.Call) (any, error) {
		var in apiInput
		if err := decode(c, &in); err != nil {
			return nil, err
		}
		a, err := f.service.CreateAPI(c.Context(), in.domain())
		if err != nil {
			return nil, err
		}
		return f.api(a), nil
	})
	f.on("GET", "/v2/apis", 200, func(c *awshttp.Call) (any, error) {
		apis, err := f.service.APIs(c.Context())
		if err != nil {
			return nil, err
		}
		return page(c, apis, func(a *apigw.API) string { return a.ID }, f.api)
	})
	f.on("GET", "/v2/apis/{apiId}", 200, func(c *awshttp.Call) (any, error) {
		a, err := f.service.API(c.Context(), apiID(c))
		if err != nil {
			return nil, err
		}
		return f.api(a), nil
	})
	f.on("PATCH", "/v2/apis/{apiId}", 200, func(c *awshttp.Call) (any, error) {
		var in apiInput
		if err := decode(c, &in); err != nil {
			return nil, err
		}
		a, err := f.service.UpdateAPI(c.Context(), apiID(c), in.domain())
		if err != nil {
			return nil, err
		}
		return f.api(a), nil
	})
	f.on("DELETE", "/v2/apis/{apiId}", 204, func(c *awshttp.Call) (any, error) {
		return nil, f.service.DeleteAPI(c.Context(), apiID(c))
	})
}

// apiID returns the API that the path names.
func apiID(c *awshttp.Call) string { return c.Request.PathValue("apiId") }

// childID returns the child that the path names: a route, an integration, a
// deployment, …
func childID(c *awshttp.Call) string { return c.Request.PathValue("id") }

// parentID returns the route or integration whose response the path names.
func parentID(c *awshttp.Call) string { return c.Request.PathValue("parent") }
