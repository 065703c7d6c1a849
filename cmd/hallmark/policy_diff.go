package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/policy/record"
	"github.com/hallmark-project/hallmark/policy/report"
)

// diffSchema names the JSON form of a comparison.
const diffSchema = "hallmark.dev/policydiff/v1"

// maxDiffRecords bounds the records of one comparison; each may have a thousand images.
const maxDiffRecords = 1000

type policyDiffFlags struct {
	against    []string
	at, output string
	all        bool
}

func newPolicyDiffCommand(a *app) *cobra.Command {
	f := &policyDiffFlags{}
	cmd := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Show which recorded images two policies judge differently",
		Long: `Judges the images of recorded verifications by both policies, without a network, and
prints those whose verdict, reason or rule changes. --against names records (hallmark
verify --record writes them) or folders of files named *.record.

Exit codes: 0 nothing changes, 1 something does, 2 a policy or a record cannot be
read, or what was recorded does not say enough about an image, 64 wrong usage.`,
		Example: `  hallmark policy diff policy.yaml stricter.yaml --against records/
  hallmark policy diff policy.yaml stricter.yaml --against app.record --output json`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.policyDiff(cmd.Context(), f, args[0], args[1])
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&f.against, "against", nil, "a record, or a folder of *.record files; may be given several times")
	flags.StringVar(&f.at, "at", "", "judge at this time, such as 2027-01-01T00:00:00Z, in place of the recorded ones")
	flags.BoolVar(&f.all, "all", false, "print the images that stay as they are, too")
	flags.StringVar(&f.output, "output", "text", "text or json")
	cli.CompleteFlag(cmd, "output", "text", "json")
	return cmd
}

// policyDiffReport is the JSON form of a comparison.
type policyDiffReport struct {
	Schema  string          `json:"schema"`
	Before  report.Policy   `json:"before"`
	After   report.Policy   `json:"after"`
	Images  int             `json:"images"`
	Changed int             `json:"changed"`
	Unknown int             `json:"unknown"`
	Changes []record.Change `json:"changes"`
}

func (a *app) policyDiff(ctx context.Context, f *policyDiffFlags, oldPath, newPath string) error {
	var o record.Options
	switch {
	case f.output != "text" && f.output != "json":
		return cli.UsageError("--output is text or json, not %q", f.output)
	case len(f.against) == 0:
		return cli.Hint(cli.UsageError("nothing says which images are compared"), "give --against RECORD; hallmark verify --record writes one")
	}
	if f.at != "" {
		var err error
		if o.Time, err = time.Parse(time.RFC3339, f.at); err != nil {
			return cli.UsageError("--at is a time such as 2027-01-01T00:00:00Z, not %q", f.at)
		}
	}
	before, err := a.LoadPolicy(oldPath)
	if err != nil {
		return err
	}
	after, err := a.LoadPolicy(newPath)
	if err != nil {
		return err
	}
	a.withoutNetwork() // policies may have been fetched; nothing else is
	paths, err := recordFiles(f.against)
	if err != nil {
		return cli.Undetermined(err)
	}
	out := policyDiffReport{
		Schema: diffSchema, Changes: []record.Change{},
		Before: report.Policy{Name: before.Name(), Digest: before.Digest()}, After: report.Policy{Name: after.Name(), Digest: after.Digest()},
	}
	type seen struct {
		image  string
		digest digest.Digest
		change record.Change
	}
	said := make(map[seen]bool)
	for _, path := range paths {
		file, err := a.readRecord(path)
		if err != nil {
			return err
		}
		changes, err := file.Compare(ctx, before, after, o)
		if err != nil {
			return cli.Undetermined(fmt.Errorf("%s: %w", path, err))
		}
		for _, c := range changes {
			if key := (seen{c.Image, c.Digest, c}); said[key] {
				continue // the same image in several records
			} else {
				said[key] = true
			}
			out.add(c, f.all)
		}
	}
	if err := a.printDiff(&out, f.output); err != nil {
		return cli.Undetermined(err)
	}
	switch {
	case out.Changed > 0:
		return cli.ExitError{Code: cli.ExitDeny}
	case out.Unknown > 0:
		return cli.ExitError{Code: cli.ExitUndetermined}
	}
	return nil
}

// add counts a change, and keeps it if it is one.
func (r *policyDiffReport) add(c record.Change, all bool) {
	r.Images++
	if c.Changed() {
		r.Changed++
	}
	if c.Unknown() {
		r.Unknown++
	}
	if all || c.Changed() || c.Unknown() {
		r.Changes = append(r.Changes, c)
	}
}

// recordFiles lists records, those of folders in order.
func recordFiles(paths []string) ([]string, error) {
	var all []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil || !info.IsDir() {
			all = append(all, path) // whoever reads it says what is wrong
			continue
		}
		var inside []string
		err = filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
			if err == nil && entry.Type().IsRegular() && filepath.Ext(name) == ".record" {
				inside = append(inside, name)
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		if len(inside) == 0 {
			return nil, fmt.Errorf("reading %s: there is no *.record in it", path)
		}
		slices.Sort(inside)
		all = append(all, inside...)
	}
	if len(all) > maxDiffRecords {
		return nil, fmt.Errorf("%d records, at most %d are read", len(all), maxDiffRecords)
	}
	return all, nil
}

func (a *app) printDiff(r *policyDiffReport, output string) error {
	if output == "json" {
		encoder := json.NewEncoder(a.Stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	for _, c := range r.Changes {
		sign := " "
		switch {
		case c.Before.Verdict < c.After.Verdict:
			sign = "+" // more is allowed
		case c.Before.Verdict > c.After.Verdict:
			sign = "-"
		case c.Changed():
			sign = "~"
		}
		fmt.Fprintf(a.Stdout, "%s %s\n    %s -> %s\n", sign, report.Plain(c.Image), outcomeText(c.Before), outcomeText(c.After))
	}
	noun := "images"
	if r.Images == 1 {
		noun = "image"
	}
	_, err := fmt.Fprintf(a.Stdout, "%d %s, %d changed, %d could not be judged by what was recorded\n", r.Images, noun, r.Changed, r.Unknown)
	return err
}

// outcomeText is "deny NO_SIGNATURE (rule production)".
func outcomeText(o record.Outcome) string {
	text := o.Verdict.String()
	if o.Reason != "" {
		text += " " + string(o.Reason)
	}
	if o.Rule != "" {
		text += " (rule " + report.Plain(o.Rule) + ")"
	}
	return text
}
