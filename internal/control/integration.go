package control

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"tidegate/internal/apigw"
	"tidegate/internal/mapping"
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
	ConnectionID                *string // of a VPC link
	CredentialsARN              *string

	// What belongs to HTTP APIs; each is refused when it asks for something.
	Subtype            *string
	ResponseParameters bool
	TLSConfig          bool
}

// check checks all but what is in the API; longest is the longest timeout.
func (in *IntegrationInput) check(longest time.Duration) error {
	if err := checkEnum("IntegrationType", in.Type, "AWS", "AWS_PROXY", "HTTP", "HTTP_PROXY", "MOCK"); err != nil {
		return err
	}
	if err := in.refuse(); err != nil {
		return err
	}
	if err := checkText("Description", in.Description, 0, 1024); err != nil {
		return err
	}
	// Empty is none: CDK writes "" for each of its MOCK integrations, and AWS takes it.
	if err := checkText("IntegrationUri", in.URI, 0, maxURI); err != nil {
		return err
	}
	if err := checkEnum("ConnectionType", in.ConnectionType, "INTERNET", "VPC_LINK"); err != nil {
		return err
	}
	if err := checkText("ConnectionId", in.ConnectionID, 0, 1024); err != nil {
		return err
	}
	if err := checkText("CredentialsArn", in.CredentialsARN, 0, maxURI); err != nil {
		return err
	}
	if err := checkStrategy(in.ContentHandlingStrategy); err != nil {
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
	// WS-08-013
	if t := in.TimeoutInMillis; t != nil && (int64(*t) < apigw.MinIntegrationTimeout.Milliseconds() || int64(*t) > longest.Milliseconds()) {
		// WS-03-016
		return badRequest("Timeout should be between %d ms and %d ms", apigw.MinIntegrationTimeout.Milliseconds(), longest.Milliseconds())
	}
	return nil
}

// refuse names what belongs to HTTP APIs (WS-03-020, WS-03-096).
func (in *IntegrationInput) refuse() error {
	switch {
	case in.TLSConfig: // WS-09-047
		return forHTTP("TlsConfig", "")
	case in.Subtype != nil && *in.Subtype != "":
		return forHTTP("IntegrationSubtype", "")
	case in.ResponseParameters:
		return forHTTP("ResponseParameters of an integration", "create an integration response")
	}
	return nil
}

func checkStrategy(strategy *string) error {
	if strategy == nil || *strategy == "" {
		return nil
	}
	return checkEnum("ContentHandlingStrategy", strategy, "CONVERT_TO_BINARY", "CONVERT_TO_TEXT")
}

// apply sets what the input names, fills in what AWS fills in, and checks that
// the whole fits together.
func (in *IntegrationInput) apply(i *apigw.Integration) error {
	if in.Type != nil {
		i.Type = apigw.IntegrationType(*in.Type)
	}
	set(&i.Method, in.Method)
	set(&i.URI, in.URI)
	set(&i.ConnectionType, in.ConnectionType)
	set(&i.ConnectionID, in.ConnectionID)
	set(&i.CredentialsARN, in.CredentialsARN)
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
	// WS-03-012, WS-03-013
	if i.Method == "" && (i.Type == apigw.IntegrationAWSProxy || i.Type == apigw.IntegrationAWS && i.CallsFunction()) {
		i.Method = "POST"
	}
	return in.fits(i)
}

// fits says whether the integration as a whole can be called. The messages of
// ARNs and roles are those of AWS's other API of the kind.
func (in *IntegrationInput) fits(i *apigw.Integration) error {
	switch i.Type {
	case apigw.IntegrationAWSProxy:
		if !i.CallsFunction() { // WS-03-021
			return badRequest("IntegrationUri of an AWS_PROXY integration must be a function's ARN or the ARN that invokes one (arn:aws:apigateway:{region}:lambda:path/2015-03-31/functions/{functionArn}/invocations), not %q", cut(i.URI))
		}
	case apigw.IntegrationAWS:
		if err := fitsAWS(i); err != nil {
			return err
		}
	case apigw.IntegrationHTTP, apigw.IntegrationHTTPProxy:
		if !strings.HasPrefix(i.URI, "http://") && !strings.HasPrefix(i.URI, "https://") {
			return badRequest("Invalid HTTP endpoint specified for URI: IntegrationUri of an %s integration must be an http or https URL, not %q", i.Type, cut(i.URI))
		}
		if i.Method == "" { // WS-03-015
			return badRequest("IntegrationMethod is required for an %s integration", i.Type)
		}
	}
	if i.ConnectionType == "VPC_LINK" && i.ConnectionID == "" {
		return badRequest("ConnectionId is required when ConnectionType is VPC_LINK") // WS-09-134
	}
	if err := checkMap("RequestParameters", i.RequestParameters, maxMapValue); err != nil {
		return err
	}
	if err := mapping.CheckParameters(i.RequestParameters); err != nil {
		return badRequest("Invalid mapping expression specified: %v", err)
	}
	return nil
}

func fitsAWS(i *apigw.Integration) error {
	switch {
	case i.CallsFunction():
		return nil
	case !strings.HasPrefix(i.URI, "arn:"):
		return badRequest("Invalid ARN specified in the request: IntegrationUri of an AWS integration, not %q", cut(i.URI))
	case !strings.Contains(i.URI, ":action/") && !strings.Contains(i.URI, ":path/"):
		return badRequest("AWS ARN for integration must contain path or action")
	case i.CredentialsARN == "": // WS-03-082
		return badRequest("Role ARN must be specified for AWS integrations")
	case i.Method == "":
		return badRequest("IntegrationMethod is required for an AWS integration with a service")
	}
	return nil
}

// merge is AWS's way to update a map: an empty value removes its key, a key
// that isn't named stays (WS-03-155, WS-09-042, WS-09-059).
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

// newIntegration returns an integration without an id.
func (s *Service) newIntegration(in *IntegrationInput) (*apigw.Integration, error) {
	if in.Type == nil {
		return nil, badRequest("IntegrationType is required")
	}
	if err := in.check(s.config.Limits.IntegrationTimeout); err != nil {
		return nil, err
	}
	i := &apigw.Integration{
		// WS-03-011 to WS-03-014.
		ConnectionType:       "INTERNET",
		PassthroughBehavior:  apigw.PassthroughWhenNoMatch,
		PayloadFormatVersion: "1.0",
		Timeout:              apigw.MaxIntegrationTimeout,
	}
	return i, in.apply(i)
}

// CreateIntegration makes an integration of the API.
func (s *Service) CreateIntegration(ctx context.Context, apiID string, in IntegrationInput) (*apigw.Integration, error) {
	made, err := s.newIntegration(&in)
	if err != nil {
		return nil, err
	}
	var out *apigw.Integration
	err = s.change(ctx, apiID, frozen, func(api *apigw.API) error {
		if most := s.config.Limits.Integrations; len(api.Integrations) >= most {
			return exceeded("Integrations", "API")
		}
		out = made
		out.ID = freshID(api.Integrations, childIDLength)
		put(&api.Integrations, out.ID, out)
		return nil
	})
	if err == nil {
		s.noteIntegration(apiID, &in, out)
	}
	return out, err
}

// noteIntegration says what of an integration means less here than on AWS (WS-03-093).
func (s *Service) noteIntegration(apiID string, in *IntegrationInput, i *apigw.Integration) {
	if i.ConnectionType == "VPC_LINK" && (in.ConnectionType != nil || in.ConnectionID != nil) {
		s.config.Notice(fmt.Sprintf("integration %s of API %s goes through the VPC link %s on AWS; here it is a plain call to %s", i.ID, apiID, cut(i.ConnectionID), cut(i.URI)))
	}
	if i.Type == apigw.IntegrationAWSProxy && i.ContentHandlingStrategy == "CONVERT_TO_BINARY" && in.ContentHandlingStrategy != nil {
		s.config.Notice(fmt.Sprintf("contentHandlingStrategy CONVERT_TO_BINARY of integration %s of API %s has no effect: an AWS_PROXY integration's function gets an event, and its result says isBase64Encoded", i.ID, apiID))
	}
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
	if err := in.check(s.config.Limits.IntegrationTimeout); err != nil {
		return nil, err
	}
	out, err := s.changeIntegration(ctx, apiID, id, in.apply)
	if err == nil {
		s.noteIntegration(apiID, &in, out)
	}
	return out, err
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
			return conflict("Cannot delete Integration because it is referenced by the following Routes with Ids: [%s]", strings.Join(users, ", ")) // WS-09-045
		}
		delete(api.Integrations, id)
		return nil
	})
}
