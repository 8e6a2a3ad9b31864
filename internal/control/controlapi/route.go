package controlapi

import (
	"tidegate/internal/apigw"
	"tidegate/internal/awshttp"
	"tidegate/internal/control"
)

// parameterConstraints is AWS's ParameterConstraints.
type parameterConstraints struct {
	Required bool `json:"required"`
}

func domainConstraints(m map[string]parameterConstraints) map[string]apigw.ParameterConstraint {
	if m == nil {
		return nil
	}
	out := make(map[string]apigw.ParameterConstraint, len(m))
	for k, v := range m {
		out[k] = apigw.ParameterConstraint{Required: v.Required}
	}
	return out
}

func wireConstraints(m map[string]apigw.ParameterConstraint) map[string]parameterConstraints {
	out := make(map[string]parameterConstraints, len(m))
	for k, v := range m {
		out[k] = parameterConstraints{Required: v.Required}
	}
	return out
}

// routeOutput is AWS's Route.
type routeOutput struct {
	ApiKeyRequired                   bool                            `json:"apiKeyRequired"`
	AuthorizationScopes              []string                        `json:"authorizationScopes"`
	AuthorizationType                string                          `json:"authorizationType"`
	ModelSelectionExpression         string                          `json:"modelSelectionExpression,omitempty"`
	AuthorizerId                     string                          `json:"authorizerId,omitempty"`
	OperationName                    string                          `json:"operationName,omitempty"`
	RequestModels                    map[string]string               `json:"requestModels"`
	RequestParameters                map[string]parameterConstraints `json:"requestParameters,omitempty"`
	RouteId                          string                          `json:"routeId"`
	RouteKey                         string                          `json:"routeKey"`
	RouteResponseSelectionExpression string                          `json:"routeResponseSelectionExpression,omitempty"`
	Target                           string                          `json:"target,omitempty"`
}

// routeInput is the body of CreateRoute and UpdateRoute.
type routeInput struct {
	ApiKeyRequired                   *bool                           `json:"apiKeyRequired"`
	AuthorizationScopes              []string                        `json:"authorizationScopes"`
	AuthorizationType                *string                         `json:"authorizationType"`
	AuthorizerId                     *string                         `json:"authorizerId"`
	ModelSelectionExpression         *string                         `json:"modelSelectionExpression"`
	OperationName                    *string                         `json:"operationName"`
	RequestModels                    map[string]string               `json:"requestModels"`
	RequestParameters                map[string]parameterConstraints `json:"requestParameters"`
	RouteKey                         *string                         `json:"routeKey"`
	RouteResponseSelectionExpression *string                         `json:"routeResponseSelectionExpression"`
	Target                           *string                         `json:"target"`
}

func (in *routeInput) domain() control.RouteInput {
	return control.RouteInput{
		Key:                              in.RouteKey,
		Target:                           in.Target,
		AuthorizationType:                in.AuthorizationType,
		OperationName:                    in.OperationName,
		RouteResponseSelectionExpression: in.RouteResponseSelectionExpression,
		RequestParameters:                domainConstraints(in.RequestParameters),
		AuthorizerID:                     in.AuthorizerId,
		AuthorizationScopes:              in.AuthorizationScopes,
		APIKeyRequired:                   in.ApiKeyRequired,
		ModelSelectionExpression:         in.ModelSelectionExpression,
		RequestModels:                    in.RequestModels,
	}
}

func route(r *apigw.Route) routeOutput {
	return routeOutput{
		ApiKeyRequired:                   r.APIKeyRequired,
		AuthorizationScopes:              []string{},
		AuthorizationType:                r.AuthorizationType,
		AuthorizerId:                     r.AuthorizerID,
		OperationName:                    r.OperationName,
		ModelSelectionExpression:         r.ModelSelectionExpression,
		RequestModels:                    orEmpty(r.RequestModels),
		RequestParameters:                wireConstraints(r.RequestParameters),
		RouteId:                          r.ID,
		RouteKey:                         string(r.Key),
		RouteResponseSelectionExpression: r.RouteResponseSelectionExpression,
		Target:                           r.Target,
	}
}

func (f *face) routes() {
	const all, one = "/v2/apis/{apiId}/routes", "/v2/apis/{apiId}/routes/{id}"
	f.on("POST", all, 201, func(c *awshttp.Call) (any, error) {
		var in routeInput
		if err := decode(c, &in); err != nil {
			return nil, err
		}
		r, err := f.service.CreateRoute(c.Context(), apiID(c), in.domain())
		if err != nil {
			return nil, err
		}
		return route(r), nil
	})
	f.on("GET", all, 200, func(c *awshttp.Call) (any, error) {
		routes, err := f.service.Routes(c.Context(), apiID(c))
		if err != nil {
			return nil, err
		}
		return page(c, routes, func(r *apigw.Route) string { return r.ID }, route)
	})
	f.on("GET", one, 200, func(c *awshttp.Call) (any, error) {
		r, err := f.service.Route(c.Context(), apiID(c), childID(c))
		if err != nil {
			return nil, err
		}
		return route(r), nil
	})
	f.on("PATCH", one, 200, func(c *awshttp.Call) (any, error) {
		var in routeInput
		if err := decode(c, &in); err != nil {
			return nil, err
		}
		r, err := f.service.UpdateRoute(c.Context(), apiID(c), childID(c), in.domain())
		if err != nil {
			return nil, err
		}
		return route(r), nil
	})
	f.on("DELETE", one, 204, func(c *awshttp.Call) (any, error) {
		return nil, f.service.DeleteRoute(c.Context(), apiID(c), childID(c))
	})
	f.on("DELETE", one+"/requestparameters/{key}", 204, func(c *awshttp.Call) (any, error) {
		return nil, f.service.DeleteRouteRequestParameter(c.Context(), apiID(c), childID(c), c.Request.PathValue("key"))
	})
}
