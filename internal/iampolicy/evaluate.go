package iampolicy

// Evaluate decides a request by the sources' documents: a Deny that applies
// wins, then an Allow, else the request is denied implicitly. An Allow of any
// one source is enough, as within one account.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
func Evaluate(r *Request, sources ...Source) Result {
	result := Result{Decision: ImplicitDeny}
	for _, source := range sources {
		for _, d := range source.Documents {
			for i := range d.Statements {
				s := &d.Statements[i]
				if s.Effect == Allow && result.Decision == Allow {
					continue // only a Deny could still change the result
				}
				match := s.applies(r, source.Resource)
				switch {
				case match == matchNone:
				case s.Effect == ExplicitDeny:
					return Result{Decision: ExplicitDeny, Policy: d.Name, Statement: s.name(i)}
				case match == matchAccount:
					result.Delegated = true
				default:
					result = Result{Decision: Allow, Policy: d.Name, Statement: s.name(i)}
				}
			}
		}
	}
	return result
}

// Unconditional reports whether what the document says depends on nothing of a
// request but its action, its resource and its principal: it has neither conditions
// nor variables.
func (d *Document) Unconditional() bool {
	for i := range d.Statements {
		s := &d.Statements[i]
		if len(s.Conditions) > 0 {
			return false
		}
		for _, patterns := range [][]Pattern{s.Action, s.NotAction, s.Resource, s.NotResource} {
			for j := range patterns {
				if patterns[j].parts != nil {
					return false
				}
			}
		}
	}
	return true
}

// applies reports whether the statement speaks about the request, and if so,
// whether it means the caller or only its account.
func (s *Statement) applies(r *Request, resourcePolicy bool) principalMatch {
	if s.Action != nil && !matchAny(s.Action, r.Action, r.Context) {
		return matchNone
	}
	if s.NotAction != nil && matchAny(s.NotAction, r.Action, r.Context) {
		return matchNone
	}
	if s.Resource != nil && !matchAny(s.Resource, r.Resource, r.Context) {
		return matchNone
	}
	if s.NotResource != nil && matchAny(s.NotResource, r.Resource, r.Context) {
		return matchNone
	}
	match := matchNamed
	switch {
	case s.Principal != nil:
		match = s.Principal.match(r.Principal)
	case s.NotPrincipal != nil:
		if s.NotPrincipal.match(r.Principal) == matchNamed {
			match = matchNone
		}
	case resourcePolicy:
		match = matchNone
	}
	if match == matchNone {
		return matchNone
	}
	for i := range s.Conditions {
		if !s.Conditions[i].holds(r.Context) {
			return matchNone
		}
	}
	return match
}
