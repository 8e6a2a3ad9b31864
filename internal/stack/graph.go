package stack

import (
	"slices"
	"strings"
)

// target returns the resource that a Ref (attribute "") or GetAtt means, and
// the attribute to ask it for; nil when there is none. SAM's names for what it
// made, such as MyApi.Stage, work in both forms.
func (s *Stack) target(id, attribute string) (*resource, string) {
	if alias, ok := s.env.aliases[joinPath(id, attribute)]; ok {
		return s.byID[alias], ""
	}
	res := s.byID[id]
	if base, part, dotted := strings.Cut(id, "."); dotted && res == nil && attribute == "" {
		// What SAM would make for a placeholder, such as MyHttpApi.Stage.
		if res = s.byID[base]; res != nil && res.known() == nil {
			return res, part
		}
		return nil, ""
	}
	return res, attribute
}

// references calls found for every resource that v refers to.
func (s *Stack) references(v *value, found func(id string)) {
	if v == nil {
		return
	}
	if name, arg, ok := v.intrinsic(); ok {
		var target *resource
		switch name {
		case "Ref":
			id, _ := arg.scalar()
			target, _ = s.target(id, "")
		case "Fn::GetAtt":
			id, attribute, _ := getAttParts(arg)
			target, _ = s.target(id, attribute)
		}
		if target != nil {
			found(target.id)
			return
		}
	}
	for _, x := range v.items {
		s.references(x, found)
	}
	for _, m := range v.members {
		s.references(m.value, found)
	}
}

// need notes that res must come after id.
func (res *resource) need(id string) {
	if id != res.id && !slices.Contains(res.needs, id) {
		res.needs = append(res.needs, id)
	}
}

// sortResources returns the resources in the order in which they are made:
// what is needed first, otherwise as in the template. A ring is reported.
func sortResources(s *Stack, r *reporter) []*resource {
	for _, res := range s.resources {
		s.references(res.properties, func(id string) {
			if id == res.id {
				r.errorf(res.place(), "%s refers to itself", res.id)
			}
			res.need(id)
		})
		for _, d := range res.dependsOn {
			if s.byID[d.id] != nil {
				res.need(d.id)
			}
		}
	}
	s.orderModels()
	if ring := s.findRing(); ring != nil {
		first := s.byID[ring[0]]
		r.errorf(first.place(), "resources depend on each other in a ring: %s", strings.Join(append(ring, ring[0]), " -> "))
		return s.resources
	}
	s.orderDeployments(r)
	return s.topological()
}

// orderModels puts models before the routes that name them: a route names its
// models by their names, which are no references.
func (s *Stack) orderModels() {
	for _, res := range s.resources {
		models := res.properties.get("RequestModels")
		if res.typ != "AWS::ApiGatewayV2::Route" || models == nil {
			continue
		}
		for _, m := range models.members {
			name, ok := m.value.scalar()
			for _, other := range s.resources {
				if called, _ := other.properties.get("Name").scalar(); ok && other.typ == "AWS::ApiGatewayV2::Model" && called == name && apiKey(other) == apiKey(res) {
					res.need(other.id)
				}
			}
		}
	}
}

// topological orders resources whose needs hold no ring.
func (s *Stack) topological() []*resource {
	done := make(map[string]bool, len(s.resources))
	order := make([]*resource, 0, len(s.resources))
	var visit func(res *resource)
	visit = func(res *resource) {
		if done[res.id] {
			return
		}
		done[res.id] = true
		for _, id := range res.needs {
			visit(s.byID[id])
		}
		order = append(order, res)
	}
	for _, res := range s.resources {
		visit(res)
	}
	return order
}

// findRing returns the logical ids of a ring, or nil.
func (s *Stack) findRing() []string {
	const onPath, finished = 1, 2
	state := map[string]int{}
	var path, ring []string
	var visit func(id string) bool
	visit = func(id string) bool {
		switch state[id] {
		case onPath:
			ring = slices.Clone(path[slices.Index(path, id):])
			return true
		case finished:
			return false
		}
		state[id] = onPath
		path = append(path, id)
		if slices.ContainsFunc(s.byID[id].needs, visit) {
			return true
		}
		path = path[:len(path)-1]
		state[id] = finished
		return false
	}
	for _, res := range s.resources {
		if visit(res.id) {
			return ring
		}
	}
	return nil
}

// reaches reports whether from needs to, perhaps through others.
func (s *Stack) reaches(from, to string) bool {
	seen := map[string]bool{}
	var visit func(id string) bool
	visit = func(id string) bool {
		if id == to {
			return true
		}
		if seen[id] {
			return false
		}
		seen[id] = true
		return slices.ContainsFunc(s.byID[id].needs, visit)
	}
	return visit(from)
}

// frozen are the types of which a deployment takes a snapshot.
var frozen = []string{"AWS::ApiGatewayV2::Authorizer", "AWS::ApiGatewayV2::Model",
	"AWS::ApiGatewayV2::Route", "AWS::ApiGatewayV2::RouteResponse", "AWS::ApiGatewayV2::Integration", "AWS::ApiGatewayV2::IntegrationResponse",
}

// orderDeployments puts each deployment, and each stage that deploys itself,
// after all that its API's snapshot holds, unless the template says otherwise.
// CloudFormation doesn't, so a deployment that lacks DependsOn is noted.
func (s *Stack) orderDeployments(r *reporter) {
	for _, res := range s.resources {
		deployment := res.typ == "AWS::ApiGatewayV2::Deployment"
		if !deployment && !autoDeploys(res) {
			continue
		}
		var missing []string
		for _, other := range s.resources {
			if !slices.Contains(frozen, other.typ) || apiKey(other) != apiKey(res) || s.reaches(res.id, other.id) || s.reaches(other.id, res.id) {
				continue
			}
			res.need(other.id)
			if other.typ == "AWS::ApiGatewayV2::Route" {
				missing = append(missing, other.id)
			}
		}
		if deployment && len(missing) > 0 {
			r.notef(res.place(), "has no DependsOn on %s: CloudFormation may make the deployment before them and miss them or fail; here it comes after",
				strings.Join(missing, ", "))
		}
	}
}

// autoDeploys reports whether res is a stage that deploys itself.
func autoDeploys(res *resource) bool {
	v, _ := res.properties.get("AutoDeploy").scalar()
	return res.typ == "AWS::ApiGatewayV2::Stage" && strings.EqualFold(v, "true")
}

// apiKey tells resources of one API from those of another.
func apiKey(res *resource) string { return res.properties.get("ApiId").json() }
