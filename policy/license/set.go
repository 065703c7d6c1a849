// Package license says whether a license expression of an SBOM can be met without
// a license that a policy denies.
//
//	denied := license.NewSet()
//	if _, err := denied.Add("AGPL-3.0-only"); err != nil { … }
//	by, bad := denied.Denies("MIT OR AGPL-3.0-only") // false: MIT may be chosen
//
// Meaning. An expression is denied if each way to meet it takes a denied license:
// of OR every operand, of AND one. A license with an exception counts as the
// license. "X-or-later" and "X+" stand for every version from X on that the SPDX
// license list knows: as an entry they deny each of them, in an expression any of
// them may be chosen. Case does not matter. What is no identifier of the SPDX list is a
// license of its own, which an entry "name:…" denies. A text that is no expression
// is denied if it is a denied name, or if one of its words is a denied license: it
// cannot be ruled out.
//
// Non-goals: guessing what a text that is no expression means; the texts of licenses.
package license

import (
	"fmt"
	"strings"

	"github.com/github/go-spdx/v2/spdxexp/spdxlicenses"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// Unstated is the entry that denies packages of which no license is stated, and
// what SPDX writes in the place of a license: itself and NONE.
const Unstated = "NOASSERTION"

// namePrefix marks an entry that is no identifier of SPDX.
const namePrefix = "name:"

// Set is the licenses that a policy denies. Make it with [NewSet]; safe for
// concurrent use once every entry was added.
type Set struct {
	entries  map[string]string   // a license's key to the entry that denies it
	pairs    map[string]string   // the same of a license and its exception
	names    map[string]string   // the same of what is no SPDX identifier
	versions map[string][]string // a license's key to those of itself and its later versions
	unstated bool
}

// NewSet returns a set that denies nothing.
func NewSet() *Set {
	s := &Set{entries: make(map[string]string), pairs: make(map[string]string), names: make(map[string]string), versions: make(map[string][]string)}
	for _, line := range spdxlicenses.LicenseRanges() {
		for i, version := range line {
			var all []string
			for _, later := range line[i:] {
				all = append(all, key(later[0]))
			}
			for _, id := range version {
				s.versions[key(id)] = all
			}
		}
	}
	return s
}

// key is the form in which identifiers are compared. "X" is the older spelling of
// "X-only".
func key(id string) string { return strings.TrimSuffix(strings.ToLower(id), "-only") }

// Add denies what an entry names and returns its canonical form: an identifier of
// the SPDX license list, with "+" or "WITH exception" where there is one, a
// LicenseRef, "name:" and a text, or [Unstated].
func (s *Set) Add(entry string) (string, error) {
	if entry == Unstated {
		s.unstated = true
		return entry, nil
	}
	if name, isName := strings.CutPrefix(entry, namePrefix); isName {
		name = strings.Join(strings.Fields(name), " ")
		if name == "" {
			return "", fmt.Errorf("nothing stands behind %q", namePrefix)
		}
		s.names[fold(name)] = namePrefix + name
		return namePrefix + name, nil
	}
	e, err := parse(entry)
	switch {
	case err != nil:
		return "", err
	case e.license == "":
		return "", fmt.Errorf("%q names several licenses; make an entry of each", wording.Short(entry))
	}
	canonical, err := known(e.license)
	if err != nil {
		return "", err
	}
	if e.exception != "" {
		found, exception := spdxlicenses.IsException(e.exception)
		if !found {
			return "", unknown("exception", e.exception, spdxlicenses.GetExceptions())
		}
		text := canonical + " WITH " + exception
		for _, one := range s.meanings(canonical) {
			s.pairs[one+" "+strings.ToLower(exception)] = text
		}
		return text, nil
	}
	license, exception := split(canonical)
	for _, one := range s.meanings(license) {
		if exception != "" {
			s.pairs[one+" "+exception] = canonical
		} else {
			s.entries[one] = canonical
		}
	}
	return canonical, nil
}

// Unstated reports whether packages of which no license is stated are denied.
func (s *Set) Unstated() bool { return s.unstated }

// Denies reports whether a text from an SBOM is denied, and by which entry.
func (s *Set) Denies(text string) (entry string, denied bool) {
	if entry, denied = s.names[fold(text)]; denied {
		return entry, true
	}
	e, err := parse(text)
	if err == nil {
		return s.denies(e)
	}
	for _, word := range strings.FieldsFunc(text, func(c rune) bool { return c != '+' && notInIdentifier(c) }) {
		if entry, denied = s.license(strings.Trim(word, ".:-"), ""); denied {
			return entry, true
		}
	}
	return "", false
}

func (s *Set) denies(e *expression) (entry string, denied bool) {
	if e.license != "" {
		return s.license(e.license, e.exception)
	}
	for _, operand := range e.operands {
		entry, denied = s.denies(operand)
		if denied == e.all {
			return entry, denied // one of AND is enough to deny, one of OR to allow
		}
	}
	return entry, denied
}

// license reports whether every license that an identifier may be taken for is
// denied.
func (s *Set) license(id, exception string) (entry string, denied bool) {
	if s.unstated && (strings.EqualFold(id, Unstated) || strings.EqualFold(id, "NONE")) {
		return Unstated, true
	}
	if exception == "" {
		id, exception = split(id)
	}
	for _, one := range s.meanings(id) {
		if entry, denied = s.entries[one]; !denied {
			if entry, denied = s.pairs[one+" "+strings.ToLower(exception)]; !denied {
				if entry, denied = s.names[one]; !denied {
					return "", false
				}
			}
		}
	}
	return entry, denied
}

// meanings returns the keys of an identifier: its own, or those of all versions
// from it on.
func (s *Set) meanings(id string) []string {
	own := key(id)
	first, later := strings.CutSuffix(own, "+")
	if !later {
		first, later = strings.CutSuffix(own, "-or-later")
	}
	if !later {
		return []string{own}
	}
	if all := s.versions[first]; len(all) > 0 {
		return all
	}
	return []string{first}
}

// split takes apart the older identifiers that name an exception, such as
// "GPL-2.0-with-classpath-exception".
func split(id string) (license, exception string) {
	before, behind, found := strings.Cut(strings.ToLower(id), "-with-")
	if !found {
		return id, ""
	}
	// Of these five the exception bears a version of its own on the list.
	for _, name := range spdxlicenses.GetExceptions() {
		if strings.HasPrefix(strings.ToLower(name), behind) && strings.HasPrefix(before, "gpl-") {
			return before, strings.ToLower(name)
		}
	}
	return id, ""
}

// known returns an identifier as the SPDX license list spells it.
func known(id string) (string, error) {
	bare, plus := strings.CutSuffix(id, "+")
	if strings.HasPrefix(bare, "LicenseRef-") || strings.HasPrefix(bare, "DocumentRef-") {
		return id, nil
	}
	if found, name := spdxlicenses.IsDeprecatedLicense(id); found {
		return name, nil
	}
	for _, lookup := range []func(string) (bool, string){spdxlicenses.IsActiveLicense, spdxlicenses.IsDeprecatedLicense} {
		if found, name := lookup(bare); found {
			if plus {
				name += "+"
			}
			return name, nil
		}
	}
	return "", unknown("license", id, spdxlicenses.GetLicenses())
}

func unknown(kind, id string, all []string) error {
	if near, found := wording.Nearest(id, all); found {
		return fmt.Errorf("there is no %s %q on the SPDX list; did you mean %q?", kind, wording.Short(id), near)
	}
	return fmt.Errorf("there is no %s %q on the SPDX list; write %q before a name that is not on it", kind, wording.Short(id), namePrefix)
}

// fold is the form in which names that are no identifiers are compared.
func fold(name string) string { return strings.ToLower(strings.Join(strings.Fields(name), " ")) }
