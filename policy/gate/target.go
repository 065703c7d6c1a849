package gate

import (
	"context"
	"fmt"
	"strings"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/verify/evidence"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// Source is where images and their evidence are: an [oci.Client], or an
// [oci.Layout] from a folder or an archive.
type Source interface {
	evidence.Source
	Resolve(ctx context.Context, r oci.Reference) (oci.Descriptor, error)
}

// LayoutName is the name that images of a layout have for a policy's rules, when
// the caller gives none: it is in no registry, so only the pattern `**` governs it.
const LayoutName = "layout.invalid/image"

// Target is one thing to judge.
type Target struct {
	// Text is what the user wrote, for the report.
	Text string
	// Name is the canonical image name that the policy's rules are matched with.
	Name      string
	Reference oci.Reference
	Source    Source
	// Layout is where the layout lies, for the report; "" for a registry.
	Layout string
	// Err says why there is nothing to judge; the rest may then be empty.
	Err error
}

// Target reads a reference to an image in the gate's own source.
func (g *Gate) Target(text string) Target {
	ref, err := oci.ParseReference(text)
	if err != nil {
		return Target{Text: text, Err: fmt.Errorf("reading the reference: %w", err)}
	}
	return Target{Text: text, Name: ref.Name(), Reference: ref, Source: g.source}
}

// LayoutTarget returns the target of an image in a layout: the one under a tag or
// digest, or the only one when both are empty. text, such as "oci-dir:PATH:TAG",
// is for the report. name is the image's name for the
// policy, by the word of the caller and never by that of the layout; "" is
// [LayoutName].
func LayoutTarget(text string, layout Source, name, tagOrDigest string) Target {
	t := Target{Text: text, Source: layout, Layout: strings.TrimRight(strings.TrimSuffix(text, tagOrDigest), ":@")}
	if name == "" {
		name = LayoutName
	}
	canonical, err := policy.CanonicalName(name)
	if err != nil {
		t.Err = fmt.Errorf("reading the name for the policy: %w: %w", oci.ErrReference, err)
		return t
	}
	full := canonical
	switch {
	case strings.Contains(tagOrDigest, ":"):
		full += "@" + tagOrDigest
	case tagOrDigest != "":
		full += ":" + tagOrDigest
	}
	if t.Reference, err = oci.ParseReference(full); err != nil {
		t.Err = fmt.Errorf("reading the reference: %w", err)
		return t
	}
	if tagOrDigest == "" {
		t.Reference.Tag = "" // the layout's only image
	}
	t.Name = canonical
	return t
}

var _, _ Source = (*oci.Client)(nil), (*oci.Layout)(nil)
