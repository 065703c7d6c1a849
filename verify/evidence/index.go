package evidence

import (
	"errors"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// Unsigned returns BuildKit's attestations among the entries of an image index:
// those about one platform's manifest, or all of them for the zero digest. They
// are present and nobody signed them, so each is a rejection.
func Unsigned(repository string, index *oci.Manifest, platform digest.Digest) []*verify.Rejection {
	var all []*verify.Rejection
	for _, d := range index.Manifests {
		if !IsUnsigned(d) || !platform.IsZero() && d.Annotations[dockerDigestAnnotation] != platform.String() {
			continue
		}
		if len(all) == MaxCandidates {
			break
		}
		all = append(all, unsigned(verify.Origin{Place: PlaceIndex, Location: repository, Manifest: d.Digest}))
	}
	return all
}

// IsUnsigned reports whether an entry of an index is a BuildKit attestation, and
// therefore no platform. The annotation alone is not enough: runtimes choose by the
// platform, and would run an entry that names one, or none.
func IsUnsigned(d oci.Descriptor) bool {
	return d.Annotations[dockerTypeAnnotation] == "attestation-manifest" && d.Platform.String() == "unknown/unknown"
}

func unsigned(origin verify.Origin) *verify.Rejection {
	return &verify.Rejection{
		Origin: origin, Step: verify.StepSignature, Reason: verify.ReasonUnsigned,
		Err: errors.New("the attestation carries no signature"),
	}
}
