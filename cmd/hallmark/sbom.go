package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/sbom"
	"github.com/hallmark-project/hallmark/sign/keys"
)

// maxSourceDate is the end of the year 9999, the last that RFC 3339 can write.
const maxSourceDate = 253402300799

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
  hallmark sbom --attest registry.example/app:1.2          # keyless, see hallmark sign --help
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
	f.identityFlags.add(flags)
	flags.StringVar(&f.signFlags.format, "attach-format", formatBundle, "with --attest, bundle or legacy (cosign's tags)")
	flags.StringVar(&f.output, "output", "text", "with --attest, print what was attached as text or json")
	f.RegistryFlags.Add(flags)
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
		return cli.Hint(cli.UsageError("--key does nothing without --attest"), "add --attest to sign and attach the SBOM")
	}
	client, err := f.Client(&a.App, f.attest)
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
	defer func() {
		for _, target := range targets {
			target.Close()
		}
	}()
	// What cannot end well is refused before the work, not after it.
	count := len(targets) * len(options.Formats)
	switch {
	case f.attest && targets[0].Kind != sbom.KindRegistry:
		return cli.Hint(cli.UsageError("--attest wants an image in a registry, not %s", text), "generate the SBOM first, and attach it with hallmark attest")
	case f.out == "" && !f.attest && count > 1:
		return cli.Hint(cli.UsageError("%d documents, and one place to print them", count), "name a folder with --out, or one platform with --platform%s", platformList(targets))
	}
	var all []made
	for _, target := range targets {
		if cli.Terminal(a.Stderr) {
			fmt.Fprintf(a.Stderr, "hallmark: scanning %s %s …\n", target.Name, target.Platform)
		}
		documents, err := sbom.Generate(ctx, target, options)
		if err != nil {
			return sbomError(text, err)
		}
		all = append(all, made{target, documents})
		a.warnHollow(target, documents[0])
	}
	if err := a.writeDocuments(f, all); err != nil {
		return err
	}
	return a.attachSBOMs(ctx, attaching, text, all)
}

// platformList says what there is to choose from.
func platformList(targets []*sbom.Target) string {
	if len(targets) < 2 {
		return ""
	}
	var names []string
	for _, target := range targets {
		names = append(names, target.Platform)
	}
	return ": " + strings.Join(names, ", ")
}

// warnHollow says that an SBOM lists nothing: policies refuse it.
func (a *app) warnHollow(target *sbom.Target, document sbom.Document) {
	bom, err := predicate.ReadSBOM(document.Format.PredicateType(), document.Raw)
	if err == nil && bom.Hollow() {
		fmt.Fprintf(a.Stderr, "hallmark: warning: no package was found in %s %s; a policy that asks for an SBOM refuses this one\n", target.Name, target.Platform)
	}
}

func (a *app) sbomOptions(f *sbomFlags) (sbom.Options, error) {
	var options sbom.Options
	for _, name := range f.formats {
		options.Formats = append(options.Formats, sbom.Format(strings.TrimSpace(name)))
	}
	if text := a.Getenv("SOURCE_DATE_EPOCH"); text != "" {
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil || seconds < 0 || seconds > maxSourceDate {
			return options, cli.Hint(cli.UsageError("SOURCE_DATE_EPOCH is %q", text), "it must be seconds since 1970, such as the output of: git log -1 --format=%%ct")
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
	if f.out == "" {
		if f.attest {
			return nil
		}
		_, err := a.Stdout.Write(all[0].documents[0].Raw)
		return err
	}
	info, err := os.Stat(f.out)
	isFolder := err == nil && info.IsDir() || strings.HasSuffix(f.out, string(os.PathSeparator))
	switch {
	case count == 1 && !isFolder:
		return writeDocument(f.out, all[0].documents[0])
	case err == nil && !info.IsDir():
		return cli.Hint(cli.UsageError("%d documents, and %s is one file", count, f.out), "name a folder with --out")
	}
	if err := os.MkdirAll(f.out, 0o755); err != nil {
		return fmt.Errorf("writing the SBOMs: %w", err)
	}
	for path, document := range documentPaths(f.out, all) {
		if err := writeDocument(path, document); err != nil {
			return err
		}
		fmt.Fprintf(a.Stderr, "hallmark: wrote %s\n", path)
	}
	return nil
}

// documentPaths names each document in a folder: "sbom" and, of several, the
// platform; two of one platform also by their digests.
func documentPaths(dir string, all []made) iter.Seq2[string, sbom.Document] {
	platforms := make(map[string]int)
	for _, m := range all {
		platforms[m.target.Platform]++
	}
	return func(yield func(string, sbom.Document) bool) {
		for _, m := range all {
			name := "sbom"
			if len(all) > 1 {
				name += "-" + strings.ReplaceAll(m.target.Platform, "/", "-")
			}
			if platforms[m.target.Platform] > 1 {
				name += "-" + m.target.Digest.Hex()[:12]
			}
			for _, document := range m.documents {
				if !yield(filepath.Join(dir, name+document.Format.Extension()), document) {
					return
				}
			}
		}
	}
}

// writeDocument replaces a file as a whole or not at all; a device or pipe is
// written to.
func writeDocument(path string, document sbom.Document) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		if err := os.WriteFile(path, document.Raw, 0o644); err != nil {
			return fmt.Errorf("writing the SBOM: %w", err)
		}
		return nil
	}
	return keys.WriteFile(path, document.Raw, 0o644, true)
}

// sbomError gives an error of generating its hint.
func sbomError(text string, err error) error {
	switch {
	case errors.Is(err, sbom.ErrNoTarget):
		return cli.Hint(err, "check the path; an image in a registry is named like registry.example/app:tag, or with the prefix registry:")
	case errors.Is(err, sbom.ErrArchive):
		return cli.Hint(err, "unpack it and name the folder; an image's archive must not be compressed")
	case errors.Is(err, sbom.ErrFormat):
		return cli.Hint(&cli.CodeError{Err: err, Code: cli.ExitUsage}, "--format is spdx, cyclonedx or syft")
	case errors.Is(err, sbom.ErrPlatform):
		return cli.Hint(err, "name one of its platforms with --platform")
	case errors.Is(err, sbom.ErrLimit):
		return cli.Hint(err, "the image is damaged, or made to exhaust whoever unpacks it")
	}
	return cli.RegistryError(text, err)
}
