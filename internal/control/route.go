package control

import (
	"context"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"tidegate/internal/apigw"
	"tidegate/selection"
)

// A RouteInput is what CreateRoute and UpdateRoute are given; a nil member was
// left out.
type RouteInput struct {
	Key                              *string // required on create
	Target                           *string // integrations/{id}; empty for none
	AuthorizationType                *string
	AuthorizerID                     *string
	AuthorizationScopes              []string // of JWT authorizers: refused
	OperationName                    *string
	RouteResponseSelectionExpression *string
	RequestParameters                map[string]apigw.ParameterConstraint // merged on update
	ModelSelectionExpression         *string
	RequestModels                    map[string]string // replaced on update; model names

	// What isn't served yet; each is refused when it asks for something.
	APIKeyRequired *bool
}

func (in *RouteInput) check() error {
	if err := checkEnum("AuthorizationType", in.AuthorizationType, apigw.AuthorizationNone, apigw.AuthorizationIAM, apigw.AuthorizationCustom, apigw.AuthorizationJWT); err != nil {
		return err
	}
	switch {
	case in.AuthorizationType != nil && *in.AuthorizationType == apigw.AuthorizationJWT: // WS-09-035
		return badRequest("Invalid AuthorizationType JWT specified: it belongs to HTTP APIs. A WebSocket API takes NONE, AWS_IAM or CUSTOM")
	case len(in.AuthorizationScopes) > 0:
		return badRequest("AuthorizationScopes are only for JWT authorizers, which WebSocket APIs can't have")
	}
	if err := checkText("OperationName", in.OperationName, 0, 64); err != nil {
		return err
	}
	if err := checkExpression("RouteResponseSelectionExpression", selection.RouteResponseSelection, in.RouteResponseSelectionExpression); err != nil {
		return err
	}
	if err := checkExpression("ModelSelectionExpression", selection.ModelSelection, in.ModelSelectionExpression); err != nil {
		return err
	}
	if err := checkMap("RequestModels", in.RequestModels, 128); err != nil {
		return err
	}
	if err := checkConstraints("RequestParameters", in.RequestParameters); err != nil {
		return err
	}
	return checkRouteKey(in.Key)
}

// checkRouteKey refuses keys that no message can select. Keys that begin with
// '$' are AWS's own.
func checkRouteKey(key *string) error {
	if key == nil {
		return nil
	}
	switch k := *key; {
	case k == "" || len(k) > maxRouteKey || !utf8.ValidString(k):
		return badRequest("Invalid route key %q specified: it must have 1 to %d bytes", cut(k), maxRouteKey)
	case k[0] == '$' && k != string(apigw.RouteConnect) && k != string(apigw.RouteDisconnect) && k != string(apigw.RouteDefault):
		return badRequest("Invalid route key %q specified: of the keys that begin with '$' there are only $connect, $disconnect and $default", cut(k))
	}
	return nil
}

// apply sets what the input names, and checks it against the rest of the API.
func (in *RouteInput) apply(api *apigw.API, r *apigw.Route) error {
	if in.Key != nil {
		for _, other := range api.Routes {
			if other.ID != r.ID && string(other.Key) == *in.Key {
				return conflict("Route with key %s already exists for this API", cut(*in.Key)) // WS-02-019
			}
		}
		r.Key = apigw.RouteKey(*in.Key)
	}
	if in.Target != nil && *in.Target != "" {
		id, ok := strings.CutPrefix(*in.Target, "integrations/")
		if !ok {
			return badRequest("Invalid target %q specified: it must be integrations/{integrationId}", cut(*in.Target))
		}
		if _, err := findByID(api.Integrations, "Integration", id); err != nil {
			return err
		}
	}
	set(&r.Target, in.Target)
	set(&r.AuthorizationType, in.AuthorizationType)
	set(&r.AuthorizerID, in.AuthorizerID)
	if err := checkAuthorization(api, r); err != nil {
		return err
	}
	set(&r.OperationName, in.OperationName)
	set(&r.APIKeyRequired, in.APIKeyRequired)
	set(&r.RouteResponseSelectionExpression, in.RouteResponseSelectionExpression)
	set(&r.ModelSelectionExpression, in.ModelSelectionExpression)
	if in.RequestModels != nil {
		if err := checkModelNames(api, in.RequestModels); err != nil {
			return err
		}
		r.RequestModels = maps.Clone(in.RequestModels)
	}
	if len(in.RequestParameters) > 0 {
		if r.RequestParameters == nil {
			r.RequestParameters = map[string]apigw.ParameterConstraint{}
		}
		maps.Copy(r.RequestParameters, in.RequestParameters)
	}
	return checkConstraints("RequestParameters", r.RequestParameters)
}

