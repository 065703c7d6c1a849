package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/sign"
	"github.com/hallmark-project/hallmark/sign/publish"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// Formats of evidence in a registry.
const (
	formatBundle = "bundle"
	formatLegacy = "legacy"
)

const (
	maxSigners = 8 // subjects of one image that are signed at one time
	maxImages  = 8 // images that are signed at one time
)

// signFlags are what sign, attest and sbom --attest have in common.
type signFlags struct {
	cli.RegistryFlags
	identityFlags
	format    string
	recursive bool
	output    string
}

func (f *signFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.format, "format", formatBundle, "bundle (an OCI referrer) or legacy (cosign's tags)")
	flags.BoolVarP(&f.recursive, "recursive", "r", false, "of an index, also every platform below it")
	flags.StringVar(&f.output, "output", "text", "text or json")
	f.identityFlags.add(flags)
	f.RegistryFlags.Add(flags)
}

func (f *signFlags) check() error {
	if f.format != formatBundle && f.format != formatLegacy {
		return cli.Hint(cli.UsageError("unknown format %q", f.format), "--format is bundle or legacy")
	}
	if f.output != "text" && f.output != "json" {
		return cli.UsageError("--output is text or json, not %q", f.output)
	}
	return f.identityFlags.check()
}

// attachmentSchema names the form of one line of JSON.
const attachmentSchema = "hallmark.dev/attachment/v1"

// attachment is one line of the result, as JSON prints it.
type attachment struct {
	Schema   string `json:"schema"`
	Image    string `json:"image"`
	Subject  string `json:"subject"`
	Platform string `json:"platform,omitempty"`
	Type     string `json:"predicateType,omitempty"`
	Manifest string `json:"manifest"`
	Place    string `json:"place"`
	KeyID    string `json:"keyId"`
	Identity string `json:"identity,omitempty"`
	Issuer   string `json:"issuer,omitempty"`
	LogIndex *int64 `json:"logIndex,omitempty"`
	Existing bool   `json:"existing"`
}

// makeEvidence signs one subject in the wanted format.
type makeEvidence func(ctx context.Context, signer sign.Signer, ref oci.Reference, subject oci.Descriptor) (sign.Evidence, error)

// attacher signs and attaches for one command.
type attacher struct {
	app       *app
	flags     *signFlags
	signing   *signing
	publisher *publish.Publisher
}

func (a *app) newAttacher(ctx context.Context, f *signFlags) (*attacher, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	signing, err := a.newSigning(ctx, &f.identityFlags, f.format == formatLegacy)
	if err != nil {
		return nil, err
	}
	client, err := f.Client(&a.App, true)
	if err != nil {
		return nil, err
	}
	return &attacher{app: a, flags: f, signing: signing, publisher: publish.New(client)}, nil
}

// attachAll signs images side by side and prints what became of each, in their order.
// The first failure ends what has not begun; what was attached before it is printed.
func (s *attacher) attachAll(ctx context.Context, images []string, make makeEvidence) error {
	results := makeResults(len(images))
	var done atomic.Int64
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(maxImages)
	for i, image := range images {
		group.Go(func() error {
			if err := groupCtx.Err(); err != nil {
				return err
			}
			err := s.attach(groupCtx, image, make, &results[i])
			s.progress(done.Add(1), len(images))
			return err
		})
	}
	failed := group.Wait()
	for _, result := range results {
		if err := s.print(result.ref, result.lines); err != nil {
			return err
		}
	}
	return failed
}

// progress tells a person at a terminal how far a batch is.
func (s *attacher) progress(done int64, all int) {
	if all < 2 || !cli.Terminal(s.app.Stderr) {
		return
	}
	fmt.Fprintf(s.app.Stderr, "\r%d of %d", done, all)
	if done == int64(all) {
		fmt.Fprint(s.app.Stderr, "\r\x1b[K")
	}
}

// result is what became of one image.
type result struct {
	ref   oci.Reference
	lines []attachment
}

func makeResults(n int) []result { return make([]result, n) }

// attach signs every subject of one image. The tag is resolved once; what is signed
// is printed by digest.
func (s *attacher) attach(ctx context.Context, image string, make makeEvidence, to *result) error {
	ref, err := oci.ParseReference(image)
	if err != nil {
		return cli.RegistryError(image, err)
	}
	subjects, err := s.publisher.Subjects(ctx, ref, s.flags.recursive)
	if err != nil {
		return cli.RegistryError(image, err)
	}
	to.ref = ref
	return s.attachTo(ctx, subjects, make, to)
}

