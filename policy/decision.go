package policy

import (
	"fmt"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
)

// Verdict is the answer to "may this run here?". The zero value is
// [Undetermined]: whoever forgets to decide has not allowed anything.
type Verdict uint8

// The three verdicts.
const (
	// Undetermined: it could not be checked. Neither allowed nor found bad.
	Undetermined Verdict = iota
	// Deny: it was checked, and it is not what the policy wants.
	Deny
	// Allow: everything that the policy wants was proved.
	Allow
)

// Worse reports whether v counts before other where one verdict stands for several: Deny
// before Undetermined before Allow.
func (v Verdict) Worse(other Verdict) bool {
	rank := func(v Verdict) int {
		switch v {
		case Deny:
			return 2
		case Allow:
			return 0
		}
		return 1
	}
	return rank(v) > rank(other)
}

var verdictNames = [...]string{"undetermined", "deny", "allow"}

// String returns "undetermined", "deny" or "allow".
func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return verdictNames[Undetermined]
}

// MarshalText returns the verdict's name for JSON.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads a verdict's name.
func (v *Verdict) UnmarshalText(text []byte) error {
	for i, name := range verdictNames {
		if string(text) == name {
			*v = Verdict(i)
			return nil
		}
	}
	return fmt.Errorf("reading a verdict: %q is none of undetermined, deny, allow", text)
}

// Reasons that only a policy gives; [verify.Reason] has those of evidence.
const (
	ReasonNoSignature      verify.Reason = "NO_SIGNATURE"         // nothing that counts as a signature was found
	ReasonNoAttestation    verify.Reason = "NO_ATTESTATION"       // no statement of the wanted type was found
	ReasonNoMatch          verify.Reason = "POLICY_NO_MATCH"      // no rule governs the image
	ReasonPolicyDeny       verify.Reason = "POLICY_DENY"          // a condition of the rule is not met
	ReasonNoPlatform       verify.Reason = "NO_PLATFORM"          // an index without the platforms that the rule wants
	ReasonSBOMHollow       verify.Reason = "SBOM_HOLLOW"          // an SBOM without packages
	ReasonSBOMOtherSubject verify.Reason = "SBOM_OTHER_SUBJECT"   // an SBOM that says itself that it is another image's
	ReasonSBOMIncomplete   verify.Reason = "SBOM_INCOMPLETE"      // an SBOM without the minimum elements
	ReasonSBOMMismatch     verify.Reason = "SBOM_MISMATCH"        // an SBOM that does not list what the image contains
	ReasonContentUnchecked verify.Reason = "CONTENT_UNCHECKED"    // the image's content was not looked at
	ReasonVulnerable       verify.Reason = "VULNERABLE"           // a vulnerability that is worse than the rule accepts
	ReasonUnreachable      verify.Reason = "REGISTRY_UNREACHABLE" // could not look
	ReasonUnauthorized     verify.Reason = "REGISTRY_AUTH"        // was not let in to look
	ReasonNoImage          verify.Reason = "IMAGE_NOT_FOUND"      // the registry says that there is no such image
	ReasonReference        verify.Reason = "REF_INVALID"          // the reference cannot be read
	ReasonRedirectDenied   verify.Reason = "REDIRECT_REFUSED"     // the registry sent us elsewhere
	ReasonHostRefused      verify.Reason = "REGISTRY_REFUSED"     // the registry is not one that may be asked
	ReasonImageRevoked     verify.Reason = "IMAGE_REVOKED"        // the policy revokes the image's digest
	ReasonTooOld           verify.Reason = "TOO_OLD"              // signed longer ago than the demand's maxAge
	ReasonSuperseded       verify.Reason = "SUPERSEDED"           // a later statement counts in its place
)

// PlatformMode says which digests of an image a rule wants evidence on.
type PlatformMode uint8

const (
	// PlatformsIndex is the default: the digest that the reference resolved to.
	PlatformsIndex PlatformMode = iota
	// PlatformsAll: that digest and every platform manifest below it.
	PlatformsAll
)

// String returns "index" or "all".
func (m PlatformMode) String() string {
	if m == PlatformsAll {
		return "all"
	}
	return "index"
}

// Plan says what evidence a decision about one image needs, so that nothing
// else is fetched.
type Plan struct {
	// Rule is the name of the rule that governs the image; empty when the image
	// is unmatched and the policy warns about such images.
	Rule      string
	Platforms PlatformMode
	// Signatures tells whether bare signatures are wanted.
	Signatures bool
	// PredicateTypes are the wanted statement types, sorted, without duplicates.
	PredicateTypes []string
	// Summaries are those of PredicateTypes of which one statement can make up for
	// everything else: look for these first. If the decision on them alone is
	// [Decision.Summarised], nothing else can change it.
	Summaries []string
	// Everywhere tells that what is found in one place can undo what was found in
	// another: a demand counts each statement or the latest. Look at every place before
	// deciding.
	Everywhere bool
	// Content tells that a demand compares what is in the image's layers. It takes
	// long to find out: look only once all else is met, which a demand's reason
	// [ReasonContentUnchecked] says.
	Content bool
	// Roots are what the wanted evidence is checked with: a piece counts if one
	// of them proves it. The keys of all signers are one root, the first, without a
	// name. Empty when nothing is wanted.
	Roots []Anchor
}

