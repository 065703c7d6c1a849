package verify

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"

	"github.com/hallmark-project/hallmark/attest"
)

// Annotations in which cosign's tag format keeps what a bundle keeps in its
// verification material (cosign/v2 pkg/oci/static).
const (
	LegacyChainAnnotation     = "dev.sigstore.cosign/chain"
	LegacyLogAnnotation       = "dev.sigstore.cosign/bundle"
	LegacyTimestampAnnotation = "dev.sigstore.cosign/rfc3161timestamp"
)

// maxLegacyAnnotation bounds one annotation; a log entry has some kilobytes, one of
// an intoto entry that holds its attestation much more.
const maxLegacyAnnotation = 4 << 20

// LegacyLogEntry is the log entry of a legacy signature: what the log promised to
// include, and its signature over that (cosign/v2 pkg/cosign/bundle).
type LegacyLogEntry struct {
	SignedEntryTimestamp []byte
	Payload              LegacyLogPayload
}

// LegacyLogPayload is the signed part of a [LegacyLogEntry].
type LegacyLogPayload struct {
	Body           []byte `json:"body"`
	IntegratedTime int64  `json:"integratedTime"`
	LogIndex       int64  `json:"logIndex"`
	LogID          string `json:"logID"`
}

// legacyTimestamp holds the whole timestamp response (RFC 3161).
type legacyTimestamp struct {
	SignedRFC3161Timestamp []byte
}

// legacyMaterial reads the certificate, the log entry and the timestamp of legacy
// evidence into the verification material that a bundle would have. Without a
// certificate annotation it is a key's.
func legacyMaterial(e Evidence) (*protobundle.VerificationMaterial, *Rejection) {
	for _, name := range []string{LegacyCertificateAnnotation, LegacyChainAnnotation, LegacyLogAnnotation, LegacyTimestampAnnotation} {
		if n := len(e.Annotations[name]); n > maxLegacyAnnotation {
			return nil, e.reject(StepParse, ReasonLimitExceeded, fmt.Errorf("annotation %q has %d bytes, at most %d are read", name, n, maxLegacyAnnotation))
		}
	}
	material := &protobundle.VerificationMaterial{
		Content: &protobundle.VerificationMaterial_PublicKey{PublicKey: &protocommon.PublicKeyIdentifier{}},
	}
	if text := e.Annotations[LegacyCertificateAnnotation]; text != "" {
		block, rest := pem.Decode([]byte(text))
		if block == nil || block.Type != "CERTIFICATE" || len(bytes.TrimSpace(rest)) > 0 {
			return nil, e.reject(StepParse, ReasonSignatureFormat, errors.New("the certificate annotation is not one PEM certificate"))
		}
		material.Content = &protobundle.VerificationMaterial_Certificate{Certificate: &protocommon.X509Certificate{RawBytes: block.Bytes}}
	}
	if text := e.Annotations[LegacyLogAnnotation]; text != "" {
		entry, err := readLegacyLogEntry([]byte(text))
		if err != nil {
			return nil, e.reject(StepParse, ReasonSignatureFormat, fmt.Errorf("reading the log entry annotation: %w", err))
		}
		material.TlogEntries = []*protorekor.TransparencyLogEntry{entry}
	}
	if text := e.Annotations[LegacyTimestampAnnotation]; text != "" {
		var stamp legacyTimestamp
		if err := decodeStrict([]byte(text), &stamp); err != nil || len(stamp.SignedRFC3161Timestamp) == 0 {
			return nil, e.reject(StepParse, ReasonSignatureFormat, fmt.Errorf("reading the timestamp annotation: %w", errors.Join(err, errNoTimestamp(stamp))))
		}
		material.TimestampVerificationData = &protobundle.TimestampVerificationData{
			Rfc3161Timestamps: []*protocommon.RFC3161SignedTimestamp{{SignedTimestamp: stamp.SignedRFC3161Timestamp}},
		}
	}
	return material, nil
}

func errNoTimestamp(stamp legacyTimestamp) error {
	if len(stamp.SignedRFC3161Timestamp) == 0 {
		return errors.New("it holds no timestamp")
	}
	return nil
}

