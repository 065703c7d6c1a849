package policy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hallmark-project/hallmark/verify"
)

// demand is one compiled demand of a rule.
type demand interface {
	// judge says what became of the demand on one digest; the caller adds the
	// digest and the platform.
	judge(part hearing) Demand
	// accepts are the signers whose evidence counts.
	accepts() signers
	// types are the wanted predicate types; nil means bare signatures.
	types() []string
}

// Missing gives an entry of [Findings.Missing] a reason of its own. Errors that
// wrap none count as [ReasonUnreachable].
type Missing struct {
	Reason verify.Reason // such as [ReasonUnauthorized]
	Err    error
}

// Error returns the cause's text.
func (m *Missing) Error() string { return m.Err.Error() }

// Unwrap returns the cause.
func (m *Missing) Unwrap() error { return m.Err }

// undetermined turns an unmet demand into "could not be checked" while places
// could not be looked at: the evidence may be there.
func undetermined(d Demand, missing []error) Demand {
	if d.Verdict == Allow || len(missing) == 0 {
		return d
	}
	var texts []string
	reasons := make(map[verify.Reason]bool)
	for _, err := range missing {
		reason := ReasonUnreachable
		var m *Missing
		if errors.As(err, &m) && m.Reason != "" {
			reason = m.Reason
		}
		reasons[reason] = true
		if err != nil {
			texts = append(texts, err.Error())
		}
	}
	slices.Sort(texts)
	d.Verdict, d.Reason = Undetermined, ReasonUnreachable
	if len(reasons) == 1 {
		for only := range reasons {
			d.Reason = only
		}
	}
	d.Found += "; but a place could not be looked at: " + strings.Join(slices.Compact(texts), "; ")
	d.Hint = "nothing was found bad: look again when every place can be read"
	if d.Reason == ReasonUnauthorized {
		d.Hint = "log in to the registry, or ask for read access, and look again"
	}
	return d
}

// Limits on what reports repeat of evidence, which may say a megabyte of anything.
const (
	maxTypeText   = 256  // a predicate type is an address
	maxDetailText = 1024 // an error, with the names of a few things
)

// cut returns the beginning of a text, of at most n bytes and an ellipsis.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "") + "…"
}

// attempt describes a fact as tried evidence.
func attempt(f verify.Fact) Attempt {
	kind := "signature"
	if f.Kind != verify.KindSignature {
		kind = ""
		if f.Statement != nil {
			kind = f.Statement.PredicateType
		}
	}
	a := Attempt{Origin: f.Origin.String(), Signer: f.Signer.String(), Type: cut(kind, maxTypeText), Checks: slices.Clone(f.Checks)}
	if a.Evidence = f.Origin.Manifest; a.Evidence.IsZero() {
		a.Evidence = f.Origin.Layer
	}
	a.witnesses(f)
	return a
}

// refused describes a rejection as tried evidence.
func refused(r *verify.Rejection) Attempt {
	kind := r.Origin.ClaimedType
	if kind == verify.SignaturePredicateType || kind == "" && r.Origin.Place == "signature-tag" {
		kind = "signature"
	}
	detail := string(r.Step)
	if r.Err != nil {
		detail += ": " + cut(r.Err.Error(), maxDetailText)
	}
	if r.Found != "" {
		detail += "; found " + cut(r.Found, maxDetailText)
	}
	if r.Wanted != "" {
		detail += "; wanted " + cut(r.Wanted, maxDetailText)
	}
	return Attempt{Origin: r.Origin.String(), Type: cut(kind, maxTypeText), Reason: r.Reason, Detail: detail}
}

// elsewhere refuses a fact about another digest. Package verify never lets one
// pass; should a caller mix up its findings, it still counts for nothing.
func elsewhere(f verify.Fact, part Part) (Attempt, bool) {
	if f.Subject.Digest == part.Subject.Digest && !part.Subject.Digest.IsZero() {
		return Attempt{}, false
	}
	a := attempt(f)
	a.Reason, a.Detail = verify.ReasonSubjectMismatch, "it is about "+f.Subject.Digest.Short()
	return a, true
}

// sortTried puts attempts in an order that does not depend on how they came in:
// what counted first.
func sortTried(tried []Attempt) {
	rank := func(a Attempt) int {
		if a.Accepted {
			return 0
		}
		return 1
	}
	slices.SortFunc(tried, func(a, b Attempt) int {
		order := cmp.Or(rank(a)-rank(b), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Origin, b.Origin), cmp.Compare(a.Signer, b.Signer),
			cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Detail, b.Detail))
		if order != 0 {
			return order // what follows costs more, and seldom decides
		}
		return cmp.Or(slices.Compare(a.Checks, b.Checks), cmp.Compare(a.witnessed(), b.witnessed()))
	})
}

// nearest returns the reason of the attempt that came closest to counting, so
// that a report begins with what is worth mending; fallback where nothing came
// near. A piece without any signature, or of another scheme, never does.
func nearest(tried []Attempt, fallback verify.Reason) verify.Reason {
	best, closeness := fallback, 0
	for _, a := range tried {
		if a.Accepted {
			continue
		}
		near := 0
		switch a.Reason {
		case ReasonContentUnchecked:
			near = 6 // all else is met
		case ReasonSBOMOtherSubject, ReasonSBOMIncomplete, ReasonSBOMMismatch, ReasonVulnerable:
			near = 5
		case ReasonPolicyDeny, ReasonSBOMHollow, ReasonTooOld, verify.ReasonStatementMalformed, verify.ReasonLimitExceeded:
			near = 5
		case verify.ReasonIdentityMismatch, verify.ReasonIssuerMismatch, verify.ReasonKeyExpired:
			near = 4
		case verify.ReasonSubjectMismatch, verify.ReasonDigestMismatch:
			near = 3
		case verify.ReasonKeyMismatch:
			near = 2
		case verify.ReasonUnsigned, verify.ReasonForeignFormat, verify.ReasonPredicateType, ReasonSuperseded, "":
		default:
			near = 1
		}
		if near > closeness || near == closeness && near > 0 && a.Reason < best {
			best, closeness = a.Reason, near
		}
	}
	return best
}

// nearestIdentity says what a certificate lacks, if that is why nothing counts.
func nearestIdentity(tried []Attempt, reason verify.Reason) string {
	for _, a := range tried {
		if a.Identity != nil && a.Reason == reason {
			return "; one: " + a.Detail
		}
	}
	return ""
}

// hintFor says what to do about a reason.
func hintFor(reason verify.Reason, from signers, fallback string) string {
	if hint := contentHint(reason); hint != "" {
		return hint
	}
	switch reason {
	case verify.ReasonSubjectMismatch, verify.ReasonDigestMismatch:
		return "the evidence is about another artifact: deploy the digest that was signed, or sign this one"
	case ReasonTooOld:
		return fmt.Sprintf("have it made and signed anew by %s", from.oneOf())
	case verify.ReasonTimeMissing:
		return "sign with a timestamp, or into a log that the signer's `timesFrom` or `trustRoot` trusts"
	case verify.ReasonKeyExpired:
		return fmt.Sprintf("have it signed anew, by a key or identity of %s that is in force", from.oneOf())
	case verify.ReasonKeyMismatch, verify.ReasonIdentityMismatch, verify.ReasonIssuerMismatch:
		return fmt.Sprintf("have it signed by %s, or add the signer to the rule if it is to be trusted", from.oneOf())
	}
	return fallback
}

// plural says "1 signature" or "2 signatures".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
