package stack

import (
	"context"
	"crypto/sha1" // SAM's choice; it protects nothing
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Custom domain names and API mappings. Source: the CloudFormation reference of
// AWS::ApiGatewayV2::DomainName and AWS::ApiGatewayV2::ApiMapping.

const noMutualTLS = "is not supported for WebSocket APIs, on AWS either"

var domainNameType = &resourceType{
	name:       "AWS::ApiGatewayV2::DomainName",
	attributes: []string{"DomainName", "DomainNameArn", "RegionalDomainName", "RegionalHostedZoneId"},
	properties: map[string]property{
		"DomainName": required(replaces(textProperty)),
		"DomainNameConfigurations": required(fields(objects, map[string]property{
			"CertificateArn":                      textProperty,
			"CertificateName":                     textProperty,
			"EndpointType":                        oneOf("REGIONAL", "EDGE"),
			"IpAddressType":                       oneOf("ipv4", "dualstack"),
			"OwnershipVerificationCertificateArn": textProperty,
			"SecurityPolicy":                      oneOf("TLS_1_2", "TLS_1_0"),
		})),
		"MutualTlsAuthentication": {form: anyJSON, notBuilt: noMutualTLS},
		"RoutingMode":             oneOf("API_MAPPING_ONLY", "ROUTING_RULE_ONLY", "ROUTING_RULE_THEN_API_MAPPING"),
		"Tags":                    {form: textMap},
	},
}

var apiMappingType = &resourceType{
	name:       "AWS::ApiGatewayV2::ApiMapping",
	attributes: []string{"ApiMappingId"},
	properties: map[string]property{
		"ApiId":         required(textProperty),
		"ApiMappingKey": textProperty,
		"DomainName":    required(replaces(textProperty)),
		"Stage":         required(textProperty),
	},
}

// checkDomainName reports what a domain of a WebSocket API can't have.
func checkDomainName(res *resource, r *reporter) {
	at := res.propertyPlace("DomainNameConfigurations")
	configurations := res.properties.get("DomainNameConfigurations")
	if configurations == nil || configurations.kind != list {
		return
	}
	if len(configurations.items) != 1 {
		r.errorf(at, "a domain of a WebSocket API has one configuration, REGIONAL, not %d", len(configurations.items))
	}
	for i, c := range configurations.items {
		here := at.index(i)
		if c.kind == object && c.get("CertificateArn") == nil {
			r.errorf(here.at(c), "needs the member CertificateArn; any certificate's will do, since Tidegate serves one of its own")
		}
		if v, _ := c.get("EndpointType").scalar(); v == "EDGE" {
			r.errorf(here.in("EndpointType"), "EDGE is not supported for WebSocket APIs, on AWS either; take REGIONAL")
		}
		if v, _ := c.get("SecurityPolicy").scalar(); v == "TLS_1_0" {
			r.errorf(here.in("SecurityPolicy"), "TLS_1_0 is not supported for WebSocket APIs, on AWS either; take TLS_1_2")
		}
	}
	if v, _ := res.properties.get("RoutingMode").scalar(); v != "" && v != "API_MAPPING_ONLY" {
		r.errorf(res.propertyPlace("RoutingMode"), "%s needs routing rules, which are not built yet; take API_MAPPING_ONLY", v)
	}
}

type domainHandler struct{}

func domainPath(name string, segments ...string) string {
	path := "/v2/domainnames/" + url.PathEscape(name)
	for _, s := range segments {
		path += "/" + url.PathEscape(s)
	}
	return path
}

// domainAnswer is what the operations on domains return.
type domainAnswer struct {
	DomainName, DomainNameARN string
	DomainNameConfigurations  []struct{ APIGatewayDomainName, HostedZoneID string }
}

func (domainHandler) recorded(c *change, answer *domainAnswer) RecordedResource {
	out := c.recorded(answer.DomainName, answer.DomainNameARN)
	out.Attributes["DomainName"], out.Attributes["DomainNameArn"] = answer.DomainName, answer.DomainNameARN
	for _, d := range answer.DomainNameConfigurations {
		out.Attributes["RegionalDomainName"], out.Attributes["RegionalHostedZoneId"] = d.APIGatewayDomainName, d.HostedZoneID
	}
	return out
}

func (h domainHandler) create(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	body := wireObject(c.properties, c.res.schema.properties, true)
	var answer domainAnswer
	err := a.rest(ctx, apiGateway, "CreateDomainName", http.MethodPost, "/v2/domainnames", body, &answer)
	if isConflict(err) {
		// Made by a run that didn't come to record it.
		return h.patch(ctx, a, c, c.get("DomainName"))
	}
	return h.recorded(c, &answer), err
}

func (h domainHandler) update(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	if c.has("Tags") {
		tags, _ := c.properties.get("Tags").plain().(map[string]any)
		if err := a.retag(ctx, c, c.old.ARN, tags); err != nil {
			return RecordedResource{}, err
		}
	}
	return h.patch(ctx, a, c, c.old.PhysicalID)
}

func (h domainHandler) patch(ctx context.Context, a *applier, c *change, name string) (RecordedResource, error) {
	body := wireObject(c.properties, c.res.schema.properties, true, "DomainName", "Tags")
	var answer domainAnswer
	err := a.rest(ctx, apiGateway, "UpdateDomainName", http.MethodPatch, domainPath(name), body, &answer)
	return h.recorded(c, &answer), err
}

func (domainHandler) remove(ctx context.Context, a *applier, old RecordedResource) error {
	return a.rest(ctx, apiGateway, "DeleteDomainName", http.MethodDelete, domainPath(old.PhysicalID), nil, nil)
}

func (domainHandler) exists(ctx context.Context, a *applier, old RecordedResource) (bool, error) {
	return there(a.rest(ctx, apiGateway, "GetDomainName", http.MethodGet, domainPath(old.PhysicalID), nil, nil))
}

type apiMappingHandler struct{}

func (apiMappingHandler) recorded(c *change, domain, id string) RecordedResource {
	out := c.recorded(id, "")
	out.Attributes["ApiMappingId"], out.Details["DomainName"] = id, domain
	return out
}

func (h apiMappingHandler) create(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	domain := c.get("DomainName")
	body := wireObject(c.properties, c.res.schema.properties, true, "DomainName")
	var answer struct{ APIMappingID string }
	err := a.rest(ctx, apiGateway, "CreateApiMapping", http.MethodPost, domainPath(domain, "apimappings"), body, &answer)
	if !isConflict(err) {
		return h.recorded(c, domain, answer.APIMappingID), err
	}
	// Made by a run that didn't come to record it: its key says which it is.
	var page struct {
		Items []struct{ APIMappingID, APIMappingKey string }
	}
	if found := a.rest(ctx, apiGateway, "GetApiMappings", http.MethodGet, domainPath(domain, "apimappings"), nil, &page); found != nil {
		return RecordedResource{}, found
	}
	for _, m := range page.Items {
		if m.APIMappingKey == c.get("ApiMappingKey") {
			return h.patch(ctx, a, c, domain, m.APIMappingID)
		}
	}
	return RecordedResource{}, err
}

func (h apiMappingHandler) update(ctx context.Context, a *applier, c *change) (RecordedResource, error) {
	return h.patch(ctx, a, c, c.old.Details["DomainName"], c.old.PhysicalID)
}

func (h apiMappingHandler) patch(ctx context.Context, a *applier, c *change, domain, id string) (RecordedResource, error) {
	body := wireObject(c.properties, c.res.schema.properties, true, "DomainName")
	if body["apiMappingKey"] == nil {
		body["apiMappingKey"] = "" // it may have had one
	}
	err := a.rest(ctx, apiGateway, "UpdateApiMapping", http.MethodPatch, domainPath(domain, "apimappings", id), body, nil)
	return h.recorded(c, domain, id), err
}

func (apiMappingHandler) remove(ctx context.Context, a *applier, old RecordedResource) error {
	return a.rest(ctx, apiGateway, "DeleteApiMapping", http.MethodDelete, domainPath(old.Details["DomainName"], "apimappings", old.PhysicalID), nil, nil)
}

func (apiMappingHandler) exists(ctx context.Context, a *applier, old RecordedResource) (bool, error) {
	return there(a.rest(ctx, apiGateway, "GetApiMapping", http.MethodGet, domainPath(old.Details["DomainName"], "apimappings", old.PhysicalID), nil, nil))
}

// samDomain are the members of Domain of a WebSocketApi.
var samDomain = map[string]property{
	"BasePath":                            {form: anyJSON},
	"CertificateArn":                      required(property{form: anyJSON}),
	"DomainName":                          required(property{form: anyJSON}),
	"EndpointConfiguration":               oneOf("REGIONAL"),
	"IpAddressType":                       {form: anyJSON},
	"MutualTlsAuthentication":             {form: anyJSON, notBuilt: noMutualTLS},
	"OwnershipVerificationCertificateArn": {form: anyJSON},
	"Route53":                             noEffect(anyJSON, "no name server is told: have the name resolve to this machine, in the hosts file"),
	"SecurityPolicy":                      {form: anyJSON},
}

// domain adds what Domain of a WebSocketApi stands for: the domain name, which
// several APIs may share, and a mapping for each base path.
func (x *expander) domain(res *resource, stageID string) {
	given := res.properties.get("Domain")
	if given == nil {
		return
	}
	at := res.propertyPlace("Domain")
	if given.kind != object {
		x.r.errorf(at, "must be a map, not %s", kindOf(given))
		return
	}
	p := conformFields(given, samDomain, at, x.r)
	name, certificate := p.get("DomainName"), p.get("CertificateArn")
	if name == nil || certificate == nil {
		return // told
	}
	logical := "ApiGatewayDomainNameV2" + samHash(name)
	if !x.has(logical) {
		domain := x.made(res, logical, "AWS::ApiGatewayV2::DomainName", objectAt(given, "DomainName", name,
			"DomainNameConfigurations", listAt(given, objectAt(given, "CertificateArn", certificate, "EndpointType", textAt("REGIONAL", given),
				"IpAddressType", p.get("IpAddressType"), "OwnershipVerificationCertificateArn", p.get("OwnershipVerificationCertificateArn"),
				"SecurityPolicy", p.get("SecurityPolicy"))),
			"Tags", objectAt(given, "websocketapi:createdBy", textAt("SAM", given))))
		domain.trails = trailsOf("Properties.DomainName", "Properties.Domain.DomainName", "Properties.DomainNameConfigurations[0].CertificateArn",
			"Properties.Domain.CertificateArn", "Properties.DomainNameConfigurations[0].SecurityPolicy", "Properties.Domain.SecurityPolicy", "Properties", "Properties.Domain")
		x.add(domain)
	}
	paths := []*value{nil}
	switch base := p.get("BasePath"); {
	case base == nil:
	case base.kind == list:
		paths = base.items
	default:
		paths = []*value{base}
	}
	for _, path := range paths {
		id, key := res.id+"ApiMapping", path
		if text, ok := path.scalar(); ok {
			id = res.id + strings.NewReplacer("-", "", "_", "", "/", "").Replace(text) + "ApiMapping"
			key = textAt(strings.Trim(text, "/"), path)
		} else if path != nil {
			x.r.errorf(at.in("BasePath"), "a base path is a text, not %s", kindOf(path))
			continue
		}
		if !isLogicalID(id) {
			x.r.errorf(at.in("BasePath"), "a base path has letters, digits and -_/ only")
			continue
		}
		mapping := x.made(res, id, "AWS::ApiGatewayV2::ApiMapping", objectAt(given, "DomainName", refAt(logical, given), "ApiId", refAt(res.id, given),
			"Stage", refAt(stageID, given), "ApiMappingKey", key))
		mapping.trails = trailsOf("Properties.ApiMappingKey", "Properties.Domain.BasePath", "Properties", "Properties.Domain")
		x.add(mapping)
	}
}

// has says whether a resource of that id has been added.
func (x *expander) has(id string) bool {
	return slices.ContainsFunc(x.out, func(r *resource) bool { return r.id == id })
}

// samHash is what SAM puts behind logical ids that depend on a value: the first
// digits of its SHA-1.
func samHash(v *value) string {
	text, ok := v.scalar()
	if !ok {
		text = v.json()
	}
	sum := sha1.Sum([]byte(text))
	return hex.EncodeToString(sum[:])[:10]
}
