package evidence

import (
	"strings"

	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// Annotations with which writers say what a piece is. Nobody signed them.
const (
	bundleContentAnnotation   = "dev.sigstore.bundle.content"       // "dsse-envelope" or "message-signature"
	bundlePredicateAnnotation = "dev.sigstore.bundle.predicateType" // of a bundle's manifest
	legacyPredicateAnnotation = "predicateType"                     // of a layer in cosign's tag format
	dockerTypeAnnotation      = "vnd.docker.reference.type"         // of an entry of an image index
	dockerDigestAnnotation    = "vnd.docker.reference.digest"
	inTotoPredicateAnnotation = "in-toto.io/predicate-type" // of a layer of a BuildKit attestation
)

// typeInToto is the artifact type under which cosign hangs bare envelopes on an
// image, and the media type of BuildKit's unsigned statements.
const typeInToto = "application/vnd.in-toto+json"

// kind tells what an artifact type or a layer's media type promises.
type kind uint8

const (
	kindUnknown kind = iota // nothing: only the content can tell
	kindOurs                // evidence that package verify reads
	kindForeign             // a signature of another scheme
	kindOther               // no evidence
)

// artifactKind sorts a referrer by its artifact type.
func artifactKind(artifactType string) kind {
	switch artifactType {
	case "", oci.TypeEmpty, oci.TypeConfig:
		// Some registries answer with the config's type instead.
		return kindUnknown
	case typeInToto:
		return kindOurs
	}
	if layerFormat(artifactType) != verify.FormatUnknown {
		return kindOurs
	}
	return foreignKind(artifactType)
}

// layerFormat returns the format that a layer's media type names.
func layerFormat(mediaType string) verify.Format {
	switch {
	case strings.HasPrefix(mediaType, oci.BundlePrefix):
		return verify.FormatBundle
	case mediaType == oci.TypeDSSE:
		return verify.FormatLegacyAttestation
	case mediaType == oci.TypeLegacyLayer:
		return verify.FormatLegacySignature
	case mediaType == typeInToto:
		return verify.FormatUnsignedAttestation
	}
	return verify.FormatUnknown
}

// foreignKind tells another scheme's signature from an artifact that is none.
func foreignKind(mediaType string) kind {
	lower := strings.ToLower(mediaType)
	for _, word := range []string{"notary", "signature", "sigstore", "cosign", "pkcs7", "pgp"} {
		if strings.Contains(lower, word) {
			return kindForeign
		}
	}
	return kindOther
}

// bundleClaim returns the predicate type that a bundle's annotations claim. A
// message signature has none, and is a bare signature.
func bundleClaim(annotations map[string]string) string {
	claim := annotations[bundlePredicateAnnotation]
	if claim == "" && annotations[bundleContentAnnotation] == "message-signature" {
		return verify.SignaturePredicateType
	}
	return claim
}
