package publish

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify/oci"
)

const (
	// mergeAttempts bounds the fight for a tag with other writers.
	mergeAttempts = 60
	// leastPause is how long an entry must stay, at least, where conditions may be ignored.
	// It grows with the time that a read and a write take here, since another
	// writer may have read the list that long ago and may write it still.
	leastPause = 300 * time.Millisecond
)

// change makes the next content of a tag out of the current one, nil where there is
// none. listed tells that there is nothing to do.
type change func(current *oci.Manifest) (raw []byte, mediaType string, listed bool, err error)

// merge changes what stands under a tag until the change is found done twice in a
// row. Two writers that know nothing of each other both get listed: for certain
// where the registry honours conditions; where it does not, unless the other one
// takes several times as long between its reading and its writing.
func (p *Publisher) merge(ctx context.Context, ref oci.Reference, tag string, apply change) error {
	defer p.lock(ref.Name() + ":" + tag)()
	var slowest time.Duration // from reading the tag to having written it
	seen, wrote, waited := 0, false, false
	for attempt := range mergeAttempts {
		asked := time.Now()
		current, etag, err := p.current(ctx, ref, tag)
		if err != nil {
			return notListed(wrote, err)
		}
		trip := time.Since(asked)
		raw, mediaType, listed, err := apply(current)
		switch {
		case err != nil:
			return notListed(wrote, err)
		case listed:
			// An entity tag does not say that conditions are honoured (distribution
			// sends one and ignores them), so the entry must stay for a while.
			if seen++; seen == 2 || !wrote {
				return nil
			}
			if err := pause(ctx, 2*max(leastPause, 4*trip, 4*slowest)); err != nil {
				return err
			}
			continue
		case wrote && !waited:
			// Overwritten by another writer: let the writers part first.
			waited = true
			if err := pause(ctx, max(trip, slowest, 10*time.Millisecond)); err != nil {
				return err
			}
			continue
		}
		seen, waited = 0, false
		if time.Since(asked) > 2*trip+5*time.Millisecond {
			// Making the new content took a while (uploads): has the old one changed?
			asked = time.Now()
			again, sameTag, err := p.current(ctx, ref, tag)
			if err != nil {
				return notListed(wrote, err)
			}
			if digestOf(again) != digestOf(current) {
				continue
			}
			etag = sameTag
		}
		answer, err := p.manifest(ctx, ref, tag, mediaType, raw, condition(current, etag))
		slowest = max(slowest, time.Since(asked))
		if err == nil {
			wrote = true
			continue
		}
		if answer == nil || answer.StatusCode != http.StatusPreconditionFailed {
			return notListed(wrote, err)
		}
		if err := pause(ctx, time.Duration(attempt+1)*5*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: tag %s changed under %d attempts", ErrNotListed, tag, mergeAttempts)
}

// condition lets a registry that knows conditions refuse a write over something
// newer (RFC 9110 section 13.1).
func condition(current *oci.Manifest, etag string) http.Header {
	header := http.Header{}
	switch {
	case current == nil:
		header.Set("If-None-Match", "*")
	case etag != "":
		header.Set("If-Match", etag)
	}
	return header
}

func digestOf(m *oci.Manifest) digest.Digest {
	if m == nil {
		return digest.Digest{}
	}
	return m.Digest
}

// current reads what stands under a tag with its entity tag; nil is nothing.
func (p *Publisher) current(ctx context.Context, ref oci.Reference, tag string) (*oci.Manifest, string, error) {
	m, etag, err := p.client.TagManifestETag(ctx, ref, tag)
	if errors.Is(err, oci.ErrNotFound) {
		return nil, "", nil
	}
	return m, etag, err
}

// pause waits a random time around d, so that writers part.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d/2 + rand.N(d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting to write again: %w", ctx.Err())
	}
}

func notListed(wrote bool, err error) error {
	if wrote {
		return fmt.Errorf("%w: %w", ErrNotListed, err)
	}
	return notStored(err)
}
