package control

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"tidegate/internal/apigw"
)

const (
	// maxDeployments bounds an API's deployments. AWS documents no number;
	// Tidegate's own keeps an API's record small.
	maxDeployments = 300
	// keptAutoDeployments is how many deployments of auto-deploy stay when no
	// stage uses them.
	keptAutoDeployments = 10
)

// statusDeployed is the status of every deployment here: one that doesn't
// compile isn't made.
const statusDeployed = "DEPLOYED"

// A DeploymentInput is what CreateDeployment and UpdateDeployment are given; a
// nil member was left out.
type DeploymentInput struct {
	Description *string
	StageName   *string // create only: the stage that is to serve it
}

// freeze returns what a deployment freezes of the API, in a fixed order.
func freeze(api *apigw.API) *apigw.Definition {
	return &apigw.Definition{
		APIID:                     api.ID,
		RouteSelectionExpression:  api.RouteSelectionExpression,
		APIKeySelectionExpression: api.APIKeySelectionExpression,
		DisableExecuteAPIEndpoint: api.DisableExecuteAPIEndpoint, // WS-09-094
		Routes:                    sorted(api.Routes),
		Integrations:              sorted(api.Integrations),
		Models:                    sorted(api.Models),
		Authorizers:               sorted(api.Authorizers),
	}
}

// check compiles the definition for a stage, or for none when st is nil. A
// definition whose URIs or roles hold stage variables is compiled only once its
// stage is known.
func (s *Service) check(def *apigw.Definition, st *apigw.Stage) error {
	if st == nil {
		if slices.ContainsFunc(def.Integrations, func(i *apigw.Integration) bool {
			return strings.Contains(i.URI+" "+i.CredentialsARN, "stageVariables.") // WS-03-022, WS-03-088
		}) ||
			slices.ContainsFunc(def.Authorizers, func(a *apigw.Authorizer) bool { return strings.Contains(a.URI, "stageVariables.") }) {
			return nil
		}
		st = &apigw.Stage{}
	}
	if err := s.config.Check(def, st); err != nil {
		return badRequest("Unable to deploy API: %v", err)
	}
	return nil
}

// CreateDeployment freezes the API's definition, and lets the named stage serve
// it.
func (s *Service) CreateDeployment(ctx context.Context, apiID string, in DeploymentInput) (*apigw.Deployment, error) {
	if err := checkText("Description", in.Description, 0, 1024); err != nil {
		return nil, err
	}
	var out *apigw.Deployment
	revision, stale, err := s.swap(ctx, apiID, func(api *apigw.API) (string, []string, error) {
		if len(api.Routes) == 0 {
			return "", nil, badRequest("At least one route is required before deploying the Api") // WS-09-078
		}
		if len(api.Deployments) >= maxDeployments {
			return "", nil, exceeded("Deployments", "API")
		}
		out = &apigw.Deployment{ID: freshID(api.Deployments, deploymentIDLength), Status: statusDeployed, Created: s.now()}
		set(&out.Description, in.Description)
		var st *apigw.Stage
		if in.StageName != nil && *in.StageName != "" { // WS-09-079
			var err error
			if st, err = findStage(api, apigw.StageName(*in.StageName)); err != nil {
				return "", nil, err
			}
			if st.AutoDeploy {
				return "", nil, autoDeployOwns(st)
			}
			st.DeploymentID, st.Updated = out.ID, s.now()
		}
		def := freeze(api)
		if err := s.check(def, st); err != nil {
			return "", nil, err
		}
		put(&api.Deployments, out.ID, out)
		return out.ID, nil, s.config.Catalog.PutDefinition(ctx, api.ID, out.ID, def)
	})
	if err != nil {
		return nil, err
	}
	s.discard(ctx, apiID, stale)
	s.applied(ctx, apiID, revision)
	return out, nil
}

// autoDeployOwns refuses to set the deployment of a stage with auto-deploy, in
// AWS's words.
func autoDeployOwns(st *apigw.Stage) error {
	return badRequest("Deployment ID cannot be set on this stage %s because AutoDeploy is enabled", st.Name)
}

// autoDeployed returns the stages with auto-deploy, sorted by name.
func autoDeployed(api *apigw.API) []*apigw.Stage {
	return slices.DeleteFunc(sorted(api.Stages), func(st *apigw.Stage) bool { return !st.AutoDeploy })
}

