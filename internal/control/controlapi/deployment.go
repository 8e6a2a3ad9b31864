package controlapi

import (
	"tidegate/internal/apigw"
	"tidegate/internal/awshttp"
	"tidegate/internal/control"
)

// deploymentOutput is AWS's Deployment.
type deploymentOutput struct {
	AutoDeployed            bool   `json:"autoDeployed"`
	CreatedDate             string `json:"createdDate"`
	DeploymentId            string `json:"deploymentId"`
	DeploymentStatus        string `json:"deploymentStatus"`
	DeploymentStatusMessage string `json:"deploymentStatusMessage,omitempty"`
	Description             string `json:"description,omitempty"`
}

// deploymentInput is the body of CreateDeployment and UpdateDeployment.
type deploymentInput struct {
	Description *string `json:"description"`
	StageName   *string `json:"stageName"`
}

func (in *deploymentInput) domain() control.DeploymentInput {
	return control.DeploymentInput{Description: in.Description, StageName: in.StageName}
}

func deployment(d *apigw.Deployment) deploymentOutput {
	return deploymentOutput{
		AutoDeployed:            d.AutoDeployed,
		CreatedDate:             timestamp(d.Created),
		DeploymentId:            d.ID,
		DeploymentStatus:        d.Status,
		DeploymentStatusMessage: d.StatusMessage,
		Description:             d.Description,
	}
}

func (f *face) deployments() {
	const all, one = "/v2/apis/{apiId}/deployments", "/v2/apis/{apiId}/deployments/{id}"
	f.on("POST", all, 201, func(c *awshttp.Call) (any, error) {
		var in deploymentInput
		if err := decode(c, &in); err != nil {
			return nil, err
		}
		d, err := f.service.CreateDeployment(c.Context(), apiID(c), in.domain())
		if err != nil {
			return nil, err
		}
		return deployment(d), nil
	})
	f.on("GET", all, 200, func(c *awshttp.Call) (any, error) {
		deployments, err := f.service.Deployments(c.Context(), apiID(c))
		if err != nil {
			return nil, err
		}
		return page(c, deployments, func(d *apigw.Deployment) string { return d.ID }, deployment)
	})
	f.on("GET", one, 200, func(c *awshttp.Call) (any, error) {
		d, err := f.service.Deployment(c.Context(), apiID(c), childID(c))
		if err != nil {
			return nil, err
		}
		return deployment(d), nil
	})
	f.on("PATCH", one, 200, func(c *awshttp.Call) (any, error) {
		var in deploymentInput
		if err := decode(c, &in); err != nil {
			return nil, err
		}
		d, err := f.service.UpdateDeployment(c.Context(), apiID(c), childID(c), in.domain())
		if err != nil {
			return nil, err
		}
		return deployment(d), nil
	})
	f.on("DELETE", one, 204, func(c *awshttp.Call) (any, error) {
		return nil, f.service.DeleteDeployment(c.Context(), apiID(c), childID(c))
	})
}
