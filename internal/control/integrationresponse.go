package control

import (
	"context"
	"maps"
	"strings"

	"tidegate/internal/apigw"
	"tidegate/internal/stage"
	"tidegate/selection"
)

// maxIntegrationResponses is Tidegate's own bound; AWS documents none.
const maxIntegrationResponses = 100

// An IntegrationResponseInput is what CreateIntegrationResponse and
// UpdateIntegrationResponse are given; a nil member was left out.
type IntegrationResponseInput struct {
	Key                         *string // required on create: $default or /regular expression/
	ContentHandlingStrategy     *string
	ResponseParameters          map[string]string // replaced on update
	ResponseTemplates           map[string]string // replaced on update
	TemplateSelectionExpression *string
}

func (in *IntegrationResponseInput) check() error {
	if k := in.Key; k != nil && *k != string(apigw.RouteDefault) { // WS-09-050
		if len(*k) < 3 || len(*k) > maxMapKey || !strings.HasPrefix(*k, "/") || !strings.HasSuffix(*k, "/") {
			// WS-03-186
			return badRequest("Invalid integration response key %q specified: it must be $default or a regular expression between slashes, such as /5\\d\\d/", cut(*k))
		}
	}
	if err := checkStrategy(in.ContentHandlingStrategy); err != nil {
		return err
	}
	if err := checkExpression("TemplateSelectionExpression", selection.ResponseTemplateSelection, in.TemplateSelectionExpression); err != nil {
		return err
	}
	if err := checkMap("ResponseParameters", in.ResponseParameters, maxMapValue); err != nil {
		return err
	}
	if err := stage.CheckResponseParameters(in.ResponseParameters); err != nil {
		return badRequest("Invalid mapping expression specified: %v", err)
	}
	return checkMap("ResponseTemplates", in.ResponseTemplates, apigw.MaxTemplate)
}

// checkNew is check for one that is to be made.
func (in *IntegrationResponseInput) checkNew() error {
	if in.Key == nil {
		return badRequest("IntegrationResponseKey is required")
	}
	return in.check()
}

func (in *IntegrationResponseInput) apply(i *apigw.Integration, r *apigw.IntegrationResponse) error {
	if in.Key != nil {
		for _, other := range i.Responses {
			if other.ID != r.ID && other.Key == *in.Key {
				return conflict("IntegrationResponse with key %s already exists for this Integration", cut(*in.Key))
			}
		}
	}
	set(&r.Key, in.Key)
	set(&r.ContentHandlingStrategy, in.ContentHandlingStrategy)
	set(&r.TemplateSelectionExpression, in.TemplateSelectionExpression)
	if in.ResponseParameters != nil {
		r.ResponseParameters = maps.Clone(in.ResponseParameters)
	}
	if in.ResponseTemplates != nil {
		r.ResponseTemplates = maps.Clone(in.ResponseTemplates)
	}
	return nil
}

// CreateIntegrationResponse says how a backend's answer is mapped.
func (s *Service) CreateIntegrationResponse(ctx context.Context, apiID, integrationID string, in IntegrationResponseInput) (*apigw.IntegrationResponse, error) {
	if err := in.checkNew(); err != nil {
		return nil, err
	}
	var out *apigw.IntegrationResponse
	_, err := s.changeIntegration(ctx, apiID, integrationID, func(i *apigw.Integration) error {
		if len(i.Responses) >= maxIntegrationResponses {
			return exceeded("IntegrationResponses", "Integration")
		}
		out = &apigw.IntegrationResponse{ID: freshID(i.Responses, childIDLength)}
		if err := in.apply(i, out); err != nil {
			return err
		}
		put(&i.Responses, out.ID, out)
		return nil
	})
	return out, err
}

// IntegrationResponse returns the integration's response.
func (s *Service) IntegrationResponse(ctx context.Context, apiID, integrationID, id string) (*apigw.IntegrationResponse, error) {
	i, err := s.Integration(ctx, apiID, integrationID)
	if err != nil {
		return nil, err
	}
	return findByID(i.Responses, "IntegrationResponse", id)
}

// IntegrationResponses returns the integration's responses, sorted by id.
func (s *Service) IntegrationResponses(ctx context.Context, apiID, integrationID string) ([]*apigw.IntegrationResponse, error) {
	i, err := s.Integration(ctx, apiID, integrationID)
	if err != nil {
		return nil, err
	}
	return sorted(i.Responses), nil
}

// UpdateIntegrationResponse changes what the input names.
func (s *Service) UpdateIntegrationResponse(ctx context.Context, apiID, integrationID, id string, in IntegrationResponseInput) (*apigw.IntegrationResponse, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	var out *apigw.IntegrationResponse
	_, err := s.changeIntegration(ctx, apiID, integrationID, func(i *apigw.Integration) error {
		var err error
		if out, err = findByID(i.Responses, "IntegrationResponse", id); err != nil {
			return err
		}
		return in.apply(i, out)
	})
	return out, err
}

// DeleteIntegrationResponse removes the response.
func (s *Service) DeleteIntegrationResponse(ctx context.Context, apiID, integrationID, id string) error {
	return s.remove(ctx, apiID, func(api *apigw.API) error {
		i, err := findByID(api.Integrations, "Integration", integrationID)
		if err != nil {
			return err
		}
		_, err = findByID(i.Responses, "IntegrationResponse", id)
		delete(i.Responses, id)
		return err
	})
}
