package control

import (
	"context"
	"maps"

	"tidegate/internal/apigw"
)

// A RouteResponseInput is what CreateRouteResponse and UpdateRouteResponse are
// given; a nil member was left out.
type RouteResponseInput struct {
	Key                *string // required on create; only $default
	ResponseParameters map[string]apigw.ParameterConstraint

	// What isn't served yet; each is refused when it asks for something.
	ModelSelectionExpression *string
	ResponseModels           map[string]string
}

func (in *RouteResponseInput) check() error {
	switch {
	case in.Key != nil && *in.Key != string(apigw.RouteDefault):
		return badRequest("Invalid route response key %q specified: the only one is $default", cut(*in.Key))
	case in.ModelSelectionExpression != nil && *in.ModelSelectionExpression != "":
		return unserved("ModelSelectionExpression", "responses are not validated against models")
	case len(in.ResponseModels) > 0:
		return unserved("ResponseModels", "responses are not validated against models")
	}
	return checkConstraints("ResponseParameters", in.ResponseParameters)
}

func (in *RouteResponseInput) apply(r *apigw.RouteResponse) {
	set(&r.Key, in.Key)
	if in.ResponseParameters != nil {
		r.ResponseParameters = maps.Clone(in.ResponseParameters)
	}
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
	_, err := s.changeRoute(ctx, apiID, routeID, func(_ *apigw.API, r *apigw.Route) error {
		for _, other := range r.Responses {
			if other.Key == *in.Key {
				return conflict("RouteResponse with key %s already exists for this Route", *in.Key)
			}
		}
		out = &apigw.RouteResponse{ID: freshID(r.Responses, childIDLength)}
		in.apply(out)
		put(&r.Responses, out.ID, out)
		return nil
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
	_, err := s.changeRoute(ctx, apiID, routeID, func(_ *apigw.API, r *apigw.Route) error {
		var err error
		if out, err = findByID(r.Responses, "RouteResponse", id); err != nil {
			return err
		}
		in.apply(out)
		return nil
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