// autoDeploy freezes the API for the stages and returns the new deployment and
// those that are no longer kept. Where nothing can be deployed the stages stay
// at what they serve, and their status says why; if the definition doesn't
// compile that is so only when tolerant, else it is an error.
func (s *Service) autoDeploy(ctx context.Context, api *apigw.API, stages []*apigw.Stage, tolerant bool) (made string, stale []string, err error) {
	if len(stages) == 0 {
		return "", nil, nil
	}
	failed := func(why string) {
		for _, st := range stages {
			st.LastDeploymentStatus = "Deployment attempt failed: " + why
		}
	}
	if len(api.Routes) == 0 {
		failed("Unable to deploy API because no routes exist in this API") // WS-09-092, WS-09-093
		return "", nil, nil
	}
	def := freeze(api)
	id := freshID(api.Deployments, deploymentIDLength)
	for _, st := range stages {
		next := *st
		next.DeploymentID = id
		if err := s.check(def, &next); err != nil {
			if !tolerant {
				return "", nil, err
			}
			failed(err.Error())
			return "", nil, nil
		}
	}
	now := s.now()
	put(&api.Deployments, id, &apigw.Deployment{
		ID: id, AutoDeployed: true, Status: statusDeployed, Created: now, // WS-09-090
		Description: "Automatic deployment triggered by changes to the Api configuration",
	})
	for _, st := range stages {
		st.DeploymentID, st.Updated = id, now
		st.LastDeploymentStatus = "Successfully deployed stage with deployment ID '" + id + "'"
	}
	stale = prune(api)
	return id, stale, s.config.Catalog.PutDefinition(ctx, api.ID, id, def)
}

// prune forgets the oldest deployments that auto-deploy made and no stage
// serves, and returns their ids: each change makes one.
func prune(api *apigw.API) []string {
	var unused []*apigw.Deployment
	for _, d := range api.Deployments {
		if d.AutoDeployed && len(servedBy(api, d.ID)) == 0 {
			unused = append(unused, d)
		}
	}
	slices.SortFunc(unused, func(a, b *apigw.Deployment) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	var stale []string
	for _, d := range unused[:max(0, len(unused)-keptAutoDeployments)] {
		delete(api.Deployments, d.ID)
		stale = append(stale, d.ID)
	}
	return stale
}

// servedBy returns the stages that serve the deployment.
func servedBy(api *apigw.API, deploymentID string) []*apigw.Stage {
	return slices.DeleteFunc(sorted(api.Stages), func(st *apigw.Stage) bool { return st.DeploymentID != deploymentID })
}

// Deployment returns the API's deployment.
func (s *Service) Deployment(ctx context.Context, apiID, id string) (*apigw.Deployment, error) {
	api, err := s.get(ctx, apiID)
	if err != nil {
		return nil, err
	}
	return findByID(api.Deployments, "Deployment", id)
}

// Deployments returns the API's deployments, sorted by id.
func (s *Service) Deployments(ctx context.Context, apiID string) ([]*apigw.Deployment, error) {
	api, err := s.get(ctx, apiID)
	if err != nil {
		return nil, err
	}
	return sorted(api.Deployments), nil
}

// UpdateDeployment changes the description; what was frozen stays.
func (s *Service) UpdateDeployment(ctx context.Context, apiID, id string, in DeploymentInput) (*apigw.Deployment, error) {
	if err := checkText("Description", in.Description, 0, 1024); err != nil {
		return nil, err
	}
	var out *apigw.Deployment
	err := s.change(ctx, apiID, notFrozen, func(api *apigw.API) error {
		var err error
		if out, err = findByID(api.Deployments, "Deployment", id); err != nil {
			return err
		}
		set(&out.Description, in.Description)
		return nil
	})
	return out, err
}

// DeleteDeployment removes the deployment, unless a stage serves it.
func (s *Service) DeleteDeployment(ctx context.Context, apiID, id string) error {
	revision, stale, err := s.swap(ctx, apiID, func(api *apigw.API) (string, []string, error) {
		if _, err := findByID(api.Deployments, "Deployment", id); err != nil {
			return "", nil, err
		}
		if len(servedBy(api, id)) > 0 {
			return "", nil, badRequest("Active stages pointing to this deployment must be moved or deleted") // WS-09-086
		}
		delete(api.Deployments, id)
		return "", []string{id}, nil
	})
	if err != nil {
		return err
	}
	s.discard(ctx, apiID, stale)
	s.applied(ctx, apiID, revision)
	return nil
}
