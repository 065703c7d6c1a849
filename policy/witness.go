package policy

import (
	"fmt"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify"
)

// Identity is who a certificate says has signed, and which trust root proved it.
type Identity struct {
	Subject string `json:"subject"`
	// Type is the subject's type: "URI", "Email", "DNS" or "Other".
	Type   string `json:"type"`
	Issuer string `json:"issuer,omitempty"`
	// TrustRoot is the policy's name of the root, if it has one.
	TrustRoot string `json:"trustRoot,omitempty"`
	// Root is the digest of the root.
	Root digest.Digest `json:"root,omitzero"`
}

// SigningTime is a time of signing that somebody vouches for.
type SigningTime struct {
	Time time.Time `json:"time"`
	// Source is "tsa" or "log", URI its address as the trust root names it.
	Source string `json:"source"`
	URI    string `json:"uri,omitempty"`
}

// LogEntry is an entry of a transparency log whose inclusion was proved.
type LogEntry struct {
	LogID string `json:"logID"`
	URI   string `json:"uri,omitempty"`
	Index int64  `json:"index"`
}

// witnesses adds who vouches for a fact beside its signer.
func (a *Attempt) witnesses(f verify.Fact) {
	if c := f.Signer.Certificate; c != nil {
		a.Identity = &Identity{Subject: c.SAN, Type: c.SANType, Issuer: c.Issuer, Root: c.Root}
	}
	for _, t := range f.Times {
		a.Times = append(a.Times, SigningTime{Time: t.Time.UTC(), Source: t.Source, URI: t.URI})
	}
	for _, entry := range f.Log {
		a.Log = append(a.Log, LogEntry{LogID: entry.LogID, URI: entry.URI, Index: entry.Index})
	}
}

// witnessed is all that witnesses adds, for putting attempts in order.
func (a *Attempt) witnessed() string {
	if a.Identity == nil {
		return fmt.Sprint(a.Times, a.Log)
	}
	return fmt.Sprint(*a.Identity, a.Times, a.Log)
}

// nameRoots names the trust roots of the attempts. A root that stands under
// several names has the first.
func (d *Decision) nameRoots(roots []Anchor) {
	for i := range d.Demands {
		for j := range d.Demands[i].Tried {
			a := &d.Demands[i].Tried[j]
			if a.Identity == nil {
				continue
			}
			for _, anchor := range roots {
				if anchor.Root.Digest() == a.Identity.Root {
					a.Identity.TrustRoot = anchor.Name
					break
				}
			}
		}
	}
}
