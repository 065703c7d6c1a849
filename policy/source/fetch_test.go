package source_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/source"
	"github.com/hallmark-project/hallmark/sign/publish"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

const (
	repository = "policies/prod"
	older      = "2026-01-01T00:00:00Z"
	newer      = "2026-02-01T00:00:00Z"
)

// world is a registry with policies, and who may sign them.
type world struct {
	*registrytest.Registry
	t     *testing.T
	key   *verifytest.Key
	cache source.Cache
}

func newWorld(t *testing.T, options ...registrytest.Option) *world {
	t.Helper()
	return &world{registrytest.New(t, options...), t, verifytest.NewKey(t, "ecdsa-p256"), source.Cache{Dir: filepath.Join(t.TempDir(), "cache")}}
}

// artifact is what put writes; the zero value's fields are those of a good one.
type artifact struct {
	kind, layer, created string
	layers               [][]byte
}

// put stores a policy artifact under a tag.
func (w *world) put(tag string, a artifact) registrytest.Pushed {
	w.t.Helper()
	or := func(text, other string) string {
		if text == "" {
			return other
		}
		return text
	}
	if a.layers == nil {
		a.layers = [][]byte{[]byte("policy of " + or(a.created, older))}
	}
	config := w.PutBlob(repository, oci.TypeEmpty, []byte("{}"))
	layers := []registrytest.Descriptor{}
	for _, raw := range a.layers {
		layers = append(layers, w.PutBlob(repository, or(a.layer, source.ArtifactType), raw))
	}
	return w.PutJSON(repository, tag, oci.TypeImage, map[string]any{
		"schemaVersion": 2, "mediaType": oci.TypeImage, "artifactType": or(a.kind, source.ArtifactType),
		"config": config, "layers": layers, "annotations": map[string]string{source.AnnotationCreated: or(a.created, older)},
	})
}

// sign attaches a signature.
func (w *world) sign(on registrytest.Pushed, key *verifytest.Key) registrytest.Pushed {
	w.t.Helper()
	w.Attach(on.Repository, on.Descriptor, registrytest.Artifact{
		Type: verifytest.BundleMediaType, Content: key.Signature(w.t, on.Digest).Raw, Embed: true,
		Annotations: map[string]string{"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": verify.SignaturePredicateType},
	})
	return on
}

// fetcher wants the key's signature.
func (w *world) fetcher(key *verifytest.Key) *source.Fetcher {
	w.t.Helper()
	f := &source.Fetcher{Registry: oci.NewClient(oci.Options{}), Cache: w.cache}
	if key != nil {
		signer, err := policy.ForKey(key.Trusted)
		if err != nil {
			w.t.Fatal(err)
		}
		f.Signer = signer
	}
	return f
}

func (w *world) fetch(f *source.Fetcher, text string) (source.Fetched, error) {
	w.t.Helper()
	ref, err := source.ParseReference(source.Scheme + text)
	if err != nil {
		w.t.Fatal(err)
	}
	return f.Fetch(w.t.Context(), ref)
}

// TestFetch: what is signed comes back by tag and by digest, and a digest alone is
// enough for an unsigned one.
func TestFetch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pushed := w.sign(w.put("v1", artifact{}), w.key)
	for _, text := range []string{pushed.TagRef(), pushed.Ref()} {
		got, err := w.fetch(w.fetcher(w.key), text)
		if err != nil || string(got.Data) != "policy of "+older || got.Reference.Digest != pushed.Digest || got.Created.Format(time.RFC3339) != older {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	unsigned := w.put("v2", artifact{created: newer})
	if got, err := w.fetch(w.fetcher(nil), unsigned.Ref()); err != nil || string(got.Data) != "policy of "+newer {
		t.Errorf("unsigned, by digest: %+v, %v", got, err)
	}
}

// TestFetchRefuses: nothing but a policy by the wanted signer comes back, and each
// refusal says why. Each case differs from a good one in what its name says.
func TestFetchRefuses(t *testing.T) {
	t.Parallel()
	huge := []byte(strings.Repeat("#", policy.MaxBytes+1))
	for name, c := range map[string]struct {
		artifact artifact
		change   func(w *world, p registrytest.Pushed)
		unsigned bool
		other    bool
		want     error
	}{
		"unsigned":                 {unsigned: true, want: source.ErrNotSigned},
		"wrong signer":             {other: true, want: source.ErrNotSigned},
		"another artifact (OC-44)": {artifact: artifact{kind: "application/vnd.example"}, want: source.ErrNoPolicy},
		"wrong media type":         {artifact: artifact{layer: "application/yaml"}, want: source.ErrNoPolicy},
		"two layers":               {artifact: artifact{layers: [][]byte{[]byte("a"), []byte("b")}}, want: source.ErrNoPolicy},
		"no layer":                 {artifact: artifact{layers: [][]byte{}}, want: source.ErrNoPolicy},
		"no time":                  {artifact: artifact{created: "soon"}, want: source.ErrNoPolicy},
		"huge":                     {artifact: artifact{layers: [][]byte{huge}}, want: oci.ErrLimit},
		"digest mismatch of the layer": {change: func(w *world, _ registrytest.Pushed) {
			w.Inject(registrytest.Match{Class: registrytest.Blob, Method: http.MethodGet}, registrytest.FlipByte(0))
		}, want: oci.ErrDigestMismatch},
		"digest mismatch of the manifest": {change: func(w *world, p registrytest.Pushed) {
			w.Inject(registrytest.Match{Path: p.Digest.String()}, registrytest.RewriteBody(func(raw []byte) []byte {
				return []byte(strings.Replace(string(raw), older, newer, 1))
			}))
		}, want: oci.ErrDigestMismatch},
		"401": {change: func(w *world, _ registrytest.Pushed) {
			w.Inject(registrytest.Match{}, registrytest.Status(http.StatusUnauthorized))
		}, want: oci.ErrUnauthorized},
		"401 at the signatures": {change: func(w *world, _ registrytest.Pushed) {
			w.Inject(registrytest.Match{Class: registrytest.Referrers}, registrytest.Status(http.StatusUnauthorized))
		}, want: source.ErrUndetermined},
		"the registry is down": {change: func(w *world, _ registrytest.Pushed) { w.Close() }, want: oci.ErrUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			pushed := w.put("v1", c.artifact)
			if !c.unsigned {
				w.sign(pushed, w.key)
			}
			wanted := w.key
			if c.other {
				wanted = verifytest.NewKey(t, "ecdsa-p256")
			}
			if c.change != nil {
				c.change(w, pushed)
			}
			for _, text := range []string{pushed.TagRef(), pushed.Ref()} {
				if got, err := w.fetch(w.fetcher(wanted), text); !errors.Is(err, c.want) || got.Data != nil {
					t.Errorf("%s: %q, %v; want %v", text, got.Data, err, c.want)
				}
			}
			if entries, _ := os.ReadDir(w.cache.Dir); len(entries) > 1 { // what the tag was seen with
				t.Errorf("the cache has %d files", len(entries))
			}
		})
	}
}

