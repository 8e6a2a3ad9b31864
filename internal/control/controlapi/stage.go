package controlapi

import (
	"tidegate/internal/apigw"
	"tidegate/internal/awshttp"
	"tidegate/internal/control"
)

// accessLogSettings is AWS's AccessLogSettings.
type accessLogSettings struct {
	DestinationArn *string `json:"destinationArn,omitempty"`
	Format         *string `json:"format,omitempty"`
}

// routeSettings is AWS's RouteSettings, in both directions.
type routeSettings struct {
	DataTraceEnabled       *bool    `json:"dataTraceEnabled,omitempty"`
	DetailedMetricsEnabled *bool    `json:"detailedMetricsEnabled,omitempty"`
	LoggingLevel           *string  `json:"loggingLevel,omitempty"`
	ThrottlingBurstLimit   *int     `json:"throttlingBurstLimit,omitempty"`
	ThrottlingRateLimit    *float64 `json:"throttlingRateLimit,omitempty"`
}

func (in *routeSettings) domain() control.RouteSettingsInput {
	return control.RouteSettingsInput{
		DataTraceEnabled:       in.DataTraceEnabled,
		DetailedMetricsEnabled: in.DetailedMetricsEnabled,
		LoggingLevel:           in.LoggingLevel,
		ThrottlingBurstLimit:   in.ThrottlingBurstLimit,
		ThrottlingRateLimit:    in.ThrottlingRateLimit,
	}
}

func wireSettings(rs apigw.RouteSettings) routeSettings {
	return routeSettings{
		DataTraceEnabled:       &rs.DataTraceEnabled,
		DetailedMetricsEnabled: &rs.DetailedMetricsEnabled,
		LoggingLevel:           filled(rs.LoggingLevel),
		ThrottlingBurstLimit:   rs.ThrottlingBurstLimit,
		ThrottlingRateLimit:    rs.ThrottlingRateLimit,
	}
}

// stageOutput is AWS's Stage.
type stageOutput struct {
	AccessLogSettings           *accessLogSettings       `json:"accessLogSettings,omitempty"`
	AutoDeploy                  bool                     `json:"autoDeploy"`
	CreatedDate                 string                   `json:"createdDate"`
	DefaultRouteSettings        routeSettings            `json:"defaultRouteSettings"`
	DeploymentId                string                   `json:"deploymentId,omitempty"`
	Description                 string                   `json:"description,omitempty"`
	LastDeploymentStatusMessage string                   `json:"lastDeploymentStatusMessage,omitempty"`
	LastUpdatedDate             string                   `json:"lastUpdatedDate"`
	RouteSettings               map[string]routeSettings `json:"routeSettings"`
	StageName                   string                   `json:"stageName"`
	StageVariables              map[string]string        `json:"stageVariables"`
	Tags                        map[string]string        `json:"tags"`
}

// stageInput is the body of CreateStage and UpdateStage.
type stageInput struct {
	AccessLogSettings    *accessLogSettings       `json:"accessLogSettings"`
	AutoDeploy           *bool                    `json:"autoDeploy"`
	ClientCertificateId  *string                  `json:"clientCertificateId"`
	DefaultRouteSettings *routeSettings           `json:"defaultRouteSettings"`
	DeploymentId         *string                  `json:"deploymentId"`
	Description          *string                  `json:"description"`
	RouteSettings        map[string]routeSettings `json:"routeSettings"`
	StageName            *string                  `json:"stageName"`
	StageVariables       map[string]string        `json:"stageVariables"`
	Tags                 map[string]string        `json:"tags"`
}

