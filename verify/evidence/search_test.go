package evidence_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/evidence"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

const (
	repository = "team/app"
	spdx       = "https://spdx.dev/Document"
	slsa       = "https://slsa.dev/provenance/v1"
)

// world is a registry with one image and a key.
type world struct {
	*registrytest.Registry
	image  registrytest.Pushed
	key    *verifytest.Key
	client *oci.Client
}

func newWorld(t *testing.T, options ...registrytest.Option) world {
	t.Helper()
	reg := registrytest.New(t, options...)
	return world{reg, reg.PushImage(repository, "1.0", map[string]string{"app": "x"}), verifytest.NewKey(t, "ecdsa-p256"), oci.NewClient(oci.Options{})}
}

// attach hangs evidence on the image as a bundle with honest claims.
func (w world) attach(t *testing.T, predicateType string) registrytest.Pushed {
	t.Helper()
	return w.attachAs(predicateType, w.key.Attestation(t, w.image.Digest, predicateType, `{}`).Raw)
}

func (w world) attachAs(claim string, raw []byte) registrytest.Pushed {
	return w.Attach(repository, w.image.Descriptor, registrytest.Artifact{
		Type: verifytest.BundleMediaType, Content: raw, Embed: true,
		Annotations: map[string]string{"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": claim},
	})
}

func (w world) search(t *testing.T, want evidence.Want) *evidence.Search {
	t.Helper()
	ref, err := oci.ParseReference(w.image.Ref())
	if err != nil {
		t.Fatal(err)
	}
	return evidence.New(w.client, ref, w.image.Digest, want)
}

func formats(found evidence.Found) string {
	var all []string
	for _, e := range found.Evidence {
		all = append(all, e.Format.String())
	}
	return strings.Join(all, " ")
}

func reasons(found evidence.Found) string {
	var all []string
	for _, r := range found.Rejected {
		all = append(all, string(r.Reason))
	}
	return strings.Join(all, " ")
}

func TestOnlyWantedEvidenceIsFetched(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 25 {
		w.attach(t, spdx)
		w.attach(t, fmt.Sprintf("https://example.com/%d", i))
	}
	w.attach(t, verify.SignaturePredicateType)
	found := w.search(t, evidence.Want{Signatures: true}).Referrers(t.Context())
	if len(found.Evidence) != 1 || len(found.Skipped) != 50 || len(found.Missing) != 0 {
		t.Errorf("%d pieces, %d skipped, missing %v", len(found.Evidence), len(found.Skipped), found.Missing)
	}
	if got := w.Budgeted(); got != 2 {
		t.Errorf("%d requests:\n%s", got, w.Log())
	}
	all := w.search(t, evidence.Want{Everything: true}).Referrers(t.Context())
	if len(all.Evidence) != 51 || len(all.Skipped) != 0 {
		t.Errorf("asked for everything: %d pieces, %d skipped", len(all.Evidence), len(all.Skipped))
	}
}

func TestEveryFormatIsReadInEveryPlace(t *testing.T) {
	t.Parallel()
	for _, api := range []bool{true, false} {
		t.Run(fmt.Sprintf("referrers API %v", api), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, registrytest.WithReferrers(api))
			bundle := w.key.Signature(t, w.image.Digest)
			plain := w.key.LegacySignature(t, w.image.Digest)
			envelope := w.key.LegacyAttestation(t, w.image.Digest, spdx, `{}`)
			w.attachAs(verify.SignaturePredicateType, bundle.Raw)
			w.Attach(repository, w.image.Descriptor, registrytest.Artifact{
				Type: "application/vnd.in-toto+json", MediaType: oci.TypeDSSE, Content: envelope.Raw,
			})
			w.AttachLegacy(repository, w.image.Digest, "sig",
				registrytest.LegacyLayer{MediaType: oci.TypeLegacyLayer, Content: plain.Raw, Annotations: plain.Annotations},
				registrytest.LegacyLayer{MediaType: verifytest.BundleMediaType, Content: bundle.Raw})
			w.AttachLegacy(repository, w.image.Digest, "att",
				registrytest.LegacyLayer{MediaType: oci.TypeDSSE, Content: envelope.Raw, Annotations: map[string]string{"predicateType": spdx}},
				registrytest.LegacyLayer{MediaType: oci.TypeDSSE, Content: envelope.Raw, Annotations: map[string]string{"predicateType": slsa}})
			search := w.search(t, evidence.Want{Signatures: true, PredicateTypes: []string{spdx}})
			first := search.Referrers(t.Context())
			if got, want := formats(first), "bundle legacy-attestation"; got != want {
				t.Errorf("referrers: %s, want %s (rejected %s, missing %v)", got, want, reasons(first), first.Missing)
			}
			second := search.Tags(t.Context())
			if got, want := formats(second), "legacy-signature bundle legacy-attestation"; got != want {
				t.Errorf("tags: %s, want %s (rejected %s, missing %v)", got, want, reasons(second), second.Missing)
			}
			if len(second.Skipped) != 1 {
				t.Errorf("%d layers skipped, want the one of another type", len(second.Skipped))
			}
			v := newVerifier(t, w.key)
			for _, e := range first.Join(second).Evidence {
				if _, err := v.Check(verify.Subject{Digest: w.image.Digest}, e); err != nil {
					t.Errorf("%s: %v", e.Origin, err)
				}
			}
		})
	}
}