// checkModelNames refuses what names a model that the API doesn't have.
func checkModelNames(api *apigw.API, names map[string]string) error {
	for _, name := range names {
		if !slices.ContainsFunc(sorted(api.Models), func(m *apigw.Model) bool { return m.Name == name }) {
			return badRequest("Invalid model specified: %s", cut(name))
		}
	}
	return nil
}

// checkAuthorization holds a route's authorization against its key and the API's
// authorizers. An authorizer on a route that isn't CUSTOM is kept and has no
// effect, as on AWS.
func checkAuthorization(api *apigw.API, r *apigw.Route) error {
	if r.AuthorizationType != apigw.AuthorizationNone && r.Key != apigw.RouteConnect {
		return badRequest("Currently, authorization is restricted to the $connect route only") // AWS's words, as users reported them, WS-09-139
	}
	if r.AuthorizerID == "" {
		if r.AuthorizationType == apigw.AuthorizationCustom {
			return badRequest("AuthorizerId is required when AuthorizationType is CUSTOM")
		}
		return nil
	}
	_, err := findByID(api.Authorizers, "Authorizer", r.AuthorizerID)
	return err
}

// CreateRoute makes a route of the API.
func (s *Service) CreateRoute(ctx context.Context, apiID string, in RouteInput) (*apigw.Route, error) {
	if in.Key == nil {
		return nil, badRequest("RouteKey is required")
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	var out *apigw.Route
	err := s.change(ctx, apiID, frozen, func(api *apigw.API) error {
		if most := s.config.Limits.Routes; len(api.Routes) >= most {
			return exceeded("Routes", "API")
		}
		out = &apigw.Route{ID: freshID(api.Routes, childIDLength), AuthorizationType: "NONE"} // WS-09-027
		if err := in.apply(api, out); err != nil {
			return err
		}
		put(&api.Routes, out.ID, out)
		return nil
	})
	if err == nil {
		s.noticeIdle(&in, out)
	}
	return out, err
}

// noticeIdle says what was given that does nothing on this route.
func (s *Service) noticeIdle(in *RouteInput, r *apigw.Route) {
	if in.APIKeyRequired != nil && r.APIKeyRequired && r.Key != apigw.RouteConnect {
		s.config.Notice("route " + string(r.Key) + ": ApiKeyRequired is kept and has no effect: a key is sent when a client connects, so set it on $connect")
	}
	if len(in.RequestModels) > 0 && (r.Key == apigw.RouteConnect || r.Key == apigw.RouteDisconnect) {
		s.config.Notice("route " + string(r.Key) + ": RequestModels are kept and have no effect: only messages have a body to validate")
	}
}

// put adds to a map that may not be there yet.
func put[K comparable, V any](m *map[K]V, k K, v V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[k] = v
}

// Route returns the API's route.
func (s *Service) Route(ctx context.Context, apiID, id string) (*apigw.Route, error) {
	api, err := s.get(ctx, apiID)
	if err != nil {
		return nil, err
	}
	return findByID(api.Routes, "Route", id)
}

// Routes returns the API's routes, sorted by id.
func (s *Service) Routes(ctx context.Context, apiID string) ([]*apigw.Route, error) {
	api, err := s.get(ctx, apiID)
	if err != nil {
		return nil, err
	}
	return sorted(api.Routes), nil
}

// UpdateRoute changes what the input names.
func (s *Service) UpdateRoute(ctx context.Context, apiID, id string, in RouteInput) (*apigw.Route, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	out, err := s.changeRoute(ctx, apiID, id, in.apply)
	if err == nil {
		s.noticeIdle(&in, out)
	}
	return out, err
}

func (s *Service) changeRoute(ctx context.Context, apiID, id string, fn func(*apigw.API, *apigw.Route) error) (*apigw.Route, error) {
	var out *apigw.Route
	err := s.change(ctx, apiID, frozen, func(api *apigw.API) error {
		var err error
		if out, err = findByID(api.Routes, "Route", id); err != nil {
			return err
		}
		return fn(api, out)
	})
	return out, err
}

// DeleteRoute removes the route and its responses.
func (s *Service) DeleteRoute(ctx context.Context, apiID, id string) error {
	return s.remove(ctx, apiID, func(api *apigw.API) error {
		_, err := findByID(api.Routes, "Route", id)
		delete(api.Routes, id)
		return err
	})
}

// DeleteRouteRequestParameter removes one declared request parameter.
func (s *Service) DeleteRouteRequestParameter(ctx context.Context, apiID, id, key string) error {
	return s.remove(ctx, apiID, func(api *apigw.API) error {
		r, err := findByID(api.Routes, "Route", id)
		if err != nil {
			return err
		}
		if _, ok := r.RequestParameters[key]; !ok {
			return notFound("RequestParameter", "Invalid RequestParameter identifier specified %s", cut(key))
		}
		delete(r.RequestParameters, key) // WS-09-033
		return nil
	})
}
