package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify"
)

// windowed is a policy in which signer a has one key with terms.
func windowed(entries string) string {
	return strings.Replace(require("signatures: {from: [a]}"), "{file: a.pub}", "{file: a.pub, "+entries+"}", 1)
}

// TestKeyWindows: TR-17, TI-08: what trusted times place in a key's time counts;
// without them the key must be in force now.
func TestKeyWindows(t *testing.T) {
	t.Parallel()
	const jan, feb, apr = "2026-01-15T00:00:00Z", "2026-02-15T00:00:00Z", "2026-04-15T00:00:00Z"
	for _, row := range []struct {
		name, entries string
		signed        []string
		allowed       bool
		until         string
	}{
		{"TI-08 not yet, no time", "notBefore: 2026-03-02", nil, false, ""},
		{"begun, no time", "notBefore: 2026-03-01", nil, true, ""},
		{"begun, signed before that", "notBefore: 2026-02-01", []string{jan}, false, ""},
		{"begun, signed since", "notBefore: 2026-02-01", []string{feb}, true, ""},
		{"not ended, no time", "notAfter: 2026-04-01", nil, true, "2026-04-01T00:00:00Z"},
		{"not ended, signed before", "notAfter: 2026-04-01", []string{feb}, true, ""},
		{"TI-08 ended, no time", "notAfter: 2026-02-01", nil, false, ""},
		{"TR-17 ended, signed before", "notAfter: 2026-02-01", []string{jan}, true, ""},
		{"TR-17 ended, signed after", "notAfter: 2026-02-01", []string{feb}, false, ""},
		{"TI-02 ended, one time before and one after", "notAfter: 2026-02-01", []string{jan, feb}, false, ""},
		{"TR-17 compromised, no time", "compromisedSince: 2026-02-01", nil, false, ""},
		{"TR-17 compromised later, no time", "compromisedSince: 2026-04-01", nil, false, ""},
		{"TR-17 compromised, signed before", "compromisedSince: 2026-02-01", []string{jan}, true, ""},
		{"TR-17 compromised, signed at that second", "compromisedSince: 2026-02-01", []string{"2026-02-01T00:00:00Z"}, false, ""},
		{"TR-17 compromised, signed since", "compromisedSince: 2026-02-01T00:00:00+01:00", []string{apr}, false, ""},
		{"all three", "notBefore: 2026-01-01, notAfter: 2026-12-31, compromisedSince: 2026-02-01", []string{jan}, true, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			p := parse(t, windowed(row.entries))
			again, err := Parse("again", p.YAML(), nil)
			if err != nil || again.Digest() != p.Digest() {
				t.Fatalf("the canonical form is another policy: %v\n%s", err, p.YAML())
			}
			if p.Digest() == parse(t, require("signatures: {from: [a]}")).Digest() {
				t.Error("the window does not change the digest")
			}
			f := times(signed(t, "a"), row.signed...)
			d := again.Decide(found(f), noon)
			if !row.allowed {
				expect(t, d, Deny, verify.ReasonKeyExpired)
				return
			}
			expect(t, d, Allow, "")
			if got := d.Until; !got.IsZero() && stamp(got) != row.until || got.IsZero() && row.until != "" {
				t.Errorf("until %s, expected %q", got, row.until)
			}
			if row.until != "" && p.Decide(found(f), d.Until.Add(time.Second)).Verdict != Deny {
				t.Error("it is allowed after its end")
			}
		})
	}
}

// TestTimesFrom: a signer's keys are checked beside the logs and authorities of a
// root, whose thresholds hold for them; the root's own signers do not change.
func TestTimesFrom(t *testing.T) {
	t.Parallel()
	yaml := strings.Replace(require("signatures: {from: [a, b, it]}"), "signers:\n  a: {", "trustRoots:\n  public: {sigstore: root.json, timestamps: 2}\nsigners:\n  it: {keyless: "+mail+"}\n  a: {timesFrom: public, ", 1)
	p := parse(t, yaml)
	plan, err := p.Plan(image)
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Roots) != 3 || len(plan.Roots[0].Root.Keys()) != 1 || plan.Roots[0].Root.Sigstore() != nil ||
		len(plan.Roots[1].Root.Keys()) != 1 || plan.Roots[1].Root.Keyless() || plan.Roots[1].Name != "public" || plan.Roots[1].Need.LogEntries != 1 ||
		len(plan.Roots[1].Root.Sigstore().RekorLogs()) == 0 || !plan.Roots[2].Root.Keyless() {
		t.Errorf("the roots are %+v", plan.Roots)
	}
	one := times(signed(t, "a"), "2026-02-01T00:00:00Z")
	twice := times(one, "2026-02-01T00:00:00Z")
	two := times(one, "2026-02-01T00:00:01Z")
	two.Times[1].Source = "log"
	expect(t, p.Decide(found(signed(t, "a")), noon), Deny, verify.ReasonTimeMissing)
	expect(t, p.Decide(found(one), noon), Deny, verify.ReasonThreshold)
	expect(t, p.Decide(found(twice), noon), Deny, verify.ReasonThreshold)
	expect(t, p.Decide(found(two), noon), Allow, "")
	expect(t, p.Decide(found(signed(t, "b")), noon), Allow, "")
	for name, change := range map[string][2]string{
		"an unknown root":             {"timesFrom: public", "timesFrom: other"},
		"no keys":                     {"it: {", "it: {timesFrom: public, "},
		"PO-11 misspelt":              {"timesFrom", "timeFrom"},
		"one key with two timesFrom":  {"{file: b.pub}", "{file: a.pub}"},
		"PO-09 empty":                 {"timesFrom: public", "timesFrom: ''"},
		"a window that has no inside": {"{file: b.pub}", "{file: b.pub, notBefore: 2026-02-01, notAfter: 2026-01-01}"},
		"before all time":             {"{file: b.pub}", "{file: b.pub, notAfter: 0001-01-01}"},
		"no day":                      {"{file: b.pub}", "{file: b.pub, notAfter: soon}"},
		"two windows of one key":      {"{file: b.pub}", "{file: b.pub}, {file: b.pub, notAfter: 2027-01-01}"},
	} {
		if e := fault(t, replaceOnce(t, yaml, change[0], change[1])); e.Line == 0 {
			t.Errorf("%s: %v", name, e)
		}
	}
	x509 := replaceOnce(t, yaml, "{sigstore: root.json, timestamps: 2}", "{x509: {roots: corp.pem, timestampRoots: tsa.pem}}")
	if _, err := parse(t, x509).Plan(image); err != nil {
		t.Error(err)
	}
}

