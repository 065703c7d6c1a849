package publish_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/sign"
	"github.com/hallmark-project/hallmark/sign/keys"
	"github.com/hallmark-project/hallmark/sign/publish"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// The budgets of requests besides pings and tokens. They may only fall.
const (
	budgetSignByTag    = 5
	budgetAttestByTag  = 5
	budgetSignIndexTwo = 12
	budgetSignAgain    = 3
)

type attacher func(ctx context.Context, p *publish.Publisher, ref oci.Reference, subject oci.Descriptor, s *keys.Signer) (publish.Result, error)

func bundle(ctx context.Context, p *publish.Publisher, ref oci.Reference, subject oci.Descriptor, s *keys.Signer) (publish.Result, error) {
	e, err := sign.Image(ctx, subject.Digest, nil, s)
	if err != nil {
		return publish.Result{}, err
	}
	v, err := sign.Verifier(s)
	if err != nil {
		return publish.Result{}, err
	}
	return p.Attach(ctx, ref, subject, e, v)
}

func legacy(ctx context.Context, p *publish.Publisher, ref oci.Reference, subject oci.Descriptor, s *keys.Signer) (publish.Result, error) {
	e, err := sign.Legacy(ctx, ref.Name(), subject.Digest, nil, s)
	if err != nil {
		return publish.Result{}, err
	}
	v, err := sign.Verifier(s)
	if err != nil {
		return publish.Result{}, err
	}
	return p.AttachLegacy(ctx, ref, subject, e, v)
}

func attestation(legacyForm bool) attacher {
	return func(ctx context.Context, p *publish.Publisher, ref oci.Reference, subject oci.Descriptor, s *keys.Signer) (publish.Result, error) {
		statement, err := attest.NewStatement(ref.Name(), subject.Digest, "https://example.com/t", []byte(`{"a":1}`))
		if err != nil {
			return publish.Result{}, err
		}
		v, err := sign.Verifier(s)
		if err != nil {
			return publish.Result{}, err
		}
		if legacyForm {
			e, err := sign.LegacyStatement(ctx, statement, subject.Digest, s)
			if err != nil {
				return publish.Result{}, err
			}
			return p.AttachLegacy(ctx, ref, subject, e, v)
		}
		e, err := sign.Statement(ctx, statement, subject.Digest, s)
		if err != nil {
			return publish.Result{}, err
		}
		return p.Attach(ctx, ref, subject, e, v)
	}
}

func newSigner(t testing.TB) *keys.Signer {
	t.Helper()
	s, err := keys.Generate(keys.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func parse(t testing.TB, text string) oci.Reference {
	t.Helper()
	ref, err := oci.ParseReference(text)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func newPublisher() *publish.Publisher { return publish.New(oci.NewClient(oci.Options{Push: true})) }

// signAll signs an image, or an index with everything below it.
func signAll(ctx context.Context, p *publish.Publisher, ref oci.Reference, recursive bool, s *keys.Signer, attach attacher) ([]publish.Result, error) {
	subjects, err := p.Subjects(ctx, ref, recursive)
	if err != nil {
		return nil, err
	}
	results := make([]publish.Result, len(subjects))
	group, ctx := errgroup.WithContext(ctx)
	for i, subject := range subjects {
		group.Go(func() (err error) {
			results[i], err = attach(ctx, p, ref, subject, s)
			return err
		})
	}
	return results, group.Wait()
}

func TestBudgets(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		attach    attacher
		recursive bool
		budget    int
	}{
		"sign by tag":             {bundle, false, budgetSignByTag},
		"attest by tag":           {attestation(false), false, budgetAttestByTag},
		"sign an index and below": {bundle, true, budgetSignIndexTwo},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t)
			image := reg.PushIndex("team/app", "1", "linux/amd64", "linux/arm64")
			reg.Reset()
			if _, err := signAll(t.Context(), newPublisher(), parse(t, image.TagRef()), test.recursive, newSigner(t), test.attach); err != nil {
				t.Fatal(err)
			}
			if got := reg.Budgeted(); got > test.budget {
				t.Errorf("%d requests, the budget is %d:\n%s", got, test.budget, reg.Log())
			}
			if pings := reg.Count("", registrytest.Ping); pings != 1 {
				t.Errorf("%d pings", pings)
			}
		})
	}
}

