package policy

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// zone says what a text is, and so which part of it must be literal for the
// identity to belong to somebody.
type zone uint8

const (
	zoneValue   zone = iota // an event, an extension: anything but everything
	zoneIssuer              // literal through the slash behind the host
	zoneURI                 // literal through the slash behind the owner
	zoneEmail               // literal from the @ on
	zoneDNS                 // literal in its last two labels
	zoneProject             // literal through the slash behind the owner
	zoneOwner               // literal as a whole
	zoneRef                 // literal through refs/heads/ or the like
)

// publicMail are domains where everybody can have an address. A policy must list
// such addresses one by one.
var publicMail = []string{
	"gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "live.com", "yahoo.com", "icloud.com", "me.com",
	"proton.me", "protonmail.com", "gmx.net", "gmx.de", "gmx.com", "web.de", "aol.com", "mail.ru", "yandex.ru", "qq.com", "163.com",
}

// checkWidth refuses an identity that anybody could have, unless the policy says
// `insecureAnyone: true`; and that, where it changes nothing.
func (c *compiler) checkWidth(entry *keylessEntry, private bool) {
	c.checkPossible(entry)
	wide := &faults{file: c.file}
	wide.checkFields(entry)
	wide.checkBinding(entry, private)
	anyone := &entry.InsecureAnyone
	if !anyone.given {
		for _, e := range wide.all {
			c.add(position{e.Line, e.Column}, e.Path, e.Hint, e.Err)
		}
		return
	}
	if len(wide.all) == 0 {
		c.addf(anyone.at, anyone.path, "remove it", "the identity is not one that anybody could have")
	}
}

// checkBinding asks for an issuer, and for a subject or claims that say what ran.
func (f *faults) checkBinding(entry *keylessEntry, private bool) {
	if !entry.Issuer.written() && !private {
		f.addf(entry.at, join(entry.path, "issuer"), "write who vouches for the identity", "it is missing: anybody's issuer would do")
	}
	if entry.Subject != nil {
		return
	}
	const hint = "add a `subject`, or what was built and which workflow or ref: an issuer alone vouches for everybody who has an account there"
	switch g, l := entry.GitHub, entry.GitLab; {
	case g != nil:
		repository := g.Repository.written() && (g.Workflow.written() || g.Ref.written())
		owner := (g.Owner.written() || g.OwnerID.written()) && g.Workflow.written() && !slices.ContainsFunc(g.Workflow.list, relative)
		if !repository && !owner {
			f.addf(g.at, g.path, "name the repository and the workflow or the ref; or the owner and a workflow with its repository", "claims that do not say what was built and how")
		}
	case l != nil:
		if !l.Project.written() || !l.Ref.written() {
			f.addf(l.at, l.path, "name the project and the ref", "claims that do not say what was built and how")
		}
	case entry.Buildkite == nil:
		f.addf(entry.at, entry.path, hint, "an identity without a subject")
	}
}

// relative reports whether a workflow may be a file of whatever repository was
// built.
func relative(m match) bool {
	return slices.ContainsFunc(m.starts(), func(start literal) bool {
		return strings.HasPrefix(start.text, workflows[1:]) || strings.HasPrefix(workflows[1:], start.text)
	})
}

// checkPossible refuses what no certificate can be.
func (c *compiler) checkPossible(entry *keylessEntry) {
	if s := entry.Subject; s != nil {
		types := 0
		for _, one := range []*matches{&s.URI, &s.Email, &s.DNS} {
			if one.written() {
				types++
			}
		}
		if types != 1 {
			c.addf(s.at, s.path, "write one of uri, email, dns", "a subject has one type, not %d", types)
		}
	}
	entry.eachZone(func(z zone, m *match) {
		if m.kind != exactly {
			return
		}
		if hint, err := m.checkExact(z); err != nil {
			c.add(m.at, m.path, hint, err)
		}
	})
}

// checkFields looks at each text of an identity for wildcards where a name must
// stand.
func (f *faults) checkFields(entry *keylessEntry) {
	entry.eachZone(func(z zone, m *match) {
		if hint, err := m.checkZone(z); err != nil {
			f.add(m.at, m.path, hint, err)
		}
	})
}

// eachZone visits each text of an identity with its zone.
func (entry *keylessEntry) eachZone(visit func(zone, *match)) {
	in := func(z zone, fields ...*matches) {
		for _, field := range fields {
			for i := range field.list {
				visit(z, &field.list[i])
			}
		}
	}
	in(zoneIssuer, &entry.Issuer)
	if s := entry.Subject; s != nil {
		in(zoneURI, &s.URI)
		in(zoneEmail, &s.Email)
		in(zoneDNS, &s.DNS)
	}
	if g := entry.GitHub; g != nil {
		in(zoneProject, &g.Repository, &g.Workflow)
		in(zoneOwner, &g.Owner, &g.OwnerID)
		in(zoneRef, &g.Ref)
		in(zoneValue, &g.Event, &g.Runner, &g.Environment)
	}
	if g := entry.GitLab; g != nil {
		in(zoneProject, &g.Project)
		in(zoneRef, &g.Ref)
		in(zoneValue, &g.PipelineSource, &g.Runner, &g.Environment)
	}
	if b := entry.Buildkite; b != nil {
		in(zoneOwner, &b.Organization)
		in(zoneValue, &b.Pipeline)
	}
	for i := range entry.Extensions.list {
		in(zoneValue, &entry.Extensions.list[i].want)
	}
}

