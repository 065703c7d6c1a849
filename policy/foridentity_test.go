package policy

import (
	"errors"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
)

func TestForIdentity(t *testing.T) {
	t.Parallel()
	root := instances()[0].TrustedRoot(t)
	person := &verify.Certificate{Issuer: "https://accounts.google.com", SANType: "Email", SAN: "release@acme.example"}
	host := &verify.Certificate{Issuer: "https://issuer.acme.example", SANType: "DNS", SAN: "build.acme.example"}
	for name, row := range map[string]struct {
		issuer, subject Pattern
		certificate     *verify.Certificate
		allow           bool
	}{
		"exact":                     {Pattern{Exact: actions}, Pattern{Exact: release}, github(), true},
		"regexp":                    {Pattern{Regexp: `https://token\.actions\.githubusercontent\.com`}, Pattern{Regexp: `^https://github\.com/acme/app/.+@refs/tags/v.*$`}, github(), true},
		"e-mail":                    {Pattern{Exact: person.Issuer}, Pattern{Exact: person.SAN}, person, true},
		"e-mails":                   {Pattern{Exact: person.Issuer}, Pattern{Regexp: `.+@acme\.example`}, person, true},
		"host":                      {Pattern{Exact: host.Issuer}, Pattern{Exact: host.SAN}, host, true},
		"CI-01 another repository":  {Pattern{Exact: actions}, Pattern{Regexp: `https://github\.com/acme/ap`}, github(), false},
		"CI-09 another issuer":      {Pattern{Exact: actions + "/"}, Pattern{Exact: release}, github(), false},
		"CI-06 e-mail for a URI":    {Pattern{Exact: actions}, Pattern{Exact: release}, github(name("Email", release)), false},
		"CI-05 reusable workflow":   {Pattern{Exact: actions}, Pattern{Exact: release}, github(say("12", "https://github.com/evil/app")), false},
		"TR-13 another trust root":  {Pattern{Exact: actions}, Pattern{Exact: release}, nil, false},
		"SB-03 another e-mail":      {Pattern{Exact: person.Issuer}, Pattern{Exact: "other@acme.example"}, person, false},
		"SB-03 issuer of e-mails":   {Pattern{Exact: actions}, Pattern{Exact: person.SAN}, person, false},
		"CI-02 the whole of a host": {Pattern{Exact: host.Issuer}, Pattern{Exact: "acme.example"}, host, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := ForIdentity(root, trust.Keyless(), row.issuer, row.subject)
			if err != nil {
				t.Fatal(err)
			}
			again, err := Parse("again", p.YAML(), nil)
			if err != nil || again.Digest() != p.Digest() {
				t.Fatalf("the canonical form is another policy: %v\n%s", err, p.YAML())
			}
			plan, err := p.Plan(image)
			if err != nil || len(plan.Roots) != 1 || plan.Roots[0].Need != trust.Keyless() || !plan.Signatures {
				t.Fatalf("the plan is %+v, %v", plan, err)
			}
			f := verify.Fact{}
			if row.certificate == nil {
				f = certified(t, parse(t, keyless(full3)), "other", github())
			} else {
				f = certified(t, p, "identity", row.certificate)
			}
			want := Deny
			if row.allow {
				want = Allow
			}
			if d := p.Decide(found(f), noon); d.Verdict != want {
				t.Errorf("decided %+v", d)
			}
		})
	}
}

