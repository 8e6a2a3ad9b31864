package identity

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"tidegate/internal/iampolicy"
)

// A Role is an identity that functions, services and people take on. Its JSON
// is what the bucket holds.
type Role struct {
	Name                     string
	ID                       string // AROA…
	Path                     string
	ARN                      string
	Description              string            `json:",omitempty"`
	Created                  time.Time         // whole seconds, as IAM shows them
	MaxSessionDuration       int               // seconds
	AssumeRolePolicyDocument string            // as it was given
	Inline                   map[string]string `json:",omitempty"` // inline policies by name, as they were given
	Attached                 []string          `json:",omitempty"` // managed policies' ARNs, in the order of attaching
	Tags                     map[string]string `json:",omitempty"`
}

// clone returns a copy that may be changed.
func (r *Role) clone() *Role {
	c := *r
	c.Inline, c.Attached, c.Tags = maps.Clone(r.Inline), slices.Clone(r.Attached), maps.Clone(r.Tags)
	return &c
}

// A roleState is a role in memory with what is derived from it.
type roleState struct {
	role  *Role // replaced, never changed; guarded by Service.mu
	trust *iampolicy.Document
	// documents are what the role's sessions may do. Lookup reads them without a
	// lock, and a change of the role replaces them.
	documents atomic.Pointer[[]*iampolicy.Document]
	deleted   atomic.Bool
}

// set makes role the state's role and parses its policies; attachable finds the
// managed ones.
func (s *roleState) set(role *Role, attachable func(arn string) (*iampolicy.Document, bool)) error {
	trust, err := parseTrust(role.Name, role.AssumeRolePolicyDocument)
	if err != nil {
		return err
	}
	var documents []*iampolicy.Document
	for _, name := range slices.Sorted(maps.Keys(role.Inline)) {
		d, err := parseIdentityPolicy(name, role.Inline[name])
		if err != nil {
			return err
		}
		documents = append(documents, d)
	}
	for _, arn := range role.Attached {
		d, ok := attachable(arn)
		if !ok {
			return noSuchPolicy(arn)
		}
		documents = append(documents, d)
	}
	s.role, s.trust = role, trust
	s.documents.Store(&documents)
	return nil
}

// parseTrust reads a trust policy: it names principals and no resource.
func parseTrust(role, text string) (*iampolicy.Document, error) {
	d, err := iampolicy.Parse("trust policy of role "+role, []byte(text))
	if err != nil {
		return nil, malformed("%v", err)
	}
	for i, s := range d.Statements {
		switch {
		case s.Principal == nil && s.NotPrincipal == nil:
			return nil, malformed("%s: statement %s has no Principal", d.Name, statementName(s, i))
		case s.Resource != nil || s.NotResource != nil:
			return nil, malformed("%s: statement %s: Has prohibited field Resource", d.Name, statementName(s, i))
		}
		for _, a := range slices.Concat(s.Action, s.NotAction) {
			if name := a.String(); name != "*" && !strings.HasPrefix(strings.ToLower(name), "sts:") {
				return nil, malformed("%s: statement %s: AssumeRole policy may only specify STS AssumeRole actions, not %s", d.Name, statementName(s, i), name)
			}
		}
	}
	return d, nil
}

// parseIdentityPolicy reads a policy of a role: it names resources and no
// principal.
func parseIdentityPolicy(name, text string) (*iampolicy.Document, error) {
	d, err := iampolicy.Parse(name, []byte(text))
	if err != nil {
		return nil, malformed("%v", err)
	}
	for i, s := range d.Statements {
		switch {
		case s.Principal != nil || s.NotPrincipal != nil:
			return nil, malformed("policy %s: statement %s: Policy document should not specify a principal.", name, statementName(s, i))
		case s.Resource == nil && s.NotResource == nil:
			return nil, malformed("policy %s: statement %s: Policy statement must contain resources.", name, statementName(s, i))
		}
	}
	return d, nil
}

func statementName(s iampolicy.Statement, i int) string {
	if s.Sid != "" {
		return s.Sid
	}
	return fmt.Sprint(i)
}
