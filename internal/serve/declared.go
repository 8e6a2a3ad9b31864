package serve

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"tidegate/internal/apigw"
	"tidegate/internal/config"
	"tidegate/internal/control"
)

// declaredAPIs are the configuration's APIs in the control plane's words.
func declaredAPIs(c *config.Config) []control.DeclaredAPI {
	all := make([]control.DeclaredAPI, len(c.APIs))
	for i := range c.APIs {
		all[i] = declaredAPI(c, &c.APIs[i])
	}
	return all
}

func declaredAPI(c *config.Config, a *config.API) control.DeclaredAPI {
	d := control.DeclaredAPI{ID: a.ID, File: c.Path(), Place: a.Place.String(), API: control.APIInput{
		Name: &a.Name, Description: a.Description, Version: a.Version,
		RouteSelectionExpression: a.RouteSelectionExpression, APIKeySelectionExpression: a.APIKeySelectionExpression,
		DisableExecuteAPIEndpoint: a.DisableExecuteAPIEndpoint,
	}}
	for _, name := range slices.Sorted(maps.Keys(a.Models)) {
		m := a.Models[name]
		d.Models = append(d.Models, control.DeclaredModel{Place: m.Place.String(), Input: control.ModelInput{Name: &name, ContentType: m.ContentType, Description: m.Description, Schema: &m.Schema}})
	}
	ids := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(a.Integrations)) {
		i := a.Integrations[name]
		ids[name] = true
		d.Integrations = append(d.Integrations, declaredIntegration(name, &i))
	}
	for i := range a.Routes {
		r := &a.Routes[i]
		target := r.Target
		if r.Integration != nil {
			target = freeID(ids, r.Key)
			d.Integrations = append(d.Integrations, declaredIntegration(target, r.Integration))
		}
		d.Routes = append(d.Routes, declaredRoute(r, target))
	}
	for i := range a.Stages {
		d.Stages = append(d.Stages, declaredStage(c, a.ID, &a.Stages[i]))
	}
	return d
}

// freeID is the id of a route's own integration: its key, in letters that every
// tool takes, and a number where another has it.
func freeID(taken map[string]bool, key string) string {
	base := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return -1
	}, key)
	id := base
	for n := 2; id == "" || taken[id]; n++ {
		id = base + strconv.Itoa(n)
	}
	taken[id] = true
	return id
}

func declaredIntegration(id string, i *config.Integration) control.DeclaredIntegration {
	d := control.DeclaredIntegration{Place: i.Place.String(), ID: id, Input: control.IntegrationInput{
		Type: i.Type, Method: i.Method, URI: i.URI, Description: i.Description, ContentHandlingStrategy: i.ContentHandlingStrategy,
		PassthroughBehavior: i.PassthroughBehavior, RequestParameters: i.RequestParameters, RequestTemplates: i.RequestTemplates,
		TemplateSelectionExpression: i.TemplateSelectionExpression, TimeoutInMillis: i.TimeoutMilliseconds,
	}}
	for _, r := range i.Responses {
		d.Responses = append(d.Responses, control.DeclaredIntegrationResponse{Place: r.Place.String(), Input: control.IntegrationResponseInput{
			Key: r.Key, ContentHandlingStrategy: r.ContentHandlingStrategy, ResponseParameters: r.ResponseParameters,
			ResponseTemplates: r.ResponseTemplates, TemplateSelectionExpression: r.TemplateSelectionExpression,
		}})
	}
	return d
}

func declaredRoute(r *config.Route, target string) control.DeclaredRoute {
	d := control.DeclaredRoute{Place: r.Place.String(), Input: control.RouteInput{
		Key: &r.Key, AuthorizationType: r.AuthorizationType, APIKeyRequired: r.APIKeyRequired, OperationName: r.OperationName,
		ModelSelectionExpression: r.ModelSelectionExpression, RequestModels: r.RequestModels,
		RouteResponseSelectionExpression: r.RouteResponseSelectionExpression,
	}}
	if target != "" {
		target = "integrations/" + target
		d.Input.Target = &target
	}
	if r.RouteResponseKey != nil {
		d.Response = &control.RouteResponseInput{Key: r.RouteResponseKey}
	}
	return d
}

func declaredStage(c *config.Config, apiID string, st *config.Stage) control.DeclaredStage {
	d := control.DeclaredStage{Place: st.Place.String(), Ordered: st.Ordered, Input: control.StageInput{Name: &st.Name, Description: st.Description, Variables: st.Variables}}
	if l := st.AccessLogSettings; l != nil {
		group := "arn:aws:logs:" + c.Region + ":" + c.Account + ":log-group:" + apiID + "/" + st.Name // a name for the lines; there is no such service
		d.Input.AccessLog = &control.AccessLogInput{DestinationARN: &group, Format: &l.Format}
	}
	if s := st.DefaultRouteSettings; s != nil {
		settings := routeSettings(s)
		d.Input.DefaultRouteSettings = &settings
	}
	for i := range st.RouteSettings {
		s := &st.RouteSettings[i]
		if d.Input.RouteSettings == nil {
			d.Input.RouteSettings = map[apigw.RouteKey]control.RouteSettingsInput{}
		}
		d.Input.RouteSettings[apigw.RouteKey(s.RouteKey)] = routeSettings(s)
	}
	return d
}

func routeSettings(s *config.RouteSettings) control.RouteSettingsInput {
	return control.RouteSettingsInput{ThrottlingBurstLimit: s.ThrottlingBurstLimit, ThrottlingRateLimit: s.ThrottlingRateLimit}
}
