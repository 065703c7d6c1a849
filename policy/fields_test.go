package policy

import (
	"reflect"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/verify"
)

// paths lists every leaf and every mapping of the language by its path.
func paths(t reflect.Type, path string) []string {
	var all []string
	entries, _ := entriesOf(t)
	for _, e := range entries {
		field := t.Field(e.index).Type
		name := join(path, e.name)
		if e.key {
			name = path
		}
		for field.Kind() == reflect.Pointer || field.Kind() == reflect.Slice {
			if field.Kind() == reflect.Slice {
				name += "[]"
			}
			field = field.Elem()
		}
		all = append(all, name)
		if !isLeaf(field) {
			all = append(all, paths(field, name)...)
		}
	}
	return all
}

// fieldCase changes one field of the full policy. The image below passes the
// full policy; with the change it must be denied, or the policy refused.
type fieldCase struct {
	from, to string
	refused  bool
}

// TestEveryFieldHasAnEffect: PO-10. Each field alone turns Allow into Deny; a
// field that decides nothing by itself is demanded, so that leaving it away
// makes the policy invalid. A new field without a case fails the test.
func TestEveryFieldHasAnEffect(t *testing.T) {
	t.Parallel()
	prefix := "rules[].require."
	cases := map[string]fieldCase{
		"apiVersion":                        {"v1alpha1", "v1", true},
		"kind":                              {"TrustPolicy", "TrustPolicies", true},
		"metadata":                          {"metadata: {name: acme-production}\n", "", true},
		"metadata.name":                     {"name: acme-production", "", true},
		"signers[]":                         {"  release: {", "  other: {", true},
		"signers[].keys[]":                  {"{file: a.pub}", "{file: x.pub}", false},
		"signers[].keys[].file":             {"file: a.pub", "file: y.pub", false},
		"signers[].keys[].pem":              {"{file: a.pub}", "{pem: " + quoted(key(t, "x").PEM()) + "}", false},
		"rules[]":                           {"  - name: production\n", "  - name: lax\n    images: [registry.acme.example/**]\n    require: {signatures: {from: [ops]}}\n  - name: production\n", false},
		"rules[].name":                      {"  - name: production\n", "  - name: base images\n", true},
		"rules[].images[]":                  {"registry.acme.example/prod/**", "registry.acme.example/prod/other", false},
		"rules[].platforms":                 {"platforms: index", "platforms: all", false},
		"rules[].require":                   {"    require:\n      signatures", "    requires:\n      signatures", true},
		prefix + "signatures":               {"{from: [release, ops], atLeast: 2}", "{from: [release, ops, third], atLeast: 3}", false},
		prefix + "signatures.from[]":        {"[release, ops], atLeast: 2", "[release, third], atLeast: 2", false},
		prefix + "signatures.atLeast":       {"[release, ops, third], atLeast: 2", "[release, ops, third], atLeast: 3", false},
		prefix + "provenance":               {"      sbom:", "      provenance: {from: [third]}\n      sbom:", false},
		prefix + "provenance.from[]":        {"provenance:\n        from: [release]", "provenance:\n        from: [ops]", false},
		prefix + "provenance.builder[]":     {"builder: [" + hosted + "]", "builder: [" + hosted + "/x]", false},
		prefix + "provenance.source":        {"source: https://github.com/acme/app", "source: https://github.com/acme/app2", false},
		prefix + "provenance.ref":           {"ref: refs/tags/v*", "ref: refs/heads/*", false},
		prefix + "sbom":                     {"      statements:", "      sbom: {from: [third]}\n      statements:", false},
		prefix + "sbom.from[]":              {"sbom:\n        from: [release]", "sbom:\n        from: [ops]", false},
		prefix + "sbom.format[]":            {"format: [spdx, cyclonedx]", "format: [cyclonedx]", false},
		prefix + "sbom.deny":                {"        deny: {packages: [\"pkg:npm/event-stream@3.3.6\", \"pkg:maven/org.apache.logging.log4j/log4j-core@<2.17.1\"]}", "        deny: {packages: ['pkg:npm/good']}", false},
		prefix + "sbom.deny.packages[]":     {"log4j-core@<2.17.1", "log4j-core@<2.17.2", false},
		prefix + "statements[]":             {"          cel: [", "        - {type: custom, from: [release]}\n          #", false},
		prefix + "statements[].type":        {"type: https://in-toto.io/attestation/test-result/v0.1", "type: vuln", false},
		prefix + "statements[].from[]":      {"          from: [release]\n          cel", "          from: [ops]\n          cel", false},
		prefix + "statements[].cel[]":       {"== 'PASSED'", "== 'PERFECT'", false},
		"unmatched":                         {"unmatched: warn", "unmatched: deny", false},
		"groups":                            {"groups: {release: [rel]}", "groups: {release: [third]}", false},
		"signers[].timesFrom":               {"release: {keys", "release: {timesFrom: public, keys", false},
		"signers[].keys[].notBefore":        {"{file: a.pub}", "{file: a.pub, notBefore: 2026-03-02}", false},
		"signers[].keys[].notAfter":         {"{file: a.pub}", "{file: a.pub, notAfter: 2026-03-01}", false},
		"signers[].keys[].compromisedSince": {"{file: a.pub}", "{file: a.pub, compromisedSince: 2026-03-02}", false},
		"rules[].mode":                      {"    platforms: index\n", "    platforms: index\n    mode: Warn\n", true},
		"rules[].from":                      {"    platforms: index\n", "    platforms: index\n    from: 2026-03-02\n", false},
		"rules[].until":                     {"    platforms: index\n", "    platforms: index\n    until: 2026-03-01\n", false},
		"exceptions[]":                      {exceptionFor(imageDigest.String()), "", false},
		"exceptions[].image":                {"app@" + imageDigest.String(), "app@" + digest.FromBytes([]byte("another")).String(), false},
		"exceptions[].rule":                 {"rule: production", "rule: base images", true},
		"exceptions[].skip[]":               {"skip: [signatures]", "skip: [sbom]", false},
		"exceptions[].reason":               {"reason: old, ", "", true},
		"exceptions[].owner":                {"owner: us, ", "", true},
		"exceptions[].ticket":               {"ticket: T-1, ", "", true},
		"exceptions[].expires":              {"expires: 2026-12-31", "expires: 2026-03-01", false},
		"include[]":                         {including, "", true},
		"include[].file":                    {"file: more.yaml", "file: less.yaml", true},
		"include[].sha256":                  {"sha256: '" + digest.FromBytes([]byte(moreFile)).Hex(), "sha256: '" + strings.Repeat("0", 64), true},
		// The second statements below fail, which `any` does not mind; none has a time.
		prefix + "signatures.maxAge":   {"atLeast: 2}", "atLeast: 2, maxAge: 1h}", false},
		prefix + "provenance.which":    {"source: " + source, "which: all\n        source: " + source, false},
		prefix + "provenance.maxAge":   {"source: " + source, "maxAge: 1h\n        source: " + source, false},
		prefix + "sbom.which":          {"format: [spdx, cyclonedx]", "which: all", false},
		prefix + "sbom.maxAge":         {"format: [spdx, cyclonedx]", "maxAge: 1h", false},
		prefix + "statements[].which":  {"          cel: [", "          which: latest\n          cel: [", false},
		prefix + "statements[].maxAge": {"          cel: [", "          maxAge: 1h\n          cel: [", false},
	}
	base := strings.NewReplacer("platforms: all", "platforms: index", "release: {keys", "third: {keys: [{file: t.pub}]}\n  release: {keys").Replace(full)
	// What a case needs the policy to say before its change.
	before := map[string][2]string{
		"include[]":                   {"signers:\n  third: {keys: [{file: t.pub}]}\n  release: {keys: [{file: a.pub}]}\n", including + "signers:\n  third: {keys: [{file: t.pub}]}\n"},
		"include[].file":              {"signers:\n  third: {keys: [{file: t.pub}]}\n  release: {keys: [{file: a.pub}]}\n", including + "signers:\n  third: {keys: [{file: t.pub}]}\n"},
		"include[].sha256":            {"signers:\n  third: {keys: [{file: t.pub}]}\n  release: {keys: [{file: a.pub}]}\n", including + "signers:\n  third: {keys: [{file: t.pub}]}\n"},
		"exceptions[]":                {"rules:\n", exceptionFor(imageDigest.String()) + "rules:\n"},
		"groups":                      {"signers:\n  third: {keys: [{file: t.pub}]}\n  release: {", "groups: {release: [rel]}\nsigners:\n  third: {keys: [{file: t.pub}]}\n  rel: {"},
		"signers[].timesFrom":         {"signers:\n", "trustRoots: {public: {sigstore: root.json}}\nsigners:\n"},
		prefix + "provenance":         {between(full, "      provenance:", "      sbom:"), ""},
		prefix + "sbom":               {between(full, "      sbom:", "      statements:"), ""},
		prefix + "signatures.atLeast": {"[release, ops], atLeast: 2", "[release, ops, third], atLeast: 2"},
		"unmatched":                   {"unmatched: deny", "unmatched: warn"},
		"rules[]":                     {"registry.acme.example/prod/**", "registry.acme.example/prod/*"},
	}
	img := found(
		signed(t, "a"), signed(t, "b"),
		attested(t, "a", predicate.TypeProvenanceV1, provenanceBody(hosted, source, tagRef)),
		attested(t, "a", predicate.TypeSPDX, spdx("pkg:npm/good@1", "pkg:maven/org.apache.logging.log4j/log4j-core@2.17.1")),
		attested(t, "a", testType, passed),
		attested(t, "a", predicate.TypeProvenanceV1, provenanceBody(hosted+"/bad", source, tagRef)),
		attested(t, "a", predicate.TypeSPDX, spdx("pkg:npm/event-stream@3.3.6", "pkg:npm/good@1")),
		attested(t, "a", testType, failed),
	)
	img.Index = true
	img.Platforms = []Part{{Subject: verify.Subject{Digest: digest.FromBytes([]byte("platform"))}, Platform: "linux/amd64"}}
	named := make(map[string]bool)
	for _, path := range paths(reflect.TypeFor[document](), "") {
		named[path] = true
		if _, found := keylessCases[path]; found {
			continue // TestEveryKeylessFieldHasAnEffect
		}
		if _, found := contentCases[path]; found {
			continue // TestEveryContentFieldHasAnEffect
		}
		if _, found := relationCases[path]; found {
			continue // TestEveryRelationHasAnEffect
		}
		if _, found := summaryCases[path]; found {
			continue // TestEverySummaryFieldHasAnEffect
		}
		if isProvenanceCase(path) {
			continue // TestEveryProvenanceFieldHasAnEffect
		}
		c, found := cases[path]
		if !found {
			t.Errorf("PO-10 no case shows the effect of %s", path)
			continue
		}
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			yaml, image := base, img
			if strings.HasPrefix(path, "exceptions") {
				// A third signature is wanted, and an exception makes up for it.
				yaml = replaceOnce(t, yaml, "[release, ops], atLeast: 2", "[release, ops, third], atLeast: 3")
				if path != "exceptions[]" {
					yaml = replaceOnce(t, yaml, "rules:\n", exceptionFor(imageDigest.String())+"rules:\n")
				}
			}
			if change, needed := before[path]; needed {
				yaml = replaceOnce(t, yaml, change[0], change[1])
			}
			switch path {
			case "unmatched":
				image.Name = "unmatched.example/x"
			case "rules[]":
				// A second rule never loosens the first; it governs what the first does not.
				image.Name = "registry.acme.example/prod/app"
			}
			expect(t, parse(t, yaml).Decide(image, noon), Allow, "")
			if path == "rules[]" {
				image.Name = "registry.acme.example/prod/a/b"
				expect(t, parse(t, yaml).Decide(image, noon), Deny, ReasonNoMatch)
				image.Name = "registry.acme.example/prod/app"
				yaml = replaceOnce(t, yaml, "  - name: production\n", "  - {name: strict, images: [registry.acme.example/prod/app], require: {signatures: {from: [third]}}}\n  - name: production\n")
				expect(t, parse(t, yaml).Decide(image, noon), Deny, verify.ReasonIdentityMismatch)
				return
			}
			yaml = replaceOnce(t, yaml, c.from, c.to)
			p, err := Parse("policy.yaml", []byte(yaml), keyFiles(t))
			if c.refused {
				if err == nil {
					t.Errorf("PO-10 %s is changed, and the policy is accepted", path)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := p.Decide(image, noon); d.Verdict != Deny {
				t.Errorf("PO-10 %s alone does not turn allow into deny: %+v", path, d)
			}
		})
	}
	for path := range keylessCases {
		if !named[path] {
			t.Errorf("PO-10 the case %s is about no field", path)
		}
	}
	for path := range cases {
		if !named[path] {
			t.Errorf("PO-10 the case %s is about no field", path)
		}
	}
}

func replaceOnce(t *testing.T, s, from, to string) string {
	t.Helper()
	if !strings.Contains(s, from) {
		t.Fatalf("%q does not stand in:\n%s", from, s)
	}
	return strings.Replace(s, from, to, 1)
}

func between(s, from, to string) string { return s[strings.Index(s, from):strings.Index(s, to)] }

func quoted(pem []byte) string { return `"` + strings.ReplaceAll(string(pem), "\n", `\n`) + `"` }

// exceptionFor lets an image go without signatures.
func exceptionFor(image string) string {
	return "exceptions: [{image: 'registry.acme.example/prod/app@" + image + "', rule: production, skip: [signatures], reason: old, owner: us, ticket: T-1, expires: 2026-12-31}]\n"
}
