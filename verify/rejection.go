package verify

// Reason is a stable code for why evidence was refused, for machines and for
// tests. docs/reasons.md explains each.
type Reason string

// The reasons of this package. A refusal has exactly one.
const (
	ReasonSignatureInvalid   Reason = "SIG_INVALID"         // the signature does not match the bytes
	ReasonSignatureFormat    Reason = "SIG_FORMAT"          // the evidence cannot be parsed
	ReasonKeyMismatch        Reason = "KEY_MISMATCH"        // signed by a key that nobody here trusts
	ReasonKeyWeak            Reason = "KEY_WEAK"            // key or hash below the floor
	ReasonKeyExpired         Reason = "KEY_EXPIRED"         // outside the key's validity window
	ReasonCertificateChain   Reason = "CERT_CHAIN"          // no path to a trusted authority
	ReasonCertificateExpired Reason = "CERT_EXPIRED"        // a certificate was not valid at the signing time
	ReasonCertificateUsage   Reason = "CERT_USAGE"          // not a code-signing leaf
	ReasonIdentityMismatch   Reason = "IDENTITY_MISMATCH"   // proven identity, but not the wanted one
	ReasonIssuerMismatch     Reason = "ISSUER_MISMATCH"     // proven issuer, but not the wanted one
	ReasonSCTMissing         Reason = "SCT_MISSING"         // no signed certificate timestamp
	ReasonSCTInvalid         Reason = "SCT_INVALID"         // its signature or log is wrong
	ReasonLogMissing         Reason = "TLOG_MISSING"        // no log entry where one is wanted
	ReasonLogMismatch        Reason = "TLOG_MISMATCH"       // the entry is about something else
	ReasonLogProof           Reason = "TLOG_PROOF"          // inclusion is not proved
	ReasonTimeMissing        Reason = "TIME_MISSING"        // no trusted signing time
	ReasonTimeOutside        Reason = "TIME_OUTSIDE"        // a trusted time outside a window
	ReasonPayloadType        Reason = "PAYLOAD_TYPE"        // a DSSE envelope with something else in it
	ReasonPredicateType      Reason = "PREDICATE_TYPE"      // claimed and signed predicate types differ
	ReasonSubjectMismatch    Reason = "SUBJECT_MISMATCH"    // about another artifact
	ReasonSubjectEmpty       Reason = "SUBJECT_EMPTY"       // about nothing
	ReasonStatementMalformed Reason = "STATEMENT_MALFORMED" // signed, but no readable statement
	ReasonThreshold          Reason = "THRESHOLD"           // fewer different logs, authorities or signers than wanted
	ReasonDigestMismatch     Reason = "DIGEST_MISMATCH"     // bytes are not what their digest says
	ReasonSizeMismatch       Reason = "SIZE_MISMATCH"       // bytes are not as long as the descriptor says
	ReasonMediaType          Reason = "MEDIA_TYPE"          // a type that is not accepted here
	ReasonManifestAmbiguous  Reason = "MANIFEST_AMBIGUOUS"  // a manifest that two readers would read differently
	ReasonLimitExceeded      Reason = "LIMIT_EXCEEDED"      // more bytes, items or depth than allowed
	ReasonUnsigned           Reason = "UNSIGNED"            // present, but carries no signature
	ReasonForeignFormat      Reason = "FOREIGN_FORMAT"      // another scheme's evidence
	ReasonTrustRootInvalid   Reason = "TRUSTROOT_INVALID"   // the trust root itself cannot be used
	ReasonTrustRootExpired   Reason = "TRUSTROOT_EXPIRED"   // the trust root is too old to judge by
	ReasonTrustRootRollback  Reason = "TRUSTROOT_ROLLBACK"  // an older trust root was offered in place of a newer one
	ReasonInternal           Reason = "INTERNAL"            // a fault of Hallmark's own
)

// Step names one check, as reports print it. A report lists exactly the steps
// that were made.
type Step string

// The steps, in the order in which [Verifier.Check] makes them.
const (
	StepParse       Step = "parse"       // the evidence has its format's shape
	StepTimestamp   Step = "timestamp"   // signed timestamps
	StepLog         Step = "log"         // transparency-log inclusion
	StepCertificate Step = "certificate" // chain to a trusted authority, at every trusted time
	StepSCT         Step = "sct"         // the certificate is in a CT log
	StepSignature   Step = "signature"   // the signature over the exact bytes
	StepStatement   Step = "statement"   // the signed bytes are one strict statement
	StepSubject     Step = "subject"     // the statement or payload names the subject
)

// Rejection is a piece of evidence that was refused, and why. It is the error
// that [Verifier.Check] returns.
type Rejection struct {
	Origin Origin
	Step   Step
	Reason Reason
	// Found and Wanted describe the two sides of a mismatch for people; either
	// may be empty.
	Found, Wanted string
	Err           error
}

// Error says what was refused, at which step and why.
func (r *Rejection) Error() string {
	text := string(r.Reason) + ": " + string(r.Step)
	if r.Err != nil {
		text += ": " + r.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (r *Rejection) Unwrap() error { return r.Err }
