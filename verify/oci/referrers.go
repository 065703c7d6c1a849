package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/hallmark-project/hallmark/attest/digest"
)

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
	if h.support() != supportNone {
		list, err := c.referrersAPI(ctx, h, r, d)
		if err == nil {
			h.note(supportAPI)
			return Referrers{Place: PlaceAPI, Descriptors: list}, nil
		}
		if !errors.Is(err, ErrNotFound) {
			return Referrers{}, fmt.Errorf("listing the referrers of %s: %w", r.At(d), err)
		}
		if !errors.Is(err, errUnknownName) {
			h.note(supportNone)
		}
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

// support says whether a registry has the referrers API, as far as it is known.
type support uint8

const (
	supportUnknown support = iota
	supportAPI
	supportNone // every list is read from the tag; the API is not asked again
)

func (h *host) support() support {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.referrers
}

// note remembers what an answer showed. A registry that has answered once has
// the API for good.
func (h *host) note(s support) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.referrers != supportAPI {
		h.referrers = s
	}
}

// errUnknownName: the registry knows the API but not the repository.
var errUnknownName = errors.New("unknown name")

func (c *Client) referrersAPI(ctx context.Context, h *host, r Reference, d digest.Digest) ([]Descriptor, error) {
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	var all []Descriptor
	total := 0
	path := "referrers/" + d.String()
	current := &url.URL{Scheme: h.scheme, Host: h.registry.RegistryStr(), Path: "/v2/" + r.Repository + "/" + path}
	for page := 1; ; page++ {
		if page > maxPages {
			return nil, fmt.Errorf("%w: more than %d pages", ErrLimit, maxPages)
		}
		answer, err := c.Do(ctx, r, http.MethodGet, path, http.Header{"Accept": {TypeIndex}}, nil, 0)
		if err != nil {
			return nil, err
		}
		list, size, next, err := readReferrers(answer, page)
		if err != nil {
			return nil, err
		}
		if total += size; total > maxListTotal {
			return nil, fmt.Errorf("%w: more than %d bytes of referrers", ErrLimit, maxListTotal)
		}
		if all = append(all, list...); len(all) > maxDescriptors {
			return nil, fmt.Errorf("%w: more than %d referrers", ErrLimit, maxDescriptors)
		}
		if next == "" {
			return all, nil
		}
		if current, err = nextPage(current, next); err != nil {
			return nil, err
		}
		path = current.String()
	}
}

// readReferrers reads one page.
func readReferrers(answer *http.Response, page int) (list []Descriptor, size int, next string, err error) {
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		code := errorCode(answer)
		if answer.StatusCode == http.StatusNotFound && page > 1 {
			return nil, 0, "", fmt.Errorf("%w: page %d of the list is gone", ErrUnreachable, page)
		}
		if code == "NAME_UNKNOWN" || code == "MANIFEST_UNKNOWN" {
			return nil, 0, "", statusError(answer.StatusCode, errUnknownName)
		}
		return nil, 0, "", statusError(answer.StatusCode, nil)
	}
	raw, err := readAll(answer.Body, maxListBytes)
	if err != nil {
		return nil, 0, "", err
	}
	if sent := mediaTypeOf(answer); sent != TypeIndex && sent != "application/json" {
		return nil, 0, "", fmt.Errorf("%w: the list of referrers came as %q", ErrUnreachable, short(sent))
	}
	m, err := ParseManifest(raw, TypeIndex)
	if err != nil {
		return nil, 0, "", err
	}
	return m.Manifests, len(raw), linkNext(answer.Header), nil
}

// linkNext returns the target of a link with the relation "next" (RFC 8288), in
// any of the header's lines: a page that is missed is evidence that is missed.
func linkNext(header http.Header) string {
	for _, line := range header.Values("Link") {
		for line != "" {
			_, rest, found := strings.Cut(line, "<")
			if !found {
				break
			}
			target, parameters, found := strings.Cut(rest, ">")
			if !found {
				break
			}
			parameters, line, _ = strings.Cut(parameters, "<")
			if line != "" {
				line = "<" + line
			}
			if relatesNext(parameters) {
				return target
			}
		}
	}
	return ""
}

// relatesNext reads the parameters of one link: ; rel="prev next", ; rel=next.
func relatesNext(parameters string) bool {
	for parameter := range strings.SplitSeq(parameters, ";") {
		key, value, _ := strings.Cut(strings.Trim(parameter, " \t,"), "=")
		if !strings.EqualFold(strings.TrimSpace(key), "rel") {
			continue
		}
		for relation := range strings.FieldsSeq(strings.Trim(strings.TrimSpace(value), `"`)) {
			if strings.EqualFold(relation, "next") {
				return true
			}
		}
	}
	return false
}

// nextPage resolves a next link, which must stay on the registry's own scheme and
// host, whatever host the page came from.
func nextPage(current *url.URL, next string) (*url.URL, error) {
	target, err := current.Parse(next)
	if err != nil {
		return nil, fmt.Errorf("%w: the link to the next page: %w", ErrUnreachable, classify(err))
	}
	if target.Scheme != current.Scheme || target.Host != current.Host || target.User != nil {
		return nil, fmt.Errorf("%w: the next page is on %s", ErrRedirectRefused, short(target.Host))
	}
	if target.String() == current.String() {
		return nil, fmt.Errorf("%w: the next page is this page", ErrLimit)
	}
	return target, nil
}

// errorCode returns the first code of an error answer (distribution-spec,
// "Error Codes"), or "".
func errorCode(answer *http.Response) string {
	var body struct {
		Errors []struct {
			Code string `json:"code"`
		} `json:"errors"`
	}
	raw, err := io.ReadAll(io.LimitReader(answer.Body, maxShort))
	if err != nil || json.Unmarshal(raw, &body) != nil || len(body.Errors) == 0 {
		return ""
	}
	return body.Errors[0].Code
}
