package verify

import (
	"time"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/attest/digest"
)

// Subject is the one artifact that a check is about. It holds a digest and
// never a tag: whoever makes a Subject has resolved the tag, once.
type Subject struct {
	// Repository is where the caller found the artifact, for reports only.
	// No check trusts it.
	Repository string
	// Digest is what signatures and statements must name.
	Digest digest.Digest
}

// Kind tells what a [Fact] proves.
type Kind uint8

const (
	// KindUnknown is the zero value; no Fact has it.
	KindUnknown Kind = iota
	// KindSignature is a bare signature on the subject: "this signer released
	// this digest". Only it counts for a policy's signatures.
	KindSignature
	// KindStatement is a signed in-toto statement about the subject. It is
	// never a signature, whoever signed it.
	KindStatement
)

// String returns "signature", "statement" or "unknown".
func (k Kind) String() string {
	switch k {
	case KindSignature:
		return "signature"
	case KindStatement:
		return "statement"
	}
	return "unknown"
}

// Fact is what [Verifier.Check] proved about a subject. Nothing else makes one.
// A Fact says what is authentic; whether its signer may say it is the policy's
// business. Facts are read-only once made and safe to share.
type Fact struct {
	Subject Subject
	Kind    Kind
	Signer  Signer
	// Times are the signing times that a TSA or a log vouches for. Empty for a
	// key-based signature without timestamp.
	Times []TrustedTime
	// Log are the transparency-log entries whose inclusion was proved.
	Log []LogEntry
	// Statement is the signed statement; nil for a bare image signature in
	// legacy or message-signature form.
	Statement *attest.Statement
	// Annotations are the signed annotations of a signature ("optional" in a
	// simple signing payload). They are the signer's claim, authenticated but
	// not judged.
	Annotations map[string]string
	// Reference is the image name that the signer claims to have signed, or ""
	// where the format has no place for one.
	Reference string
	// Checks lists, in order, exactly the checks that were made.
	Checks []Step
	Origin Origin
}

// Signer is the proven signer of a [Fact]: a key, or a certificate.
type Signer struct {
	// KeyID is "sha256:" and the hexadecimal SHA-256 of the public key's DER
	// SubjectPublicKeyInfo. Two signatures with one KeyID are one signer.
	KeyID string
	// Certificate is the proven identity of a keyless signer; nil for a key.
	Certificate *Certificate
}

// Same reports whether two signers are one for counting: the same key, or the
// same certificate identity whatever ephemeral key it had.
func (s Signer) Same(other Signer) bool {
	if s.Certificate != nil || other.Certificate != nil {
		return s.Certificate != nil && other.Certificate != nil &&
			s.Certificate.Issuer == other.Certificate.Issuer &&
			s.Certificate.SAN == other.Certificate.SAN &&
			s.Certificate.SANType == other.Certificate.SANType &&
			s.Certificate.Root == other.Certificate.Root
	}
	return s.KeyID == other.KeyID
}

// String names the signer for people: the key's short ID, or "SAN (issuer)".
func (s Signer) String() string {
	if s.Certificate != nil {
		return s.Certificate.SAN + " (" + s.Certificate.Issuer + ")"
	}
	if len(s.KeyID) > 19 {
		return "key " + s.KeyID[:19]
	}
	return "key " + s.KeyID
}

// Certificate is the identity that a verified certificate chain proves.
type Certificate struct {
	Issuer  string // OIDC issuer, Fulcio OID 1.3.6.1.4.1.57264.1.8 or .1; "" where a private CA names none
	SAN     string // subject alternative name
	SANType string // "URI", "Email", "DNS" or "Other"
	// Extensions are the certificate's claims by their dotted OID: every extension
	// but those of X.509 itself (2.5.29) and the list of SCTs. A value that is no
	// text is "hex:" and its bytes.
	Extensions map[string]string
	// Root is the digest of the trust root that proved the certificate. An identity
	// is only as good as the authority that vouches for it: compare both.
	Root digest.Digest
	// Digest is that of the certificate itself, in DER.
	Digest digest.Digest
	// Lifetime is for how long it was issued: minutes by Fulcio, years by many
	// authorities of one's own.
	Lifetime time.Duration
}

// TrustedTime is a signing time that a third party vouches for.
type TrustedTime struct {
	Time   time.Time
	Source string // "tsa" or "log"
	URI    string // the authority's or log's URL as the trust root names it
}

// LogEntry is a transparency-log entry whose inclusion was proved.
type LogEntry struct {
	LogID string // hexadecimal
	URI   string // the log's URL as the trust root names it
	Index int64
	Time  time.Time // zero where the log gives no time
}
