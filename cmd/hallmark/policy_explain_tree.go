package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/report"
)

// twig is one line of an explanation with what belongs to it.
type twig struct {
	mark policy.Verdict // of a line that has a verdict
	has  bool
	text string
	next []*twig
}

// add hangs a line on t. What comes from outside is made harmless here.
func (t *twig) add(format string, args ...any) *twig {
	child := &twig{text: report.Plain(fmt.Sprintf(format, args...))}
	t.next = append(t.next, child)
	return child
}

// judged gives a line its mark.
func (t *twig) judged(v policy.Verdict) *twig {
	t.mark, t.has = v, true
	return t
}

// writeExplanation prints one image as a tree.
func (a *app) writeExplanation(r *report.Report, image *report.Image, p *policy.Policy) error {
	head := strings.ToUpper(image.Verdict.String())
	if image.Reason != "" {
		head += " " + string(image.Reason)
	}
	root := (&twig{text: report.Plain(head + "  " + image.Image)}).judged(image.Verdict)
	if !image.Digest.IsZero() {
		line := root.add("digest %s", image.Digest)
		if image.Tag != "" {
			line.add("what tag %s was when it was resolved", image.Tag)
		}
	}
	explainRule(root, r, image, p)
	if image.Warned != nil {
		root.add("would be %s %s: only warned about", image.Warned.Verdict, image.Warned.Reason).judged(image.Warned.Verdict)
	}
	if !image.Until.IsZero() {
		root.add("until %s, when this may change for the same evidence", image.Until.UTC().Format(time.RFC3339))
	}
	for i := range image.Demands {
		explainDemand(root, image, &image.Demands[i])
	}
	if image.Error != "" {
		root.add("error: %s", image.Error)
	}
	for _, u := range image.Unseen {
		root.add("not seen: %s: %s", u.Reason, u.Detail)
	}
	for _, w := range image.Warnings {
		root.add("note: %s", w)
	}
	if image.Hint != "" {
		root.add("to do: %s", image.Hint)
	}
	return root.write(a.Stdout, a.Colour(), "", "")
}

// explainRule says which rule governs and why.
func explainRule(root *twig, r *report.Report, image *report.Image, p *policy.Policy) {
	why, err := p.Why(image.Name, r.Time)
	if err != nil {
		return // there is no name, and the image's error says so
	}
	var line *twig
	if why.Rule == "" {
		line = root.add("no rule of %s governs %s", p.Name(), why.Name)
	} else {
		line = root.add("rule %s of %s governs %s", why.Rule, p.Name(), why.Name)
		line.add("its pattern %s is the most specific that matches", why.Pattern)
	}
	for _, other := range why.Others {
		line.add("not rule %s with %s: %s", other.Rule, other.Pattern, other.Why)
	}
}

func explainDemand(root *twig, image *report.Image, d *policy.Demand) {
	text := d.Name
	if d.Reason != "" {
		text += " " + string(d.Reason)
	}
	if !d.Digest.IsZero() && d.Digest != image.Digest {
		text += " on " + strings.TrimSpace(d.Platform+" "+d.Digest.Short())
	}
	line := root.add("%s", text).judged(d.Verdict)
	line.add("wanted: %s", d.Wanted)
	line.add("found: %s", d.Found)
	if d.Skipped != nil {
		line.add("skipped: %s; %s, %s, until %s", d.Skipped.Reason, d.Skipped.Owner, d.Skipped.Ticket, d.Skipped.Expires.UTC().Format(time.RFC3339))
	}
	for i := range d.Tried {
		explainAttempt(line, &d.Tried[i])
	}
	if d.Hint != "" {
		line.add("to do: %s", d.Hint)
	}
}

// explainAttempt says what became of one piece of evidence, and who vouches for it.
func explainAttempt(line *twig, a *policy.Attempt) {
	what := a.Type
	if what == "" {
		what = "a piece of unknown type"
	}
	if a.Signer != "" {
		what += " by " + a.Signer
	}
	var piece *twig
	if a.Accepted {
		piece = line.add("%s", what).judged(policy.Allow)
	} else {
		piece = line.add("%s: %s", what, a.Reason).judged(policy.Deny)
	}
	if a.Detail != "" {
		piece.add("%s", a.Detail)
	}
	piece.add("in %s", a.Origin)
	if a.Identity != nil {
		piece.add("proved with the trust root %s", strings.TrimSpace(a.Identity.TrustRoot+" "+a.Identity.Root.Short()))
	}
	for _, signed := range a.Times {
		piece.add("signed %s, says the %s %s", signed.Time.UTC().Format(time.RFC3339), signed.Source, signed.URI)
	}
	for _, entry := range a.Log {
		piece.add("entry %d of the log %s", entry.Index, cmp.Or(entry.URI, entry.LogID))
	}
	if len(a.Checks) > 0 {
		steps := make([]string, len(a.Checks))
		for i, step := range a.Checks {
			steps[i] = string(step)
		}
		piece.add("checked: %s", strings.Join(steps, ", "))
	}
}

// marks are told apart without colours.
var marks = [...]string{policy.Undetermined: "?", policy.Deny: "✗", policy.Allow: "✓"}

// write prints the line behind first, and what belongs to it behind rest.
func (t *twig) write(w io.Writer, colour bool, first, rest string) error {
	text := t.text
	if t.has {
		text = marks[t.mark] + " " + text
		if colour {
			code := map[policy.Verdict]string{policy.Allow: "32", policy.Deny: "31", policy.Undetermined: "33"}[t.mark]
			text = "\x1b[" + code + "m" + text + "\x1b[0m"
		}
	}
	if _, err := fmt.Fprintln(w, first+text); err != nil {
		return err
	}
	for i, child := range t.next {
		branch, below := "├─ ", "│  "
		if i == len(t.next)-1 {
			branch, below = "└─ ", "   "
		}
		if err := child.write(w, colour, rest+branch, rest+below); err != nil {
			return err
		}
	}
	return nil
}
