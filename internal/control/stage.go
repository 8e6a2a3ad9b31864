package control

import (
	"context"
	"fmt"
	"maps"
	"math"
	"strings"

	"tidegate/internal/apigw"
	"tidegate/internal/pattern"
	"tidegate/internal/stage"
)

// reservedStagePrefix begins Tidegate's own paths, which lie where stages do.
const reservedStagePrefix = "_tidegate"

var (
	stageName          = pattern.New(`^[A-Za-z0-9_-]{1,128}$`)
	stageVariableName  = pattern.New(`^[A-Za-z0-9_]{1,64}$`)
	stageVariableValue = pattern.New(`^[A-Za-z0-9._~:/?#&=,-]{0,512}$`)
)

// A StageInput is what CreateStage and UpdateStage are given; a nil member was
// left out.
type StageInput struct {
	Name                 *string // create only, required
	Description          *string
	DeploymentID         *string
	AutoDeploy           *bool
	Variables            map[string]string // merged on update; "" removes a key
	DefaultRouteSettings *RouteSettingsInput
	RouteSettings        map[apigw.RouteKey]RouteSettingsInput
	AccessLog            *AccessLogInput
	Tags                 map[string]string // create only

	ClientCertificateID *string // refused
}

// A RouteSettingsInput is what is given of a route's settings.
type RouteSettingsInput struct {
	DataTraceEnabled       *bool
	DetailedMetricsEnabled *bool
	LoggingLevel           *string
	ThrottlingBurstLimit   *int
	ThrottlingRateLimit    *float64
}

// An AccessLogInput is what is given of a stage's access log settings.
type AccessLogInput struct {
	DestinationARN *string
	Format         *string
}

func (in *StageInput) check() error {
	if in.ClientCertificateID != nil && *in.ClientCertificateID != "" {
		return unserved("ClientCertificateId", "backends are called without client certificates")
	}
	if err := checkText("Description", in.Description, 0, 1024); err != nil {
		return err
	}
	for k, v := range in.Variables {
		if !stageVariableName.MatchString(k) {
			return badRequest("Invalid stage variable name %q: 1 to 64 characters of [A-Za-z0-9_]", cut(k))
		}
		if !stageVariableValue.MatchString(v) {
			return badRequest("Invalid stage variable value: %s must be at most 512 characters of [A-Za-z0-9-._~:/?#&=,]", k)
		}
	}
	if in.DefaultRouteSettings != nil {
		if err := in.DefaultRouteSettings.check(); err != nil {
			return err
		}
	}
	for _, settings := range in.RouteSettings {
		if err := settings.check(); err != nil {
			return err
		}
	}
	if in.AccessLog != nil && in.AccessLog.Format != nil && len(*in.AccessLog.Format) > apigw.MaxAccessLogFormat {
		return badRequest("the format of the access log has %d bytes; at most %d fit", len(*in.AccessLog.Format), apigw.MaxAccessLogFormat)
	}
	if in.AccessLog != nil {
		return in.AccessLog.check()
	}
	return nil
}

// check refuses a destination that isn't a log group, and a format without
// $context.requestId, which AWS asks for too.
func (in *AccessLogInput) check() error {
	if err := checkText("DestinationArn", in.DestinationARN, 0, 2048); err != nil {
		return err
	}
	if arn := in.DestinationARN; arn != nil && *arn != "" {
		if _, err := stage.LogGroupOf(*arn); err != nil {
			return badRequest("Invalid AccessLogSettings: %v", err)
		}
	}
	if f := in.Format; f != nil && *f != "" && !strings.Contains(*f, "$context.requestId") && !strings.Contains(*f, "$context.extendedRequestId") {
		return badRequest("Invalid AccessLogSettings: the format must contain $context.requestId") // WS-09-063
	}
	return nil
}

func (in *RouteSettingsInput) check() error {
	// The SDKs read it back into 32 bits.
	if b := in.ThrottlingBurstLimit; b != nil && (*b < 0 || *b > math.MaxInt32) {
		return badRequest("ThrottlingBurstLimit must be from 0 to %d", math.MaxInt32)
	}
	// The second comparison is false for NaN, which JSON can't hold anyway.
	if r := in.ThrottlingRateLimit; r != nil && !(*r >= 0) {
		return badRequest("ThrottlingRateLimit must not be negative")
	}
	return checkEnum("LoggingLevel", in.LoggingLevel, "ERROR", "INFO", "OFF")
}

