package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/sbom"
	"github.com/hallmark-project/hallmark/verify"
)

// errNoLayers: the place keeps what is known of an image, but not its layers.
var errNoLayers = errors.New("the image's layers are not there")

// contentOptions say where what was found in layers is kept: by digest, as `hallmark
// sbom` keeps it, or nowhere.
func contentOptions(noCache bool) sbom.Options {
	var options sbom.Options
	if dir, err := os.UserCacheDir(); err == nil && !noCache {
		options.CacheDir = filepath.Join(dir, "hallmark", "sbom")
	}
	return options
}

// contentFunc looks into the layers of images for rules with `matchesContent`.
func contentFunc(options sbom.Options) gate.ContentFunc {
	return func(ctx context.Context, t gate.Target, subject verify.Subject) ([]predicate.Package, error) {
		source, reads := layers(t.Source)
		if !reads {
			return nil, errNoLayers
		}
		ref := t.Reference.At(subject.Digest)
		d, err := t.Source.Resolve(ctx, ref)
		if err != nil {
			return nil, err
		}
		image, err := sbom.OpenImage(ctx, source, ref, d)
		if err != nil {
			return nil, err
		}
		defer image.Close()
		return sbom.Packages(ctx, image, options)
	}
}

// layers returns the source that can read layers, below one that writes down what is
// asked.
func layers(s gate.Source) (sbom.Source, bool) {
	for {
		if source, reads := s.(sbom.Source); reads {
			return source, true
		}
		outer, wraps := s.(interface{ Unwrap() gate.Source })
		if !wraps {
			return nil, false
		}
		s = outer.Unwrap()
	}
}
