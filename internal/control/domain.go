package control

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"strings"

	"tidegate/internal/apigw"
	"tidegate/internal/control/catalog"
	"tidegate/internal/pattern"
)

// The values that every domain of a WebSocket API has. The hosted zone is AWS's
// own for us-east-1; nothing here resolves names in it.
const (
	EndpointRegional = "REGIONAL"
	SecurityTLS12    = "TLS_1_2"
	RoutingMappings  = "API_MAPPING_ONLY"
	HostedZone       = "Z1UJRXOUMOOFQ8"
)

// onlyRegionalTLS12 is AWS's answer to any other domain., WS-09-121
const onlyRegionalTLS12 = "Only REGIONAL domain names with a security policy of TLS 1.2 can be managed through the API Gateway V2 API. For TLS 1.0 domain names, please use the API Gateway V1 API to upgrade your security policy to TLS 1.2. Currently, only REST APIs can be attached to a domain name with a security policy of TLS 1.0."

// A DomainInput is what CreateDomainName and UpdateDomainName are given; a nil
// member was left out.
type DomainInput struct {
	Name           string // of the body, or of the path
	Configurations []DomainConfigurationInput
	RoutingMode    *string
	Tags           map[string]string // create only
	MutualTLS      bool              // refused: WebSocket APIs can't have it
}

// A DomainConfigurationInput is one of a domain's DomainNameConfigurations.
type DomainConfigurationInput struct {
	CertificateARN, CertificateName, EndpointType, IPAddressType, OwnershipARN, SecurityPolicy *string
}

// certificateARN is one of Certificate Manager's, of any account and region: what
// it names isn't asked for.
var certificateARN = pattern.New(`^arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[A-Za-z0-9_-]{1,128}$`)

