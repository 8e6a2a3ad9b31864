package control

import (
	"context"
	"maps"
	"strings"
	"time"

	"tidegate/internal/apigw"
	"tidegate/selection"
)

// An IntegrationInput is what CreateIntegration and UpdateIntegration are
// given; a nil member was left out.
type IntegrationInput struct {
	Type                        *string // required on create
	Method                      *string
	URI                         *string
	ConnectionType              *string
	ContentHandlingStrategy     *string
	Description                 *string
	PassthroughBehavior         *string
	PayloadFormatVersion        *string
	RequestParameters           map[string]string // merged on update; "" removes a key
	RequestTemplates            map[string]string // replaced on update
	TemplateSelectionExpression *string
	TimeoutInMillis             *int

	// What isn't served; each is refused when it asks for something.
	ConnectionID       *string
	CredentialsARN     *string
	Subtype            *string
	ResponseParameters bool
	TLSConfig          bool
}

func (in *IntegrationInput) check() error {
	if err := checkEnum("IntegrationType", in.Type, "AWS", "AWS_PROXY", "HTTP", "HTTP_PROXY", "MOCK"); err != nil {
		return err
	}
	if err := in.refuse(); err != nil {
		return err
	}
	if err := checkText("Description", in.Description, 0, 1024); err != nil {
		return err
	}
	if err := checkText("IntegrationUri", in.URI, 1, maxURI); err != nil {
		return err
	}
	if err := checkEnum("IntegrationMethod", in.Method, "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"); err != nil {
		return err
	}
	if err := checkEnum("PassthroughBehavior", in.PassthroughBehavior, "WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER"); err != nil {
		return err
	}
	if err := checkEnum("PayloadFormatVersion", in.PayloadFormatVersion, "1.0"); err != nil {
		return err
	}
	if err := checkExpression("TemplateSelectionExpression", selection.TemplateSelection, in.TemplateSelectionExpression); err != nil {
		return err
	}
	if err := checkMap("RequestParameters", in.RequestParameters, maxMapValue); err != nil {
		return err
	}
	if err := checkMap("RequestTemplates", in.RequestTemplates, apigw.MaxTemplate); err != nil {
		return err
	}
	if t := in.TimeoutInMillis; t != nil {
		d := time.Duration(*t) * time.Millisecond
		if *t < 0 || *t > int(apigw.MaxIntegrationTimeout/time.Millisecond) || d < apigw.MinIntegrationTimeout {
			return badRequest("Timeout should be between %d ms and %d ms", apigw.MinIntegrationTimeout.Milliseconds(), apigw.MaxIntegrationTimeout.Milliseconds())
		}
	}
	return nil
}

// refuse names what AWS has and Tidegate lacks, or what belongs to HTTP APIs.
func (in *IntegrationInput) refuse() error {
	given := func(s *string) bool { return s != nil && *s != "" }
	switch {
	case in.Type != nil && (*in.Type == "AWS" || *in.Type == "HTTP"):
		return unserved("IntegrationType "+*in.Type, "AWS_PROXY, HTTP_PROXY and MOCK are there")
	case given(in.ConnectionType) && *in.ConnectionType != "INTERNET":
		if err := checkEnum("ConnectionType", in.ConnectionType, "INTERNET", "VPC_LINK"); err != nil {
			return err
		}
		return unserved("ConnectionType "+*in.ConnectionType, "only INTERNET")
	case given(in.ConnectionID):
		return unserved("ConnectionId", "there are no VPC links")
	case in.TLSConfig:
		return unserved("TlsConfig", "there are no VPC links")
	case given(in.CredentialsARN):
		return unserved("CredentialsArn on an integration", "a function's own permissions say who may invoke it")
	case given(in.Subtype):
		return unserved("IntegrationSubtype", "it belongs to HTTP APIs")
	case in.ResponseParameters:
		return unserved("ResponseParameters on an integration", "it belongs to HTTP APIs; create an integration response")
	}
	return refuseConversion(in.ContentHandlingStrategy)
}

// refuseConversion lets CONVERT_TO_TEXT pass: what clients send is text, which
// it leaves as it is.
func refuseConversion(strategy *string) error {
	if strategy == nil || *strategy == "" || *strategy == "CONVERT_TO_TEXT" {
		return nil
	}
	if err := checkEnum("ContentHandlingStrategy", strategy, "CONVERT_TO_BINARY", "CONVERT_TO_TEXT"); err != nil {
		return err
	}
	return unserved("ContentHandlingStrategy "+*strategy, "messages are text")
}

