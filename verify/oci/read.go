package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
)

// Limits on lists.
const (
	maxPages     = 100      // of referrers; the usual registry has one
	maxListBytes = 4 << 20  // of one page; distribution-spec: a list is an index
	maxListTotal = 16 << 20 // of all pages; ten thousand referrers with usual annotations have 10 MB
	slowestRate  = 64 << 10 // bytes a second of a blob; a slower registry is as good as down
)

// accepted are the manifest types that are asked for, in one line: some registries
// read no second one.
var accepted = []string{strings.Join([]string{TypeIndex, TypeImage, TypeDockerIndex, TypeDockerImage}, ", ")}

// Resolve returns the descriptor of what the reference names now. A tag costs
// one HEAD, whose answer alone decides which digest everything later is about; a
// digest costs nothing and comes back with size -1 and no media type.
func (c *Client) Resolve(ctx context.Context, r Reference) (Descriptor, error) {
	if !r.Digest.IsZero() {
		return Descriptor{Digest: r.Digest, Size: -1}, nil
	}
	if r.Tag == "" {
		return Descriptor{}, fmt.Errorf("resolving %s: %w: it has neither tag nor digest", r, ErrReference)
	}
	d, err := c.headManifest(ctx, r, r.Tag)
	if err != nil {
		return Descriptor{}, fmt.Errorf("resolving %s: %w", r, err)
	}
	return d, nil
}

// Exists asks whether the manifest of a digest is there, and returns its type.
func (c *Client) Exists(ctx context.Context, r Reference, d digest.Digest) (Descriptor, error) {
	if d.IsZero() {
		return Descriptor{}, fmt.Errorf("looking for a manifest: %w: it has no digest", ErrReference)
	}
	found, err := c.headManifest(ctx, r, d.String())
	if err != nil {
		return Descriptor{}, fmt.Errorf("looking for %s: %w", r.At(d), err)
	}
	found.Digest = d
	return found, nil
}

