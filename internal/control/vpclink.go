package control

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"tidegate/internal/apigw"
	"tidegate/internal/control/catalog"
)

// maxVPCLinks is AWS's quota of VPC links in an account.
const maxVPCLinks = 10

// A VPCLinkInput is what CreateVPCLink and UpdateVPCLink are given; a nil member
// was left out.
type VPCLinkInput struct {
	Name             *string           // required on create
	SubnetIDs        []string          // create only, required
	SecurityGroupIDs []string          // create only
	Tags             map[string]string // create only
}

func (in *VPCLinkInput) check() error {
	const maxIDs = 50
	if err := checkText("Name", in.Name, 1, 128); err != nil {
		return err
	}
	for name, ids := range map[string][]string{"SubnetIds": in.SubnetIDs, "SecurityGroupIds": in.SecurityGroupIDs} {
		if len(ids) > maxIDs {
			return badRequest("%s has %d entries; at most %d fit", name, len(ids), maxIDs)
		}
		for _, id := range ids {
			if err := checkText(name, &id, 1, 128); err != nil {
				return err
			}
		}
	}
	return checkTags(nil, in.Tags)
}

// CreateVPCLink keeps a VPC link. Nothing goes through it: an integration that
// names one is a plain call, as with every VPC link here.
func (s *Service) CreateVPCLink(ctx context.Context, in VPCLinkInput) (*apigw.VPCLink, error) {
	switch {
	case in.Name == nil:
		return nil, badRequest("Name is required")
	case len(in.SubnetIDs) == 0:
		return nil, badRequest("SubnetIds is required")
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	s.create.Lock()
	defer s.create.Unlock()
	links, err := s.config.Catalog.VPCLinks.List(ctx)
	if err != nil {
		return nil, err
	}
	if len(links) >= maxVPCLinks {
		return nil, exceeded("VpcLinks", "account")
	}
	link := &apigw.VPCLink{
		ID: newID(childIDLength), Name: *in.Name, Created: s.now(), Tags: maps.Clone(in.Tags),
		SubnetIDs: slices.Clone(in.SubnetIDs), SecurityGroupIDs: slices.Clone(in.SecurityGroupIDs),
	}
	for {
		_, err = s.config.Catalog.VPCLinks.Create(ctx, link)
		if !errors.Is(err, catalog.ErrExists) {
			break
		}
		link.ID = newID(childIDLength)
	}
	if err != nil {
		return nil, err
	}
	s.config.Notice(fmt.Sprintf("VPC link %s (%s) is kept and changes nothing: integrations are called directly", link.ID, cut(link.Name)))
	return link, nil
}

// VPCLink returns the link.
func (s *Service) VPCLink(ctx context.Context, id string) (*apigw.VPCLink, error) {
	link, _, err := s.config.Catalog.VPCLinks.Get(ctx, id)
	return link, translateVPCLink(err, id)
}

// VPCLinks returns all links, sorted by id.
func (s *Service) VPCLinks(ctx context.Context) ([]*apigw.VPCLink, error) {
	return s.config.Catalog.VPCLinks.List(ctx)
}

// UpdateVPCLink changes the name, which is all that AWS lets change.
func (s *Service) UpdateVPCLink(ctx context.Context, id string, in VPCLinkInput) (*apigw.VPCLink, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	return s.changeVPCLink(ctx, id, func(link *apigw.VPCLink) error {
		set(&link.Name, in.Name)
		return nil
	})
}

func (s *Service) changeVPCLink(ctx context.Context, id string, fn func(*apigw.VPCLink) error) (*apigw.VPCLink, error) {
	link, _, err := s.config.Catalog.VPCLinks.Update(ctx, id, fn)
	return link, translateVPCLink(err, id)
}

// DeleteVPCLink removes the link.
func (s *Service) DeleteVPCLink(ctx context.Context, id string) error {
	_, err := s.config.Catalog.VPCLinks.Delete(ctx, id)
	return translateVPCLink(err, id)
}

// translateVPCLink is translate for a link.
func translateVPCLink(err error, id string) error {
	if errors.Is(err, catalog.ErrNotFound) {
		return notFound("VpcLink", "Invalid VpcLink identifier specified %s", cut(id))
	}
	return translate(err, id)
}
