package learn

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/hallmark-project/hallmark/verify"
)

// party is a signer of the proposal: a key, or an identity with the subjects that it
// had.
type party struct {
	name     string
	file     string // of a key
	issuer   string
	kind     string // of the subject: "uri", "email" or "dns"
	stem     string // what its subjects have in common
	subjects []string
}

var notName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// party finds the signer of a fact, or makes it; nil for an identity whose kind no
// policy can name.
func (l *learner) party(s verify.Signer) *party {
	if s.Certificate == nil {
		for _, key := range l.options.Keys {
			if key.Key.ID() == s.KeyID {
				return l.named(key.Name, func(p *party) bool { return p.file == key.File }, party{file: key.File})
			}
		}
		return nil
	}
	c := s.Certificate
	kind := strings.ToLower(c.SANType)
	if kind != "uri" && kind != "email" && kind != "dns" || c.Issuer == "" {
		return nil
	}
	stem := c.SAN
	if kind == "uri" {
		stem, _, _ = strings.Cut(c.SAN, "@") // a workflow and its ref
	}
	base := strings.TrimSuffix(path.Base(stem), path.Ext(stem))
	if kind == "email" {
		base, _, _ = strings.Cut(stem, "@")
	}
	found := l.named(base, func(p *party) bool { return p.issuer == c.Issuer && p.kind == kind && p.stem == stem },
		party{issuer: c.Issuer, kind: kind, stem: stem})
	if !slices.Contains(found.subjects, c.SAN) {
		found.subjects = append(found.subjects, c.SAN)
		slices.Sort(found.subjects)
	}
	return found
}

// named returns the party that is the same, or adds a new one under a free name.
func (l *learner) named(name string, same func(*party) bool, fresh party) *party {
	if i := slices.IndexFunc(l.parties, same); i >= 0 {
		return l.parties[i]
	}
	name = strings.Trim(notName.ReplaceAllString(name, "-"), "-._")
	if len(name) > 40 {
		name = strings.Trim(name[:40], "-._")
	}
	if name == "" {
		name = "signer"
	}
	fresh.name = name
	for n := 2; slices.ContainsFunc(l.parties, func(p *party) bool { return p.name == fresh.name }); n++ {
		fresh.name = fmt.Sprintf("%s-%d", name, n)
	}
	l.parties = append(l.parties, &fresh)
	return &fresh
}

// common says who is to be listed for one kind of evidence: those who vouch for every
// place, or else all that vouch for some. least is how many vouch for each.
func common(byPlace [][]*party) (from []string, least int) {
	var every, any []string
	for i, list := range byPlace {
		var names []string
		for _, p := range list {
			if !slices.Contains(names, p.name) {
				names = append(names, p.name)
			}
		}
		if i == 0 {
			every, least = slices.Clone(names), len(names)
		}
		every = slices.DeleteFunc(every, func(name string) bool { return !slices.Contains(names, name) })
		least = min(least, len(names))
		any = append(any, names...)
	}
	if least == 0 {
		return nil, 0
	}
	from = every
	if len(every) < least {
		from = any
	}
	slices.SortFunc(from, cmp.Compare[string])
	return slices.Compact(from), least
}
