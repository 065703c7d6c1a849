package registrytest

import (
	"net/http"
	"strings"
)

// Match selects the requests that a fault is for. Zero fields match anything.
type Match struct {
	Method     string
	Class      Class
	Repository string
	Path       string // substring of the path
	After      int    // let this many matching requests pass first
	Times      int    // then fault this many; 0 is every one
}

// Fault changes how a request is answered. next is the registry, or the next
// fault that matches: the one injected first is the outermost.
type Fault func(next http.Handler) http.Handler

type rule struct {
	match Match
	fault Fault
	seen  int
	hits  int
}

// Hits tells how often an injected fault was applied.
type Hits struct {
	registry *Registry
	rule     *rule
}

// Count returns the number of requests that met the fault.
func (h Hits) Count() int {
	h.registry.mu.Lock()
	defer h.registry.mu.Unlock()
	return h.rule.hits
}

// Inject applies fault to the requests that match, from now on.
func (r *Registry) Inject(match Match, fault Fault) Hits {
	r.mu.Lock()
	defer r.mu.Unlock()
	added := &rule{match: match, fault: fault}
	r.rules = append(r.rules, added)
	return Hits{r, added}
}

// ClearFaults takes all injected faults away.
func (r *Registry) ClearFaults() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rules = nil
}

// faultsFor wraps next in every fault whose turn it is for req.
func (r *Registry) faultsFor(req *http.Request, next http.Handler) http.Handler {
	class, repository, _ := classify(req.URL.Path)
	r.mu.Lock()
	defer r.mu.Unlock()
	var faults []Fault
	for _, rule := range r.rules {
		m := rule.match
		if m.Method != "" && m.Method != req.Method ||
			m.Class != Any && m.Class != class ||
			m.Repository != "" && m.Repository != repository ||
			!strings.Contains(req.URL.Path, m.Path) {
			continue
		}
		rule.seen++
		if rule.seen <= m.After || m.Times > 0 && rule.seen > m.After+m.Times {
			continue
		}
		rule.hits++
		faults = append(faults, rule.fault)
	}
	for i := len(faults) - 1; i >= 0; i-- {
		next = faults[i](next)
	}
	return next
}
