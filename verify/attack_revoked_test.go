package verify_test

import (
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// TestRevokedWitnesses: a revocation list speaks of signers and of timestamp
// authorities alike, of those named in the trust root and of those whose certificate a
// token brings along (CI-20, TI-11).
func TestRevokedWitnesses(t *testing.T) {
	t.Parallel()
	in := verifytest.NewInstance(t)
	key := verifytest.NewKey(t, "ecdsa-p256")
	inForce := verifytest.Window{Start: in.Now.Add(-time.Hour), End: in.Now.AddDate(1, 0, 0)}
	ended := verifytest.Window{Start: in.Now.Add(-time.Hour), End: in.Now.Add(time.Hour)}
	later := verifytest.Window{Start: in.Now.Add(time.Hour), End: in.Now.AddDate(1, 0, 0)}
	byCertificate := verifytest.Options{Leaf: verifytest.Leaf{CT: []verifytest.SCT{}}, Entries: []verifytest.Entry{}, Stamps: []verifytest.Stamp{{Embed: true}}}
	byKey := verifytest.Options{Key: key, Entries: []verifytest.Entry{}, Stamps: []verifytest.Stamp{{Embed: true}}}
	certificate, signedByKey := in.Sign(t, byCertificate), in.Sign(t, byKey)
	stampRoot, stampIntermediate := in.TSA.PEM()
	stampLeaf := verifytest.PEM(in.TSA.Leaf)
	caRoot, caIntermediate := in.CA.PEM()
	for name, row := range map[string]struct {
		list []byte
		want verify.Reason // "" passes
		// signerOnly tells that the list does not speak of the timestamp authority.
		signerOnly bool
	}{
		"nobody is revoked":                            {list: in.TSA.Revoke(t, inForce)},
		"CI-20 the timestamp authority is revoked":     {list: in.TSA.Revoke(t, inForce, in.TSA.Leaf), want: verify.ReasonCertificateChain},
		"CI-20 the timestamp authority later":          {list: in.TSA.Revoke(t, later, in.TSA.Leaf), want: ""},
		"TI-11 the list of the authority is no more":   {list: in.TSA.Revoke(t, ended), want: verify.ReasonTrustRootExpired},
		"CI-20 the signer is revoked":                  {list: in.CA.Revoke(t, inForce, certificate.Leaf), want: verify.ReasonCertificateChain, signerOnly: true},
		"TI-11 the list of the signer's CA is no more": {list: in.CA.Revoke(t, ended), want: verify.ReasonTrustRootExpired, signerOnly: true},
	} {
		for form, signed := range map[string]*verifytest.Signed{"certificate": certificate, "key": signedByKey} {
			if row.signerOnly && form == "key" {
				continue
			}
			for how, stampers := range map[string][]byte{
				"named in the root": append(append(append([]byte{}, stampRoot...), stampIntermediate...), stampLeaf...),
				"in the token":      append(append([]byte{}, stampRoot...), stampIntermediate...),
			} {
				t.Run(name+", "+form+", "+how, func(t *testing.T) {
					t.Parallel()
					root, err := trust.NewRoot(trust.WithKeys(key.Trusted), trust.WithAuthority(trust.Authority{
						Name: "own", Roots: caRoot, Intermediates: caIntermediate, TimestampRoots: stampers, CRLs: [][]byte{row.list},
					}))
					if err != nil {
						t.Fatal(err)
					}
					now := in.ClockAtVerification
					if name == "CI-20 the timestamp authority later" {
						now = in.Now.AddDate(0, 1, 0)
					}
					v, err := verify.New(root, trust.Requirement{Timestamps: 1}, func() time.Time { return now })
					if err != nil {
						t.Fatal(err)
					}
					if row.want == "" {
						wantFact(t, v, signed)
					} else {
						wantReason(t, v, signed.Subject().Digest, signed.Evidence(t), row.want)
					}
				})
			}
		}
	}
}
