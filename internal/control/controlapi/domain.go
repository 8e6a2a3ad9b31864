package controlapi

import (
	"encoding/json"

	"tidegate/internal/apigw"
	"tidegate/internal/awshttp"
	"tidegate/internal/control"
)

// domainOutput is AWS's DomainName.
type domainOutput struct {
	ApiMappingSelectionExpression string                `json:"apiMappingSelectionExpression"`
	DomainName                    string                `json:"domainName"`
	DomainNameArn                 string                `json:"domainNameArn"`
	DomainNameConfigurations      []domainConfiguration `json:"domainNameConfigurations"`
	RoutingMode                   string                `json:"routingMode"`
	Tags                          map[string]string     `json:"tags"`
}

// domainConfiguration is AWS's DomainNameConfiguration, in both directions.
type domainConfiguration struct {
	ApiGatewayDomainName                string  `json:"apiGatewayDomainName,omitempty"`
	CertificateArn                      *string `json:"certificateArn,omitempty"`
	CertificateName                     *string `json:"certificateName,omitempty"`
	CertificateUploadDate               string  `json:"certificateUploadDate,omitempty"`
	DomainNameStatus                    string  `json:"domainNameStatus,omitempty"`
	DomainNameStatusMessage             string  `json:"domainNameStatusMessage,omitempty"`
	EndpointType                        *string `json:"endpointType,omitempty"`
	HostedZoneId                        string  `json:"hostedZoneId,omitempty"`
	IpAddressType                       *string `json:"ipAddressType,omitempty"`
	OwnershipVerificationCertificateArn *string `json:"ownershipVerificationCertificateArn,omitempty"`
	SecurityPolicy                      *string `json:"securityPolicy,omitempty"`
}

// domainInput is the body of CreateDomainName and UpdateDomainName.
type domainInput struct {
	DomainName               string                `json:"domainName"`
	DomainNameConfigurations []domainConfiguration `json:"domainNameConfigurations"`
	MutualTlsAuthentication  json.RawMessage       `json:"mutualTlsAuthentication"`
	RoutingMode              *string               `json:"routingMode"`
	Tags                     map[string]string     `json:"tags"`
}

func (in *domainInput) domain() control.DomainInput {
	out := control.DomainInput{Name: in.DomainName, RoutingMode: in.RoutingMode, Tags: in.Tags, MutualTLS: given(in.MutualTlsAuthentication)}
	for _, c := range in.DomainNameConfigurations {
		out.Configurations = append(out.Configurations, control.DomainConfigurationInput{
			CertificateARN: c.CertificateArn, CertificateName: c.CertificateName, EndpointType: c.EndpointType,
			IPAddressType: c.IpAddressType, OwnershipARN: c.OwnershipVerificationCertificateArn, SecurityPolicy: c.SecurityPolicy,
		})
	}
	return out
}

func (f *face) domain(d *apigw.Domain) domainOutput {
	endpoint, policy := control.EndpointRegional, control.SecurityTLS12
	return domainOutput{
		ApiMappingSelectionExpression: "$request.basepath",
		DomainName:                    d.Name,
		DomainNameArn:                 f.service.DomainARN(d.Name),
		DomainNameConfigurations: []domainConfiguration{{
			ApiGatewayDomainName:                d.GatewayName,
			CertificateArn:                      &d.Certificate.ARN,
			CertificateName:                     orNil(d.Certificate.Name),
			CertificateUploadDate:               timestamp(d.Certificate.Uploaded),
			DomainNameStatus:                    "AVAILABLE",
			EndpointType:                        &endpoint,
			HostedZoneId:                        control.HostedZone,
			IpAddressType:                       &d.IPAddressType,
			OwnershipVerificationCertificateArn: orNil(d.Certificate.OwnershipARN),
			SecurityPolicy:                      &policy,
		}},
		RoutingMode: control.RoutingMappings,
		Tags:        orEmpty(d.Tags),
	}
}

func orNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func domainName(c *awshttp.Call) string { return c.Request.PathValue("domain") }