// TestTwiceAddsNothing: every format, every kind of registry.
func TestTwiceAddsNothing(t *testing.T) {
	t.Parallel()
	for name, attach := range map[string]attacher{"bundle": bundle, "legacy": legacy, "attestation": attestation(false), "legacy attestation": attestation(true)} {
		for _, referrers := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, referrers API %t", name, referrers), func(t *testing.T) {
				t.Parallel()
				reg := registrytest.New(t, registrytest.WithReferrers(referrers))
				image := reg.PushImage("team/app", "1", map[string]string{"a": "b"})
				ref, signer := parse(t, image.TagRef()), newSigner(t)
				first, err := signAll(t.Context(), newPublisher(), ref, false, signer, attach)
				if err != nil {
					t.Fatal(err)
				}
				reg.Reset()
				second, err := signAll(t.Context(), newPublisher(), ref, false, signer, attach)
				if err != nil {
					t.Fatal(err)
				}
				if first[0].Existing || !second[0].Existing || second[0].Manifest != first[0].Manifest && name != "legacy" && name != "legacy attestation" {
					t.Errorf("first %+v, second %+v", first[0], second[0])
				}
				if writes := reg.Count(http.MethodPut, registrytest.Any) + reg.Count(http.MethodPost, registrytest.Any); writes != 0 {
					t.Errorf("the second run wrote:\n%s", reg.Log())
				}
				if got := reg.Budgeted(); referrers && got > budgetSignAgain {
					t.Errorf("%d requests, the budget is %d:\n%s", got, budgetSignAgain, reg.Log())
				}
				third, err := signAll(t.Context(), newPublisher(), ref, false, newSigner(t), attach)
				if err != nil || third[0].Existing {
					t.Errorf("another key: %+v, %v", third, err)
				}
			})
		}
	}
}

// TestRacingWriters: OC-17 and OC-18. A dozen writers, each with a client of its own
// and none with a lock in common, all get listed.
func TestRacingWriters(t *testing.T) {
	t.Parallel()
	const writers = 12
	for name, test := range map[string]struct {
		attach  attacher
		options []registrytest.Option
	}{
		"OC-17 the referrers tag":                  {bundle, []registrytest.Option{registrytest.WithReferrers(false)}},
		"OC-17 the referrers tag, conditional PUT": {bundle, []registrytest.Option{registrytest.WithReferrers(false), registrytest.WithConditionalPut()}},
		"OC-18 the signature tag":                  {legacy, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t, test.options...)
			image := reg.PushImage("team/app", "1", map[string]string{"a": "b"})
			ref := parse(t, image.Ref())
			subject := oci.Descriptor{MediaType: oci.TypeImage, Digest: image.Digest, Size: image.Descriptor.Size}
			var wait sync.WaitGroup
			for range writers {
				signer := newSigner(t)
				wait.Go(func() {
					if _, err := test.attach(t.Context(), newPublisher(), ref, subject, signer); err != nil {
						t.Error(err)
					}
				})
			}
			wait.Wait()
			client := oci.NewClient(oci.Options{})
			if test.options == nil {
				m, err := client.TagManifest(t.Context(), ref, publish.SignatureTag(image.Digest))
				if err != nil || len(m.Layers) != writers {
					t.Fatalf("%d signatures, %v", len(m.Layers), err)
				}
				return
			}
			list, err := client.ReferrersTag(t.Context(), ref, image.Digest)
			if err != nil || len(list) != writers {
				t.Errorf("%d of %d are listed, %v", len(list), writers, err)
			}
		})
	}
}

