package stage

import (
	"fmt"

	"tidegate/internal/apigw"
	"tidegate/internal/mapping"
	"tidegate/internal/model"
	"tidegate/selection"
)

// validation is what a route's messages are held against.
type validation struct {
	expr   *selection.Expr // nil: always $default
	models map[string]*model.Model
}

// compileValidation returns nil for a route without request models. Only
// messages are validated: the other events have no body.
func (c *compiler) compileValidation(r *apigw.Route) (*validation, error) {
	if len(r.RequestModels) == 0 || r.Key == apigw.RouteConnect || r.Key == apigw.RouteDisconnect {
		return nil, nil
	}
	v := &validation{models: make(map[string]*model.Model, len(r.RequestModels))}
	if r.ModelSelectionExpression != "" {
		var err error
		if v.expr, err = selection.Parse(selection.ModelSelection, r.ModelSelectionExpression); err != nil {
			return nil, fmt.Errorf("modelSelectionExpression %q: %w", r.ModelSelectionExpression, err)
		}
	}
	for key, name := range r.RequestModels {
		m := c.models[name]
		if m == nil {
			var err error
			if m, err = c.set.Compile(name); err != nil {
				return nil, fmt.Errorf("request model %q (%q): %w", key, name, err)
			}
			c.models[name] = m
		}
		v.models[key] = m
	}
	return v, nil
}

// Validate holds a message against the model that the route's model selection
// expression selects, or else against the one of $default. The error is a
// *model.Invalid; where no model is selected no message is valid. A route
// without models takes everything.
//
// Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-request-validation.html
func (r *Route) Validate(in *mapping.Input) error {
	if r.validation == nil {
		return nil
	}
	key := []byte(apigw.RouteDefault)
	if r.validation.expr != nil {
		var err error
		if key, err = r.validation.expr.Append(nil, newSource(in)); err != nil {
			key = nil
		}
	}
	m := r.validation.models[string(key)]
	if m == nil {
		m = r.validation.models[string(apigw.RouteDefault)]
	}
	if m == nil {
		return &model.Invalid{Text: fmt.Sprintf("the model selection expression yields %.100q, for which the route has no model, and there is no $default", key)}
	}
	return m.Validate(in.Body)
}

// Validates says whether messages are held against models.
func (r *Route) Validates() bool { return r.validation != nil }
