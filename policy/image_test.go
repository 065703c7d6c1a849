package policy

import (
	"strings"
	"testing"
	"time"
)

// TestPatterns holds the pattern language: whole segments of canonical names.
func TestPatterns(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, pattern string
		yes, no       []string
	}{
		{
			"PO-02 a star stays in its segment", "registry.io/team*",
			[]string{"registry.io/team", "registry.io/team-evil", "registry.io/teamx"},
			[]string{"registry.io/team-evil/app", "registry.io/team/x/y", "registry.io/ateam", "registry.io/tea"},
		},
		{
			"PO-02 a team's folder is not another team's", "registry.io/team/*",
			[]string{"registry.io/team/app"},
			[]string{"registry.io/team", "registry.io/team-evil/app", "registry.io/team/app/evil", "registry.io/teamx/app"},
		},
		{
			"PO-02 two stars take whole segments below", "registry.io/team/**",
			[]string{"registry.io/team/app", "registry.io/team/a/b/c"},
			[]string{"registry.io/team", "registry.io/team-evil/app", "registry.io/other/team/app"},
		},
		{"PO-02 a star in the middle", "registry.io/*/app", []string{"registry.io/x/app"}, []string{"registry.io/x/y/app", "registry.io/app", "registry.io/x/app2"}},
		{"PO-02 parts of a segment", "registry.io/a*b*c", []string{"registry.io/abc", "registry.io/axxbc"}, []string{"registry.io/ab", "registry.io/abcd"}},
		{
			"PO-03 a host is compared as a whole", "gcr.io/**",
			[]string{"gcr.io/x"},
			[]string{"gcr.io.evil.example/x", "eu.gcr.io/x", "evilgcr.io/x", "gcr.io:5000/x", "evil.example/gcr.io/x"},
		},
		{
			"PO-03 a wildcard host is one label", "*.acme.example/app",
			[]string{"eu.acme.example/app"},
			[]string{"acme.example/app", "a.b.acme.example/app", "eu.acme.example.evil.example/app", "eviacme.example/app", "eu.acme.example:5000/app"},
		},
		{"PO-03 ports belong to the host", "localhost:5000/**", []string{"localhost:5000/a"}, []string{"localhost/a", "localhost:50000/a"}},
		{"PO-05 only the canonical form is matched", "foo*", []string{"foo", "docker.io/library/foobar"}, []string{"foo.io/x", "foo/x"}},
		{"everything", "**", []string{"nginx", "registry.io/a/b", "[::1]:5000/x"}, nil},
		{"Docker Hub's own", "docker.io/library/*", []string{"nginx", "index.docker.io/library/nginx"}, []string{"team/nginx"}},
		{"all of Docker Hub", "docker.io/**", []string{"nginx", "team/nginx"}, []string{"ghcr.io/team/nginx"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for want, names := range map[bool][]string{true: row.yes, false: row.no} {
				for _, name := range names {
					got, err := MatchesImage(row.pattern, name)
					if err != nil || got != want {
						t.Errorf("%q matches %q: %v, %v", row.pattern, name, got, err)
					}
				}
			}
		})
	}
}

// TestHubSpellings: every spelling of a name matches every spelling of a pattern.
func TestHubSpellings(t *testing.T) {
	t.Parallel()
	spellings := []string{"nginx", "library/nginx", "docker.io/nginx", "docker.io/library/nginx", "index.docker.io/nginx", "index.docker.io/library/nginx", "registry-1.docker.io/library/nginx", "docker.io:443/nginx"}
	for _, pattern := range spellings {
		for _, name := range spellings {
			if got, err := MatchesImage(pattern, name); !got || err != nil {
				t.Errorf("PO-04 %q does not match %q: %v", pattern, name, err)
			}
		}
	}
}

func TestBadPatterns(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		"", "/", "/x", "x/", "a//b", "*", "*/x", "**/x", "a/**/b", "a/b**", "a/***", "Registry.io/x", "registry.io/X", "registry.io/x:latest",
		"registry.io/x@sha256:00", "*.com/x", "*.docker.io/x", "reg*.acme.example/x", "a.*.example/x", "*/library/x", "https://registry.io/x", "registry.io", ".", "registry.io/../x",
		"registry.io/a b", "*.*.example/x", "münchen.example/x", "*.[::1]/x", "registry.io/" + strings.Repeat("a", 2000),
	} {
		if bad == "registry.io" || bad == "." {
			continue // a Docker Hub name, as Docker itself reads it
		}
		if _, err := parsePattern(bad); err == nil {
			t.Errorf("PO-02 the pattern %q is accepted", bad)
		}
	}
}

func TestBadNames(t *testing.T) {
	t.Parallel()
	p := parse(t, require("signatures: {from: [a]}"))
	for _, bad := range []string{"", "/", "A/b", "registry.io:0443/x", "registry.io:0/x", "[::1]:05000/x", "registry.io/x:tag", "registry.io/x@sha256:00", "registry.io//x", "registry.io/*", "registry.io/**", "x y", "registry.io/x/", "\x00"} {
		d := p.Decide(Image{Name: bad}, noon)
		if d.Verdict != Deny || d.Reason != ReasonReference {
			t.Errorf("the name %q gives %s/%s", bad, d.Verdict, d.Reason)
		}
	}
}

