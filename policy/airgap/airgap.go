// Package airgap makes and reads sealed files: images with all their evidence, the
// policy with its trust roots, and the date until which they can be judged, for
// places without a network.
//
//	index, err := airgap.Save(ctx, out, items, airgap.Options{Policy: p, Created: now})
//
//	file, err := airgap.Open(ctx, "images.tar")
//	image, err := file.Find("registry.example/app:1.2")   // or one of file.Index.Images
//	answers := g.JudgeTargets(ctx, []gate.Target{file.Target(image)})
//
// A sealed file is an OCI image layout in a tar (image-spec, image-layout.md), so
// every tool for layouts reads it. The policy and the [Index] are an artifact in
// it, under the tag [Tag]. Sealed means complete and checked, not signed: the
// policy inside is as trustworthy as the file. Who gets the file from
// somebody else gives a policy of their own, or knows the digest of the policy.
//
// Non-goals: judging (package gate), pushing (package sign/publish).
package airgap

import (
	"errors"
	"fmt"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/strictjson"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/trust"
)

// Names of the form.
const (
	Schema = "hallmark.dev/airgap/v1"
	// Tag is the tag of the artifact that holds index and policy.
	Tag          = "hallmark-airgap"
	artifactType = "application/vnd.hallmark.airgap.v1+json"
	typeIndex    = "application/vnd.hallmark.airgap.index.v1+json"
	typePolicy   = "application/vnd.hallmark.policy.v1+yaml"
)

// Limits of a sealed file.
const (
	maxIndexBytes = 4 << 20 // a thousand images take some hundred kilobytes
	maxImages     = 1_000   // a cluster's worth; more go into a second file
)

// Errors of this package.
var (
	// ErrNotSealed: the file is no sealed file, or a damaged one.
	ErrNotSealed = errors.New("not a sealed file")
	// ErrExpired: the date until which the file can be judged has passed; make it anew.
	ErrExpired = errors.New("sealed file is out of date")
	// ErrNoImage: the file does not hold the image that was named.
	ErrNoImage = errors.New("image is not in the sealed file")
)

// Contents say how much of the images a file holds.
type Contents string

// The contents of a file.
const (
	Whole        Contents = "images"
	EvidenceOnly Contents = "evidence" // manifests and evidence, and no layers
)

// Index says what a sealed file holds.
type Index struct {
	Schema   string    `json:"schema"`
	Created  time.Time `json:"created"`
	Hallmark string    `json:"hallmark"` // the version that made it
	Contents Contents  `json:"contents"`
	Images   []Image   `json:"images"`
	Policy   Policy    `json:"policy"`
	// JudgeUntil is when the first of the policy's trust anchors ends; zero is
	// never. Because names it.
	JudgeUntil time.Time `json:"judgeUntil,omitzero"`
	Because    string    `json:"because,omitempty"`
}

// Image is one image of a file, and what was decided about it when it was saved.
type Image struct {
	// Name is "host/repository".
	Name string `json:"name"`
	// Tag is the tag that named the digest then; it may be empty.
	Tag     string         `json:"tag,omitempty"`
	Digest  digest.Digest  `json:"digest"`
	Verdict policy.Verdict `json:"verdict"`
	Reason  verify.Reason  `json:"reason,omitempty"`
	Rule    string         `json:"rule,omitempty"`
}

// String returns the reference of the image.
func (i Image) String() string {
	text := i.Name
	if i.Tag != "" {
		text += ":" + i.Tag
	}
	return text + "@" + i.Digest.String()
}

// Policy names the policy of a file.
type Policy struct {
	Name   string        `json:"name"`
	Digest digest.Digest `json:"digest"` // as [policy.Policy.Digest]
}

// Expired returns [ErrExpired] with the reason if the file cannot be judged at a
// time by the policy that it holds.
func (i Index) Expired(at time.Time) error {
	if i.JudgeUntil.IsZero() || !at.After(i.JudgeUntil) {
		return nil
	}
	return fmt.Errorf("%w: it could be judged until %s (%s)", ErrExpired, i.JudgeUntil.UTC().Format(time.RFC3339), i.Because)
}

// parseIndex reads an index strictly.
func parseIndex(raw []byte) (Index, error) {
	var index Index
	if err := strictjson.Decode(raw, &index); err != nil {
		return Index{}, fmt.Errorf("%w: its index: %w", ErrNotSealed, err)
	}
	switch {
	case index.Schema != Schema:
		return Index{}, fmt.Errorf("%w: its index is of the form %.60q; this version reads %s", ErrNotSealed, index.Schema, Schema)
	case index.Contents != Whole && index.Contents != EvidenceOnly:
		return Index{}, fmt.Errorf("%w: its contents are %.60q", ErrNotSealed, string(index.Contents))
	case index.Created.IsZero():
		return Index{}, fmt.Errorf("%w: its index has no time", ErrNotSealed)
	case len(index.Images) == 0:
		return Index{}, fmt.Errorf("%w: it holds no image", ErrNotSealed)
	case len(index.Images) > maxImages:
		return Index{}, fmt.Errorf("%w: %w: %d images", ErrNotSealed, oci.ErrLimit, len(index.Images))
	}
	seen := make(map[string]bool)
	for _, image := range index.Images {
		ref, err := oci.ParseReference(image.String())
		if err != nil || ref.Name() != image.Name || ref.Tag != image.Tag || image.Digest.IsZero() {
			return Index{}, fmt.Errorf("%w: %q is no image", ErrNotSealed, image.String())
		}
		if image.Tag != "" && seen[image.Name+":"+image.Tag] || seen[image.String()] {
			return Index{}, fmt.Errorf("%w: %w: %s stands in it twice", ErrNotSealed, oci.ErrAmbiguous, image.Name)
		}
		seen[image.Name+":"+image.Tag], seen[image.String()] = true, true
	}
	return index, nil
}

// limit says until when a policy's trust anchors can judge, seen from a time: the
// first end of those that are in force then and that the rules of the names use.
// ends knows of further ends of a root, or is nil.
func limit(p *policy.Policy, names []string, at time.Time, ends func(*trust.Root) (time.Time, string)) (until time.Time, because string) {
	first := func(end time.Time, why string) {
		if !end.IsZero() && (until.IsZero() || end.Before(until)) {
			until, because = end, why
		}
	}
	for _, name := range names {
		plan, err := p.Plan(name)
		if err != nil {
			continue // no rule governs it: nothing is checked
		}
		for _, anchor := range plan.Roots {
			why := "an anchor of the trust root " + anchor.Name + " ends then"
			if anchor.Name == "" {
				why = "a key of the rule " + plan.Rule + " ends then"
			}
			first(anchor.Root.Expires(at), why)
			if ends != nil {
				first(ends(anchor.Root))
			}
		}
	}
	return until, because
}
