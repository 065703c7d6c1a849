package verify_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"

	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// fulcioName is the kind of Fulcio's otherName (fulcio docs/oid-info.md).
var fulcioName = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 7}

// name is a general name of a primitive kind (RFC 5280, section 4.2.1.6).
func name(tag int, value []byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: value}
}

func otherName(t *testing.T, kind asn1.ObjectIdentifier, text string) asn1.RawValue {
	t.Helper()
	oid, value := marshal(t, kind), marshal(t, asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(text)})
	value = marshal(t, asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: value})
	return asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: append(oid, value...)}
}

// rawNames is a certificate with exactly these names, whatever they are.
func rawNames(t *testing.T, all ...asn1.RawValue) verifytest.Leaf {
	t.Helper()
	var content []byte
	for _, one := range all {
		content = append(content, marshal(t, one)...)
	}
	san := marshal(t, asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: content})
	return verifytest.Leaf{NoName: true, Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: san}}}
}

func marshal(t *testing.T, value any) []byte {
	t.Helper()
	raw, err := asn1.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// leafChange is a deviation of the certificate's template.
func leafChange(change func(*x509.Certificate)) func(*verifytest.Options) {
	return func(o *verifytest.Options) { o.Leaf.Change = change }
}

func TestIdentityAttacks(t *testing.T) {
	t.Parallel()
	in := verifytest.NewInstance(t)
	v := in.Verifier(t, trust.Keyless())
	const text = "https://github.com/example/app/.github/workflows/release.yml@refs/heads/main"
	for kind, leaf := range map[string]verifytest.Leaf{
		"URI":   {URIs: []string{text}},
		"Email": {Emails: []string{"someone@example.com"}},
		"Other": {Other: text},
	} {
		t.Run("CI-06 a name keeps its type, "+kind, func(t *testing.T) {
			t.Parallel()
			fact := wantFact(t, v, in.Sign(t, verifytest.Options{Leaf: leaf}))
			if got := fact.Signer.Certificate; got.SANType != kind {
				t.Errorf("the name is a %q, not a %q", got.SANType, kind)
			}
			uri := wantFact(t, v, in.Sign(t, verifytest.Options{}))
			if kind != "URI" && fact.Signer.Same(uri.Signer) {
				t.Error("a name of another type counts as the same signer")
			}
		})
	}
	for _, issuer := range []string{
		"https://token.actions.githubusercontent.com/", "HTTPS://token.actions.githubusercontent.com", "http://token.actions.githubusercontent.com",
		"https://token.actions.githubusercontent.com/enterprise", "https://x@token.actions.githubusercontent.com", "https://token.actions.githubusercontent.com.evil.test",
	} {
		t.Run("CI-09 an issuer is kept as it stands, "+issuer, func(t *testing.T) {
			t.Parallel()
			fact := wantFact(t, v, in.Sign(t, verifytest.Options{Leaf: verifytest.Leaf{Issuer: issuer}}))
			if got := fact.Signer.Certificate.Issuer; got != issuer {
				t.Errorf("the issuer became %q", got)
			}
		})
	}
	good := verifytest.Options{}
	names := func(l verifytest.Leaf) func(*verifytest.Options) {
		return func(o *verifytest.Options) { o.Leaf = l; o.Leaf.CT = nil }
	}
	runAttacks(t, in, []attack{
		{name: "CI-07 two URIs", good: good, bad: names(verifytest.Leaf{URIs: []string{"https://evil.test/x", text}}), want: verify.ReasonCertificateUsage},
		{name: "CI-07 a URI and an e-mail address", good: good, bad: names(verifytest.Leaf{URIs: []string{text}, Emails: []string{"a@evil.test"}}), want: verify.ReasonCertificateUsage},
		{name: "CI-07 a URI and a host name", good: good, bad: names(verifytest.Leaf{URIs: []string{text}, DNS: []string{"evil.test"}}), want: verify.ReasonCertificateUsage},
		{name: "CI-07 a URI and an address", good: good, want: verify.ReasonCertificateUsage, bad: leafChange(func(c *x509.Certificate) {
			c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
		})},
		{name: "CI-06 a host name is no signer's", good: good, bad: names(verifytest.Leaf{DNS: []string{"build.example.com"}}), want: verify.ReasonCertificateUsage},
		{name: "CI-07 a URI and an otherName", good: good, want: verify.ReasonCertificateUsage, bad: names(rawNames(t, name(6, []byte(text)), otherName(t, fulcioName, "x")))},
		{name: "CI-07 two otherNames", good: good, want: verify.ReasonCertificateUsage, bad: names(rawNames(t, otherName(t, fulcioName, "x"), otherName(t, fulcioName, text)))},
		{name: "CI-06 an otherName of another kind", good: good, want: verify.ReasonCertificateUsage, bad: names(rawNames(t, otherName(t, asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}, text)))},
		{name: "CI-06 a directory name", good: good, want: verify.ReasonCertificateUsage, bad: names(rawNames(t, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: []byte{0x30, 0}}))},
		{name: "CI-06 a registered ID", good: good, want: verify.ReasonCertificateUsage, bad: names(rawNames(t, name(8, []byte{0x2a, 3})))},
		{name: "CI-06 an address", good: good, want: verify.ReasonCertificateUsage, bad: names(rawNames(t, name(7, []byte{127, 0, 0, 1})))},
		{name: "CI-06 an empty URI", good: good, want: verify.ReasonCertificateUsage, bad: names(rawNames(t, name(6, nil)))},
		{name: "CI-06 an empty otherName", good: good, want: verify.ReasonCertificateUsage, bad: names(rawNames(t, otherName(t, fulcioName, "")))},
		{name: "CI-07 no name", good: good, bad: names(verifytest.Leaf{NoName: true}), want: verify.ReasonCertificateUsage},
		{name: "CI-08 the old issuer extension names another issuer", good: good, bad: names(verifytest.Leaf{IssuerV1: "https://evil.test"}), want: verify.ReasonIssuerMismatch},
		{name: "CI-08 the new issuer extension names another issuer", good: good, want: verify.ReasonIssuerMismatch, bad: names(verifytest.Leaf{
			IssuerV1: verifytest.DefaultIssuer, Issuer: "https://evil.test",
		})},
		{name: "CI-08 the new issuer extension is no DER string", good: good, want: verify.ReasonCertificateUsage, bad: names(verifytest.Leaf{
			Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 9}, Value: []byte("raw")}},
		})},
	})
}

