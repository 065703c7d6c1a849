package policy

import (
	"fmt"
	"strings"

	"github.com/hallmark-project/hallmark/attest/wording"
	"github.com/hallmark-project/hallmark/verify"
)

// profile is a compiled keyless entry: the root that must have proved a
// certificate, and what the certificate must say. All traits must hold.
type profile struct {
	anchor    Anchor
	traits    []trait
	anyone    bool
	canonical string // equal for equal identities
}

// trait is one wanted text of a certificate.
type trait struct {
	what   string // for people: "issuer", "subject URI"
	reason verify.Reason
	want   *matches
	// values are the spellings of what the certificate says, the first of them for
	// people; none where it says nothing, or contradicts itself.
	values func(*verify.Certificate) []string
	// holds, if set, is asked instead of want.
	holds func(*verify.Certificate) bool
	// wanted says what holds asks for, and hint what to do about it.
	wanted, hint string
}

// mismatch says why a certificate is not the wanted identity.
type mismatch struct {
	reason        verify.Reason
	what          string
	found, wanted string
	near          string // how the two differ, where that is easily overlooked
	passed        int    // traits that held: the more, the nearer
}

func (m *mismatch) String() string {
	text := fmt.Sprintf("%s: found %s, wanted %s", m.what, wording.Short(m.found), m.wanted)
	if m.near != "" {
		text += " (" + m.near + ")"
	}
	return text
}

// mismatch compares a proven certificate with the identity; nil if it is the one.
func (i *profile) mismatch(c *verify.Certificate) *mismatch {
	if c.Root.IsZero() || c.Root != i.anchor.Root.Digest() {
		return &mismatch{reason: verify.ReasonIdentityMismatch, what: "trust root", found: "a certificate of another root", wanted: i.anchor.Name}
	}
	for n, trait := range i.traits {
		if m := trait.check(c); m != nil {
			m.passed = n + 1
			return m
		}
	}
	return nil
}

func (w *trait) check(c *verify.Certificate) *mismatch {
	values := w.values(c)
	if w.holds != nil {
		if w.holds(c) {
			return nil
		}
	} else {
		for _, value := range values {
			if w.want.matches(value) {
				return nil
			}
		}
	}
	m := &mismatch{reason: w.reason, what: w.what, found: "none", wanted: w.wanted, near: w.hint}
	if len(values) > 0 {
		m.found = values[0]
	}
	if w.want != nil {
		m.wanted, m.near = w.want.String(), w.want.near(m.found)
	}
	return m
}

// near says how a text differs from a wanted one, if a reader might overlook it.
func (m *matches) near(found string) string {
	var texts []string
	for _, one := range m.list {
		if one.kind != exactly {
			continue
		}
		switch {
		case strings.EqualFold(found, one.text):
			return "only the case of letters differs"
		case strings.TrimSuffix(found, "/") == strings.TrimSuffix(one.text, "/"):
			return "only a slash at the end differs"
		}
		texts = append(texts, one.text)
	}
	if close, ok := wording.Nearest(found, texts); ok {
		return fmt.Sprintf("nearly %q", close)
	}
	return ""
}

// profile compiles a keyless entry; nil after a fault.
func (c *compiler) profile(entry *keylessEntry) *profile {
	before := len(c.all)
	i := &profile{anyone: entry.InsecureAnyone.given}
	root, found := c.roots[entry.TrustRoot.value]
	if !found {
		c.unknownRoot(entry.TrustRoot)
		return nil
	}
	if !root.Root.Keyless() {
		c.addf(entry.TrustRoot.at, entry.TrustRoot.path, "name a root with an authority that issues certificates", "the trust root %q has none", wording.Short(entry.TrustRoot.value))
		return nil
	}
	i.anchor = root.Anchor
	i.issuer(entry)
	i.subject(entry)
	i.github(entry.GitHub)
	i.gitlab(entry.GitLab)
	i.buildkite(entry.Buildkite)
	for n := range entry.Extensions.list {
		one := &entry.Extensions.list[n]
		i.want("extension "+one.oid.value, &one.want, func(c *verify.Certificate) []string { return some(c.Extensions[one.oid.value]) })
	}
	c.checkWidth(entry, root.private())
	if len(c.all) > before {
		return nil
	}
	i.canonical = i.anchor.Root.Digest().String()
	for _, trait := range i.traits {
		i.canonical += "\n" + trait.what + " " + trait.wanted
		if trait.want != nil {
			i.canonical += trait.want.String()
		}
	}
	return i
}

