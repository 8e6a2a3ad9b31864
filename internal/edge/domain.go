package edge

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"tidegate/internal/apigw"
	"tidegate/internal/stage"
)

// Domains are the custom domain names that are served. The zero value and nil hold
// none. They are safe for concurrent use.
type Domains struct {
	mu     sync.Mutex // serializes changes
	byName atomic.Pointer[map[string]*apigw.Domain]
}

// Publish serves the domain as it is now; it must not be changed any more.
func (d *Domains) Publish(domain *apigw.Domain) {
	d.change(func(m map[string]*apigw.Domain) { m[domain.Name] = domain })
}

// Withdraw serves the domain no longer.
func (d *Domains) Withdraw(name string) {
	d.change(func(m map[string]*apigw.Domain) { delete(m, name) })
}

func (d *Domains) change(edit func(map[string]*apigw.Domain)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := maps.Clone(d.all())
	if m == nil {
		m = map[string]*apigw.Domain{}
	}
	edit(m)
	d.byName.Store(&m)
}

func (d *Domains) all() map[string]*apigw.Domain {
	if d == nil {
		return nil
	}
	if m := d.byName.Load(); m != nil {
		return *m
	}
	return nil
}

// Lookup returns the domain that a host means, or nil: the one of that name, else
// the one with a star for its first label. Port and case don't count.
func (d *Domains) Lookup(host string) *apigw.Domain {
	m := d.all()
	if len(m) == 0 {
		return nil
	}
	name := hostname(host)
	if domain := m[name]; domain != nil {
		return domain
	}
	if _, parent, ok := strings.Cut(name, "."); ok {
		if domain := m["*."+parent]; domain != nil && domain.Matches(name) {
			return domain
		}
	}
	return nil
}

// Names returns the domains' names, sorted.
func (d *Domains) Names() []string { return slices.Sorted(maps.Keys(d.all())) }

// Addresses returns host and path of every mapping to the stage, sorted:
// ws.example.com/ or ws.example.com/chat/.
func (d *Domains) Addresses(apiID string, name apigw.StageName) []string {
	var found []string
	for _, domain := range d.all() {
		for _, m := range domain.Mappings {
			if m.APIID != apiID || m.Stage != name {
				continue
			}
			address := domain.Name + "/"
			if m.Key != "" {
				address += m.Key + "/"
			}
			found = append(found, address)
		}
	}
	slices.Sort(found)
	return found
}

// mapped returns the stage that a path below a domain leads to, and the segments
// behind the mapping's key, or why there is none. WS-07-101, WS-07-102, WS-07-110
func (e *Edge) mapped(d *apigw.Domain, path string) (*stage.Stage, []string, *refusal) {
	segs := segments(path)
	if strings.Contains(path, "//") { // see splitManaged
		segs = slices.DeleteFunc(segs, func(s string) bool { return s == "" })
	}
	m, rest, ok := d.Map(segs)
	if !ok {
		var keys []string
		for _, m := range d.Mappings {
			keys = append(keys, "/"+m.Key)
		}
		slices.Sort(keys)
		why := "the domain " + d.Name + " has no API mapping; see aws apigatewayv2 create-api-mapping"
		if len(keys) > 0 {
			why = "no API mapping of the domain " + d.Name + " begins the path " + path + "; there are " + clip(strings.Join(keys, ", "))
		}
		return nil, nil, &refusal{status: http.StatusForbidden, reason: NoMapping, text: textForbidden, why: why}
	}
	s, ok := e.gateway.Lookup(m.APIID, m.Stage)
	if !ok {
		return nil, nil, &refusal{status: http.StatusForbidden, reason: NoSuchStage, text: textForbidden,
			why: fmt.Sprintf("the domain %s maps /%s to the stage %s of API %s, which has no deployment", d.Name, m.Key, m.Stage, m.APIID)}
	}
	return s, rest, nil
}

// resolveDomain is resolve for a path below a domain.
func (e *Edge) resolveDomain(d *apigw.Domain, path string) (*stage.Stage, *refusal) {
	s, rest, no := e.mapped(d, path)
	if no == nil && len(rest) > 0 {
		no = &refusal{status: http.StatusForbidden, reason: NoMapping, text: textForbidden,
			why: "nothing may stand behind an API mapping's key; here it is /" + clip(strings.Join(rest, "/"))}
	}
	if no != nil {
		return nil, no
	}
	return s, nil
}

// serveDomain answers a plain request to a custom domain name: nothing but the
// stages that it is mapped to is served there.
func (e *Edge) serveDomain(w http.ResponseWriter, r *http.Request, d *apigw.Domain) {
	path := r.URL.Path
	if path == "/ping" || path == "/sping" { // reserved for this, so no mapping has them; WS-07-115
		servePing(w)
		return
	}
	if !strings.Contains(path, "/@connections/") {
		e.serveStageURL(w, r)
		return
	}
	if e.elsewhere(w, r, Connections) {
		return
	}
	s, rest, no := e.mapped(d, path)
	switch {
	case no != nil:
		e.refuse(w, r, no)
	case len(rest) == 2 && rest[0] == "@connections":
		e.management.ServeConnection(w, r, s.APIID, s.Name, rest[1])
	default:
		// What AWS says when the stage stands in the path, as it does without a
		// custom domain. WS-07-106, WS-07-107
		e.refuse(w, r, &refusal{status: http.StatusForbidden, reason: NoMapping,
			text: "No method found matching route " + clip(strings.Join(rest, "/")) + " for http method " + r.Method,
			why:  "behind a custom domain's mapping key comes @connections, without the stage's name"})
	}
}
