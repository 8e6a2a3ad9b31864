package controlapi

import (
	"tidegate/internal/apigw"
	"tidegate/internal/awshttp"
	"tidegate/internal/control"
)

// vpcLinkOutput is AWS's VpcLink.
type vpcLinkOutput struct {
	CreatedDate      string            `json:"createdDate"`
	Name             string            `json:"name"`
	SecurityGroupIds []string          `json:"securityGroupIds"`
	SubnetIds        []string          `json:"subnetIds"`
	Tags             map[string]string `json:"tags"`
	VpcLinkId        string            `json:"vpcLinkId"`
	VpcLinkStatus    string            `json:"vpcLinkStatus"`
	VpcLinkVersion   string            `json:"vpcLinkVersion"`
}

// vpcLinkInput is the body of CreateVpcLink and UpdateVpcLink.
type vpcLinkInput struct {
	Name             *string           `json:"name"`
	SecurityGroupIds []string          `json:"securityGroupIds"`
	SubnetIds        []string          `json:"subnetIds"`
	Tags             map[string]string `json:"tags"`
}

func (in *vpcLinkInput) domain() control.VPCLinkInput {
	return control.VPCLinkInput{Name: in.Name, SecurityGroupIDs: in.SecurityGroupIds, SubnetIDs: in.SubnetIds, Tags: in.Tags}
}

func vpcLink(l *apigw.VPCLink) vpcLinkOutput {
	out := vpcLinkOutput{
		CreatedDate: timestamp(l.Created), Name: l.Name, SecurityGroupIds: l.SecurityGroupIDs, SubnetIds: l.SubnetIDs,
		Tags: orEmpty(l.Tags), VpcLinkId: l.ID, VpcLinkStatus: "AVAILABLE", VpcLinkVersion: "V2",
	}
	if out.SecurityGroupIds == nil {
		out.SecurityGroupIds = []string{}
	}
	return out
}

func (f *face) vpcLinks() {
	const all, one = "/v2/vpclinks", "/v2/vpclinks/{id}"
	f.on("POST", all, 201, func(c *awshttp.Call) (any, error) {
		var in vpcLinkInput
		if err := decode(c, &in); err != nil {
			return nil, err
		}
		l, err := f.service.CreateVPCLink(c.Context(), in.domain())
		if err != nil {
			return nil, err
		}
		return vpcLink(l), nil
	})
	f.on("GET", all, 200, func(c *awshttp.Call) (any, error) {
		links, err := f.service.VPCLinks(c.Context())
		if err != nil {
			return nil, err
		}
		return page(c, links, func(l *apigw.VPCLink) string { return l.ID }, vpcLink)
	})
	f.on("GET", one, 200, func(c *awshttp.Call) (any, error) {
		l, err := f.service.VPCLink(c.Context(), childID(c))
		if err != nil {
			return nil, err
		}
		return vpcLink(l), nil
	})
	f.on("PATCH", one, 200, func(c *awshttp.Call) (any, error) {
		var in vpcLinkInput
		if err := decode(c, &in); err != nil {
			return nil, err
		}
		l, err := f.service.UpdateVPCLink(c.Context(), childID(c), in.domain())
		if err != nil {
			return nil, err
		}
		return vpcLink(l), nil
	})
	f.on("DELETE", one, 202, func(c *awshttp.Call) (any, error) {
		return struct{}{}, f.service.DeleteVPCLink(c.Context(), childID(c))
	})
}