func (c *Client) headManifest(ctx context.Context, r Reference, name string) (Descriptor, error) {
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	answer, err := c.Do(ctx, r, http.MethodHead, "manifests/"+name, http.Header{"Accept": accepted}, nil, 0)
	if err != nil {
		return Descriptor{}, err
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusOK {
		if d, err := digest.Parse(answer.Header.Get("Docker-Content-Digest")); err == nil {
			return Descriptor{MediaType: mediaTypeOf(answer), Digest: d, Size: answer.ContentLength}, nil
		}
	} else if answer.StatusCode != http.StatusMethodNotAllowed {
		return Descriptor{}, statusError(answer.StatusCode, nil)
	}
	// No digest in the header: it is computed from the bytes.
	m, err := c.getManifest(ctx, r, name, Descriptor{Size: -1})
	if err != nil {
		return Descriptor{}, err
	}
	return m.Descriptor(), nil
}

// Manifest fetches the manifest that a descriptor names. Its bytes match the
// digest, and the size and media type where the descriptor has them.
func (c *Client) Manifest(ctx context.Context, r Reference, d Descriptor) (*Manifest, error) {
	if d.Digest.IsZero() {
		return nil, fmt.Errorf("fetching a manifest: %w: it has no digest", ErrReference)
	}
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	m, err := c.getManifest(ctx, r, d.Digest.String(), d)
	if err != nil {
		return nil, fmt.Errorf("fetching manifest %s: %w", r.At(d.Digest), err)
	}
	return m, nil
}

// TagManifest fetches the manifest under a tag of the reference's repository:
// a signature tag or a referrers tag. [ErrNotFound] says that there is none.
func (c *Client) TagManifest(ctx context.Context, r Reference, tag string) (*Manifest, error) {
	m, _, err := c.TagManifestETag(ctx, r, tag)
	return m, err
}

// TagManifestETag is [Client.TagManifest] with the answer's entity tag, for a
// conditional write; empty where the registry gives none.
func (c *Client) TagManifestETag(ctx context.Context, r Reference, tag string) (*Manifest, string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	if !tagText.MatchString(tag) {
		return nil, "", fmt.Errorf("fetching tag %q: %w: it is no tag", short(tag), ErrReference)
	}
	m, etag, err := c.fetchManifest(ctx, r, tag, Descriptor{Size: -1})
	if err != nil {
		return nil, "", fmt.Errorf("fetching %s: %w", r.Tagged(tag), err)
	}
	return m, etag, nil
}

func (c *Client) getManifest(ctx context.Context, r Reference, name string, want Descriptor) (*Manifest, error) {
	m, _, err := c.fetchManifest(ctx, r, name, want)
	return m, err
}

func (c *Client) fetchManifest(ctx context.Context, r Reference, name string, want Descriptor) (*Manifest, string, error) {
	limit := int64(MaxManifestBytes)
	if want.Size > limit {
		return nil, "", fmt.Errorf("%w: the descriptor says %d bytes, a manifest has at most %d", ErrLimit, want.Size, limit)
	}
	if want.Size >= 0 {
		limit = want.Size
	}
	answer, err := c.Do(ctx, r, http.MethodGet, "manifests/"+name, http.Header{"Accept": accepted}, nil, 0)
	if err != nil {
		return nil, "", err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		drain(answer)
		return nil, "", statusError(answer.StatusCode, nil)
	}
	raw, err := readAll(answer.Body, limit)
	if err != nil {
		if errors.Is(err, ErrLimit) && limit < MaxManifestBytes {
			return nil, "", fmt.Errorf("%w: more than the descriptor's %d bytes", ErrSizeMismatch, want.Size)
		}
		return nil, "", err
	}
	sent := mediaTypeOf(answer)
	if strings.HasPrefix(sent, "text/html") {
		return nil, "", fmt.Errorf("%w: it sent a web page", ErrUnreachable)
	}
	if !want.Digest.IsZero() {
		if err := checkContent(want, raw); err != nil {
			return nil, "", err
		}
	}
	m, err := ParseManifest(raw, sent)
	if err != nil {
		return nil, "", err
	}
	if want.MediaType != "" && want.MediaType != m.MediaType {
		return nil, "", fmt.Errorf("%w: the descriptor says %q, the manifest %q", ErrMediaType, short(want.MediaType), m.MediaType)
	}
	if !want.Digest.IsZero() {
		m.Digest = want.Digest
	}
	return m, answer.Header.Get("ETag"), nil
}

// Blob fetches a blob of at most limit bytes, from the descriptor's embedded
// data where there is some. Its bytes match the descriptor.
func (c *Client) Blob(ctx context.Context, r Reference, d Descriptor, limit int64) ([]byte, error) {
	if d.Data != nil {
		return embedded(d, limit)
	}
	body, err := c.OpenBlob(ctx, r, d, limit)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	raw, err := io.ReadAll(body)
	if err != nil {
		return nil, fmt.Errorf("fetching blob %s: %w", r.At(d.Digest), err)
	}
	return raw, nil
}

// embedded returns a descriptor's own data, checked like any other bytes.
func embedded(d Descriptor, limit int64) ([]byte, error) {
	if int64(len(d.Data)) > limit {
		return nil, fmt.Errorf("reading embedded %s of %d bytes: %w (%d)", d.Digest.Short(), len(d.Data), ErrLimit, limit)
	}
	if err := checkContent(d, d.Data); err != nil {
		return nil, fmt.Errorf("reading embedded %s: %w", d.Digest.Short(), err)
	}
	return d.Data, nil
}

// OpenBlob streams a blob of at most limit bytes. The reader's last read returns
// an error instead of io.EOF if the bytes do not match the descriptor, so what
// was read counts only once io.EOF has come. The caller closes it. A
// descriptor's foreign URLs are never followed.
func (c *Client) OpenBlob(ctx context.Context, r Reference, d Descriptor, limit int64) (io.ReadCloser, error) {
	if d.Digest.IsZero() {
		return nil, fmt.Errorf("fetching a blob: %w: it has no digest", ErrReference)
	}
	if d.Size > limit {
		return nil, fmt.Errorf("fetching blob %s of %d bytes: %w (%d)", r.At(d.Digest), d.Size, ErrLimit, limit)
	}
	ctx, cancel := context.WithTimeout(ctx, blobDeadline(c.options.Timeout, d, limit))
	answer, err := c.Do(ctx, r, http.MethodGet, "blobs/"+d.Digest.String(), nil, nil, 0)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("fetching blob %s: %w", r.At(d.Digest), err)
	}
	if answer.StatusCode != http.StatusOK {
		drain(answer)
		cancel()
		return nil, fmt.Errorf("fetching blob %s: %w", r.At(d.Digest), statusError(answer.StatusCode, nil))
	}
	return newVerified(answer.Body, d, limit, cancel), nil
}

// blobDeadline allows a blob the time of a request and what its bytes take at
// [slowestRate], so that a small one cannot be dribbled for long.
func blobDeadline(timeout time.Duration, d Descriptor, limit int64) time.Duration {
	size := limit
	if d.Size >= 0 {
		size = d.Size
	}
	return min(timeout+time.Duration(size/slowestRate)*time.Second, max(timeout, blobTimeout))
}

// mediaTypeOf returns an answer's media type without parameters.
func mediaTypeOf(answer *http.Response) string {
	text, _, _ := strings.Cut(answer.Header.Get("Content-Type"), ";")
	return strings.TrimSpace(text)
}

// readAll reads at most limit bytes; one more is [ErrLimit].
func readAll(body io.Reader, limit int64) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err != nil {
		return nil, classify(err)
	}
	if int64(len(raw)) > limit {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrLimit, limit)
	}
	return raw, nil
}
