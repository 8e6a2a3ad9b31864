package control

import (
	"context"
	"errors"
	"maps"

	"tidegate/internal/apigw"
	"tidegate/internal/control/catalog"
	"tidegate/selection"
)

// defaultAPIKeySelection is what AWS fills in for an API's
// apiKeySelectionExpression.
const defaultAPIKeySelection = "$request.header.x-api-key"

// An APIInput is what CreateAPI and UpdateAPI are given; a nil member was left
// out.
type APIInput struct {
	Name                      *string
	ProtocolType              *string // create only: WEBSOCKET
	RouteSelectionExpression  *string // required
	APIKeySelectionExpression *string
	Description               *string
	Version                   *string
	DisableSchemaValidation   *bool
	DisableExecuteAPIEndpoint *bool
	IPAddressType             *string
	Tags                      map[string]string // create only

	// What HTTP APIs have; each is refused.
	Target, RouteKey, CredentialsARN *string
	CORS                             bool
}

// check refuses what can't be, whether the API is made or changed.
func (in *APIInput) check() error {
	switch {
	case in.Target != nil: // WS-09-018
		return forHTTP("Target of an API", "create an integration and a route")
	case in.RouteKey != nil:
		return forHTTP("RouteKey of an API", "create an integration and a route")
	case in.CredentialsARN != nil:
		return forHTTP("CredentialsArn of an API", "create an integration and a route")
	case in.CORS: // WS-09-017
		return forHTTP("CorsConfiguration", "")
	}
	if err := checkText("Name", in.Name, 1, 128); err != nil {
		return err
	}
	if err := checkText("Description", in.Description, 0, 1024); err != nil {
		return err
	}
	if err := checkText("Version", in.Version, 0, 64); err != nil {
		return err
	}
	if err := checkEnum("IpAddressType", in.IPAddressType, "ipv4", "dualstack"); err != nil {
		return err
	}
	if in.RouteSelectionExpression != nil {
		if *in.RouteSelectionExpression == "" {
			return badRequest("RouteSelectionExpression is required for WebSocket APIs; $request.body.action is the usual one") // WS-09-005
		}
		if err := checkExpression("RouteSelectionExpression", selection.RouteSelection, in.RouteSelectionExpression); err != nil {
			return err
		}
	}
	return checkExpression("ApiKeySelectionExpression", selection.APIKeySelection, in.APIKeySelectionExpression)
}

// apply sets what the input names.
func (in *APIInput) apply(api *apigw.API) {
	set(&api.Name, in.Name)
	set(&api.Description, in.Description)
	set(&api.Version, in.Version)
	set(&api.RouteSelectionExpression, in.RouteSelectionExpression)
	set(&api.APIKeySelectionExpression, in.APIKeySelectionExpression)
	set(&api.DisableSchemaValidation, in.DisableSchemaValidation)
	set(&api.DisableExecuteAPIEndpoint, in.DisableExecuteAPIEndpoint)
	set(&api.IPAddressType, in.IPAddressType)
}

// CreateAPI makes an API without routes or stages. Its id is random, unless the
// tag _custom_id_ names one.
func (s *Service) CreateAPI(ctx context.Context, in APIInput) (*apigw.API, error) {
	switch {
	case in.ProtocolType == nil || *in.ProtocolType != "WEBSOCKET" && *in.ProtocolType != "HTTP":
		return nil, badRequest("Invalid protocol specified. Must be one of [HTTP, WEBSOCKET]") // WS-09-004
	case *in.ProtocolType == "HTTP":
		return nil, unserved("ProtocolType HTTP", "only WEBSOCKET")
	case in.Name == nil:
		return nil, badRequest("Name is required")
	case in.RouteSelectionExpression == nil:
		in.RouteSelectionExpression = new(string) // refused with the text for an empty one
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	if err := checkTags(nil, in.Tags); err != nil {
		return nil, err
	}
	api := &apigw.API{
		APIKeySelectionExpression: defaultAPIKeySelection, // WS-09-001
		IPAddressType:             "ipv4",
		Tags:                      maps.Clone(in.Tags),
		Created:                   s.now(),
	}
	in.apply(api)
	s.create.Lock()
	defer s.create.Unlock()
	apis, err := s.config.Catalog.List(ctx)
	if err != nil {
		return nil, err
	}
	if most := s.config.Limits.APIs; len(apis) >= most {
		return nil, exceeded("APIs", "account")
	}
	custom, fixed := in.Tags[customIDTag]
	if fixed && !validCustomID(custom) {
		return nil, badRequest("the tag %s must be 3 to 63 characters of [a-z0-9-] that neither begin nor end with '-', not %q", customIDTag, custom)
	}
	for {
		api.ID = custom
		if !fixed {
			api.ID = newID(apiIDLength)
		}
		_, err := s.config.Catalog.Create(ctx, api)
		switch {
		case err == nil:
			return api, nil
		case errors.Is(err, catalog.ErrExists) && fixed:
			return nil, conflict("An API with the id %s, which the tag %s asks for, already exists", custom, customIDTag)
		case !errors.Is(err, catalog.ErrExists):
			return nil, translate(err, api.ID)
		}
	}
}

// API returns the API with all that it owns.
func (s *Service) API(ctx context.Context, id string) (*apigw.API, error) { return s.get(ctx, id) }

// APIs returns every API, sorted by id.
func (s *Service) APIs(ctx context.Context) ([]*apigw.API, error) {
	return s.config.Catalog.List(ctx)
}

// UpdateAPI changes what the input names.
func (s *Service) UpdateAPI(ctx context.Context, id string, in APIInput) (*apigw.API, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	d := notFrozen
	if in.RouteSelectionExpression != nil || in.APIKeySelectionExpression != nil || in.DisableExecuteAPIEndpoint != nil {
		d = frozen
	}
	var out *apigw.API
	err := s.change(ctx, id, d, func(api *apigw.API) error {
		in.apply(api)
		out = api
		return nil
	})
	return out, err
}

// DeleteAPI removes the API with all that it owns, unless a custom domain leads to
// it; its clients are closed.
func (s *Service) DeleteAPI(ctx context.Context, id string) error {
	s.domains.Lock()
	defer s.domains.Unlock()
	api, err := s.get(ctx, id)
	if err != nil {
		return err
	}
	if err := changeable(api); err != nil {
		return err
	}
	if err := s.unmapped(ctx, id, ""); err != nil {
		return err
	}
	revision, err := s.config.Catalog.Delete(ctx, id)
	if err != nil {
		return translate(err, id)
	}
	s.applied(ctx, id, revision)
	return nil
}

// Endpoint returns the address of the API's default endpoint, without a stage.
func (s *Service) Endpoint(id string) string {
	return "wss://" + id + ".execute-api." + s.config.Region + ".amazonaws.com"
}
