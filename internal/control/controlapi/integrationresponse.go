package controlapi

import (
	"tidegate/internal/apigw"
	"tidegate/internal/awshttp"
	"tidegate/internal/control"
)

// integrationResponseOutput is AWS's IntegrationResponse.
type integrationResponseOutput struct {
	ContentHandlingStrategy     string            `json:"contentHandlingStrategy,omitempty"`
	IntegrationResponseId       string            `json:"integrationResponseId"`
	IntegrationResponseKey      string            `json:"integrationResponseKey"`
	ResponseParameters          map[string]string `json:"responseParameters"`
	ResponseTemplates           map[string]string `json:"responseTemplates"`
	TemplateSelectionExpression string            `json:"templateSelectionExpression,omitempty"`
}

// integrationResponseInput is the body of CreateIntegrationResponse and
// UpdateIntegrationResponse.
type integrationResponseInput struct {
	ContentHandlingStrategy     *string           `json:"contentHandlingStrategy"`
	IntegrationResponseKey      *string           `json:"integrationResponseKey"`
	ResponseParameters          map[string]string `json:"responseParameters"`
	ResponseTemplates           map[string]string `json:"responseTemplates"`
	TemplateSelectionExpression *string           `json:"templateSelectionExpression"`
}

func (in *integrationResponseInput) domain() control.IntegrationResponseInput {
	return control.IntegrationResponseInput{
		Key:                         in.IntegrationResponseKey,
		ContentHandlingStrategy:     in.ContentHandlingStrategy,
		ResponseParameters:          in.ResponseParameters,
		ResponseTemplates:           in.ResponseTemplates,
		TemplateSelectionExpression: in.TemplateSelectionExpression,
	}
}

func integrationResponse(r *apigw.IntegrationResponse) integrationResponseOutput {
	return integrationResponseOutput{
		ContentHandlingStrategy:     r.ContentHandlingStrategy,
		IntegrationResponseId:       r.ID,
		IntegrationResponseKey:      r.Key,
		ResponseParameters:          orEmpty(r.ResponseParameters),
		ResponseTemplates:           orEmpty(r.ResponseTemplates),
		TemplateSelectionExpression: r.TemplateSelectionExpression,
	}
}

func (f *face) integrationResponses() {
	const all = "/v2/apis/{apiId}/integrations/{parent}/integrationresponses"
	const one = all + "/{id}"
	f.on("POST", all, 201, func(c *awshttp.Call) (any, error) {
		var in integrationResponseInput
		if err := decode(c, &in); err != nil {
			return nil, err
		}
		r, err := f.service.CreateIntegrationResponse(c.Context(), apiID(c), parentID(c), in.domain())
		if err != nil {
			return nil, err
		}
		return integrationResponse(r), nil
	})
	f.on("GET", all, 200, func(c *awshttp.Call) (any, error) {
		responses, err := f.service.IntegrationResponses(c.Context(), apiID(c), parentID(c))
		if err != nil {
			return nil, err
		}
		return page(c, responses, func(r *apigw.IntegrationResponse) string { return r.ID }, integrationResponse)
	})
	f.on("GET", one, 200, func(c *awshttp.Call) (any, error) {
		r, err := f.service.IntegrationResponse(c.Context(), apiID(c), parentID(c), childID(c))
		if err != nil {
			return nil, err
		}
		return integrationResponse(r), nil
	})
	f.on("PATCH", one, 200, func(c *awshttp.Call) (any, error) {
		var in integrationResponseInput
		if err := decode(c, &in); err != nil {
			return nil, err
		}
		r, err := f.service.UpdateIntegrationResponse(c.Context(), apiID(c), parentID(c), childID(c), in.domain())
		if err != nil {
			return nil, err
		}
		return integrationResponse(r), nil
	})
	f.on("DELETE", one, 204, func(c *awshttp.Call) (any, error) {
		return nil, f.service.DeleteIntegrationResponse(c.Context(), apiID(c), parentID(c), childID(c))
	})
}
