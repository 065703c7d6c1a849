package airgap_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/airgap"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

var created = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// world is a registry with a signed index.
type world struct {
	*registrytest.Registry
	image  registrytest.Pushed
	policy *policy.Policy
}

func newWorld(t *testing.T) world {
	t.Helper()
	w := world{Registry: registrytest.New(t)}
	w.image = w.PushIndex("team/app", "1.0", "linux/amd64", "linux/arm64")
	key := verifytest.NewKey(t, "ecdsa-p256")
	for _, p := range append(w.image.Children, w.image) {
		w.Attach("team/app", p.Descriptor, registrytest.Artifact{Type: verifytest.BundleMediaType, Content: key.Signature(t, p.Digest).Raw})
	}
	legacy := key.LegacySignature(t, w.image.Digest)
	w.AttachLegacy("team/app", w.image.Digest, "sig", registrytest.LegacyLayer{MediaType: oci.TypeLegacyLayer, Content: legacy.Raw, Annotations: legacy.Annotations})
	var err error
	if w.policy, err = policy.ForKey(key.Trusted); err != nil {
		t.Fatal(err)
	}
	return w
}

// item collects and judges an image.
func (w world) item(t *testing.T, text string) airgap.Item {
	t.Helper()
	ref, err := oci.ParseReference(text)
	if err != nil {
		t.Fatal(err)
	}
	client := oci.NewClient(oci.Options{})
	whole, err := oci.Collect(t.Context(), client, ref, oci.CollectOptions{Suffixes: []string{".sig", ".att", ".sbom"}})
	if err != nil {
		t.Fatal(err)
	}
	return airgap.Item{Reference: ref, Source: client, Whole: whole, Judged: gate.New(w.policy, client, gate.Options{}).Judge(t.Context(), text)}
}

// save seals the world's image and returns the path.
func (w world) save(t *testing.T, contents airgap.Contents) string {
	t.Helper()
	var raw bytes.Buffer
	if _, err := airgap.Save(t.Context(), &raw, []airgap.Item{w.item(t, w.image.TagRef())}, airgap.Options{Policy: w.policy, Created: created, Version: "test", Contents: contents}); err != nil {
		t.Fatal(err)
	}
	return write(t, raw.Bytes())
}

func write(t *testing.T, raw []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sealed.tar")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestRoundTrip: what is judged in the file is what was judged in the registry,
// without any registry.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, contents := range []airgap.Contents{"", airgap.EvidenceOnly} {
		w := newWorld(t)
		path := w.save(t, contents)
		w.Close()
		file, err := airgap.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if file.Policy.Digest() != w.policy.Digest() || len(file.Index.Images) != 1 || file.Index.Images[0].Verdict != policy.Allow || !file.Index.Created.Equal(created) {
			t.Errorf("%+v", file.Index)
		}
		image, err := file.Find(w.image.TagRef())
		if err != nil || image.Digest != w.image.Digest {
			t.Fatalf("%v, %v", image, err)
		}
		g := gate.New(file.Policy, nil, gate.Options{})
		target := file.Target(image)
		for _, answer := range g.JudgeTargets(t.Context(), []gate.Target{target}) {
			if answer.Verdict != policy.Allow || answer.Name != w.image.Name() || answer.Digest != w.image.Digest {
				t.Errorf("%+v", answer)
			}
		}
		for _, child := range w.image.Children {
			target.Reference.Digest = child.Digest
			if answer := g.JudgeTargets(t.Context(), []gate.Target{target})[0]; answer.Verdict != policy.Allow {
				t.Errorf("a platform: %+v", answer)
			}
		}
		whole, err := oci.Collect(t.Context(), file.Layout(), target.Reference.At(w.image.Digest), oci.CollectOptions{Suffixes: []string{".sig"}})
		if err != nil || len(whole.Image) != 3 || len(whole.Attached) != 4 || len(whole.Skipped) != 0 {
			t.Errorf("%+v, %v", whole, err)
		}
		_, err = file.Layout().Blob(t.Context(), target.Reference, whole.Image[0].Layers[0], 1<<20)
		if (contents == "") != (err == nil) {
			t.Errorf("contents %q, a layer: %v", contents, err)
		}
		for _, other := range []string{w.image.Name() + ":2", w.Host() + "/team/other:1.0", "elsewhere.example/team/app:1.0", w.image.Children[0].Ref()} {
			if _, err := file.Find(other); !errors.Is(err, airgap.ErrNoImage) {
				t.Errorf("%s: %v", other, err)
			}
		}
	}
}

