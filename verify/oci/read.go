package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/hallmark-project/hallmark/attest/digest"
)

// Limits on lists.
const (
	maxPages     = 100     // of referrers; the usual registry has one
	maxListBytes = 8 << 20 // of one page
)

// accepted are the manifest types that are asked for.
var accepted = []string{TypeIndex, TypeImage, TypeDockerIndex, TypeDockerImage}

// Resolve returns the descriptor of what the reference names now. A tag costs
// one HEAD, whose answer alone decides which digest everything later is about; a
// digest costs nothing and comes back with size -1 and no media type.
func (c *Client) Resolve(ctx context.Context, r Reference) (Descriptor, error) {
	if !r.Digest.IsZero() {
		return Descriptor{Digest: r.Digest, Size: -1}, nil
	}
	d, err := c.headManifest(ctx, r, r.Tag)
	if err != nil {
		return Descriptor{}, fmt.Errorf("resolving %s: %w", r, err)
	}
	return d, nil
}

// Exists asks whether the manifest of a digest is there, and returns its type.
func (c *Client) Exists(ctx context.Context, r Reference, d digest.Digest) (Descriptor, error) {
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
	answer, err := c.Do(ctx, r, http.MethodGet, "manifests/"+name, http.Header{"Accept": accepted}, nil, 0)
	if err != nil {
		return nil, "", err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		drain(answer)
		return nil, "", statusError(answer.StatusCode, nil)
	}
	limit := int64(MaxManifestBytes)
	if want.Size >= 0 && want.Size < limit {
		limit = want.Size
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
		return nil, "", fmt.Errorf("%w: the descriptor says %q, the manifest %q", ErrMediaType, want.MediaType, m.MediaType)
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
		if err := checkContent(d, d.Data); err != nil {
			return nil, fmt.Errorf("reading embedded %s: %w", d.Digest.Short(), err)
		}
		return d.Data, nil
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
	ctx, cancel := context.WithTimeout(ctx, blobTimeout)
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

// Place says where a list of referrers came from.
type Place string

// The places of referrers.
const (
	PlaceAPI Place = "referrers-api"
	PlaceTag Place = "referrers-tag"
)

// Referrers are the manifests that name a digest as their subject, by the
// registry's word: the subject of each must be checked when it is fetched.
type Referrers struct {
	Place       Place
	Descriptors []Descriptor
}

// Referrers lists the manifests whose subject is d (distribution-spec, "Listing
// Referrers"): through the API, or, where the registry answers 404 there, from
// the referrers tag. No list at all is an empty list. Any other answer is an
// error and never an empty list.
func (c *Client) Referrers(ctx context.Context, r Reference, d digest.Digest) (Referrers, error) {
	h, _, err := c.session(ctx, r)
	if err != nil {
		return Referrers{}, fmt.Errorf("listing the referrers of %s: %w", r.At(d), err)
	}
	h.mu.Lock()
	known := h.noReferrers
	h.mu.Unlock()
	if !known {
		list, err := c.referrersAPI(ctx, r, d)
		if err == nil {
			return Referrers{Place: PlaceAPI, Descriptors: list}, nil
		}
		if !errors.Is(err, ErrNotFound) {
			return Referrers{}, fmt.Errorf("listing the referrers of %s: %w", r.At(d), err)
		}
		h.mu.Lock()
		h.noReferrers = true
		h.mu.Unlock()
	}
	list, err := c.ReferrersTag(ctx, r, d)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Referrers{}, fmt.Errorf("listing the referrers of %s: %w", r.At(d), err)
	}
	return Referrers{Place: PlaceTag, Descriptors: list}, nil
}

// ReferrersTag reads the referrers tag of d (distribution-spec, "Referrers Tag
// Schema"). [ErrNotFound] says that there is none.
func (c *Client) ReferrersTag(ctx context.Context, r Reference, d digest.Digest) ([]Descriptor, error) {
	m, err := c.TagManifest(ctx, r, FallbackTag(d))
	if err != nil {
		return nil, err
	}
	if !m.IsIndex() {
		return nil, fmt.Errorf("reading the referrers tag of %s: %w: it is no index", r.At(d), ErrMediaType)
	}
	return m.Manifests, nil
}

// FallbackTag returns the referrers tag of a digest: "sha256-" and its value.
func FallbackTag(d digest.Digest) string { return d.Algorithm() + "-" + d.Hex() }

func (c *Client) referrersAPI(ctx context.Context, r Reference, d digest.Digest) ([]Descriptor, error) {
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	var all []Descriptor
	path := "referrers/" + d.String()
	for page := 1; ; page++ {
		if page > maxPages {
			return nil, fmt.Errorf("%w: more than %d pages", ErrLimit, maxPages)
		}
		answer, err := c.Do(ctx, r, http.MethodGet, path, http.Header{"Accept": {TypeIndex}}, nil, 0)
		if err != nil {
			return nil, err
		}
		list, next, err := readReferrers(answer, page)
		if err != nil {
			return nil, err
		}
		if all = append(all, list...); len(all) > maxDescriptors {
			return nil, fmt.Errorf("%w: more than %d referrers", ErrLimit, maxDescriptors)
		}
		if next == "" {
			return all, nil
		}
		if path, err = nextPage(answer.Request.URL, next); err != nil {
			return nil, err
		}
	}
}

// readReferrers reads one page.
func readReferrers(answer *http.Response, page int) (list []Descriptor, next string, err error) {
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		drain(answer)
		if answer.StatusCode == http.StatusNotFound && page > 1 {
			return nil, "", fmt.Errorf("%w: page %d of the list is gone", ErrUnreachable, page)
		}
		return nil, "", statusError(answer.StatusCode, nil)
	}
	raw, err := readAll(answer.Body, maxListBytes)
	if err != nil {
		return nil, "", err
	}
	if sent := mediaTypeOf(answer); sent != TypeIndex && sent != "application/json" {
		return nil, "", fmt.Errorf("%w: the list of referrers came as %q", ErrUnreachable, sent)
	}
	m, err := ParseManifest(raw, TypeIndex)
	if err != nil {
		return nil, "", err
	}
	return m.Manifests, linkNext(answer.Header), nil
}

// linkNext returns the target of a Link header with rel="next" (RFC 8288).
func linkNext(header http.Header) string {
	for _, link := range header.Values("Link") {
		target, parameters, found := strings.Cut(link, ">")
		if found && strings.HasPrefix(target, "<") && strings.Contains(parameters, `rel="next"`) {
			return target[1:]
		}
	}
	return ""
}

// nextPage resolves a next link, which must stay on the same scheme and host.
func nextPage(current *url.URL, next string) (string, error) {
	target, err := current.Parse(next)
	if err != nil {
		return "", fmt.Errorf("%w: next page %q: %w", ErrUnreachable, next, err)
	}
	if target.Scheme != current.Scheme || target.Host != current.Host {
		return "", fmt.Errorf("%w: the next page is on %s", ErrRedirectRefused, target.Host)
	}
	if target.String() == current.String() {
		return "", fmt.Errorf("%w: the next page is this page", ErrLimit)
	}
	return target.String(), nil
}
