package report

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/hallmark-project/hallmark/policy"
)

// verdictWord says a verdict in a sentence.
func verdictWord(v policy.Verdict) string {
	switch v {
	case policy.Allow:
		return "allowed"
	case policy.Deny:
		return "denied"
	}
	return "could not be checked"
}

// stateWord says what became of a demand.
func stateWord(d *policy.Demand) string {
	switch {
	case d.Skipped != nil:
		return "not met, skipped by an exception"
	case d.Verdict == policy.Allow:
		return "met"
	case d.Alternative:
		return "not met, and not asked for"
	case d.Verdict == policy.Deny:
		return "not met"
	}
	return "could not be checked"
}

// describeSkipped says who makes an exception, and until when.
func describeSkipped(s *policy.Skipped) string {
	return fmt.Sprintf("%s; %s, %s, until %s", s.Reason, s.Owner, s.Ticket, instant(s.Expires))
}

// describeWarned says what was not enforced.
func describeWarned(w *policy.Warned) string {
	return fmt.Sprintf("would be %s (%s); the policy only warns", verdictWord(w.Verdict), w.Reason)
}

// instant writes a time for people and machines alike.
func instant(at time.Time) string { return at.UTC().Format(time.RFC3339) }

// target names what of an image a demand is about, and nothing for the image itself.
func target(i *Image, d *policy.Demand) string {
	switch {
	case d.Digest.IsZero() || d.Digest == i.Digest:
		return ""
	case d.Platform != "":
		return d.Platform + " " + d.Digest.String()
	}
	return d.Digest.String()
}

// kindWord names what an attempt looked at.
func kindWord(a *policy.Attempt) string {
	return cmp.Or(a.Type, "a piece of unknown type")
}

// rank sorts verdicts: what people must look at comes first.
func rank(v policy.Verdict) int {
	switch v {
	case policy.Deny:
		return 0
	case policy.Allow:
		return 2
	}
	return 1
}

// worstFirst returns the images, those that were refused first. A report that is cut
// then never hides a refusal behind what was allowed.
func (r *Report) worstFirst() []*Image {
	sorted := slices.Clone(r.Images)
	slices.SortStableFunc(sorted, func(a, b *Image) int {
		return cmp.Or(cmp.Compare(rank(a.Verdict), rank(b.Verdict)), cmp.Compare(warnedRank(a), warnedRank(b)))
	})
	return sorted
}

func warnedRank(i *Image) int {
	if i.Warned != nil {
		return 0
	}
	return 1
}

// tally counts the images of each verdict in one sentence.
func (r *Report) tally() string {
	var count [3]int
	for _, image := range r.Images {
		count[rank(image.Verdict)]++
	}
	noun := "images"
	if len(r.Images) == 1 {
		noun = "image"
	}
	return fmt.Sprintf("%d %s: %d allowed, %d denied, %d could not be checked", len(r.Images), noun, count[2], count[0], count[1])
}