// apply sets what the input names, fills in what AWS fills in, and checks that
// the whole fits together.
func (in *IntegrationInput) apply(i *apigw.Integration) error {
	if in.Type != nil {
		i.Type = apigw.IntegrationType(*in.Type)
	}
	set(&i.Method, in.Method)
	set(&i.URI, in.URI)
	set(&i.ContentHandlingStrategy, in.ContentHandlingStrategy)
	set(&i.Description, in.Description)
	set(&i.PayloadFormatVersion, in.PayloadFormatVersion)
	set(&i.TemplateSelectionExpression, in.TemplateSelectionExpression)
	if in.PassthroughBehavior != nil {
		i.PassthroughBehavior = apigw.PassthroughBehavior(*in.PassthroughBehavior)
	}
	if in.TimeoutInMillis != nil {
		i.Timeout = time.Duration(*in.TimeoutInMillis) * time.Millisecond
	}
	i.RequestParameters = merge(i.RequestParameters, in.RequestParameters)
	if in.RequestTemplates != nil {
		i.RequestTemplates = maps.Clone(in.RequestTemplates)
	}
	if i.Type == apigw.IntegrationAWSProxy && i.Method == "" {
		i.Method = "POST"
	}
	return in.fits(i)
}

// fits says whether the integration as a whole can be called.
func (in *IntegrationInput) fits(i *apigw.Integration) error {
	switch i.Type {
	case apigw.IntegrationAWSProxy:
		if !strings.HasPrefix(i.URI, "arn:") {
			return badRequest("IntegrationUri of an AWS_PROXY integration must be a function's ARN or the ARN that invokes one (arn:aws:apigateway:{region}:lambda:path/2015-03-31/functions/{functionArn}/invocations), not %q", cut(i.URI))
		}
	case apigw.IntegrationHTTPProxy:
		if !strings.HasPrefix(i.URI, "http://") && !strings.HasPrefix(i.URI, "https://") {
			return badRequest("IntegrationUri of an HTTP_PROXY integration must be an http or https URL, not %q", cut(i.URI))
		}
		if i.Method == "" {
			return badRequest("IntegrationMethod is required for an HTTP_PROXY integration")
		}
	}
	return checkMap("RequestParameters", i.RequestParameters, maxMapValue)
}

// merge is AWS's way to update a map: an empty value removes its key, a key
// that isn't named stays.
func merge(m, changes map[string]string) map[string]string {
	if len(changes) == 0 {
		return m
	}
	merged := maps.Clone(m)
	if merged == nil {
		merged = map[string]string{}
	}
	for k, v := range changes {
		if v == "" {
			delete(merged, k)
		} else {
			merged[k] = v
		}
	}
	return merged
}

// CreateIntegration makes an integration of the API.
func (s *Service) CreateIntegration(ctx context.Context, apiID string, in IntegrationInput) (*apigw.Integration, error) {
	if in.Type == nil {
		return nil, badRequest("IntegrationType is required")
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	var out *apigw.Integration
	err := s.change(ctx, apiID, frozen, func(api *apigw.API) error {
		if len(api.Integrations) >= apigw.MaxIntegrations {
			return exceeded("Integrations", "API", apigw.MaxIntegrations)
		}
		out = &apigw.Integration{
			ID:                   freshID(api.Integrations, childIDLength),
			ConnectionType:       "INTERNET",
			PassthroughBehavior:  apigw.PassthroughWhenNoMatch,
			PayloadFormatVersion: "1.0",
			Timeout:              apigw.MaxIntegrationTimeout,
		}
		if err := in.apply(out); err != nil {
			return err
		}
		put(&api.Integrations, out.ID, out)
		return nil
	})
	return out, err
}

// Integration returns the API's integration.
func (s *Service) Integration(ctx context.Context, apiID, id string) (*apigw.Integration, error) {
	api, err := s.get(ctx, apiID)
	if err != nil {
		return nil, err
	}
	return findByID(api.Integrations, "Integration", id)
}

// Integrations returns the API's integrations, sorted by id.
func (s *Service) Integrations(ctx context.Context, apiID string) ([]*apigw.Integration, error) {
	api, err := s.get(ctx, apiID)
	if err != nil {
		return nil, err
	}
	return sorted(api.Integrations), nil
}

// UpdateIntegration changes what the input names.
func (s *Service) UpdateIntegration(ctx context.Context, apiID, id string, in IntegrationInput) (*apigw.Integration, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	return s.changeIntegration(ctx, apiID, id, in.apply)
}

func (s *Service) changeIntegration(ctx context.Context, apiID, id string, fn func(*apigw.Integration) error) (*apigw.Integration, error) {
	var out *apigw.Integration
	err := s.change(ctx, apiID, frozen, func(api *apigw.API) error {
		var err error
		if out, err = findByID(api.Integrations, "Integration", id); err != nil {
			return err
		}
		return fn(out)
	})
	return out, err
}

// DeleteIntegration removes the integration and its responses, unless a route
// refers to it.
func (s *Service) DeleteIntegration(ctx context.Context, apiID, id string) error {
	return s.remove(ctx, apiID, func(api *apigw.API) error {
		if _, err := findByID(api.Integrations, "Integration", id); err != nil {
			return err
		}
		var users []string
		for _, r := range sorted(api.Routes) {
			if r.IntegrationID() == id {
				users = append(users, r.ID)
			}
		}
		if len(users) > 0 {
			// AWS's words, as users reported them.
			return conflict("Cannot delete Integration because it is referenced by the following Routes with Ids: [%s]", strings.Join(users, ", "))
		}
		delete(api.Integrations, id)
		return nil
	})
}
