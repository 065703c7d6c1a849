package report

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/policy"
)

// line is one named text.
type line struct{ Name, Value string }

// witnessLines says who vouches for keyless evidence.
func witnessLines(a *policy.Attempt) []line {
	var all []line
	if i := a.Identity; i != nil {
		all = append(all, line{"identity", fmt.Sprintf("%s (%s)", i.Subject, i.Type)})
		if i.Issuer != "" {
			all = append(all, line{"issuer", i.Issuer})
		}
		all = append(all, line{"root", fmt.Sprintf("%s (%s)", cmp.Or(i.TrustRoot, "one without a name"), i.Root.Short())})
	}
	for _, signed := range a.Times {
		all = append(all, line{"signed", instant(signed.Time) + ", says the " + named(signed.Source, signed.URI)})
	}
	for _, entry := range a.Log {
		all = append(all, line{"log", fmt.Sprintf("entry %d of %s", entry.Index, cmp.Or(entry.URI, entry.LogID))})
	}
	return all
}

// named says "tsa" or "tsa https://…".
func named(kind, uri string) string {
	if kind == "tsa" {
		kind = "timestamp authority"
	}
	return strings.TrimRight(kind+" "+uri, " ")
}

// describe says what a trust root is and how old.
func (r TrustRoot) describe() string {
	text := fmt.Sprintf("%s (%s), wants logs %d, times %d, certificate logs %d", r.Name, r.Digest.Short(), r.Need.Log, r.Need.Timestamps, r.Need.SCT)
	if r.Fetched.IsZero() {
		return text
	}
	return text + ", fetched " + instant(r.Fetched) + ", " + age(time.Duration(r.AgeSeconds)*time.Second) + " ago"
}

// age rounds a duration for people.
func age(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 2*day:
		return fmt.Sprintf("%d days", d/day)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d minutes", d/time.Minute)
	}
	return fmt.Sprintf("%d seconds", d/time.Second)
}
