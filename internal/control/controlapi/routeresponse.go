package controlapi

import (
	"tidegate/internal/apigw"
	"tidegate/internal/awshttp"
	"tidegate/internal/control"
)

// routeResponseOutput is AWS's RouteResponse.
type routeResponseOutput struct {
	ModelSelectionExpression string                          `json:"modelSelectionExpression,omitempty"`
	ResponseModels           map[string]string               `json:"responseModels"`
	ResponseParameters       map[string]parameterConstraints `json:"responseParameters"`
	RouteResponseId          string                          `json:"routeResponseId"`
	RouteResponseKey         string                          `json:"routeResponseKey"`
}

// routeResponseInput is the body of CreateRouteResponse and UpdateRouteResponse.
type routeResponseInput struct {
	ModelSelectionExpression *string                         `json:"modelSelectionExpression"`
	ResponseModels           map[string]string               `json:"responseModels"`
	ResponseParameters       map[string]parameterConstraints `json:"responseParameters"`
	RouteResponseKey         *string                         `json:"routeResponseKey"`
}

func (in *routeResponseInput) domain() control.RouteResponseInput {
	return control.RouteResponseInput{
		Key:                      in.RouteResponseKey,
		ResponseParameters:       domainConstraints(in.ResponseParameters),
		ModelSelectionExpression: in.ModelSelectionExpression,
		ResponseModels:           in.ResponseModels,
	}
}

func routeResponse(r *apigw.RouteResponse) routeResponseOutput {
	return routeResponseOutput{
		ModelSelectionExpression: r.ModelSelectionExpression,
		ResponseModels:           orEmpty(r.ResponseModels),
		ResponseParameters:       wireConstraints(r.ResponseParameters),
		RouteResponseId:          r.ID,
		RouteResponseKey:         r.Key,
	}
}

func (f *face) routeResponses() {
	const all = "/v2/apis/{apiId}/routes/{parent}/routeresponses"
	const one = all + "/{id}"
	f.on("POST", all, 201, func(c *awshttp.Call) (any, error) {
		var in routeResponseInput
		if err := decode(c, &in); err != nil {
			return nil, err
		}
		r, err := f.service.CreateRouteResponse(c.Context(), apiID(c), parentID(c), in.domain())
		if err != nil {
			return nil, err
		}
		return routeResponse(r), nil
	})
	f.on("GET", all, 200, func(c *awshttp.Call) (any, error) {
		responses, err := f.service.RouteResponses(c.Context(), apiID(c), parentID(c))
		if err != nil {
			return nil, err
		}
		return page(c, responses, func(r *apigw.RouteResponse) string { return r.ID }, routeResponse)
	})
	f.on("GET", one, 200, func(c *awshttp.Call) (any, error) {
		r, err := f.service.RouteResponse(c.Context(), apiID(c), parentID(c), childID(c))
		if err != nil {
			return nil, err
		}
		return routeResponse(r), nil
	})
	f.on("PATCH", one, 200, func(c *awshttp.Call) (any, error) {
		var in routeResponseInput
		if err := decode(c, &in); err != nil {
			return nil, err
		}
		r, err := f.service.UpdateRouteResponse(c.Context(), apiID(c), parentID(c), childID(c), in.domain())
		if err != nil {
			return nil, err
		}
		return routeResponse(r), nil
	})
	f.on("DELETE", one, 204, func(c *awshttp.Call) (any, error) {
		return nil, f.service.DeleteRouteResponse(c.Context(), apiID(c), parentID(c), childID(c))
	})
}
