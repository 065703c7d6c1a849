package policy

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/hallmark-project/hallmark/attest/digest"
)

// Core returns the policy without its summaries: what a verifier judges an image by
// before it makes a summary, so that no summary rests on another. Signers and trust
// roots that nothing else names are not in it either. The digest that a summary is
// bound to is the core's; so a policy may name its verifier.
//
// A policy without summaries has a core too, which decides what it decides.
func (p *Policy) Core() (*Policy, error) {
	f := &faults{file: p.name}
	r := &reader{faults: f}
	d := r.all([]File{{"policy", p.yaml}})
	if err := f.err(); err != nil {
		return nil, fmt.Errorf("making the core of policy %q: %w", p.name, err)
	}
	return Parse("the core of "+p.name, encode(coreOf(d)), nil)
}

// coreOf returns a document's core; the document stays as it is, and is canonical.
func coreOf(d *document) *document {
	core := *d
	core.Rules = slices.Clone(d.Rules)
	named := make(map[string]bool)
	for i := range core.Rules {
		if require := core.Rules[i].Require; require != nil {
			without := *require
			without.Summary = nil
			core.Rules[i].Require = &without
			namesIn(reflect.ValueOf(without), named)
		}
	}
	for _, b := range core.Builders {
		namesIn(reflect.ValueOf(b), named)
	}
	core.Signers = slices.DeleteFunc(slices.Clone(d.Signers), func(s signerEntry) bool { return !named[s.Name.value] })
	roots := make(map[string]bool)
	for _, s := range core.Signers {
		roots[s.TimesFrom.value] = true
		if s.Keyless != nil {
			roots[s.Keyless.TrustRoot.value] = true
		}
	}
	core.TrustRoots = slices.DeleteFunc(slices.Clone(d.TrustRoots), func(r rootEntry) bool { return !roots[r.Name.value] })
	if len(core.TrustRoots) == 0 {
		core.TrustRoots = nil
	}
	return &core
}

// namesIn collects the signers that entries name: their lists `from` and `vex`.
func namesIn(v reflect.Value, named map[string]bool) {
	switch {
	case v.Kind() == reflect.Pointer && !v.IsNil():
		namesIn(v.Elem(), named)
	case v.Kind() == reflect.Slice && v.Type() != reflect.TypeFor[[]text]():
		for i := range v.Len() {
			namesIn(v.Index(i), named)
		}
	case v.Kind() == reflect.Struct && !isPlain(v.Type()):
		entries, _ := entriesOf(v.Type())
		for _, e := range entries {
			field := v.Field(e.index)
			if names, isList := field.Interface().([]text); isList && (e.name == "from" || e.name == "vex") {
				for _, name := range names {
					named[name.value] = true
				}
				continue
			}
			namesIn(field, named)
		}
	}
}

// isPlain reports whether a type has no entries of its own.
func isPlain(t reflect.Type) bool {
	_, isLeaf := reflect.New(t).Interface().(leaf)
	return isLeaf || t == reflect.TypeFor[text]() || t == reflect.TypeFor[number]()
}

// bindSummaries tells the rules' summaries what they are bound to.
func (c *compiler) bindSummaries(d *document, p *Policy) {
	var core digest.Digest
	for _, r := range p.rules {
		if r.summary == nil {
			continue
		}
		if core.IsZero() {
			core = digest.FromBytes(encode(coreOf(d)))
		}
		r.summary.core, r.summary.roots = core, r.roots
		p.summaries = true
	}
}

// rootsOf are the trust roots that some demands are proved with, in order. The keys
// of signers stand in the policy itself.
func (c *compiler) rootsOf(demands []demand) []digest.Digest {
	var all signers
	for _, d := range demands {
		all = append(all, d.accepts()...)
	}
	var roots []digest.Digest
	for _, anchor := range c.planRoots(all) {
		if anchor.Name != "" {
			roots = append(roots, anchor.Root.Digest())
		}
	}
	slices.SortFunc(roots, func(a, b digest.Digest) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(roots)
}
