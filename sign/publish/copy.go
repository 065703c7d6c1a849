package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// ErrChanged: the registry has something else at the destination than was
// written. Do not use it; another writer or the registry itself is at work.
var ErrChanged = errors.New("destination holds something else")

// parallelCopies is how many blobs or manifests are copied at a time.
const parallelCopies = 6

// SBOMTag is cosign's tag for an SBOM of a digest (cosign specs/SBOM_SPEC.md).
func SBOMTag(d digest.Digest) string { return oci.FallbackTag(d) + ".sbom" }

// EvidenceSuffixes are the endings of cosign's tags, for [oci.CollectOptions].
func EvidenceSuffixes() []string { return []string{".sig", ".att", ".sbom"} }

// CopySource is where an image is copied from: an [oci.Client] or an [oci.Layout].
type CopySource interface {
	oci.Source
	Blob(ctx context.Context, r oci.Reference, d oci.Descriptor, limit int64) ([]byte, error)
	OpenBlob(ctx context.Context, r oci.Reference, d oci.Descriptor, limit int64) (io.ReadCloser, error)
}

// CopyOptions are the choices of a copy; the zero value copies everything in silence.
type CopyOptions struct {
	// MountFrom is the repository in the destination's registry that holds the
	// blobs already, so that they need not be sent; zero is none.
	MountFrom oci.Reference
	// Progress is called with what was done and what is to be done, in bytes of
	// blobs. It may be called from several goroutines; nil is silence.
	Progress func(done, all int64)
}

// CopyResult counts what a copy did. What was there already is in neither of the
// written counts.
type CopyResult struct {
	Digest          digest.Digest // of the image, on both sides
	Manifests       int           // of the image
	Evidence        int           // manifests that hang on it
	Written         int           // manifests and tags that were written
	BlobsSent       int           // streamed through this machine
	BlobsMounted    int           // taken over inside the registry
	BytesSent       int64
	ForeignLeftOut  int      // layers that the source may not distribute and does not have
	EvidenceSkipped []string // listed at the source and not there; see [oci.Collection]
}

// Copy writes a collection from source to the repository of to, and last of all the
// tag of to, if it has one. Digests do not change. What is there already is not
// written again, so a copy that was cut short is finished by a second one. The
// order is: blobs of the image, its manifests, then what hangs on it; so the tag
// never names an image that is not whole with its evidence. Evidence that others
// hung on the image at the destination stays.
func (p *Publisher) Copy(ctx context.Context, source CopySource, from oci.Reference, whole *oci.Collection, to oci.Reference, o CopyOptions) (CopyResult, error) {
	if !to.Digest.IsZero() && to.Digest != whole.Top.Digest {
		return CopyResult{}, fmt.Errorf("copying to %s: %w: the image is %s", to, oci.ErrDigestMismatch, whole.Top.Digest)
	}
	c := &copying{publisher: p, source: source, from: from, to: to, options: o}
	c.result = CopyResult{Digest: whole.Top.Digest, Manifests: len(whole.Image), Evidence: len(whole.Attached), EvidenceSkipped: whole.Skipped}
	if err := c.content(ctx, whole.Image); err != nil {
		return CopyResult{}, fmt.Errorf("copying to %s: %w", to, err)
	}
	if err := c.attached(ctx, whole.Attached); err != nil {
		return CopyResult{}, fmt.Errorf("copying the evidence to %s: %w", to.At(whole.Top.Digest), err)
	}
	if err := c.tag(ctx, whole); err != nil {
		return CopyResult{}, fmt.Errorf("copying to %s: %w", to, err)
	}
	return c.result, nil
}

// copying is one run of [Publisher.Copy].
type copying struct {
	publisher *Publisher
	source    CopySource
	from, to  oci.Reference
	options   CopyOptions

	done, all atomic.Int64

	mu     sync.Mutex
	result CopyResult
}

// note changes the result.
func (c *copying) note(change func(*CopyResult)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.result)
}

func (c *copying) progress() {
	if c.options.Progress != nil {
		c.options.Progress(c.done.Load(), c.all.Load())
	}
}