// piece is signed evidence that is not attached yet.
type piece struct {
	sign.Evidence
	verifier *verify.Verifier
}

// attachTo signs all subjects of one image first, and attaches only when all are
// signed and verified: a signing service that fails leaves nothing behind.
func (s *attacher) attachTo(ctx context.Context, subjects []oci.Descriptor, make makeEvidence, to *result) error {
	pieces := makePieces(len(subjects))
	to.lines = makeLines(len(subjects))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(maxSigners)
	for i, subject := range subjects {
		group.Go(func() error {
			signer, verifier, err := s.signing.signer(groupCtx)
			if err != nil {
				return signingError(err)
			}
			evidence, err := make(groupCtx, signer, to.ref, subject)
			if err != nil {
				return signingError(fmt.Errorf("%s: %w", to.ref.At(subject.Digest), err))
			}
			pieces[i] = piece{evidence, verifier}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		to.lines = nil
		return err
	}
	group, groupCtx = errgroup.WithContext(ctx)
	group.SetLimit(maxSigners)
	for i, subject := range subjects {
		group.Go(func() error {
			put := s.publisher.Attach
			if s.flags.format == formatLegacy {
				put = s.publisher.AttachLegacy
			}
			result, err := put(groupCtx, to.ref, subject, pieces[i].Evidence, pieces[i].verifier)
			if err != nil {
				return err
			}
			to.lines[i] = newAttachment(to.ref, subject, pieces[i].Evidence, result)
			return nil
		})
	}
	failed := group.Wait()
	// What was attached before another one failed is attached, and is said.
	to.lines = slices.DeleteFunc(to.lines, func(line attachment) bool { return line.Schema == "" })
	return writeError(to.ref.String(), failed)
}

// newAttachment says what became of one subject.
func newAttachment(ref oci.Reference, subject oci.Descriptor, e sign.Evidence, r publish.Result) attachment {
	line := attachment{
		Schema: attachmentSchema, Image: ref.Name(), Subject: subject.Digest.String(), Platform: subject.Platform.String(), Type: e.PredicateType,
		Manifest: r.Manifest.String(), Place: r.Place, KeyID: e.Signer.KeyID, Existing: r.Existing,
	}
	if e.PredicateType == verify.SignaturePredicateType {
		line.Type = ""
	}
	if certificate := e.Signer.Certificate; certificate != nil {
		line.Identity, line.Issuer = certificate.SAN, certificate.Issuer
	}
	if len(e.Fact.Log) > 0 && !r.Existing {
		index := e.Fact.Log[0].Index
		line.LogIndex = &index
	}
	return line
}

func makePieces(n int) []piece { return make([]piece, n) }

func makeLines(n int) []attachment { return make([]attachment, n) }

func (s *attacher) print(ref oci.Reference, lines []attachment) error {
	for _, line := range lines {
		if s.flags.output == "json" {
			if err := json.NewEncoder(s.app.Stdout).Encode(line); err != nil {
				return err
			}
			continue
		}
		verb := "signed"
		if line.Type != "" {
			verb = "attested"
		}
		if line.Existing {
			verb += " already"
		}
		what := ""
		if ref.Tag != "" && line.Platform == "" {
			what = "  (" + ref.Tag + ")"
		}
		if line.Platform != "" {
			what = "  (" + line.Platform + ")"
		}
		if line.Type != "" {
			what += "  " + line.Type
		}
		if line.Identity != "" {
			what += "  by " + report.Plain(line.Identity)
		}
		fmt.Fprintf(s.app.Stdout, "%s %s@%s%s\n", verb, line.Image, line.Subject, what)
	}
	return nil
}

// writeError gives an error of writing its hint; nil stays nil.
func writeError(image string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, publish.ErrNotListed):
		return cli.Hint(err, "run the same command again: what is there already is kept")
	case errors.Is(err, publish.ErrNotStored) && errors.Is(err, oci.ErrUnauthorized):
		return cli.Hint(err, "the registry lets you read %s and not write to it; log in with an account that may push", image)
	case errors.Is(err, publish.ErrNotStored):
		return cli.Hint(err, "nothing was made visible; run the same command again when the registry takes writes")
	}
	return cli.RegistryError(image, err)
}
