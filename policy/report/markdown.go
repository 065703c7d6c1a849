package report

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/hallmark-project/hallmark/policy"
)

const (
	// maxMarkdown bounds the whole: GitHub drops a job summary of more than 1 MiB.
	maxMarkdown = 900 << 10
	// maxMarkdownTable bounds the overview, so that details find room.
	maxMarkdownTable = maxMarkdown / 2
)

// WriteMarkdown writes the report as Markdown, for a CI system's job summary or a
// comment. What was refused comes first, so that a report that is cut, at 900 KiB, does
// not hide it; it says how much is left out.
//
// Everything variable stands in code spans: there no renderer looks for links, images,
// mentions, HTML or emphasis.
func (r *Report) WriteMarkdown(w io.Writer) error {
	m := &markdown{}
	sorted := r.worstFirst()
	fmt.Fprintf(&m.buffer, "## %s: %s\n\n", verdictMark(r.Verdict), r.tally())
	if r.Policy.Name != "" || !r.Policy.Digest.IsZero() {
		fmt.Fprintf(&m.buffer, "Policy %s (%s), judged at %s.\n\n", code(r.Policy.Name), code(r.Policy.Digest.String()), instant(r.Time))
	}
	for _, weakened := range r.Insecure {
		fmt.Fprintf(&m.buffer, "**Insecure:** %s was given.\n\n", code(weakened))
	}
	m.overview(sorted)
	for _, root := range r.TrustRoots {
		fmt.Fprintf(&m.buffer, "Trust root %s, %s.\n\n", code(root.Digest.String()), code(root.describe()))
	}
	left := 0
	for _, image := range sorted {
		section := &markdown{}
		section.image(image)
		if left > 0 || m.buffer.Len()+section.buffer.Len() > maxMarkdown {
			left++
			continue
		}
		m.buffer.Write(section.buffer.Bytes())
	}
	if left > 0 {
		fmt.Fprintf(&m.buffer, "Left out for its length: the details of %d more images. `--output json` has them.\n", left)
	}
	if _, err := w.Write(append(bytes.TrimRight(m.buffer.Bytes(), "\n"), '\n')); err != nil {
		return fmt.Errorf("writing a report: %w", err)
	}
	return nil
}

// verdictMark is a verdict that is seen at once, also without colours.
func verdictMark(v policy.Verdict) string {
	return map[policy.Verdict]string{policy.Allow: "✅ ALLOW", policy.Deny: "❌ DENY", policy.Undetermined: "⚠️ UNDETERMINED"}[v]
}

// code makes a text a code span (CommonMark 6.1), fenced by more backticks than it
// has in a row.
func code(text string) string {
	text = Plain(text)
	if strings.TrimSpace(text) == "" {
		return "–"
	}
	longest, run := 0, 0
	for _, c := range text {
		if run++; c != '`' {
			run = 0
		}
		longest = max(longest, run)
	}
	fence := strings.Repeat("`", longest+1)
	if longest > 0 || text[0] == ' ' || text[len(text)-1] == ' ' {
		text = " " + text + " "
	}
	return fence + text + fence
}

// cell makes a text a code span in a table, where a bar would end the cell even in one.
// Renderers do not agree on what a backslash before the bar is, so no bar is written.
func cell(text string) string { return strings.ReplaceAll(code(text), "|", `\u{7c}`) }

// markdown writes blocks. No line begins with anything variable.
type markdown struct{ buffer bytes.Buffer }

func (m *markdown) item(depth int, name, value string) {
	fmt.Fprintf(&m.buffer, "%s- %s: %s\n", strings.Repeat("  ", depth), name, code(value))
}

func (m *markdown) overview(images []*Image) {
	if len(images) == 0 {
		return
	}
	m.buffer.WriteString("| verdict | image | reason | rule | digest |\n|---|---|---|---|---|\n")
	for n, i := range images {
		mark := verdictMark(i.Verdict)
		reason := i.Reason
		if i.Warned != nil {
			mark, reason = mark+", warned", i.Warned.Reason
		}
		row := fmt.Sprintf("| %s | %s | %s | %s | %s |\n", mark, cell(i.Image), cell(string(reason)), cell(i.Rule), cell(i.Digest.String()))
		if m.buffer.Len()+len(row) > maxMarkdownTable {
			fmt.Fprintf(&m.buffer, "\nLeft out for its length: %d more images. `--output json` has them.\n", len(images)-n)
			break
		}
		m.buffer.WriteString(row)
	}
	m.buffer.WriteString("\n")
}

func (m *markdown) image(i *Image) {
	fmt.Fprintf(&m.buffer, "### %s %s\n\n", verdictMark(i.Verdict), code(i.Image))
	for _, place := range i.places() {
		m.item(0, "in", place)
	}
	if i.Warned != nil {
		m.item(0, "warned", describeWarned(i.Warned))
	}
	if i.Reason != "" {
		m.item(0, "reason", string(i.Reason))
	}
	if !i.Digest.IsZero() {
		m.item(0, "digest", i.Digest.String())
	}
	if i.Platform != "" {
		m.item(0, "platform", i.Platform)
	}
	m.item(0, "rule", cmp.Or(i.Rule, "no rule"))
	if !i.Until.IsZero() {
		m.item(0, "may change after", instant(i.Until))
	}
	if i.Error != "" {
		m.item(0, "error", i.Error)
	}
	for n := range i.Demands {
		m.demand(i, &i.Demands[n])
	}
	for _, u := range i.Unseen {
		m.item(0, "not seen", string(u.Reason)+": "+u.Detail)
	}
	for _, warning := range i.Warnings {
		m.item(0, "note", warning)
	}
	if i.Hint != "" {
		m.item(0, "**to do**", i.Hint)
	}
	m.buffer.WriteString("\n")
}

func (m *markdown) demand(i *Image, d *policy.Demand) {
	fmt.Fprintf(&m.buffer, "- %s %s", code(d.Name), stateWord(d))
	if d.Reason != "" {
		m.buffer.WriteString(" " + code(string(d.Reason)))
	}
	if on := target(i, d); on != "" {
		m.buffer.WriteString(" on " + code(on))
	}
	m.buffer.WriteString("\n")
	m.item(1, "wanted", d.Wanted)
	m.item(1, "found", d.Found)
	if d.Skipped != nil {
		m.item(1, "skipped", describeSkipped(d.Skipped))
	}
	if !d.Until.IsZero() {
		m.item(1, "may change after", instant(d.Until))
	}
	if d.Hint != "" {
		m.item(1, "**to do**", d.Hint)
	}
	refused := 0
	for n := range d.Tried {
		a := &d.Tried[n]
		if !a.Accepted {
			if refused++; refused > maxRefused {
				continue
			}
		}
		m.attempt(a)
	}
	if refused > maxRefused {
		fmt.Fprintf(&m.buffer, "  - refused: %d more; `--output json` lists them\n", refused-maxRefused)
	}
}

func (m *markdown) attempt(a *policy.Attempt) {
	what := kindWord(a)
	if a.Signer != "" {
		what += " by " + a.Signer
	}
	if a.Accepted {
		m.item(1, "counted", what)
		m.item(2, "in", a.Origin)
		for _, line := range witnessLines(a) {
			m.item(2, line.Name, line.Value)
		}
		return
	}
	m.item(1, "refused, "+code(string(a.Reason)), what)
	m.item(2, "in", a.Origin)
	if a.Detail != "" {
		m.item(2, "because", a.Detail)
	}
}
