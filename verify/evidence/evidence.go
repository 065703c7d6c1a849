// Package evidence finds untrusted evidence about a digest wherever it lies. It
// proves nothing: package verify does.
//
//	search := evidence.New(client, ref, subject, evidence.Want{Signatures: true})
//	found := search.Referrers(ctx)        // the usual place: 1 list, 1 request a piece
//	if !enough(found.Evidence) {
//		found = found.Join(search.Tags(ctx)) // the older places, looked at only then
//	}
//
// # The places, and the order in which they are looked at
//
// First come the OCI 1.1 referrers of the digest: the API, or the referrers tag
// of a registry without it. If what was proved with them does not satisfy the
// caller, [Search.Tags] looks at cosign's tags sha256-<hex>.sig and .att, and,
// where the API answered, also at the referrers tag, which an older writer may
// have left. The second look is made because more evidence is wanted, never
// because the first one failed: an error of the first stays in [Found.Missing]
// and no result of the second takes it away. The format is a property of each
// piece, from its layer's media type; every format is read in every place.
//
// # What is fetched
//
// Only what the caller wants, each piece once, in parallel, within fixed bounds. Where
// one kind of statement makes up for all others, [Search.ReferrersOf] looks for it first.
// What a manifest claims to carry (its annotations, which nobody signed) decides
// only whether it is fetched; what claims nothing is fetched. Beyond
// [MaxCandidates] pieces the rest is not looked at and [Found.Missing] says so.
//
// Non-goals: judging who signed, caching, writing.
package evidence

import (
	"context"
	"errors"
	"slices"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// Limits of one search, which is about one digest.
const (
	// MaxCandidates bounds the pieces that are fetched from one place. An image
	// in honest use has a handful; a hundred still take a second.
	MaxCandidates = 100
	// maxLayers bounds the layers of one referrer; a bundle has one.
	maxLayers = 10
	// maxTotalBytes is a [Budget]: a few SBOMs of the largest size, or one of
	// ordinary size for each of many platforms, and no machine's memory.
	maxTotalBytes = 320 << 20
	// parallelFetches is how many pieces of one digest are fetched at a time.
	parallelFetches = 8
)

// Places, as [verify.Origin] names them.
const (
	PlaceSignatureTag   = "signature-tag"
	PlaceAttestationTag = "attestation-tag"
	PlaceIndex          = "index"
	PlaceFile           = "file"
	PlaceLayout         = "layout" // among the manifests of an OCI layout
)

// Source is a registry, an OCI layout or an archive: [oci.Client] or [oci.Layout].
// It checks size and digest of everything that it returns.
type Source interface {
	Manifest(ctx context.Context, r oci.Reference, d oci.Descriptor) (*oci.Manifest, error)
	TagManifest(ctx context.Context, r oci.Reference, tag string) (*oci.Manifest, error)
	Blob(ctx context.Context, r oci.Reference, d oci.Descriptor, limit int64) ([]byte, error)
	Referrers(ctx context.Context, r oci.Reference, d digest.Digest) (oci.Referrers, error)
	ReferrersTag(ctx context.Context, r oci.Reference, d digest.Digest) ([]oci.Descriptor, error)
}

// Want says what is worth fetching. The zero value wants only what claims
// nothing about itself.
type Want struct {
	// Signatures asks for bare signatures.
	Signatures bool
	// PredicateTypes are the statement types that are asked for.
	PredicateTypes []string
	// Everything asks for every piece, whatever it claims.
	Everything bool
}

// claims reports whether a piece that claims this predicate type is wanted.
func (w Want) claims(predicateType string) bool {
	switch predicateType {
	case "":
		return true
	case verify.SignaturePredicateType:
		// cosign 2.6 writes this claim on every bundle, attestations too; only the
		// payload can tell.
		return w.Signatures || w.Everything || len(w.PredicateTypes) > 0
	}
	return w.Everything || slices.Contains(w.PredicateTypes, predicateType)
}

// Found is the outcome of one look. Nothing in it is trusted.
type Found struct {
	// Evidence are the pieces, in the order in which the place lists them.
	Evidence []verify.Evidence
	// Rejected are pieces that were looked at and are no evidence: about another
	// artifact, of another scheme, without a signature, or not what their digest
	// says.
	Rejected []*verify.Rejection
	// Skipped are pieces that were not fetched, because of what they claim to be.
	Skipped []verify.Origin
	// Others are referrers that are no evidence at all, such as a plain SBOM.
	Others []oci.Descriptor
	// Missing are the places and pieces that could not be looked at, each an
	// error that wraps one of package oci's, or the context's.
	Missing []error
}

// Join returns both findings. Neither is changed.
func (f Found) Join(other Found) Found {
	return Found{
		Evidence: slices.Concat(f.Evidence, other.Evidence),
		Rejected: slices.Concat(f.Rejected, other.Rejected),
		Skipped:  slices.Concat(f.Skipped, other.Skipped),
		Others:   slices.Concat(f.Others, other.Others),
		Missing:  slices.Concat(f.Missing, other.Missing),
	}
}

// ReasonOf names what is wrong with content that was read, from an error of
// package oci. ok is false for errors that say that it could not be read: then
// nothing is known about it.
func ReasonOf(err error) (reason verify.Reason, ok bool) {
	for _, known := range []struct {
		err    error
		reason verify.Reason
	}{
		{oci.ErrDigestMismatch, verify.ReasonDigestMismatch},
		{oci.ErrSizeMismatch, verify.ReasonSizeMismatch},
		{oci.ErrMediaType, verify.ReasonMediaType},
		{oci.ErrAmbiguous, verify.ReasonManifestAmbiguous},
		{oci.ErrLimit, verify.ReasonLimitExceeded},
	} {
		if errors.Is(err, known.err) {
			return known.reason, true
		}
	}
	return "", false
}
