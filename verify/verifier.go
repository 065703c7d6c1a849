// Package verify turns untrusted evidence about an artifact into proved facts,
// or into a rejection with a reason.
//
//	root, err := trust.NewRoot(trust.WithKeys(key))
//	v, err := verify.New(root, trust.Requirement{}, time.Now)
//	fact, err := v.Check(verify.Subject{Digest: d}, evidence)
//	if err != nil { … }   // always a *verify.Rejection
//
// A fact says that something is authentic: who signed it, when, logged where,
// and about which digest. It does not say that the signer may: package policy
// decides that. The cryptographic checks of Sigstore bundles are sigstore-go's.
// This package uses no network, files, environment or clock of its own.
package verify

import (
	"errors"
	"fmt"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	sigverify "github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/verify/trust"
)

// SignaturePredicateType is the predicate type of a statement that is a bare
// image signature in bundle form, as cosign writes it
// (cosign/v2 pkg/types/predicate.go).
const SignaturePredicateType = "https://sigstore.dev/cosign/sign/v1"

// MaxEvidenceBytes bounds one piece of evidence: a DSSE envelope carries its
// payload in base64, so a statement of the largest size fits.
const MaxEvidenceBytes = attest.MaxStatementBytes/3*4 + 1<<20

// Verifier checks evidence against one trust root. It is immutable and safe for
// concurrent use.
type Verifier struct {
	keys    []candidate
	keyless *sigverify.Verifier // nil where no certificate is trusted
	// unlogged asks for no log entries: they are proved already.
	unlogged *sigverify.Verifier
	root     *trust.Root
	need     trust.Requirement
	now      func() time.Time
}

// New returns a verifier for the given root. need is what keyless evidence must
// have beside its signature; it is an error for a root that can verify
// certificates to ask for no trusted time. Of a key's signature need.LogEntries is
// asked where the root trusts a transparency log beside the key. now is used to
// refuse trusted times that lie in the future, and to judge what ends: the windows
// of keys whose signature proves no time, and revocation lists.
func New(r *trust.Root, need trust.Requirement, now func() time.Time) (*Verifier, error) {
	if r == nil {
		return nil, fmt.Errorf("making a verifier: %w", trust.ErrEmpty)
	}
	if now == nil {
		return nil, errors.New("making a verifier: it needs a clock")
	}
	v := &Verifier{root: r, need: need, now: now}
	for _, key := range r.Keys() {
		c, err := newCandidate(key)
		if err != nil {
			return nil, fmt.Errorf("making a verifier: %w", err)
		}
		v.keys = append(v.keys, c)
	}
	if material := r.Sigstore(); material != nil && r.Keyless() {
		options, err := keylessOptions(need)
		if err != nil {
			return nil, fmt.Errorf("making a verifier: %w", err)
		}
		warm := root.TrustedMaterial(material)
		if !material.Own {
			warm = newWarmMaterial(material)
		}
		v.keyless, err = sigverify.NewVerifier(warm, options...)
		if err != nil {
			return nil, fmt.Errorf("making a verifier: %w", err)
		}
		unlogged := need
		unlogged.LogEntries = 0
		if options, err = keylessOptions(unlogged); err != nil {
			return nil, fmt.Errorf("making a verifier: %w", err)
		}
		if v.unlogged, err = sigverify.NewVerifier(warm, options...); err != nil {
			return nil, fmt.Errorf("making a verifier: %w", err)
		}
	}
	return v, nil
}

// keylessOptions spells a requirement in the engine's options.
func keylessOptions(need trust.Requirement) ([]sigverify.VerifierOption, error) {
	if need.Timestamps < 1 {
		return nil, errors.New("keyless evidence needs at least one trusted time")
	}
	// The statement is read here, strictly, and not a second time by the engine.
	options := []sigverify.VerifierOption{sigverify.WithoutStatementPredicate(), sigverify.WithObserverTimestamps(need.Timestamps)}
	if need.LogEntries > 0 {
		options = append(options, sigverify.WithTransparencyLog(need.LogEntries))
	}
	if need.SCTs > 0 {
		options = append(options, sigverify.WithSignedCertificateTimestamps(need.SCTs))
	}
	return options, nil
}

// Check proves one piece of evidence about a subject. On success the evidence
// is authentic and is about exactly the subject's digest. The error is always a
// *[Rejection].
//
// Evidence whose signature can only be checked over the artifact's own bytes
// (pure Ed25519 over a blob) is refused with [ReasonSignatureFormat]; see
// [Verifier.CheckContent].
func (v *Verifier) Check(s Subject, e Evidence) (Fact, error) { return v.check(s, nil, e) }

// CheckContent is [Verifier.Check] for an artifact whose bytes are at hand.
// content must hash to the subject's digest.
func (v *Verifier) CheckContent(s Subject, content []byte, e Evidence) (Fact, error) {
	if !s.Digest.Matches(content) {
		return Fact{}, e.reject(StepSubject, ReasonDigestMismatch, errors.New("the content is not the subject's"))
	}
	if content == nil {
		content = []byte{}
	}
	return v.check(s, content, e)
}

func (v *Verifier) check(s Subject, content []byte, e Evidence) (Fact, error) {
	if s.Digest.IsZero() {
		return Fact{}, e.reject(StepSubject, ReasonSubjectEmpty, errors.New("there is no digest to check against"))
	}
	if len(e.Raw) == 0 {
		return Fact{}, e.reject(StepParse, ReasonSignatureFormat, errors.New("the evidence is empty"))
	}
	if len(e.Raw) > MaxEvidenceBytes {
		return Fact{}, e.reject(StepParse, ReasonLimitExceeded, fmt.Errorf("%d bytes of evidence, at most %d are read", len(e.Raw), MaxEvidenceBytes))
	}
	switch e.Format {
	case FormatBundle:
		return v.checkBundle(s, content, e)
	case FormatLegacySignature:
		return v.checkLegacySignature(s, e)
	case FormatLegacyAttestation:
		return v.checkLegacyAttestation(s, e)
	case FormatUnsignedAttestation:
		return Fact{}, e.reject(StepSignature, ReasonUnsigned, errors.New("the attestation carries no signature"))
	case FormatForeign:
		return Fact{}, e.reject(StepParse, ReasonForeignFormat, fmt.Errorf("evidence of another scheme: %s", e.Origin.ClaimedType))
	}
	return Fact{}, e.reject(StepParse, ReasonSignatureFormat, errors.New("the evidence has no known format"))
}

// reject makes the one error type of this package.
func (e Evidence) reject(step Step, reason Reason, err error) *Rejection {
	return &Rejection{Origin: e.Origin, Step: step, Reason: reason, Err: err}
}
