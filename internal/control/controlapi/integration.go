package controlapi

import (
	"encoding/json"

	"tidegate/internal/apigw"
	"tidegate/internal/awshttp"
	"tidegate/internal/control"
)

// integrationOutput is AWS's Integration.
type integrationOutput struct {
	ConnectionId                           string                       `json:"connectionId,omitempty"`
	ConnectionType                         string                       `json:"connectionType"`
	ContentHandlingStrategy                string                       `json:"contentHandlingStrategy,omitempty"`
	CredentialsArn                         string                       `json:"credentialsArn,omitempty"`
	Description                            string                       `json:"description,omitempty"`
	IntegrationId                          string                       `json:"integrationId"`
	IntegrationMethod                      string                       `json:"integrationMethod,omitempty"`
	IntegrationResponseSelectionExpression string                       `json:"integrationResponseSelectionExpression,omitempty"`
	IntegrationType                        string                       `json:"integrationType"`
	IntegrationUri                         string                       `json:"integrationUri,omitempty"`
	PassthroughBehavior                    string                       `json:"passthroughBehavior"`
	PayloadFormatVersion                   string                       `json:"payloadFormatVersion"`
	RequestParameters                      map[string]string            `json:"requestParameters,omitempty"`
	RequestTemplates                       map[string]string            `json:"requestTemplates,omitempty"`
	ResponseParameters                     map[string]map[string]string `json:"responseParameters,omitzero"` // {} on MOCK, else absent
	TemplateSelectionExpression            string                       `json:"templateSelectionExpression,omitempty"`
	TimeoutInMillis                        int64                        `json:"timeoutInMillis"`
}

// integrationInput is the body of CreateIntegration and UpdateIntegration.
type integrationInput struct {
	ConnectionId                *string           `json:"connectionId"`
	ConnectionType              *string           `json:"connectionType"`
	ContentHandlingStrategy     *string           `json:"contentHandlingStrategy"`
	CredentialsArn              *string           `json:"credentialsArn"`
	Description                 *string           `json:"description"`
	IntegrationMethod           *string           `json:"integrationMethod"`
	IntegrationSubtype          *string           `json:"integrationSubtype"`
	IntegrationType             *string           `json:"integrationType"`
	IntegrationUri              *string           `json:"integrationUri"`
	PassthroughBehavior         *string           `json:"passthroughBehavior"`
	PayloadFormatVersion        *string           `json:"payloadFormatVersion"`
	RequestParameters           map[string]string `json:"requestParameters"`
	RequestTemplates            map[string]string `json:"requestTemplates"`
	ResponseParameters          json.RawMessage   `json:"responseParameters"`
	TemplateSelectionExpression *string           `json:"templateSelectionExpression"`
	TimeoutInMillis             *int              `json:"timeoutInMillis"`
	TlsConfig                   json.RawMessage   `json:"tlsConfig"`
}

func (in *integrationInput) domain() control.IntegrationInput {
	return control.IntegrationInput{
		Type:                        in.IntegrationType,
		Method:                      in.IntegrationMethod,
		URI:                         in.IntegrationUri,
		ConnectionType:              in.ConnectionType,
		ContentHandlingStrategy:     in.ContentHandlingStrategy,
		Description:                 in.Description,
		PassthroughBehavior:         in.PassthroughBehavior,
		PayloadFormatVersion:        in.PayloadFormatVersion,
		RequestParameters:           in.RequestParameters,
		RequestTemplates:            in.RequestTemplates,
		TemplateSelectionExpression: in.TemplateSelectionExpression,
		TimeoutInMillis:             in.TimeoutInMillis,
		ConnectionID:                in.ConnectionId,
		CredentialsARN:              in.CredentialsArn,
		Subtype:                     in.IntegrationSubtype,
		ResponseParameters:          given(in.ResponseParameters),
		TLSConfig:                   given(in.TlsConfig),
	}
}

func integration(i *apigw.Integration) integrationOutput {
	out := integrationOutput{
		ConnectionId:                i.ConnectionID,
		ConnectionType:              i.ConnectionType,
		ContentHandlingStrategy:     i.ContentHandlingStrategy,
		CredentialsArn:              i.CredentialsARN,
		Description:                 i.Description,
		IntegrationId:               i.ID,
		IntegrationMethod:           i.Method,
		IntegrationType:             string(i.Type),
		IntegrationUri:              i.URI,
		PassthroughBehavior:         string(i.PassthroughBehavior),
		PayloadFormatVersion:        i.PayloadFormatVersion,
		RequestParameters:           i.RequestParameters,
		RequestTemplates:            i.RequestTemplates,
		TemplateSelectionExpression: i.TemplateSelectionExpression,
		TimeoutInMillis:             i.Timeout.Milliseconds(),
	}
	switch {
	case i.Type == apigw.IntegrationAWS && i.CallsFunction():
		out.IntegrationResponseSelectionExpression = "${integration.response.body.errorMessage}"
	case i.Type == apigw.IntegrationAWS, i.Type == apigw.IntegrationHTTP, i.Type == apigw.IntegrationMock:
		out.IntegrationResponseSelectionExpression = "${integration.response.statuscode}"
	}
	if i.Type == apigw.IntegrationMock {
		out.ResponseParameters = map[string]map[string]string{}
	}
	return out
}

func (f *face) integrations() {
	const all, one = "/v2/apis/{apiId}/integrations", "/v2/apis/{apiId}/integrations/{id}"
	f.on("POST", all, 201, func(c *awshttp.Call) (any, error) {
		var in integrationInput
		if err := decode(c, &in); err != nil {
			return nil, err
		}
		i, err := f.service.CreateIntegration(c.Context(), apiID(c), in.domain())
		if err != nil {
			return nil, err
		}
		return integration(i), nil
	})
	f.on("GET", all, 200, func(c *awshttp.Call) (any, error) {
		integrations, err := f.service.Integrations(c.Context(), apiID(c))
		if err != nil {
			return nil, err
		}
		return page(c, integrations, func(i *apigw.Integration) string { return i.ID }, integration)
	})
	f.on("GET", one, 200, func(c *awshttp.Call) (any, error) {
		i, err := f.service.Integration(c.Context(), apiID(c), childID(c))
		if err != nil {
			return nil, err
		}
		return integration(i), nil
	})
	f.on("PATCH", one, 200, func(c *awshttp.Call) (any, error) {
		var in integrationInput
		if err := decode(c, &in); err != nil {
			return nil, err
		}
		i, err := f.service.UpdateIntegration(c.Context(), apiID(c), childID(c), in.domain())
		if err != nil {
			return nil, err
		}
		return integration(i), nil
	})
	f.on("DELETE", one, 204, func(c *awshttp.Call) (any, error) {
		return nil, f.service.DeleteIntegration(c.Context(), apiID(c), childID(c))
	})
}
