package learn

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/verify"
)

// The parts of the language that a proposal uses.
type (
	rule struct {
		Name      string   `yaml:"name"`
		Images    []string `yaml:"images"`
		Platforms string   `yaml:"platforms,omitempty"`
		Require   require  `yaml:"require"`
	}
	require struct {
		Signatures *signatures `yaml:"signatures,omitempty"`
		Provenance *provenance `yaml:"provenance,omitempty"`
		SBOM       *sbom       `yaml:"sbom,omitempty"`
		Scan       *scan       `yaml:"vulnerabilities,omitempty"`
		Statements []statement `yaml:"statements,omitempty"`
	}
	signatures struct {
		From    []string `yaml:"from,flow"`
		AtLeast int      `yaml:"atLeast,omitempty"`
	}
	provenance struct {
		From    []string `yaml:"from,flow"`
		Builder []string `yaml:"builder,flow,omitempty"`
		Source  string   `yaml:"source,omitempty"`
		Ref     string   `yaml:"ref,omitempty"`
	}
	sbom struct {
		From   []string `yaml:"from,flow"`
		Format []string `yaml:"format,flow"`
	}
	scan struct {
		From        []string `yaml:"from,flow"`
		MaxSeverity string   `yaml:"maxSeverity"`
		Which       string   `yaml:"which"`
	}
	statement struct {
		Type string   `yaml:"type"`
		From []string `yaml:"from,flow"`
	}
)

func (r rule) empty() bool { return reflect.DeepEqual(r.Require, require{}) }

func (r rule) same(other rule) bool {
	return r.Platforms == other.Platforms && reflect.DeepEqual(r.Require, other.Require)
}

// drop removes demands by the names that a decision gives them.
func (r *rule) drop(names []string) {
	var kept []statement
	for i, s := range r.Require.Statements {
		if !slices.Contains(names, fmt.Sprintf("statements[%d]", i)) {
			kept = append(kept, s)
		}
	}
	r.Require.Statements = kept
	if slices.Contains(names, "signatures") {
		r.Require.Signatures = nil
	}
	if slices.Contains(names, "provenance") {
		r.Require.Provenance = nil
	}
	if slices.Contains(names, "vulnerabilities") {
		r.Require.Scan = nil
	}
	if slices.Contains(names, "sbom") {
		r.Require.SBOM = nil
	}
}

// rule demands what was proved for every place of a group.
func (l *learner) rule(g *group, all bool) rule {
	r := rule{Name: g.name, Images: []string{g.name}}
	if all {
		r.Platforms = "all"
	}
	places := g.places(all)
	if from, least := common(l.vouchers(places, "")); least > 0 {
		r.Require.Signatures = &signatures{From: from}
		if least > 1 {
			r.Require.Signatures.AtLeast = least
		}
	}
	r.Require.Provenance = l.provenance(places)
	r.Require.SBOM = l.sbom(places, all)
	r.Require.Scan = l.scan(places, all)
	for _, uri := range types(places) {
		if r.Require.Scan != nil && slices.Contains(scans(), uri) {
			continue
		}
		if from, least := common(l.vouchers(places, uri)); least > 0 {
			r.Require.Statements = append(r.Require.Statements, statement{uri, from})
		}
	}
	return r
}

// vouchers lists, for each place, who signed a statement of one of the types; of none:
// who signed the digest itself.
func (l *learner) vouchers(places []*place, uris ...string) [][]*party {
	var all [][]*party
	for _, p := range places {
		var list []*party
		for _, f := range p.facts {
			if slices.Contains(uris, typeOf(f)) {
				if who := l.party(f.Signer); who != nil {
					list = append(list, who)
				}
			}
		}
		all = append(all, list)
	}
	return all
}

// typeOf is the predicate type of a statement, and "" of a signature.
func typeOf(f verify.Fact) string {
	if f.Kind == verify.KindSignature || f.Statement == nil {
		return ""
	}
	return f.Statement.PredicateType
}