func TestForIdentityRefuses(t *testing.T) {
	t.Parallel()
	root := instances()[0].TrustedRoot(t)
	good := Pattern{Exact: actions}
	for name, row := range map[string]struct {
		root            []byte
		need            trust.Requirement
		issuer, subject Pattern
	}{
		"CI-03 no issuer":      {root, trust.Keyless(), Pattern{}, Pattern{Exact: release}},
		"CI-03 no subject":     {root, trust.Keyless(), good, Pattern{}},
		"CI-03 both forms":     {root, trust.Keyless(), good, Pattern{Exact: release, Regexp: "x/y"}},
		"CI-24 every subject":  {root, trust.Keyless(), good, Pattern{Regexp: ".*"}},
		"CI-24 every URI":      {root, trust.Keyless(), good, Pattern{Regexp: "https://.*"}},
		"CI-24 every issuer":   {root, trust.Keyless(), Pattern{Regexp: ".*"}, Pattern{Exact: release}},
		"CI-02 a dot":          {root, trust.Keyless(), good, Pattern{Regexp: "^https://github.com/acme/app/.*"}},
		"CI-01 brackets":       {root, trust.Keyless(), good, Pattern{Regexp: `https://github\.com/acme/x)|(?:.*`}},
		"no trusted time":      {root, trust.Requirement{LogEntries: 1}, good, Pattern{Exact: release}},
		"no root":              {nil, trust.Keyless(), good, Pattern{Exact: release}},
		"a path for a root":    {[]byte("root.json"), trust.Keyless(), good, Pattern{Exact: release}},
		"TR-08 truncated root": {root[:len(root)/2], trust.Keyless(), good, Pattern{Exact: release}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := ForIdentity(row.root, row.need, row.issuer, row.subject)
			var all *Invalid
			if p != nil || !errors.As(err, &all) || !strings.HasPrefix(err.Error(), "the wanted identity: ") {
				t.Errorf("a policy %v and the error %v", p, err)
			}
		})
	}
	_, err := ForIdentity(root, trust.Keyless(), good, Pattern{Regexp: "^https://github.com/acme/app/.*"})
	if want := `{regexp: '^https://github\.com/acme/app/.*'}`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the hint does not show the escaped form: %v", err)
	}
}

// TestRootsOfAPlan: each root once, keys in one of their own, each with its own
// thresholds.
func TestRootsOfAPlan(t *testing.T) {
	t.Parallel()
	p := parse(t, `apiVersion: hallmark.dev/v1alpha1
kind: TrustPolicy
metadata: {name: test}
trustRoots:
  public: {sigstore: public-good, log: 2, sct: 0}
  same: {sigstore: root.json, log: 2, sct: 0}
  other: {sigstore: other.json}
  corp: {x509: {roots: corp.pem, timestampRoots: tsa.pem}}
signers:
  one: {keyless: {trustRoot: public, issuer: `+actions+`, subject: {uri: '`+release+`'}}}
  two: {keyless: {trustRoot: same, issuer: `+actions+`, subject: {email: a@acme.example}}}
  three: {keys: [{file: a.pub}], keyless: {trustRoot: corp, subject: {dns: build.acme.example}}}
  four: {keys: [{file: b.pub}]}
  five: {keyless: {trustRoot: other, issuer: `+actions+`, subject: {email: a@acme.example}}}
rules:
  - {name: r, images: [x.io/a], require: {signatures: {from: [one, two, three, four]}}}
  - {name: s, images: [x.io/b], require: {signatures: {from: [five]}}}
`)
	plan, err := p.Plan("x.io/a")
	if err != nil || len(plan.Roots) != 3 {
		t.Fatalf("the plan is %+v, %v", plan, err)
	}
	keys, corp, public := plan.Roots[0], plan.Roots[1], plan.Roots[2]
	if keys.Name != "" || len(keys.Root.Keys()) != 2 || keys.Root.Keyless() || keys.Need != (trust.Requirement{}) {
		t.Errorf("keys: %+v", keys)
	}
	if corp.Name != "corp" || corp.Need != (trust.Requirement{Timestamps: 1}) {
		t.Errorf("corp: %+v", corp)
	}
	if public.Name != "public" || public.Need != (trust.Requirement{LogEntries: 2, Timestamps: 1}) {
		t.Errorf("public: %+v", public)
	}
	if plan, err = p.Plan("x.io/b"); err != nil || len(plan.Roots) != 1 || plan.Roots[0].Need != trust.Keyless() {
		t.Errorf("TR-13 the other rule's plan is %+v, %v", plan, err)
	}
	if all := p.TrustRoots(); len(all) != 4 || all[0].Name != "corp" {
		t.Errorf("trust roots: %+v", all)
	}
	if strings.Contains(string(p.YAML()), ".json") || strings.Contains(string(p.YAML()), ".pem") {
		t.Error("the canonical form still names files")
	}
}

