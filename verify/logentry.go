package verify

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	sigverify "github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// checkEntryKinds compares what the bundle says of each log entry with what the
// entry says of itself: the engine reads only the latter.
func checkEntryKinds(e Evidence, parsed *entity) *Rejection {
	for _, entry := range parsed.bundle.GetVerificationMaterial().GetTlogEntries() {
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
	}
	return nil
}

// provedEntries lists the entries whose inclusion the engine has proved. Where a
// bundle has several, the engine passes over those of logs that it does not know,
// so each is asked about by itself.
func (v *Verifier) provedEntries(parsed *entity) []LogEntry {
	entries := parsed.bundle.GetVerificationMaterial().GetTlogEntries()
	logs := v.root.Sigstore().RekorLogs()
	var all []LogEntry
	for _, entry := range entries {
		id := hex.EncodeToString(entry.GetLogId().GetKeyId())
		log, known := logs[id]
		if !known || len(entries) > 1 && !v.provesAlone(parsed, entry) {
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

// provesAlone reports whether one entry proves the bundle's signature by itself.
func (v *Verifier) provesAlone(parsed *entity, entry *protorekor.TransparencyLogEntry) (proves bool) {
	defer func() {
		if recover() != nil {
			proves = false
		}
	}()
	material := parsed.bundle.GetVerificationMaterial()
	alone := &protobundle.Bundle{
		MediaType: parsed.bundle.GetMediaType(), Content: parsed.bundle.Content,
		VerificationMaterial: &protobundle.VerificationMaterial{Content: material.GetContent(), TlogEntries: []*protorekor.TransparencyLogEntry{entry}},
	}
	one, err := bundle.NewBundle(alone, v.bundleOptions()...)
	if err != nil {
		return false
	}
	_, err = sigverify.VerifyTlogEntry(one, v.root.Sigstore(), 1, false)
	return err == nil
}