func TestChainAttacks(t *testing.T) {
	t.Parallel()
	in, stranger := verifytest.NewInstance(t), verifytest.NewInstance(t)
	for _, form := range verifytest.Forms() {
		good := verifytest.Options{Form: form}
		self := func(o *verifytest.Options) {
			o.CA = stranger.CA
			if form == verifytest.BundleV01 || form == verifytest.BundleV02 {
				o.Chain = []*x509.Certificate{stranger.CA.Intermediate, stranger.CA.Root}
			}
		}
		runAttacks(t, in, []attack{
			{name: "CI-15 the evidence brings its own authority, " + string(form), good: good, bad: self, want: verify.ReasonCertificateChain},
			{name: "TR-13 the authority is another instance's, " + string(form), good: good, bad: func(o *verifytest.Options) { o.CA = stranger.CA }, want: verify.ReasonCertificateChain},
			{name: "CI-15 a trusted authority's name, but not its key, " + string(form), good: good, want: verify.ReasonCertificateChain, bad: func(o *verifytest.Options) {
				o.CA = in.CA.Forged(t)
			}},
		})
	}
	runAttacks(t, in, []attack{
		{name: "TR-13 everything is another instance's", good: verifytest.Options{}, want: verify.ReasonCertificateChain, root: func(wire *prototrustroot.TrustedRoot) {
			replaceRoot(t, wire, stranger)
		}},
		{name: "TR-13 the authority's window in the trusted root has ended", good: verifytest.Options{}, want: verify.ReasonTimeOutside, root: func(wire *prototrustroot.TrustedRoot) {
			setEnd(wire.GetCertificateAuthorities()[0].GetValidFor(), in.Now.Add(-time.Second))
		}},
		{name: "CI-18 a chain of a thousand certificates", good: verifytest.Options{Form: verifytest.BundleV01}, want: verify.ReasonLimitExceeded, bad: func(o *verifytest.Options) {
			o.Change = func(wire *protobundle.Bundle) {
				chain := wire.GetVerificationMaterial().GetX509CertificateChain()
				for range 1000 {
					chain.Certificates = append(chain.Certificates, &protocommon.X509Certificate{RawBytes: stranger.CA.Intermediate.Raw})
				}
			}
		}},
	})
}

