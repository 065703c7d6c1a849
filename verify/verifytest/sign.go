package verifytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"testing"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify"
)

// Form is one of the shapes in which keyless evidence travels.
type Form string

// The forms. A bundle holds a DSSE envelope unless [Options.Message] is set.
const (
	BundleV01         Form = "bundle v0.1"
	BundleV02         Form = "bundle v0.2"
	BundleV03         Form = "bundle v0.3"
	LegacySignature   Form = "legacy signature"
	LegacyAttestation Form = "legacy attestation"
)

// Forms are all of them.
func Forms() []Form {
	return []Form{BundleV01, BundleV02, BundleV03, LegacySignature, LegacyAttestation}
}

// Image is what is signed unless a test says otherwise.
var Image = digest.FromBytes([]byte("the image of verifytest"))

// PredicateType is the type of the statements that are signed here.
const PredicateType = "https://example.com/verifytest/v1"

// Options say what is signed and how it deviates from the usual.
type Options struct {
	Form    Form // "" is BundleV03
	Message bool // a message signature instead of a statement
	// Content is what a message signature signs; nil is some text.
	Content []byte
	Image   digest.Digest // zero is [Image]
	// Statement is the payload; nil is a statement about Image.
	Statement []byte
	CA        *Authority // nil is the instance's first
	Leaf      Leaf
	// Key signs instead of a certificate's key.
	Key *Key
	// V2 logs in a Rekor v2, with a timestamp, unless Entries say otherwise.
	V2 bool
	// Entries and Stamps are the log entries and timestamps; nil is the usual: one
	// entry, and a timestamp only where the log gives no time. Empty is none.
	Entries []Entry
	Stamps  []Stamp
	// Instead is the payload that is signed, where it is not the one that is carried
	// and logged.
	Instead []byte
	// Sig changes the signature before it is logged.
	Sig func([]byte) []byte
	// Chain are certificates that a v0.1 or v0.2 bundle carries after the leaf.
	Chain []*x509.Certificate
	// Change edits the finished bundle; Annotate the finished annotations.
	Change   func(*protobundle.Bundle)
	Annotate func(map[string]string)
}

// Signed is a signature with all its witnesses.
type Signed struct {
	Options Options
	Leaf    *x509.Certificate // nil for a key
	Key     crypto.Signer
	Payload []byte // the signed statement, content or simple signing payload
	Sig     []byte
	Entries []*protorekor.TransparencyLogEntry
	Stamps  [][]byte
}

// Sign signs and asks the witnesses.
func (in *Instance) Sign(t testing.TB, o Options) *Signed {
	t.Helper()
	in.defaults(&o)
	s := &Signed{Options: o}
	if o.Key != nil {
		s.Key = o.Key.private
	} else {
		s.Leaf, s.Key = o.CA.Issue(t, in.Now, o.Leaf)
	}
	switch {
	case o.Form == LegacySignature:
		s.Payload = SimpleSigning(t, o.Image)
	case o.Message:
		s.Payload = o.Content
	case o.Statement != nil:
		s.Payload = o.Statement
	default:
		s.Payload = Statement(t, o.Image, PredicateType, `{"made":"here"}`)
	}
	carried := s.Payload
	if o.Instead != nil {
		s.Payload = o.Instead
	}
	s.Sig, s.Payload = s.sign(t), carried
	if o.Sig != nil {
		s.Sig = o.Sig(s.Sig)
	}
	for _, entry := range o.Entries {
		s.Entries = append(s.Entries, in.entry(entry, o, s).make(t, s))
	}
	for _, stamp := range o.Stamps {
		if stamp.TSA == nil {
			stamp.TSA = in.TSA
		}
		if stamp.At.IsZero() {
			stamp.At = in.Now
		}
		s.Stamps = append(s.Stamps, stamp.make(t, s.Sig))
	}
	return s
}

// defaults fills in what the options leave open.
func (in *Instance) defaults(o *Options) {
	if o.Form == "" {
		o.Form = BundleV03
	}
	if o.Image.IsZero() {
		o.Image = Image
	}
	if o.Content == nil {
		o.Content = []byte("some content")
	}
	if o.CA == nil {
		o.CA = in.CA
	}
	if o.Leaf.CT == nil {
		o.Leaf.CT = []SCT{{Log: in.CT}}
	}
	for i := range o.Leaf.CT {
		if o.Leaf.CT[i].At.IsZero() {
			o.Leaf.CT[i].At = in.Now
		}
	}
	if o.Entries == nil {
		o.Entries = []Entry{{}}
		if o.V2 {
			o.Entries[0].Kind = HashedRekordV2
		}
	}
	if o.Stamps == nil && o.V2 {
		o.Stamps = []Stamp{{}}
	}
}

// entry fills in what an entry leaves open.
func (in *Instance) entry(e Entry, o Options, s *Signed) Entry {
	if e.Kind == "" {
		e.Kind = HashedRekord
		if s.dsse() {
			e.Kind = DSSEEntry
		}
	}
	if e.Log == nil {
		e.Log = in.Rekor1
		if e.v2() {
			e.Log = in.Rekor2
		}
	}
	if e.Time.IsZero() {
		e.Time = in.Now
	}
	if o.Form != BundleV02 && o.Form != BundleV03 && !e.WithProof && !e.v2() {
		e.WithoutProof = true
	}
	return e
}

// Subject is what the signature is about.
func (s *Signed) Subject() verify.Subject {
	if s.Options.Message && s.Options.Form != LegacySignature {
		return verify.Subject{Digest: digest.FromBytes(s.Payload)}
	}
	return verify.Subject{Digest: s.Options.Image}
}