// TestSaveIsDeterministic: equal images give equal files.
func TestSaveIsDeterministic(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, err := os.ReadFile(w.save(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(w.save(t, ""))
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("the files differ, %v", err)
	}
}

func TestSaveRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	options := airgap.Options{Policy: w.policy, Created: created}
	t.Run("nothing", func(t *testing.T) {
		if _, err := airgap.Save(t.Context(), io.Discard, nil, options); err == nil {
			t.Error("a file without images")
		}
	})
	t.Run("OC-02 another digest than was judged", func(t *testing.T) {
		item := w.item(t, w.image.TagRef())
		other := *item.Judged
		other.Digest = w.image.Children[0].Digest
		item.Judged = &other
		if _, err := airgap.Save(t.Context(), io.Discard, []airgap.Item{item}, options); !errors.Is(err, oci.ErrDigestMismatch) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("the same image twice", func(t *testing.T) {
		item := w.item(t, w.image.TagRef())
		if _, err := airgap.Save(t.Context(), io.Discard, []airgap.Item{item, item}, options); !errors.Is(err, oci.ErrAmbiguous) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("two signature tags of one digest", func(t *testing.T) {
		first := newWorld(t)
		second := first
		second.Registry = registrytest.New(t)
		twin := second.PushIndex("team/app", "1.0", "linux/amd64", "linux/arm64")
		if twin.Digest != first.image.Digest {
			t.Fatal("the twins differ")
		}
		legacy := verifytest.NewKey(t, "ecdsa-p256").LegacySignature(t, twin.Digest)
		second.AttachLegacy("team/app", twin.Digest, "sig", registrytest.LegacyLayer{MediaType: oci.TypeLegacyLayer, Content: legacy.Raw, Annotations: legacy.Annotations})
		items := []airgap.Item{first.item(t, first.image.TagRef()), second.item(t, twin.TagRef())}
		if _, err := airgap.Save(t.Context(), io.Discard, items, options); !errors.Is(err, oci.ErrAmbiguous) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a layer with another byte", func(t *testing.T) {
		broken := newWorld(t)
		item := broken.item(t, broken.image.TagRef())
		broken.Inject(registrytest.Match{Class: registrytest.Blob, Path: digestOf(t, broken)}, registrytest.FlipByte(0))
		if _, err := airgap.Save(t.Context(), io.Discard, []airgap.Item{item}, options); !errors.Is(err, oci.ErrDigestMismatch) {
			t.Errorf("got %v", err)
		}
	})
}

// digestOf is the hexadecimal digest of the first platform's layer.
func digestOf(t *testing.T, w world) string {
	t.Helper()
	var manifest struct {
		Layers []struct{ Digest string }
	}
	if err := json.Unmarshal(w.image.Children[0].Raw, &manifest); err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(manifest.Layers[0].Digest, "sha256:")
}

// TestJudgeUntil: the first end of what the policy uses, and what has ended before
// does not count.
func TestJudgeUntil(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	instance := verifytest.NewInstance(t)
	text := fmt.Sprintf(`apiVersion: hallmark.dev/v1alpha1
kind: TrustPolicy
metadata: {name: lab}
trustRoots: {lab: {sigstore: root.json}}
signers: {ci: {keyless: {trustRoot: lab, issuer: %q, subject: {uri: %q}}}}
rules: [{name: all, images: ["**"], require: {signatures: {from: [ci]}}}]
`, verifytest.DefaultIssuer, verifytest.DefaultURI)
	p, err := policy.Parse("lab.yaml", []byte(text), func(string) ([]byte, error) { return instance.TrustedRoot(t), nil })
	if err != nil {
		t.Fatal(err)
	}
	item := w.item(t, w.image.TagRef())
	item.Judged = &report.Image{Digest: w.image.Digest, Decision: policy.Decision{Verdict: policy.Deny, Reason: verify.ReasonKeyMismatch}}
	var raw bytes.Buffer
	index, err := airgap.Save(t.Context(), &raw, []airgap.Item{item}, airgap.Options{Policy: p, Created: verifytest.Now})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := p.Plan(w.image.Name())
	if err != nil {
		t.Fatal(err)
	}
	want := plan.Roots[0].Root.Expires(verifytest.Now)
	if want.IsZero() || !index.JudgeUntil.Equal(want) || !strings.Contains(index.Because, "lab") {
		t.Errorf("%v (%s), want %v", index.JudgeUntil, index.Because, want)
	}
	if err := index.Expired(want); err != nil {
		t.Errorf("at the very end: %v", err)
	}
	if err := index.Expired(want.Add(time.Second)); !errors.Is(err, airgap.ErrExpired) {
		t.Errorf("after the end: %v", err)
	}
	sooner := verifytest.Now.Add(time.Hour)
	aged, err := airgap.Save(t.Context(), io.Discard, []airgap.Item{item}, airgap.Options{Policy: p, Created: verifytest.Now, Ends: func(root *trust.Root) (time.Time, string) {
		if root.Digest() != plan.Roots[0].Root.Digest() {
			t.Error("asked about another root")
		}
		return sooner, "it is old"
	}})
	if err != nil || !aged.JudgeUntil.Equal(sooner) || aged.Because != "it is old" {
		t.Errorf("%+v, %v", aged, err)
	}
	file, err := airgap.Open(t.Context(), write(t, raw.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if file.Policy.Digest() != p.Digest() || file.Index.Images[0].Verdict != policy.Deny {
		t.Errorf("%+v", file.Index)
	}
	keys := newWorld(t)
	path, err := airgap.Open(t.Context(), keys.save(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	defer path.Close()
	if !path.Index.JudgeUntil.IsZero() || path.Index.Expired(created.AddDate(100, 0, 0)) != nil {
		t.Errorf("a key without an end: %+v", path.Index)
	}
}

// rewrite returns a tar with each file changed by change; nil leaves it out.
func rewrite(t *testing.T, path string, change func(header *tar.Header, content []byte) []byte) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	reader, writer := tar.NewReader(bytes.NewReader(raw)), tar.NewWriter(&out)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		if content = change(header, content); content == nil {
			continue
		}
		header.Size = int64(len(content))
		if err := writer.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := writer.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return write(t, out.Bytes())
}

// TestOpenRefuses: each file is a good one, changed in one place.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	good := newWorld(t).save(t, "")
	replaceIn := func(marker, from, to string) func(*tar.Header, []byte) []byte {
		return func(_ *tar.Header, content []byte) []byte {
			if !bytes.Contains(content, []byte(marker)) {
				return content
			}
			return bytes.Replace(content, []byte(from), []byte(to), 1)
		}
	}
	for name, test := range map[string]struct {
		change func(*tar.Header, []byte) []byte
		want   error
	}{
		"a policy of the same size": {replaceIn("kind: TrustPolicy", "kind", "Kind"), oci.ErrDigestMismatch},
		"an index of the same size": {replaceIn(airgap.Schema, "allow", "Allow"), oci.ErrDigestMismatch},
		"a longer policy":           {replaceIn("kind: TrustPolicy", "kind", "kind "), oci.ErrSizeMismatch},
		"no seal":                   {replaceIn("manifests", airgap.Tag, "hallmark-nothing"), airgap.ErrNotSealed},
		"no index.json": {func(h *tar.Header, content []byte) []byte {
			if h.Name == "index.json" {
				return nil
			}
			return content
		}, oci.ErrNotFound},
		"OC-33 a path that leaves": {func(h *tar.Header, content []byte) []byte {
			if h.Name == "oci-layout" {
				h.Name = "../oci-layout"
			}
			return content
		}, oci.ErrMediaType},
		"OC-35 a link in the place of a file": {func(h *tar.Header, content []byte) []byte {
			if h.Name == "index.json" {
				h.Typeflag, h.Linkname = tar.TypeSymlink, "/etc/passwd"
				return []byte{}
			}
			return content
		}, oci.ErrNotFound},
		"a file twice": {func(h *tar.Header, content []byte) []byte {
			if h.Name == "oci-layout" {
				h.Name = "index.json"
			}
			return content
		}, oci.ErrAmbiguous},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file, err := airgap.Open(t.Context(), rewrite(t, good, test.change))
			if err == nil {
				file.Close()
			}
			if !errors.Is(err, test.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	same, err := airgap.Open(t.Context(), rewrite(t, good, func(_ *tar.Header, content []byte) []byte { return content }))
	if err != nil {
		t.Fatalf("unchanged: %v", err)
	}
	same.Close()
}

// TestLayersAreChecked: a file whose layer or evidence was changed opens, and the
// changed bytes are never handed out.
func TestLayersAreChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	layer := digestOf(t, w)
	path := rewrite(t, w.save(t, ""), func(h *tar.Header, content []byte) []byte {
		if strings.HasSuffix(h.Name, layer) {
			content[0] ^= 1
		}
		return content
	})
	file, err := airgap.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	ref, err := file.Reference(file.Index.Images[0])
	if err != nil {
		t.Fatal(err)
	}
	whole, err := oci.Collect(t.Context(), file.Layout(), ref, oci.CollectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Layout().Blob(t.Context(), ref, whole.Image[0].Layers[0], 1<<20); !errors.Is(err, oci.ErrDigestMismatch) {
		t.Errorf("got %v", err)
	}
}