func TestUsageAttacks(t *testing.T) {
	t.Parallel()
	in := verifytest.NewInstance(t)
	good := verifytest.Options{}
	runAttacks(t, in, []attack{
		{name: "CI-16 no extended key usage", good: good, want: verify.ReasonCertificateUsage, bad: leafChange(func(c *x509.Certificate) { c.ExtKeyUsage = nil })},
		{name: "CI-16 any extended key usage", good: good, want: verify.ReasonCertificateUsage, bad: leafChange(func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
		})},
		{name: "CI-16 a server's certificate", good: good, want: verify.ReasonCertificateUsage, bad: leafChange(func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		})},
		{name: "CI-16 a timestamp authority's certificate", good: good, want: verify.ReasonCertificateUsage, bad: leafChange(func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}
		})},
		{name: "CI-16 an authority as leaf", good: good, want: verify.ReasonCertificateUsage, bad: leafChange(func(c *x509.Certificate) {
			c.IsCA, c.BasicConstraintsValid = true, true
		})},
		{name: "CI-16 no digital signature in the key usage", good: good, want: verify.ReasonCertificateUsage, bad: leafChange(func(c *x509.Certificate) {
			c.KeyUsage = x509.KeyUsageKeyEncipherment
		})},
		{name: "CI-16 no key usage", good: good, want: verify.ReasonCertificateUsage, bad: leafChange(func(c *x509.Certificate) { c.KeyUsage = 0 })},
		{name: "CI-16 an unknown critical extension", good: good, want: verify.ReasonCertificateUsage, bad: func(o *verifytest.Options) {
			o.Leaf.Extensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
		}},
		{name: "CI-16 an ECDSA key of 224 bits", good: good, want: verify.ReasonKeyWeak, bad: func(o *verifytest.Options) { o.Leaf.Algorithm = "ecdsa-p224" }},
		{name: "CI-16 an RSA key of 1024 bits", good: good, want: verify.ReasonKeyWeak, bad: func(o *verifytest.Options) { o.Leaf.Algorithm = "rsa-1024" }},
	})
	constrained := func(change func(*x509.Certificate)) *verifytest.Instance {
		own := verifytest.NewInstance(t)
		own.ReplaceCA(t, verifytest.AuthorityOptions{Name: "constrained", Change: change})
		return own
	}
	for name, row := range map[string]struct {
		change    func(*x509.Certificate)
		good, bad verifytest.Leaf
	}{
		"an excluded host": {
			func(c *x509.Certificate) { c.ExcludedURIDomains = []string{"evil.test"} },
			verifytest.Leaf{},
			verifytest.Leaf{URIs: []string{"https://EVIL.test/x"}},
		},
		"a host that is not permitted": {
			func(c *x509.Certificate) { c.PermittedURIDomains = []string{"github.com"} },
			verifytest.Leaf{},
			verifytest.Leaf{URIs: []string{"https://github.com.evil.test/x"}},
		},
		"an e-mail address that is not permitted": {
			func(c *x509.Certificate) { c.PermittedEmailAddresses = []string{"example.com"} },
			verifytest.Leaf{Emails: []string{"a@example.com"}},
			verifytest.Leaf{Emails: []string{"a@evil.test"}},
		},
		"an excluded address in capitals": {
			func(c *x509.Certificate) { c.ExcludedEmailAddresses = []string{"evil.test"} },
			verifytest.Leaf{Emails: []string{"a@example.com"}},
			verifytest.Leaf{Emails: []string{"a@EVIL.TEST"}},
		},
	} {
		t.Run("CI-17 "+name, func(t *testing.T) {
			t.Parallel()
			attack{
				good: verifytest.Options{Leaf: row.good}, want: verify.ReasonCertificateChain,
				bad: func(o *verifytest.Options) { o.Leaf = row.bad },
			}.run(t, constrained(row.change))
		})
	}
}