func (c *compiler) unknownRoot(name text) {
	var known []string
	for name := range c.roots {
		known = append(known, name)
	}
	hint := didYouMean(name.value, known)
	if hint == "" {
		hint = "list it under `trustRoots`"
	}
	c.addf(name.at, name.path, hint, "there is no usable trust root %q", wording.Short(name.value))
}

// want adds a trait if the policy has it.
func (i *profile) want(what string, want *matches, values func(*verify.Certificate) []string) {
	if want.written() {
		i.traits = append(i.traits, trait{what: what, reason: verify.ReasonIdentityMismatch, want: want, values: values})
	}
}

// issuer compares the token's issuer. A root that names none wants none.
func (i *profile) issuer(entry *keylessEntry) {
	values := func(c *verify.Certificate) []string { return some(c.Issuer) }
	one := trait{what: "issuer", reason: verify.ReasonIssuerMismatch, values: values}
	if entry.Issuer.written() {
		one.want = &entry.Issuer
	} else {
		one.wanted = "none, as the policy names none"
		one.holds = func(c *verify.Certificate) bool { return c.Issuer == "" }
	}
	i.traits = append(i.traits, one)
}

// subject compares the name together with its type, so that an e-mail address
// that reads like a workflow is none.
func (i *profile) subject(entry *keylessEntry) {
	if entry.Subject == nil {
		return
	}
	s := entry.Subject
	for _, one := range []struct {
		kind string
		want *matches
	}{{"URI", &s.URI}, {"Email", &s.Email}, {"DNS", &s.DNS}} {
		if !one.want.written() {
			continue
		}
		i.traits = append(i.traits, trait{
			what: "subject type", reason: verify.ReasonIdentityMismatch, wanted: one.kind,
			values: func(c *verify.Certificate) []string { return some(c.SANType) },
			holds:  func(c *verify.Certificate) bool { return c.SANType == one.kind },
		})
		i.want("subject "+one.kind, one.want, func(c *verify.Certificate) []string { return some(c.SAN) })
	}
	if s.URI.written() && !namesSource(entry) {
		// The subject is the workflow that signed. If that is a reusable one, anybody
		// may have called it: then the policy must say for which repository.
		i.traits = append(i.traits, trait{
			what: "source repository", reason: verify.ReasonIdentityMismatch, wanted: "the subject's own repository",
			hint:   "the subject is a reusable workflow; if it may sign for that repository, write github: {repository: …} in the policy",
			values: func(c *verify.Certificate) []string { return some(c.Extensions[oidSourceRepository]) },
			holds:  func(c *verify.Certificate) bool { return ownRepository(c) },
		})
	}
}

// namesSource reports whether the policy says what was built.
func namesSource(entry *keylessEntry) bool {
	if g := entry.GitHub; g != nil && (g.Repository.written() || g.Owner.written() || g.OwnerID.written()) {
		return true
	}
	if g := entry.GitLab; g != nil && g.Project.written() {
		return true
	}
	for _, one := range entry.Extensions.list {
		if one.oid.value == oidSourceRepository || one.oid.value == oidGitHubRepository {
			return true
		}
	}
	return false
}

// some is a list of the texts that are not empty.
func some(texts ...string) []string {
	var all []string
	for _, text := range texts {
		if text != "" {
			all = append(all, text)
		}
	}
	return all
}
