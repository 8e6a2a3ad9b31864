package control

import (
	"context"
	"maps"

	"tidegate/internal/apigw"
	"tidegate/selection"
)

// A RouteResponseInput is what CreateRouteResponse and UpdateRouteResponse are
// given; a nil member was left out.
type RouteResponseInput struct {
	Key                      *string // required on create; only $default
	ResponseParameters       map[string]apigw.ParameterConstraint
	ModelSelectionExpression *string           // kept: AWS validates no response either
	ResponseModels           map[string]string // as ModelSelectionExpression; replaced on update
}

func (in *RouteResponseInput) check() error {
	if in.Key != nil && *in.Key != string(apigw.RouteDefault) {
		return badRequest("Invalid route response key %q specified: the only one is $default", cut(*in.Key)) // WS-09-037
	}
	if err := checkExpression("ModelSelectionExpression", selection.ModelSelection, in.ModelSelectionExpression); err != nil {
		return err
	}
	if err := checkMap("ResponseModels", in.ResponseModels, 128); err != nil {
		return err
	}
	return checkConstraints("ResponseParameters", in.ResponseParameters)
}

func (in *RouteResponseInput) apply(api *apigw.API, r *apigw.RouteResponse) error {
	if err := checkModelNames(api, in.ResponseModels); err != nil {
		return err
	}
	set(&r.Key, in.Key)
	set(&r.ModelSelectionExpression, in.ModelSelectionExpression)
	if in.ResponseModels != nil {
		r.ResponseModels = maps.Clone(in.ResponseModels)
	}
	if in.ResponseParameters != nil {
		r.ResponseParameters = maps.Clone(in.ResponseParameters)
	}
	return nil
}

// CreateRouteResponse makes the route two-way.
func (s *Service) CreateRouteResponse(ctx context.Context, apiID, routeID string, in RouteResponseInput) (*apigw.RouteResponse, error) {
	if in.Key == nil {
		return nil, badRequest("RouteResponseKey is required")
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	var out *apigw.RouteResponse
	_, err := s.changeRoute(ctx, apiID, routeID, func(api *apigw.API, r *apigw.Route) error {
		for _, other := range r.Responses {
			if other.Key == *in.Key {
				return conflict("RouteResponse with key %s already exists for this Route", *in.Key)
			}
		}
		out = &apigw.RouteResponse{ID: freshID(r.Responses, childIDLength)}
		put(&r.Responses, out.ID, out)
		return in.apply(api, out)
	})
	return out, err
}

// RouteResponse returns the route's response.
func (s *Service) RouteResponse(ctx context.Context, apiID, routeID, id string) (*apigw.RouteResponse, error) {
	r, err := s.Route(ctx, apiID, routeID)
	if err != nil {
		return nil, err
	}
	return findByID(r.Responses, "RouteResponse", id)
}

// RouteResponses returns the route's responses, sorted by id.
func (s *Service) RouteResponses(ctx context.Context, apiID, routeID string) ([]*apigw.RouteResponse, error) {
	r, err := s.Route(ctx, apiID, routeID)
	if err != nil {
		return nil, err
	}
	return sorted(r.Responses), nil
}

// UpdateRouteResponse changes what the input names.
func (s *Service) UpdateRouteResponse(ctx context.Context, apiID, routeID, id string, in RouteResponseInput) (*apigw.RouteResponse, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	var out *apigw.RouteResponse
	_, err := s.changeRoute(ctx, apiID, routeID, func(api *apigw.API, r *apigw.Route) error {
		var err error
		if out, err = findByID(r.Responses, "RouteResponse", id); err != nil {
			return err
		}
		return in.apply(api, out)
	})
	return out, err
}

// DeleteRouteResponse makes the route one-way again.
func (s *Service) DeleteRouteResponse(ctx context.Context, apiID, routeID, id string) error {
	return s.remove(ctx, apiID, func(api *apigw.API) error {
		r, err := findByID(api.Routes, "Route", routeID)
		if err != nil {
			return err
		}
		_, err = findByID(r.Responses, "RouteResponse", id)
		delete(r.Responses, id)
		return err
	})
}