func (in *RouteSettingsInput) apply(rs *apigw.RouteSettings) {
	set(&rs.DataTraceEnabled, in.DataTraceEnabled)
	set(&rs.DetailedMetricsEnabled, in.DetailedMetricsEnabled)
	set(&rs.LoggingLevel, in.LoggingLevel)
	if in.ThrottlingBurstLimit != nil {
		rs.ThrottlingBurstLimit = in.ThrottlingBurstLimit
	}
	if in.ThrottlingRateLimit != nil {
		rs.ThrottlingRateLimit = in.ThrottlingRateLimit
	}
}

// defaultRouteSettings are what a new stage has.
func defaultRouteSettings() apigw.RouteSettings { return apigw.RouteSettings{LoggingLevel: "OFF"} } // WS-09-051

// apply sets what the input names, all but the deployment.
func (in *StageInput) apply(api *apigw.API, st *apigw.Stage) error {
	if in.Description != nil && *in.Description != "" { // AWS doesn't clear it, WS-09-060
		st.Description = *in.Description
	}
	set(&st.AutoDeploy, in.AutoDeploy)
	st.Variables = merge(st.Variables, in.Variables)
	if len(st.Variables) > apigw.MaxStageVariables {
		return exceeded("Stage Variables", "Stage")
	}
	if in.DefaultRouteSettings != nil {
		in.DefaultRouteSettings.apply(&st.DefaultRouteSettings)
	}
	for key, given := range in.RouteSettings {
		if !predefined(key) && !hasRoute(api, key) {
			return notFound("Route", "Unable to find Route by key %s within the provided RouteSettings", cut(string(key))) // WS-09-068
		}
		settings := st.RouteSettings[key] // AWS fills in no logging level here, unlike in the stage's own
		given.apply(&settings)
		put(&st.RouteSettings, key, settings) // WS-09-066
	}
	if in.AccessLog != nil {
		in.AccessLog.apply(&st.AccessLog)
	}
	return nil
}

// apply sets what is given. AWS keeps an ARN without :* at its end, and clears
// nothing: DeleteAccessLogSettings does., WS-09-061
func (in *AccessLogInput) apply(a *apigw.AccessLogSettings) {
	if in.DestinationARN != nil && *in.DestinationARN != "" {
		a.DestinationARN = strings.TrimSuffix(*in.DestinationARN, ":*") // WS-09-062
	}
	if in.Format != nil && *in.Format != "" {
		a.Format = *in.Format
	}
}

// predefined says whether a stage may have settings of the route before the
// API has it, as Terraform's tests show of AWS., WS-09-067
func predefined(key apigw.RouteKey) bool {
	return key == apigw.RouteConnect || key == apigw.RouteDisconnect || key == apigw.RouteDefault
}

func hasRoute(api *apigw.API, key apigw.RouteKey) bool {
	for _, r := range api.Routes {
		if r.Key == key {
			return true
		}
	}
	return false
}

// point lets the stage serve the deployment that the input names, or a new one
// under auto-deploy that has just been switched on, and compiles what it is to
// serve.
func (s *Service) point(ctx context.Context, api *apigw.API, st *apigw.Stage, deploymentID *string, switchedOn bool) (string, []string, error) {
	if deploymentID != nil {
		if st.AutoDeploy {
			return "", nil, autoDeployOwns(st) // WS-09-091
		}
		if _, err := findByID(api.Deployments, "Deployment", *deploymentID); err != nil {
			return "", nil, err
		}
		st.DeploymentID = *deploymentID
	}
	if switchedOn {
		return s.autoDeploy(ctx, api, []*apigw.Stage{st}, false)
	}
	if st.DeploymentID == "" {
		return "", nil, nil
	}
	def, err := s.config.Catalog.Definition(ctx, api.ID, st.DeploymentID)
	if err != nil {
		return "", nil, fmt.Errorf("control: the frozen definition of deployment %s: %v", st.DeploymentID, err)
	}
	return "", nil, s.check(def, st)
}

// checkNew is check for a stage that is to be made.
func (in *StageInput) checkNew() error {
	if in.Name == nil {
		return badRequest("StageName is required")
	}
	name := *in.Name
	if name != string(apigw.RouteDefault) && !stageName.MatchString(name) { // WS-09-055, WS-09-056
		return badRequest("Invalid stage name %q specified: 1 to 128 characters of [A-Za-z0-9_-], or $default", cut(name))
	}
	if strings.HasPrefix(name, reservedStagePrefix) {
		return badRequest("Invalid stage name %q specified: names that begin with %s are Tidegate's own", cut(name), reservedStagePrefix)
	}
	if err := in.check(); err != nil {
		return err
	}
	return checkTags(nil, in.Tags)
}

