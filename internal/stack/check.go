package stack

import (
	"context"
	"errors"
	"slices"
	"strings"
)

// Check has the control plane at the endpoint take the stack's resources of API
// Gateway, and returns what it refuses as Diagnostics. All others count as made: the
// control plane must be one that keeps nothing. What depends on something refused,
// or on what is known only once it is made, is not tried. Nothing is run.
func (d *Deployer) Check(ctx context.Context, s *Stack) error {
	a := d.applier(s, &Record{Name: s.Name, Resources: map[string]RecordedResource{}, Outputs: map[string]string{}})
	a.told, a.values.codeless = nil, true
	untried := map[string]bool{}
	var bad Diagnostics
	for _, res := range s.order {
		if err := ctx.Err(); err != nil {
			return err
		}
		if res.schema == nil {
			continue
		}
		if slices.ContainsFunc(res.needs, func(id string) bool { return untried[id] }) {
			untried[res.id] = true
			continue
		}
		tried, err := a.check(ctx, res)
		untried[res.id] = !tried
		var several Diagnostics
		var refused *ApplyError
		var answer *APIError
		switch {
		case err == nil:
		case errors.As(err, &several):
			bad = append(bad, several...)
		case errors.As(err, &refused) && errors.As(err, &answer):
			found := Diagnostic{Position: refused.Position, Resource: refused.LogicalID, Message: answer.Error()}
			if refused.Property != "" {
				found.Property = joinPath("Properties", refused.Property)
			}
			bad = append(bad, found)
		default:
			return err
		}
	}
	if len(bad) > 0 {
		return bad
	}
	return nil
}

// check makes one resource as far as Check does; tried says that others may build
// on it.
func (a *applier) check(ctx context.Context, res *resource) (tried bool, err error) {
	c, err := a.values.resolve(res)
	if err != nil {
		return false, err
	}
	now := a.s.predict(res, c)
	if strings.HasPrefix(res.typ, "AWS::ApiGateway") {
		if c.properties.has(unknown) {
			return false, nil
		}
		if now, err = handlerOf(res.typ).create(ctx, a, c); err != nil {
			return false, a.s.failure(res, a.complainedProperty(c, err), err)
		}
	}
	a.values.known[res.id] = now
	return true, nil
}