func TestForeignAndUnsignedAreReported(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Attach(repository, w.image.Descriptor, registrytest.Artifact{Type: "application/vnd.cncf.notary.signature", Content: []byte("jws")})
	w.Attach(repository, w.image.Descriptor, registrytest.Artifact{Type: "application/spdx+json", Content: []byte("{}")})
	w.Attach(repository, w.image.Descriptor, registrytest.Artifact{
		Type: "application/vnd.in-toto+json", MediaType: "application/vnd.in-toto+json", Content: []byte("{}"),
	})
	found := w.search(t, evidence.Want{Everything: true}).Referrers(t.Context())
	if got, want := reasons(found), "FOREIGN_FORMAT UNSIGNED"; got != want {
		t.Errorf("rejected %s, want %s", got, want)
	}
	if len(found.Others) != 1 || len(found.Evidence) != 0 || len(found.Missing) != 0 {
		t.Errorf("others %d, evidence %d, missing %v", len(found.Others), len(found.Evidence), found.Missing)
	}
}

func TestOC13FloodIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 120 {
		w.attachAs(verify.SignaturePredicateType, fmt.Appendf(nil, `{"junk":%d}`, i))
	}
	found := w.search(t, evidence.Want{Signatures: true}).Referrers(t.Context())
	if len(found.Evidence) != evidence.MaxCandidates {
		t.Errorf("%d pieces fetched", len(found.Evidence))
	}
	if len(found.Missing) != 1 || !errors.Is(found.Missing[0], oci.ErrLimit) {
		t.Errorf("the cut is not said: %v", found.Missing)
	}
	t.Run("OC-13 layers of a signature tag", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		var layers []registrytest.LegacyLayer
		for i := range 150 {
			layers = append(layers, registrytest.LegacyLayer{MediaType: oci.TypeLegacyLayer, Content: fmt.Appendf(nil, `{"junk":%d}`, i)})
		}
		w.AttachLegacy(repository, w.image.Digest, "sig", layers...)
		found := w.search(t, evidence.Want{Signatures: true}).Tags(t.Context())
		if len(found.Evidence) != evidence.MaxCandidates || len(found.Missing) != 1 || !errors.Is(found.Missing[0], oci.ErrLimit) {
			t.Errorf("%d pieces, missing %v", len(found.Evidence), found.Missing)
		}
	})
}

func TestOC14JunkWithoutClaimDoesNotHideTheGoodOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 120 {
		w.Attach(repository, w.image.Descriptor, registrytest.Artifact{Type: verifytest.BundleMediaType, Content: fmt.Appendf(nil, `{"junk":%d}`, i), Embed: true})
	}
	good := w.attach(t, verify.SignaturePredicateType)
	found := w.search(t, evidence.Want{Signatures: true}).Referrers(t.Context())
	for _, e := range found.Evidence {
		if e.Origin.Manifest == good.Digest {
			return
		}
	}
	t.Error("the piece that claims to be wanted was pushed out by pieces that claim nothing")
}

func TestOC15ForgedReferrer(t *testing.T) {
	t.Parallel()
	t.Run("OC-15 the manifest is about another image", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, registrytest.WithReferrers(false))
		other := w.PushImage(repository, "other", map[string]string{"app": "y"})
		w.Attach(repository, w.image.Descriptor, registrytest.Artifact{
			Type: verifytest.BundleMediaType, Content: w.key.Signature(t, w.image.Digest).Raw, Subject: &other.Descriptor,
		})
		found := w.search(t, evidence.Want{Signatures: true}).Referrers(t.Context())
		if got := reasons(found); got != "SUBJECT_MISMATCH" || len(found.Evidence) != 0 {
			t.Errorf("rejected %q, %d pieces", got, len(found.Evidence))
		}
	})
	t.Run("OC-15 the descriptor claims another type", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, registrytest.WithReferrers(false))
		plain := w.Attach(repository, w.image.Descriptor, registrytest.Artifact{Type: "application/spdx+json", Content: []byte("{}")})
		lie := plain.Descriptor
		lie.ArtifactType = verifytest.BundleMediaType
		w.PutJSON(repository, oci.FallbackTag(w.image.Digest), oci.TypeIndex, map[string]any{
			"schemaVersion": 2, "mediaType": oci.TypeIndex, "manifests": []registrytest.Descriptor{lie},
		})
		found := w.search(t, evidence.Want{Signatures: true}).Referrers(t.Context())
		if got := reasons(found); got != "MEDIA_TYPE" {
			t.Errorf("rejected %q", got)
		}
	})
	t.Run("OC-15 a layer of another type", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.Attach(repository, w.image.Descriptor, registrytest.Artifact{Type: verifytest.BundleMediaType, MediaType: "text/plain", Content: []byte("{}")})
		found := w.search(t, evidence.Want{Signatures: true}).Referrers(t.Context())
		if got := reasons(found); got != "MEDIA_TYPE" || w.Count("", registrytest.Blob) != 0 {
			t.Errorf("rejected %q after %d blobs", got, w.Count("", registrytest.Blob))
		}
	})
}

