package verify_test

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"google.golang.org/protobuf/proto"

	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// fixture is one good piece of evidence and what it proves.
type fixture struct {
	in     *verifytest.Instance
	v      *verify.Verifier
	signed *verifytest.Signed
	fact   verify.Fact
}

func newFixture(f *testing.F, o verifytest.Options) *fixture {
	f.Helper()
	in := verifytest.NewInstance(f)
	x := &fixture{in: in, v: in.Verifier(f, trust.Keyless()), signed: in.Sign(f, o)}
	var err error
	if x.fact, err = x.v.Check(x.signed.Subject(), x.signed.Evidence(f)); err != nil {
		f.Fatal(err)
	}
	return x
}

// check is the property: what passes proves the very same fact, what does not is a
// rejection with a reason, and nothing panics.
func (x *fixture) check(t *testing.T, e verify.Evidence) {
	t.Helper()
	fact, err := x.v.Check(x.signed.Subject(), e)
	var rejection *verify.Rejection
	switch {
	case err == nil:
		if difference := cmp.Diff(x.fact, fact, cmp.AllowUnexported(fact.Subject.Digest)); difference != "" {
			t.Errorf("another fact was proved: %s", difference)
		}
	case !errors.As(err, &rejection) || rejection.Reason == "" || rejection.Step == "":
		t.Errorf("refused without a reason: %v", err)
	case rejection.Reason == verify.ReasonInternal:
		t.Errorf("a fault of our own: %v", err)
	}
}

// edit changes good bytes in one place. The inputs of these fuzz tests are edits and
// not bytes, because each worker has an instance with keys of its own.
func edit(good []byte, at uint16, how byte, with []byte) []byte {
	if len(good) == 0 || how%4 == 3 {
		return with
	}
	i := int(at) % len(good)
	switch how % 4 {
	case 0: // flip bits
		changed := slices.Clone(good)
		for k := range with {
			changed[(i+k)%len(changed)] ^= with[k]
		}
		return changed
	case 1:
		return slices.Insert(slices.Clone(good), i, with...)
	}
	return slices.Delete(slices.Clone(good), i, min(len(good), i+len(with)+1))
}

// addEdits seeds a fuzz test with one edit of each kind.
func addEdits(f *testing.F, more ...string) {
	f.Helper()
	f.Add(uint16(100), byte(0), []byte{1})
	f.Add(uint16(30), byte(1), []byte{0x30, 0})
	f.Add(uint16(7), byte(2), []byte{0})
	for _, whole := range more {
		f.Add(uint16(0), byte(3), []byte(whole))
	}
}

// FuzzKeylessBundle changes a whole bundle.
func FuzzKeylessBundle(f *testing.F) {
	x := newFixture(f, verifytest.Options{})
	addEdits(f, `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json"}`)
	f.Fuzz(func(t *testing.T, at uint16, how byte, with []byte) {
		x.check(t, verify.Evidence{Format: verify.FormatBundle, Raw: edit(x.signed.Evidence(t).Raw, at, how, with)})
	})
}

// FuzzLegacyAnnotations changes what a legacy signature keeps in its annotations.
func FuzzLegacyAnnotations(f *testing.F) {
	x := newFixture(f, verifytest.Options{Form: verifytest.LegacySignature})
	names := []string{
		verify.LegacySignatureAnnotation, verify.LegacyCertificateAnnotation, verify.LegacyLogAnnotation,
		verify.LegacyChainAnnotation,
	}
	for i := range names {
		f.Add(byte(i), uint16(9), byte(i), []byte("x"))
	}
	f.Fuzz(func(t *testing.T, which byte, at uint16, how byte, with []byte) {
		e := x.signed.Evidence(t)
		name := names[int(which)%len(names)]
		e.Annotations[name] = string(edit([]byte(e.Annotations[name]), at, how, with))
		x.check(t, e)
	})
}

// FuzzCertificate changes the bytes of the signing certificate.
func FuzzCertificate(f *testing.F) {
	x := newFixture(f, verifytest.Options{})
	addEdits(f)
	f.Fuzz(func(t *testing.T, at uint16, how byte, with []byte) {
		wire := x.signed.Bundle(t)
		wire.GetVerificationMaterial().GetCertificate().RawBytes = edit(x.signed.Leaf.Raw, at, how, with)
		x.check(t, encode(t, wire))
	})
}

