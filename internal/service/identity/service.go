// Package identity is the part of IAM and STS that serverless apps and their
// tools call: roles with inline and managed policies, sessions of roles, and the
// keys of people and services. It implements awshttp.Identities, which tells every
// service who calls. Users, groups and permissions boundaries are not here.
package identity

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"tidegate/internal/awshttp"
	"tidegate/internal/clock"
	"tidegate/internal/iampolicy"
	"tidegate/internal/kv"
)

// Bounds. Those that AWS has are AWS's defaults.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
const (
	maxRoles        = 1000
	maxAttached     = 10
	maxInlineSize   = 10_240 // characters of a role's inline policies, white space not counted
	maxTrustSize    = 2048   // characters of a trust policy, white space not counted
	maxDocumentSize = 128 << 10
	maxTags         = 50

	maxPolicies       = 1500 // customer-managed ones
	maxPolicySize     = 6144 // characters of a managed policy, white space not counted
	maxPolicyVersions = 5

	minSession     = 15 * time.Minute
	maxSession     = 12 * time.Hour
	defaultSession = time.Hour
)

// A Key is a static key pair, of a person or of an AWS service.
type Key struct {
	AccessKeyID string
	Secret      string
	Principal   awshttp.Principal
}

// Config is what New needs.
type Config struct {
	// Bucket holds the roles and policies.
	Bucket  kv.Bucket
	Account string // 12 digits
	Region  string
	// Keys are the static keys. One that names no principal is the account's root.
	Keys []Key
	// Clock says when sessions expire; nil means the machine's.
	Clock clock.Clock
}

// A Service holds roles, keys and sessions.
type Service struct {
	account string
	region  string
	clock   clock.Clock
	store   store
	keys    map[string]awshttp.Identity // never changed

	mu       sync.RWMutex            // held while a change is written to the store
	roles    map[string]*roleState   // by lower-case name
	policies map[string]*policyState // customer-managed, by lower-case name

	sessionsMu sync.RWMutex
	sessions   map[string]*session // by access key id
	sweepAt    int                 // sessions at which expired ones are looked for
}

var _ awshttp.Identities = (*Service)(nil)

// New opens the service and reads its policies and roles from the bucket.
func New(ctx context.Context, c Config) (*Service, error) {
	s := &Service{
		account: c.Account, region: c.Region, clock: c.Clock,
		store:    store{c.Bucket},
		keys:     make(map[string]awshttp.Identity, len(c.Keys)),
		roles:    make(map[string]*roleState),
		policies: make(map[string]*policyState),
		sessions: make(map[string]*session),
		sweepAt:  64,
	}
	if s.clock == nil {
		s.clock = clock.System
	}
	for _, k := range c.Keys {
		if k.AccessKeyID == "" || k.Secret == "" {
			return nil, fmt.Errorf("identity: the key %q needs an id and a secret", k.AccessKeyID)
		}
		if _, twice := s.keys[k.AccessKeyID]; twice {
			return nil, fmt.Errorf("identity: the key %q is given twice", k.AccessKeyID)
		}
		p := k.Principal
		if p.Account == "" {
			p.Account = c.Account
		}
		if p.ARN == "" && p.Kind == awshttp.Root {
			p.ARN = "arn:aws:iam::" + c.Account + ":root"
		}
		if p.ARN == "" {
			return nil, fmt.Errorf("identity: the key %q has no principal's ARN or service name", k.AccessKeyID)
		}
		s.keys[k.AccessKeyID] = awshttp.Identity{Secret: k.Secret, Principal: p}
	}
	policies, err := load[Policy](ctx, s.store, policyPrefix)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	for _, p := range policies {
		state, err := newPolicyState(p)
		if err != nil {
			return nil, fmt.Errorf("identity: policy %s in the store: %w", p.Name, err)
		}
		s.policies[strings.ToLower(p.Name)] = state
	}
	roles, err := load[Role](ctx, s.store, rolePrefix)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	for _, r := range roles {
		state := &roleState{}
		if err := state.set(r, s.attachable); err != nil {
			return nil, fmt.Errorf("identity: role %s in the store: %w", r.Name, err)
		}
		s.roles[strings.ToLower(r.Name)] = state
	}
	return s, nil
}

// role returns the state of a role and its present value.
func (s *Service) role(name string) (*roleState, *Role, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	state, ok := s.roles[strings.ToLower(name)]
	if !ok || state.role.Name != name {
		return nil, nil, noSuchRole(name)
	}
	return state, state.role, nil
}