func TestOC16HiddenReferrers(t *testing.T) {
	t.Parallel()
	t.Run("OC-16 empty list and a referrers tag", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		pushed := w.attach(t, verify.SignaturePredicateType)
		w.AddToReferrersTag(repository, w.image.Digest, pushed.Descriptor)
		w.Inject(registrytest.Match{Class: registrytest.Referrers}, registrytest.Answer(200, oci.TypeIndex,
			[]byte(`{"schemaVersion":2,"mediaType":"`+oci.TypeIndex+`","manifests":[]}`)))
		search := w.search(t, evidence.Want{Signatures: true})
		if first := search.Referrers(t.Context()); len(first.Evidence) != 0 {
			t.Fatalf("%d pieces from an empty list", len(first.Evidence))
		}
		second := search.Tags(t.Context())
		if len(second.Evidence) != 1 || second.Evidence[0].Origin.Place != string(oci.PlaceTag) {
			t.Errorf("the referrers tag was not merged: %+v", second)
		}
	})
	t.Run("OC-16 what both list is fetched once", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		pushed := w.attach(t, verify.SignaturePredicateType)
		w.AddToReferrersTag(repository, w.image.Digest, pushed.Descriptor)
		search := w.search(t, evidence.Want{Signatures: true})
		found := search.Referrers(t.Context())
		found = found.Join(search.Tags(t.Context()))
		if len(found.Evidence) != 1 || w.Count("", registrytest.Manifest) != 1 {
			t.Errorf("%d pieces:\n%s", len(found.Evidence), w.Log())
		}
	})
	for name, fault := range map[string]registrytest.Fault{
		"OC-16 500": registrytest.Status(500), "OC-16 406": registrytest.Status(406), "OC-16 a web page": registrytest.HTML(), "OC-41 401": registrytest.Status(401), "OC-41 403": registrytest.Status(403),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			plain := w.key.LegacySignature(t, w.image.Digest)
			w.AttachLegacy(repository, w.image.Digest, "sig", registrytest.LegacyLayer{MediaType: oci.TypeLegacyLayer, Content: plain.Raw, Annotations: plain.Annotations})
			w.Inject(registrytest.Match{Class: registrytest.Referrers}, fault)
			search := w.search(t, evidence.Want{Signatures: true})
			found := search.Referrers(t.Context())
			if len(found.Missing) != 1 {
				t.Fatalf("missing %v, want the one error", found.Missing)
			}
			found = found.Join(search.Tags(t.Context()))
			if len(found.Missing) != 1 || len(found.Evidence) != 1 {
				t.Errorf("missing %v, %d pieces: the second look must neither hide the error nor be hidden by it", found.Missing, len(found.Evidence))
			}
		})
	}
}

func TestBrokenPieces(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		match   registrytest.Match
		fault   registrytest.Fault
		reason  string
		missing bool
	}{
		"manifest changed": {registrytest.Match{Class: registrytest.Manifest}, registrytest.FlipByte(10), "DIGEST_MISMATCH", false},
		"manifest longer":  {registrytest.Match{Class: registrytest.Manifest}, registrytest.Append([]byte(" ")), "SIZE_MISMATCH", false},
		"manifest gone":    {registrytest.Match{Class: registrytest.Manifest}, registrytest.Status(404), "", true},
		"manifest 500":     {registrytest.Match{Class: registrytest.Manifest}, registrytest.Status(500), "", true},
		"manifest cut":     {registrytest.Match{Class: registrytest.Manifest}, registrytest.CutBody(20), "", true},
		"blob changed":     {registrytest.Match{Class: registrytest.Blob}, registrytest.FlipByte(10), "DIGEST_MISMATCH", false},
		"blob 403":         {registrytest.Match{Class: registrytest.Blob}, registrytest.Status(403), "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.Attach(repository, w.image.Descriptor, registrytest.Artifact{Type: verifytest.BundleMediaType, Content: w.key.Signature(t, w.image.Digest).Raw})
			w.Inject(test.match, test.fault)
			found := w.search(t, evidence.Want{Signatures: true}).Referrers(t.Context())
			if got := reasons(found); got != test.reason || (len(found.Missing) > 0) != test.missing || len(found.Evidence) != 0 {
				t.Errorf("rejected %q, missing %v, %d pieces", got, found.Missing, len(found.Evidence))
			}
		})
	}
}