func (in *stageInput) domain() control.StageInput {
	out := control.StageInput{
		Name:                in.StageName,
		Description:         in.Description,
		DeploymentID:        in.DeploymentId,
		AutoDeploy:          in.AutoDeploy,
		Variables:           in.StageVariables,
		Tags:                in.Tags,
		ClientCertificateID: in.ClientCertificateId,
	}
	if in.DefaultRouteSettings != nil {
		settings := in.DefaultRouteSettings.domain()
		out.DefaultRouteSettings = &settings
	}
	if len(in.RouteSettings) > 0 {
		out.RouteSettings = make(map[apigw.RouteKey]control.RouteSettingsInput, len(in.RouteSettings))
		for key, settings := range in.RouteSettings {
			out.RouteSettings[apigw.RouteKey(key)] = settings.domain()
		}
	}
	if a := in.AccessLogSettings; a != nil {
		out.AccessLog = &control.AccessLogInput{DestinationARN: a.DestinationArn, Format: a.Format}
	}
	return out
}

func stage(st *apigw.Stage) stageOutput {
	out := stageOutput{
		AutoDeploy:                  st.AutoDeploy,
		CreatedDate:                 timestamp(st.Created),
		DefaultRouteSettings:        wireSettings(st.DefaultRouteSettings),
		DeploymentId:                st.DeploymentID,
		Description:                 st.Description,
		LastDeploymentStatusMessage: st.LastDeploymentStatus,
		LastUpdatedDate:             timestamp(st.Updated),
		RouteSettings:               make(map[string]routeSettings, len(st.RouteSettings)),
		StageName:                   string(st.Name),
		StageVariables:              orEmpty(st.Variables),
		Tags:                        orEmpty(st.Tags),
	}
	for key, settings := range st.RouteSettings {
		out.RouteSettings[string(key)] = wireSettings(settings)
	}
	if st.AccessLog != (apigw.AccessLogSettings{}) {
		out.AccessLogSettings = &accessLogSettings{DestinationArn: filled(st.AccessLog.DestinationARN), Format: filled(st.AccessLog.Format)}
	}
	return out
}

// filled returns nil for an empty text, so that the member is left out.
func filled(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func stageName(c *awshttp.Call) apigw.StageName {
	return apigw.StageName(c.Request.PathValue("stage"))
}

func (f *face) stages() {
	const all, one = "/v2/apis/{apiId}/stages", "/v2/apis/{apiId}/stages/{stage}"
	f.on("POST", all, 201, func(c *awshttp.Call) (any, error) {
		var in stageInput
		if err := decode(c, &in); err != nil {
			return nil, err
		}
		st, err := f.service.CreateStage(c.Context(), apiID(c), in.domain())
		if err != nil {
			return nil, err
		}
		return stage(st), nil
	})
	f.on("GET", all, 200, func(c *awshttp.Call) (any, error) {
		stages, err := f.service.Stages(c.Context(), apiID(c))
		if err != nil {
			return nil, err
		}
		return page(c, stages, func(st *apigw.Stage) string { return string(st.Name) }, stage)
	})
	f.on("GET", one, 200, func(c *awshttp.Call) (any, error) {
		st, err := f.service.Stage(c.Context(), apiID(c), stageName(c))
		if err != nil {
			return nil, err
		}
		return stage(st), nil
	})
	f.on("PATCH", one, 200, func(c *awshttp.Call) (any, error) {
		var in stageInput
		if err := decode(c, &in); err != nil {
			return nil, err
		}
		st, err := f.service.UpdateStage(c.Context(), apiID(c), stageName(c), in.domain())
		if err != nil {
			return nil, err
		}
		return stage(st), nil
	})
	f.on("DELETE", one, 204, func(c *awshttp.Call) (any, error) {
		return nil, f.service.DeleteStage(c.Context(), apiID(c), stageName(c))
	})
	f.on("DELETE", one+"/accesslogsettings", 204, func(c *awshttp.Call) (any, error) {
		return nil, f.service.DeleteAccessLogSettings(c.Context(), apiID(c), stageName(c))
	})
	f.on("DELETE", one+"/routesettings/{key}", 204, func(c *awshttp.Call) (any, error) {
		return nil, f.service.DeleteRouteSettings(c.Context(), apiID(c), stageName(c), apigw.RouteKey(c.Request.PathValue("key")))
	})
}
