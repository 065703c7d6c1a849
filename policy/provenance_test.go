package policy

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/verify"
)

const (
	generator = "https://github.com/slsa-framework/slsa-github-generator/.github/workflows/generator_container_slsa3.yml@refs/tags/v2.0.0"
	ghType    = "https://actions.github.io/buildtypes/workflow/v1"
	provOf    = "provenance: {from: [a], "
)

// provenanceCases are the fields whose effect shows on provenance alone: demands that
// are met, and the same with one field changed, which is not.
var provenanceCases = map[string]contentCase{
	"rules[].require.provenance.buildType[]":       {provOf + "buildType: [" + ghType + "]}", "/v1", "/v2", ReasonPolicyDeny},
	"rules[].require.provenance.parameters":        {provOf + "parameters: {workflow.path: .github/workflows/release.yml}}", "release.yml", "test.yml", ReasonPolicyDeny},
	"rules[].require.provenance.onlyParameters":    {provOf + "parameters: {workflow.path: {glob: .github/workflows/*}}}", "}}}", "}}, onlyParameters: true}", ReasonPolicyDeny},
	"rules[].require.provenance.materials":         {provOf + "source: " + source + "}", source + "}", source + ", materials: {include: [x]}}", ReasonPolicyDeny},
	"rules[].require.provenance.materials.include": {provOf + "materials: {include: [{glob: 'git+https://github.com/acme/**'}]}}", "github.com/acme/", "github.com/acme/app2/", ReasonPolicyDeny},
	"rules[].require.provenance.materials.exclude": {provOf + "materials: {exclude: ['git+https://evil.example/x']}}", "'git+https://evil.example/x'", "{regexp: 'git\\+https://github\\.com/acme/.*'}", ReasonPolicyDeny},
}

// builderCases change the policy's own list of builders.
var builderCases = map[string][2]string{
	"builders[]":                       {"{id: " + hosted + ", level: 3, from: [a]}", "{id: " + hosted + "/x, level: 3, from: [a]}"},
	"builders[].id":                    {hosted, hosted + "2"},
	"builders[].level":                 {"level: 3, from: [a]", "level: 1, from: [a]"},
	"builders[].from[]":                {"level: 3, from: [a]", "level: 3, from: [b]"},
	"rules[].require.provenance.level": {"level: 2}", "level: 3}"},
}

func isProvenanceCase(path string) bool {
	_, field := provenanceCases[path]
	_, builder := builderCases[path]
	return field || builder
}

// TestEveryProvenanceFieldHasAnEffect: PO-10 for what [provenanceCases] and
// [builderCases] list.
func TestEveryProvenanceFieldHasAnEffect(t *testing.T) {
	t.Parallel()
	known := paths(reflect.TypeFor[document](), "")
	img := found(attested(t, "a", predicate.TypeProvenanceV1, provenanceBody(hosted, source, tagRef)))
	for path, c := range provenanceCases {
		t.Run("PO-10 "+path, func(t *testing.T) {
			t.Parallel()
			if !slices.Contains(known, path) {
				t.Error("the case is about no field")
			}
			p := parse(t, require(c.demands))
			again, err := Parse("again", p.YAML(), nil)
			if err != nil || again.Digest() != p.Digest() {
				t.Fatalf("the canonical form is another policy: %v\n%s", err, p.YAML())
			}
			expect(t, again.Decide(img, noon), Allow, "")
			expect(t, parse(t, require(replaceOnce(t, c.demands, c.from, c.to))).Decide(img, noon), Deny, c.reason)
		})
	}
	for path, change := range builderCases {
		t.Run("PO-10 "+path, func(t *testing.T) {
			t.Parallel()
			if !slices.Contains(known, path) {
				t.Error("the case is about no field")
			}
			yaml := require(provOf+"level: 2}") + "builders: [{id: " + hosted + ", level: 3, from: [a]}]\n"
			if strings.HasSuffix(path, ".provenance.level") {
				yaml = strings.Replace(yaml, "level: 3, from: [a]", "level: 2, from: [a]", 1)
			}
			expect(t, parse(t, yaml).Decide(img, noon), Allow, "")
			if d := parse(t, replaceOnce(t, yaml, change[0], change[1])).Decide(img, noon); d.Verdict != Deny {
				t.Errorf("decided %+v", d)
			}
		})
	}
}

// certifiedProvenance is provenance that a certificate signed, and its policy.
func certifiedProvenance(t *testing.T, demand, builder string, c *verify.Certificate) Decision {
	t.Helper()
	yaml := keyless(trusted + ", github: {repository: acme/app, ref: " + tagRef + "}}")
	p := parse(t, strings.Replace(yaml, "signatures: {from: [it]}", "provenance: {from: [it]"+demand+"}", 1))
	f := certified(t, p, "public", c)
	body := attested(t, "a", predicate.TypeProvenanceV1, provenanceBody(builder, source, tagRef))
	f.Kind, f.Statement = body.Kind, body.Statement
	return p.Decide(found(f), noon)
}

