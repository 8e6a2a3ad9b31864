package functions

import (
	"net/http"
	"strings"

	"tidegate/internal/awshttp"
	"tidegate/internal/pattern"
)

const latest = "$LATEST"

var (
	namePattern      = pattern.New(`^[a-zA-Z0-9-_]{1,64}$`)
	qualifierPattern = pattern.New(`^(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9$_-]{1,128})$`)
)

// A reference is a function as a caller names it.
type reference struct {
	name      string
	qualifier string // "" when the caller gave none
}

// parseReference reads NAME, NAME:QUALIFIER, ACCOUNT:function:NAME[:QUALIFIER]
// or an ARN. A qualifier in the query must not differ from the name's.
func (s *Service) parseReference(text, qualifier string) (reference, error) {
	rest := text
	if strings.HasPrefix(text, "arn:") {
		parts := strings.SplitN(text, ":", 6)
		if len(parts) != 6 || parts[2] != "lambda" || !strings.HasPrefix(parts[5], "function:") {
			return reference{}, invalidReference(text)
		}
		if parts[3] != s.cfg.Region || parts[4] != s.cfg.Account {
			return reference{}, s.notFound(text)
		}
		rest = strings.TrimPrefix(parts[5], "function:")
	} else if i := strings.Index(text, ":function:"); i >= 0 {
		if text[:i] != s.cfg.Account {
			return reference{}, invalidReference(text)
		}
		rest = text[i+len(":function:"):]
	}
	name, own, has := strings.Cut(rest, ":")
	if !namePattern.MatchString(name) || (has && !qualifierPattern.MatchString(own)) {
		return reference{}, invalidReference(text)
	}
	if qualifier != "" && !qualifierPattern.MatchString(qualifier) {
		return reference{}, constraint(qualifier, "qualifier", "Member must satisfy regular expression pattern: (|[a-zA-Z0-9$_-]+)")
	}
	if has && qualifier != "" && own != qualifier {
		return reference{}, invalidParameter("The derived qualifier from the function name does not match the specified qualifier.")
	}
	if has {
		qualifier = own
	}
	return reference{name: name, qualifier: qualifier}, nil
}

func invalidReference(text string) error {
	return constraint(text, "functionName", `Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}(-gov)?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?`)
}

// arn returns the function's ARN, without a qualifier.
func (s *Service) arn(name string) string {
	return "arn:aws:lambda:" + s.cfg.Region + ":" + s.cfg.Account + ":function:" + name
}

// notFound is the refusal for a function, an ARN or a qualifier that isn't there.
func (s *Service) notFound(arn string) error {
	return userError(http.StatusNotFound, "ResourceNotFoundException", "Function not found: "+arn)
}

// userError is an error in the shape of Lambda's: Message, and Type User.
func userError(status int, code, message string) *awshttp.Error {
	return &awshttp.Error{Code: code, Status: status, Message: message, MessageKey: "Message", Fields: map[string]any{"Type": "User"}}
}

func invalidParameter(message string) error {
	return userError(http.StatusBadRequest, "InvalidParameterValueException", message)
}

// constraint is the refusal of a value that the service's model doesn't allow.
func constraint(value, member, rule string) error {
	if len(value) > 200 {
		value = value[:200]
	}
	return awshttp.Errorf(http.StatusBadRequest, "ValidationException",
		"1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: %s", value, member, rule)
}

// find returns the function that a caller names: its $LATEST, a version, or the
// version that an alias leads to. With qualified, the ARN in the refusal ends in
// the qualifier, as Invoke words it.
func (s *Service) find(ref reference, qualified bool) (*function, error) {
	return s.findBy(ref, qualified, func(a alias) string { return a.Version })
}

// findBy is find with choose to say which version an alias leads to.
func (s *Service) findBy(ref reference, qualified bool, choose func(alias) string) (*function, error) {
	s.mu.Lock()
	fn := s.functions[ref.name]
	if fn != nil {
		version := ref.qualifier
		if a, ok := fn.Aliases[ref.qualifier]; ok {
			version = choose(a)
		}
		if version != "" && version != latest {
			fn = s.functions[ref.name+":"+version]
		}
	}
	s.mu.Unlock()
	if fn != nil {
		return fn, nil
	}
	arn := s.arn(ref.name)
	switch {
	case ref.qualifier != "":
		arn += ":" + ref.qualifier
	case qualified:
		arn += ":" + latest
	}
	return nil, s.notFound(arn)
}

// byKey returns the present state of one version of a function.
func (s *Service) byKey(key string) (*function, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fn := s.functions[key]; fn != nil {
		return fn, nil
	}
	return nil, s.notFound(s.arn(key))
}

// qualifiedARN is the ARN by which a caller named the function.
func (s *Service) qualifiedARN(ref reference) string {
	if ref.qualifier == "" {
		return s.arn(ref.name)
	}
	return s.arn(ref.name) + ":" + ref.qualifier
}