// TestPinnedRoot: a trust root's file must be what its digest says.
func TestPinnedRoot(t *testing.T) {
	t.Parallel()
	raw, err := keyFiles(t)("root.json")
	if err != nil {
		t.Fatal(err)
	}
	pin := digest.FromBytes(raw).Hex()
	with := func(entries string) string {
		return replaceOnce(t, keyless(mail), "public: {sigstore: root.json}", "public: {sigstore: root.json, "+entries+"}")
	}
	p := parse(t, with("sha256: "+pin))
	if p.Digest() != parse(t, keyless(mail)).Digest() {
		t.Error("the pin is another policy, though the same root is trusted")
	}
	for name, yaml := range map[string]string{
		"another":       with("sha256: '" + strings.Repeat("0", 64) + "'"),
		"upper case":    with("sha256: " + strings.ToUpper(pin)),
		"a prefix":      with("sha256: " + pin[:63]),
		"with its name": with("sha256: 'sha256:" + pin + "'"),
		"PO-09 empty":   with("sha256: ''"),
		"of an x509":    replaceOnce(t, keyless(mail), "corp: {", "corp: {sha256: "+pin+", "),
	} {
		if e := fault(t, yaml); e.Line == 0 || e.Path == "" {
			t.Errorf("%s: %v", name, e)
		}
	}
	if e := fault(t, with("sha256: '"+strings.Repeat("0", 64)+"'")); !strings.Contains(e.Error(), pin) {
		t.Errorf("it does not say what was found: %v", e)
	}
}

// TestGroups: a group stands for its members, each counted by itself.
func TestGroups(t *testing.T) {
	t.Parallel()
	with := func(groups, demand string) string { return require(demand) + "groups: " + groups + "\n" }
	yaml := with("{crew: [a, b], all: [a, b, c]}", "signatures: {from: [crew, c], atLeast: 2}")
	p := parse(t, yaml)
	if plain := parse(t, require("signatures: {from: [a, b, c], atLeast: 2}")); plain.Digest() != p.Digest() {
		t.Errorf("the group is another policy:\n%s", p.YAML())
	}
	expect(t, p.Decide(found(signed(t, "a"), signed(t, "b")), noon), Allow, "")
	expect(t, p.Decide(found(signed(t, "a"), signed(t, "c")), noon), Allow, "")
	expect(t, p.Decide(found(signed(t, "a"), signed(t, "x")), noon), Deny, verify.ReasonThreshold)
	parse(t, with("{crew: [a, b]}", "signatures: {from: [crew, a], atLeast: 2}"))
	for name, groups := range map[string]string{
		"PO-09 none": "{}", "PO-09 no member": "{crew: []}", "PO-09 null": "{crew: }", "a text": "{crew: a}", "a list": "[a]",
		"unknown member": "{crew: [a, bb]}", "a group in a group": "{crew: [a, b], all: [crew]}", "twice": "{crew: [a, a, b]}",
		"a signer's name": "{crew: [a, b], a: [b]}", "no name": "{'a b': [a]}", "a number": "{crew: [1]}", "PO-12 the name twice": "{crew: [a, b], crew: [a]}",
	} {
		demand := "signatures: {from: [crew], atLeast: 2}"
		if name == "no name" {
			demand = "signatures: {from: [a]}"
		}
		if e := fault(t, with(groups, demand)); e.Line == 0 {
			t.Errorf("%s: %v", name, e)
		}
	}
	if e := fault(t, with("{crew: [a, b]}", "signatures: {from: [crew], atLeast: 3}")); !strings.Contains(e.Error(), "at most 2") {
		t.Error(e)
	}
	if e := fault(t, with("{crew: [a, b]}", "signatures: {from: [crw]}")); !strings.Contains(e.Hint, fmt.Sprintf("%q", "crew")) {
		t.Error(e)
	}
}

// TestTermsAreOfKeys: the window of a key says nothing of a certificate for that key.
func TestTermsAreOfKeys(t *testing.T) {
	t.Parallel()
	text := replaceOnce(t, keyless(mail), "  it:\n", "  a: {keys: [{file: a.pub, notAfter: 2026-01-01}]}\n  it:\n")
	p := parse(t, replaceOnce(t, text, "{from: [it]}", "{from: [it, a]}"))
	f := certified(t, p, "public", &verify.Certificate{Issuer: "https://accounts.google.com", SANType: "Email", SAN: "release@acme.example"})
	f.Signer.KeyID = key(t, "a").ID()
	expect(t, p.Decide(found(f), noon), Allow, "")
	expect(t, p.Decide(found(signed(t, "a")), noon), Deny, verify.ReasonKeyExpired)
}
