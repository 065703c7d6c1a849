package verify_test

import (
	"crypto/x509"
	"testing"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"

	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// ownVerifier trusts an authority as one's own PKI: its root, perhaps its
// intermediate, and the instance's first timestamp authority.
func ownVerifier(t *testing.T, in *verifytest.Instance, ca *verifytest.Authority, withIntermediate bool) *verify.Verifier {
	t.Helper()
	root, intermediate := ca.PEM()
	stampRoot, stampIntermediate := in.TSA.PEM()
	own := trust.Authority{Name: "own", Roots: root, TimestampRoots: append(stampRoot, stampIntermediate...)}
	if withIntermediate {
		own.Intermediates = intermediate
	}
	anchors, err := trust.NewRoot(trust.WithAuthority(own))
	if err != nil {
		t.Fatal(err)
	}
	v, err := verify.New(anchors, trust.Requirement{Timestamps: 1}, func() time.Time { return in.ClockAtVerification })
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// carrying makes a v0.3 bundle carry certificates after its leaf.
func carrying(all ...*x509.Certificate) func(*protobundle.Bundle) {
	return func(wire *protobundle.Bundle) {
		chain := &protocommon.X509CertificateChain{Certificates: []*protocommon.X509Certificate{wire.GetVerificationMaterial().GetCertificate()}}
		for _, certificate := range all {
			chain.Certificates = append(chain.Certificates, &protocommon.X509Certificate{RawBytes: certificate.Raw})
		}
		wire.VerificationMaterial.Content = &protobundle.VerificationMaterial_X509CertificateChain{X509CertificateChain: chain}
	}
}

// TestOwnAuthority: a bundle may bring the intermediates of a private PKI along. They
// are candidates for a path and nothing else (CI-10, CI-15, CI-16, CI-18).
func TestOwnAuthority(t *testing.T) {
	t.Parallel()
	in, stranger := verifytest.NewInstance(t), verifytest.NewInstance(t)
	plain := verifytest.Options{Leaf: verifytest.Leaf{CT: []verifytest.SCT{}}, Entries: []verifytest.Entry{}, Stamps: []verifytest.Stamp{{Embed: true}}}
	with := func(change func(*verifytest.Options)) verifytest.Options {
		o := plain
		change(&o)
		return o
	}
	short := verifytest.NewInstance(t)
	short.ReplaceCA(t, verifytest.AuthorityOptions{Name: "short", Intermediate: verifytest.Window{Start: in.Now.Add(-time.Hour), End: in.Now.Add(time.Minute)}})
	thief, key := in.CA.Issue(t, in.Now, verifytest.Leaf{})
	below, beyond := in.CA.Sub(t, thief, key), in.CA.Sub(t, nil, nil)
	for _, form := range verifytest.Forms() {
		t.Run("passes with a known intermediate, "+string(form), func(t *testing.T) {
			t.Parallel()
			fact := wantFact(t, ownVerifier(t, in, in.CA, true), in.Sign(t, with(func(o *verifytest.Options) { o.Form = form })))
			if fact.Signer.Certificate == nil || len(fact.Log) != 0 {
				t.Errorf("a fact by %s with log %v", fact.Signer, fact.Log)
			}
		})
		t.Run("CI-15 another authority, "+string(form), func(t *testing.T) {
			t.Parallel()
			signed := in.Sign(t, with(func(o *verifytest.Options) { o.Form, o.CA = form, stranger.CA }))
			wantReason(t, ownVerifier(t, in, in.CA, true), signed.Subject().Digest, signed.Evidence(t), verify.ReasonCertificateChain)
		})
	}
	for name, row := range map[string]struct {
		options verifytest.Options
		ca      *verifytest.Authority
		known   bool
		want    verify.Reason // "" passes
	}{
		"the intermediate comes along": {with(func(o *verifytest.Options) { o.Change = carrying(in.CA.Intermediate) }), in.CA, false, ""},
		"CI-15 no intermediate at all": {plain, in.CA, false, verify.ReasonCertificateChain},
		"CI-15 a stranger's intermediate comes along": {with(func(o *verifytest.Options) {
			o.CA, o.Change = stranger.CA, carrying(stranger.CA.Intermediate)
		}), in.CA, true, verify.ReasonCertificateChain},
		"CI-15 a stranger's root comes along": {with(func(o *verifytest.Options) {
			o.CA, o.Change = stranger.CA, carrying(stranger.CA.Intermediate, stranger.CA.Root)
		}), in.CA, true, verify.ReasonCertificateChain},
		"CI-15 a signer's certificate as an authority": {with(func(o *verifytest.Options) {
			o.CA, o.Change = below, carrying(below.Intermediate, thief, in.CA.Intermediate)
		}), in.CA, true, verify.ReasonCertificateChain},
		"CI-15 an authority below one that may have none": {with(func(o *verifytest.Options) {
			o.CA, o.Change = beyond, carrying(beyond.Intermediate, in.CA.Intermediate)
		}), in.CA, true, verify.ReasonCertificateChain},
		"CI-10 the intermediate that comes along had ended": {with(func(o *verifytest.Options) {
			o.CA, o.Change = short.CA, carrying(short.CA.Intermediate)
			o.Stamps = []verifytest.Stamp{{Embed: true, At: in.Now.Add(2 * time.Minute)}}
		}), short.CA, false, verify.ReasonCertificateExpired},
		"TI-06 a stranger stamps": {with(func(o *verifytest.Options) {
			o.Stamps = []verifytest.Stamp{{TSA: stranger.TSA, Embed: true}}
		}), in.CA, true, verify.ReasonCertificateChain},
		"CI-13 nobody stamps": {with(func(o *verifytest.Options) { o.Stamps = []verifytest.Stamp{} }), in.CA, true, verify.ReasonTimeMissing},
		"CI-16 a server's certificate": {with(func(o *verifytest.Options) {
			o.Leaf.Change = func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }
		}), in.CA, true, verify.ReasonCertificateUsage},
		"CI-18 eleven certificates": {with(func(o *verifytest.Options) {
			o.Change = carrying(in.CA.Intermediate, in.CA.Intermediate, in.CA.Intermediate, in.CA.Intermediate, in.CA.Intermediate,
				in.CA.Intermediate, in.CA.Intermediate, in.CA.Intermediate, in.CA.Intermediate, in.CA.Intermediate)
		}), in.CA, true, verify.ReasonLimitExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			signed := in.Sign(t, row.options)
			v := ownVerifier(t, in, row.ca, row.known)
			if row.want == "" {
				wantFact(t, v, signed)
			} else {
				wantReason(t, v, signed.Subject().Digest, signed.Evidence(t), row.want)
			}
		})
	}
}
