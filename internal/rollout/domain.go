package rollout

import (
	"context"

	"tidegate/internal/apigw"
	"tidegate/internal/control/catalog"
)

// followDomains serves custom domain names as they are in the catalog, and closes
// read when those present at the start are served.
func (r *Rollout) followDomains(changes <-chan catalog.Change[apigw.Domain], read chan<- struct{}) {
	for change := range changes {
		switch {
		case change.ID == "":
			close(read)
			continue
		case change.Err != nil:
			if r.config.DomainFailed != nil {
				r.config.DomainFailed(change.ID, change.Err)
			}
		case change.Value == nil:
			if r.config.WithdrawDomain != nil {
				r.config.WithdrawDomain(change.ID)
			}
		case r.config.PublishDomain != nil:
			r.config.PublishDomain(change.Value)
		}
		r.domains.mark(change.ID, change.Revision, change.Value == nil && change.Err == nil)
	}
}

// WaitDomain is Wait for a custom domain name.
func (r *Rollout) WaitDomain(ctx context.Context, name string, revision uint64) error {
	return r.domains.wait(ctx, r.done, name, revision, func() error {
		_, _, err := r.config.Catalog.Domains.Get(ctx, name)
		return err
	})
}
