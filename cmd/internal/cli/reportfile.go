package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/hallmark-project/hallmark/attest/wholefile"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/report"
)

// ReportFormats are the forms of a report, the default first.
var ReportFormats = []string{"text", "json", "sarif", "junit", "markdown", "html"}

// CheckReportFormat refuses a form that there is not.
func CheckReportFormat(output string) error {
	if !slices.Contains(ReportFormats, output) {
		return Hint(UsageError("--output is %s, not %q", strings.Join(ReportFormats, ", "), output), "--output-file writes the report to a file")
	}
	return nil
}

// writeReport writes a report in one of the forms. Colour is for people at a terminal.
func (a *App) writeReport(r *report.Report, to io.Writer, output string, style report.Style) error {
	switch output {
	case "json":
		return r.WriteJSON(to)
	case "sarif":
		return r.WriteSARIF(to, a.version())
	case "junit":
		return r.WriteJUnit(to)
	case "markdown":
		return r.WriteMarkdown(to)
	case "html":
		return r.WriteHTML(to)
	}
	return r.WriteText(to, style)
}

// PrintReport writes the report to standard output, or whole to a file.
func (a *App) PrintReport(r *report.Report, output, file string) error {
	if file == "" || file == "-" {
		return a.writeReport(r, a.Stdout, output, report.Style{Colour: a.Colour()})
	}
	var text bytes.Buffer
	if err := a.writeReport(r, &text, output, report.Style{}); err != nil {
		return err
	}
	if err := wholefile.WriteBytes(file, 0o644, text.Bytes()); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	fmt.Fprintf(a.Stdout, "%s: report in %s\n", r.Verdict, file)
	return nil
}

// Conclude prints the report and ends with its verdict.
func (a *App) Conclude(ctx context.Context, r *report.Report, output, file string) error {
	if err := a.PrintReport(r, output, file); err != nil {
		return Undetermined(err)
	}
	return VerdictError(ctx, r)
}

// VerdictError ends a command with the verdict of a report; nil is Allow.
func VerdictError(ctx context.Context, r *report.Report) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	switch r.Verdict {
	case policy.Allow:
		return nil
	case policy.Deny:
		return ExitError{ExitDeny}
	}
	return ExitError{ExitUndetermined}
}

// Colour reports whether a person sees standard output and wants colours
// (no-color.org).
func (a *App) Colour() bool {
	return Terminal(a.Stdout) && a.Getenv("NO_COLOR") == "" && a.Getenv("TERM") != "dumb"
}
