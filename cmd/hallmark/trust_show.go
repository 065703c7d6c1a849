package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/attest/wholefile"
	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/verify/trust"
)

const (
	trustSchema = "hallmark.dev/trust/v1"
	soon        = 30 * 24 * time.Hour
)

// shownTrust is what trust show prints as JSON.
type shownTrust struct {
	Schema    string       `json:"schema"`
	Digest    string       `json:"digest"` // as reports name it
	Mirror    string       `json:"mirror,omitempty"`
	Anchor    string       `json:"anchor,omitempty"`
	Fetched   time.Time    `json:"fetched,omitzero"`
	GoodUntil time.Time    `json:"goodUntil,omitzero"`
	Entries   []shownEntry `json:"entries"`
}

// shownEntry adds how an entry stands at the moment: "in force", "ends soon",
// "ended" or "not yet".
type shownEntry struct {
	trust.Entry
	State string `json:"state"`
}

func newTrustShowCommand(a *app) *cobra.Command {
	var output, file string
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show what is trusted, since when and until when",
		Long: `Shows every certificate authority, log and timestamp authority that is trusted, the
times at which it may have signed, and what ends within 30 days. What has ended is still
good for what it signed before.`,
		Example: `  hallmark trust show
  hallmark trust show --output json
  hallmark trust show --trusted-root trusted_root.json`,
		Args: cli.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if output != "text" && output != "json" {
				return cli.UsageError("--output is text or json, not %q", output)
			}
			shown, err := a.shownTrust(file, time.Now())
			if err != nil {
				return trustError(err)
			}
			if output == "json" {
				return json.NewEncoder(a.Stdout).Encode(shown)
			}
			return a.printTrust(shown, time.Now())
		},
	}
	cmd.Flags().StringVar(&output, "output", "text", "text or json")
	cmd.Flags().StringVar(&file, "trusted-root", "", "a trusted_root.json, in place of what was fetched")
	return cmd
}

func (a *app) shownTrust(file string, now time.Time) (*shownTrust, error) {
	shown := &shownTrust{Schema: trustSchema}
	var raw []byte
	if file != "" {
		var err error
		if raw, err = wholefile.ReadFile(file, cli.MaxTrustedRoot); err != nil {
			return nil, fmt.Errorf("reading the trusted root: %w", err)
		}
	} else {
		state, err := a.TrustState()
		if err != nil {
			return nil, err
		}
		anchor, err := state.Anchor()
		if err != nil {
			return nil, err
		}
		raw = state.TrustedRoot()
		shown.Mirror, shown.Anchor = state.Mirror(), anchor.String()
		shown.Fetched, shown.GoodUntil = state.Fetched().UTC(), state.Expires().UTC()
	}
	root, err := trust.NewRoot(trust.WithTrustedRoot(raw))
	if err != nil {
		return nil, err
	}
	shown.Digest = root.Digest().String()
	for _, entry := range root.Describe() {
		shown.Entries = append(shown.Entries, shownEntry{entry, entryState(entry, now)})
	}
	return shown, nil
}

func entryState(entry trust.Entry, now time.Time) string {
	switch {
	case !entry.From.IsZero() && now.Before(entry.From):
		return "not yet"
	case !entry.InForce(now):
		return "ended"
	case !entry.Until.IsZero() && entry.Until.Sub(now) < soon:
		return "ends soon"
	}
	return "in force"
}

func (a *app) printTrust(shown *shownTrust, now time.Time) error {
	fmt.Fprintf(a.Stdout, "trusted root  %s\n", shown.Digest)
	if shown.Mirror != "" {
		state := "good until"
		if now.After(shown.GoodUntil) {
			state = "ENDED"
		}
		fmt.Fprintf(a.Stdout, "from          %s\nanchor        %s\nfetched       %s (%s ago), %s %s\n",
			report.Plain(shown.Mirror), shown.Anchor, day(shown.Fetched), max(now.Sub(shown.Fetched), 0).Round(time.Minute), state, day(shown.GoodUntil))
	}
	table := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "\nKIND\tFROM\tUNTIL\tSTATE\tKEY\tNAME\n")
	for _, entry := range shown.Entries {
		name := cmp.Or(entry.Name, entry.Subject)
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", entry.Kind, day(entry.From), day(entry.Until), entry.State, entry.Algorithm, report.Plain(name))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, entry := range shown.Entries {
		if entry.State == "ends soon" {
			fmt.Fprintf(a.Stderr, "hallmark: warning: the %s %s ends at %s\n", entry.Kind, report.Plain(cmp.Or(entry.Name, entry.Subject)), entry.Until.UTC().Format(time.RFC3339))
		}
	}
	return nil
}

func day(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return at.UTC().Format(time.DateOnly)
}