// readLegacyLogEntry turns a legacy log entry into the bundle's form.
func readLegacyLogEntry(text []byte) (*protorekor.TransparencyLogEntry, error) {
	var entry LegacyLogEntry
	if err := decodeStrict(text, &entry); err != nil {
		return nil, err
	}
	id, err := hex.DecodeString(entry.Payload.LogID)
	if err != nil {
		return nil, fmt.Errorf("the log ID is not hexadecimal: %w", err)
	}
	if hex.EncodeToString(id) != entry.Payload.LogID {
		return nil, errors.New("the log ID is not in small letters") // the signed text is
	}
	var kind struct {
		Kind       string `json:"kind"`
		APIVersion string `json:"apiVersion"`
	}
	if err := json.Unmarshal(entry.Payload.Body, &kind); err != nil {
		return nil, fmt.Errorf("the entry's body: %w", err)
	}
	switch {
	case len(entry.SignedEntryTimestamp) == 0:
		return nil, errors.New("it has no signed entry timestamp")
	case entry.Payload.LogIndex < 0 || entry.Payload.IntegratedTime <= 0:
		return nil, errors.New("its index or its time is no positive number")
	}
	return &protorekor.TransparencyLogEntry{
		LogIndex: entry.Payload.LogIndex, LogId: &protocommon.LogId{KeyId: id},
		KindVersion:    &protorekor.KindVersion{Kind: kind.Kind, Version: kind.APIVersion},
		IntegratedTime: entry.Payload.IntegratedTime, CanonicalizedBody: entry.Payload.Body,
		InclusionPromise: &protorekor.InclusionPromise{SignedEntryTimestamp: entry.SignedEntryTimestamp},
	}, nil
}

// LegacyAnnotations writes a bundle's verification material as the annotations of
// cosign's tag format: certificate, log entry and timestamp. It is an error when the
// log signed no promise, as a Rekor v2 never does, or when there are several log
// entries or timestamps: the format has no place for them.
func LegacyAnnotations(material *protobundle.VerificationMaterial) (map[string]string, error) {
	annotations := make(map[string]string)
	if raw := material.GetCertificate().GetRawBytes(); len(raw) > 0 {
		annotations[LegacyCertificateAnnotation] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}))
	}
	entries, stamps := material.GetTlogEntries(), material.GetTimestampVerificationData().GetRfc3161Timestamps()
	if len(entries) > 1 || len(stamps) > 1 {
		return nil, fmt.Errorf("%w: %d log entries and %d timestamps, there is place for one of each", ErrLegacyFormat, len(entries), len(stamps))
	}
	for _, entry := range entries {
		promise := entry.GetInclusionPromise().GetSignedEntryTimestamp()
		if len(promise) == 0 {
			return nil, fmt.Errorf("%w: the log made no promise to keep; only a Rekor v1 does", ErrLegacyFormat)
		}
		raw, err := json.Marshal(LegacyLogEntry{SignedEntryTimestamp: promise, Payload: LegacyLogPayload{
			Body: entry.GetCanonicalizedBody(), IntegratedTime: entry.GetIntegratedTime(),
			LogIndex: entry.GetLogIndex(), LogID: hex.EncodeToString(entry.GetLogId().GetKeyId()),
		}})
		if err != nil {
			return nil, fmt.Errorf("encoding a log entry: %w", err)
		}
		annotations[LegacyLogAnnotation] = string(raw)
	}
	for _, stamp := range stamps {
		raw, err := json.Marshal(legacyTimestamp{SignedRFC3161Timestamp: stamp.GetSignedTimestamp()})
		if err != nil {
			return nil, fmt.Errorf("encoding a timestamp: %w", err)
		}
		annotations[LegacyTimestampAnnotation] = string(raw)
	}
	return annotations, nil
}

// ErrLegacyFormat: cosign's tag format cannot hold the proof; use bundles.
var ErrLegacyFormat = errors.New("cosign's tag format cannot hold this")

// decodeStrict decodes one JSON object, without unknown or repeated names.
func decodeStrict(raw []byte, into any) error {
	if err := attest.CheckJSON(raw); err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}
