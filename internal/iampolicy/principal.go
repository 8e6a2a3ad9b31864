package iampolicy

import (
	"fmt"
	"slices"
	"strings"
)

// Principals is the value of a Principal or NotPrincipal element.
type Principals struct {
	// Everyone is "Principal": "*".
	Everyone bool
	// AWS are accounts (their 12 digits or root ARN), ARNs, or "*".
	AWS []string
	// Service are services such as events.amazonaws.com.
	Service []string
	// Federated and CanonicalUser are kept; no caller of Tidegate is one.
	Federated, CanonicalUser []string
}

func parsePrincipals(v any) (*Principals, error) {
	if s, ok := v.(string); ok {
		if s != "*" {
			return nil, fmt.Errorf("it is %q; as a string only \"*\" is possible", cut(s))
		}
		return &Principals{Everyone: true}, nil
	}
	members, ok := v.([]member)
	if !ok {
		return nil, fmt.Errorf("it is %s; it must be \"*\" or an object", kind(v))
	}
	if len(members) == 0 {
		return nil, fmt.Errorf("it names no one")
	}
	p := &Principals{}
	for _, m := range members {
		values, err := stringList(m.value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.key, err)
		}
		switch m.key {
		case "AWS":
			for _, s := range values {
				if s != "*" && !isAccount(s) && !isPrincipalARN(s) {
					return nil, fmt.Errorf("AWS: %q is neither an account, an ARN of one principal, nor \"*\"", cut(s))
				}
			}
			p.AWS = values
		case "Service":
			p.Service = values
		case "Federated":
			p.Federated = values
		case "CanonicalUser":
			p.CanonicalUser = values
		default:
			return nil, fmt.Errorf("unknown kind %q; there are AWS, Service, Federated and CanonicalUser", cut(m.key))
		}
	}
	return p, nil
}

func isAccount(s string) bool {
	return len(s) == 12 && strings.Trim(s, "0123456789") == ""
}

// isPrincipalARN reports whether s is an ARN of IAM or STS without wildcards.
// A deleted principal's unique id (AROA…) is not known here.
func isPrincipalARN(s string) bool {
	parts := strings.SplitN(s, ":", 6)
	return len(parts) == 6 && parts[0] == "arn" && (parts[2] == "iam" || parts[2] == "sts") && isAccount(parts[4]) && !strings.ContainsAny(s, "*?$")
}

// A principalMatch says how a principal fits.
type principalMatch int

const (
	matchNone    principalMatch = iota
	matchAccount                // only through its account
	matchNamed                  // by itself, or as everyone
)

// match reports how the caller fits.
func (p *Principals) match(caller string) principalMatch {
	if p.Everyone {
		return matchNamed
	}
	if !strings.HasPrefix(caller, "arn:") {
		if slices.Contains(p.Service, caller) || slices.Contains(p.AWS, "*") {
			return matchNamed
		}
		return matchNone
	}
	best := matchNone
	account := accountOf(caller)
	for _, s := range p.AWS {
		switch {
		case s == "*" || s == caller || isRoleOf(s, caller):
			return matchNamed
		case s == account || isRoot(s) && accountOf(s) == account:
			best = matchAccount
		}
	}
	return best
}

// accountOf returns the account of an ARN.
func accountOf(arn string) string {
	for range 4 {
		_, rest, ok := strings.Cut(arn, ":")
		if !ok {
			return ""
		}
		arn = rest
	}
	account, _, _ := strings.Cut(arn, ":")
	return account
}

func isRoot(arn string) bool {
	return strings.HasSuffix(arn, ":root") && strings.Contains(arn, ":iam::")
}

// isRoleOf reports whether session (arn:aws:sts::A:assumed-role/R/S) is one of
// the role arn (arn:aws:iam::A:role/path/R). A session's ARN leaves out the
// role's path.
func isRoleOf(arn, session string) bool {
	_, role, ok := strings.Cut(arn, ":role/")
	if !ok || !strings.Contains(arn, ":iam::") {
		return false
	}
	_, rest, ok := strings.Cut(session, ":assumed-role/")
	if !ok || !strings.Contains(session, ":sts::") || accountOf(arn) != accountOf(session) {
		return false
	}
	name, _, _ := strings.Cut(rest, "/")
	return role[strings.LastIndexByte(role, '/')+1:] == name
}
