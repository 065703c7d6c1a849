package verify_test

import (
	"testing"

	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// shape is one way in which keyless evidence travels: the rows of this catalogue
// must hold on each of them.
type shape struct {
	name    string
	options verifytest.Options
	kind    verify.Kind
}

// shapes are all forms with all kinds of log entries that they can carry.
func shapes() []shape {
	var all []shape
	add := func(name string, kind verify.Kind, o verifytest.Options) { all = append(all, shape{name, o, kind}) }
	for _, form := range []verifytest.Form{verifytest.BundleV01, verifytest.BundleV02, verifytest.BundleV03} {
		text := string(form)
		add(text+" message", verify.KindSignature, verifytest.Options{Form: form, Message: true})
		add(text+" dsse", verify.KindStatement, verifytest.Options{Form: form})
		add(text+" dsse as hashedrekord", verify.KindStatement, verifytest.Options{Form: form, Entries: []verifytest.Entry{{Kind: verifytest.HashedRekord}}})
		add(text+" intoto", verify.KindStatement, verifytest.Options{Form: form, Entries: []verifytest.Entry{{Kind: verifytest.IntotoEntry}}})
		if form != verifytest.BundleV01 {
			add(text+" message, rekor v2", verify.KindSignature, verifytest.Options{Form: form, Message: true, V2: true})
			add(text+" dsse, rekor v2", verify.KindStatement, verifytest.Options{Form: form, V2: true})
			add(text+" dsse, older rekor v2", verify.KindStatement, verifytest.Options{Form: form, V2: true, Entries: []verifytest.Entry{{Kind: verifytest.DSSEEntryV2}}})
			for _, kind := range []verifytest.EntryKind{verifytest.DSSEEntry, verifytest.IntotoEntry} {
				add(text+" "+string(kind)+" in a rekor v2", verify.KindStatement, verifytest.Options{Form: form, V2: true, Entries: []verifytest.Entry{{Kind: kind, InV2: true}}})
			}
		}
	}
	add("legacy signature", verify.KindSignature, verifytest.Options{Form: verifytest.LegacySignature})
	add("legacy attestation dsse", verify.KindStatement, verifytest.Options{Form: verifytest.LegacyAttestation})
	add("legacy attestation intoto", verify.KindStatement, verifytest.Options{Form: verifytest.LegacyAttestation, Entries: []verifytest.Entry{{Kind: verifytest.IntotoEntry}}})
	return all
}

// wantFact checks that the signature passes, and returns what it proves.
func wantFact(t *testing.T, v *verify.Verifier, s *verifytest.Signed) verify.Fact {
	t.Helper()
	fact, err := v.Check(s.Subject(), s.Evidence(t))
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	return fact
}

// TestInstanceMakesGenuineEvidence: what the rows below break passes unbroken.
func TestInstanceMakesGenuineEvidence(t *testing.T) {
	t.Parallel()
	in := verifytest.NewInstance(t)
	v := in.Verifier(t, trust.Keyless())
	for _, shape := range shapes() {
		t.Run(shape.name, func(t *testing.T) {
			t.Parallel()
			fact := wantFact(t, v, in.Sign(t, shape.options))
			if fact.Kind != shape.kind || len(fact.Log) != 1 || len(fact.Times) != 1 {
				t.Fatalf("a %s with log %v and times %v", fact.Kind, fact.Log, fact.Times)
			}
			if got := fact.Signer.Certificate; got.SAN != verifytest.DefaultURI || got.SANType != "URI" || got.Issuer != verifytest.DefaultIssuer {
				t.Errorf("signed by %+v", got)
			}
			source := map[bool]string{true: "tsa", false: "log"}[shape.options.V2]
			if !fact.Times[0].Time.Equal(in.Now) || fact.Times[0].Source != source {
				t.Errorf("time %v", fact.Times[0])
			}
		})
	}
}
