package policy

import (
	"errors"
	"strings"

	"github.com/hallmark-project/hallmark/verify/trust"
)

// Pattern says what a text of an identity must be: Exact, letter by letter, or
// Regexp, an RE2 expression that the whole text must match. Exactly one is set.
type Pattern struct{ Exact, Regexp string }

// ForIdentity returns the policy behind `--certificate-identity` and
// `--certificate-oidc-issuer`: one rule for every image that wants one signature by
// a certificate of the given issuer and subject, proved with the trusted_root.json
// and the given number of witnesses.
//
// The subject's type follows from its text: with a slash it is a URI, else with an
// @ an e-mail address, else a host's name. A policy file can say more. Errors are
// an *[Invalid], also for a pattern that would match what somebody else has.
func ForIdentity(root []byte, need trust.Requirement, issuer, subject Pattern) (*Policy, error) {
	f := &faults{file: "the wanted identity"}
	word := func(s string) text { return text{value: s} }
	who := &subjectEntry{}
	subjects := subject.matches(f, "subject")
	switch text := subject.Exact + subject.Regexp; {
	case strings.Contains(text, "/"):
		who.URI = subjects
	case strings.Contains(text, "@"):
		who.Email = subjects
	default:
		who.DNS = subjects
	}
	entry := &keylessEntry{TrustRoot: word("identity"), Issuer: issuer.matches(f, "issuer"), Subject: who}
	entry.path = "identity"
	anchor := rootEntry{
		Name: word("identity"), Sigstore: word(strings.TrimSpace(string(root))),
		Log: counted(need.LogEntries, "log"), Timestamps: counted(need.Timestamps, "timestamps"), SCT: counted(need.SCTs, "sct"),
	}
	anchor.path = "trust root"
	if !strings.HasPrefix(anchor.Sigstore.value, "{") {
		f.add(position{}, anchor.path, "give the text of a trusted_root.json", errors.New("it is no JSON object"))
	}
	if err := checkText(anchor.Sigstore.value, maxFileText, true); err != nil {
		f.add(position{}, anchor.path, "", err)
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	d := forAll("identity", signaturesEntry{From: []text{word("identity")}}, signerEntry{Name: word("identity"), Keyless: entry})
	d.TrustRoots = []rootEntry{anchor}
	p := (&compiler{faults: f}).policy(d)
	if err := f.err(); err != nil {
		return nil, err
	}
	return p, nil
}

// forAll is the document of a policy with one rule for every image.
func forAll(name string, demand signaturesEntry, party signerEntry) *document {
	word := func(s string) text { return text{value: s} }
	return &document{
		APIVersion: word(APIVersion),
		Kind:       word(KindPolicy),
		Metadata:   &metadata{Name: word(name)},
		Signers:    []signerEntry{party},
		Rules: []ruleEntry{{
			Name:    word(name),
			Images:  []text{word("**")},
			Require: &requireEntry{Signatures: &demand},
		}},
	}
}

func counted(value int, path string) count {
	c := count{value: value, given: true}
	c.path = path
	return c
}

// matches reads a pattern that did not come out of a file.
func (p Pattern) matches(f *faults, path string) matches {
	m := match{text: p.Exact}
	m.path = path
	if p.Regexp != "" {
		m.kind, m.text = byRegexp, p.Regexp
	}
	if (p.Exact == "") == (p.Regexp == "") {
		f.add(position{}, path, "give the text, or a regular expression", errors.New("exactly one of the two is needed"))
		return matches{}
	}
	if hint, err := m.compile(); err != nil {
		f.add(position{}, path, hint, err)
	}
	return matches{list: []match{m}}
}
