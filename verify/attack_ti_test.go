package verify_test

import (
	"crypto"
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"

	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// verifierAt trusts the instance, with a clock of its own.
func verifierAt(t *testing.T, in *verifytest.Instance, at time.Time) *verify.Verifier {
	t.Helper()
	v, err := verify.New(in.Root(t), trust.Keyless(), func() time.Time { return at })
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// unstamped takes the timestamps away.
func unstamped(o *verifytest.Options) { o.Stamps = []verifytest.Stamp{} }

// stamped replaces the timestamps.
func stamped(all ...verifytest.Stamp) func(*verifytest.Options) {
	return func(o *verifytest.Options) { o.Stamps = all }
}

func TestUnsignedTimes(t *testing.T) {
	t.Parallel()
	in := verifytest.NewInstance(t)
	proofOnly := verifytest.Entry{WithoutPromise: true}
	edited := proofOnly
	edited.Change = func(e *protorekor.TransparencyLogEntry) { e.IntegratedTime += 60 }
	claimed := verifytest.Entry{Kind: verifytest.HashedRekordV2, Change: func(e *protorekor.TransparencyLogEntry) { e.IntegratedTime = in.Now.Unix() }}
	var rows []attack
	for _, form := range []verifytest.Form{verifytest.BundleV02, verifytest.BundleV03} {
		for _, message := range []bool{true, false} {
			good := verifytest.Options{Form: form, Message: message}
			name := string(form) + map[bool]string{true: " message", false: " dsse"}[message]
			rows = append(
				rows,
				attack{name: "TI-01 a proof alone gives no time, " + name, good: good, bad: one(proofOnly), want: verify.ReasonTimeMissing},
				attack{name: "TI-01 the time of a proof alone was changed, " + name, good: good, bad: one(edited), want: verify.ReasonTimeMissing},
				attack{name: "TI-01 TI-08 a rekor v2 entry with a time, " + name, good: verifytest.Options{Form: form, Message: message, V2: true}, want: verify.ReasonTimeMissing, bad: func(o *verifytest.Options) {
					o.Entries, o.Stamps = []verifytest.Entry{claimed}, []verifytest.Stamp{}
				}},
				attack{name: "TI-08 CI-13 a rekor v2 entry and no timestamp, " + name, good: verifytest.Options{Form: form, Message: message, V2: true}, bad: unstamped, want: verify.ReasonTimeMissing},
			)
		}
	}
	unlogged := trust.Requirement{Timestamps: 1, SCTs: 1}
	for _, form := range verifytest.Forms() {
		rows = append(rows, attack{
			name: "CI-13 TI-12 neither log nor timestamp, " + string(form), need: unlogged, want: verify.ReasonTimeMissing,
			good: verifytest.Options{Form: form, Entries: []verifytest.Entry{}, Stamps: []verifytest.Stamp{{}}},
			bad:  unstamped,
		})
	}
	runAttacks(t, in, rows)
	t.Run("TI-01 an unsigned time is in no fact", func(t *testing.T) {
		t.Parallel()
		fact := wantFact(t, in.Verifier(t, trust.Keyless()), in.Sign(t, verifytest.Options{Entries: []verifytest.Entry{edited}, Stamps: []verifytest.Stamp{{}}}))
		if len(fact.Times) != 1 || fact.Times[0].Source != "tsa" || !fact.Log[0].Time.IsZero() {
			t.Errorf("times %v, log %v", fact.Times, fact.Log)
		}
	})
	for _, kind := range []verifytest.EntryKind{verifytest.HashedRekordV2, verifytest.DSSEEntryV2} {
		glued := verifytest.Entry{Kind: kind, Change: func(e *protorekor.TransparencyLogEntry) {
			e.IntegratedTime = in.Now.Unix()
			e.InclusionPromise = &protorekor.InclusionPromise{SignedEntryTimestamp: []byte("a promise that a Rekor v2 does not make")}
		}}
		t.Run("TI-01 a promise glued to an entry of a rekor v2, "+string(kind), func(t *testing.T) {
			t.Parallel()
			attack{good: verifytest.Options{V2: true, Entries: []verifytest.Entry{{Kind: kind}}}, bad: one(glued), want: verify.ReasonLogProof}.run(t, in)
		})
	}
	t.Run("TI-12 a fact without log claims none", func(t *testing.T) {
		t.Parallel()
		fact := wantFact(t, in.Verifier(t, unlogged), in.Sign(t, verifytest.Options{V2: true}))
		if len(fact.Log) != 0 || slices.Contains(fact.Checks, verify.StepLog) {
			t.Errorf("log %v, checks %v", fact.Log, fact.Checks)
		}
	})
}

func TestTimeAttacks(t *testing.T) {
	t.Parallel()
	in := verifytest.NewInstance(t)
	stranger := verifytest.NewInstance(t)
	good := verifytest.Options{V2: true}
	long := in.Now.Add(-100 * 24 * time.Hour)
	start, end := in.Now.Add(-time.Minute), in.Now.Add(-time.Minute+verifytest.LeafLife)
	rows := []attack{
		{name: "TI-02 a second authority says long ago", good: good, bad: stamped(verifytest.Stamp{}, verifytest.Stamp{TSA: in.SecondTSA, At: long}), want: verify.ReasonTimeOutside},
		{name: "TI-02 the first authority says long ago", good: good, bad: stamped(verifytest.Stamp{TSA: in.SecondTSA, At: long}, verifytest.Stamp{}), want: verify.ReasonTimeOutside},
		{name: "TI-02 an authority says long ago, the log says now", good: verifytest.Options{}, bad: stamped(verifytest.Stamp{At: long}), want: verify.ReasonTimeOutside},
		{name: "TI-04 stamped before the certificate began", good: stampedAt(start), bad: stamped(verifytest.Stamp{At: start.Add(-time.Second)}), want: verify.ReasonTimeOutside},
		{name: "TI-04 stamped after the certificate ended", good: stampedAt(end), bad: stamped(verifytest.Stamp{At: end.Add(time.Second)}), want: verify.ReasonTimeOutside},
		{name: "TI-05 the timestamp is another signature's", good: good, bad: stamped(verifytest.Stamp{Over: []byte("another signature")}), want: verify.ReasonTimeOutside},
		{name: "TI-06 an unknown authority", good: good, bad: stamped(verifytest.Stamp{TSA: stranger.TSA}), want: verify.ReasonCertificateChain},
		{name: "TI-06 an unknown authority that brings its certificate", good: good, bad: stamped(verifytest.Stamp{TSA: stranger.TSA, Embed: true}), want: verify.ReasonCertificateChain},
		{name: "TI-06 an unknown authority that brings its chain", good: good, want: verify.ReasonCertificateChain, bad: stamped(verifytest.Stamp{
			TSA: stranger.TSA, Embed: true, Bag: []*x509.Certificate{stranger.TSA.Root, stranger.TSA.Intermediate},
		})},
		{name: "TI-06 a trusted authority's other certificate", good: good, bad: stamped(verifytest.Stamp{Embed: true, Reissue: func(*x509.Certificate) {}}), want: verify.ReasonCertificateChain},
		{name: "TI-06 the trusted root has no timestamp authority", good: good, want: verify.ReasonCertificateChain, root: func(wire *prototrustroot.TrustedRoot) { wire.TimestampAuthorities = nil }},
		{
			name: "TI-04 TR-10 stamped after the authority's end in the trusted root", good: good, want: verify.ReasonTimeOutside,
			rootOfBoth: tsaWindow(time.Time{}, in.Now), root: tsaWindow(time.Time{}, in.Now.Add(-time.Second)),
		},
		{
			name: "TI-04 TR-10 stamped before the authority's start in the trusted root", good: good, want: verify.ReasonTimeOutside,
			rootOfBoth: tsaWindow(in.Now, time.Time{}), root: tsaWindow(in.Now.Add(time.Second), time.Time{}),
		},
		{name: "TI-10 a SHA-1 imprint", good: good, bad: stamped(verifytest.Stamp{Hash: crypto.SHA1}), want: verify.ReasonKeyWeak},
		{name: "TI-10 a short imprint", good: good, want: verify.ReasonTimeOutside, bad: stamped(verifytest.Stamp{
			Token: func(info *verifytest.TokenInfo) { info.Imprint.Hash = info.Imprint.Hash[:16] },
		})},
		{name: "TI-10 a time with a zone", good: good, want: verify.ReasonTimeOutside, bad: stamped(verifytest.Stamp{
			Token: func(info *verifytest.TokenInfo) { info.Time = verifytest.GeneralizedTime("20260601140000+0800") },
		})},
		{name: "TI-10 a time that is none", good: good, want: verify.ReasonTimeOutside, bad: stamped(verifytest.Stamp{
			Token: func(info *verifytest.TokenInfo) { info.Time = verifytest.GeneralizedTime("20261301120000Z") },
		})},
		{name: "TI-10 bytes after the token", good: good, want: verify.ReasonTimeOutside, bad: stamped(verifytest.Stamp{
			Change: func(raw []byte) []byte { return append(raw, 0) },
		})},
		{name: "TI-10 no token", good: good, want: verify.ReasonTimeOutside, bad: stamped(verifytest.Stamp{
			Change: func([]byte) []byte { return []byte{0x30, 0x05, 0x30, 0x03, 0x02, 0x01, 0x02} },
		})},
	}
	for _, form := range verifytest.Forms() {
		logged := func(at time.Time) verifytest.Options {
			return verifytest.Options{Form: form, Entries: []verifytest.Entry{{Time: at}}}
		}
		rows = append(
			rows,
			attack{name: "TI-04 logged before the certificate began, " + string(form), good: logged(start), bad: one(verifytest.Entry{Time: start.Add(-time.Second)}), want: verify.ReasonTimeOutside},
			attack{name: "TI-04 logged after the certificate ended, " + string(form), good: logged(end), bad: one(verifytest.Entry{Time: end.Add(time.Second)}), want: verify.ReasonTimeOutside},
		)
	}
	runAttacks(t, in, rows)
	t.Run("TI-04 stamped after the authority's own certificate ended", func(t *testing.T) {
		t.Parallel()
		short := verifytest.NewInstance(t)
		short.ReplaceTSA(t, verifytest.Window{Start: in.Now.Add(-time.Hour), End: in.Now}, verifytest.AuthorityOptions{Name: "short tsa"})
		attack{good: good, bad: stamped(verifytest.Stamp{At: in.Now.Add(time.Second)}), want: verify.ReasonTimeOutside}.run(t, short)
	})
}

func stampedAt(at time.Time) verifytest.Options {
	return verifytest.Options{V2: true, Stamps: []verifytest.Stamp{{At: at}}}
}

// tsaWindow sets the bounds of the first timestamp authority; zero leaves one.
func tsaWindow(start, end time.Time) func(*prototrustroot.TrustedRoot) {
	return func(wire *prototrustroot.TrustedRoot) {
		if !start.IsZero() {
			setStart(wire.GetTimestampAuthorities()[0].GetValidFor(), start)
		}
		if !end.IsZero() {
			setEnd(wire.GetTimestampAuthorities()[0].GetValidFor(), end)
		}
	}
}

// TestClocks: the local clock refuses a future, and is not asked for anything else.
func TestClocks(t *testing.T) {
	t.Parallel()
	in := verifytest.NewInstance(t)
	for _, shape := range shapes() {
		t.Run(shape.name, func(t *testing.T) {
			t.Parallel()
			signed := in.Sign(t, shape.options)
			for name, ahead := range map[string]time.Duration{"TI-03 an hour": time.Hour, "TI-03 a year": 365 * 24 * time.Hour, "TI-03 six minutes": 6 * time.Minute} {
				t.Run(name+" in the future", func(t *testing.T) {
					t.Parallel()
					wantReason(t, verifierAt(t, in, in.Now.Add(-ahead)), signed.Subject().Digest, signed.Evidence(t), verify.ReasonTimeOutside)
				})
			}
			t.Run("TI-03 a clock that is a little slow", func(t *testing.T) {
				t.Parallel()
				wantFact(t, verifierAt(t, in, in.Now.Add(-4*time.Minute)), signed)
			})
			t.Run("TI-07 TI-09 a century later, when every certificate has ended", func(t *testing.T) {
				t.Parallel()
				wantFact(t, verifierAt(t, in, in.Now.AddDate(100, 0, 0)), signed)
			})
			t.Run("TI-09 a clock at its beginning", func(t *testing.T) {
				t.Parallel()
				_, err := verifierAt(t, in, time.Unix(0, 0)).Check(signed.Subject(), signed.Evidence(t))
				if err == nil || !strings.Contains(err.Error(), "system clock") {
					t.Errorf("got %v, which does not say what is wrong with the clock", err)
				}
			})
		})
	}
}

// TestOddTokensPass: what RFC 3161 allows is no reason to refuse (TI-10).
func TestOddTokensPass(t *testing.T) {
	t.Parallel()
	in := verifytest.NewInstance(t)
	for name, stamp := range map[string]verifytest.Stamp{
		"no nonce":              {Token: func(info *verifytest.TokenInfo) { info.Nonce = nil }},
		"another policy":        {Token: func(info *verifytest.TokenInfo) { info.Policy = []int{1, 2, 3} }},
		"an imprint of SHA-384": {Hash: crypto.SHA384},
		"an imprint of SHA-512": {Hash: crypto.SHA512},
		"its certificate":       {Embed: true},
		"fractions": {Token: func(info *verifytest.TokenInfo) {
			info.Time = verifytest.GeneralizedTime(in.Now.Format("20060102150405") + ".5Z")
		}},
	} {
		t.Run("TI-10 "+name, func(t *testing.T) {
			t.Parallel()
			fact := wantFact(t, in.Verifier(t, trust.Keyless()), in.Sign(t, verifytest.Options{V2: true, Stamps: []verifytest.Stamp{stamp}}))
			if got := fact.Times[0].Time.Truncate(time.Second); !got.Equal(in.Now) {
				t.Errorf("the time became %s", got)
			}
		})
	}
}

// TestSignerOfATimestamp: what is demanded of a signer is asked of the certificate
// that signed, wherever it stands in the bag (CI-14). The trusted root does not name
// the signing certificate here, so that it comes from the bag.
func TestSignerOfATimestamp(t *testing.T) {
	t.Parallel()
	in, stranger := verifytest.NewInstance(t), verifytest.NewInstance(t)
	unnamed := func(wire *prototrustroot.TrustedRoot) {
		chain := wire.GetTimestampAuthorities()[0].GetCertChain()
		chain.Certificates = chain.GetCertificates()[1:]
	}
	genuine := []*x509.Certificate{in.TSA.Leaf}
	good := verifytest.Options{V2: true, Stamps: []verifytest.Stamp{{Embed: true, Bag: []*x509.Certificate{stranger.TSA.Leaf, stranger.CA.Root}}}}
	usage := func(c *x509.Certificate) {
		c.ExtraExtensions = nil
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
	}
	runAttacks(t, in, []attack{
		{name: "CI-14 a stranger signs, the authority's certificate is first in the bag", good: good, rootOfBoth: unnamed, want: verify.ReasonCertificateChain, bad: stamped(verifytest.Stamp{
			TSA: stranger.TSA, Embed: true, Bag: genuine,
		})},
		{name: "CI-14 a stranger signs without its certificate", good: good, rootOfBoth: unnamed, want: verify.ReasonCertificateChain, bad: stamped(verifytest.Stamp{TSA: stranger.TSA, Bag: genuine})},
		{name: "CI-14 the signer may not stamp, a certificate that may is first in the bag", good: good, rootOfBoth: unnamed, want: verify.ReasonCertificateChain, bad: stamped(verifytest.Stamp{
			Embed: true, Bag: genuine, Reissue: usage,
		})},
		{name: "CI-14 the usage of the signer is not critical", good: good, rootOfBoth: unnamed, want: verify.ReasonCertificateChain, bad: stamped(verifytest.Stamp{
			Embed: true, Bag: genuine, Reissue: func(c *x509.Certificate) {
				c.ExtraExtensions = nil
				c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}
			},
		})},
		{name: "CI-14 the signer is an authority", good: good, rootOfBoth: unnamed, want: verify.ReasonCertificateChain, bad: stamped(verifytest.Stamp{
			Embed: true, Bag: genuine, Reissue: func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true },
		})},
	})
}
