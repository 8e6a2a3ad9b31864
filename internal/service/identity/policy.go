package identity

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"tidegate/internal/awshttp"
	"tidegate/internal/iampolicy"
)

// A Policy is a customer-managed policy: a document with versions that roles
// attach. Its JSON is what the bucket holds.
type Policy struct {
	Name        string
	ID          string // ANPA…
	Path        string
	ARN         string
	Description string    `json:",omitempty"`
	Created     time.Time // whole seconds, as IAM shows them
	Updated     time.Time // of the latest change of its versions
	Default     string    // the version that is in force: v1
	Last        int       // the number of the version that was made last; numbers aren't used again
	Versions    []PolicyVersion
	Tags        map[string]string `json:",omitempty"`
}

// A PolicyVersion is one document of a Policy.
type PolicyVersion struct {
	ID       string // v1, v2, …
	Document string // as it was given
	Created  time.Time
}

// clone returns a copy that may be changed.
func (p *Policy) clone() *Policy {
	c := *p
	c.Versions, c.Tags = slices.Clone(p.Versions), maps.Clone(p.Tags)
	return &c
}

// version returns the version of that id, nil without.
func (p *Policy) version(id string) *PolicyVersion {
	if i := slices.IndexFunc(p.Versions, func(v PolicyVersion) bool { return v.ID == id }); i >= 0 {
		return &p.Versions[i]
	}
	return nil
}

// add makes a version of the document.
func (p *Policy) add(document string, now time.Time, setDefault bool) PolicyVersion {
	p.Last++
	v := PolicyVersion{ID: "v" + strconv.Itoa(p.Last), Document: document, Created: now}
	p.Versions = append(p.Versions, v)
	if setDefault {
		p.Default = v.ID
	}
	p.Updated = now
	return v
}

// A policyState is a policy in memory with its default version, parsed. It is
// replaced, never changed; Service.mu guards the map that holds it.
type policyState struct {
	policy   *Policy
	document *iampolicy.Document
}

func newPolicyState(p *Policy) (*policyState, error) {
	v := p.version(p.Default)
	if v == nil {
		return nil, noSuchVersion(p.ARN, p.Default)
	}
	d, err := parseIdentityPolicy(p.Name, v.Document)
	if err != nil {
		return nil, err
	}
	return &policyState{p, d}, nil
}

// attachable returns the document in force of the policy of that ARN, AWS's or
// the account's own. The caller holds mu.
func (s *Service) attachable(arn string) (*iampolicy.Document, bool) {
	if state := s.policyLocked(arn); state != nil {
		return state.document, true
	}
	return managed(arn)
}

// policyLocked returns the account's policy of that ARN, nil without.
func (s *Service) policyLocked(arn string) *policyState {
	state := s.policies[strings.ToLower(arn[strings.LastIndexByte(arn, '/')+1:])]
	if state == nil || state.policy.ARN != arn {
		return nil
	}
	return state
}

// policy returns the present value of the account's policy of that ARN.
func (s *Service) policy(arn string) (*Policy, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	state := s.policyLocked(arn)
	if state == nil {
		return nil, policyNotFound(arn)
	}
	return state.policy, nil
}

// attachedLocked are the names of the roles that a policy is attached to.
func (s *Service) attachedLocked(arn string) []*Role {
	var out []*Role
	for _, state := range s.roles {
		if slices.Contains(state.role.Attached, arn) {
			out = append(out, state.role)
		}
	}
	slices.SortFunc(out, func(a, b *Role) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// attachments counts the roles that each policy is attached to, by ARN.
func (s *Service) attachments() map[string]int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := map[string]int{}
	for _, state := range s.roles {
		for _, arn := range state.role.Attached {
			out[arn]++
		}
	}
	return out
}

// addPolicy stores a new policy.
func (s *Service) addPolicy(ctx context.Context, p *Policy) error {
	state, err := newPolicyState(p)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := strings.ToLower(p.Name)
	if s.policies[key] != nil {
		return awshttp.Errorf(http.StatusConflict, "EntityAlreadyExists", "A policy called %s already exists. Duplicate names are not allowed.", p.Name)
	}
	if len(s.policies) >= maxPolicies {
		return awshttp.Errorf(http.StatusConflict, "LimitExceeded", "Cannot exceed quota for PoliciesPerAccount: %d", maxPolicies)
	}
	if err := s.store.put(ctx, policyPrefix, p.Name, p); err != nil {
		return err
	}
	s.policies[key] = state
	return nil
}

// updatePolicy applies change to a copy of the policy, stores it and makes it the
// policy. Sessions of roles that it is attached to see it with their next call.
func (s *Service) updatePolicy(ctx context.Context, arn string, change func(*Policy) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.policyLocked(arn)
	if old == nil {
		return policyNotFound(arn)
	}
	p := old.policy.clone()
	if err := change(p); err != nil {
		return err
	}
	state, err := newPolicyState(p)
	if err != nil {
		return err
	}
	if err := s.store.put(ctx, policyPrefix, p.Name, p); err != nil {
		return err
	}
	s.policies[strings.ToLower(p.Name)] = state
	if p.Default == old.policy.Default {
		return nil
	}
	for _, r := range s.attachedLocked(arn) {
		if err := s.roles[strings.ToLower(r.Name)].set(r, s.attachable); err != nil {
			return err // unreachable: all of it was parsed before
		}
	}
	return nil
}

// removePolicy deletes a policy that is attached to nothing and has no version
// but its default one.
func (s *Service) removePolicy(ctx context.Context, arn string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.policyLocked(arn)
	switch {
	case state == nil:
		return policyNotFound(arn)
	case len(s.attachedLocked(arn)) > 0:
		return awshttp.Errorf(http.StatusConflict, "DeleteConflict", "Cannot delete a policy attached to entities.")
	case len(state.policy.Versions) > 1:
		return awshttp.Errorf(http.StatusConflict, "DeleteConflict", "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.")
	}
	if err := s.store.delete(ctx, policyPrefix, state.policy.Name); err != nil {
		return err
	}
	delete(s.policies, strings.ToLower(state.policy.Name))
	return nil
}

// listPolicies returns the account's policies, by ARN.
func (s *Service) listOwnPolicies() []*Policy {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []*Policy
	for _, state := range s.policies {
		out = append(out, state.policy)
	}
	return out
}

func policyNotFound(arn string) error {
	return awshttp.Errorf(http.StatusNotFound, "NoSuchEntity", "Policy %s was not found.", arn)
}

func noSuchVersion(arn, version string) error {
	return awshttp.Errorf(http.StatusNotFound, "NoSuchEntity", "Policy %s version %s does not exist or is not attachable.", arn, version)
}
