package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/hallmark-project/hallmark/policy"
)

// maxRefused bounds the refused pieces that the text lists for one demand; the
// JSON has all.
const maxRefused = 12

// Style says how the text looks.
type Style struct {
	// Colour colours the verdicts. It is the caller's to know that a person sees
	// it.
	Colour bool
}

var colours = map[policy.Verdict]string{policy.Allow: "32", policy.Deny: "31", policy.Undetermined: "33"}

// WriteText writes the report for people. The first line of each image is its
// verdict and the reference as it was asked for.
func (r *Report) WriteText(w io.Writer, style Style) error {
	t := &text{style: style}
	for i, image := range r.Images {
		if i > 0 {
			t.line("")
		}
		t.image(r, image)
	}
	if len(r.Images) > 1 {
		t.summary(r)
	}
	for _, root := range r.TrustRoots {
		t.field("trust root", root.describe())
	}
	for _, weakened := range r.Insecure {
		t.field("insecure", weakened+" was given")
	}
	if _, err := w.Write(t.buffer.Bytes()); err != nil {
		return fmt.Errorf("writing a report: %w", err)
	}
	return nil
}

// text writes lines. Everything variable goes through Plain, and no line begins
// with it.
type text struct {
	buffer bytes.Buffer
	style  Style
	all    bool // list every refused piece
}

// lines returns what was written, line by line.
func (t *text) lines() []string {
	if t.buffer.Len() == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(t.buffer.String(), "\n"), "\n")
}

func (t *text) line(s string) { t.buffer.WriteString(strings.TrimRight(s, " ") + "\n") }

func (t *text) field(name, value string) {
	t.line(fmt.Sprintf("  %-11s %s", Plain(name), Plain(value)))
}

func (t *text) more(value string) { t.line("              " + Plain(value)) }

func (t *text) verdict(v policy.Verdict) string {
	word := strings.ToUpper(v.String())
	if !t.style.Colour {
		return word
	}
	return "\x1b[1;" + colours[v] + "m" + word + "\x1b[0m"
}

func (t *text) image(r *Report, i *Image) {
	head := t.verdict(i.Verdict)
	if i.Reason != "" {
		head += " " + Plain(string(i.Reason))
	}
	t.line(head + "  " + Plain(i.Image))
	if !i.Digest.IsZero() {
		value := i.Digest.String()
		switch {
		case i.Platform != "":
			value += " (" + i.Platform + ")"
		case i.Tag != "":
			value += " (what tag " + i.Tag + " was when it was resolved)"
		}
		t.field("digest", value)
	}
	for _, place := range i.places() {
		t.field("in", place)
	}
	rule := "no rule"
	if i.Rule != "" {
		rule = "rule " + i.Rule
	}
	t.field("policy", fmt.Sprintf("%s of %s (%s)", rule, r.Policy.Name, r.Policy.Digest.Short()))
	if i.Warned != nil {
		t.field("warned", describeWarned(i.Warned))
	}
	if !i.Until.IsZero() {
		t.field("until", instant(i.Until)+", when this may change for the same evidence")
	}
	for _, d := range i.Demands {
		t.demand(i, d)
	}
	t.remarks(i)
}

// remarks says what stands below an image's demands.
func (t *text) remarks(i *Image) {
	if i.Error != "" {
		t.field("error", i.Error)
	}
	for _, u := range i.Unseen {
		t.field("not seen", string(u.Reason)+": "+u.Detail)
	}
	for _, w := range i.Warnings {
		t.field("note", w)
	}
	if i.Hint != "" {
		t.field("to do", i.Hint)
	}
}

func (t *text) demand(i *Image, d policy.Demand) {
	state := stateWord(&d)
	if d.Reason != "" {
		state += " (" + string(d.Reason) + ")"
	}
	if !d.Digest.IsZero() && d.Digest != i.Digest {
		state += " on " + d.Digest.Short()
		if d.Platform != "" {
			state += " " + d.Platform
		}
	}
	t.field(d.Name, state)
	t.more("wanted:  " + d.Wanted)
	t.more("found:   " + d.Found)
	if d.Skipped != nil {
		t.more("skipped: " + describeSkipped(d.Skipped))
	}
	if !d.Until.IsZero() {
		t.more("until:   " + instant(d.Until))
	}
	refused := 0
	for _, a := range d.Tried {
		if !a.Accepted {
			if refused++; refused > maxRefused && !t.all {
				continue
			}
		}
		t.attempt(a)
	}
	if refused > maxRefused && !t.all {
		t.more(fmt.Sprintf("refused: %d more; --output json lists them", refused-maxRefused))
	}
	if d.Hint != "" {
		t.more("to do:   " + d.Hint)
	}
}

func (t *text) attempt(a policy.Attempt) {
	what := a.Type
	if what == "" {
		what = "a piece of unknown type"
	}
	if a.Signer != "" {
		what += " by " + a.Signer
	}
	if !a.Accepted {
		t.more(fmt.Sprintf("refused: %s: %s", a.Reason, what))
		t.more("         in " + a.Origin)
		if a.Detail != "" {
			t.more("         " + a.Detail)
		}
		return
	}
	t.more("counted: " + what)
	t.more("         in " + a.Origin)
	for _, l := range witnessLines(&a) {
		t.more(fmt.Sprintf("         %-9s %s", l.Name+":", l.Value))
	}
	if len(a.Checks) > 0 {
		steps := make([]string, len(a.Checks))
		for i, step := range a.Checks {
			steps[i] = string(step)
		}
		t.more("         checked: " + strings.Join(steps, ", "))
	}
}

// summary counts the verdicts of several images.
func (t *text) summary(r *Report) {
	count := make(map[policy.Verdict]int)
	for _, image := range r.Images {
		count[image.Verdict]++
	}
	t.line("")
	t.line(fmt.Sprintf("%s  %d images: %d allowed, %d denied, %d could not be checked", t.verdict(r.Verdict), len(r.Images),
		count[policy.Allow], count[policy.Deny], count[policy.Undetermined]))
}
