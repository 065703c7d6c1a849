package verifytest

import (
	"testing"
	"time"

	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
)

// Now is the time at which everything of an [Instance] happens unless a test says
// otherwise. It has whole seconds, as certificates and logs have.
var Now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// Instance is a whole Sigstore in memory: two certificate authorities, two CT
// logs, two logs of Rekor v1 and two of v2, and two timestamp authorities, all of
// which its [Instance.TrustedRoot] trusts. What no one shall trust is made with a
// second Instance.
//
//	in := verifytest.NewInstance(t)
//	good := in.Sign(t, verifytest.Options{Form: verifytest.BundleV03})
//	fact, err := in.Verifier(t, trust.Keyless()).Check(good.Subject(), good.Evidence(t))
//
// It is safe for concurrent use once made.
type Instance struct {
	Now                 time.Time
	CA, SecondCA        *Authority
	CT, SecondCT        *Log
	Rekor1, SecondV1    *Log
	Rekor2, SecondV2    *Log
	TSA, SecondTSA      *TSA
	ClockAtVerification time.Time
}

// NewInstance makes an instance at [Now].
func NewInstance(t testing.TB) *Instance { return NewInstanceAt(t, Now) }

// NewInstanceAt makes an instance at a time of one's own.
func NewInstanceAt(t testing.TB, now time.Time) *Instance {
	t.Helper()
	since := Window{Start: now.Add(-365 * 24 * time.Hour)}
	return &Instance{
		Now: now, ClockAtVerification: now.Add(24 * time.Hour),
		CA:        newAuthority(t, "https://fulcio.test", now, AuthorityOptions{Name: "fulcio"}),
		SecondCA:  newAuthority(t, "https://fulcio2.test", now, AuthorityOptions{Name: "second fulcio"}),
		CT:        newLog(t, "https://ct.test/2026", since, false),
		SecondCT:  newLog(t, "https://ct2.test/2026", since, false),
		Rekor1:    newLog(t, "https://rekor.test", since, false),
		SecondV1:  newLog(t, "https://second.rekor.test", since, false),
		Rekor2:    newLog(t, "https://log2026.rekor.test", since, true),
		SecondV2:  newLog(t, "https://log2027.rekor.test", since, false),
		TSA:       newTSA(t, "https://tsa.test", now, Window{}, AuthorityOptions{Name: "tsa"}),
		SecondTSA: newTSA(t, "https://tsa2.test", now, Window{}, AuthorityOptions{Name: "second tsa"}),
	}
}

// ReplaceCA gives the instance another first certificate authority.
func (in *Instance) ReplaceCA(t testing.TB, o AuthorityOptions) {
	t.Helper()
	in.CA = newAuthority(t, in.CA.URI, in.Now, o)
}

// ReplaceTSA gives the instance another first timestamp authority, whose signing
// certificate is valid in the given window.
func (in *Instance) ReplaceTSA(t testing.TB, valid Window, o AuthorityOptions) {
	t.Helper()
	in.TSA = newTSA(t, in.TSA.URI, in.Now, valid, o)
}

// TrustedRoot is the instance's trusted_root.json (protobuf-specs,
// sigstore_trustroot.proto), after the given changes.
func (in *Instance) TrustedRoot(t testing.TB, changes ...func(*prototrustroot.TrustedRoot)) []byte {
	t.Helper()
	wire := &prototrustroot.TrustedRoot{MediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}
	for _, ca := range []*Authority{in.CA, in.SecondCA} {
		wire.CertificateAuthorities = append(wire.CertificateAuthorities, ca.proto())
	}
	for _, log := range []*Log{in.CT, in.SecondCT} {
		wire.Ctlogs = append(wire.Ctlogs, log.proto())
	}
	for _, log := range []*Log{in.Rekor1, in.SecondV1, in.Rekor2, in.SecondV2} {
		wire.Tlogs = append(wire.Tlogs, log.proto())
	}
	for _, tsa := range []*TSA{in.TSA, in.SecondTSA} {
		wire.TimestampAuthorities = append(wire.TimestampAuthorities, tsa.proto(tsa.Leaf))
	}
	for _, change := range changes {
		change(wire)
	}
	raw, err := protojson.Marshal(wire)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Root is the instance's trust root.
func (in *Instance) Root(t testing.TB, changes ...func(*prototrustroot.TrustedRoot)) *trust.Root {
	t.Helper()
	root, err := trust.NewRoot(trust.WithTrustedRoot(in.TrustedRoot(t, changes...)))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// Verifier trusts the instance, and its clock stands at ClockAtVerification.
func (in *Instance) Verifier(t testing.TB, need trust.Requirement, changes ...func(*prototrustroot.TrustedRoot)) *verify.Verifier {
	t.Helper()
	v, err := verify.New(in.Root(t, changes...), need, func() time.Time { return in.ClockAtVerification })
	if err != nil {
		t.Fatal(err)
	}
	return v
}