// list returns the roles whose path begins with prefix, by name.
func (s *Service) list(prefix string) []*Role {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []*Role
	for _, state := range s.roles {
		if strings.HasPrefix(state.role.Path, prefix) {
			out = append(out, state.role)
		}
	}
	slices.SortFunc(out, func(a, b *Role) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// create stores a new role.
func (s *Service) create(ctx context.Context, r *Role) error {
	if err := checkSize("the trust policy", r.AssumeRolePolicyDocument, maxTrustSize, "Cannot exceed quota for ACLSizePerRole: 2048"); err != nil {
		return err
	}
	state := &roleState{}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := state.set(r, s.attachable); err != nil {
		return err
	}
	if _, exists := s.roles[strings.ToLower(r.Name)]; exists {
		return awshttp.Errorf(http.StatusConflict, "EntityAlreadyExists", "Role with name %s already exists.", r.Name)
	}
	if len(s.roles) >= maxRoles {
		return awshttp.Errorf(http.StatusConflict, "LimitExceeded", "Cannot exceed quota for RolesPerAccount: %d", maxRoles)
	}
	if err := s.store.put(ctx, rolePrefix, r.Name, r); err != nil {
		return err
	}
	s.roles[strings.ToLower(r.Name)] = state
	return nil
}

// update applies change to a copy of the role, stores it and makes it the
// role. Sessions see the new policies with their next call.
func (s *Service) update(ctx context.Context, name string, change func(*Role) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	state, ok := s.roles[strings.ToLower(name)]
	if !ok || state.role.Name != name {
		return noSuchRole(name)
	}
	r := state.role.clone()
	if err := change(r); err != nil {
		return err
	}
	if err := new(roleState).set(r, s.attachable); err != nil { // nothing is stored that New couldn't read
		return err
	}
	if err := s.store.put(ctx, rolePrefix, r.Name, r); err != nil {
		return err
	}
	return state.set(r, s.attachable)
}

// remove deletes a role without policies. Its sessions end.
func (s *Service) remove(ctx context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	state, ok := s.roles[strings.ToLower(name)]
	switch {
	case !ok || state.role.Name != name:
		return noSuchRole(name)
	case len(state.role.Attached) > 0:
		return awshttp.Errorf(http.StatusConflict, "DeleteConflict", "Cannot delete entity, must detach all policies first.")
	case len(state.role.Inline) > 0:
		return awshttp.Errorf(http.StatusConflict, "DeleteConflict", "Cannot delete entity, must delete policies first.")
	}
	if err := s.store.delete(ctx, rolePrefix, name); err != nil {
		return err
	}
	state.deleted.Store(true)
	delete(s.roles, strings.ToLower(name))
	return nil
}

// trusts asks the role's trust policy, and for a caller whom it admits only as
// one of the account, the caller's own policies. It returns why not, or "".
func trusts(trust *iampolicy.Document, caller awshttp.Principal, r *iampolicy.Request) string {
	if caller.Kind == awshttp.Root {
		return ""
	}
	resource := iampolicy.Evaluate(r, iampolicy.Source{Documents: []*iampolicy.Document{trust}, Resource: true})
	own := iampolicy.Evaluate(r, iampolicy.Source{Documents: caller.Policies})
	switch {
	case resource.Decision == iampolicy.ExplicitDeny:
		return fmt.Sprintf("statement %s of %s denies it", resource.Statement, resource.Policy)
	case own.Decision == iampolicy.ExplicitDeny:
		return fmt.Sprintf("statement %s of policy %s denies it", own.Statement, own.Policy)
	case resource.Decision == iampolicy.Allow:
		return ""
	case !resource.Delegated:
		return "the " + trust.Name + " does not allow it; it must allow sts:AssumeRole to " + caller.ARN
	case own.Decision != iampolicy.Allow:
		return "no identity-based policy allows the sts:AssumeRole action"
	}
	return ""
}

func noSuchRole(name string) error {
	return awshttp.Errorf(http.StatusNotFound, "NoSuchEntity", "The role with name %s cannot be found.", name)
}

// noSuchPolicy is AWS's answer for a managed policy that isn't there, and says
// of AWS's own which are.
func noSuchPolicy(arn string) error {
	if name, ok := strings.CutPrefix(arn, managedPrefix+"/"); ok {
		short := name[strings.LastIndexByte(name, '/')+1:]
		if p, known := managedPolicies[short]; known {
			return awshttp.Errorf(http.StatusNotFound, "NoSuchEntity", "Policy %s does not exist or is not attachable. It is %s%s%s.", arn, managedPrefix, p.path, short)
		}
		return awshttp.Errorf(http.StatusNotFound, "NoSuchEntity", "Policy %s does not exist or is not attachable. Tidegate has no AWS-managed policy of this name; put what it grants into an inline policy of the role.", arn)
	}
	return awshttp.Errorf(http.StatusNotFound, "NoSuchEntity", "Policy %s does not exist or is not attachable.", arn)
}

func malformed(format string, args ...any) error {
	return awshttp.Errorf(http.StatusBadRequest, "MalformedPolicyDocument", format, args...)
}

// checkSize bounds a document as IAM counts: without white space.
func checkSize(what, text string, limit int, message string) error {
	if len(text) > maxDocumentSize {
		return awshttp.Errorf(http.StatusBadRequest, "ValidationError", "%s has %d bytes; at most %d are possible", what, len(text), maxDocumentSize)
	}
	if n := sizeWithoutSpace(text); n > limit {
		return awshttp.Errorf(http.StatusConflict, "LimitExceeded", "%s", message)
	}
	return nil
}

func sizeWithoutSpace(text string) int {
	n := 0
	for _, r := range text {
		if r != ' ' && r != '\t' && r != '\n' && r != '\r' {
			n++
		}
	}
	return n
}
