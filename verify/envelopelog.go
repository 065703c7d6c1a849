package verify

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/rekor-tiles/v2/pkg/note"
	logverify "github.com/sigstore/rekor-tiles/v2/pkg/verify"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore/pkg/signature"
	"google.golang.org/protobuf/proto"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/attest/wording"
)

// Kinds of log entries about envelopes.
const (
	kindHashedRekord = "hashedrekord"
	versionV1        = "0.0.1"
	versionV2        = "0.0.2"
)

// asMessage turns a bundle whose envelope is recorded in a Rekor v1 as a bare
// signature (kind hashedrekord) into the message signature that the entry is about:
// the same signature, over the envelope's pre-authentication encoding (DSSE protocol,
// "Signature Definition"; Sigstore client specification, "Bundle content"). The
// engine compares such entries with message signatures alone. nil where the entries
// are of other kinds.
func (v *Verifier) asMessage(e Evidence, parsed *entity) (*bundle.Bundle, *Rejection) {
	if len(parsed.entries) == 0 || len(parsed.kept) > 0 {
		return nil, nil
	}
	for _, entry := range parsed.entries {
		if kind := entry.GetKindVersion(); kind.GetKind() != kindHashedRekord || kind.GetVersion() != versionV1 {
			return nil, nil
		}
	}
	algorithm, err := recordedHash(parsed.entries[0])
	if err != nil {
		return nil, e.reject(StepLog, ReasonLogMismatch, err)
	}
	h := algorithm.hash.New()
	h.Write(attest.PAE(attest.PayloadType, parsed.payload))
	wire := &protobundle.Bundle{
		MediaType: parsed.bundle.GetMediaType(), VerificationMaterial: parsed.bundle.GetVerificationMaterial(),
		Content: &protobundle.Bundle_MessageSignature{MessageSignature: &protocommon.MessageSignature{
			MessageDigest: &protocommon.HashOutput{Algorithm: algorithm.name, Digest: h.Sum(nil)},
			Signature:     parsed.bundle.GetDsseEnvelope().GetSignatures()[0].GetSig(),
		}},
	}
	b, err := bundle.NewBundle(wire, v.bundleOptions(wire)...)
	if err != nil {
		return nil, e.reject(StepParse, ReasonSignatureFormat, err)
	}
	return b, nil
}

// hashName is one hash under its two names.
type hashName struct {
	hash crypto.Hash
	name protocommon.HashAlgorithm
}

