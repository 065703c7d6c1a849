package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/sbom"
	"github.com/hallmark-project/hallmark/sign/keys"
	"github.com/hallmark-project/hallmark/verify/oci"
)

type sbomFlags struct {
	signFlags
	formats  []string
	out      string
	platform string
	noCache  bool
	attest   bool
}

func newSBOMCommand(a *app) *cobra.Command {
	var f sbomFlags
	cmd := &cobra.Command{
		Use:   "sbom TARGET",
		Short: "Generate an SBOM, and sign and attach it in the same step",
		Long: `Generates the SBOM of an image in a registry, an OCI layout, an OCI or docker archive, a folder
or a file, with syft's catalogers. An index gives one document for each platform. Equal content
gives equal bytes; SOURCE_DATE_EPOCH sets the time that stands in them.

A prefix says what the target is: registry: oci-dir: oci-archive: docker-archive: dir: file:`,
		Example: `  hallmark sbom registry.example/app:1.2
  hallmark sbom --format spdx,cyclonedx --out sboms/ registry.example/app:1.2
  hallmark sbom --attest --key hallmark.key registry.example/app:1.2
  hallmark sbom dir:.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.sbom(cmd.Context(), &f, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&f.formats, "format", []string{string(sbom.SPDX)}, "spdx, cyclonedx or syft; several from one scan")
	flags.StringVar(&f.out, "out", "", "write to this file, or into this folder when there are several documents")
	flags.StringVar(&f.platform, "platform", "", "take one platform of an index, such as linux/arm64")
	flags.BoolVar(&f.noCache, "no-cache", false, "scan anew, and keep nothing")
	flags.BoolVar(&f.attest, "attest", false, "sign each document and attach it to its platform's digest")
	flags.StringVar(&f.key, "key", "", "with --attest, sign with the private key in this file")
	flags.StringVar(&f.passwordFile, "password-file", "", "read the key's password from a file, - for standard input")
	flags.StringVar(&f.signFlags.format, "attach-format", formatBundle, "with --attest, bundle or legacy (cosign's tags)")
	flags.StringVar(&f.output, "output", "text", "with --attest, print what was attached as text or json")
	f.registryFlags.add(flags)
	return cmd
}

// made is one target with its documents.
type made struct {
	target    *sbom.Target
	documents []sbom.Document
}

func (a *app) sbom(ctx context.Context, f *sbomFlags, text string) error {
	options, err := a.sbomOptions(f)
	if err != nil {
		return err
	}
	var attaching *attacher
	if f.attest {
		if attaching, err = a.newAttacher(ctx, &f.signFlags); err != nil {
			return err
		}
	} else if f.key != "" {
		return hint(usageError("--key does nothing without --attest"), "add --attest to sign and attach the SBOM")
	}
	client, err := f.client(f.attest)
	if err != nil {
		return err
	}
	if attaching != nil {
		// One client: one ping and one token for reading and writing.
		client = attaching.publisher.Client()
	}
	targets, err := sbom.Open(ctx, text, sbom.OpenOptions{Client: client, Platform: f.platform})
	if err != nil {
		return sbomError(text, err)
	}
	var all []made
	for _, target := range targets {
		defer target.Close()
		if terminal(a.stderr) {
			fmt.Fprintf(a.stderr, "hallmark: scanning %s %s …\n", target.Name, target.Platform)
		}
		documents, err := sbom.Generate(ctx, target, options)
		if err != nil {
			return sbomError(text, err)
		}
		all = append(all, made{target, documents})
	}
	if err := a.writeDocuments(f, all); err != nil {
		return err
	}
	if attaching == nil {
		return nil
	}
	return attachDocuments(ctx, attaching, text, all)
}

func (a *app) sbomOptions(f *sbomFlags) (sbom.Options, error) {
	var options sbom.Options
	for _, name := range f.formats {
		options.Formats = append(options.Formats, sbom.Format(name))
	}
	if text := a.getenv("SOURCE_DATE_EPOCH"); text != "" {
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil || seconds < 0 {
			return options, hint(usageError("SOURCE_DATE_EPOCH is %q", text), "it must be seconds since 1970, such as the output of: git log -1 --format=%%ct")
		}
		options.Created = time.Unix(seconds, 0)
	}
	if !f.noCache {
		if dir, err := os.UserCacheDir(); err == nil {
			options.CacheDir = filepath.Join(dir, "hallmark", "sbom")
		}
	}
	return options, nil
}

// writeDocuments prints one document, or writes one or several to files. With
// --attest nothing needs to be written.
func (a *app) writeDocuments(f *sbomFlags, all []made) error {
	count := 0
	for _, m := range all {
		count += len(m.documents)
	}
	switch {
	case f.out == "" && f.attest:
		return nil
	case f.out == "" && count == 1:
		_, err := a.stdout.Write(all[0].documents[0].Raw)
		return err
	case f.out == "":
		return hint(usageError("%d documents, and one place to print them", count), "name a folder with --out, or one platform with --platform")
	}
	if info, err := os.Stat(f.out); count == 1 && (err != nil || !info.IsDir()) {
		return keys.WriteFile(f.out, all[0].documents[0].Raw, 0o644, true)
	}
	if err := os.MkdirAll(f.out, 0o755); err != nil {
		return fmt.Errorf("writing the SBOMs: %w", err)
	}
	for _, m := range all {
		for _, document := range m.documents {
			name := "sbom"
			if len(all) > 1 {
				name += "-" + strings.ReplaceAll(document.Platform, "/", "-")
			}
			path := filepath.Join(f.out, name+document.Format.Extension())
			if err := keys.WriteFile(path, document.Raw, 0o644, true); err != nil {
				return err
			}
			fmt.Fprintf(a.stderr, "hallmark: wrote %s\n", path)
		}
	}
	return nil
}

// attachDocuments signs each document about its own platform's digest.
func attachDocuments(ctx context.Context, s *attacher, text string, all []made) error {
	ref, err := oci.ParseReference(strings.TrimPrefix(text, string(sbom.KindRegistry)+":"))
	if err != nil {
		return registryError(text, err)
	}
	for _, m := range all {
		if m.target.Kind != sbom.KindRegistry {
			return hint(usageError("--attest wants an image in a registry, not %s", text), "generate the SBOM first, and attach it with hallmark attest")
		}
		for _, document := range m.documents {
			subject := m.target.Descriptor
			if len(all) > 1 || ref.Digest != subject.Digest {
				subject.Platform = platformOf(document.Platform)
			}
			if err := s.attachTo(ctx, ref, []oci.Descriptor{subject}, s.statement(document.Format.PredicateType(), document.Raw)); err != nil {
				return err
			}
		}
	}
	return nil
}

func platformOf(text string) *oci.Platform {
	parts := strings.SplitN(text, "/", 3)
	if len(parts) < 2 {
		return nil
	}
	p := &oci.Platform{OS: parts[0], Architecture: parts[1]}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	return p
}

// sbomError gives an error of generating its hint.
func sbomError(text string, err error) error {
	switch {
	case errors.Is(err, sbom.ErrNoTarget):
		return hint(err, "check the path; an image in a registry is named like registry.example/app:tag, or with the prefix registry:")
	case errors.Is(err, sbom.ErrFormat):
		return hint(&codeError{err: err, code: exitUsage}, "--format is spdx, cyclonedx or syft")
	case errors.Is(err, sbom.ErrPlatform):
		return hint(err, "name one of its platforms with --platform")
	case errors.Is(err, sbom.ErrLimit):
		return hint(err, "the image is damaged, or made to exhaust whoever unpacks it")
	}
	return registryError(text, err)
}
