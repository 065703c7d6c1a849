package publish_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/sign/publish"
	"github.com/hallmark-project/hallmark/verify/evidence"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// signedIndex pushes an index with evidence of every kind, on every manifest.
func signedIndex(t *testing.T, reg *registrytest.Registry) registrytest.Pushed {
	t.Helper()
	image := reg.PushIndex("team/app", "1", "linux/amd64", "linux/arm64")
	for _, attach := range []attacher{bundle, legacy, attestation(false), attestation(true)} {
		if _, err := signAll(t.Context(), newPublisher(), parse(t, image.TagRef()), true, newSigner(t), attach); err != nil {
			t.Fatal(err)
		}
	}
	reg.AttachLegacy("team/app", image.Digest, "sbom", registrytest.LegacyLayer{MediaType: "text/spdx+json", Content: []byte(`{"spdxVersion":"SPDX-2.3"}`)})
	list := reg.Attach("team/app", image.Descriptor, registrytest.Artifact{Type: "application/vnd.example.list", Content: big(3)})
	if _, err := signAll(t.Context(), newPublisher(), parse(t, list.Ref()), false, newSigner(t), bundle); err != nil {
		t.Fatal(err)
	}
	return image
}

// big is content that is too large for a single POST.
func big(seed byte) []byte {
	raw := make([]byte, 300<<10)
	for i := range raw {
		raw[i] = seed + byte(i*i>>3)
	}
	return raw
}

func copyAll(ctx context.Context, t *testing.T, from, to string, o publish.CopyOptions) (publish.CopyResult, error) {
	t.Helper()
	source := oci.NewClient(oci.Options{})
	ref := parse(t, from)
	whole, err := oci.Collect(ctx, source, ref, oci.CollectOptions{Suffixes: publish.EvidenceSuffixes()})
	if err != nil {
		return publish.CopyResult{}, err
	}
	return newPublisher().Copy(ctx, source, ref, whole, parse(t, to), o)
}

// everything lists the evidence about each digest of an image.
func everything(t *testing.T, ref oci.Reference, digests ...digest.Digest) []string {
	t.Helper()
	client := oci.NewClient(oci.Options{})
	var all []string
	for _, d := range digests {
		search := evidence.New(client, ref.At(d), d, evidence.Want{Everything: true})
		found := search.Referrers(t.Context())
		found = found.Join(search.Tags(t.Context()))
		if len(found.Missing) > 0 || len(found.Rejected) > 0 {
			t.Errorf("%s: missing %v, rejected %v", ref.At(d), found.Missing, found.Rejected)
		}
		for _, e := range found.Evidence {
			all = append(all, fmt.Sprint(d.Short(), e.Format, digest.FromBytes(e.Raw)))
		}
		for _, other := range found.Others {
			all = append(all, fmt.Sprint(d.Short(), other.Digest))
		}
		if m, err := client.TagManifest(t.Context(), ref, publish.SBOMTag(d)); err == nil {
			all = append(all, fmt.Sprint("sbom ", m.Digest))
		}
	}
	slices.Sort(all)
	return all
}

func writes(reg *registrytest.Registry) int {
	return reg.Count(http.MethodPut, registrytest.Any) + reg.Count(http.MethodPost, registrytest.Any) + reg.Count(http.MethodPatch, registrytest.Any)
}

// TestCopyTakesAll: both formats, between registries with and without the
// referrers API; digests stay, and a second run writes nothing.
func TestCopyTakesAll(t *testing.T) {
	t.Parallel()
	for _, fromAPI := range []bool{true, false} {
		for _, toAPI := range []bool{true, false} {
			t.Run(fmt.Sprintf("referrers API %t to %t", fromAPI, toAPI), func(t *testing.T) {
				t.Parallel()
				from, to := registrytest.New(t, registrytest.WithReferrers(fromAPI)), registrytest.New(t, registrytest.WithReferrers(toAPI))
				image := signedIndex(t, from)
				target := to.Host() + "/mirror/app:stable"
				result, err := copyAll(t.Context(), t, image.TagRef(), target, publish.CopyOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if result.Digest != image.Digest || result.Manifests != 3 || len(result.EvidenceSkipped) != 0 {
					t.Errorf("%+v", result)
				}
				digests := []digest.Digest{image.Digest, image.Children[0].Digest, image.Children[1].Digest}
				for _, a := range from.Referrers("team/app", image.Digest) {
					digests = append(digests, a.Digest) // one of them is signed itself
				}
				have, want := everything(t, parse(t, target), digests...), everything(t, parse(t, image.Ref()), digests...)
				if !slices.Equal(have, want) || len(want) < 15 {
					t.Errorf("have %d %q\nwant %d %q", len(have), have, len(want), want)
				}
				for _, child := range append(image.Children, image) {
					raw, _, found := to.Manifest("mirror/app", child.Digest.String())
					if !found || string(raw) != string(child.Raw) {
						t.Errorf("%s is not there as it was", child.Digest)
					}
				}
				to.Reset()
				again, err := copyAll(t.Context(), t, image.TagRef(), target, publish.CopyOptions{})
				if err != nil || again.Written != 0 || again.BlobsSent != 0 || writes(to) != 0 {
					t.Errorf("the second run: %+v, %v, wrote:\n%s", again, err, to.Log())
				}
			})
		}
	}
}

// TestCopyCutShort: cut at any request, the tag is missing or names an image that
// is whole with its evidence, and a second run finishes the work.
func TestCopyCutShort(t *testing.T) {
	t.Parallel()
	from := registrytest.New(t)
	image := signedIndex(t, from)
	want := everything(t, parse(t, image.Ref()), image.Digest)
	for n := 0; n < 120; n += 4 {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			to := registrytest.New(t, registrytest.WithReferrers(false))
			target := to.Host() + "/mirror/app:stable"
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			to.Inject(registrytest.Match{After: n, Times: 1}, func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					cancel()
					next.ServeHTTP(w, r)
				})
			})
			_, err := copyAll(ctx, t, image.TagRef(), target, publish.CopyOptions{})
			if _, _, found := to.Manifest("mirror/app", "stable"); found {
				if have := everything(t, parse(t, target), image.Digest); !slices.Equal(have, want) {
					t.Errorf("the tag is there, and the evidence is %q", have)
				}
			} else if err == nil {
				t.Error("success, and there is no tag")
			}
			if _, err := copyAll(t.Context(), t, image.TagRef(), target, publish.CopyOptions{}); err != nil {
				t.Fatal(err)
			}
			if have := everything(t, parse(t, target), image.Digest); !slices.Equal(have, want) {
				t.Errorf("after a second run the evidence is %q", have)
			}
		})
	}
}

