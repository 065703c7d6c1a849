package policy

import (
	"fmt"
	"strings"

	"github.com/hallmark-project/hallmark/verify"
)

// signatureDemand wants signatures by a number of different signers.
type signatureDemand struct {
	from    signers
	atLeast int
}

func (d *signatureDemand) accepts() signers { return d.from }
func (d *signatureDemand) types() []string  { return nil }

func (d *signatureDemand) wanted() string {
	if d.atLeast == 1 {
		return "a signature by " + d.from.oneOf()
	}
	return fmt.Sprintf("signatures by %d different signers of %s", d.atLeast, d.from)
}

// judge counts the different signers that signed the part's digest. Statements
// never count: who attests to something has not released it.
func (d *signatureDemand) judge(part Part) Demand {
	result := Demand{Name: "signatures", Wanted: d.wanted()}
	var proven []verify.Signer
	var statements []Attempt
	for _, f := range part.Findings.Facts {
		if a, other := elsewhere(f, part); other {
			result.Tried = append(result.Tried, a)
			continue
		}
		a := attempt(f)
		if f.Kind != verify.KindSignature {
			a.Reason, a.Detail = verify.ReasonPredicateType, "an attestation is not a signature"
			statements = append(statements, a)
			continue
		}
		if names := d.from.has(f.Signer); len(names) > 0 {
			a.Accepted, a.Detail = true, "signed by "+strings.Join(names, ", ")
			proven = append(proven, f.Signer)
		} else {
			a.Reason, a.Detail = d.from.refusal(f.Signer)
		}
		result.Tried = append(result.Tried, a)
	}
	for _, r := range part.Findings.Rejected {
		attestation := r.Origin.Place == "attestation-tag" || r.Origin.Place == "index"
		if a := refused(r); a.Type == "" && !attestation || a.Type == "signature" {
			result.Tried = append(result.Tried, a)
		}
	}
	signed := d.from.count(proven)
	switch {
	case signed >= d.atLeast:
		result.Verdict = Allow
		result.Found = plural(len(proven), "signature") + " by " + plural(signed, "signer")
	case signed > 0:
		result.Verdict, result.Reason = Deny, verify.ReasonThreshold
		result.Found = fmt.Sprintf("%s by %s", plural(len(proven), "signature"), plural(signed, "different signer"))
		result.Hint = fmt.Sprintf("have %s more of %s sign", plural(d.atLeast-signed, "signer"), d.from)
	default:
		result.Verdict, result.Reason = Deny, nearest(result.Tried, ReasonNoSignature)
		result.Found = "no signature"
		if len(result.Tried) > 0 {
			result.Found = fmt.Sprintf("no signature that counts; %s refused", plural(len(result.Tried), "piece")) + nearestIdentity(result.Tried, result.Reason)
		}
		result.Hint = hintFor(result.Reason, d.from, "sign the digest with `hallmark sign`")
	}
	if result.Verdict != Allow && len(statements) > 0 {
		result.Found += fmt.Sprintf("; %s, which is not a signature", plural(len(statements), "attestation"))
		result.Tried = append(result.Tried, statements...)
	}
	sortTried(result.Tried)
	return undetermined(result, part.Findings.Missing)
}
