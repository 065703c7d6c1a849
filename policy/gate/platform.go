package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/verify/evidence"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// Limits on what lies below an index.
const (
	maxPlatforms   = 64      // the largest official images have two dozen
	maxIndexDepth  = 3       // an index in an index is rare already
	maxConfigBytes = 1 << 20 // an image's configuration
)

// errNoPlatform: looked for, and not there.
var errNoPlatform = errors.New("no such platform")

// leaves lists the platform manifests below an index. What is no BuildKit
// attestation is a platform, whatever it calls itself.
func (j *judging) leaves(ctx context.Context, index *oci.Manifest, depth int) ([]oci.Descriptor, error) {
	if !index.IsIndex() {
		return nil, nil
	}
	if depth == maxIndexDepth {
		return nil, fmt.Errorf("listing the platforms: %w: indexes lie %d deep", oci.ErrLimit, depth)
	}
	var all []oci.Descriptor
	for _, d := range index.Manifests {
		if evidence.IsUnsigned(d) {
			continue
		}
		if d.MediaType == oci.TypeIndex || d.MediaType == oci.TypeDockerIndex {
			nested, err := j.target.Source.Manifest(ctx, j.target.Reference, d)
			if err != nil {
				return nil, fmt.Errorf("listing the platforms: %w", err)
			}
			below, err := j.leaves(ctx, nested, depth+1)
			if err != nil {
				return nil, err
			}
			if len(below) == 0 {
				return nil, fmt.Errorf("listing the platforms: %w: an index within the index is empty", oci.ErrMediaType)
			}
			all = append(all, below...)
		} else {
			all = append(all, d)
		}
		if len(all) > maxPlatforms {
			return nil, fmt.Errorf("listing the platforms: %w: more than %d", oci.ErrLimit, maxPlatforms)
		}
	}
	return all, nil
}

// choosePlatform makes the platform's manifest the subject. An image that is no
// index must be of that platform by its own configuration.
func (j *judging) choosePlatform(ctx context.Context, wanted string) error {
	if err := j.fetchManifest(ctx); err != nil {
		return err
	}
	if !j.manifest.IsIndex() {
		return j.checkPlatform(ctx, wanted)
	}
	leaves, err := j.leaves(ctx, j.manifest, 0)
	if err != nil {
		return err
	}
	chosen, err := pickPlatform(leaves, wanted)
	if err != nil {
		return err
	}
	j.index, j.manifest, j.subject = j.manifest, nil, chosen
	return nil
}

// pickPlatform finds the one manifest of a platform. A platform without a
// variant also finds one with a variant, if there is only one.
func pickPlatform(leaves []oci.Descriptor, wanted string) (oci.Descriptor, error) {
	var names []string
	var exact, near []oci.Descriptor
	for _, d := range leaves {
		name := d.Platform.String()
		if name == "" {
			continue
		}
		names = append(names, shortName(name))
		switch {
		case name == wanted:
			exact = append(exact, d)
		case strings.Count(wanted, "/") == 1 && strings.HasPrefix(name, wanted+"/"):
			near = append(near, d)
		}
	}
	found := exact
	if len(found) == 0 {
		found = near
	}
	if len(found) == 1 {
		return found[0], nil
	}
	slices.Sort(names)
	if len(found) > 1 {
		return oci.Descriptor{}, fmt.Errorf("choosing %s: %w: the index has %d of it: %s", wanted, errNoPlatform, len(found), strings.Join(names, ", "))
	}
	if len(names) == 0 {
		names = []string{"none"}
	}
	return oci.Descriptor{}, fmt.Errorf("choosing %s: %w; the index has %s", wanted, errNoPlatform, strings.Join(names, ", "))
}

// shortName is the beginning of a platform's name; an honest one fits.
func shortName(name string) string {
	if len(name) > 40 {
		return strings.ToValidUTF8(name[:40], "") + "…"
	}
	return name
}

// checkPlatform compares an image's own configuration with the wanted platform.
func (j *judging) checkPlatform(ctx context.Context, wanted string) error {
	raw, err := j.target.Source.Blob(ctx, j.target.Reference, j.manifest.Config, maxConfigBytes)
	if err != nil {
		return err
	}
	var own oci.Platform
	if err := json.Unmarshal(raw, &own); err != nil {
		return fmt.Errorf("reading the image's configuration: %w: %w", oci.ErrMediaType, err)
	}
	if name := own.String(); name != wanted && !(strings.Count(wanted, "/") == 1 && strings.HasPrefix(name, wanted+"/")) {
		return fmt.Errorf("choosing %s: %w; the image is for %s", wanted, errNoPlatform, shortName(name))
	}
	return nil
}

// noPlatform is the outcome when the platform could not be chosen: a denial if it is
// not there, and a failure if nobody could look.
func (j *judging) noPlatform(err error) outcome {
	if !errors.Is(err, errNoPlatform) {
		return outcome{failure: err}
	}
	return outcome{decision: policy.Decision{Verdict: policy.Deny, Rule: j.plan.Rule, Reason: policy.ReasonNoPlatform}, message: err.Error()}
}
