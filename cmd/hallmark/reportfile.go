package main

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/sign/keys"
)

// reportFormats are the forms of a report, the default first.
var reportFormats = []string{"text", "json", "sarif", "junit", "markdown", "html"}

// checkReportFormat refuses a form that there is not.
func checkReportFormat(output string) error {
	if !slices.Contains(reportFormats, output) {
		return hint(usageError("--output is %s, not %q", strings.Join(reportFormats, ", "), output), "--output-file writes the report to a file")
	}
	return nil
}

// writeReport writes a report in one of the forms. Colour is for people at a terminal.
func writeReport(r *report.Report, to io.Writer, output string, style report.Style) error {
	switch output {
	case "json":
		return r.WriteJSON(to)
	case "sarif":
		return r.WriteSARIF(to, version)
	case "junit":
		return r.WriteJUnit(to)
	case "markdown":
		return r.WriteMarkdown(to)
	case "html":
		return r.WriteHTML(to)
	}
	return r.WriteText(to, style)
}

// printReport writes the report to standard output, or whole to a file.
func (a *app) printReport(r *report.Report, output, file string) error {
	if file == "" || file == "-" {
		return writeReport(r, a.stdout, output, report.Style{Colour: a.colour()})
	}
	var text bytes.Buffer
	if err := writeReport(r, &text, output, report.Style{}); err != nil {
		return err
	}
	if err := keys.WriteFile(file, text.Bytes(), 0o644, true); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	fmt.Fprintf(a.stdout, "%s: report in %s\n", r.Verdict, file)
	return nil
}
