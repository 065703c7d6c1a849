package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/hallmark-project/hallmark/sign"
	"github.com/hallmark-project/hallmark/sign/keys"
	"github.com/hallmark-project/hallmark/sign/publish"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// Formats of evidence in a registry.
const (
	formatBundle = "bundle"
	formatLegacy = "legacy"
)

// maxSigners bounds the subjects that are signed at one time.
const maxSigners = 8

// signFlags are what sign, attest and sbom --attest have in common.
type signFlags struct {
	registryFlags
	key          string
	passwordFile string
	format       string
	recursive    bool
	output       string
}

func (f *signFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.key, "key", "", "sign with the private key in this file")
	flags.StringVar(&f.passwordFile, "password-file", "", "read the key's password from a file, - for standard input")
	flags.StringVar(&f.format, "format", formatBundle, "bundle (an OCI referrer) or legacy (cosign's tags)")
	flags.BoolVarP(&f.recursive, "recursive", "r", false, "of an index, also every platform below it")
	flags.StringVar(&f.output, "output", "text", "text or json")
	f.registryFlags.add(flags)
}

func (f *signFlags) check() error {
	if f.format != formatBundle && f.format != formatLegacy {
		return hint(usageError("unknown format %q", f.format), "--format is bundle or legacy")
	}
	if f.output != "text" && f.output != "json" {
		return usageError("--output is text or json, not %q", f.output)
	}
	if f.key == "" {
		return hint(usageError("no key was named"), "name one with --key; hallmark key generate makes one")
	}
	return nil
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
	Existing bool   `json:"existing"`
}

// makeEvidence signs one subject in the wanted format.
type makeEvidence func(ctx context.Context, ref oci.Reference, subject oci.Descriptor) (sign.Evidence, error)

// attacher signs and attaches for one command.
type attacher struct {
	app       *app
	flags     *signFlags
	signer    *keys.Signer
	verifier  *verify.Verifier
	publisher *publish.Publisher
}

func (a *app) newAttacher(ctx context.Context, f *signFlags) (*attacher, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	signer, err := a.loadSigner(ctx, f.key, f.passwordFile)
	if err != nil {
		return nil, err
	}
	if f.format == formatLegacy {
		// cosign 2 verifies its tag format with SHA-256, whatever the curve.
		signer = signer.WithSHA256()
	}
	verifier, err := sign.Verifier(signer)
	if err != nil {
		return nil, err
	}
	client, err := f.client(true)
	if err != nil {
		return nil, err
	}
	return &attacher{app: a, flags: f, signer: signer, verifier: verifier, publisher: publish.New(client)}, nil
}

// attach signs every subject of one image and prints what became of each. The tag
// is resolved once; what is signed is printed by digest.
func (s *attacher) attach(ctx context.Context, image string, make makeEvidence) error {
	ref, err := oci.ParseReference(image)
	if err != nil {
		return registryError(image, err)
	}
	subjects, err := s.publisher.Subjects(ctx, ref, s.flags.recursive)
	if err != nil {
		return registryError(image, err)
	}
	return s.attachTo(ctx, ref, subjects, make)
}

func (s *attacher) attachTo(ctx context.Context, ref oci.Reference, subjects []oci.Descriptor, make makeEvidence) error {
	lines := makeLines(len(subjects))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(maxSigners)
	for i, subject := range subjects {
		group.Go(func() error {
			evidence, err := make(groupCtx, ref, subject)
			if err != nil {
				return err
			}
			put := s.publisher.Attach
			if s.flags.format == formatLegacy {
				put = s.publisher.AttachLegacy
			}
			result, err := put(groupCtx, ref, subject, evidence, s.verifier)
			if err != nil {
				return err
			}
			lines[i] = attachment{
				Schema: attachmentSchema, Image: ref.Name(), Subject: subject.Digest.String(), Platform: subject.Platform.String(), Type: evidence.PredicateType,
				Manifest: result.Manifest.String(), Place: result.Place, KeyID: evidence.Signer, Existing: result.Existing,
			}
			if evidence.PredicateType == verify.SignaturePredicateType {
				lines[i].Type = ""
			}
			return nil
		})
	}
	failed := group.Wait()
	// What was attached before another one failed is attached, and is said.
	lines = slices.DeleteFunc(lines, func(line attachment) bool { return line.Schema == "" })
	if err := s.print(ref, lines); err != nil {
		return err
	}
	return writeError(ref.String(), failed)
}

func makeLines(n int) []attachment { return make([]attachment, n) }

func (s *attacher) print(ref oci.Reference, lines []attachment) error {
	for _, line := range lines {
		if s.flags.output == "json" {
			if err := json.NewEncoder(s.app.stdout).Encode(line); err != nil {
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
		fmt.Fprintf(s.app.stdout, "%s %s@%s%s\n", verb, line.Image, line.Subject, what)
	}
	return nil
}

// writeError gives an error of writing its hint; nil stays nil.
func writeError(image string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, publish.ErrNotListed):
		return hint(err, "run the same command again: what is there already is kept")
	case errors.Is(err, publish.ErrNotStored) && errors.Is(err, oci.ErrUnauthorized):
		return hint(err, "the registry lets you read %s and not write to it; log in with an account that may push", image)
	case errors.Is(err, publish.ErrNotStored):
		return hint(err, "nothing was made visible; run the same command again when the registry takes writes")
	}
	return registryError(image, err)
}

func newSignCommand(a *app) *cobra.Command {
	var f signFlags
	var pairs []string
	cmd := &cobra.Command{
		Use:   "sign IMAGE…",
		Short: "Sign images and attach the signatures",
		Long: `Signs images by digest and attaches each signature to its image. A tag is resolved once,
and the digest that it names then is signed and printed. Run twice it adds nothing.`,
		Example: `  hallmark sign --key hallmark.key registry.example/app:1.2
  hallmark sign --key hallmark.key --recursive registry.example/app@sha256:…
  hallmark sign --key hallmark.key --format legacy -a build=42 registry.example/app:1.2`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			annotations, err := parsePairs(pairs)
			if err != nil {
				return err
			}
			s, err := a.newAttacher(cmd.Context(), &f)
			if err != nil {
				return err
			}
			for _, image := range args {
				err := s.attach(cmd.Context(), image, func(ctx context.Context, ref oci.Reference, subject oci.Descriptor) (sign.Evidence, error) {
					if f.format == formatLegacy {
						return sign.Legacy(ctx, ref.Name(), subject.Digest, annotations, s.signer)
					}
					return sign.Image(ctx, subject.Digest, annotations, s.signer)
				})
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	f.add(cmd)
	cmd.Flags().StringArrayVarP(&pairs, "annotation", "a", nil, "sign this key=value too; may be repeated")
	return cmd
}

// parsePairs reads key=value texts.
func parsePairs(pairs []string) (map[string]string, error) {
	var all map[string]string
	for _, pair := range pairs {
		key, value, found := strings.Cut(pair, "=")
		if !found || key == "" {
			return nil, hint(usageError("annotation %q is not key=value", pair), "for example: -a build=42")
		}
		if _, twice := all[key]; twice {
			return nil, usageError("annotation %q is given twice", key)
		}
		if all == nil {
			all = make(map[string]string)
		}
		all[key] = value
	}
	return all, nil
}
