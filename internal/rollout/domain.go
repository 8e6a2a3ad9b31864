package rollout

import (
	"context"

	"tidegate/internal/control/catalog"
)

// followDomains serves custom domain names as they are in the catalog, and closes
// read when those present at the start are served.
func (r *Rollout) followDomains(changes <-chan catalog.DomainChange, read chan<- struct{}) {
	for change := range changes {
		switch {
		case change.Name == "":
			close(read)
			continue
		case change.Err != nil:
			if r.config.DomainFailed != nil {
				r.config.DomainFailed(change.Name, change.Err)
			}
		case change.Domain == nil:
			if r.config.WithdrawDomain != nil {
				r.config.WithdrawDomain(change.Name)
			}
		case r.config.PublishDomain != nil:
			r.config.PublishDomain(change.Domain)
		}
		r.domains.mark(change.Name, change.Revision, change.Domain == nil && change.Err == nil)
	}
}

// WaitDomain is Wait for a custom domain name.
func (r *Rollout) WaitDomain(ctx context.Context, name string, revision uint64) error {
	return r.domains.wait(ctx, r.done, name, revision, func() error {
		_, _, err := r.config.Catalog.Domain(ctx, name)
		return err
	})
}