// TestHostilePatterns: PO-13, no pattern and no name costs much.
func TestHostilePatterns(t *testing.T) {
	t.Parallel()
	start := time.Now()
	stars, long := strings.Repeat("a*", 250)+"b", strings.Repeat("a", 600)
	for range 100 {
		if matchSegment(stars, long) {
			t.Fatal("PO-13 matched")
		}
		meetsSegment(stars, strings.Repeat("*a", 250))
	}
	if _, err := parsePattern("registry.io/" + strings.Repeat("a*", 600)); err == nil {
		t.Error("PO-13 a pattern of 1200 characters is accepted")
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("PO-13 took %s", took)
	}
}

// TestMeetsAgreesWithMatching compares the two ways to ask on all short texts.
func TestMeetsAgreesWithMatching(t *testing.T) {
	t.Parallel()
	texts := []string{""}
	for i := 0; i < len(texts); i++ {
		if len(texts[i]) < 5 {
			texts = append(texts, texts[i]+"a", texts[i]+"b")
		}
	}
	patterns := []string{"a", "b", "ab", "a*", "*a", "*", "a*b", "*ab", "b*a*", "*a*", "aa*", "*ba*b", "a*a"}
	for _, p := range patterns {
		for _, q := range patterns {
			both, subset := false, true
			for _, s := range texts {
				inP, inQ := matchSegment(p, s), matchSegment(q, s)
				both = both || inP && inQ
				subset = subset && (!inP || inQ)
			}
			if meetsSegment(p, q) != both {
				t.Errorf("%q meets %q: %v", p, q, !both)
			}
			if matchSegment(q, p) != subset {
				t.Errorf("%q takes all of %q: %v", q, p, !subset)
			}
		}
	}
}

// TestMostSpecific: one rule governs an image, whatever the order of the rules.
func TestMostSpecific(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, winner, loser, image string }{
		{"a longer literal path", "registry.io/team/app", "registry.io/team/*", "registry.io/team/app"},
		{"a longer literal path before a star", "registry.io/team/*", "registry.io/*/app", "registry.io/team/app"},
		{"one star before two", "registry.io/team/*", "registry.io/team/**", "registry.io/team/app"},
		{"a deeper pattern", "registry.io/team/a/**", "registry.io/team/**", "registry.io/team/a/b"},
		{"a part before a star", "registry.io/team-*", "registry.io/*", "registry.io/team-a"},
		{"a longer part", "registry.io/team-a*", "registry.io/team-*", "registry.io/team-ab"},
		{"a host before a wildcard host", "eu.acme.example/**", "*.acme.example/prod/app", "eu.acme.example/prod/app"},
		{"anything before everything", "registry.io/**", "**", "registry.io/x"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			rule := func(name, pattern string) string {
				return "  - {name: " + name + ", images: ['" + pattern + "'], require: {signatures: {from: [a]}}}\n"
			}
			for _, rules := range []string{rule("winner", row.winner) + rule("loser", row.loser), rule("loser", row.loser) + rule("winner", row.winner)} {
				plan, err := parse(t, policyOf(rules)).Plan(row.image)
				if err != nil || plan.Rule != "winner" {
					t.Errorf("the rule is %q, %v", plan.Rule, err)
				}
			}
		})
	}
}

// TestAmbiguousRules: equal rights are refused when the file is read.
func TestAmbiguousRules(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{
		{"registry.io/app", "registry.io/app"},
		{"nginx", "index.docker.io/library/nginx"},
		{"registry.io/a*", "registry.io/*b"},
		{"registry.io/te*/x", "registry.io/*am/*"},
		{"**", "**"},
		{"registry.io/a*b", "registry.io/ab*"},
	} {
		e := fault(t, policyOf("  - {name: one, images: ['"+pair[0]+"'], require: {signatures: {from: [a]}}}\n"+
			"  - {name: two, images: ['"+pair[1]+"'], require: {signatures: {from: [b]}}}\n"))
		if e.Line != 10 || !strings.Contains(e.Error(), "equally specific") {
			t.Errorf("PO-08 %v: %v", pair, e)
		}
	}
	parse(t, policyOf("  - {name: one, images: ['registry.io/a*'], require: {signatures: {from: [a]}}}\n"+
		"  - {name: two, images: ['registry.io/*b/**', 'registry.io/b*'], require: {signatures: {from: [b]}}}\n"))
	if e := fault(t, policyOf("  - {name: one, images: [nginx, docker.io/nginx], require: {signatures: {from: [a]}}}\n")); !strings.Contains(e.Error(), "twice") {
		t.Errorf("PO-08 %v", e)
	}
	if e := fault(t, policyOf("  - {name: one, images: [x.io/a], require: {signatures: {from: [a]}}}\n  - {name: one, images: [x.io/b], require: {signatures: {from: [a]}}}\n")); !strings.Contains(e.Error(), "second rule") {
		t.Errorf("PO-08 %v", e)
	}
}
