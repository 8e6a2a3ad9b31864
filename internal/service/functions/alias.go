package functions

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sort"

	"tidegate/internal/awshttp"
	"tidegate/internal/pattern"
)

// An alias leads to a version, and perhaps some of its invocations to another.
type alias struct {
	Version     string
	Description string             `json:",omitempty"`
	Weights     map[string]float64 `json:",omitempty"` // at most one version, 0 to 1
	RevisionID  string
}

var (
	versionPattern = pattern.New(`^[1-9][0-9]{0,8}$`)
	aliasPattern   = pattern.New(`^[a-zA-Z0-9-_]{1,128}$`)
)

// aliasInput is the body of CreateAlias and UpdateAlias.
type aliasInput struct {
	Name            string
	FunctionVersion *string
	Description     *string
	RoutingConfig   *routing
	RevisionId      string
}

type routing struct{ AdditionalVersionWeights map[string]float64 }

// aliasOutput is Lambda's AliasConfiguration.
type aliasOutput struct {
	AliasArn        string
	Name            string
	FunctionVersion string
	Description     string
	RoutingConfig   *routing `json:",omitempty"`
	RevisionId      string
}

func (s *Service) describeAlias(fn *function, name string) aliasOutput {
	a := fn.Aliases[name]
	out := aliasOutput{AliasArn: fn.arn + ":" + name, Name: name, FunctionVersion: a.Version, Description: a.Description, RevisionId: a.RevisionID}
	if len(a.Weights) > 0 {
		out.RoutingConfig = &routing{a.Weights}
	}
	return out
}

// pick returns the version that an invocation by the alias runs, by its weights.
func (a alias) pick() string {
	at := rand.Float64()
	for version, weight := range a.Weights {
		if at < weight {
			return version
		}
	}
	return a.Version
}

func noAlias(arn string) error {
	return userError(http.StatusNotFound, "ResourceNotFoundException", "Cannot find alias arn: "+arn)
}

// aliases serves CreateAlias, GetAlias, UpdateAlias, DeleteAlias and ListAliases.
func (s *Service) aliases(c *awshttp.Call, text, name string) (any, error) {
	action := map[string]string{"GET": "GetAlias", "POST": "CreateAlias", "PUT": "UpdateAlias", "DELETE": "DeleteAlias"}[c.Request.Method]
	if action == "GetAlias" && name == "" {
		action = "ListAliases"
	}
	fn, err := s.unqualified(c, text, action)
	if err != nil {
		return nil, err
	}
	switch action {
	case "ListAliases":
		return s.listAliases(c, fn)
	case "GetAlias":
		if _, ok := fn.Aliases[name]; !ok {
			return nil, noAlias(fn.arn + ":" + name)
		}
		return s.describeAlias(fn, name), nil
	}
	return s.changeAlias(c, fn.Name, name, action)
}

type aliasesOutput struct {
	Aliases    []aliasOutput
	NextMarker string `json:",omitempty"`
}

func (s *Service) listAliases(c *awshttp.Call, fn *function) (any, error) {
	var names []string
	wanted := c.Request.URL.Query().Get("FunctionVersion")
	for name, a := range fn.Aliases {
		if wanted == "" || a.Version == wanted {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	part, next, err := page(c, names, func(name string) string { return name })
	if err != nil {
		return nil, err
	}
	out := aliasesOutput{Aliases: []aliasOutput{}, NextMarker: next}
	for _, name := range part {
		out.Aliases = append(out.Aliases, s.describeAlias(fn, name))
	}
	return out, nil
}

// changeAlias creates, updates or deletes an alias.
func (s *Service) changeAlias(c *awshttp.Call, function, name, action string) (any, error) {
	var in aliasInput
	if err := decode(c, &in); err != nil {
		return nil, err
	}
	if action == "CreateAlias" {
		if name = in.Name; !aliasPattern.MatchString(name) || versionPattern.MatchString(name) {
			return nil, constraint(name, "name", `Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)`)
		}
	}
	s.writes.Lock()
	defer s.writes.Unlock()
	fn, err := s.find(reference{name: function}, false)
	if err != nil {
		return nil, err
	}
	now, exists := fn.Aliases[name]
	switch {
	case action == "CreateAlias" && exists:
		return nil, userError(http.StatusConflict, "ResourceConflictException", "Alias already exists: "+fn.arn+":"+name)
	case action == "DeleteAlias" && !exists:
		return &awshttp.Response{Status: http.StatusNoContent}, nil // as AWS does
	case action == "UpdateAlias" && !exists:
		return nil, noAlias(fn.arn + ":" + name)
	case in.RevisionId != "" && in.RevisionId != now.RevisionID:
		return nil, preconditionFailed()
	case action == "CreateAlias" && in.FunctionVersion == nil:
		return nil, constraint("null", "functionVersion", "Member must not be null")
	}
	r := fn.record
	r.Aliases = map[string]alias{}
	for k, v := range fn.Aliases {
		r.Aliases[k] = v
	}
	if action == "DeleteAlias" {
		delete(r.Aliases, name)
	} else if r.Aliases[name], err = s.changedAlias(fn, now, in); err != nil {
		return nil, err
	}
	if fn, err = s.save(c.Context(), r); err != nil {
		return nil, err
	}
	switch action {
	case "DeleteAlias":
		return &awshttp.Response{Status: http.StatusNoContent}, nil
	case "CreateAlias":
		return &awshttp.Response{Status: http.StatusCreated, Value: s.describeAlias(fn, name)}, nil
	}
	return s.describeAlias(fn, name), nil
}

// changedAlias applies what is given, checked.
func (s *Service) changedAlias(fn *function, a alias, in aliasInput) (alias, error) {
	if in.FunctionVersion != nil {
		a.Version = *in.FunctionVersion
	}
	if in.Description != nil {
		if len(*in.Description) > maxDescription {
			return a, constraint(*in.Description, "description", "Member must have length less than or equal to 256")
		}
		a.Description = *in.Description
	}
	if in.RoutingConfig != nil {
		a.Weights = in.RoutingConfig.AdditionalVersionWeights
	}
	if _, err := s.find(reference{name: fn.Name, qualifier: a.Version}, false); err != nil || a.Version != latest && !versionPattern.MatchString(a.Version) {
		return a, s.notFound(fn.arn + ":" + a.Version)
	}
	if len(a.Weights) > 1 {
		return a, invalidParameter("Number of items in AdditionalVersionWeights cannot be greater than 1")
	}
	for version, weight := range a.Weights {
		switch {
		case a.Version == latest || version == latest:
			return a, invalidParameter("$LATEST is not supported for an alias pointing to more than 1 version")
		case version == a.Version:
			return a, invalidParameter(fmt.Sprintf("Invalid function version %s. Function version %s is already included in routing configuration.", version, version))
		case !versionPattern.MatchString(version):
			return a, constraint(version, "routingConfig.additionalVersionWeights", "Map keys must satisfy constraint: [Member must satisfy regular expression pattern: [0-9]+]")
		case weight < 0 || weight > 1:
			return a, constraint(fmt.Sprint(weight), "routingConfig.additionalVersionWeights", "Map value must satisfy constraint: [Member must have value less than or equal to 1.0, Member must have value greater than or equal to 0.0]")
		}
		if _, err := s.find(reference{name: fn.Name, qualifier: version}, false); err != nil {
			return a, s.notFound(fn.arn + ":" + version)
		}
	}
	a.RevisionID = awshttp.NewRequestID()
	return a, nil
}