// TestFetchTagAlone: without a signer a tag is refused before anything is asked.
func TestFetchTagAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pushed := w.put("v1", artifact{})
	w.Reset()
	if _, err := w.fetch(w.fetcher(nil), pushed.TagRef()); !errors.Is(err, source.ErrUnpinned) || w.Budgeted() != 0 {
		t.Errorf("%v after %d requests", err, w.Budgeted())
	}
}

// TestFetchTagMoves: OC-02. The tag is resolved once; what it names later is not read.
func TestFetchTagMoves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := w.sign(w.put("v1", artifact{}), w.key)
	evil := w.put("v2", artifact{layers: [][]byte{[]byte("evil")}})
	w.FlipTag(repository, "v1", 1, evil)
	got, err := w.fetch(w.fetcher(w.key), good.TagRef())
	if err != nil || got.Reference.Digest != good.Digest || string(got.Data) != "policy of "+older {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := w.fetch(w.fetcher(w.key), good.TagRef()); !errors.Is(err, source.ErrNotSigned) {
		t.Errorf("the moved tag: %+v, %v", got, err)
	}
}

// TestFetchRollback: a tag may go forward and not back, also where both policies are
// signed. By digest the older one can be had, and a new signer starts anew.
func TestFetchRollback(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.sign(w.put("prod", artifact{}), w.key)
	second := w.sign(w.put("other", artifact{created: newer}), w.key)
	f := w.fetcher(w.key)
	for _, step := range []struct {
		to   registrytest.Pushed
		want error
	}{{first, nil}, {second, nil}, {second, nil}, {first, source.ErrOlder}, {first, source.ErrOlder}, {second, nil}} {
		w.Tag(repository, "prod", step.to.Digest)
		if _, err := w.fetch(f, first.TagRef()); !errors.Is(err, step.want) {
			t.Fatalf("to %s: %v, want %v", step.to.Digest.Short(), err, step.want)
		}
	}
	if _, err := w.fetch(f, first.Ref()); err != nil {
		t.Error(err)
	}
	untimed := w.sign(w.PutJSON(repository, "prod", oci.TypeImage, map[string]any{
		"schemaVersion": 2, "mediaType": oci.TypeImage, "artifactType": source.ArtifactType,
		"config": w.PutBlob(repository, oci.TypeEmpty, []byte("{}")), "layers": []any{w.PutBlob(repository, source.ArtifactType, []byte("no time"))},
	}), w.key)
	if _, err := w.fetch(f, untimed.TagRef()); !errors.Is(err, source.ErrOlder) {
		t.Errorf("without a time: %v", err)
	}
	// What the memory says is not guessed when it is damaged.
	for _, name := range glob(t, w.cache.Dir, "tag-*") {
		if err := os.WriteFile(name, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.fetch(f, second.TagRef()[:strings.LastIndex(second.TagRef(), ":")]+":prod"); err == nil {
		t.Error("a damaged memory is taken for none")
	}
}

func glob(t *testing.T, dir, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no %s: %v", pattern, err)
	}
	return names
}

// TestFetchOffline: a digest comes from the cache without any network, for the signer
// that was proved and no other; never by tag. OC-39: a changed file is no answer.
func TestFetchOffline(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pushed := w.sign(w.put("v1", artifact{}), w.key)
	if _, err := w.fetch(w.fetcher(w.key), pushed.TagRef()); err != nil {
		t.Fatal(err)
	}
	offline := func(key *verifytest.Key) *source.Fetcher {
		f := w.fetcher(key)
		f.Registry = oci.NewClient(oci.Options{Reach: oci.ReachNothing})
		return f
	}
	got, err := w.fetch(offline(w.key), pushed.Ref())
	if err != nil || !got.Cached || string(got.Data) != "policy of "+older || got.Reference.Digest != pushed.Digest {
		t.Errorf("%+v, %v", got, err)
	}
	for name, refuse := range map[string]func() error{
		"by tag":         func() error { _, err := w.fetch(offline(w.key), pushed.TagRef()); return err },
		"another signer": func() error { _, err := w.fetch(offline(verifytest.NewKey(t, "ecdsa-p256")), pushed.Ref()); return err },
		"another digest": func() error {
			_, err := w.fetch(offline(w.key), pushed.Name()+"@"+digest.FromBytes([]byte("x")).String())
			return err
		},
	} {
		if err := refuse(); !errors.Is(err, oci.ErrOffline) {
			t.Errorf("%s: %v", name, err)
		}
	}
	name := glob(t, w.cache.Dir, "policy-*")[0]
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 5, len(raw) / 2, len(raw) - 1} {
		broken := append([]byte(nil), raw...)
		broken[i] ^= 1
		if err := os.WriteFile(name, broken, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := w.fetch(offline(w.key), pushed.Ref()); !errors.Is(err, oci.ErrOffline) {
			t.Errorf("byte %d changed: %+v, %v", i, got, err)
		}
	}
	if got, err := w.fetch(w.fetcher(w.key), pushed.Ref()); err != nil || got.Cached {
		t.Errorf("with a network: %+v, %v", got, err)
	}
}

// TestFetchEnds: a caller that gives up is heard, and nothing is fetched after.
func TestFetchEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pushed := w.sign(w.put("v1", artifact{}), w.key)
	w.Inject(registrytest.Match{Class: registrytest.Referrers}, registrytest.Hang())
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	ref, err := source.ParseReference(source.Scheme + pushed.Ref())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.fetcher(w.key).Fetch(ctx, ref); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// TestSameForm: what is written is what is read.
func TestSameForm(t *testing.T) {
	t.Parallel()
	if source.ArtifactType != publish.PolicyArtifactType {
		t.Errorf("%s is written and %s is read", publish.PolicyArtifactType, source.ArtifactType)
	}
}

// TestParseReference: nothing is guessed.
func TestParseReference(t *testing.T) {
	t.Parallel()
	zeros := "sha256:" + strings.Repeat("0", 64)
	for _, good := range []string{"oci://registry.example/p:v1", "oci://localhost/p:1", "oci://127.0.0.1:5000/a/b@" + zeros, "oci://registry.example/p:v1@" + zeros} {
		if ref, err := source.ParseReference(good); err != nil || !strings.HasPrefix(good, source.Scheme+ref.Host) {
			t.Errorf("%s: %+v, %v", good, ref, err)
		}
	}
	for _, bad := range []string{"", "oci://", "registry.example/p:v1", "oci://p:v1", "oci://policies/prod:v1", "oci://registry.example/p", "oci://registry.example:5000/p", "oci://registry.example/P:v1", "oci://registry.example/p@sha256:00", "oci://registry.example/../p:v1", "OCI://registry.example/p:v1"} {
		if ref, err := source.ParseReference(bad); !errors.Is(err, oci.ErrReference) {
			t.Errorf("%q: %+v, %v", bad, ref, err)
		}
	}
}

// TestCacheIsBounded: the oldest policies go, the newest and what tags were seen with
// stay.
func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pushed := w.sign(w.put("v1", artifact{}), w.key)
	if _, err := w.fetch(w.fetcher(w.key), pushed.TagRef()); err != nil {
		t.Fatal(err)
	}
	old := time.Unix(1, 0)
	for i := range 300 {
		name := filepath.Join(w.cache.Dir, "policy-"+digest.FromBytes([]byte{byte(i), byte(i >> 8)}).Hex())
		if err := errors.Join(os.WriteFile(name, nil, 0o600), os.Chtimes(name, old, old)); err != nil {
			t.Fatal(err)
		}
	}
	newest := w.sign(w.put("v2", artifact{created: newer}), w.key)
	if _, err := w.fetch(w.fetcher(w.key), newest.Ref()); err != nil {
		t.Fatal(err)
	}
	if kept := len(glob(t, w.cache.Dir, "policy-*")); kept != 200 {
		t.Errorf("%d are kept", kept)
	}
	glob(t, w.cache.Dir, "tag-*")
	for _, one := range []registrytest.Pushed{pushed, newest} {
		if got, err := w.fetch(w.fetcher(w.key), one.Ref()); err != nil || !got.Cached {
			t.Errorf("%s: %+v, %v", one.Digest.Short(), got.Cached, err)
		}
	}
}