// TestTheManifestHasTheLastWord: what the list says about a piece is the
// registry's word alone.
func TestTheManifestHasTheLastWord(t *testing.T) {
	t.Parallel()
	w := newWorld(t, registrytest.WithReferrers(false))
	pushed := w.attach(t, spdx)
	lie := pushed.Descriptor
	lie.Annotations = map[string]string{"dev.sigstore.bundle.predicateType": verify.SignaturePredicateType}
	w.PutJSON(repository, oci.FallbackTag(w.image.Digest), oci.TypeIndex, map[string]any{
		"schemaVersion": 2, "mediaType": oci.TypeIndex, "manifests": []registrytest.Descriptor{lie},
	})
	found := w.search(t, evidence.Want{Signatures: true}).Referrers(t.Context())
	if len(found.Evidence) != 0 || len(found.Skipped) != 1 || found.Skipped[0].ClaimedType != spdx {
		t.Errorf("%d pieces, skipped %+v", len(found.Evidence), found.Skipped)
	}
	all := w.search(t, evidence.Want{Everything: true}).Referrers(t.Context())
	if len(all.Evidence) != 1 || all.Evidence[0].Origin.ClaimedType != spdx {
		t.Errorf("%+v", all)
	}
}

func TestOC13BytesAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.huge(2)
	found := w.search(t, evidence.Want{Signatures: true}).Referrers(t.Context())
	if got := reasons(found); got != "SIZE_MISMATCH" || len(found.Missing) != 1 || !errors.Is(found.Missing[0], oci.ErrLimit) {
		t.Errorf("rejected %q, missing %v", got, found.Missing)
	}
	t.Run("OC-13 two searches with one budget", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.huge(1)
		budget := evidence.NewBudget(nil)
		first := w.search(t, evidence.Want{Signatures: true}).Within(budget).Referrers(t.Context())
		second := w.search(t, evidence.Want{Signatures: true}).Within(budget).Referrers(t.Context())
		if len(first.Missing) != 0 || len(second.Missing) != 1 || !errors.Is(second.Missing[0], oci.ErrLimit) {
			t.Errorf("first %v, second %v", first.Missing, second.Missing)
		}
	})
}

// huge hangs n pieces on the image that claim to have 170 MiB.
func (w world) huge(n int) {
	for i := range n {
		layer := w.PutBlob(repository, verifytest.BundleMediaType, fmt.Appendf(nil, `{"small":%d}`, i))
		layer.Size = 170 << 20
		w.PutJSON(repository, "", oci.TypeImage, map[string]any{
			"schemaVersion": 2, "mediaType": oci.TypeImage, "artifactType": verifytest.BundleMediaType,
			"config": w.PutBlob(repository, oci.TypeEmpty, []byte("{}")), "layers": []registrytest.Descriptor{layer}, "subject": w.image.Descriptor,
		})
	}
}

func TestUnsignedInIndex(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	index := reg.PushIndex(repository, "multi", "linux/amd64", "linux/arm64")
	attestation := reg.PutJSON(repository, "", oci.TypeImage, map[string]any{
		"schemaVersion": 2, "mediaType": oci.TypeImage, "config": reg.PutBlob(repository, oci.TypeConfig, []byte("{}")),
		"layers": []any{},
	})
	entry := attestation.Descriptor
	entry.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": index.Children[0].Digest.String()}
	m := &oci.Manifest{Manifests: []oci.Descriptor{
		{Digest: index.Children[0].Digest}, {Digest: index.Children[1].Digest}, {Digest: entry.Digest, Annotations: entry.Annotations, Platform: &oci.Platform{OS: "unknown", Architecture: "unknown"}},
	}}
	for name, test := range map[string]struct {
		about int
		want  int
	}{"the attested platform": {0, 1}, "the other platform": {1, 0}} {
		if got := evidence.Unsigned("r", m, index.Children[test.about].Digest); len(got) != test.want {
			t.Errorf("%s: %d pieces, want %d", name, len(got), test.want)
		} else if test.want == 1 && got[0].Reason != verify.ReasonUnsigned {
			t.Errorf("%s: %s", name, got[0].Reason)
		}
	}
}