// FuzzCertificateExtension lets a trusted authority issue a certificate with any
// further extension: it is kept or refused, and does not change who the signer is.
func FuzzCertificateExtension(f *testing.F) {
	in := verifytest.NewInstance(f)
	v := in.Verifier(f, trust.Keyless())
	f.Add(byte(1), byte(9), []byte("\x0c\x04text"), false)
	f.Add(byte(0), byte(32), []byte{0x30, 0x00}, true)
	f.Add(byte(2), byte(3), []byte{5, 0}, true)
	f.Add(byte(0), byte(32), []byte("0"), true) // a certificate that cannot be read
	f.Fuzz(func(t *testing.T, arc, last byte, value []byte, critical bool) {
		oid := map[byte]asn1.ObjectIdentifier{
			0: {2, 5, 29, int(last)}, 1: {1, 3, 6, 1, 4, 1, 57264, 1, int(last)}, 2: {1, 2, 3, int(last)},
		}[arc%3]
		if len(value) == 0 {
			value = []byte{5, 0} // an extension without a value is not encoded
		}
		if oid[0] == 2 && slices.Contains([]byte{14, 15, 17, 35, 37}, last) || oid[0] == 1 && (last == 1 || last == 8) {
			return // the certificate has these already
		}
		signed := in.Sign(t, verifytest.Options{V2: true, Leaf: verifytest.Leaf{
			Extensions: []pkix.Extension{{Id: oid, Critical: critical, Value: value}},
		}})
		fact, err := v.Check(signed.Subject(), signed.Evidence(t))
		if err != nil {
			var rejection *verify.Rejection
			if !errors.As(err, &rejection) || rejection.Reason == "" || rejection.Reason == verify.ReasonInternal {
				t.Errorf("refused without a reason: %v", err)
			}
			return
		}
		who := fact.Signer.Certificate
		if who.SAN != verifytest.DefaultURI || who.SANType != "URI" || who.Issuer != verifytest.DefaultIssuer {
			t.Errorf("extension %s made it %+v", oid, who)
		}
	})
}

// FuzzCheckpoint changes the signed tree head of a log entry.
func FuzzCheckpoint(f *testing.F) {
	v1, v2 := newFixture(f, verifytest.Options{}), newFixture(f, verifytest.Options{V2: true})
	for _, second := range []bool{false, true} {
		f.Add(second, uint16(20), byte(0), []byte{1})
		f.Add(second, uint16(0xffff), byte(1), []byte("\u2014 witness.test AAAAAAAA\n"))
		f.Add(second, uint16(0), byte(3), []byte("rekor.test - 1\n6\n\n"))
	}
	f.Fuzz(func(t *testing.T, second bool, at uint16, how byte, with []byte) {
		x := v1
		if second {
			x = v2
		}
		changeEntry(t, x, func(e *protorekor.TransparencyLogEntry) {
			checkpoint := e.GetInclusionProof().GetCheckpoint()
			text := edit([]byte(checkpoint.GetEnvelope()), at, how, with)
			checkpoint.Envelope = strings.ToValidUTF8(string(text), "?") // JSON holds nothing else
		})
	})
}

// FuzzEntryBody changes what the log is said to hold.
func FuzzEntryBody(f *testing.F) {
	all := []*fixture{
		newFixture(f, verifytest.Options{}), newFixture(f, verifytest.Options{V2: true}),
		newFixture(f, verifytest.Options{V2: true, Entries: []verifytest.Entry{{Kind: verifytest.DSSEEntryV2}}}),
	}
	for i := range all {
		f.Add(byte(i), uint16(50), byte(0), []byte{1})
	}
	f.Fuzz(func(t *testing.T, which byte, at uint16, how byte, with []byte) {
		changeEntry(t, all[int(which)%len(all)], func(e *protorekor.TransparencyLogEntry) {
			e.CanonicalizedBody = edit(e.GetCanonicalizedBody(), at, how, with)
		})
	})
}

// FuzzPromise changes the signed entry timestamp of a Rekor v1 entry, and what it is
// over.
func FuzzPromise(f *testing.F) {
	x := newFixture(f, verifytest.Options{Form: verifytest.BundleV01})
	f.Add(uint16(10), byte(0), []byte{1}, int64(0), int64(0))
	f.Add(uint16(0), byte(3), []byte{0x30, 6, 2, 1, 0, 2, 1, 0}, int64(1), int64(-1))
	f.Fuzz(func(t *testing.T, at uint16, how byte, with []byte, later, further int64) {
		changeEntry(t, x, func(e *protorekor.TransparencyLogEntry) {
			e.InclusionPromise.SignedEntryTimestamp = edit(e.GetInclusionPromise().GetSignedEntryTimestamp(), at, how, with)
			e.IntegratedTime += later
			e.LogIndex += further
		})
	})
}

// FuzzTimestamp changes the timestamp response.
func FuzzTimestamp(f *testing.F) {
	x := newFixture(f, verifytest.Options{V2: true, Stamps: []verifytest.Stamp{{Embed: true}}})
	addEdits(f)
	f.Fuzz(func(t *testing.T, at uint16, how byte, with []byte) {
		wire := x.signed.Bundle(t)
		wire.GetVerificationMaterial().GetTimestampVerificationData().GetRfc3161Timestamps()[0].SignedTimestamp = edit(x.signed.Stamps[0], at, how, with)
		x.check(t, encode(t, wire))
	})
}

// changeEntry checks the bundle with a changed copy of its log entry.
func changeEntry(t *testing.T, x *fixture, change func(*protorekor.TransparencyLogEntry)) {
	t.Helper()
	wire := x.signed.Bundle(t)
	entry, copied := proto.Clone(wire.GetVerificationMaterial().GetTlogEntries()[0]).(*protorekor.TransparencyLogEntry)
	if !copied {
		t.Fatal("an entry could not be copied")
	}
	change(entry)
	wire.VerificationMaterial.TlogEntries = []*protorekor.TransparencyLogEntry{entry}
	x.check(t, encode(t, wire))
}