// Evidence is the signature in its form.
func (s *Signed) Evidence(t testing.TB) verify.Evidence {
	t.Helper()
	switch s.Options.Form {
	case LegacySignature, LegacyAttestation:
		return s.legacy(t)
	}
	raw, err := protojson.Marshal(s.Bundle(t))
	if err != nil {
		t.Fatal(err)
	}
	return verify.Evidence{Format: verify.FormatBundle, Raw: raw}
}

// Bundle is the signature as a bundle.
func (s *Signed) Bundle(t testing.TB) *protobundle.Bundle {
	t.Helper()
	wire := &protobundle.Bundle{MediaType: BundleMediaType, VerificationMaterial: &protobundle.VerificationMaterial{TlogEntries: s.Entries}}
	if s.Options.Form != BundleV03 {
		wire.MediaType = "application/vnd.dev.sigstore.bundle+json;version=0." + string(s.Options.Form[len(s.Options.Form)-1])
	}
	switch {
	case s.Leaf == nil:
		hint := &protocommon.PublicKeyIdentifier{Hint: s.Options.Key.Trusted.Hint()}
		wire.VerificationMaterial.Content = &protobundle.VerificationMaterial_PublicKey{PublicKey: hint}
	case s.Options.Form == BundleV03:
		wire.VerificationMaterial.Content = &protobundle.VerificationMaterial_Certificate{Certificate: &protocommon.X509Certificate{RawBytes: s.Leaf.Raw}}
	default:
		leaf := &protocommon.X509Certificate{RawBytes: s.Leaf.Raw}
		chain := &protocommon.X509CertificateChain{Certificates: []*protocommon.X509Certificate{leaf}}
		for _, certificate := range s.Options.Chain {
			chain.Certificates = append(chain.Certificates, &protocommon.X509Certificate{RawBytes: certificate.Raw})
		}
		wire.VerificationMaterial.Content = &protobundle.VerificationMaterial_X509CertificateChain{X509CertificateChain: chain}
	}
	if len(s.Stamps) > 0 {
		wire.VerificationMaterial.TimestampVerificationData = &protobundle.TimestampVerificationData{}
		for _, stamp := range s.Stamps {
			data := wire.VerificationMaterial.TimestampVerificationData
			data.Rfc3161Timestamps = append(data.Rfc3161Timestamps, &protocommon.RFC3161SignedTimestamp{SignedTimestamp: stamp})
		}
	}
	if s.dsse() {
		wire.Content = &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			PayloadType: s.payloadType(), Payload: s.Payload, Signatures: []*protodsse.Signature{{Sig: s.Sig}},
		}}
	} else {
		sum := sha256.Sum256(s.Payload)
		wire.Content = &protobundle.Bundle_MessageSignature{MessageSignature: &protocommon.MessageSignature{
			MessageDigest: &protocommon.HashOutput{Algorithm: protocommon.HashAlgorithm_SHA2_256, Digest: sum[:]}, Signature: s.Sig,
		}}
	}
	if s.Options.Change != nil {
		s.Options.Change(wire)
	}
	return wire
}

func (s *Signed) dsse() bool { return s.Options.Form != LegacySignature && !s.Options.Message }

func (*Signed) payloadType() string { return attest.PayloadType }

// message is what the signature is over.
func (s *Signed) message() []byte {
	if s.dsse() {
		return attest.PAE(s.payloadType(), s.Payload)
	}
	return s.Payload
}

// envelope is the DSSE envelope's JSON.
func (s *Signed) envelope(t testing.TB) []byte {
	t.Helper()
	return encodeJSON(t, map[string]any{
		"payload": s.Payload, "payloadType": s.payloadType(),
		"signatures": []any{map[string]any{"sig": base64.StdEncoding.EncodeToString(s.Sig)}},
	})
}

// algorithm is what a key signs with, under the names of the formats.
type algorithm struct {
	name, proto, details string
	hash                 crypto.Hash
}

func (a algorithm) sum(message []byte) []byte {
	switch a.hash {
	case crypto.SHA384:
		sum := sha512.Sum384(message)
		return sum[:]
	case crypto.SHA512:
		sum := sha512.Sum512(message)
		return sum[:]
	}
	sum := sha256.Sum256(message)
	return sum[:]
}

func (s *Signed) algorithm() algorithm {
	if key, is := s.Key.(*ecdsa.PrivateKey); is {
		// cosign hashes a simple signing payload with SHA-256, whatever the key.
		if key.Curve.Params().BitSize == 384 && s.Options.Form != LegacySignature {
			return algorithm{"sha384", "SHA2_384", "PKIX_ECDSA_P384_SHA_384", crypto.SHA384}
		}
		if key.Curve.Params().BitSize == 521 && s.Options.Form != LegacySignature {
			return algorithm{"sha512", "SHA2_512", "PKIX_ECDSA_P521_SHA_512", crypto.SHA512}
		}
		return algorithm{"sha256", "SHA2_256", "PKIX_ECDSA_P256_SHA_256", crypto.SHA256}
	}
	if _, is := s.Key.(ed25519.PrivateKey); is {
		return algorithm{"sha512", "SHA2_512", "PKIX_ED25519_PH", 0}
	}
	return algorithm{"sha256", "SHA2_256", "PKIX_RSA_PKCS1V15_2048_SHA256", crypto.SHA256}
}

func (s *Signed) sign(t testing.TB) []byte {
	t.Helper()
	message := s.message()
	if s.algorithm().hash != 0 { // pure Ed25519 signs the message itself
		message = s.algorithm().sum(message)
	}
	sig, err := s.Key.Sign(rand.Reader, message, s.algorithm().hash)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// Within is a time inside of a usual leaf's life, by its offset from [Now].
func Within(offset time.Duration) time.Time { return Now.Add(offset) }
