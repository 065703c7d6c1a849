package evidence

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// Search looks for evidence about one digest. Its methods are called one after
// the other, from one goroutine; each fetches in parallel by itself.
type Search struct {
	source  Source
	ref     oci.Reference
	subject digest.Digest
	want    Want
	// location is where the source is, for reports; layout tells that it is no
	// registry.
	location string
	layout   bool

	seen   map[digest.Digest]bool // manifests that a place has listed
	asked  bool                   // for the referrers, whatever came of it
	list   oci.Referrers
	sawAPI bool
	budget *Budget
}

// New returns a search for evidence about subject in the reference's repository.
// Nothing is asked of the source yet.
func New(source Source, ref oci.Reference, subject digest.Digest, want Want) *Search {
	return &Search{
		source: source, ref: ref.At(subject), subject: subject, want: want, location: ref.Name(),
		seen: make(map[digest.Digest]bool), budget: NewBudget(nil),
	}
}

// InLayout tells that the source is a layout at this place, so that reports name
// it instead of a registry.
func (s *Search) InLayout(location string) *Search {
	s.location, s.layout = location, true
	return s
}

// Within makes the search share a budget with others, in place of its own.
func (s *Search) Within(b *Budget) *Search {
	s.budget = b
	return s
}

// Referrers looks at the referrers of the digest, but for those that
// [Search.ReferrersOf] has looked at.
func (s *Search) Referrers(ctx context.Context) Found {
	if err := s.ask(ctx); err != nil {
		return Found{Missing: []error{err}}
	}
	return s.referrers(ctx, s.list.Descriptors)
}

// ReferrersOf looks at those referrers alone that claim one of some predicate types by
// name, and are wanted. It comes before [Search.Referrers], which then does not ask for
// the list again.
func (s *Search) ReferrersOf(ctx context.Context, types []string) Found {
	if err := s.ask(ctx); err != nil {
		return Found{Missing: []error{err}}
	}
	return s.referrers(ctx, slices.DeleteFunc(slices.Clone(s.list.Descriptors), func(d oci.Descriptor) bool {
		return !slices.Contains(types, bundleClaim(d.Annotations))
	}))
}

// ask asks for the list of referrers, once: an error is told once, too.
func (s *Search) ask(ctx context.Context) error {
	if s.asked {
		return nil
	}
	s.asked = true
	var err error
	s.list, err = s.source.Referrers(ctx, s.ref, s.subject)
	s.sawAPI = err == nil && s.list.Place == oci.PlaceAPI
	return err
}

func (s *Search) referrers(ctx context.Context, list []oci.Descriptor) Found {
	place, tag := string(s.list.Place), ""
	if !s.sawAPI {
		tag = oci.FallbackTag(s.subject)
	}
	if s.layout {
		place = PlaceLayout
	}
	return s.listed(ctx, place, tag, list)
}

// Tags looks at cosign's tags, and at the referrers tag where [Search.Referrers]
// was answered by the API. A tag that is not there is no error.
func (s *Search) Tags(ctx context.Context) Found {
	var looks []func() Found
	if s.want.Signatures || s.want.Everything {
		looks = append(looks, func() Found { return s.tag(ctx, PlaceSignatureTag, ".sig") })
	}
	if len(s.want.PredicateTypes) > 0 || s.want.Everything {
		looks = append(looks, func() Found { return s.tag(ctx, PlaceAttestationTag, ".att") })
	}
	if s.sawAPI {
		looks = append(looks, func() Found { return s.referrersTag(ctx) })
	}
	results := make([]Found, len(looks))
	parallel(len(looks), len(looks), func(i int) { results[i] = looks[i]() })
	var found Found
	for _, result := range results {
		found = found.Join(result)
	}
	return found
}

// referrersTag looks at what only the referrers tag lists.
func (s *Search) referrersTag(ctx context.Context) Found {
	list, err := s.source.ReferrersTag(ctx, s.ref, s.subject)
	if errors.Is(err, oci.ErrNotFound) {
		return Found{}
	}
	if err != nil {
		return Found{Missing: []error{err}}
	}
	return s.listed(ctx, string(oci.PlaceTag), oci.FallbackTag(s.subject), list)
}

// candidate is one piece that is worth a request.
type candidate struct {
	descriptor  oci.Descriptor
	annotations map[string]string // of the layer, for the legacy formats
	format      verify.Format     // of a layer; unknown for a referrer's manifest
	origin      verify.Origin
	order       int // in the place's list
}

// listed gathers from a list of referrers.
func (s *Search) listed(ctx context.Context, place, tag string, list []oci.Descriptor) Found {
	var found Found
	var wanted []candidate
	for i, d := range list {
		if s.seen[d.Digest] {
			continue
		}
		s.seen[d.Digest] = true
		origin := verify.Origin{Place: place, Location: s.location, Tag: tag, Manifest: d.Digest, ClaimedType: bundleClaim(d.Annotations)}
		switch artifactKind(d.ArtifactType) {
		case kindForeign:
			found.Rejected = append(found.Rejected, foreign(origin, d.ArtifactType))
		case kindOther:
			found.Others = append(found.Others, d)
		default:
			if !s.want.claims(origin.ClaimedType) {
				found.Skipped = append(found.Skipped, origin)
				continue
			}
			wanted = append(wanted, candidate{descriptor: d, origin: origin, order: i})
		}
	}
	return found.Join(s.gather(ctx, place, wanted, s.referrer))
}

// gather fetches the candidates of one place with fetch. Those that claim what
// is wanted come before those that claim nothing, so that junk without a claim
// cannot push them over the bound.
func (s *Search) gather(ctx context.Context, place string, wanted []candidate, fetch func(context.Context, candidate) Found) Found {
	var found Found
	if len(wanted) > MaxCandidates {
		slices.SortStableFunc(wanted, func(a, b candidate) int {
			return cmp.Compare(rank(a.origin.ClaimedType), rank(b.origin.ClaimedType))
		})
		found.Missing = append(found.Missing, fmt.Errorf("looking at the %s of %s: %w: %d pieces claim to be wanted, %d were looked at",
			place, s.ref, oci.ErrLimit, len(wanted), MaxCandidates))
		wanted = wanted[:MaxCandidates]
		slices.SortStableFunc(wanted, func(a, b candidate) int { return cmp.Compare(a.order, b.order) })
	}
	results := make([]Found, len(wanted))
	parallel(len(wanted), parallelFetches, func(i int) { results[i] = fetch(ctx, wanted[i]) })
	for _, result := range results {
		found = found.Join(result)
	}
	return found
}

func rank(claim string) int {
	if claim == "" {
		return 1
	}
	return 0
}

// foreign reports evidence of another scheme.
func foreign(origin verify.Origin, mediaType string) *verify.Rejection {
	origin.ClaimedType = mediaType
	return &verify.Rejection{
		Origin: origin, Step: verify.StepParse, Reason: verify.ReasonForeignFormat,
		Err: fmt.Errorf("evidence of another scheme: %q", mediaType),
	}
}