// TestSeveralKeylessSigners: an identity counts once, whatever its certificates,
// and a key and an identity of one party are one party.
func TestSeveralKeylessSigners(t *testing.T) {
	t.Parallel()
	head := strings.Replace(keyless(full3), "rules:", "  me: {keys: [{file: a.pub}], keyless: "+mail+"}\nrules:", 1)
	two := strings.Replace(head, "from: [it]", "from: [it, me], atLeast: 2", 1)
	p := parse(t, two)
	person := &verify.Certificate{Issuer: "https://accounts.google.com", SANType: "Email", SAN: "release@acme.example"}
	a, b := certified(t, p, "public", github()), certified(t, p, "public", github())
	b.Signer.KeyID = "sha256:11"
	byPerson, byKey := certified(t, p, "public", person), signed(t, "a")
	expect(t, p.Decide(found(a, b), noon), Deny, verify.ReasonThreshold)
	expect(t, p.Decide(found(byPerson, byKey), noon), Deny, verify.ReasonThreshold)
	expect(t, p.Decide(found(a, byKey), noon), Allow, "")
	expect(t, p.Decide(found(byPerson, b), noon), Allow, "")
	twice := strings.Replace(two, "  me: {keys: [{file: a.pub}], keyless: "+mail+"}", "  me: {keyless: "+full3+"}", 1)
	if e := fault(t, twice); !strings.Contains(e.Error(), "at most 1") {
		t.Errorf("SB-30 one identity under two names gives two signers: %v", e)
	}
}

// TestUnreachableThresholds: what no evidence could meet is refused.
func TestUnreachableThresholds(t *testing.T) {
	t.Parallel()
	for _, row := range [][2]string{
		{"log: 5", "trustRoots.public.log: 5 are wanted, and the root has 4; write log: 4, or another root"},
		{"sct: 3", "trustRoots.public.sct: 3 are wanted, and the root has 2"},
		{"timestamps: 7", "trustRoots.public.timestamps: 7 are wanted, and the root has 6"},
		{"timestamps: 0", "trustRoots.public.timestamps: a certificate proves nothing without a trusted time; demand at least 1"},
		{"log: -1", "trustRoots.public.log: -1 where a number from 0 to 1000 is wanted"},
		{"log: two", `trustRoots.public.log: the text "two" where a whole number is wanted`},
	} {
		e := fault(t, strings.Replace(keyless(full3), "root.json}", "root.json, "+row[0]+"}", 1))
		if !strings.Contains(e.Error(), ": "+row[1]) {
			t.Errorf("TR-03 %s: %v", row[0], e)
		}
	}
	for _, threshold := range []string{"log", "sct"} {
		if e := fault(t, strings.Replace(keyless(host), "tsa.pem}}", "tsa.pem}, "+threshold+": 1}", 1)); !strings.Contains(e.Error(), "never be met") {
			t.Errorf("TR-03 %s under x509: %v", threshold, e)
		}
	}
}

// TestDenialsSayWhatDiffers: a denial shows the found and the wanted side by side,
// and the difference where it is easily overlooked.
func TestDenialsSayWhatDiffers(t *testing.T) {
	t.Parallel()
	p := parse(t, keyless(byURI))
	for want, c := range map[string]*verify.Certificate{
		"its signer is not it: issuer: found " + actions + "/, wanted " + actions + " (only a slash at the end differs)":       github(issuer(actions + "/")),
		"issuer: found https://TOKEN.actions.githubusercontent.com, wanted " + actions + " (only the case of letters differs)": github(issuer("https://TOKEN.actions.githubusercontent.com")),
		"subject type: found Email, wanted URI":                                   github(name("Email", release)),
		"subject URI: found https://github.com/acme/app/x, wanted " + release:     github(name("URI", "https://github.com/acme/app/x")),
		"wanted the subject's own repository (the subject is a reusable workflow": github(say("12", "https://github.com/evil/app"), say("5", "evil/app")),
		"extension 1.3.6.1.4.1.57264.1.20: found none, wanted push":               github(say("20", "")),
	} {
		d := p.Decide(found(certified(t, p, "public", c)), noon)
		if got := d.Demands[0].Found; !strings.Contains(got, want) {
			t.Errorf("found %q\nwant  %q", got, want)
		}
	}
	if d := p.Decide(found(certified(t, p, "other", github())), noon); !strings.Contains(d.Demands[0].Found, "trust root: found a certificate of another root, wanted public") {
		t.Errorf("TR-13 found %q", d.Demands[0].Found)
	}
}
