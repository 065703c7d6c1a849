package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/hallmark-project/hallmark/policy/report"
)

// printInspection prints the tree for people. Everything variable is escaped.
func printInspection(w io.Writer, tree *inspection) error {
	var b strings.Builder
	fmt.Fprintf(&b, "image %s\n", report.Plain(tree.Image))
	fmt.Fprintln(&b, "nothing below is verified: signers are what the evidence claims")
	tree.print(&b, "")
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing the inspection: %w", err)
	}
	return nil
}

func (i *inspection) print(b *strings.Builder, indent string) {
	what := "image manifest"
	if len(i.Platforms) > 0 || strings.Contains(i.MediaType, "index") || strings.Contains(i.MediaType, "manifest.list") {
		what = "index"
	}
	if i.Platform != "" {
		what = "platform " + i.Platform
	}
	fmt.Fprintf(b, "%s%s %s (%s, %d bytes)\n", indent, report.Plain(what), i.Digest, report.Plain(i.MediaType), i.Size)
	lines := len(i.Evidence) + len(i.Unseen) + len(i.Platforms)
	if len(i.Evidence) == 0 && len(i.Unseen) == 0 {
		lines++
	}
	branch := func() (head, rest string) {
		if lines--; lines == 0 {
			return indent + "└─ ", indent + "   "
		}
		return indent + "├─ ", indent + "│  "
	}
	for _, e := range i.Evidence {
		head, rest := branch()
		e.print(b, head, rest)
	}
	for _, u := range i.Unseen {
		head, _ := branch()
		fmt.Fprintf(b, "%scould not look: %s\n", head, report.Plain(u))
	}
	if len(i.Evidence) == 0 && len(i.Unseen) == 0 {
		head, _ := branch()
		fmt.Fprintf(b, "%sno evidence\n", head)
	}
	for _, p := range i.Platforms {
		head, rest := branch()
		var below strings.Builder
		p.print(&below, "")
		for n, line := range strings.Split(strings.TrimSuffix(below.String(), "\n"), "\n") {
			if n == 0 {
				fmt.Fprintln(b, head+line)
			} else {
				fmt.Fprintln(b, rest+line)
			}
		}
	}
}

func (e inspected) print(b *strings.Builder, head, rest string) {
	title := map[string]string{
		"unsigned": "unsigned attestation", "foreign": "evidence of another scheme", "other": "other artifact", "refused": "unusable evidence",
	}[e.Kind]
	if title == "" {
		title = e.Kind
	}
	if e.PredicateType != "" && e.Kind != "signature" {
		title += " " + report.Plain(e.PredicateType)
	}
	fmt.Fprintf(b, "%s%s\n", head, title)
	place := e.Place
	if e.Format != "" {
		place = e.Format + " in " + place
	}
	if e.Manifest != "" {
		place += " " + e.Manifest
	}
	if e.Size > 0 {
		place += fmt.Sprintf(", %d bytes", e.Size)
	}
	fmt.Fprintf(b, "%s   %s\n", rest, report.Plain(place))
	if e.Kind == "signature" || e.Kind == "attestation" {
		signer := e.ClaimedSigner
		if signer == "" {
			signer = "it does not say who"
		}
		fmt.Fprintf(b, "%s   claims to be signed by: %s\n", rest, report.Plain(signer))
	}
	if len(e.About) > 0 {
		fmt.Fprintf(b, "%s   claims to be about: %s\n", rest, report.Plain(strings.Join(e.About, ", ")))
	}
	if e.Note != "" {
		fmt.Fprintf(b, "%s   note: %s\n", rest, report.Plain(e.Note))
	}
}