// TestWholeChainAtTheSigningTime: an intermediate that has ended vouches for
// nothing that is signed later, however long the leaf lives (CI-10, CI-11).
func TestWholeChainAtTheSigningTime(t *testing.T) {
	t.Parallel()
	in := verifytest.NewInstance(t)
	end := in.Now.Add(2 * time.Minute)
	in.ReplaceCA(t, verifytest.AuthorityOptions{Name: "short", Intermediate: verifytest.Window{Start: in.Now.Add(-time.Hour), End: end}})
	gap := end.Add(time.Minute)
	for name, late := range map[string]verifytest.Options{
		"timestamp":          {V2: true, Stamps: []verifytest.Stamp{{At: gap}}},
		"log":                {Entries: []verifytest.Entry{{Time: gap}}},
		"log, legacy":        {Form: verifytest.LegacySignature, Entries: []verifytest.Entry{{Time: gap}}},
		"timestamp, legacy":  {Form: verifytest.LegacySignature, Stamps: []verifytest.Stamp{{At: gap}}},
		"the later of two":   {V2: true, Stamps: []verifytest.Stamp{{}, {TSA: in.SecondTSA, At: gap}}},
		"the earlier of two": {V2: true, Stamps: []verifytest.Stamp{{TSA: in.SecondTSA, At: gap}, {}}},
	} {
		t.Run("CI-10 signed after the intermediate's end, "+name, func(t *testing.T) {
			t.Parallel()
			good := late
			good.Entries, good.Stamps = nil, nil
			bad := in.Sign(t, late)
			wantFact(t, in.Verifier(t, trust.Keyless()), in.Sign(t, good))
			wantReason(t, in.Verifier(t, trust.Keyless()), bad.Subject().Digest, bad.Evidence(t), verify.ReasonCertificateExpired)
			_, err := in.Verifier(t, trust.Keyless()).Check(bad.Subject(), bad.Evidence(t))
			if !strings.Contains(err.Error(), "short intermediate") {
				t.Errorf("the error does not name the certificate: %v", err)
			}
		})
	}
	runAttacks(t, in, []attack{{
		name: "CI-11 the intermediate ended before the leaf began", good: verifytest.Options{V2: true}, want: verify.ReasonCertificateExpired,
		bad: func(o *verifytest.Options) {
			o.Leaf.Valid = verifytest.Window{Start: end.Add(time.Minute), End: end.Add(10 * time.Minute)}
			o.Stamps = []verifytest.Stamp{{At: end.Add(2 * time.Minute)}}
		},
	}})
}