func (f *face) domains() {
	const all, one = "/v2/domainnames", "/v2/domainnames/{domain}"
	f.on("POST", all, 201, func(c *awshttp.Call) (any, error) {
		var in domainInput
		if err := decode(c, &in); err != nil {
			return nil, err
		}
		d, err := f.service.CreateDomain(c.Context(), in.domain())
		if err != nil {
			return nil, err
		}
		return f.domain(d), nil
	})
	f.on("GET", all, 200, func(c *awshttp.Call) (any, error) {
		domains, err := f.service.Domains(c.Context())
		if err != nil {
			return nil, err
		}
		return page(c, domains, func(d *apigw.Domain) string { return d.Name }, f.domain)
	})
	f.on("GET", one, 200, func(c *awshttp.Call) (any, error) {
		d, err := f.service.Domain(c.Context(), domainName(c))
		if err != nil {
			return nil, err
		}
		return f.domain(d), nil
	})
	f.on("PATCH", one, 200, func(c *awshttp.Call) (any, error) {
		var in domainInput
		if err := decode(c, &in); err != nil {
			return nil, err
		}
		in.DomainName = domainName(c)
		d, err := f.service.UpdateDomain(c.Context(), in.domain())
		if err != nil {
			return nil, err
		}
		return f.domain(d), nil
	})
	f.on("DELETE", one, 204, func(c *awshttp.Call) (any, error) {
		return nil, f.service.DeleteDomain(c.Context(), domainName(c))
	})
}

// mappingOutput is AWS's ApiMapping.
type mappingOutput struct {
	ApiId         string `json:"apiId"`
	ApiMappingId  string `json:"apiMappingId"`
	ApiMappingKey string `json:"apiMappingKey"`
	Stage         string `json:"stage"`
}

// mappingInput is the body of CreateApiMapping and UpdateApiMapping.
type mappingInput struct {
	ApiId         *string `json:"apiId"`
	ApiMappingKey *string `json:"apiMappingKey"`
	Stage         *string `json:"stage"`
}

func (in *mappingInput) domain() control.MappingInput {
	return control.MappingInput{APIID: in.ApiId, Key: in.ApiMappingKey, Stage: in.Stage}
}

func mapping(m *apigw.APIMapping) mappingOutput {
	return mappingOutput{ApiId: m.APIID, ApiMappingId: m.ID, ApiMappingKey: m.Key, Stage: string(m.Stage)}
}

func (f *face) mappings() {
	const all, one = "/v2/domainnames/{domain}/apimappings", "/v2/domainnames/{domain}/apimappings/{id}"
	f.on("POST", all, 201, func(c *awshttp.Call) (any, error) {
		var in mappingInput
		if err := decode(c, &in); err != nil {
			return nil, err
		}
		m, err := f.service.CreateMapping(c.Context(), domainName(c), in.domain())
		if err != nil {
			return nil, err
		}
		return mapping(m), nil
	})
	f.on("GET", all, 200, func(c *awshttp.Call) (any, error) {
		mappings, err := f.service.Mappings(c.Context(), domainName(c))
		if err != nil {
			return nil, err
		}
		return page(c, mappings, func(m *apigw.APIMapping) string { return m.ID }, mapping)
	})
	f.on("GET", one, 200, func(c *awshttp.Call) (any, error) {
		m, err := f.service.Mapping(c.Context(), domainName(c), childID(c))
		if err != nil {
			return nil, err
		}
		return mapping(m), nil
	})
	f.on("PATCH", one, 200, func(c *awshttp.Call) (any, error) {
		var in mappingInput
		if err := decode(c, &in); err != nil {
			return nil, err
		}
		m, err := f.service.UpdateMapping(c.Context(), domainName(c), childID(c), in.domain())
		if err != nil {
			return nil, err
		}
		return mapping(m), nil
	})
	f.on("DELETE", one, 204, func(c *awshttp.Call) (any, error) {
		return nil, f.service.DeleteMapping(c.Context(), domainName(c), childID(c))
	})
}
