package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/evidence"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// Limits of one inspection.
const (
	maxInspected     = 64 // platforms below an index
	parallelInspects = 8
)

// inspection is what lies beside one digest, as JSON prints it. Nothing in it is
// verified.
type inspection struct {
	Schema    string      `json:"schema,omitempty"`
	Image     string      `json:"image,omitempty"`
	Platform  string      `json:"platform,omitempty"`
	Digest    string      `json:"digest"`
	MediaType string      `json:"mediaType"`
	Size      int64       `json:"size"`
	Verified  bool        `json:"verified"` // always false: inspect verifies nothing
	Evidence  []inspected `json:"evidence"`
	// Unseen are the places that could not be looked at.
	Unseen    []string      `json:"unseen,omitempty"`
	Platforms []*inspection `json:"platforms,omitempty"`
}

// inspected is one piece.
type inspected struct {
	// Kind is "signature", "attestation", "unsigned", "foreign", "other" or
	// "refused".
	Kind          string   `json:"kind"`
	PredicateType string   `json:"predicateType,omitempty"`
	Format        string   `json:"format,omitempty"`
	Place         string   `json:"place"`
	Manifest      string   `json:"manifest,omitempty"`
	Size          int      `json:"size,omitempty"`
	ClaimedSigner string   `json:"claimedSigner,omitempty"`
	About         []string `json:"about,omitempty"`
	Note          string   `json:"note,omitempty"`
}

type inspectFlags struct {
	cli.RegistryFlags
	output string
}

func newInspectCommand(a *app) *cobra.Command {
	f := &inspectFlags{}
	cmd := &cobra.Command{
		Use:   "inspect IMAGE",
		Short: "Show all evidence that lies beside an image, verified or not",
		Long: `Shows a tree of everything that claims to be evidence about an image and about
each platform below it: what it is, where it lies, and who claims to have signed it.
Also what is present but unsigned, such as BuildKit's attestations.

Nothing is verified: hallmark verify does that.

Exit codes: 0 everything was looked at, 1 there is no such image, 2 a place could not
be looked at, 64 wrong usage.`,
		Example: `  hallmark inspect registry.example/app:1.2
  hallmark inspect registry.example/app:1.2 --output json
  hallmark inspect oci-dir:build/image`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.inspect(cmd.Context(), f, args[0]) },
	}
	cmd.Flags().StringVar(&f.output, "output", "text", "text or json")
	f.RegistryFlags.Add(cmd.Flags())
	return cmd
}

func (a *app) inspect(ctx context.Context, f *inspectFlags, image string) error {
	if f.output != "text" && f.output != "json" {
		return cli.UsageError("--output is text or json, not %q", f.output)
	}
	i, done, err := f.open(a, image)
	if err != nil {
		return cli.RegistryError(image, err)
	}
	defer done()
	tree, err := i.image(ctx)
	if err != nil {
		return cli.RegistryError(image, fmt.Errorf("inspecting %s: %w", image, err))
	}
	tree.Schema, tree.Image = "hallmark.dev/inspect/v1", image
	if f.output == "json" {
		err = report.WriteJSON(a.Stdout, tree)
	} else {
		err = printInspection(a.Stdout, tree)
	}
	if err != nil {
		return err
	}
	if tree.incomplete() {
		return cli.ExitError{Code: cli.ExitUndetermined}
	}
	return nil
}

// open finds out where the image is.
func (f *inspectFlags) open(a *app, image string) (i *inspector, done func(), err error) {
	if kind, rest, local := cli.CutLocal(image); local {
		layout, pick, err := cli.OpenLocal(kind, rest)
		if err != nil {
			return nil, nil, err
		}
		target := gate.LayoutTarget(image, layout, "", pick)
		if target.Err != nil {
			layout.Close()
			return nil, nil, target.Err
		}
		return &inspector{source: layout, ref: target.Reference, layout: target.Layout}, func() { layout.Close() }, nil
	}
	ref, err := oci.ParseReference(image)
	if err != nil {
		return nil, nil, err
	}
	client, err := f.RegistryFlags.Client(&a.App, false)
	return &inspector{source: client, ref: ref}, func() {}, err
}

// incomplete reports whether some place could not be looked at.
func (i *inspection) incomplete() bool {
	for _, p := range i.Platforms {
		if p.incomplete() {
			return true
		}
	}
	return len(i.Unseen) > 0
}

// inspector looks at everything beside one image.
type inspector struct {
	source gate.Source
	ref    oci.Reference
	layout string // where a layout lies; "" for a registry
}

