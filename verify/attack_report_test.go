package verify_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// TestEveryFormProvesTheIdentity: whichever way evidence comes in, the fact names the
// certificate's own identity, so that no form can pass a demand for another one; and
// it lists exactly the checks that were made.
func TestEveryFormProvesTheIdentity(t *testing.T) {
	t.Parallel()
	in := verifytest.NewInstance(t)
	needs := map[string]trust.Requirement{
		"all": trust.Keyless(), "no SCT": {LogEntries: 1, Timestamps: 1}, "no log": {Timestamps: 1, SCTs: 1},
	}
	for _, shape := range shapes() {
		options := shape.options
		options.Leaf = verifytest.Leaf{URIs: []string{"https://evil.test/workflow"}, Issuer: "https://issuer.evil.test", Claims: map[string]string{"12": "https://evil.test/repository"}}
		// A timestamp stands in each, so that a time is proven without the log too.
		options.Stamps = []verifytest.Stamp{{}}
		for name, need := range needs {
			t.Run(shape.name+", "+name, func(t *testing.T) {
				t.Parallel()
				fact := wantFact(t, in.Verifier(t, need), in.Sign(t, options))
				who := fact.Signer.Certificate
				if who.SAN != "https://evil.test/workflow" || who.Issuer != "https://issuer.evil.test" {
					t.Errorf("SB-03: the fact is about %+v", who)
				}
				if got := who.Extensions["1.3.6.1.4.1.57264.1.12"]; got != "https://evil.test/repository" {
					t.Errorf("SB-03: the claim became %q", got)
				}
				for oid := range who.Extensions {
					if strings.HasPrefix(oid, "2.5.29.") || oid == "1.3.6.1.4.1.11129.2.4.2" {
						t.Errorf("the claims have extension %s, which is X.509's or the CT log's", oid)
					}
				}
				want := []verify.Step{verify.StepParse}
				if need.LogEntries > 0 {
					want = append(want, verify.StepLog)
				}
				want = append(want, verify.StepTimestamp, verify.StepCertificate)
				if need.SCTs > 0 {
					want = append(want, verify.StepSCT)
				}
				want = append(want, verify.StepSignature)
				if shape.kind == verify.KindStatement || options.Form == verifytest.LegacySignature {
					want = append(want, verify.StepStatement)
				}
				if want = append(want, verify.StepSubject); !slices.Equal(fact.Checks, want) {
					t.Errorf("SB-31: the checks were %v, want %v", fact.Checks, want)
				}
				if logged := len(fact.Log) > 0; logged != (need.LogEntries > 0) {
					t.Errorf("SB-31: log %v", fact.Log)
				}
			})
		}
	}
}

// TestStatementRowsHoldForCertificates: what binds a statement to its image holds
// whoever signed it.
func TestStatementRowsHoldForCertificates(t *testing.T) {
	t.Parallel()
	in := verifytest.NewInstance(t)
	statement := func(payload string) func(*verifytest.Options) {
		return func(o *verifytest.Options) { o.Statement = []byte(payload) }
	}
	genuine := string(verifytest.Statement(t, verifytest.Image, verifytest.PredicateType, `{}`))
	var rows []attack
	for _, form := range []verifytest.Form{verifytest.BundleV01, verifytest.BundleV02, verifytest.BundleV03, verifytest.LegacyAttestation} {
		good := verifytest.Options{Form: form}
		rows = append(
			rows,
			attack{name: "SB-17 about another image, " + string(form), good: good, subject: verify.Subject{Digest: other}, want: verify.ReasonSubjectMismatch},
			attack{name: "SB-20 indented after signing, " + string(form), good: good, want: verify.ReasonSignatureInvalid, bad: func(o *verifytest.Options) {
				o.Statement, o.Instead = []byte(genuine+" "), []byte(genuine)
			}},
			attack{name: "no statement, " + string(form), good: good, bad: statement(`{"a":1}`), want: verify.ReasonStatementMalformed},
			attack{name: "no subject, " + string(form), good: good, want: verify.ReasonSubjectEmpty, bad: statement(
				`{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicateType":"https://example.com/t","predicate":{}}`,
			)},
		)
	}
	rows = append(rows, attack{
		name: "SB-17 about another image, legacy signature", good: verifytest.Options{Form: verifytest.LegacySignature},
		subject: verify.Subject{Digest: other}, want: verify.ReasonSubjectMismatch,
	})
	runAttacks(t, in, rows)
}

// TestChain: the path that legacy evidence carries along ends at the trusted authority,
// and there is none for a stranger's certificate.
func TestChain(t *testing.T) {
	t.Parallel()
	in := verifytest.NewInstance(t)
	v := in.Verifier(t, trust.Keyless())
	for _, ca := range []*verifytest.Authority{in.CA, in.SecondCA} {
		leaf, _ := ca.Issue(t, in.Now, verifytest.Leaf{})
		got, err := v.Chain(leaf.Raw)
		if err != nil {
			t.Fatal(err)
		}
		root, intermediate := ca.PEM()
		if want := string(intermediate) + string(root); string(got) != want {
			t.Errorf("the chain is %s", got)
		}
	}
	stranger, _ := verifytest.NewInstance(t).CA.Issue(t, in.Now, verifytest.Leaf{})
	for name, raw := range map[string][]byte{"a stranger's": stranger.Raw, "garbage": []byte("garbage"), "nothing": nil} {
		if chain, err := v.Chain(raw); err == nil {
			t.Errorf("%s has a chain: %s", name, chain)
		}
	}
	leaf, _ := in.CA.Issue(t, in.Now, verifytest.Leaf{})
	if _, err := newVerifier(t, verifytest.NewKey(t, "ecdsa-p256")).Chain(leaf.Raw); err == nil {
		t.Error("a root of keys alone has a chain")
	}
}
