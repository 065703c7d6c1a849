package verify

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	sigverify "github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// checkEntryKinds checks of each log entry by itself what the engine checks of all
// together or not at all: that what the bundle says of it is what it says of itself;
// that it has the proof, or in a v0.1 bundle the promise, which the bundle's version
// demands; and that its proof and its checkpoint are about one tree.
func checkEntryKinds(e Evidence, parsed *entity) *Rejection {
	version, err := parsed.bundle.Version()
	if err != nil {
		return e.reject(StepParse, ReasonSignatureFormat, err)
	}
	for _, entry := range parsed.entries {
		var body struct {
			Kind       string `json:"kind"`
			APIVersion string `json:"apiVersion"`
		}
		if err := json.Unmarshal(entry.GetCanonicalizedBody(), &body); err != nil {
			return e.reject(StepLog, ReasonLogMismatch, fmt.Errorf("reading a log entry's body: %w", err))
		}
		if claimed := entry.GetKindVersion(); claimed.GetKind() != body.Kind || claimed.GetVersion() != body.APIVersion {
			return e.reject(StepLog, ReasonLogMismatch, fmt.Errorf("the bundle calls the log entry %q %q, the entry calls itself %q %q",
				wording.Short(claimed.GetKind()), wording.Short(claimed.GetVersion()), wording.Short(body.Kind), wording.Short(body.APIVersion)))
		}
		if version == "v0.1" && len(entry.GetInclusionPromise().GetSignedEntryTimestamp()) == 0 {
			return e.reject(StepLog, ReasonLogProof, errors.New("a log entry of a v0.1 bundle has no inclusion promise"))
		}
		if version != "v0.1" && entry.GetInclusionProof() == nil {
			return e.reject(StepLog, ReasonLogProof, errors.New("a log entry has no inclusion proof"))
		}
		if included := entry.GetInclusionProof(); included != nil {
			if err := checkTree(included); err != nil {
				return e.reject(StepLog, ReasonLogProof, err)
			}
			if body.Kind == kindHashedRekord && body.APIVersion == versionV2 {
				if err := checkBody(entry); err != nil {
					reason := ReasonLogProof
					if speaksOfOther(entry, parsed) {
						reason = ReasonLogMismatch
					}
					return e.reject(StepLog, reason, err)
				}
			}
		}
	}
	return nil
}

// checkLogTimes judges the validity of each proved log by the proven times: an entry
// that gives no time of its own (Rekor v2) could otherwise be of a log whose key was
// retired long before.
func (v *Verifier) checkLogTimes(e Evidence, fact *Fact, trusted root.TrustedMaterial) *Rejection {
	for _, entry := range fact.Log {
		log := trusted.RekorLogs()[entry.LogID]
		if log == nil || !entry.Time.IsZero() {
			continue
		}
		for _, t := range fact.Times {
			if !log.ValidityPeriodStart.IsZero() && t.Time.Before(log.ValidityPeriodStart) || !log.ValidityPeriodEnd.IsZero() && t.Time.After(log.ValidityPeriodEnd) {
				return e.reject(StepLog, ReasonTimeOutside, fmt.Errorf("signed at %s, outside of the validity of the log %s", t.Time.Format(time.RFC3339), log.BaseURL))
			}
		}
	}
	return nil
}

// checkTree compares the tree that a proof is about with the one that its checkpoint
// is about (C2SP tlog-checkpoint: origin, size, root hash): the engine computes with
// the proof's size, and a path may fit several.
func checkTree(included *protorekor.InclusionProof) error {
	lines := strings.SplitN(included.GetCheckpoint().GetEnvelope(), "\n", 4)
	if len(lines) < 4 {
		return errors.New("the checkpoint has no origin, size and root hash")
	}
	if size := strconv.FormatInt(included.GetTreeSize(), 10); size != lines[1] {
		return fmt.Errorf("the inclusion proof is about a tree of %s entries, its checkpoint about one of %q", size, wording.Short(lines[1]))
	}
	if hash := base64.StdEncoding.EncodeToString(included.GetRootHash()); hash != lines[2] {
		return fmt.Errorf("the inclusion proof is about the root hash %s, its checkpoint about %q", hash, wording.Short(lines[2]))
	}
	return nil
}

// checkBody proves that a Rekor v2 entry's own body is what the log holds (RFC 6962,
// section 2.1.1). The engine proves a body that it rebuilds from the bundle, and does
// not look at the one that is there.
func checkBody(entry *protorekor.TransparencyLogEntry) error {
	included := entry.GetInclusionProof()
	if entry.GetLogIndex() != included.GetLogIndex() || included.GetLogIndex() < 0 || included.GetTreeSize() < 0 {
		return fmt.Errorf("the log entry has the index %d, its inclusion proof is about %d", entry.GetLogIndex(), included.GetLogIndex())
	}
	leaf := rfc6962.DefaultHasher.HashLeaf(entry.GetCanonicalizedBody())
	err := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(included.GetLogIndex()), uint64(included.GetTreeSize()), leaf, included.GetHashes(), included.GetRootHash())
	if err != nil {
		return fmt.Errorf("the entry's body is not what the log holds: %w", err)
	}
	return nil
}

// provedEntries lists the entries whose inclusion the engine has proved. Where a
// bundle has several, the engine passes over those of logs that it does not know,
// so each is asked about by itself.
func (v *Verifier) provedEntries(parsed *entity, material root.TrustedMaterial) []LogEntry {
	entries := parsed.entries
	logs := material.RekorLogs()
	var all []LogEntry
	for _, entry := range entries {
		id := hex.EncodeToString(entry.GetLogId().GetKeyId())
		log, known := logs[id]
		if !known || len(parsed.kept) == 0 && len(entries) > 1 && !v.provesAlone(parsed, entry, material) {
			continue
		}
		one := LogEntry{LogID: id, Index: entry.GetLogIndex(), URI: log.BaseURL}
		// Only the promise is signed over the time; a proof alone is not.
		if seconds := entry.GetIntegratedTime(); seconds > 0 && entry.GetInclusionPromise() != nil {
			one.Time = time.Unix(seconds, 0).UTC()
		}
		all = append(all, one)
	}
	return all
}

// logged is the bundle in the form that its log entries are about.
func (parsed *entity) logged() *bundle.Bundle {
	if parsed.message != nil {
		return parsed.message
	}
	return parsed.bundle
}

// provesAlone reports whether one entry proves the bundle's signature by itself.
func (v *Verifier) provesAlone(parsed *entity, entry *protorekor.TransparencyLogEntry, trusted root.TrustedMaterial) (proves bool) {
	defer func() {
		if recover() != nil {
			proves = false
		}
	}()
	whole := parsed.logged()
	material := whole.GetVerificationMaterial()
	alone := &protobundle.Bundle{
		MediaType: whole.GetMediaType(), Content: whole.Content,
		VerificationMaterial: &protobundle.VerificationMaterial{Content: material.GetContent(), TlogEntries: []*protorekor.TransparencyLogEntry{entry}},
	}
	one, err := bundle.NewBundle(alone, v.bundleOptions(alone)...)
	if err != nil {
		return false
	}
	_, err = sigverify.VerifyTlogEntry(one, trusted, 1, false)
	return err == nil
}
