package gate

import "github.com/hallmark-project/hallmark/policy"

// The sizes of the parts of a decision without their text, and of what is around it.
const (
	entryBytes   = 600
	demandBytes  = 250
	attemptBytes = 250
	witnessBytes = 100
)

// weight estimates the memory that a kept decision takes: whoever may push evidence
// can make it large.
func weight(key decisionKey, o outcome) int64 {
	n := entryBytes + len(key.name) + len(key.digest.String()) + len(key.roots) + len(o.message)
	d := o.decision
	for _, text := range d.Warnings {
		n += 16 + len(text)
	}
	for _, u := range o.unseen {
		n += 32 + len(u.Detail)
	}
	for i := range d.Demands {
		n += demandWeight(&d.Demands[i])
	}
	return int64(n)
}

func demandWeight(d *policy.Demand) int {
	n := demandBytes + len(d.Wanted) + len(d.Found) + len(d.Hint) + len(d.Digest.String())
	if d.Skipped != nil {
		n += witnessBytes + len(d.Skipped.Reason) + len(d.Skipped.Owner) + len(d.Skipped.Ticket)
	}
	for i := range d.Tried {
		a := &d.Tried[i]
		n += attemptBytes + len(a.Origin) + len(a.Signer) + len(a.Type) + len(a.Detail) + 16*len(a.Checks) + witnessBytes*(len(a.Times)+len(a.Log))
		if a.Identity != nil {
			n += witnessBytes + len(a.Identity.Subject) + len(a.Identity.Issuer)
		}
	}
	return n
}
