package policy

import (
	"fmt"
	"time"

	"github.com/hallmark-project/hallmark/verify"
)

// which says how several statements of one type, by signers that count, are
// combined.
type which string

const (
	anyOne   which = "any"    // one that meets the demand is enough
	everyOne which = "all"    // each must meet it
	newest   which = "latest" // the one with the latest trusted time must meet it
)

// choice is what `which` and `maxAge` of a demand say. The zero choice takes any
// statement of any age.
type choice struct {
	which  which
	maxAge time.Duration
}

// choice reads the two entries and writes the default out. Where a demand has no
// `which`, give nil.
func (c *compiler) choice(w *text, age *span) choice {
	made := choice{which: anyOne, maxAge: age.value}
	if w != nil {
		setDefault(w, string(anyOne))
		made.which = which(w.value)
	}
	return made
}

// everywhere reports whether a statement can speak against another.
func (c choice) everywhere() bool { return c.which == everyOne || c.which == newest }

// String is the choice for people, or "".
func (c choice) String() string {
	var text string
	switch c.which {
	case everyOne:
		text = "each of them"
	case newest:
		text = "the latest of them"
	}
	if c.maxAge > 0 {
		if text != "" {
			text += ", "
		}
		text += "not older than " + (&span{value: c.maxAge}).String()
	}
	return text
}

// clockSkew is how far a trusted time may lie behind the time of the decision: the
// clocks of an authority and of a cluster differ by a little.
const clockSkew = 5 * time.Minute

// signedAt returns the time by which a fact was signed: the earliest that somebody
// trusted vouches for. What a statement says of its own time is its signer's claim.
func signedAt(f verify.Fact) (time.Time, bool) {
	var first time.Time
	for _, t := range f.Times {
		if first.IsZero() || t.Time.Before(first) {
			first = t.Time
		}
	}
	return first, !first.IsZero()
}

// inSecond is the second in which a time lies: logs know no parts of it, so that the
// order within one is nobody's word.
func inSecond(t time.Time) time.Time { return t.Truncate(time.Second) }

// judge asks for the age of a fact. Of a young enough one it returns when it will
// be too old; zero is never.
func (c choice) judge(f verify.Fact, at time.Time) (end time.Time, reason verify.Reason, detail string) {
	signed, proved := signedAt(f)
	if !proved {
		if c.maxAge > 0 || c.which == newest {
			return time.Time{}, verify.ReasonTimeMissing, "no trusted time says when it was signed"
		}
		return time.Time{}, "", ""
	}
	if c.maxAge == 0 && c.which != newest {
		return time.Time{}, "", ""
	}
	if signed.After(at.Add(clockSkew)) {
		return time.Time{}, verify.ReasonTimeOutside, fmt.Sprintf("it was signed at %s, after the time of this decision", stamp(signed))
	}
	if c.maxAge == 0 {
		return time.Time{}, "", ""
	}
	if end = signed.Add(c.maxAge); !at.Before(end) {
		return time.Time{}, ReasonTooOld, fmt.Sprintf("it was signed at %s, and counted until %s", stamp(signed), stamp(end))
	}
	return end, "", ""
}

// stamp shows a time for people.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// contender is a statement of the wanted type by a signer that counts.
type contender struct {
	tried  *Attempt // accepted if it meets the demand by itself
	signed time.Time
	end    time.Time
	fact   verify.Fact
}

// settle combines the contenders: whether the demand is met, and the first instant
// at which it may be met no more. It refuses those that do not count beside others.
func (c choice) settle(all []contender) (met bool, until time.Time) {
	var failing int
	var latest time.Time
	for _, one := range all {
		if !one.tried.Accepted {
			failing++
		}
		if second := inSecond(one.signed); second.After(latest) {
			latest = second
		}
	}
	first := true
	for _, one := range all {
		switch {
		case c.which == newest && !one.signed.IsZero() && one.signed.Before(latest):
			if !one.tried.Accepted {
				failing-- // what it says is history
			}
			one.tried.Accepted, one.tried.Reason = false, ReasonSuperseded
			one.tried.Detail = "one that was signed at " + stamp(latest) + " counts in its place"
		case !one.tried.Accepted:
		case first:
			met, first, until = true, false, one.end
		case c.which == newest:
			until = earlier(until, one.end)
		default:
			until = later(until, one.end)
		}
	}
	if c.which == everyOne || c.which == newest {
		met = met && failing == 0
	}
	return met, until
}
