package awshttp

import (
	"strings"
	"sync"

	"tidegate/internal/iampolicy"
)

// maxDecisions bounds the decisions that a Gate remembers. One takes about 200 bytes.
const maxDecisions = 4096

// decisions remember what policies allowed whose answer depends on nothing but action
// and resource. Nothing is ever out of date: a role whose policies change has other
// documents. The zero value is ready.
type decisions struct {
	mu      sync.RWMutex
	allowed map[decision]struct{}
}

// A decision is what was asked. The documents are told by where their list begins,
// which nobody else can use as long as the decision holds it.
type decision struct {
	documents        **iampolicy.Document
	count            int
	action, resource string
}

func decisionOf(p *Principal, action, resource string) (d decision, ok bool) {
	if len(p.Policies) == 0 {
		return d, false
	}
	return decision{&p.Policies[0], len(p.Policies), action, resource}, true
}

// allow reports whether the principal's policies are known to allow it.
func (m *decisions) allow(p *Principal, action, resource string) bool {
	d, ok := decisionOf(p, action, resource)
	if !ok {
		return false
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	_, ok = m.allowed[d]
	return ok
}

// add remembers that the principal's policies allow it, unless that could change with
// the circumstances. When there are too many decisions, all are forgotten.
func (m *decisions) add(p *Principal, action, resource string) {
	d, ok := decisionOf(p, action, resource)
	if !ok {
		return
	}
	for _, document := range p.Policies {
		if !document.Unconditional() {
			return
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.allowed == nil || len(m.allowed) >= maxDecisions {
		m.allowed = make(map[decision]struct{})
	}
	d.resource = strings.Clone(resource) // not a part of something larger
	m.allowed[d] = struct{}{}
}