func (i *inspector) image(ctx context.Context) (*inspection, error) {
	d, err := i.source.Resolve(ctx, i.ref)
	if err != nil {
		return nil, err
	}
	m, err := i.source.Manifest(ctx, i.ref, d)
	if err != nil {
		return nil, err
	}
	tree := &inspection{Digest: m.Digest.String(), MediaType: m.MediaType, Size: int64(len(m.Raw))}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelInspects)
	group.Go(func() error { i.beside(ctx, m.Descriptor(), tree); return nil })
	var mu sync.Mutex
	unsigned := make(map[string][]inspected) // by the digest that BuildKit names
	for n, child := range m.Manifests {
		if n == maxInspected {
			tree.Unseen = append(tree.Unseen, fmt.Sprintf("only the first %d of %d entries were looked at", maxInspected, len(m.Manifests)))
			break
		}
		if evidence.IsUnsigned(child) {
			group.Go(func() error {
				about, pieces := i.unsigned(ctx, child)
				mu.Lock()
				defer mu.Unlock()
				unsigned[about] = append(unsigned[about], pieces...)
				return nil
			})
			continue
		}
		below := &inspection{Platform: child.Platform.String(), Digest: child.Digest.String(), MediaType: child.MediaType, Size: child.Size}
		tree.Platforms = append(tree.Platforms, below)
		group.Go(func() error { i.beside(ctx, child, below); return nil })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for _, below := range tree.Platforms {
		below.Evidence = append(below.Evidence, unsigned[below.Digest]...)
		delete(unsigned, below.Digest)
	}
	for _, rest := range unsigned {
		tree.Evidence = append(tree.Evidence, rest...)
	}
	return tree, nil
}

// beside looks at every place beside one digest.
func (i *inspector) beside(ctx context.Context, d oci.Descriptor, into *inspection) {
	search := evidence.New(i.source, i.ref.At(d.Digest), d.Digest, evidence.Want{Everything: true})
	if i.layout != "" {
		search = search.InLayout(i.layout)
	}
	found := search.Referrers(ctx)
	found = found.Join(search.Tags(ctx))
	into.Evidence = make([]inspected, 0, len(found.Evidence))
	for _, e := range found.Evidence {
		into.Evidence = append(into.Evidence, claimed(e))
	}
	for _, r := range found.Rejected {
		piece := inspected{Kind: "refused", PredicateType: r.Origin.ClaimedType, Place: r.Origin.Place, Manifest: r.Origin.Manifest.String(), Note: r.Error()}
		switch r.Reason {
		case verify.ReasonForeignFormat:
			piece.Kind, piece.PredicateType = "foreign", ""
		case verify.ReasonUnsigned:
			piece.Kind = "unsigned"
		}
		into.Evidence = append(into.Evidence, piece)
	}
	for _, other := range found.Others {
		into.Evidence = append(into.Evidence, inspected{
			Kind: "other", Place: "referrer", Manifest: other.Digest.String(), Size: int(other.Size), Note: "an artifact of type " + other.ArtifactType,
		})
	}
	for _, err := range found.Missing {
		into.Unseen = append(into.Unseen, err.Error())
	}
}

// claimed describes a piece by what it says about itself.
func claimed(e verify.Evidence) inspected {
	claim := evidence.ReadClaim(e)
	piece := inspected{
		Kind: "attestation", PredicateType: claim.Type, Format: e.Format.String(), Place: e.Origin.Place,
		Manifest: e.Origin.Manifest.String(), Size: len(e.Raw), ClaimedSigner: claim.Signer, About: claim.Subjects,
	}
	switch {
	case claim.Fault != "":
		piece.Kind, piece.Note = "refused", claim.Fault
	case claim.Type == "" || claim.Type == verify.SignaturePredicateType:
		piece.Kind = "signature"
	}
	if annotated := e.Origin.ClaimedType; annotated != "" && claim.Type != "" && annotated != claim.Type {
		piece.Note = fmt.Sprintf("its annotation claims %q", annotated)
	}
	return piece
}

// unsigned lists the statements of a BuildKit attestation and the platform that
// it names.
func (i *inspector) unsigned(ctx context.Context, d oci.Descriptor) (about string, pieces []inspected) {
	about = d.Annotations["vnd.docker.reference.digest"]
	piece := inspected{Kind: "unsigned", Place: evidence.PlaceIndex, Manifest: d.Digest.String(), Note: "present, and nobody signed it"}
	m, err := i.source.Manifest(ctx, i.ref, d)
	if err != nil {
		piece.Note += "; it could not be read: " + err.Error()
		return about, []inspected{piece}
	}
	for n, layer := range m.Layers {
		if n == maxInspected {
			break
		}
		piece.PredicateType, piece.Size = layer.Annotations["in-toto.io/predicate-type"], int(layer.Size)
		pieces = append(pieces, piece)
	}
	if len(pieces) == 0 {
		pieces = append(pieces, piece)
	}
	return about, pieces
}
