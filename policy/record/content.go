package record

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// maxPackages bounds the packages that were found in all images of a record; a large
// image has some thousand.
const maxPackages = 500_000

// Content is what was found in the layers of one image. The layers themselves are not
// kept: that these are the packages is by the word of the file.
type Content struct {
	Digest   digest.Digest `json:"digest"`
	Packages []Package     `json:"packages,omitempty"`
	Failure  *Failure      `json:"failure,omitempty"`
}

// Package is a package that was found.
type Package struct {
	PURL     string   `json:"purl,omitempty"`
	Name     string   `json:"name,omitempty"`
	Version  string   `json:"version,omitempty"`
	Type     string   `json:"type,omitempty"`
	Licenses []string `json:"licenses,omitempty"`
	Root     bool     `json:"root,omitempty"`
}

// Content returns a function that looks into images as find does, once for each digest,
// and writes down what was found. nil stays nil.
func (r *Recorder) Content(find gate.ContentFunc) gate.ContentFunc {
	if find == nil {
		return nil
	}
	type found struct {
		packages []predicate.Package
		err      error
	}
	asked := make(map[digest.Digest]func() found)
	return func(ctx context.Context, t gate.Target, subject verify.Subject) ([]predicate.Package, error) {
		r.mu.Lock()
		once := asked[subject.Digest]
		if once == nil {
			once = sync.OnceValue(func() found {
				packages, err := find(ctx, t, subject)
				c := Content{Digest: subject.Digest}
				if err != nil {
					c.Failure = failure(err)
				}
				for _, p := range packages {
					c.Packages = append(c.Packages, Package(p))
				}
				r.mu.Lock()
				defer r.mu.Unlock()
				r.contents = append(r.contents, c)
				return found{packages, err}
			})
			asked[subject.Digest] = once
		}
		r.mu.Unlock()
		answer := once()
		return slices.Clone(answer.packages), answer.err
	}
}

// Unwrap returns the source that is watched, for whoever reads layers: they are not
// written down.
func (w *watched) Unwrap() gate.Source { return w.source }

// content answers from the record; nil where nobody looked into any image.
func (r *Record) content() gate.ContentFunc {
	if len(r.Contents) == 0 {
		return nil
	}
	return func(_ context.Context, _ gate.Target, subject verify.Subject) ([]predicate.Package, error) {
		for _, c := range r.Contents {
			if c.Digest != subject.Digest {
				continue
			}
			if c.Failure != nil {
				return nil, c.Failure.err()
			}
			var packages []predicate.Package
			for _, p := range c.Packages {
				packages = append(packages, predicate.Package(p))
			}
			return packages, nil
		}
		return nil, fmt.Errorf("asking the record for the content of %s: %w: %w", subject.Digest.Short(), ErrNotRecorded, oci.ErrUnreachable)
	}
}

// checkContents says why what was found in layers cannot be used.
func (r *Record) checkContents() error {
	seen, packages := make(map[digest.Digest]bool), 0
	for i, c := range r.Contents {
		if c.Digest.IsZero() || seen[c.Digest] {
			return fmt.Errorf("contents[%d]: no digest of its own", i)
		}
		seen[c.Digest] = true
		if c.Failure != nil && (len(c.Packages) > 0 || !c.Failure.known()) {
			return fmt.Errorf("contents[%d]: a failure that is none", i)
		}
		if packages += len(c.Packages); packages > maxPackages {
			return errors.New("too many packages")
		}
	}
	return nil
}