func TestSCTAttacks(t *testing.T) {
	t.Parallel()
	in, stranger := verifytest.NewInstance(t), verifytest.NewInstance(t)
	sct := func(all ...verifytest.SCT) func(*verifytest.Options) {
		return func(o *verifytest.Options) { o.Leaf.CT = all }
	}
	window := func(set func(*protocommon.TimeRange)) func(*prototrustroot.TrustedRoot) {
		return func(wire *prototrustroot.TrustedRoot) { set(wire.GetCtlogs()[0].GetPublicKey().GetValidFor()) }
	}
	for _, form := range verifytest.Forms() {
		good := verifytest.Options{Form: form}
		runAttacks(t, in, []attack{
			{name: "CI-12 no SCT, " + string(form), good: good, bad: sct([]verifytest.SCT{}...), want: verify.ReasonSCTMissing},
			{name: "CI-12 the SCT of an unknown log, " + string(form), good: good, bad: sct(verifytest.SCT{Log: stranger.CT}), want: verify.ReasonSCTInvalid},
			{name: "CI-12 the SCT's signature is wrong, " + string(form), good: good, bad: sct(verifytest.SCT{Log: in.CT, Forge: flip}), want: verify.ReasonSCTInvalid},
		})
	}
	good := verifytest.Options{}
	runAttacks(t, in, []attack{
		{name: "CI-12 the trusted root has no CT log", good: good, want: verify.ReasonSCTInvalid, root: func(wire *prototrustroot.TrustedRoot) { wire.Ctlogs = nil }},
		{name: "CI-12 a transparency log that is no CT log", good: good, want: verify.ReasonSCTInvalid, bad: sct(verifytest.SCT{Log: in.Rekor1})},
		{
			name: "CI-12 after the CT log's end", good: good, want: verify.ReasonSCTInvalid,
			rootOfBoth: window(func(w *protocommon.TimeRange) { setEnd(w, in.Now) }), root: window(func(w *protocommon.TimeRange) { setEnd(w, in.Now.Add(-time.Second)) }),
		},
		{
			name: "CI-12 before the CT log's start", good: good, want: verify.ReasonSCTInvalid,
			rootOfBoth: window(func(w *protocommon.TimeRange) { setStart(w, in.Now) }), root: window(func(w *protocommon.TimeRange) { setStart(w, in.Now.Add(time.Second)) }),
		},
		{name: "CI-12 the SCT is another certificate's", good: good, want: verify.ReasonSCTInvalid, bad: func(o *verifytest.Options) {
			o.Leaf.Extensions = []pkix.Extension{sctsOf(t, in.Sign(t, good).Leaf)}
			o.Leaf.CT = []verifytest.SCT{}
		}},
	})
	t.Run("CI-12 an instance without CT says so", func(t *testing.T) {
		t.Parallel()
		signed := in.Sign(t, verifytest.Options{Leaf: verifytest.Leaf{CT: []verifytest.SCT{}}})
		fact := wantFact(t, in.Verifier(t, trust.Requirement{LogEntries: 1, Timestamps: 1}), signed)
		for _, step := range fact.Checks {
			if step == verify.StepSCT {
				t.Error("SB-31: the fact claims a check that was not made")
			}
		}
	})
}

// TestDemandsThatCannotBeMet: a demand is never dropped because of the kind of key
// or of evidence (CI-26).
func TestDemandsThatCannotBeMet(t *testing.T) {
	t.Parallel()
	in := verifytest.NewInstance(t)
	for _, algorithm := range []string{"ecdsa-p256", "ecdsa-p384", "rsa-2048"} {
		for _, form := range verifytest.Forms() {
			good := verifytest.Options{Form: form, Leaf: verifytest.Leaf{Algorithm: algorithm}}
			for name, need := range map[string]trust.Requirement{
				"log entries": {LogEntries: 2, Timestamps: 1, SCTs: 1}, "times": {LogEntries: 1, Timestamps: 2, SCTs: 1}, "SCTs": {LogEntries: 1, Timestamps: 1, SCTs: 2},
			} {
				t.Run("CI-26 two "+name+" of "+algorithm+", "+string(form), func(t *testing.T) {
					t.Parallel()
					signed := in.Sign(t, good)
					wantFact(t, in.Verifier(t, trust.Keyless()), signed)
					_, err := in.Verifier(t, need).Check(signed.Subject(), signed.Evidence(t))
					var rejection *verify.Rejection
					if !errors.As(err, &rejection) || rejection.Reason != verify.ReasonThreshold && rejection.Reason != verify.ReasonTimeMissing {
						t.Errorf("got %v, want a refusal", err)
					}
				})
			}
		}
	}
}

// sctsOf is the list of SCTs of a certificate.
func sctsOf(t *testing.T, certificate *x509.Certificate) pkix.Extension {
	t.Helper()
	for _, extension := range certificate.Extensions {
		if extension.Id.String() == "1.3.6.1.4.1.11129.2.4.2" {
			return extension
		}
	}
	t.Fatal("the certificate has no SCT")
	return pkix.Extension{}
}