// domainLabel is a label of a domain name.
var domainLabel = pattern.New(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// check refuses what can't be, whether the domain is made or changed.
func (in *DomainInput) check() error {
	if in.MutualTLS {
		return badRequest("Mutual TLS domain name association is not supported for Websocket APIs.") // WS-09-122
	}
	if m := in.RoutingMode; m != nil && *m != RoutingMappings {
		if err := checkEnum("RoutingMode", m, RoutingMappings, "ROUTING_RULE_ONLY", "ROUTING_RULE_THEN_API_MAPPING"); err != nil {
			return err
		}
		return unserved("RoutingMode "+*m, "only API_MAPPING_ONLY; there are no routing rules")
	}
	if len(in.Configurations) > 1 {
		return oneConfiguration()
	}
	for _, c := range in.Configurations {
		if err := c.check(); err != nil {
			return err
		}
	}
	return nil
}

// oneConfiguration is AWS's answer to none and to several.
func oneConfiguration() *Error {
	return badRequest("Invalid input. Expected one domain name configuration") // WS-09-120
}

func (c *DomainConfigurationInput) check() error {
	if arn := c.CertificateARN; arn != nil && !certificateARN.MatchString(*arn) {
		return badRequest("Invalid CertificateArn %q specified: it must be an ARN of a certificate of AWS Certificate Manager, such as arn:aws:acm:us-east-1:123456789012:certificate/12345678-1234-1234-1234-123456789012", cut(*arn))
	}
	if arn := c.OwnershipARN; arn != nil && *arn != "" && !certificateARN.MatchString(*arn) {
		return badRequest("Invalid OwnershipVerificationCertificateArn %q specified: it must be an ARN of a certificate of AWS Certificate Manager", cut(*arn))
	}
	if err := checkText("CertificateName", c.CertificateName, 0, 128); err != nil {
		return err
	}
	if err := checkEnum("EndpointType", c.EndpointType, EndpointRegional, "EDGE"); err != nil {
		return err
	}
	if c.EndpointType != nil && *c.EndpointType != EndpointRegional {
		return badRequest(onlyRegionalTLS12)
	}
	if err := checkEnum("SecurityPolicy", c.SecurityPolicy, SecurityTLS12, "TLS_1_0"); err != nil {
		return err
	}
	if c.SecurityPolicy != nil && *c.SecurityPolicy != SecurityTLS12 {
		return badRequest(onlyRegionalTLS12)
	}
	return checkEnum("IpAddressType", c.IPAddressType, "ipv4", "dualstack")
}

// apply sets what the input names.
func (in *DomainInput) apply(d *apigw.Domain) {
	for _, c := range in.Configurations {
		set(&d.Certificate.ARN, c.CertificateARN)
		set(&d.Certificate.Name, c.CertificateName)
		set(&d.Certificate.OwnershipARN, c.OwnershipARN)
		set(&d.IPAddressType, c.IPAddressType)
	}
}

// domainName returns the name as it is stored, or why it can be no domain's:
// one that Tidegate itself answers at would hide what is there.
func domainName(name string) (string, error) {
	lower := strings.ToLower(name)
	base := strings.TrimPrefix(lower, "*.")
	labels := strings.Split(base, ".")
	fits := len(lower) <= 253 && len(labels) > 1
	for _, l := range labels {
		fits = fits && domainLabel.MatchString(l)
	}
	if _, err := netip.ParseAddr(base); err == nil || !fits {
		return "", badRequest("Invalid domain name specified: %q; it must be one such as ws.example.com or *.example.com", cut(name))
	}
	if strings.HasSuffix("."+base, ".amazonaws.com") || strings.Contains(base, ".execute-api.") || base == "tidegate.internal" || strings.HasSuffix(base, ".tidegate.internal") {
		return "", badRequest("Invalid domain name specified: %q is not yours", cut(name))
	}
	return lower, nil
}

// noDomain is AWS's answer about a domain that isn't there.
func noDomain() *Error {
	return notFound("DomainName", "The domain name resource specified in the request was not found.")
}

// translateDomain is translate for domains.
func translateDomain(err error) error {
	switch {
	case errors.Is(err, catalog.ErrNotFound):
		return noDomain()
	case errors.Is(err, catalog.ErrExists):
		return badRequest("The domain name you provided already exists.") // no conflict, on AWS, WS-09-119
	case errors.Is(err, catalog.ErrTooLarge):
		return badRequest("the domain has grown larger than Tidegate can store: %v", err)
	}
	return translate(err, "")
}

// CreateDomain makes a custom domain name without mappings.
func (s *Service) CreateDomain(ctx context.Context, in DomainInput) (*apigw.Domain, error) {
	if in.Name == "" {
		return nil, badRequest("DomainName is required")
	}
	name, err := domainName(in.Name)
	if err != nil {
		return nil, err
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	if len(in.Configurations) == 0 {
		return nil, oneConfiguration()
	}
	if in.Configurations[0].CertificateARN == nil {
		return nil, badRequest("CertificateArn of DomainNameConfigurations is required; Tidegate serves a certificate of its own, so any certificate's ARN will do")
	}
	if err := checkTags(nil, in.Tags); err != nil {
		return nil, err
	}
	now := s.now()
	d := &apigw.Domain{
		Name: name, IPAddressType: "ipv4", Tags: maps.Clone(in.Tags), Created: now, Certificate: apigw.DomainCertificate{Uploaded: now}, // WS-09-118
		GatewayName: "d-" + newID(apiIDLength) + ".execute-api." + s.config.Region + ".amazonaws.com",
	}
	in.apply(d)
	s.domains.Lock()
	defer s.domains.Unlock()
	all, err := s.config.Catalog.Domains.List(ctx)
	if err != nil {
		return nil, err
	}
	if most := s.config.Limits.Domains; len(all) >= most {
		return nil, exceeded("Domain Names", "account")
	}
	revision, err := s.config.Catalog.Domains.Create(ctx, d)
	if err != nil {
		return nil, translateDomain(err)
	}
	s.domainApplied(ctx, name, revision)
	return d, nil
}

// Domain returns the domain with its mappings.
func (s *Service) Domain(ctx context.Context, name string) (*apigw.Domain, error) {
	d, _, err := s.config.Catalog.Domains.Get(ctx, strings.ToLower(name))
	if err != nil {
		return nil, translateDomain(err)
	}
	return d, nil
}

// Domains returns every domain, sorted by name.
func (s *Service) Domains(ctx context.Context) ([]*apigw.Domain, error) {
	domains, err := s.config.Catalog.Domains.List(ctx)
	if err != nil {
		return nil, err
	}
	byName := make(map[string]*apigw.Domain, len(domains)) // the catalog's keys sort stars elsewhere
	for _, d := range domains {
		byName[d.Name] = d
	}
	return sorted(byName), nil
}

// UpdateDomain changes what the input names.
func (s *Service) UpdateDomain(ctx context.Context, in DomainInput) (*apigw.Domain, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	return s.changeDomain(ctx, in.Name, func(d *apigw.Domain) error {
		before := d.Certificate.ARN
		in.apply(d)
		if d.Certificate.ARN != before {
			d.Certificate.Uploaded = s.now()
		}
		return nil
	})
}

// DeleteDomain removes the domain with its mappings. Clients that are connected
// through it stay.
func (s *Service) DeleteDomain(ctx context.Context, name string) error {
	s.domains.Lock()
	defer s.domains.Unlock()
	name = strings.ToLower(name)
	revision, err := s.config.Catalog.Domains.Delete(ctx, name)
	if err != nil {
		return translateDomain(err)
	}
	s.domainApplied(ctx, name, revision)
	return nil
}

// changeDomain runs fn on the domain and stores what it made of it.
func (s *Service) changeDomain(ctx context.Context, name string, fn func(*apigw.Domain) error) (*apigw.Domain, error) {
	s.domains.Lock()
	defer s.domains.Unlock()
	name = strings.ToLower(name)
	d, revision, err := s.config.Catalog.Domains.Update(ctx, name, fn)
	if err != nil {
		return nil, translateDomain(err)
	}
	s.domainApplied(ctx, name, revision)
	return d, nil
}

// domainApplied waits until this node serves the domain as of the revision.
func (s *Service) domainApplied(ctx context.Context, name string, revision uint64) {
	if s.config.DomainApplied == nil {
		return
	}
	if err := s.config.DomainApplied(ctx, name, revision); err != nil && ctx.Err() == nil {
		s.config.Notice(fmt.Sprintf("domain %s was changed, and it isn't sure that the change is served yet: %v", name, err))
	}
}

// DomainARN returns the ARN by which a domain is tagged.
func (s *Service) DomainARN(name string) string {
	return "arn:aws:apigateway:" + s.config.Region + "::/domainnames/" + name
}
