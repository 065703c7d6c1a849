package verifytest

import (
	"encoding/base64"
	"encoding/hex"
	"testing"

	"github.com/hallmark-project/hallmark/verify"
)

// legacy is the signature in cosign's tag format: everything but the payload stands
// in annotations of the layer.
func (s *Signed) legacy(t testing.TB) verify.Evidence {
	t.Helper()
	e := verify.Evidence{Format: verify.FormatLegacySignature, Raw: s.Payload, Annotations: make(map[string]string)}
	if s.Leaf != nil {
		e.Annotations["dev.sigstore.cosign/certificate"] = string(pemCertificate(s.Leaf))
		e.Annotations["dev.sigstore.cosign/chain"] = string(pemCertificate(s.Options.CA.Intermediate)) + string(pemCertificate(s.Options.CA.Root))
	}
	if s.dsse() {
		e.Format, e.Raw = verify.FormatLegacyAttestation, s.envelope(t)
		e.Annotations["predicateType"] = PredicateType
		e.Annotations["dev.cosignproject.cosign/signature"] = ""
	} else {
		e.Annotations["dev.cosignproject.cosign/signature"] = base64.StdEncoding.EncodeToString(s.Sig)
	}
	if len(s.Entries) > 0 {
		entry := s.Entries[0]
		e.Annotations["dev.sigstore.cosign/bundle"] = string(encodeJSON(t, map[string]any{
			"SignedEntryTimestamp": entry.GetInclusionPromise().GetSignedEntryTimestamp(),
			"Payload": map[string]any{
				"body": entry.GetCanonicalizedBody(), "integratedTime": entry.GetIntegratedTime(),
				"logIndex": entry.GetLogIndex(), "logID": hex.EncodeToString(entry.GetLogId().GetKeyId()),
			},
		}))
	}
	if len(s.Stamps) > 0 {
		e.Annotations["dev.sigstore.cosign/rfc3161timestamp"] = string(encodeJSON(t, map[string]any{"SignedRFC3161Timestamp": s.Stamps[0]}))
	}
	if s.Options.Annotate != nil {
		s.Options.Annotate(e.Annotations)
	}
	return e
}
