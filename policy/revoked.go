package policy

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/wording"
	"github.com/hallmark-project/hallmark/verify"
)

// moment is a time, or a day, which is its first second in UTC.
type moment struct {
	node
	time time.Time
}

func (m *moment) describe() string { return "day or time" }

func (m *moment) read(d decoder, n *yaml.Node, _ entry, path string) {
	at := position{n.Line, n.Column}
	m.place(at, path)
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!timestamp" && n.ShortTag() != "!!str" {
		d.addf(at, path, "", "%s where a day or a time is wanted", kindOf(n))
		return
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, n.Value); err == nil {
			if t.Year() < 1970 {
				d.addf(at, path, "", "%q lies before there was anything to sign", wording.Short(n.Value))
				return
			}
			m.time = t.UTC()
			return
		}
	}
	d.addf(at, path, "write a day such as 2026-05-01, or a time such as 2026-05-01T12:00:00Z", "%q is neither", wording.Short(n.Value))
}

func (m *moment) write() *yaml.Node {
	if m.time.IsZero() {
		return nil
	}
	return textNode(m.time.Format(time.RFC3339Nano))
}

// revocation is a compiled entry of revoked.
type revocation struct {
	digest          digest.Digest
	key             string
	subject, issuer *matches
	since           time.Time // zero is always
	reason          string
}

var keyID = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// revocations compiles the entries of revoked.
func (c *compiler) revocations(d *document) []revocation {
	// In order first: what is compiled below points into the list.
	order := func(e revokedEntry) string {
		return fmt.Sprintf("%s|%s|%s|%s|%s|%s", e.Digest.value, e.Key.value, &e.Subject, &e.Issuer, e.Since.time, e.Reason.value)
	}
	slices.SortStableFunc(d.Revoked, func(a, b revokedEntry) int { return cmp.Compare(order(a), order(b)) })
	var all []revocation
	for i := range d.Revoked {
		entry := &d.Revoked[i]
		what := 0
		for _, written := range []bool{entry.Digest.written(), entry.Key.written(), entry.Subject.written() || entry.Issuer.written()} {
			if written {
				what++
			}
		}
		if what != 1 {
			c.addf(entry.at, entry.path, "write either", "a `digest`, a `key`, or a `subject` and an `issuer` or one of them, is revoked")
			continue
		}
		if entry.Key.written() && !keyID.MatchString(entry.Key.value) {
			c.addf(entry.Key.at, entry.Key.path, "write the key's ID as reports show it: sha256: and 64 hexadecimal digits", "%q is no ID of a key", wording.Short(entry.Key.value))
		}
		var image digest.Digest
		if entry.Digest.written() {
			var err error
			if image, err = digest.Parse(entry.Digest.value); err != nil {
				c.add(entry.Digest.at, entry.Digest.path, "write it like sha256: and 64 hexadecimal digits", err)
			}
			if !entry.Since.time.IsZero() {
				c.addf(entry.Since.at, entry.Since.path, "remove it", "an image is revoked for ever: its digest is all that it ever was")
			}
		}
		all = append(all, revocation{image, entry.Key.value, &entry.Subject, &entry.Issuer, entry.Since.time, entry.Reason.value})
	}
	return all
}

// covers reports whether the entry is about a proven signer.
func (r *revocation) covers(s verify.Signer) bool {
	if !r.digest.IsZero() {
		return false // it is about an image
	}
	if r.key != "" {
		return s.KeyID == r.key
	}
	c := s.Certificate
	return c != nil && (!r.subject.written() || r.subject.matches(c.SAN)) && (!r.issuer.written() || r.issuer.matches(c.Issuer))
}

// refuses reports whether the entry takes a fact's worth away. What was signed
// before the revocation keeps it, if somebody trusted vouches for each of its
// times.
func (r *revocation) refuses(f verify.Fact) bool {
	if !r.covers(f.Signer) {
		return false
	}
	if r.since.IsZero() || len(f.Times) == 0 {
		return true
	}
	return slices.ContainsFunc(f.Times, func(t verify.TrustedTime) bool { return !t.Time.Before(r.since) })
}

// rejection is what becomes of a fact by a revoked signer.
func (r *revocation) rejection(f verify.Fact) *verify.Rejection {
	cause := fmt.Errorf("the policy revokes its signer: %s", r.reason)
	if !r.since.IsZero() {
		cause = fmt.Errorf("the policy revokes its signer since %s: %s", r.since.Format(time.RFC3339), r.reason)
		if len(f.Times) == 0 {
			cause = fmt.Errorf("%w; no trusted time says that it was signed before", cause)
		}
	}
	return refusal(f, verify.ReasonKeyExpired, cause)
}

// revokedImages are demands that nothing meets, one for each digest of an image that
// the policy revokes.
func (p *Policy) revokedImages(img Image) []Demand {
	var all []Demand
	parts := append([]Part{img.Target}, img.Platforms...)
	if of := img.Target.Index; !of.IsZero() {
		parts = append(parts, Part{Subject: verify.Subject{Digest: of}})
	}
	for _, part := range parts {
		for _, r := range p.revoked {
			if r.digest.IsZero() || r.digest != part.Subject.Digest {
				continue
			}
			all = append(all, Demand{
				Name: "revoked", Digest: part.Subject.Digest, Platform: part.Platform, Verdict: Deny, Reason: ReasonImageRevoked,
				Wanted: "an image that the policy does not revoke", Found: "the policy revokes it: " + r.reason,
				Hint: "deploy another build; if this one may run after all, remove it from `revoked`",
			})
		}
	}
	return all
}
