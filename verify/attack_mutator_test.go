package verify_test

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// harmless are the changes that may pass, each with its reason. They match whole
// names; what passes must besides prove the very same fact, or one with a witness
// less where the reason is that it is not needed.
var harmless = map[string]string{
	`/dsseEnvelope/signatures/0/keyid .*`:                                     "a key ID is a hint, and no signature covers it",
	`/verificationMaterial/publicKey.*`:                                       "a key's name is a hint: the key that signed is found among the trusted ones",
	`/verificationMaterial/x509CertificateChain/certificates twice`:           "what follows the leaf is only a candidate for a path to a trusted root",
	`/verificationMaterial/timestampVerificationData/rfc3161Timestamps twice`: "one authority counts once",
	`/verificationMaterial/tlogEntries/0/inclusionProof (?:dropped|null)`:     "a v0.1 bundle rests on the promise",
	`/dev\.sigstore\.cosign/chain .*`:                                         "the chain is not read: certificates come from the trusted root",
	`/dev\.sigstore\.cosign/rfc3161timestamp dropped`:                         "the log's promise gives a time as well",
	`/predicateType .*`: "the claim is compared with the signed type by who asks for a type",
	`/dev\.cosignproject\.cosign/signature of none (?:dropped|null|number|empty)`: "an attestation's signature stands in its envelope",
}

// mutated is one good piece of evidence and how its mutants are made.
type mutated struct {
	name    string
	options verifytest.Options
	least   int // as many mutants must be refused, or the mutator has lost its grip
}

// TestMutator changes one good piece of evidence of each kind in one place at a time:
// dropped, null, of another type, doubled, another letter, swapped with another
// signature's. None may pass that is not harmless (SB-12, SB-13, SB-27, SB-28, TI-01).
func TestMutator(t *testing.T) {
	t.Parallel()
	in := verifytest.NewInstance(t)
	key := verifytest.NewKey(t, "ecdsa-p256")
	for _, m := range []mutated{
		{"v0.1, message, promise", verifytest.Options{Form: verifytest.BundleV01, Message: true}, 150},
		{"v0.1, message, promise and proof", verifytest.Options{Form: verifytest.BundleV01, Message: true, Entries: []verifytest.Entry{{WithProof: true}}}, 200},
		{"v0.2, dsse, promise and proof", verifytest.Options{Form: verifytest.BundleV02}, 200},
		{"v0.3, intoto, promise and proof", verifytest.Options{Entries: []verifytest.Entry{{Kind: verifytest.IntotoEntry}}}, 200},
		{"v0.3, hashedrekord of an envelope", verifytest.Options{Entries: []verifytest.Entry{{Kind: verifytest.HashedRekord}}}, 200},
		{"v0.3, dsse, rekor v2, timestamp", verifytest.Options{V2: true}, 200},
		{"v0.3, message, rekor v2, timestamp", verifytest.Options{V2: true, Message: true}, 200},
		{"v0.3, dsse, older rekor v2, timestamp", verifytest.Options{V2: true, Entries: []verifytest.Entry{{Kind: verifytest.DSSEEntryV2}}}, 200},
		{"v0.3, intoto in a rekor v2, timestamp", verifytest.Options{V2: true, Entries: []verifytest.Entry{{Kind: verifytest.IntotoEntry, InV2: true}}}, 200},
		{"a key, v0.3, dsse, rekor v2, timestamp", verifytest.Options{Key: key, V2: true}, 200},
		{"a key, v0.1, message, promise", verifytest.Options{Key: key, Form: verifytest.BundleV01, Message: true}, 130},
		{"a key, older rekor v2, timestamp", verifytest.Options{Key: key, V2: true, Entries: []verifytest.Entry{{Kind: verifytest.DSSEEntryV2}}}, 200},
		{"a key, legacy signature", verifytest.Options{Key: key, Form: verifytest.LegacySignature}, 40},
		{"legacy signature", verifytest.Options{Form: verifytest.LegacySignature, Stamps: []verifytest.Stamp{{}}}, 70},
		{"legacy attestation", verifytest.Options{Form: verifytest.LegacyAttestation, Stamps: []verifytest.Stamp{{}}}, 70},
	} {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			v := in.Verifier(t, trust.Keyless())
			if m.options.Key != nil {
				// The key has ended, so that its signature rests on its witnesses.
				v = keyVerifier(t, in, in.ClockAtVerification, trust.Keyless(), within(t, key, trust.Window{Until: in.Now}))
			}
			good, second := in.Sign(t, m.options), in.Sign(t, m.options)
			fact := wantFact(t, v, good)
			document, other := document(t, good.Evidence(t)), document(t, second.Evidence(t))
			refused, passed := 0, 0
			for kind, mutants := range map[string]map[string][]byte{
				"changed": verifytest.Mutants(t, document), "duplicated": verifytest.Duplicates(t, document), "swapped": verifytest.Swaps(t, document, other),
			} {
				for _, name := range slices.Sorted(maps.Keys(mutants)) {
					if foldedTwice(good, name) {
						continue // a map of annotations holds no name twice
					}
					got, err := v.Check(good.Subject(), evidence(t, good.Evidence(t), mutants[name]))
					if err != nil {
						refused++
						continue
					}
					passed++
					if m.options.Form == verifytest.LegacyAttestation {
						name = strings.Replace(name, "/dev.cosignproject.cosign/signature ", "/dev.cosignproject.cosign/signature of none ", 1)
					}
					if !mayPass(name) {
						t.Errorf("%s: %s passed", kind, name)
						continue
					}
					if len(got.Times) < len(fact.Times) && len(got.Times) > 0 && slices.Contains(fact.Times, got.Times[0]) {
						got.Times = fact.Times
					}
					if difference := cmp.Diff(fact, got, cmp.AllowUnexported(got.Subject.Digest)); difference != "" {
						t.Errorf("%s: %s proves something else: %s", kind, name, difference)
					}
				}
			}
			t.Logf("%d mutants refused, %d harmless ones passed", refused, passed)
			if refused < m.least {
				t.Errorf("only %d mutants were refused, want %d: the mutator has lost its grip", refused, m.least)
			}
		})
	}
}

