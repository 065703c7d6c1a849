package verify

import (
	"github.com/hallmark-project/hallmark/attest/digest"
)

// Format is the wire format of one piece of evidence, taken from its media
// type. It is a property of the evidence, never a mode of a run.
type Format uint8

const (
	// FormatUnknown is the zero value; checking it gives a rejection.
	FormatUnknown Format = iota
	// FormatBundle is a Sigstore bundle, v0.1 to v0.3, message signature or DSSE.
	FormatBundle
	// FormatLegacySignature is cosign's tag format: a simple signing payload
	// whose signature stands in a layer annotation.
	FormatLegacySignature
	// FormatLegacyAttestation is cosign's tag format for attestations: a DSSE
	// envelope as a layer, certificate and log entry in annotations.
	FormatLegacyAttestation
	// FormatUnsignedAttestation is a BuildKit attestation in an image index: an
	// in-toto statement without any signature. It is reported, never a fact.
	FormatUnsignedAttestation
	// FormatForeign is evidence of another scheme (for example Notary
	// Project's). It is reported, never a fact.
	FormatForeign
)

var formatNames = [...]string{"unknown", "bundle", "legacy-signature", "legacy-attestation", "unsigned-attestation", "foreign"}

// String returns the format's stable name as it stands in reports.
func (f Format) String() string {
	if int(f) < len(formatNames) {
		return formatNames[f]
	}
	return formatNames[0]
}

// Evidence is one untrusted piece found beside an artifact. Raw is the one
// buffer that is hashed, checked and parsed.
type Evidence struct {
	Format Format
	// Raw is the bundle's JSON, the simple signing payload, or the DSSE envelope.
	Raw []byte
	// Annotations are the layer annotations that the legacy formats keep their
	// signature, certificate and log entry in; nil for bundles. Untrusted.
	Annotations map[string]string
	Origin      Origin
}

// Origin says where a piece of evidence was found, for reports.
type Origin struct {
	// Place is where it was looked up: "referrers-api", "referrers-tag",
	// "signature-tag", "attestation-tag", "index", or "file".
	Place string
	// Location is the repository, folder or file.
	Location string
	// Manifest is the digest of the manifest that carries it; zero for a file.
	Manifest digest.Digest
	// Layer is the digest of Raw as the manifest's descriptor gives it.
	Layer digest.Digest
	// ClaimedType is the predicate type that the unsigned manifest claims.
	ClaimedType string
	// Tag is the tag under which the manifest was found, where there is one.
	Tag string
}

// String names the place in one line, such as
// "referrers-api registry.example/app@sha256:ab12… ".
func (o Origin) String() string {
	switch {
	case o.Place == "file":
		return o.Location
	case o.Tag != "":
		return o.Place + " " + o.Location + ":" + o.Tag
	case !o.Manifest.IsZero():
		return o.Place + " " + o.Location + "@" + o.Manifest.Short()
	}
	return o.Place + " " + o.Location
}
