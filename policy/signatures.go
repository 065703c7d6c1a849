package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/verify"
)

// signatureDemand wants signatures by a number of different signers.
type signatureDemand struct {
	from    signers
	atLeast int
	choice
}

func (d *signatureDemand) accepts() signers { return d.from }
func (d *signatureDemand) types() []string  { return nil }

func (d *signatureDemand) wanted() string {
	text := fmt.Sprintf("signatures by %d different signers of %s", d.atLeast, d.from)
	if d.atLeast == 1 {
		text = "a signature by " + d.from.oneOf()
	}
	if how := d.choice.String(); how != "" {
		text += ", " + how
	}
	return text
}

// judge counts the different signers that signed the part's digest. Statements
// never count: who attests to something has not released it.
func (d *signatureDemand) judge(part hearing) Demand {
	result := Demand{Name: "signatures", Wanted: d.wanted()}
	var proven []verify.Signer
	var ends []time.Time // of those
	strangers := refuser{from: d.from}
	var statements []int
	result.Tried = make([]Attempt, 0, len(part.Findings.Facts))
	for i, f := range part.Findings.Facts {
		if a, other := elsewhere(f, part.Part); other {
			result.Tried = append(result.Tried, a)
			continue
		}
		if f.Kind != verify.KindSignature {
			statements = append(statements, i)
			continue
		}
		a := part.attempt(i)
		if names := d.from.has(f.Signer); len(names) == 0 {
			a.Reason, a.Detail = strangers.of(f.Signer)
		} else if end, reason, detail := d.choice.judge(f, part.at); reason != "" {
			a.Reason, a.Detail = reason, detail
		} else {
			a.Accepted, a.Detail = true, "signed by "+strings.Join(names, ", ")
			proven, ends = append(proven, f.Signer), append(ends, earlier(end, part.end(i)))
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
		result.Verdict, result.Until = Allow, d.until(proven, ends)
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
		result.Tried = append(result.Tried, part.refused(statements, "an attestation is not a signature")...)
	}
	sortTried(result.Tried)
	return undetermined(result, part.Findings.Missing)
}

// until returns the first instant at which too few of the signers are left; zero is
// never.
func (d *signatureDemand) until(proven []verify.Signer, ends []time.Time) time.Time {
	order := slices.Clone(ends)
	slices.SortFunc(order, time.Time.Compare)
	for _, end := range slices.CompactFunc(order, time.Time.Equal) {
		if end.IsZero() {
			continue
		}
		var left []verify.Signer
		for i, s := range proven {
			if ends[i].IsZero() || ends[i].After(end) {
				left = append(left, s)
			}
		}
		if d.from.count(left) < d.atLeast {
			return end
		}
	}
	return time.Time{}
}
