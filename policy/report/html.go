package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"

	"github.com/hallmark-project/hallmark/policy"
)

// maxAttempts bounds the refused pieces that the page lists for one demand; the JSON
// has all.
const maxAttempts = 100

//go:embed html.tmpl
var htmlText string

//go:embed html.css
var htmlStyle string

var htmlPage = template.Must(template.New("report").Funcs(template.FuncMap{
	"plain":     Plain,
	"verdict":   verdictWord,
	"state":     stateWord,
	"instant":   instant,
	"target":    target,
	"skipped":   describeSkipped,
	"warned":    describeWarned,
	"witnesses": witnessLines,
	"kind":      kindWord,
	"shown":     shownAttempts,
	"anchor":    func(n int) string { return fmt.Sprintf("image-%d", n+1) },
}).Parse(htmlText))

// WriteHTML writes the report as one HTML page: no scripts, nothing from elsewhere, and
// a content security policy that allows neither. It follows the reader's choice of
// light or dark. What was refused comes first and is unfolded.
func (r *Report) WriteHTML(w io.Writer) error {
	sum := sha256.Sum256([]byte(htmlStyle))
	var b bytes.Buffer
	err := htmlPage.Execute(&b, struct {
		*Report
		Style template.CSS
		CSP   string
		Tally string
		Worst []*Image
		Roots []string
	}{
		Report: r, Style: template.CSS(htmlStyle), Tally: r.tally(), Worst: r.worstFirst(), Roots: r.describeRoots(),
		CSP: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'",
	})
	if err != nil {
		return fmt.Errorf("encoding a report: %w", err)
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("writing a report: %w", err)
	}
	return nil
}

func (r *Report) describeRoots() []string {
	var all []string
	for _, root := range r.TrustRoots {
		all = append(all, root.Digest.String()+", "+root.describe())
	}
	return all
}

// shown are the attempts that a page lists, and how many it leaves out.
type shown struct {
	Attempts []*policy.Attempt
	Left     int
}

// shownAttempts takes what counted before what was refused.
func shownAttempts(d *policy.Demand) shown {
	var s shown
	for _, accepted := range []bool{true, false} {
		for i := range d.Tried {
			a := &d.Tried[i]
			switch {
			case a.Accepted != accepted:
			case !accepted && len(s.Attempts) >= maxAttempts:
				s.Left++
			default:
				s.Attempts = append(s.Attempts, a)
			}
		}
	}
	return s
}
