package controlapi

import (
	"tidegate/internal/apigw"
	"tidegate/internal/awshttp"
	"tidegate/internal/control"
)

// modelOutput is AWS's Model.
type modelOutput struct {
	ContentType string `json:"contentType"`
	Description string `json:"description,omitempty"`
	ModelId     string `json:"modelId"`
	Name        string `json:"name"`
	Schema      string `json:"schema"`
}

// modelInput is the body of CreateModel and UpdateModel.
type modelInput struct {
	ContentType *string `json:"contentType"`
	Description *string `json:"description"`
	Name        *string `json:"name"`
	Schema      *string `json:"schema"`
}

// modelTemplateOutput is the answer of GetModelTemplate.
type modelTemplateOutput struct {
	Value string `json:"value"`
}

func (in *modelInput) domain() control.ModelInput {
	return control.ModelInput{Name: in.Name, ContentType: in.ContentType, Description: in.Description, Schema: in.Schema}
}

func model(m *apigw.Model) modelOutput {
	return modelOutput{ContentType: m.ContentType, Description: m.Description, ModelId: m.ID, Name: m.Name, Schema: m.Schema}
}

func (f *face) models() {
	const all, one = "/v2/apis/{apiId}/models", "/v2/apis/{apiId}/models/{id}"
	f.on("POST", all, 201, func(c *awshttp.Call) (any, error) {
		var in modelInput
		if err := decode(c, &in); err != nil {
			return nil, err
		}
		m, err := f.service.CreateModel(c.Context(), apiID(c), in.domain())
		if err != nil {
			return nil, err
		}
		return model(m), nil
	})
	f.on("GET", all, 200, func(c *awshttp.Call) (any, error) {
		models, err := f.service.Models(c.Context(), apiID(c))
		if err != nil {
			return nil, err
		}
		return page(c, models, func(m *apigw.Model) string { return m.ID }, model)
	})
	f.on("GET", one, 200, func(c *awshttp.Call) (any, error) {
		m, err := f.service.Model(c.Context(), apiID(c), childID(c))
		if err != nil {
			return nil, err
		}
		return model(m), nil
	})
	f.on("PATCH", one, 200, func(c *awshttp.Call) (any, error) {
		var in modelInput
		if err := decode(c, &in); err != nil {
			return nil, err
		}
		m, err := f.service.UpdateModel(c.Context(), apiID(c), childID(c), in.domain())
		if err != nil {
			return nil, err
		}
		return model(m), nil
	})
	f.on("DELETE", one, 204, func(c *awshttp.Call) (any, error) {
		return nil, f.service.DeleteModel(c.Context(), apiID(c), childID(c))
	})
	f.on("GET", one+"/template", 200, func(c *awshttp.Call) (any, error) {
		text, err := f.service.ModelTemplate(c.Context(), apiID(c), childID(c))
		if err != nil {
			return nil, err
		}
		return modelTemplateOutput{Value: text}, nil
	})
}
