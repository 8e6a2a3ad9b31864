package control

import (
	"context"
	"errors"
	"regexp"
	"strings"

	"tidegate/internal/apigw"
)

// mappingIDLength is that of an API mapping's id.
const mappingIDLength = 6

// maxMappingKey is how many characters a mapping's key has at most.
const maxMappingKey = 300

// mappingSegment is one segment of a mapping's key.
var mappingSegment = regexp.MustCompile(`^[A-Za-z0-9$\-_.+!*'()]+$`)

// A MappingInput is what CreateApiMapping and UpdateApiMapping are given; a nil
// member was left out.
type MappingInput struct {
	APIID, Key, Stage *string
}

func (in *MappingInput) check() error {
	if in.APIID == nil || *in.APIID == "" {
		return badRequest("ApiId is required") // WS-09-128
	}
	if in.Key == nil || *in.Key == "" {
		return nil
	}
	key := *in.Key
	fits := len(key) <= maxMappingKey
	for segment := range strings.SplitSeq(key, "/") {
		fits = fits && mappingSegment.MatchString(segment)
	}
	if !fits {
		return badRequest("An ApiMapping key may contain only letters, numbers and one of $-_.+!*'()") // and slashes between segments, and maxMappingKey characters, WS-09-126
	}
	if first, _, _ := strings.Cut(key, "/"); first == "ping" || first == "sping" {
		return badRequest("Invalid ApiMappingKey %q specified: /ping and /sping are reserved for health checks", cut(key))
	}
	return nil
}

// leadsTo refuses a mapping to a stage that isn't there: to AWS a bad request,
// since what the path names is found. The caller holds domains, without which no
// stage goes.
func (s *Service) leadsTo(ctx context.Context, m *apigw.APIMapping) error {
	api, err := s.get(ctx, m.APIID)
	if err == nil {
		_, err = findStage(api, m.Stage)
	}
	if e := (*Error)(nil); errors.As(err, &e) && e.Kind == NotFound {
		return badRequest("%s", e.Message) // WS-09-127
	}
	return err
}

// unique refuses a key that another mapping of the domain has.
func unique(d *apigw.Domain, m *apigw.APIMapping) error {
	for _, other := range d.Mappings {
		if other.ID != m.ID && other.Key == m.Key {
			return conflict("ApiMapping key already exists for this domain name") // WS-09-125
		}
	}
	return nil
}

func findMapping(d *apigw.Domain, id string) (*apigw.APIMapping, error) {
	if m := d.Mappings[id]; m != nil {
		return m, nil
	}
	return nil, notFound("ApiMapping", "The api mapping resource specified in the request was not found.")
}

// CreateMapping lets a path below the domain lead to a stage.
func (s *Service) CreateMapping(ctx context.Context, domain string, in MappingInput) (*apigw.APIMapping, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	if in.Stage == nil || *in.Stage == "" {
		return nil, badRequest("Stage is required")
	}
	var out *apigw.APIMapping
	_, err := s.changeDomain(ctx, domain, func(d *apigw.Domain) error {
		if len(d.Mappings) >= apigw.MaxMappings {
			return exceeded("API mappings", "domain name")
		}
		out = &apigw.APIMapping{ID: freshID(d.Mappings, mappingIDLength)}
		return s.place(ctx, d, out, in)
	})
	return out, err
}

// place gives the mapping what the input names and puts it into the domain.
func (s *Service) place(ctx context.Context, d *apigw.Domain, m *apigw.APIMapping, in MappingInput) error {
	m.APIID = *in.APIID
	set(&m.Key, in.Key)
	if in.Stage != nil {
		m.Stage = apigw.StageName(*in.Stage)
	}
	if err := s.leadsTo(ctx, m); err != nil {
		return err
	}
	if err := unique(d, m); err != nil {
		return err
	}
	put(&d.Mappings, m.ID, m)
	return nil
}

// UpdateMapping changes what the input names; the API must be among it.
func (s *Service) UpdateMapping(ctx context.Context, domain, id string, in MappingInput) (*apigw.APIMapping, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	var out *apigw.APIMapping
	_, err := s.changeDomain(ctx, domain, func(d *apigw.Domain) error {
		var err error
		if out, err = findMapping(d, id); err != nil {
			return err
		}
		return s.place(ctx, d, out, in)
	})
	return out, err
}

// Mapping returns the domain's mapping.
func (s *Service) Mapping(ctx context.Context, domain, id string) (*apigw.APIMapping, error) {
	d, err := s.Domain(ctx, domain)
	if err != nil {
		return nil, err
	}
	return findMapping(d, id)
}

// Mappings returns the domain's mappings, sorted by id.
func (s *Service) Mappings(ctx context.Context, domain string) ([]*apigw.APIMapping, error) {
	d, err := s.Domain(ctx, domain)
	if err != nil {
		return nil, err
	}
	return sorted(d.Mappings), nil
}

// DeleteMapping takes the mapping away. Clients that are connected through it
// stay.
func (s *Service) DeleteMapping(ctx context.Context, domain, id string) error {
	_, err := s.changeDomain(ctx, domain, func(d *apigw.Domain) error {
		_, err := findMapping(d, id)
		delete(d.Mappings, id)
		return err
	})
	return err
}

// mappedTo returns the names of the domains with a mapping to the API, or to one
// stage of it.
func (s *Service) mappedTo(ctx context.Context, apiID string, stage apigw.StageName) (string, error) {
	domains, err := s.Domains(ctx)
	if err != nil {
		return "", err
	}
	var names []string
	for _, d := range domains {
		for _, m := range d.Mappings {
			if m.APIID == apiID && (stage == "" || m.Stage == stage) {
				names = append(names, d.Name)
				break
			}
		}
	}
	return strings.Join(names, ", "), nil
}

// unmapped refuses, in AWS's words, to delete what a domain leads to. An empty
// stage means the whole API. The caller holds domains.
func (s *Service) unmapped(ctx context.Context, apiID string, stage apigw.StageName) error {
	names, err := s.mappedTo(ctx, apiID, stage)
	if err != nil || names == "" {
		return err
	}
	if stage == "" {
		return badRequest("Deleting API %s failed. Please remove all API mappings for the API from your custom domain names: %s", apiID, names)
	}
	return badRequest("Deleting stage %s failed. Please remove all base path mappings related to the stage in your domains: %s", stage, names)
}
