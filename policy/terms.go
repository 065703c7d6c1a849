package policy

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
)

// terms are what a key's signatures need beside themselves. A key has one set of
// terms in a policy, whoever lists it.
type terms struct {
	window trust.Window
	// witnesses vouch for the time of signing; nil: nobody does.
	witnesses *anchor
}

func (t terms) isZero() bool { return t.window.IsZero() && t.witnesses == nil }

// same reports whether two entries of a key ask for one thing.
func (t terms) same(other terms) bool {
	return t.window.String() == other.window.String() && t.witnesses == other.witnesses
}

// setTerms reads a key's own entries and those of its signer, and returns the key in
// its window.
func (c *compiler) setTerms(key trust.Key, entry *keyEntry, witnesses *anchor) trust.Key {
	made := terms{
		window:    trust.Window{From: entry.NotBefore.time, Until: entry.NotAfter.time, CompromisedSince: entry.CompromisedSince.time},
		witnesses: witnesses,
	}
	limited, err := key.Within(made.window)
	if err != nil {
		c.add(entry.NotAfter.at, entry.NotAfter.path, "let it end after its beginning", err)
		return key
	}
	if known, found := c.terms[key.ID()]; found && !known.same(made) {
		c.addf(entry.at, entry.path, "a key has one window and one `timesFrom` in a policy; write the same wherever it stands",
			"the key %s stands twice, with different terms", shortID(key.ID()))
		return key
	}
	c.terms[key.ID()] = made
	return limited
}

// binding are the terms of the keys that have some.
func (c *compiler) binding() map[string]terms {
	some := make(map[string]terms)
	for id, t := range c.terms {
		if !t.isZero() {
			some[id] = t
		}
	}
	return some
}

func shortID(id string) string { return id[:min(len(id), 19)] }

// judge says whether a fact by the key counts, and until when: without proven times
// only while the key is in force.
func (t terms) judge(f verify.Fact, at time.Time) (end time.Time, reason verify.Reason, err error) {
	if t.witnesses != nil {
		var sources []string
		for _, one := range f.Times {
			sources = append(sources, one.Source+" "+one.URI)
		}
		slices.Sort(sources)
		switch got, want := len(slices.Compact(sources)), t.witnesses.Need.Timestamps; {
		case got == 0:
			return time.Time{}, verify.ReasonTimeMissing, errors.New("nobody that the trust root " + t.witnesses.Name + " trusts says when it was signed")
		case got < want:
			return time.Time{}, verify.ReasonThreshold, fmt.Errorf("trusted times from %d different sources, %d are wanted", got, want)
		}
	}
	for _, one := range f.Times {
		if err := t.window.Check(one.Time, at); err != nil {
			return time.Time{}, verify.ReasonKeyExpired, err
		}
	}
	if len(f.Times) > 0 {
		return time.Time{}, "", nil
	}
	if err := t.window.Check(time.Time{}, at); err != nil {
		return time.Time{}, verify.ReasonKeyExpired, err
	}
	return t.window.Until, "", nil
}

// keyAnchors are the roots that keys are checked with: one for those without
// witnesses, and one for each trust root that vouches for the others' times.
func (c *compiler) keyAnchors(keys []trust.Key) []Anchor {
	by := make(map[*anchor][]trust.Key)
	for _, key := range keys {
		w := c.terms[key.ID()].witnesses
		by[w] = append(by[w], key)
	}
	var all []Anchor
	for w, keys := range by {
		made := Anchor{}
		options := []trust.Option{trust.WithKeys(keys...)}
		if w != nil {
			made.Name, made.Need = w.Name, trust.Requirement{LogEntries: w.Need.LogEntries, Timestamps: w.Need.Timestamps}
			options = append(options, w.witnessOption())
		}
		root, err := trust.NewRoot(options...)
		if err != nil {
			c.add(position{1, 1}, "", "", err)
			continue
		}
		made.Root = root
		all = append(all, made)
	}
	slices.SortFunc(all, func(a, b Anchor) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// witnessOption trusts the logs and timestamp authorities of a root, and nobody's
// certificates: they are the business of the root itself.
func (a *anchor) witnessOption() trust.Option {
	if x := a.entry.X509; x != nil {
		return trust.WithAuthority(trust.Authority{Name: a.Name, TimestampRoots: []byte(x.TimestampRoots.value)})
	}
	var parts map[string]json.RawMessage
	if err := json.Unmarshal([]byte(a.entry.Sigstore.value), &parts); err != nil {
		return func(*trust.Root) error { return err }
	}
	for _, name := range []string{"certificateAuthorities", "certificate_authorities", "ctlogs"} {
		delete(parts, name)
	}
	text, err := json.Marshal(parts)
	if err != nil {
		return func(*trust.Root) error { return err }
	}
	return trust.WithTrustedRoot(text)
}
