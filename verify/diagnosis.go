package verify

import (
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"

	"github.com/hallmark-project/hallmark/verify/trust"
)

// engineRejection names the step and the reason of a refusal by the engine. Its
// errors carry the failed step in their text and little else, so that the finer
// reasons are found by looking again. Nothing here changes a verdict.
func (v *Verifier) engineRejection(e Evidence, parsed *entity, err error) *Rejection {
	text := err.Error()
	switch {
	case errors.Is(err, errEnginePanic):
		return e.reject(StepParse, ReasonSignatureFormat, err)
	case strings.Contains(text, "failed to verify log inclusion"):
		_, detail, _ := strings.Cut(text, "failed to verify log inclusion: ")
		reason := v.logReason(parsed, detail)
		if reason == ReasonLogProof && v.foreignLogs(parsed) {
			// Nothing of it is this instance's: then its authority is what is wrong.
			if rejection := v.chainRejection(e, parsed, err); rejection.Reason == ReasonCertificateChain {
				return rejection
			}
		}
		return e.reject(StepLog, reason, err)
	case strings.Contains(text, "failed to verify timestamps"):
		return e.reject(StepTimestamp, timeReason(parsed, text), err)
	case strings.Contains(text, "failed to summarize certificate"):
		return e.reject(StepCertificate, ReasonCertificateUsage, err)
	case strings.Contains(text, "leaf certificate"):
		return v.chainRejection(e, parsed, err)
	case strings.Contains(text, "signed certificate timestamp"):
		return e.reject(StepSCT, sctReason(parsed, text), err)
	case strings.Contains(text, "failed to fetch"):
		return e.reject(StepParse, ReasonSignatureFormat, err)
	case strings.Contains(text, "does not match"):
		return e.reject(StepSubject, ReasonDigestMismatch, err)
	}
	if content, failed := parsed.bundle.VerificationContent(); failed == nil && content.Certificate() != nil {
		if weak := trust.CheckStrength(content.Certificate().PublicKey); weak != nil {
			return e.reject(StepCertificate, ReasonKeyWeak, fmt.Errorf("the certificate's key: %w", weak))
		}
	}
	return e.reject(StepSignature, ReasonSignatureInvalid, err)
}

// logReason tells a missing entry, an entry about something else, an entry without
// proof, and too few entries apart.
func (v *Verifier) logReason(parsed *entity, text string) Reason {
	entries := parsed.entries
	switch {
	case len(entries) == 0:
		return ReasonLogMissing
	case strings.Contains(text, "outside certificate validity"):
		return ReasonTimeOutside
	case strings.Contains(text, "duplicate tlog entries"), strings.Contains(text, "too many tlog entries"):
		return ReasonThreshold
	case containsAny(text, "calculated root", "root hash", "tree head", "checkpoint", "inclusion proof", "inclusion: ", "note", "leaf index"):
		// A Rekor v2 entry is rebuilt from the bundle, so that one about something else
		// shows as a wrong proof; what it says of itself tells them apart.
		for _, entry := range entries {
			if speaksOfOther(entry, parsed) {
				return ReasonLogMismatch
			}
		}
		if !containsAny(text, "transparency log ") {
			return ReasonLogProof
		}
	}
	switch {
	case someProved(text):
		return ReasonThreshold
	case strings.Contains(text, "not enough verified log entries"):
		for _, entry := range entries {
			if v.outsideLog(entry) {
				return ReasonTimeOutside
			}
		}
		return ReasonLogProof
	case containsAny(text, "does not match", "mismatch", "is not a ", "unsupported", "recognizable", "missing signature", "missing verifier", "missing digest", "validation failure"):
		return ReasonLogMismatch
	}
	return ReasonLogProof
}

// outsideLog reports whether an entry's time lies outside of the validity of its log.
func (v *Verifier) outsideLog(entry *protorekor.TransparencyLogEntry) bool {
	log, known := v.root.Sigstore().RekorLogs()[hex.EncodeToString(entry.GetLogId().GetKeyId())]
	if !known || entry.GetIntegratedTime() == 0 {
		return false
	}
	at := time.Unix(entry.GetIntegratedTime(), 0)
	return !log.ValidityPeriodStart.IsZero() && at.Before(log.ValidityPeriodStart) ||
		!log.ValidityPeriodEnd.IsZero() && at.After(log.ValidityPeriodEnd)
}

// foreignLogs reports whether no entry is of a log that is trusted.
func (v *Verifier) foreignLogs(parsed *entity) bool {
	logs := v.root.Sigstore().RekorLogs()
	return !slices.ContainsFunc(parsed.bundle.GetVerificationMaterial().GetTlogEntries(), func(entry *protorekor.TransparencyLogEntry) bool {
		_, known := logs[hex.EncodeToString(entry.GetLogId().GetKeyId())]
		return known
	})
}

func containsAny(text string, parts ...string) bool {
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(text, part) })
}

// below finds how many of the wanted witnesses the engine says that it proved.
var below = regexp.MustCompile(`(?:: |verify )([0-9]+)(?: < | SCT entries; unable to meet threshold of )([0-9]+)`)

// someProved reports whether a threshold was missed although not everything was wrong.
func someProved(text string) bool {
	found := below.FindStringSubmatch(text)
	return found != nil && found[1] != "0"
}

// timeReason tells a missing time, too few times, and a wrong time apart.
func timeReason(parsed *entity, text string) Reason {
	stamps := parsed.bundle.GetVerificationMaterial().GetTimestampVerificationData().GetRfc3161Timestamps()
	switch {
	case someProved(text):
		return ReasonThreshold
	case len(stamps) == 0:
		return ReasonTimeMissing
	case strings.Contains(text, "too many signed timestamps"):
		return ReasonLimitExceeded
	case containsAny(text, "weak", "SHA1", "sha1", "insecure algorithm"):
		return ReasonKeyWeak
	case containsAny(text, "hashed message", "hashes don't match", "validity period", "expired", "not yet valid"):
		return ReasonTimeOutside
	case containsAny(text, "certificate", "x509", "pkcs7", "%!w(<nil>)"): // the last: there is no authority to ask
		return ReasonCertificateChain
	}
	return ReasonTimeOutside
}

// sctReason tells a missing SCT, too few and a wrong one apart.
func sctReason(parsed *entity, text string) Reason {
	if someProved(text) {
		return ReasonThreshold
	}
	content, err := parsed.bundle.VerificationContent()
	if err == nil && content.Certificate() != nil {
		for _, extension := range content.Certificate().Extensions {
			if extension.Id.String() == sctListOID {
				return ReasonSCTInvalid
			}
		}
	}
	return ReasonSCTMissing
}