// Anchor is one trust root of a plan and how many witnesses it asks for.
type Anchor struct {
	Name string // the policy's entry under trustRoots; "" for the keys
	Root *trust.Root
	Need trust.Requirement
}

// Wants reports whether evidence that claims the given predicate type is
// wanted. An empty claim always is: only the payload can tell.
func (p Plan) Wants(predicateType string) bool {
	if predicateType == "" {
		return true
	}
	if predicateType == verify.SignaturePredicateType {
		// cosign 2.6 writes this claim on every bundle, attestations too; the signed
		// statement tells what it is.
		return p.Signatures || len(p.PredicateTypes) > 0
	}
	for _, wanted := range p.PredicateTypes {
		if wanted == predicateType {
			return true
		}
	}
	return false
}

// Findings are all that was found about one digest.
type Findings struct {
	Facts    []verify.Fact
	Rejected []*verify.Rejection
	// Missing are the places that could not be looked at. While there is one, a
	// demand that is not met is Undetermined and not Deny.
	Missing []error
}

// Part is one digest of an image with its findings.
type Part struct {
	Subject verify.Subject
	// Platform is "os/arch[/variant]" for a platform manifest, else "".
	Platform string
	// Index is the digest of the index that the manifest was chosen from; zero where
	// it was not. An SBOM may call the image by it.
	Index    digest.Digest
	Findings Findings
	// Content is what was found in the image's layers; nil where nobody looked. It is
	// only asked for where the plan says so.
	Content *Content
}

// Image is everything that [Policy.Decide] judges.
type Image struct {
	// Name is the canonical name without tag or digest that the rules' patterns
	// are matched with, such as "docker.io/library/nginx".
	Name string
	// Target is the digest that the reference resolved to.
	Target Part
	// Index tells that Target is an image index.
	Index bool
	// Platforms are the platform manifests below an index; only filled when the
	// plan asks for all.
	Platforms []Part
}

// Decision is the outcome for one image, complete enough to print a report from.
type Decision struct {
	Verdict Verdict `json:"verdict"`
	// Rule governs the image; empty when none does.
	Rule string `json:"rule,omitempty"`
	// Reason is the primary reason of a verdict that is not Allow.
	Reason verify.Reason `json:"reason,omitempty"`
	// Demands are the rule's demands, one for each digest that each applies to,
	// in the rule's order, whether met or not.
	Demands []Demand `json:"demands,omitempty"`
	// Until is the first instant at which the verdict may be another one for the same
	// evidence: a key's time ends, a statement becomes too old, a rule begins. A cache
	// must not keep the decision for longer. Of a verdict other than Allow only the dates
	// of rules are told. Zero: nothing in the policy ends it.
	Until time.Time `json:"until,omitzero"`
	// Warnings are said although the verdict stands.
	Warnings []string `json:"warnings,omitempty"`
	// Warned is what the verdict would be if the policy did not only warn: the verdict
	// is Allow, and the image is not what the rule wants. nil where nothing was warned
	// away.
	Warned *Warned `json:"warned,omitempty"`
}

// Warned is a verdict that was not enforced.
type Warned struct {
	Verdict Verdict       `json:"verdict"`
	Reason  verify.Reason `json:"reason"`
}

// Demand is one demand of a rule on one digest, and what became of it.
type Demand struct {
	// Name is the field of the rule, such as "signatures" or "provenance".
	Name     string        `json:"name"`
	Digest   digest.Digest `json:"digest"`
	Platform string        `json:"platform,omitempty"`
	Verdict  Verdict       `json:"verdict"`
	Reason   verify.Reason `json:"reason,omitempty"`
	// Wanted and Found are one sentence each, for people.
	Wanted string `json:"wanted"`
	Found  string `json:"found"`
	// Hint says what to do about a demand that is not met.
	Hint string `json:"hint,omitempty"`
	// Until is the first instant at which a demand that is met may be met no more by
	// the same evidence; zero: never.
	Until time.Time `json:"until,omitzero"`
	// Skipped tells that an exception makes up for a demand that is not met. The
	// demand's own verdict stands: what was skipped was never found good.
	Skipped *Skipped `json:"skipped,omitempty"`
	// Alternative tells that the demand, if met, makes up for all others on its digest,
	// which are then not listed. Not met, it decides nothing.
	Alternative bool `json:"alternative,omitempty"`
	// Tried are the pieces of evidence that were considered, each with its
	// outcome.
	Tried []Attempt `json:"tried,omitempty"`
}

// Attempt is one piece of evidence and what one demand made of it.
type Attempt struct {
	Origin string `json:"origin"`
	// Evidence is the digest of the manifest that carries the piece, or of the piece
	// itself where it is in none; zero of what counts for nothing.
	Evidence digest.Digest `json:"-"`
	Signer   string        `json:"signer,omitempty"`
	Type     string        `json:"type,omitempty"` // predicate type, or "signature"
	// Accepted tells that the piece counted for the demand.
	Accepted bool          `json:"accepted"`
	Reason   verify.Reason `json:"reason,omitempty"`
	Detail   string        `json:"detail,omitempty"`
	Checks   []verify.Step `json:"checks,omitempty"`
	// Identity, Times and Log are what was proved beside the signature of keyless
	// evidence.
	Identity *Identity     `json:"identity,omitempty"`
	Times    []SigningTime `json:"times,omitempty"`
	Log      []LogEntry    `json:"log,omitempty"`
}