// recordedHash reads out of a Rekor v1 entry of kind hashedrekord which hash of the
// content it holds (rekor, pkg/types/hashedrekord/v0.0.1).
func recordedHash(entry *protorekor.TransparencyLogEntry) (hashName, error) {
	var body struct {
		Spec struct {
			Data struct {
				Hash struct {
					Algorithm string `json:"algorithm"`
				} `json:"hash"`
			} `json:"data"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(entry.GetCanonicalizedBody(), &body); err != nil {
		return hashName{}, fmt.Errorf("reading a log entry's body: %w", err)
	}
	known := map[string]hashName{
		"sha256": {crypto.SHA256, protocommon.HashAlgorithm_SHA2_256},
		"sha384": {crypto.SHA384, protocommon.HashAlgorithm_SHA2_384},
		"sha512": {crypto.SHA512, protocommon.HashAlgorithm_SHA2_512},
	}
	found, ok := known[body.Spec.Data.Hash.Algorithm]
	if !ok {
		return hashName{}, fmt.Errorf("the log entry has a hash of kind %q", wording.Short(body.Spec.Data.Hash.Algorithm))
	}
	return found, nil
}

// keptEntries takes the entries out of a bundle that the engine does not read, though
// clients of Sigstore must: those about envelopes (kinds dsse and intoto) that stand in
// a log whose checkpoint is a Rekor v2's. Rekor v2 took such entries until rekor-tiles
// v2.3.0. They are checked by proveEnvelope. A bundle with such entries must have no
// others.
func keptEntries(e Evidence, wire *protobundle.Bundle) (*protobundle.Bundle, []*protorekor.TransparencyLogEntry, *Rejection) {
	entries := wire.GetVerificationMaterial().GetTlogEntries()
	kept := 0
	for _, entry := range entries {
		if kind := entry.GetKindVersion(); kind.GetKind() != kindHashedRekord && readers[kindVersion{kind.GetKind(), kind.GetVersion()}] != nil && noteOfV2(entry) {
			kept++
		}
	}
	if kept == 0 {
		return wire, nil, nil
	}
	if kept < len(entries) {
		return nil, nil, e.reject(StepLog, ReasonLogMismatch, errors.New("the bundle mixes log entries about envelopes in a Rekor v2 with others"))
	}
	if kept > maxLogEntries {
		return nil, nil, e.reject(StepLog, ReasonLimitExceeded, fmt.Errorf("%d log entries, at most %d are read", kept, maxLogEntries))
	}
	rest, copied := proto.Clone(wire).(*protobundle.Bundle)
	if !copied {
		return nil, nil, e.reject(StepParse, ReasonInternal, errors.New("copying a bundle"))
	}
	rest.VerificationMaterial.TlogEntries = nil
	return rest, entries, nil
}

// noteOfV2 reports whether an entry's checkpoint is a Rekor v2's: the origin of a Rekor
// v1 ends with the number of its tree.
func noteOfV2(entry *protorekor.TransparencyLogEntry) bool {
	origin, _, found := strings.Cut(entry.GetInclusionProof().GetCheckpoint().GetEnvelope(), "\n")
	return found && !originV1.MatchString(origin)
}

var originV1 = regexp.MustCompile(` - [0-9]+$`)

// maxLogEntries bounds the log entries of one bundle, as the engine does.
const maxLogEntries = 32

// proveEnvelope proves the inclusion of one kept entry, and that it is about the
// bundle's own envelope, signature and signer. signer is the certificate's or the
// public key's DER.
func proveEnvelope(entry *protorekor.TransparencyLogEntry, parsed *entity, signer []byte, certificate bool, trusted root.TrustedMaterial) (Reason, error) {
	if entry.GetInclusionProof() == nil || entry.GetLogIndex() < 0 || entry.GetLogIndex() != entry.GetInclusionProof().GetLogIndex() {
		return ReasonLogProof, errors.New("the log entry has no inclusion proof of its own")
	}
	if entry.GetInclusionPromise() != nil {
		// A Rekor v2 promises nothing, and with a promise the entry's time would count.
		return ReasonLogProof, errors.New("the log entry has a promise that its log does not make")
	}
	log, known := trusted.RekorLogs()[hex.EncodeToString(entry.GetLogId().GetKeyId())]
	if !known || log.BaseURL == "" {
		return ReasonLogProof, errors.New("the entry is of a log that is not trusted")
	}
	address, err := url.Parse(log.BaseURL)
	if err != nil {
		return ReasonLogProof, fmt.Errorf("reading the log's URL: %w", err)
	}
	key, err := signature.LoadVerifier(log.PublicKey, log.SignatureHashFunc)
	if err != nil {
		return ReasonLogProof, fmt.Errorf("reading the log's key: %w", err)
	}
	verifier, err := note.NewNoteVerifier(address.Hostname(), key)
	if err != nil {
		return ReasonLogProof, fmt.Errorf("reading the log's key: %w", err)
	}
	if err := logverify.VerifyLogEntry(entry, verifier); err != nil {
		return ReasonLogProof, err
	}
	kind := entry.GetKindVersion()
	read := readers[kindVersion{kind.GetKind(), kind.GetVersion()}]
	if read == nil {
		return ReasonLogMismatch, fmt.Errorf("a log entry of kind %q", wording.Short(kind.GetKind()))
	}
	about, err := read(entry.GetCanonicalizedBody())
	if err != nil {
		return ReasonLogMismatch, fmt.Errorf("reading a log entry's body: %w", err)
	}
	sum := sha256.Sum256(parsed.payload)
	switch {
	case !bytes.Equal(about.payloadHash, sum[:]):
		return ReasonLogMismatch, errors.New("the log entry is about another payload")
	case !bytes.Equal(about.signature, parsed.bundle.GetDsseEnvelope().GetSignatures()[0].GetSig()):
		return ReasonLogMismatch, errors.New("the log entry is about another signature")
	case about.certificate != certificate || len(signer) == 0 || !bytes.Equal(about.signer, signer):
		return ReasonLogMismatch, errors.New("the log entry is about another signer")
	}
	return "", nil
}

// proveEnvelopes proves all kept entries of a bundle; one that is wrong refuses the
// bundle, and so does a threshold of different logs that is not reached.
func (v *Verifier) proveEnvelopes(e Evidence, parsed *entity, signer []byte, certificate bool, trusted root.TrustedMaterial) *Rejection {
	logs := make(map[string]bool)
	for i, entry := range parsed.kept {
		if slices.ContainsFunc(parsed.kept[:i], func(earlier *protorekor.TransparencyLogEntry) bool {
			return bytes.Equal(earlier.GetLogId().GetKeyId(), entry.GetLogId().GetKeyId()) && earlier.GetLogIndex() == entry.GetLogIndex()
		}) {
			return e.reject(StepLog, ReasonThreshold, errors.New("the same log entry stands twice"))
		}
		id := hex.EncodeToString(entry.GetLogId().GetKeyId())
		if _, known := trusted.RekorLogs()[id]; !known {
			continue // as the engine does: an unknown log's entry proves nothing
		}
		if reason, err := proveEnvelope(entry, parsed, signer, certificate, trusted); err != nil {
			return e.reject(StepLog, reason, err)
		}
		logs[id] = true
	}
	switch {
	case len(logs) >= v.need.LogEntries:
		return nil
	case len(logs) == 0:
		return e.reject(StepLog, ReasonLogProof, errors.New("no entry is of a log that is trusted"))
	}
	return e.reject(StepLog, ReasonThreshold, fmt.Errorf("entries of %d different logs, %d are wanted", len(logs), v.need.LogEntries))
}

// publicDER returns a public key as its DER SubjectPublicKeyInfo, nil when it has none.
func publicDER(key crypto.PublicKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil
	}
	return der
}