// newStage returns the stage that checkNew took, without a deployment, in the
// API.
func (s *Service) newStage(api *apigw.API, in *StageInput) (*apigw.Stage, error) {
	name := apigw.StageName(*in.Name)
	if api.Stages[name] != nil {
		return nil, conflict("Stage already exists") // WS-09-053
	}
	if most := s.config.Limits.Stages; len(api.Stages) >= most {
		return nil, exceeded("Stages", "API") // WS-09-074
	}
	now := s.now()
	st := &apigw.Stage{Name: name, DefaultRouteSettings: defaultRouteSettings(), Tags: maps.Clone(in.Tags), Created: now, Updated: now}
	if err := in.apply(api, st); err != nil {
		return nil, err
	}
	put(&api.Stages, st.Name, st)
	return st, nil
}

// CreateStage makes a stage of the API. It serves nothing until it has a
// deployment.
func (s *Service) CreateStage(ctx context.Context, apiID string, in StageInput) (*apigw.Stage, error) {
	if err := in.checkNew(); err != nil {
		return nil, err
	}
	var out *apigw.Stage
	revision, stale, err := s.swap(ctx, apiID, func(api *apigw.API) (string, []string, error) {
		var err error
		if out, err = s.newStage(api, &in); err != nil {
			return "", nil, err
		}
		return s.point(ctx, api, out, in.DeploymentID, out.AutoDeploy)
	})
	return s.stageWritten(ctx, apiID, out, revision, stale, err)
}

// UpdateStage changes what the input names.
func (s *Service) UpdateStage(ctx context.Context, apiID string, name apigw.StageName, in StageInput) (*apigw.Stage, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	var out *apigw.Stage
	revision, stale, err := s.swap(ctx, apiID, func(api *apigw.API) (string, []string, error) {
		var err error
		if out, err = findStage(api, name); err != nil {
			return "", nil, err
		}
		before := out.AutoDeploy
		if err := in.apply(api, out); err != nil {
			return "", nil, err
		}
		out.Updated = s.now()
		return s.point(ctx, api, out, in.DeploymentID, out.AutoDeploy && !before)
	})
	return s.stageWritten(ctx, apiID, out, revision, stale, err)
}

// stageWritten ends a write of a stage.
func (s *Service) stageWritten(ctx context.Context, apiID string, st *apigw.Stage, revision uint64, stale []string, err error) (*apigw.Stage, error) {
	if err != nil {
		return nil, err
	}
	s.discard(ctx, apiID, stale)
	s.applied(ctx, apiID, revision)
	return st, nil
}

// Stage returns the API's stage.
func (s *Service) Stage(ctx context.Context, apiID string, name apigw.StageName) (*apigw.Stage, error) {
	api, err := s.get(ctx, apiID)
	if err != nil {
		return nil, err
	}
	return findStage(api, name)
}

// Stages returns the API's stages, sorted by name.
func (s *Service) Stages(ctx context.Context, apiID string) ([]*apigw.Stage, error) {
	api, err := s.get(ctx, apiID)
	if err != nil {
		return nil, err
	}
	return sorted(api.Stages), nil
}

// DeleteStage removes the stage, unless a custom domain leads to it; its clients
// are closed.
func (s *Service) DeleteStage(ctx context.Context, apiID string, name apigw.StageName) error {
	s.domains.Lock()
	defer s.domains.Unlock()
	if err := s.unmapped(ctx, apiID, name); err != nil {
		return err
	}
	return s.change(ctx, apiID, notFrozen, func(api *apigw.API) error {
		_, err := findStage(api, name)
		delete(api.Stages, name)
		return err
	})
}

// DeleteRouteSettings removes the stage's settings of one route.
func (s *Service) DeleteRouteSettings(ctx context.Context, apiID string, name apigw.StageName, key apigw.RouteKey) error {
	return s.changeStage(ctx, apiID, name, func(st *apigw.Stage) error {
		if _, ok := st.RouteSettings[key]; !ok {
			return notFound("RouteSettings", "Invalid RouteSettings identifier specified %s", cut(string(key)))
		}
		delete(st.RouteSettings, key) // WS-09-065
		return nil
	})
}

// DeleteAccessLogSettings removes the stage's access log settings; none are no
// error.
func (s *Service) DeleteAccessLogSettings(ctx context.Context, apiID string, name apigw.StageName) error {
	return s.changeStage(ctx, apiID, name, func(st *apigw.Stage) error {
		st.AccessLog = apigw.AccessLogSettings{}
		return nil
	})
}

func (s *Service) changeStage(ctx context.Context, apiID string, name apigw.StageName, fn func(*apigw.Stage) error) error {
	return s.change(ctx, apiID, notFrozen, func(api *apigw.API) error {
		st, err := findStage(api, name)
		if err != nil {
			return err
		}
		st.Updated = s.now()
		return fn(st)
	})
}
