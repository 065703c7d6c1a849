package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/policy"
)

// witnesses lists who vouches for keyless evidence, each on a line.
func (t *text) witnesses(a policy.Attempt) {
	if i := a.Identity; i != nil {
		t.more(fmt.Sprintf("         identity: %s (%s)", i.Subject, i.Type))
		if i.Issuer != "" {
			t.more("         issuer:   " + i.Issuer)
		}
		root := i.TrustRoot
		if root == "" {
			root = "one without a name"
		}
		t.more(fmt.Sprintf("         root:     %s (%s)", root, i.Root.Short()))
	}
	for _, signed := range a.Times {
		t.more(fmt.Sprintf("         signed:   %s, says the %s", signed.Time.UTC().Format(time.RFC3339), named(signed.Source, signed.URI)))
	}
	for _, entry := range a.Log {
		of := entry.URI
		if of == "" {
			of = entry.LogID
		}
		t.more(fmt.Sprintf("         log:      entry %d of %s", entry.Index, of))
	}
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
	return text + ", fetched " + r.Fetched.UTC().Format(time.RFC3339) + ", " + age(time.Duration(r.AgeSeconds)*time.Second) + " ago"
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
