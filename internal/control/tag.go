package control

import (
	"context"
	"maps"
	"strings"
	"unicode/utf8"

	"tidegate/internal/apigw"
)

// checkTags refuses tags that, added to those present, are not allowed. Of the
// names that AWS keeps to itself, those that CloudFormation gives are let
// through: a stack's deployer sets them.
func checkTags(present, added map[string]string) error {
	total := len(present)
	for k, v := range added {
		if _, ok := present[k]; !ok {
			total++
		}
		if n := utf8.RuneCountInString(k); n < 1 || n > 128 {
			return badRequest("a tag's key must have 1 to 128 characters, not %d", n)
		}
		if n := utf8.RuneCountInString(v); n > 256 {
			return badRequest("the value of the tag %q must have at most 256 characters, not %d", cut(k), n)
		}
		if strings.HasPrefix(strings.ToLower(k), "aws:") && !strings.HasPrefix(k, "aws:cloudformation:") {
			return badRequest("the tag %q can't be set: aws: is reserved", cut(k)) // WS-09-116
		}
	}
	if total > apigw.MaxTags {
		return exceeded("tags", "resource")
	}
	return nil
}

// A tagged is what an ARN of a resource with tags names.
type tagged struct {
	apiID           string
	stage           apigw.StageName // empty: the API itself
	vpcLink, domain string          // one of them instead of an API
}

// parseTagARN reads arn:aws:apigateway:{region}::/apis/{id}, with or without
// /stages/{name}, or /vpclinks/{id}, or /domainnames/{name}.
func parseTagARN(arn string) (tagged, error) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[2] != "apigateway" || !strings.HasPrefix(parts[5], "/") {
		return tagged{}, badRequest("Invalid ARN specified: %q", cut(arn))
	}
	path := strings.Split(parts[5][1:], "/")
	switch {
	case len(path) == 2 && path[0] == "apis":
		return tagged{apiID: path[1]}, nil
	case len(path) == 4 && path[0] == "apis" && path[2] == "stages" && path[3] != "":
		return tagged{apiID: path[1], stage: apigw.StageName(path[3])}, nil
	case len(path) == 2 && path[0] == "vpclinks":
		return tagged{vpcLink: path[1]}, nil
	case len(path) == 2 && path[0] == "domainnames" && path[1] != "":
		return tagged{domain: path[1]}, nil
	}
	return tagged{}, badRequest("Invalid ARN specified: %q", cut(arn))
}

// of returns the resource's tags in the API, to be read or replaced.
func (t tagged) of(api *apigw.API) (*map[string]string, error) {
	if t.stage == "" {
		return &api.Tags, nil
	}
	st, err := findStage(api, t.stage)
	if err != nil {
		return nil, err
	}
	return &st.Tags, nil
}

// Tags returns the tags of the API, stage, VPC link or domain name.
func (s *Service) Tags(ctx context.Context, arn string) (map[string]string, error) {
	t, err := parseTagARN(arn)
	if err != nil {
		return nil, err
	}
	if t.vpcLink != "" {
		link, err := s.VPCLink(ctx, t.vpcLink)
		if err != nil {
			return nil, err
		}
		return link.Tags, nil
	}
	if t.domain != "" {
		d, err := s.Domain(ctx, t.domain)
		if err != nil {
			return nil, err
		}
		return d.Tags, nil
	}
	api, err := s.get(ctx, t.apiID)
	if err != nil {
		return nil, err
	}
	tags, err := t.of(api)
	if err != nil {
		return nil, err
	}
	return *tags, nil
}

// TagResource adds tags to the API, stage, VPC link or domain name, or gives them new values.
func (s *Service) TagResource(ctx context.Context, arn string, tags map[string]string) error {
	return s.changeTags(ctx, arn, func(present map[string]string) error {
		if err := checkTags(present, tags); err != nil {
			return err
		}
		maps.Copy(present, tags)
		return nil
	})
}

// UntagResource takes tags away; those that aren't there are no error.
func (s *Service) UntagResource(ctx context.Context, arn string, keys []string) error {
	return s.changeTags(ctx, arn, func(present map[string]string) error {
		for _, k := range keys {
			delete(present, k)
		}
		return nil
	})
}

func (s *Service) changeTags(ctx context.Context, arn string, fn func(present map[string]string) error) error {
	t, err := parseTagARN(arn)
	if err != nil {
		return err
	}
	on := func(tags *map[string]string) error {
		if *tags == nil {
			*tags = map[string]string{}
		}
		return fn(*tags)
	}
	if t.domain != "" {
		_, err := s.changeDomain(ctx, t.domain, func(d *apigw.Domain) error { return on(&d.Tags) })
		return err
	}
	if t.vpcLink != "" {
		_, err := s.changeVPCLink(ctx, t.vpcLink, func(link *apigw.VPCLink) error { return on(&link.Tags) })
		return err
	}
	return s.change(ctx, t.apiID, notFrozen, func(api *apigw.API) error {
		tags, err := t.of(api)
		if err != nil {
			return err
		}
		return on(tags)
	})
}