// TestCopyRefuses: what does not match its digest on either side.
func TestCopyRefuses(t *testing.T) {
	t.Parallel()
	bigBlob := registrytest.Match{Method: http.MethodGet, Class: registrytest.Blob}
	for name, test := range map[string]struct {
		source, target func(*registrytest.Registry)
		want           error
	}{
		"OC-32 a blob with another last byte": {source: func(r *registrytest.Registry) { r.Inject(bigBlob, registrytest.FlipByte(-1)) }, want: oci.ErrDigestMismatch},
		"a blob cut short":                    {source: func(r *registrytest.Registry) { r.Inject(bigBlob, registrytest.CutBody(100)) }, want: oci.ErrUnreachable},
		"OC-32 a blob with more bytes":        {source: func(r *registrytest.Registry) { r.Inject(bigBlob, registrytest.Append([]byte("x"))) }, want: oci.ErrSizeMismatch},
		"the list of referrers fails": {source: func(r *registrytest.Registry) {
			r.Inject(registrytest.Match{Class: registrytest.Referrers}, registrytest.Status(http.StatusInternalServerError))
		}, want: oci.ErrUnreachable},
		"a signature tag is refused": {source: func(r *registrytest.Registry) {
			r.Inject(registrytest.Match{Class: registrytest.LegacyTag}, registrytest.Status(http.StatusForbidden))
		}, want: oci.ErrUnauthorized},
		"the destination stores something else": {target: func(r *registrytest.Registry) {
			r.Inject(registrytest.Match{Method: http.MethodPut, Class: registrytest.Manifest}, registrytest.SetHeader("Docker-Content-Digest", digest.FromBytes([]byte("else")).String()))
		}, want: publish.ErrChanged},
		"the destination's tag names something else": {target: func(r *registrytest.Registry) {
			r.Inject(registrytest.Match{Method: http.MethodHead, Class: registrytest.Tag}, registrytest.SetHeader("Docker-Content-Digest", digest.FromBytes([]byte("else")).String()))
		}, want: publish.ErrChanged},
		"the destination takes no manifest": {target: func(r *registrytest.Registry) {
			r.Inject(registrytest.Match{Method: http.MethodPut, Class: registrytest.Manifest}, registrytest.Status(http.StatusForbidden))
		}, want: oci.ErrUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := registrytest.New(t), registrytest.New(t)
			image := signedIndex(t, from)
			if test.source != nil {
				test.source(from)
			} else {
				to.PushImage("mirror/app", "stable", map[string]string{"old": "one"})
				test.target(to)
			}
			_, err := copyAll(t.Context(), t, image.TagRef(), to.Host()+"/mirror/app:stable", publish.CopyOptions{})
			if !errors.Is(err, test.want) {
				t.Errorf("got %v", err)
			}
			if raw, _, _ := to.Manifest("mirror/app", "stable"); test.source != nil && len(raw) > 0 && strings.Contains(string(raw), image.Children[0].Digest.Hex()) {
				t.Error("the tag was set")
			}
		})
	}
}

// TestCopyJoinsEvidence: what others hung on the same image at the destination
// stays, in both formats.
func TestCopyJoinsEvidence(t *testing.T) {
	t.Parallel()
	for _, api := range []bool{true, false} {
		from, to := registrytest.New(t), registrytest.New(t, registrytest.WithReferrers(api))
		files := map[string]string{"a": "b"}
		image, twin := from.PushImage("team/app", "1", files), to.PushImage("mirror/app", "1", files)
		if image.Digest != twin.Digest {
			t.Fatal("the twins differ")
		}
		for _, one := range []registrytest.Pushed{image, twin} {
			for _, attach := range []attacher{bundle, legacy} {
				if _, err := signAll(t.Context(), newPublisher(), parse(t, one.TagRef()), false, newSigner(t), attach); err != nil {
					t.Fatal(err)
				}
			}
		}
		want := append(everything(t, parse(t, image.Ref()), image.Digest), everything(t, parse(t, twin.Ref()), image.Digest)...)
		slices.Sort(want)
		for range 2 {
			if _, err := copyAll(t.Context(), t, image.TagRef(), twin.TagRef(), publish.CopyOptions{}); err != nil {
				t.Fatal(err)
			}
			if have := everything(t, parse(t, twin.Ref()), image.Digest); !slices.Equal(have, want) || len(have) != 4 {
				t.Errorf("referrers API %t: have %q\nwant %q", api, have, want)
			}
		}
	}
}