// TestBuilderIsTheSigner: DS-18, a builder that can be told by its certificate must
// have signed with it.
func TestBuilderIsTheSigner(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, demand, builder string
		certificate           *verify.Certificate
		reason                verify.Reason
	}{
		{"the generator", ", level: 3", generator, github(name("URI", generator)), ""},
		{"the generator, by a workflow", "", generator, github(), verify.ReasonIdentityMismatch},
		{"the generator, another version", "", generator, github(name("URI", strings.Replace(generator, "v2.0.0", "v1.9.0", 1))), verify.ReasonIdentityMismatch},
		{"the generator, a tag that is no release", ", level: 3", generator + "-evil", github(name("URI", generator+"-evil")), ReasonPolicyDeny},
		{"the generator, a fork", ", level: 3", strings.Replace(generator, "slsa-framework", "evil", 1), github(name("URI", strings.Replace(generator, "slsa-framework", "evil", 1))), ReasonPolicyDeny},
		{"the generator on a branch", ", level: 3", strings.Replace(generator, "tags/v2.0.0", "heads/main", 1), github(name("URI", strings.Replace(generator, "tags/v2.0.0", "heads/main", 1))), ReasonPolicyDeny},
		{"a prefix", ", level: 2", "x" + hosted, github(), ReasonPolicyDeny},
		{"GitHub's runner", ", level: 2", hosted, github(), ""},
		{"GitHub's runner is no level 3", ", level: 3", hosted, github(), ReasonPolicyDeny},
		{"GitHub's runner, by one's own", "", hosted, github(say("11", "self-hosted")), verify.ReasonIdentityMismatch},
		{"the workflow itself", ", level: 2", release, github(), ""},
		{"another workflow", "", strings.Replace(release, "acme/app", "acme/other", 1), github(), verify.ReasonIdentityMismatch},
		{"nobody knows it", "", "https://build.acme.example", github(), ""},
		{"nobody knows its level", ", level: 1", "https://build.acme.example", github(), ReasonPolicyDeny},
	} {
		t.Run("DS-18 "+row.name, func(t *testing.T) {
			t.Parallel()
			verdict := Allow
			if row.reason != "" {
				verdict = Deny
			}
			expect(t, certifiedProvenance(t, row.demand, row.builder, row.certificate), verdict, row.reason)
		})
	}
	t.Run("DS-18 a key claims GitHub's runner", func(t *testing.T) {
		t.Parallel()
		img := found(attested(t, "a", predicate.TypeProvenanceV1, provenanceBody(hosted, source, tagRef)))
		expect(t, parse(t, require(provOf+"level: 1}")).Decide(img, noon), Deny, ReasonPolicyDeny)
		own := require("provenance: {from: [a]}") + "builders: [{id: " + hosted + ", level: 3, from: [b]}]\n"
		expect(t, parse(t, own).Decide(img, noon), Deny, verify.ReasonIdentityMismatch)
	})
}

// TestParametersOfBothVersions: SLSA v0.2 and v1 are read through one view.
func TestParametersOfBothVersions(t *testing.T) {
	t.Parallel()
	old := fmt.Sprintf(`{"builder":{"id":%q},"buildType":"https://build.acme.example/v1","invocation":{"configSource":{"uri":"git+%s@%s"},"parameters":{"inputs":{"fast":true,"jobs":4}}},"materials":[{"uri":"pkg:docker/golang@1.26","digest":{"sha256":"00"}}]}`, hosted, source, tagRef)
	img := found(attested(t, "a", predicate.TypeProvenanceV02, old))
	for demand, allowed := range map[string]bool{
		"parameters: {inputs.fast: 'true', inputs.jobs: '4'}, onlyParameters: true": true,
		"parameters: {inputs.fast: 'true'}, onlyParameters: true":                   false,
		"parameters: {inputs.fast: ['false', 'true']}":                              true,
		"parameters: {inputs: {regexp: '.*'}}":                                      false,
		"parameters: {Inputs.fast: 'true'}":                                         false,
		"parameters: {inputs.slow: {regexp: '.*'}}":                                 false,
		"onlyParameters: true":                                                      false,
		"materials: {include: ['pkg:docker/golang@1.26']}":                          true,
		"materials: {include: ['pkg:docker/golang@1.26', 'pkg:docker/alpine']}":     false,
		"materials: {exclude: ['pkg:docker/alpine', {glob: 'pkg:docker/gol*'}]}":    false,
		"buildType: ['https://build.acme.example/v1', x]":                           true,
	} {
		want, reason := Allow, verify.Reason("")
		if !allowed {
			want, reason = Deny, ReasonPolicyDeny
		}
		d := parse(t, require(provOf+demand+"}")).Decide(img, noon)
		if d.Verdict != want || d.Reason != reason {
			t.Errorf("%s: %+v", demand, d)
		}
	}
}

// TestBadProvenanceDemands: what can never be met, or says nothing, is refused.
func TestBadProvenanceDemands(t *testing.T) {
	t.Parallel()
	for _, demand := range []string{
		"parameters: {}", "parameters: []", "parameters: {x: ''}", "parameters: {x: 4}", "parameters: {x: []}", "parameters: {x: null}", "parameters: {x: 'a*'}",
		"materials: {}", "materials: {include: []}", "level: 0", "level: 4", "onlyParameters: false", "buildType: []", "parameters: {x: y, x: z}",
	} {
		if e := fault(t, require(provOf+demand+"}")); e.Line == 0 {
			t.Errorf("%s: no place in %v", demand, e)
		}
	}
	for _, list := range []string{"[]", "[{id: x, level: 4, from: [a]}]", "[{id: x, level: 1, from: [nobody]}]", "[{id: x, level: 1, from: [a]}, {id: x, level: 2, from: [a]}]", "[{id: 'x*', level: 1, from: [a]}]"} {
		if e := fault(t, require("provenance: {from: [a]}")+"builders: "+list+"\n"); e.Line == 0 {
			t.Errorf("%s: no place in %v", list, e)
		}
	}
}
