package policy

import (
	"errors"
	"testing"
)

// FuzzParse: no text makes Parse panic; every error is an *Invalid with places;
// every accepted policy has a canonical form that means the same.
func FuzzParse(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte(require("signatures: {from: [a]}")))
	f.Add([]byte(require("statements:\n- type: custom\n  from: [a]\n  cel:\n  - |\n    statement.predicate ==\n      \"x: 'y' # z\"\n")))
	f.Add([]byte(identities))
	f.Add([]byte(keyless(full3)))
	f.Add([]byte(keyless(byURI)))
	f.Add([]byte(keyless(`{trustRoot: corp, issuer: {regexp: 'https://a\.example/.*'}, subject: {dns: [{glob: '*.acme.example'}, a.example]}}`)))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("{\"kind\": \"TrustPolicy\"}"))
	if p, err := ForKey(key(f, "a")); err == nil {
		f.Add(p.YAML())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse("policy.yaml", data, keyFiles(t))
		if err != nil {
			var all *Invalid
			if p != nil || !errors.As(err, &all) || len(all.Errors) == 0 || !errors.Is(err, ErrInvalid) {
				t.Fatalf("a policy and the error %v", err)
			}
			for _, e := range all.Errors {
				if e.Line < 1 || e.Column < 1 || e.Err == nil {
					t.Errorf("no place in %v", e)
				}
			}
			return
		}
		again, err := Parse("again.yaml", p.YAML(), nil)
		if err != nil {
			t.Fatalf("the canonical form is refused: %v\n%s", err, p.YAML())
		}
		if again.Digest() != p.Digest() {
			t.Fatalf("the canonical form is not stable:\n%s\n%s", p.YAML(), again.YAML())
		}
		if d := p.Decide(Image{Name: "registry.acme.example/prod/app"}, noon); d.Verdict == Allow && len(d.Warnings) == 0 {
			t.Fatalf("an image without evidence is allowed: %+v", d)
		}
	})
}

// FuzzPattern: no pattern or name panics, and what is read is written back.
func FuzzPattern(f *testing.F) {
	f.Add("registry.io/team/*", "registry.io/team/app")
	f.Add("*.acme.example/**", "eu.acme.example/a/b")
	f.Add("nginx", "index.docker.io/library/nginx")
	f.Add("[::1]:5000/x", "[::1]:5000/x")
	f.Fuzz(func(t *testing.T, text, name string) {
		p, err := parsePattern(text)
		if err != nil {
			return
		}
		again, err := parsePattern(p.String())
		if err != nil || again.String() != p.String() {
			t.Fatalf("PO-04 %q is read as %q, and that as %q: %v", text, p, again, err)
		}
		canonical, err := CanonicalName(name)
		if err != nil {
			return
		}
		if twice, err := CanonicalName(canonical); err != nil || twice != canonical {
			t.Fatalf("PO-04 the name %q is not canonical: %q, %v", canonical, twice, err)
		}
		if own, err := parsePattern(canonical); err != nil || !own.match(canonical) || p.match(canonical) && !p.meets(own) {
			t.Fatalf("%q and %q: %v", p, canonical, err)
		}
	})
}