// types lists the types of statements that no demand of their own is for.
func types(places []*place) []string {
	var all []string
	for _, p := range places {
		for _, f := range p.facts {
			uri := typeOf(f)
			if uri == "" || uri == predicate.TypeProvenanceV1 || uri == predicate.TypeProvenanceV02 || predicate.IsSBOM(uri) {
				continue
			}
			all = append(all, uri)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// provenance demands builder, source and ref where all provenance agrees.
func (l *learner) provenance(places []*place) *provenance {
	uris := []string{predicate.TypeProvenanceV1, predicate.TypeProvenanceV02}
	from, least := common(l.vouchers(places, uris...))
	if least == 0 {
		return nil
	}
	out := &provenance{From: from}
	var sources, refs []string
	for _, p := range places {
		for _, f := range p.facts {
			if !slices.Contains(uris, typeOf(f)) {
				continue
			}
			said, err := predicate.ReadProvenance(typeOf(f), f.Statement.Predicate)
			if err != nil {
				continue // judging the proposal says whether it matters
			}
			out.Builder = append(out.Builder, said.Builder)
			sources, refs = append(sources, said.Source), append(refs, said.Ref)
		}
	}
	slices.Sort(out.Builder)
	out.Builder = slices.Compact(out.Builder)
	out.Source, out.Ref = same(sources), same(refs)
	if out.Source == "" {
		l.notes = append(l.notes, "provenance without one source in common: add `source`")
	}
	if out.Ref == "" && len(refs) > 0 {
		l.notes = append(l.notes, "provenance of several refs, or of none: add `ref`, such as refs/tags/v*")
	}
	return out
}

// same returns the one text that all are, or "".
func same(texts []string) string {
	slices.Sort(texts)
	if texts = slices.Compact(texts); len(texts) == 1 {
		return texts[0]
	}
	return ""
}

// withContent leaves indexes away whose platforms are there: they have no packages.
func withContent(places []*place, all bool) []*place {
	return slices.DeleteFunc(slices.Clone(places), func(p *place) bool { return all && p.index })
}

func scans() []string {
	return []string{predicate.TypeVuln, predicate.TypeVulnsV01, predicate.TypeVulnsV02}
}

// scan demands scans that found nothing worse than these did. Each must be as good: by
// which is the latest nobody vouches where a key signed.
func (l *learner) scan(places []*place, all bool) *scan {
	wanted := withContent(places, all)
	from, least := common(l.vouchers(wanted, scans()...))
	if least == 0 {
		return nil
	}
	accepted := []string{"none", "low", "medium", "high"}
	for _, p := range wanted {
		for _, f := range p.facts {
			if !slices.Contains(scans(), typeOf(f)) {
				continue
			}
			read, err := predicate.ReadScan(typeOf(f), f.Statement.Predicate)
			if err != nil {
				return nil
			}
			for _, found := range read.Findings {
				for len(accepted) > 0 && found.Severity.Exceeds(predicate.ParseSeverity(accepted[0])) {
					accepted = accepted[1:]
				}
			}
		}
	}
	if len(accepted) == 0 {
		l.notes = append(l.notes, "a scan has findings that no rule accepts: only that there is a scan is demanded")
		return nil
	}
	return &scan{From: from, MaxSeverity: accepted[0], Which: "all"}
}

// sbom demands the formats that there are. Of an index with all its platforms only
// the platforms need one.
func (l *learner) sbom(places []*place, all bool) *sbom {
	wanted := withContent(places, all)
	var uris, formats []string
	for _, p := range wanted {
		for _, f := range p.facts {
			uri := typeOf(f)
			if !predicate.IsSBOM(uri) {
				continue
			}
			uris = append(uris, uri)
			if read, err := predicate.ReadSBOM(uri, f.Statement.Predicate); err == nil && (read.Format == "spdx" || read.Format == "cyclonedx") {
				formats = append(formats, read.Format)
			}
		}
	}
	from, least := common(l.vouchers(wanted, uris...))
	if least == 0 || len(uris) == 0 || len(formats) == 0 {
		return nil
	}
	slices.Sort(formats)
	return &sbom{From: from, Format: slices.Compact(formats)}
}

// write writes a policy of these rules and of the signers that they name.
func (l *learner) write(rules []rule) ([]byte, error) {
	used := make(map[string]bool)
	for _, r := range rules {
		q := r.Require
		var lists [][]string
		if q.Signatures != nil {
			lists = append(lists, q.Signatures.From)
		}
		if q.Provenance != nil {
			lists = append(lists, q.Provenance.From)
		}
		if q.Scan != nil {
			lists = append(lists, q.Scan.From)
		}
		if q.SBOM != nil {
			lists = append(lists, q.SBOM.From)
		}
		for _, s := range q.Statements {
			lists = append(lists, s.From)
		}
		for _, name := range slices.Concat(lists...) {
			used[name] = true
		}
	}
	type dict = map[string]any
	signers, keyless := dict{}, false
	for _, p := range l.parties {
		switch {
		case !used[p.name]:
		case p.file != "":
			signers[p.name] = dict{"keys": []dict{{"file": p.file}}}
		default:
			keyless = true
			var subject any = p.subjects
			if len(p.subjects) == 1 {
				subject = p.subjects[0]
			}
			signers[p.name] = dict{"keyless": dict{"trustRoot": "root", "issuer": p.issuer, "subject": dict{p.kind: subject}}}
		}
	}
	document := struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string `yaml:"kind"`
		Metadata   dict   `yaml:"metadata,flow"`
		TrustRoots dict   `yaml:"trustRoots,omitempty"`
		Signers    dict   `yaml:"signers"`
		Rules      []rule `yaml:"rules"`
		Unmatched  string `yaml:"unmatched"`
	}{policy.APIVersion, policy.KindPolicy, dict{"name": l.options.Name}, nil, signers, rules, "deny"}
	if keyless {
		root := dict{"sigstore": "public-good"}
		if l.options.RootFile != "" {
			sum := sha256.Sum256(l.options.Root)
			root = dict{"sigstore": l.options.RootFile, "sha256": hex.EncodeToString(sum[:])}
		}
		document.TrustRoots = dict{"root": root}
	}
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	err := encoder.Encode(document)
	if err == nil {
		err = encoder.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("learning: writing the proposal: %w", err)
	}
	return []byte(strings.TrimLeft(out.String(), "\n")), nil
}
