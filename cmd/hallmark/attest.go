package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/attest/provenance"
	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/sign"
	"github.com/hallmark-project/hallmark/verify/oci"
)

func newAttestCommand(a *app) *cobra.Command {
	var f signFlags
	var kind, file string
	cmd := &cobra.Command{
		Use:   "attest IMAGE…",
		Short: "Sign a statement about images and attach it",
		Long: `Signs an in-toto statement with the given predicate about each image and attaches it.

--type is a URI or one of: slsaprovenance, slsaprovenance1, slsaprovenance02, spdx, cyclonedx,
vuln, openvex, link, test-result, vsa, custom. A file that is another kind of document is refused.`,
		Example: `  hallmark attest --key hallmark.key --type spdx --predicate sbom.spdx.json registry.example/app:1.2
  hallmark attest --key hallmark.key --type https://example.com/review/v1 --predicate - IMAGE < review.json
  hallmark attest provenance --key hallmark.key registry.example/app:1.2`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if kind == "" || file == "" {
				return cli.Hint(cli.UsageError("attest needs --type and --predicate"), "hallmark attest --help shows examples")
			}
			if err := f.check(); err != nil {
				return err
			}
			if err := oneStdin("the predicate", file, f.passwordFile); err != nil {
				return err
			}
			raw, err := a.readPredicate(file)
			if err != nil {
				return err
			}
			predicateType, err := predicate.ResolveFor(kind, raw)
			switch {
			case errors.Is(err, predicate.ErrUnknownType):
				return cli.Hint(cli.UsageError("--type: %s", err), "hallmark attest --help lists the types")
			case err != nil:
				return cli.Hint(fmt.Errorf("%s: %w", file, err), "give the --type that the file has, or the file that the type wants")
			}
			return a.attestAll(cmd.Context(), &f, args, predicateType, raw)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&kind, "type", "", "the predicate's type: a URI or a short name")
	cmd.Flags().StringVar(&file, "predicate", "", "the file with the predicate, - for standard input")
	cmd.AddCommand(newAttestProvenanceCommand(a))
	return cmd
}

// attestAll attests one predicate to several images.
func (a *app) attestAll(ctx context.Context, f *signFlags, images []string, predicateType string, raw []byte) error {
	s, err := a.newAttacher(ctx, f)
	if err != nil {
		return err
	}
	return s.attachAll(ctx, images, s.statement(predicateType, raw))
}

// statement returns what signs one predicate about any subject.
func (s *attacher) statement(predicateType string, raw []byte) makeEvidence {
	return func(ctx context.Context, signer sign.Signer, ref oci.Reference, subject oci.Descriptor) (sign.Evidence, error) {
		statement, err := attest.NewStatement(ref.Name(), subject.Digest, predicateType, raw)
		if err != nil {
			return sign.Evidence{}, err
		}
		if s.flags.format == formatLegacy {
			return sign.LegacyStatement(ctx, statement, subject.Digest, signer)
		}
		return sign.Statement(ctx, statement, subject.Digest, signer)
	}
}

// readPredicate reads a predicate: one JSON value, not empty.
func (a *app) readPredicate(name string) ([]byte, error) {
	reader := a.Stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, cli.Hint(fmt.Errorf("reading the predicate: %w", err), "--predicate names a JSON file, or - for standard input")
		}
		defer file.Close()
		reader = file
	}
	raw, err := io.ReadAll(io.LimitReader(reader, attest.MaxStatementBytes+1))
	if err != nil {
		return nil, fmt.Errorf("reading the predicate: %w", err)
	}
	switch {
	case len(raw) == 0:
		return nil, cli.Hint(fmt.Errorf("reading the predicate %s: it is empty", name), "a predicate is one JSON object")
	case len(raw) > attest.MaxStatementBytes:
		return nil, cli.Hint(fmt.Errorf("reading the predicate %s: more than %d MB", name, attest.MaxStatementBytes>>20), "attest a smaller document, or a digest of this one")
	}
	if err := attest.CheckJSON(raw); err != nil {
		return nil, cli.Hint(fmt.Errorf("reading the predicate %s: %w", name, err), "a predicate is one JSON object; is it YAML, or cut short?")
	}
	if bytes.TrimLeft(raw, " \t\r\n")[0] != '{' {
		return nil, cli.Hint(fmt.Errorf("reading the predicate %s: it is JSON and no object", name), "a predicate is one JSON object")
	}
	return raw, nil
}

func newAttestProvenanceCommand(a *app) *cobra.Command {
	var f signFlags
	var dir string
	var printOnly bool
	cmd := &cobra.Command{
		Use:   "provenance IMAGE…",
		Short: "Make SLSA v1 provenance of this build and attest it",
		Long: `Makes SLSA v1 provenance from GitHub Actions' or GitLab CI's environment where it runs there,
else from the git checkout, and attests it to each image. Of the environment only an allow
list of variables is read. Provenance of a checkout names a builder that nobody should trust
more than the key: ` + "https://hallmark.dev/builders/local" + `.`,
		Example: `  hallmark attest provenance --key hallmark.key registry.example/app:1.2
  hallmark attest provenance --source-dir . --print`,
		Args: func(cmd *cobra.Command, args []string) error {
			if printOnly {
				return nil
			}
			return cobra.MinimumNArgs(1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			// No time of this machine's clock: two runs of one build say the same.
			record, err := provenance.Detect(cmd.Context(), a.Getenv, dir, time.Time{})
			switch {
			case errors.Is(err, provenance.ErrCheckout):
				return cli.Hint(err, "run it in a checkout with a commit and a remote named origin, or name one with --source-dir")
			case err != nil:
				return cli.Hint(err, "outside of a CI job, unset its variables and use --source-dir")
			}
			if record.Dirty {
				fmt.Fprintln(a.Stderr, "hallmark: warning: the checkout has uncommitted changes; the provenance claims no commit")
			}
			if printOnly {
				_, err := fmt.Fprintf(a.Stdout, "%s\n", record.Predicate)
				return err
			}
			return a.attestAll(cmd.Context(), &f, args, record.Type, record.Predicate)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&dir, "source-dir", ".", "the git checkout that the image was built from")
	cmd.Flags().BoolVar(&printOnly, "print", false, "print the predicate and sign nothing")
	return cmd
}