var errWide = errors.New("it can match what somebody else has")

// checkZone refuses a wildcard where the zone wants literal text.
func (m *match) checkZone(z zone) (hint string, err error) {
	if m.kind == exactly {
		return "", nil
	}
	ends := m.starts()
	if z == zoneEmail || z == zoneDNS {
		ends = m.endings()
	}
	for _, end := range ends {
		if !end.whole && !literalEnough(z, strings.ToLower(end.text)) {
			return m.zoneHint(z), fmt.Errorf("%q: %w", wording.Short(m.text), errWide)
		}
	}
	return "", nil
}

// literalEnough judges the literal text, in lower case, at that end of a pattern
// which the zone looks at.
func literalEnough(z zone, text string) bool {
	switch z {
	case zoneValue:
		return text != ""
	case zoneIssuer:
		return strings.Count(text, "/") >= 3
	case zoneURI:
		if strings.HasPrefix(text, "https://") || strings.HasPrefix(text, "http://") {
			return strings.Count(text, "/") >= 4
		}
		return strings.Contains(text, "://") && strings.Count(text, "/") >= 3
	case zoneEmail:
		at := strings.LastIndexByte(text, '@')
		return at >= 0 && at < len(text)-1 && !slices.Contains(publicMail, text[at+1:])
	case zoneDNS:
		return strings.HasPrefix(text, ".") && strings.Count(text, ".") >= 2
	case zoneProject:
		if strings.Contains(text, "://") {
			return strings.Count(text, "/") >= 4
		}
		return strings.Count(text, "/") >= 1
	case zoneRef:
		return strings.Count(text, "/") >= 2
	}
	return false // zoneOwner: no wildcard at all
}

var letterDot = regexp.MustCompile(`([A-Za-z0-9])\.([A-Za-z0-9])`)

func (m *match) zoneHint(z zone) string {
	if m.kind == byRegexp {
		// Twice, because neighbours share a letter.
		if escaped := letterDot.ReplaceAllString(letterDot.ReplaceAllString(m.text, `$1\.$2`), `$1\.$2`); escaped != m.text {
			return fmt.Sprintf("a dot stands for every character: write {regexp: '%s'}", wording.Short(escaped))
		}
	}
	switch z {
	case zoneIssuer:
		return "write the host, and a slash behind it, without wildcards"
	case zoneURI:
		return "write the host and the owner, and a slash behind each, without wildcards"
	case zoneEmail:
		return "write the @ and the domain without wildcards; list addresses of public mail services one by one"
	case zoneDNS:
		return "write a dot and at least the last two labels without wildcards"
	case zoneProject:
		return "write the owner, and a slash behind it, without wildcards"
	case zoneOwner:
		return "write it without wildcards"
	case zoneRef:
		return "write refs/heads/, refs/tags/ or the like without wildcards"
	}
	return "write how it begins; what matches everything says nothing"
}

// checkExact finds texts that can never match.
func (m *match) checkExact(z zone) (hint string, err error) {
	switch z {
	case zoneIssuer, zoneURI:
		if !strings.Contains(m.text, "://") {
			return "write the whole address", fmt.Errorf("%q is no address", wording.Short(m.text))
		}
	case zoneEmail:
		if !strings.Contains(m.text, "@") {
			return "", fmt.Errorf("%q is no e-mail address", wording.Short(m.text))
		}
	case zoneProject:
		if !strings.Contains(m.text, "/") {
			return "write it with its owner and a slash", fmt.Errorf("%q has no owner", wording.Short(m.text))
		}
		for _, host := range []string{"github.com/", "gitlab.com/"} {
			if strings.HasPrefix(m.text, host) {
				return fmt.Sprintf("write %s, or the whole address with https://", wording.Short(m.text[len(host):])), fmt.Errorf("%q begins with a host that is no owner", wording.Short(m.text))
			}
		}
		if strings.HasSuffix(m.text, "/") || strings.HasSuffix(m.text, ".git") {
			return "write owner/repository alone", fmt.Errorf("%q ends in what no claim ends in", wording.Short(m.text))
		}
	case zoneRef:
		if !strings.HasPrefix(m.text, "refs/") {
			return fmt.Sprintf("write refs/heads/%s or refs/tags/%[1]s", wording.Short(m.text)), fmt.Errorf("%q is no full ref", wording.Short(m.text))
		}
	}
	return "", nil
}
