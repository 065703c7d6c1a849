package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/attest/wholefile"
	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/policy/airgap"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/sign/publish"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// copySchema names the form of the result.
const copySchema = "hallmark.dev/copy/v1"

type copyFlags struct {
	cli.RegistryFlags
	platform string
	output   string
}

// copied is the result, as JSON prints it.
type copied struct {
	Schema         string   `json:"schema"`
	Source         string   `json:"source"`
	Destination    string   `json:"destination"`
	Digest         string   `json:"digest"`
	Manifests      int      `json:"manifests"`
	Evidence       int      `json:"evidence"`
	Written        int      `json:"written"`
	BlobsSent      int      `json:"blobsSent"`
	BlobsMounted   int      `json:"blobsMounted"`
	BytesSent      int64    `json:"bytesSent"`
	ForeignLeftOut int      `json:"foreignLeftOut,omitempty"`
	Skipped        []string `json:"skipped,omitempty"`
}

func newCopyCommand(a *app) *cobra.Command {
	f := &copyFlags{}
	cmd := &cobra.Command{
		Use:   "copy SRC DST",
		Short: "Copy an image with everything that hangs on it",
		Long: `Copies an image, or an index with all its platforms, and all evidence about each of
its manifests: referrers, and cosign's .sig, .att and .sbom tags. Digests do not change.
The tag is written last. A copy that was cut short is finished by running it again, and
what is there already is not sent again. Evidence that others hung on the same image at
the destination stays. Nothing is judged: hallmark verify does that.

DST is in a registry, and without a tag of its own it gets that of SRC; or it is
oci-archive:PATH, a new file. SRC may also be oci-dir:PATH or oci-archive:PATH. With --platform only that manifest is copied, which
has a digest of its own: evidence about the index stays behind.`,
		Example: `  hallmark copy registry.example/app:1.2 mirror.example/app
  hallmark copy registry.example/app@sha256:… mirror.example/app:stable
  hallmark copy registry.example/app:1.2 oci-archive:app.tar
  hallmark copy oci-archive:app.tar mirror.example/app:1.2 --output json`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error { return a.copy(cmd.Context(), f, args[0], args[1]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.platform, "platform", "", "copy this platform's manifest below an index, such as linux/arm64")
	flags.StringVar(&f.output, "output", "text", "text or json")
	f.RegistryFlags.Add(flags)
	return cmd
}

func (a *app) copy(ctx context.Context, f *copyFlags, from, to string) error {
	if f.output != "text" && f.output != "json" {
		return cli.UsageError("--output is text or json, not %q", f.output)
	}
	if f.platform != "" && !cli.PlatformText.MatchString(f.platform) {
		return cli.Hint(cli.UsageError("%q is no platform", f.platform), "a platform is OS/ARCHITECTURE, such as linux/arm64, or linux/arm/v7")
	}
	kind, path, toFile := cli.CutLocal(to)
	if toFile && kind != "oci-archive" {
		return cli.Hint(cli.UsageError("%s is neither in a registry nor an archive", to), "copy to oci-archive:PATH, which is one file")
	}
	var target oci.Reference
	var err error
	if !toFile {
		if target, err = oci.ParseReference(to); err != nil {
			return cli.RegistryError(to, err)
		}
	}
	source, ref, done, err := f.open(a, from)
	if err != nil {
		return cli.RegistryError(from, err)
	}
	defer done()
	if toFile {
		return a.copyToArchive(ctx, f, from, source, ref, path)
	}
	if !hasTagOrDigest(to) {
		if target.Tag = ref.Tag; !ref.Digest.IsZero() {
			target.Tag = ""
		}
	}
	options, err := f.Options(&a.App)
	if err != nil {
		return err
	}
	options.Push, options.AlsoPull = true, []oci.Reference{ref}
	whole, err := oci.Collect(ctx, source, ref, oci.CollectOptions{Platform: f.platform, Suffixes: publish.EvidenceSuffixes()})
	if err != nil {
		return cli.RegistryError(from, err)
	}
	progress, finish := a.progress("copying")
	result, err := publish.New(oci.NewClient(options)).Copy(ctx, source, ref, whole, target, publish.CopyOptions{MountFrom: mountFrom(source, ref), Progress: progress})
	finish()
	if err != nil {
		return copyError(to, err)
	}
	if target.Tag == "" && target.Digest.IsZero() {
		fmt.Fprintln(a.Stderr, "hallmark: note: no tag was written; name one in DST if there shall be one")
	}
	return a.printCopied(f.output, from, target.String(), result)
}

// copyToArchive writes an image into a new file.
func (a *app) copyToArchive(ctx context.Context, f *copyFlags, from string, source publish.CopySource, ref oci.Reference, path string) error {
	whole, err := oci.Collect(ctx, source, ref, oci.CollectOptions{Platform: f.platform, Suffixes: publish.EvidenceSuffixes()})
	if err != nil {
		return cli.RegistryError(from, err)
	}
	tag := ref.Tag
	if !ref.Digest.IsZero() {
		tag = ""
	}
	progress, finish := a.progress("copying")
	size, err := wholefile.Write(path, 0o644, func(out io.Writer) error {
		return airgap.WriteArchive(ctx, out, airgap.Item{Reference: ref, Source: source, Whole: whole}, tag, progress)
	})
	finish()
	if err != nil {
		return cli.RegistryError(from, err)
	}
	return a.printCopied(f.output, from, "oci-archive:"+path, publish.CopyResult{
		Digest: whole.Top.Digest, Manifests: len(whole.Image), Evidence: len(whole.Attached), Written: 1, BytesSent: size, EvidenceSkipped: whole.Skipped,
	})
}

// hasTagOrDigest reports whether a reference was written with either.
func hasTagOrDigest(text string) bool {
	return strings.ContainsAny(text[strings.LastIndex(text, "/")+1:], ":@")
}

// mountFrom is where blobs can be mounted from: nowhere, when the source is a file.
func mountFrom(source publish.CopySource, ref oci.Reference) oci.Reference {
	if _, registry := source.(*oci.Client); registry {
		return ref
	}
	return oci.Reference{}
}

// open finds out where the image is.
func (f *copyFlags) open(a *app, image string) (source publish.CopySource, ref oci.Reference, done func(), err error) {
	kind, rest, local := cli.CutLocal(image)
	if !local {
		if ref, err = oci.ParseReference(image); err != nil {
			return nil, oci.Reference{}, nil, err
		}
		client, err := f.Client(&a.App, false)
		return client, ref, func() {}, err
	}
	layout, pick, err := cli.OpenLocal(kind, rest)
	if err != nil {
		return nil, oci.Reference{}, nil, err
	}
	target := gate.LayoutTarget(image, layout, "", pick)
	if target.Err != nil {
		layout.Close()
		return nil, oci.Reference{}, nil, target.Err
	}
	return layout, target.Reference, func() { layout.Close() }, nil
}

// copyError gives an error of a copy its hint.
func copyError(to string, err error) error {
	switch {
	case errors.Is(err, publish.ErrChanged):
		return cli.Hint(err, "do not use what is there now; look who else writes to %s, and run the command again", to)
	case errors.Is(err, oci.ErrDigestMismatch), errors.Is(err, oci.ErrSizeMismatch):
		return cli.Hint(err, "the source sends bytes that are not those of the digest; the tag was not written")
	case errors.Is(err, oci.ErrUnauthorized):
		return cli.Hint(err, "is an account that may push to %s logged in? What was sent so far is not visible under its tag", to)
	case errors.Is(err, oci.ErrOffline):
		return cli.RegistryError(to, err)
	case errors.Is(err, context.Canceled):
		return err
	}
	return cli.Hint(err, "the tag was not written; run the same command again, and it goes on where it stopped")
}

func (a *app) printCopied(output, from, to string, r publish.CopyResult) error {
	if output == "json" {
		return report.WriteJSON(a.Stdout, copied{
			Schema: copySchema, Source: from, Destination: to, Digest: r.Digest.String(), Manifests: r.Manifests, Evidence: r.Evidence, Written: r.Written,
			BlobsSent: r.BlobsSent, BlobsMounted: r.BlobsMounted, BytesSent: r.BytesSent, ForeignLeftOut: r.ForeignLeftOut, Skipped: r.EvidenceSkipped,
		})
	}
	verb := "copied"
	if r.Written == 0 {
		verb = "there already"
	}
	fmt.Fprintf(a.Stdout, "%s %s@%s\n", verb, strings.Split(to, "@")[0], r.Digest)
	fmt.Fprintf(a.Stdout, "  %s of the image, %s on it; %s sent (%s), %d mounted\n",
		count(r.Manifests, "manifest"), count(r.Evidence, "piece"), count(r.BlobsSent, "blob"), bytesText(r.BytesSent), r.BlobsMounted)
	if r.ForeignLeftOut > 0 {
		fmt.Fprintf(a.Stderr, "hallmark: warning: %s not distributable, and not in the source's registry\n", count(r.ForeignLeftOut, "layer"))
	}
	for _, text := range r.EvidenceSkipped {
		fmt.Fprintf(a.Stderr, "hallmark: warning: %s\n", report.Plain(text))
	}
	return nil
}

// count says "1 blob" or "2 blobs".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// bytesText says a size for people.
func bytesText(n int64) string {
	size, unit := float64(n), 0
	for size >= 1000 && unit < 4 {
		size /= 1000
		unit++
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", size, [...]string{"B", "kB", "MB", "GB", "TB"}[unit])
}
