package report

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"io"
	"strconv"

	"github.com/hallmark-project/hallmark/policy"
)

// maxAttempts bounds the refused pieces that the page lists for one demand; the JSON
// has all.
const maxAttempts = 100

//go:embed html.css
var htmlStyle markup

// WriteHTML writes the report as one HTML page: no scripts, nothing from elsewhere, and
// a content security policy that allows neither. It follows the reader's choice of
// light or dark. What was refused comes first and is unfolded.
func (r *Report) WriteHTML(w io.Writer) error {
	p := &page{}
	p.head(r)
	sorted := r.worstFirst()
	if len(sorted) > 1 {
		p.overview(sorted)
	}
	for n, image := range sorted {
		p.image(n, image, len(sorted) == 1)
	}
	p.put(`
</main>
<footer><p>Written by hallmark. It says what was checked, and nothing else: docs/reasons.md explains each reason.</p></footer>
</body>
</html>
`)
	if _, err := w.Write(p.buffer.Bytes()); err != nil {
		return fmt.Errorf("writing a report: %w", err)
	}
	return nil
}

// head writes what stands above the images.
func (p *page) head(r *Report) {
	sum := sha256.Sum256([]byte(htmlStyle))
	verdict, tally := r.Verdict.String(), r.tally()
	p.put(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{}: {}</title>
<style>`, "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'; base-uri 'none'; form-action 'none'", verdict, tally)
	p.put(htmlStyle)
	p.put(`</style>
</head>
<body>
<header>
<p class="verdict {}">{}</p>
<h1>{}</h1>
<dl>
<dt>Policy</dt><dd>{} <code>{}</code></dd>
<dt>Judged</dt><dd><time datetime="{}">{}</time></dd>`, verdict, verdict, tally, r.Policy.Name, r.Policy.Digest.String(), instant(r.Time), instant(r.Time))
	for _, root := range r.TrustRoots {
		p.put("\n<dt>Trust root</dt><dd>{}</dd>", root.Digest.String()+", "+root.describe())
	}
	for _, weakened := range r.Insecure {
		p.put("\n"+`<dt>Insecure</dt><dd class="insecure"><code>{}</code> was given</dd>`, weakened)
	}
	p.put(`
</dl>
</header>
<main>`)
}

// overview writes the table of several images.
func (p *page) overview(images []*Image) {
	p.put(`
<nav aria-label="Images">
<table>
<thead><tr><th scope="col">Verdict</th><th scope="col">Image</th><th scope="col">Reason</th><th scope="col">Rule</th></tr></thead>
<tbody>`)
	for n, i := range images {
		p.put("\n"+`<tr><td><span class="mark {}">{}</span>`, i.Verdict.String(), i.Verdict.String())
		reason := i.Reason
		if i.Warned != nil {
			p.put(" warned")
			if reason == "" {
				reason = i.Warned.Reason
			}
		}
		p.put(`</td><td><a href="#image-{}">{}</a></td><td>`, strconv.Itoa(n+1), i.Image)
		if reason != "" || i.Warned != nil {
			p.put("<code>{}</code>", string(reason))
		}
		p.put("</td><td>{}</td></tr>", i.Rule)
	}
	p.put(`
</tbody>
</table>
</nav>`)
}

// image writes one image. The only one is unfolded, as is what was refused.
func (p *page) image(n int, i *Image, only bool) {
	verdict := i.Verdict.String()
	p.put("\n"+`<details class="image {}" id="image-{}"`, verdict, strconv.Itoa(n+1))
	if i.Verdict != policy.Allow || i.Warned != nil || only {
		p.put(" open")
	}
	p.put(`>
<summary><span class="mark {}">{}</span> <span class="name">{}</span>`, verdict, verdict, i.Image)
	p.putIf(string(i.Reason), " <code>{}</code>")
	p.put("</summary>\n<dl>")
	if i.Warned != nil {
		p.put("\n"+`<dt>Warned</dt><dd class="insecure">{}</dd>`, describeWarned(i.Warned))
	}
	if !i.Digest.IsZero() {
		p.put("\n<dt>Digest</dt><dd><code>{}</code>", i.Digest.String())
		p.putIf(i.Platform, " {}")
		p.putIf(i.Tag, ", what tag {} was when it was resolved")
		p.put("</dd>")
	}
	p.putIf(i.Name, "\n<dt>Name</dt><dd>{}</dd>")
	for _, place := range i.places() {
		p.put("\n<dt>In</dt><dd>{}</dd>", place)
	}
	if i.Rule == "" {
		p.put("\n<dt>Rule</dt><dd>none</dd>")
	} else {
		p.put("\n<dt>Rule</dt><dd>{}</dd>", i.Rule)
	}
	if !i.Until.IsZero() {
		p.put("\n<dt>Until</dt><dd>{}, when this may change for the same evidence</dd>", instant(i.Until))
	}
	p.putIf(i.Error, "\n<dt>Error</dt><dd>{}</dd>")
	for _, u := range i.Unseen {
		p.put("\n<dt>Not seen</dt><dd><code>{}</code> {}</dd>", string(u.Reason), u.Detail)
	}
	for _, warning := range i.Warnings {
		p.put("\n<dt>Note</dt><dd>{}</dd>", warning)
	}
	p.putIf(i.Hint, "\n"+`<dt>To do</dt><dd class="hint">{}</dd>`)
	p.put("\n</dl>")
	for n := range i.Demands {
		p.demand(i, &i.Demands[n])
	}
	p.put("\n</details>")
}

func (p *page) demand(i *Image, d *policy.Demand) {
	p.put("\n"+`<section class="demand {}">
<h2>{} <span class="mark {}">{}</span>`, d.Verdict.String(), d.Name, d.Verdict.String(), stateWord(d))
	p.putIf(string(d.Reason), " <code>{}</code>")
	p.put("</h2>\n<dl>")
	p.putIf(target(i, d), "\n<dt>On</dt><dd><code>{}</code></dd>")
	p.put("\n<dt>Wanted</dt><dd>{}</dd>\n<dt>Found</dt><dd>{}</dd>", d.Wanted, d.Found)
	if d.Skipped != nil {
		p.put("\n<dt>Skipped</dt><dd>{}</dd>", describeSkipped(d.Skipped))
	}
	if !d.Until.IsZero() {
		p.put("\n<dt>Until</dt><dd>{}</dd>", instant(d.Until))
	}
	p.putIf(d.Hint, "\n"+`<dt>To do</dt><dd class="hint">{}</dd>`)
	p.put("\n</dl>")
	if attempts, left := shownAttempts(d); len(attempts) > 0 {
		p.put("\n<ul>")
		for _, a := range attempts {
			p.attempt(a)
		}
		if left > 0 {
			p.put("\n<li>refused: {} more; --output json lists them</li>", strconv.Itoa(left))
		}
		p.put("\n</ul>")
	}
	p.put("\n</section>")
}

func (p *page) attempt(a *policy.Attempt) {
	outcome := "refused"
	if a.Accepted {
		outcome = "counted"
	}
	p.put("\n"+`<li class="{}">
<p><b>{}</b>`, outcome, outcome)
	p.putIf(string(a.Reason), " <code>{}</code>")
	p.put(" {}", kindWord(a))
	p.putIf(a.Signer, " by {}")
	p.put("</p>\n<dl>\n<dt>In</dt><dd>{}</dd>", a.Origin)
	p.putIf(a.Detail, "\n<dt>Detail</dt><dd>{}</dd>")
	for _, l := range witnessLines(a) {
		p.put("\n<dt>{}</dt><dd>{}</dd>", l.Name, l.Value)
	}
	if len(a.Checks) > 0 {
		p.put("\n<dt>Checked</dt><dd>")
		for n, step := range a.Checks {
			if n > 0 {
				p.put(", ")
			}
			p.put("{}", string(step))
		}
		p.put("</dd>")
	}
	p.put("\n</dl>\n</li>")
}

// shownAttempts are the attempts that a page lists, what counted before what was
// refused, and how many it leaves out.
func shownAttempts(d *policy.Demand) (shown []*policy.Attempt, left int) {
	for _, accepted := range []bool{true, false} {
		for i := range d.Tried {
			a := &d.Tried[i]
			switch {
			case a.Accepted != accepted:
			case !accepted && len(shown) >= maxAttempts:
				left++
			default:
				shown = append(shown, a)
			}
		}
	}
	return shown, left
}