// TestRefusedWrites: KE-16, OC-27. A registry that does not take the evidence is an
// error, and credentials do not follow an upload to another host.
func TestRefusedWrites(t *testing.T) {
	t.Parallel()
	t.Run("KE-16 403 on push", func(t *testing.T) {
		t.Parallel()
		for _, class := range []registrytest.Match{{Method: http.MethodPost}, {Method: http.MethodPut, Class: registrytest.Manifest}} {
			reg := registrytest.New(t)
			image := reg.PushImage("team/app", "1", map[string]string{"a": "b"})
			reg.Inject(class, registrytest.Status(http.StatusForbidden))
			_, err := signAll(t.Context(), newPublisher(), parse(t, image.TagRef()), false, newSigner(t), bundle)
			if !errors.Is(err, publish.ErrNotStored) || !errors.Is(err, oci.ErrUnauthorized) {
				t.Errorf("got %v", err)
			}
		}
	})
	t.Run("OC-27 the upload goes elsewhere", func(t *testing.T) {
		t.Parallel()
		reg := registrytest.New(t, registrytest.WithBasicAuth("user", "secret"))
		victim := registrytest.NewVictim(t)
		image := reg.PushImage("team/app", "1", map[string]string{"a": "b"})
		reg.Inject(registrytest.Match{Method: http.MethodPost}, func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", victim.URL()+"/upload")
				w.WriteHeader(http.StatusAccepted)
			})
		})
		_, err := signAll(t.Context(), newPublisher(), parse(t, image.TagRef()), false, newSigner(t), bundle)
		if err == nil {
			t.Error("the upload to another host passed")
		}
	})
}

// TestCancelledAtEachRequest: cut short anywhere, either nothing or the whole
// signature is listed.
func TestCancelledAtEachRequest(t *testing.T) {
	t.Parallel()
	for n := range 14 {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t, registrytest.WithReferrers(false))
			image := reg.PushImage("team/app", "1", map[string]string{"a": "b"})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			reg.Inject(registrytest.Match{After: n, Times: 1}, func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					cancel()
					next.ServeHTTP(w, r)
				})
			})
			signer := newSigner(t)
			_, err := signAll(ctx, newPublisher(), parse(t, image.TagRef()), false, signer, bundle)
			client := oci.NewClient(oci.Options{})
			list, listErr := client.ReferrersTag(t.Context(), parse(t, image.Ref()), image.Digest)
			if listErr != nil && !errors.Is(listErr, oci.ErrNotFound) {
				t.Fatal(listErr)
			}
			if err == nil && len(list) != 1 {
				t.Errorf("success, and %d signatures are listed", len(list))
			}
			for _, d := range list {
				m, err := client.Manifest(t.Context(), parse(t, image.Ref()), d)
				if err != nil {
					t.Fatalf("a listed signature cannot be read: %v", err)
				}
				if _, err := client.Blob(t.Context(), parse(t, image.Ref()), oci.Descriptor{Digest: m.Layers[0].Digest, Size: m.Layers[0].Size}, 1<<20); err != nil {
					t.Errorf("a listed signature has no blob: %v", err)
				}
			}
		})
	}
}

func TestForeignListEntriesStay(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t, registrytest.WithReferrers(false))
	image := reg.PushImage("team/app", "1", map[string]string{"a": "b"})
	reg.Attach("team/app", image.Descriptor, registrytest.Artifact{Type: "application/vnd.example", Content: []byte("x")})
	if _, err := signAll(t.Context(), newPublisher(), parse(t, image.TagRef()), false, newSigner(t), bundle); err != nil {
		t.Fatal(err)
	}
	list, err := oci.NewClient(oci.Options{}).ReferrersTag(t.Context(), parse(t, image.Ref()), image.Digest)
	if err != nil || len(list) != 2 {
		t.Errorf("%d entries, %v", len(list), err)
	}
}

// TestBundleIsEmbedded: a reader finds the bundle in the manifest's descriptor.
func TestBundleIsEmbedded(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	image := reg.PushImage("team/app", "1", map[string]string{"a": "b"})
	ref := parse(t, image.TagRef())
	results, err := signAll(t.Context(), newPublisher(), ref, false, newSigner(t), bundle)
	if err != nil {
		t.Fatal(err)
	}
	m, err := oci.NewClient(oci.Options{}).Manifest(t.Context(), ref, oci.Descriptor{Digest: results[0].Manifest, Size: -1})
	if err != nil || !json.Valid(m.Layers[0].Data) {
		t.Fatalf("data %q, %v", m.Layers[0].Data, err)
	}
	if m.Annotations["dev.sigstore.bundle.predicateType"] != verify.SignaturePredicateType {
		t.Errorf("annotations: %v", m.Annotations)
	}
}
