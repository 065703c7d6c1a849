package publish_test

import (
	"encoding/base64"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/sigstore/cosign/v2/pkg/oci/remote"
	"github.com/sigstore/cosign/v2/pkg/types"

	"github.com/hallmark-project/hallmark/sign"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// TestCosignsLibraryReadsIt: cosign/v2's own reader of registries finds what was
// hung on an image, in both formats. The command itself is tried in e2e.
func TestCosignsLibraryReadsIt(t *testing.T) {
	t.Parallel()
	if verify.SignaturePredicateType != types.CosignSignPredicateType || oci.TypeLegacyLayer != types.SimpleSigningMediaType || oci.TypeDSSE != types.DssePayloadType {
		t.Error("the names of cosign's formats have changed")
	}
	reg := registrytest.New(t)
	image := reg.PushImage("team/app", "1", map[string]string{"a": "b"})
	ref, signer := parse(t, image.TagRef()), newSigner(t)
	for _, attach := range []attacher{bundle, legacy, attestation(true)} {
		if _, err := signAll(t.Context(), newPublisher(), ref, false, signer, attach); err != nil {
			t.Fatal(err)
		}
	}
	digest, err := name.NewDigest(image.Ref())
	if err != nil {
		t.Fatal(err)
	}
	entity, err := remote.SignedImage(digest)
	if err != nil {
		t.Fatal(err)
	}
	found, err := entity.Signatures()
	if err != nil {
		t.Fatal(err)
	}
	signatures, err := found.Get()
	if err != nil || len(signatures) != 1 {
		t.Fatalf("cosign finds %d signatures, %v", len(signatures), err)
	}
	payload, err := signatures[0].Payload()
	if err != nil {
		t.Fatal(err)
	}
	text, err := signatures[0].Base64Signature()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := base64.StdEncoding.DecodeString(text); err != nil {
		t.Error(err)
	}
	v, err := sign.Verifier(signer)
	if err != nil {
		t.Fatal(err)
	}
	read := verify.Evidence{Format: verify.FormatLegacySignature, Raw: payload, Annotations: map[string]string{verify.LegacySignatureAnnotation: text}}
	if _, err := v.Check(verify.Subject{Digest: image.Digest}, read); err != nil {
		t.Errorf("what cosign read does not verify: %v", err)
	}
	attested, err := entity.Attestations()
	if err != nil {
		t.Fatal(err)
	}
	if all, err := attested.Get(); err != nil || len(all) != 1 {
		t.Errorf("cosign finds %d attestations, %v", len(all), err)
	}
	bundles, err := remote.Referrers(digest, sign.BundleMediaType)
	if err != nil || len(bundles.Manifests) != 1 {
		t.Fatalf("cosign finds %v, %v", bundles, err)
	}
	read1, err := remote.Bundle(digest.Context().Digest(bundles.Manifests[0].Digest.String()))
	if err != nil || read1.GetDsseEnvelope() == nil {
		t.Errorf("cosign cannot read the bundle: %v", err)
	}
}