// content copies manifests, which come each behind those that they list, and
// first their blobs.
func (c *copying) content(ctx context.Context, manifests []*oci.Manifest) error {
	wanted, err := c.layers(ctx, manifests)
	if err != nil {
		return err
	}
	return c.manifests(ctx, wanted)
}

// layers copies the blobs of those manifests that the destination does not have,
// and returns these.
func (c *copying) layers(ctx context.Context, manifests []*oci.Manifest) ([]*oci.Manifest, error) {
	absent := make([]bool, len(manifests))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(parallelCopies)
	for i, m := range manifests {
		group.Go(func() (err error) {
			absent[i], err = c.absent(groupCtx, m)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var wanted []*oci.Manifest
	var blobs []oci.Descriptor
	seen := make(map[digest.Digest]bool)
	for i, m := range manifests {
		if !absent[i] {
			continue
		}
		wanted = append(wanted, m)
		for _, d := range append([]oci.Descriptor{m.Config}, m.Layers...) {
			if !d.Digest.IsZero() && !seen[d.Digest] {
				seen[d.Digest] = true
				blobs = append(blobs, d)
				c.all.Add(max(d.Size, 0))
			}
		}
	}
	return wanted, c.blobs(ctx, blobs)
}

// absent asks whether the destination lacks a manifest.
func (c *copying) absent(ctx context.Context, m *oci.Manifest) (bool, error) {
	_, err := c.publisher.client.Exists(ctx, c.to, m.Digest)
	if errors.Is(err, oci.ErrNotFound) {
		return true, nil
	}
	return false, err
}

// manifests writes manifests by digest: images side by side, then indexes in turn.
func (c *copying) manifests(ctx context.Context, manifests []*oci.Manifest) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(parallelCopies)
	for _, m := range manifests {
		if !m.IsIndex() {
			group.Go(func() error { _, err := c.put(groupCtx, m); return err })
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, m := range manifests {
		if m.IsIndex() {
			if _, err := c.put(ctx, m); err != nil {
				return err
			}
		}
	}
	return nil
}

// put writes one manifest under its digest.
func (c *copying) put(ctx context.Context, m *oci.Manifest) (*http.Response, error) {
	answer, err := c.publisher.manifest(ctx, c.to, m.Digest.String(), m.MediaType, m.Raw, nil)
	if err != nil {
		return nil, err
	}
	if err := sameDigest(answer, m.Digest); err != nil {
		return nil, err
	}
	c.note(func(r *CopyResult) { r.Written++ })
	return answer, nil
}

// sameDigest compares the digest that a registry says it has stored, where it says
// one (distribution-spec, "Pushing Manifests").
func sameDigest(answer *http.Response, want digest.Digest) error {
	said := answer.Header.Get("Docker-Content-Digest")
	if said == "" || said == want.String() {
		return nil
	}
	return fmt.Errorf("%w: wrote %s, and the registry says %.80q", ErrChanged, want, said)
}

// tag writes the tag, unless it stands as it should, and looks at it again.
func (c *copying) tag(ctx context.Context, whole *oci.Collection) error {
	top := whole.Image[len(whole.Image)-1]
	if c.to.Tag == "" {
		_, err := c.publisher.client.Exists(ctx, c.to, top.Digest)
		return err
	}
	tagged := c.to.Tagged(c.to.Tag)
	if now, err := c.publisher.client.Resolve(ctx, tagged); err == nil && now.Digest == top.Digest {
		return nil
	} else if err != nil && !errors.Is(err, oci.ErrNotFound) {
		return err
	}
	answer, err := c.publisher.manifest(ctx, c.to, c.to.Tag, top.MediaType, top.Raw, nil)
	if err == nil {
		err = sameDigest(answer, top.Digest)
	}
	if err != nil {
		return err
	}
	c.note(func(r *CopyResult) { r.Written++ })
	now, err := c.publisher.client.Resolve(ctx, tagged)
	if err != nil {
		return err
	}
	if now.Digest != top.Digest {
		return fmt.Errorf("%w: the tag %s names %s, not %s", ErrChanged, c.to.Tag, now.Digest, top.Digest)
	}
	return nil
}
