// Package policy is the trust policy: which images need which evidence, by whom.
// It reads a policy file strictly, says what evidence a decision about an image
// needs, and judges the evidence that package verify has proved.
//
//	p, err := policy.Parse("policy.yaml", data, readKey)
//	plan, err := p.Plan("registry.example/app")        // fetch what plan.Wants
//	decision := p.Decide(image, at)                    // image holds verify.Facts
//	if decision.Verdict != policy.Allow { … }
//
// It does no cryptography and no input or output: [Parse] reads key files
// through the function that it is given, and time is an argument. docs/policy.md
// describes the language.
package policy

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify/trust"
)

// The language that this version reads.
const (
	APIVersion = "hallmark.dev/v1alpha1"
	KindPolicy = "TrustPolicy"
)

// Policy is a compiled trust policy. It is immutable and safe for concurrent
// use. The zero Policy governs no image, and so denies every one.
type Policy struct {
	name  string
	rules []*rule
	index *patternIndex
	roots []Anchor
	// revoked are the entries of revoked, in the canonical order.
	revoked []revocation
	// terms are what keys need beside their signature, by key ID.
	terms map[string]terms
	// rootEnds are when trust roots can judge no more, by digest.
	rootEnds map[digest.Digest]time.Time
	builders builders
	// summaries says that some rule accepts them.
	summaries bool
	warn      bool // unmatched images are allowed, with a warning
	yaml      []byte
	digest    digest.Digest
}

// PublicGood is what [Parse] asks its read function for where a policy says
// `sigstore: public-good`: the trusted_root.json of Sigstore's public instance.
const PublicGood = "sigstore:public-good"

// Parse reads one policy of at most [MaxBytes]. name stands in errors; read
// returns a file by the path that the policy gives, which is relative to the
// policy's folder, or the root that [PublicGood] names; it must bound what it
// reads. A nil read refuses files.
//
// Nothing is ignored: an unknown entry, an entry of a later version, a key that
// stands twice, an anchor, an empty list, a signer that does not exist, a
// threshold that cannot be reached, an expression that does not compile, or two
// rules that could both govern one image make the whole policy invalid. The
// error is an *[Invalid] with every fault and its place.
func Parse(name string, data []byte, read func(path string) ([]byte, error)) (*Policy, error) {
	return ParseFiles([]File{{name, data}}, read)
}

// ForKey returns the policy behind `--key`: one rule for every image that wants
// one signature by any of the keys. It is an error to give no key.
func ForKey(keys ...trust.Key) (*Policy, error) {
	if len(keys) == 0 {
		return nil, fmt.Errorf("making a policy for keys: there is none: %w", ErrEmpty)
	}
	word := func(s string) text { return text{value: s} }
	signer := signerEntry{Name: word("key")}
	for _, key := range keys {
		if key.ID() == "" {
			return nil, errors.New("making a policy for keys: one is the zero Key")
		}
		signer.Keys = append(signer.Keys, keyEntry{PEM: word(string(key.PEM()))})
	}
	d := forAll("key", signaturesEntry{From: []text{word("key")}}, signer)
	f := &faults{file: "--key"}
	p := (&compiler{faults: f}).policy(d)
	if err := f.err(); err != nil {
		return nil, err
	}
	return p, nil
}

// TrustRoots returns the entries of trustRoots, by name, each read once. A report
// names them, and says how old they are if its caller knows.
func (p *Policy) TrustRoots() []Anchor { return slices.Clone(p.roots) }

// Name returns metadata.name.
func (p *Policy) Name() string { return p.name }

// YAML returns the policy in canonical form: keys inline, defaults written out,
// lists in a fixed order. Parsing it gives a policy of the same [Policy.Digest].
func (p *Policy) YAML() []byte { return append([]byte(nil), p.yaml...) }

// Digest names the policy's content, keys included: equal digests mean equal
// decisions. Comments, layout, where a key is kept, and the order of signers, rules
// and names do not change it.
func (p *Policy) Digest() digest.Digest { return p.digest }

// rule is one compiled rule.
type rule struct {
	name      string
	patterns  []pattern
	places    []text // of the patterns
	platforms PlatformMode
	demands   []demand
	plan      Plan
	dates     dates
	summary   *summaryDemand  // accepted in place of the demands; nil for none
	roots     []digest.Digest // that the demands are proved with
	joins     bool            // a demand asks for what others were met with
	warn      bool            // what does not meet the demands is allowed, and reported
	// exceptions are for single images, each with other demands.
	exceptions []exception
	anyone     []string // what each decision says about identities that anybody has
}
