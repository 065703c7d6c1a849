package verify

import (
	"bytes"
	"crypto"
	_ "crypto/sha256" // the hashes of v2 entries
	_ "crypto/sha512"
	"encoding/json"

	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"

	"github.com/hallmark-project/hallmark/attest"
)

// bodyV2 is the canonical body of a Rekor v2 entry (rekor-tiles,
// api/proto/rekor_entry.proto).
type bodyV2 struct {
	Spec struct {
		HashedRekord *struct {
			Data struct {
				Digest []byte `json:"digest"`
			} `json:"data"`
			Signature struct {
				Content  []byte `json:"content"`
				Verifier struct {
					Certificate struct {
						Raw []byte `json:"rawBytes"`
					} `json:"x509Certificate"`
				} `json:"verifier"`
			} `json:"signature"`
		} `json:"hashedRekordV002"`
	} `json:"spec"`
}

// speaksOfOther reports whether a Rekor v2 entry says of itself that it is about
// another signature, certificate or digest than the bundle's. It serves to name a
// reason, and decides nothing.
func speaksOfOther(entry *protorekor.TransparencyLogEntry, parsed *entity) bool {
	var body bodyV2
	if json.Unmarshal(entry.GetCanonicalizedBody(), &body) != nil || body.Spec.HashedRekord == nil {
		return false
	}
	record := body.Spec.HashedRekord
	content, err := parsed.bundle.SignatureContent()
	if err != nil {
		return false
	}
	if !bytes.Equal(record.Signature.Content, content.Signature()) {
		return true
	}
	if material, err := parsed.bundle.VerificationContent(); err == nil && material.Certificate() != nil &&
		!bytes.Equal(record.Signature.Verifier.Certificate.Raw, material.Certificate().Raw) {
		return true
	}
	if message := content.MessageSignatureContent(); message != nil {
		return !bytes.Equal(record.Data.Digest, message.Digest())
	}
	for _, algorithm := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		if algorithm.Size() == len(record.Data.Digest) {
			h := algorithm.New()
			h.Write(attest.PAE(attest.PayloadType, parsed.payload))
			return !bytes.Equal(record.Data.Digest, h.Sum(nil))
		}
	}
	return true
}
