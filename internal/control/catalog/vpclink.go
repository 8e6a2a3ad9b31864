package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"tidegate/internal/apigw"
	"tidegate/internal/kv"
)

// vpcLinkPrefix begins the keys of VPC links, which belong to no API.
const vpcLinkPrefix = "vpclinks/"

// storedVPCLink is the stored form of a VPC link.
type storedVPCLink struct {
	V    int            `json:"v"`
	Link *apigw.VPCLink `json:"link"`
}

func decodeVPCLink(e kv.Entry) (*apigw.VPCLink, error) {
	var s storedVPCLink
	if err := json.Unmarshal(e.Value, &s); err != nil {
		return nil, fmt.Errorf("catalog: %s is damaged: %w", e.Key, err)
	}
	if s.V != version || s.Link == nil {
		return nil, versionError(e.Key, s.V)
	}
	return s.Link, nil
}

// CreateVPCLink stores a new link; a taken id is ErrExists.
func (c *Catalog) CreateVPCLink(ctx context.Context, link *apigw.VPCLink) error {
	return c.swapVPCLink(ctx, link, 0)
}

// swapVPCLink writes the link if its revision is still the one given.
func (c *Catalog) swapVPCLink(ctx context.Context, link *apigw.VPCLink, revision uint64) error {
	value, err := json.Marshal(storedVPCLink{V: version, Link: link})
	if err != nil {
		return fmt.Errorf("catalog: encode VPC link %s: %w", link.ID, err)
	}
	_, err = c.bucket.Swap(ctx, vpcLinkPrefix+link.ID, value, revision)
	if errors.Is(err, kv.ErrConflict) {
		return fmt.Errorf("%w: VPC link %s", ErrExists, link.ID)
	}
	return err
}

// VPCLink returns the link, or ErrNotFound.
func (c *Catalog) VPCLink(ctx context.Context, id string) (*apigw.VPCLink, error) {
	link, _, err := c.vpcLink(ctx, id)
	return link, err
}

func (c *Catalog) vpcLink(ctx context.Context, id string) (*apigw.VPCLink, uint64, error) {
	e, err := c.bucket.Get(ctx, vpcLinkPrefix+id)
	if errors.Is(err, kv.ErrNotFound) || errors.Is(err, kv.ErrInvalid) || strings.Contains(id, "/") {
		return nil, 0, fmt.Errorf("%w: VPC link %q", ErrNotFound, id)
	}
	if err != nil {
		return nil, 0, err
	}
	link, err := decodeVPCLink(e)
	return link, e.Revision, err
}

// VPCLinks returns every link, sorted by id.
func (c *Catalog) VPCLinks(ctx context.Context) ([]*apigw.VPCLink, error) {
	entries, err := c.bucket.List(ctx, vpcLinkPrefix)
	if err != nil {
		return nil, err
	}
	links := make([]*apigw.VPCLink, 0, len(entries))
	for _, e := range entries {
		link, err := decodeVPCLink(e)
		if err != nil {
			return nil, err
		}
		links = append(links, link)
	}
	return links, nil
}

// UpdateVPCLink is Update for a link.
func (c *Catalog) UpdateVPCLink(ctx context.Context, id string, fn func(*apigw.VPCLink) error) error {
	for range maxAttempts {
		link, revision, err := c.vpcLink(ctx, id)
		if err != nil {
			return err
		}
		if err := fn(link); err != nil {
			return err
		}
		if err = c.swapVPCLink(ctx, link, revision); !errors.Is(err, ErrExists) {
			return err
		}
	}
	return fmt.Errorf("%w: VPC link %s", ErrBusy, id)
}

// DeleteVPCLink removes the link, or returns ErrNotFound.
func (c *Catalog) DeleteVPCLink(ctx context.Context, id string) error {
	if _, err := c.VPCLink(ctx, id); err != nil {
		return err
	}
	return c.bucket.Delete(ctx, vpcLinkPrefix+id)
}