// foldedTwice reports whether the mutant has an annotation twice, which only the
// document that this test makes of them can.
func foldedTwice(s *verifytest.Signed, name string) bool {
	field, doubled := strings.CutSuffix(name, " duplicated")
	if !doubled || s.Options.Form != verifytest.LegacySignature && s.Options.Form != verifytest.LegacyAttestation {
		return false
	}
	return !strings.HasPrefix(field, "/dev.sigstore.cosign/bundle/") && !strings.HasPrefix(field, "/dev.sigstore.cosign/rfc3161timestamp/")
}

func mayPass(name string) bool {
	for pattern := range harmless {
		if regexp.MustCompile(`^(?:` + pattern + `)$`).MatchString(name) {
			return true
		}
	}
	return false
}

// document is evidence as one JSON document. Legacy evidence is the annotations, with
// the JSON in them unfolded, beside the payload as a text.
func document(t *testing.T, e verify.Evidence) []byte {
	t.Helper()
	if e.Format == verify.FormatBundle {
		return e.Raw
	}
	unfolded := map[string]any{"payload": string(e.Raw)}
	for name, text := range e.Annotations {
		unfolded[name] = text
		var inner map[string]any
		if json.Unmarshal([]byte(text), &inner) == nil {
			unfolded[name] = inner
		}
	}
	raw, err := json.Marshal(unfolded)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// evidence is the reverse of document.
func evidence(t *testing.T, like verify.Evidence, document []byte) verify.Evidence {
	t.Helper()
	if like.Format == verify.FormatBundle {
		return verify.Evidence{Format: like.Format, Raw: document}
	}
	fields, payload := make(map[string]json.RawMessage), ""
	if err := json.Unmarshal(document, &fields); err != nil {
		t.Fatal(err)
	}
	annotations := make(map[string]string)
	for name, raw := range fields {
		text := string(raw)
		if strings.HasPrefix(text, `"`) {
			if err := json.Unmarshal(raw, &text); err != nil {
				t.Fatal(err)
			}
		}
		if name == "payload" {
			payload = text
		} else {
			annotations[name] = text
		}
	}
	return verify.Evidence{Format: like.Format, Raw: []byte(payload), Annotations: annotations}
}
