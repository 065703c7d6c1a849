package admission

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/attest/wording"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// maxExemptions bounds the exemptions, and the entries of each.
const maxExemptions = 1000

// Exemption lets images of some namespaces pass without being judged. It comes from
// the server's own configuration and from nowhere else. Each use is told to the user
// and stands in the decision log.
//
// An object that cannot be read is refused in spite of it.
type Exemption struct {
	// Name names it in logs and warnings.
	Name string `json:"name"`
	// Namespaces are exact names; at least one.
	Namespaces []string `json:"namespaces"`
	// Images are patterns as in a policy's rules, without tag or digest; empty is all.
	Images []string `json:"images,omitempty"`
	// Kinds are kinds with their group, "Pod" or "apps/DaemonSet"; empty is all.
	Kinds []string `json:"kinds,omitempty"`
	// Users are exact names of users, such as
	// "system:serviceaccount:kube-system:daemon-set-controller"; empty is all.
	Users []string `json:"users,omitempty"`
	// Reason says why; Until when it ends. Both are required.
	Reason string    `json:"reason"`
	Until  time.Time `json:"until"`
}

// checkExemptions refuses exemptions that are wider than somebody meant.
func checkExemptions(all []Exemption) error {
	if len(all) > maxExemptions {
		return fmt.Errorf("reading exemptions: there are %d, not at most %d", len(all), maxExemptions)
	}
	names := make(map[string]bool, len(all))
	for i, e := range all {
		refuse := func(why string) error {
			return fmt.Errorf("reading exemption %d (%q): %s", i+1, wording.Short(e.Name), why)
		}
		switch {
		case e.Name == "" || names[e.Name]:
			return refuse("it needs a name of its own")
		case strings.TrimSpace(e.Reason) == "":
			return refuse("it needs a reason")
		case e.Until.IsZero():
			return refuse("it needs an end, `until`")
		case len(e.Namespaces) == 0:
			return refuse("it needs namespaces")
		case max(len(e.Namespaces), len(e.Images), len(e.Kinds), len(e.Users)) > maxExemptions:
			return refuse("it has too many entries")
		}
		names[e.Name] = true
		for _, namespace := range e.Namespaces {
			if namespace == "" || strings.ContainsAny(namespace, "*?/") {
				return refuse(fmt.Sprintf("%q is no namespace; exact names stand here", wording.Short(namespace)))
			}
		}
		if slices.Contains(e.Kinds, "") || slices.Contains(e.Users, "") {
			return refuse("a kind or a user is empty")
		}
		for _, pattern := range e.Images {
			if _, err := policy.MatchesImage(pattern, "registry.invalid/image"); err != nil {
				return refuse(err.Error())
			}
		}
	}
	return nil
}

// covers reports whether an exemption is about a request, its end aside.
func (e *Exemption) covers(q *request) bool {
	kind := q.kind
	if q.group != "" {
		kind = q.group + "/" + q.kind
	}
	return slices.Contains(e.Namespaces, q.namespace) &&
		(len(e.Kinds) == 0 || slices.Contains(e.Kinds, kind)) &&
		(len(e.Users) == 0 || slices.Contains(e.Users, q.user))
}

// takes reports whether it is about an image. One that cannot be read is no
// image's name.
func (e *Exemption) takes(ref oci.Reference, err error) bool {
	if len(e.Images) == 0 {
		return true
	}
	if err != nil {
		return false
	}
	return slices.ContainsFunc(e.Images, func(pattern string) bool {
		matches, err := policy.MatchesImage(pattern, ref.Name())
		return matches && err == nil
	})
}

// exemptions returns those that are about a request: what counts now, and what has
// ended.
func (r *Reviewer) exemptions(q *request) (live, ended []*Exemption) {
	if len(r.options.Exemptions) == 0 {
		return nil, nil
	}
	now := r.options.Now()
	for i := range r.options.Exemptions {
		switch e := &r.options.Exemptions[i]; {
		case !e.covers(q):
		case now.Before(e.Until):
			live = append(live, e)
		default:
			ended = append(ended, e)
		}
	}
	return live, ended
}

// Ended returns the exemptions that no longer count, for a server to report.
func (r *Reviewer) Ended() []Exemption {
	now := r.options.Now()
	var ended []Exemption
	for _, e := range r.options.Exemptions {
		if !now.Before(e.Until) {
			ended = append(ended, e)
		}
	}
	return ended
}
