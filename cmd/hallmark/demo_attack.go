package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// What the attacker of the demo may do: everything that a registry allows. This is
// the attacker's hand, so it writes past package sign/publish.

const demoBundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"

func pushIndex(ctx context.Context, image string, index v1.ImageIndex) (v1.Hash, error) {
	ref, err := name.ParseReference(image)
	if err != nil {
		return v1.Hash{}, fmt.Errorf("pushing the image: %w", err)
	}
	if err := remote.WriteIndex(ref, index, remote.WithContext(ctx)); err != nil {
		return v1.Hash{}, fmt.Errorf("pushing the image: %w", err)
	}
	return index.Digest()
}

// tamper attacks four times; each attack must be refused for its own reason.
func (d *demo) tamper(ctx context.Context) error {
	d.say("Now tamper with it.")
	attacks := []struct {
		title, reason string
		attack        func(context.Context) (string, error)
	}{
		{"Attack 1: move the tag to another image.", "NO_SIGNATURE", d.moveTag},
		{"Attack 2: hang the good image's signature on another image.", "SUBJECT_MISMATCH", d.borrowSignature},
		{"Attack 3: change the signed SBOM.", "SIG_INVALID", d.changeSBOM},
		{"Attack 4: sign an image with a key that the policy does not name.", "KEY_MISMATCH", d.wrongKey},
	}
	for _, a := range attacks {
		d.say("%s", a.title)
		image, err := a.attack(ctx)
		if err != nil {
			return err
		}
		if err := d.refused(ctx, image, a.reason); err != nil {
			return err
		}
	}
	return nil
}

// moveTag pushes another image under the good image's tag.
func (d *demo) moveTag(ctx context.Context) (string, error) {
	moved := d.host + "/demo/moved:1.0"
	if err := d.copyWithEvidence(ctx, "demo/moved", func(raw []byte) []byte { return raw }); err != nil {
		return "", err
	}
	_, err := d.pushOther(ctx, moved, "moved tag")
	return moved, err
}

// borrowSignature attaches the good image's signature to another image.
func (d *demo) borrowSignature(ctx context.Context) (string, error) {
	image := d.host + "/demo/borrowed:1.0"
	subject, err := d.pushOther(ctx, image, "borrowed signature")
	if err != nil {
		return "", err
	}
	bundles, err := d.bundles(ctx)
	if err != nil {
		return "", err
	}
	for _, b := range bundles {
		if err := d.attach(ctx, "demo/borrowed", subject, b); err != nil {
			return "", err
		}
	}
	return image, nil
}

// changeSBOM copies the image with all its evidence to another place and changes
// the SBOM's payload on the way.
func (d *demo) changeSBOM(ctx context.Context) (string, error) {
	return d.host + "/demo/changed:1.0", d.copyWithEvidence(ctx, "demo/changed", func(raw []byte) []byte {
		var bundle map[string]any
		if json.Unmarshal(raw, &bundle) != nil {
			return raw
		}
		envelope, _ := bundle["dsseEnvelope"].(map[string]any)
		payload, _ := envelope["payload"].(string)
		plain, err := decodeText(payload)
		if err != nil || !bytes.Contains(plain, []byte("https://spdx.dev/Document")) {
			return raw
		}
		envelope["payload"] = encodeText(bytes.Replace(plain, []byte("github.com/spf13/cobra"), []byte("github.com/spf13/c0bra"), 1))
		changed, err := json.Marshal(bundle)
		if err != nil {
			return raw
		}
		return changed
	})
}

// wrongKey signs another image with a key of the attacker's own.
func (d *demo) wrongKey(ctx context.Context) (string, error) {
	image := d.host + "/demo/stranger:1.0"
	if _, err := d.pushOther(ctx, image, "wrong key"); err != nil {
		return "", err
	}
	if err := d.hallmark(ctx, "key", "generate", "--format", "pkcs8", "--no-password", "--out", d.path("attacker")); err != nil {
		return "", err
	}
	return image, d.hallmark(ctx, "sign", image, "--key", d.path("attacker.key"))
}

// pushOther pushes an index of one small image that nobody has signed.
func (d *demo) pushOther(ctx context.Context, image, content string) (v1.Descriptor, error) {
	layer := static.NewLayer([]byte(content), types.OCILayer)
	other, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), layer)
	if err != nil {
		return v1.Descriptor{}, fmt.Errorf("making another image: %w", err)
	}
	index := mutate.IndexMediaType(mutate.AppendManifests(empty.Index, mutate.IndexAddendum{
		Add: other, Descriptor: v1.Descriptor{Platform: &demoPlatforms[0]},
	}), types.OCIImageIndex)
	digest, err := pushIndex(ctx, image, index)
	if err != nil {
		return v1.Descriptor{}, err
	}
	size, err := index.Size()
	return v1.Descriptor{MediaType: types.OCIImageIndex, Digest: digest, Size: size}, err
}

// demoBundle is one piece of the good image's evidence with its subject.
type demoBundle struct {
	subject     v1.Descriptor
	image       v1.Image // the manifest that carries it
	raw         []byte
	annotations map[string]string
}

// bundles reads all evidence of the good image and its platforms.
func (d *demo) bundles(ctx context.Context) ([]demoBundle, error) {
	repository, err := name.NewRepository(d.host + "/demo/hallmark")
	if err != nil {
		return nil, err
	}
	index, err := remote.Index(repository.Tag("1.0"), remote.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	digest, err := index.Digest()
	if err != nil {
		return nil, err
	}
	size, err := index.Size()
	if err != nil {
		return nil, err
	}
	subjects := append([]v1.Descriptor{{MediaType: manifest.MediaType, Digest: digest, Size: size}}, manifest.Manifests...)
	var all []demoBundle
	for _, subject := range subjects {
		subject.Platform = nil
		referrers, err := remote.Referrers(repository.Digest(subject.Digest.String()), remote.WithContext(ctx))
		if err != nil {
			return nil, err
		}
		list, err := referrers.IndexManifest()
		if err != nil {
			return nil, err
		}
		for _, referrer := range list.Manifests {
			image, err := remote.Image(repository.Digest(referrer.Digest.String()), remote.WithContext(ctx))
			if err != nil {
				return nil, err
			}
			raw, annotations, err := bundleOf(image)
			if err != nil {
				return nil, err
			}
			all = append(all, demoBundle{subject: subject, image: image, raw: raw, annotations: annotations})
		}
	}
	if len(all) == 0 {
		return nil, errors.New("the good image has no evidence to tamper with")
	}
	return all, nil
}

func bundleOf(image v1.Image) ([]byte, map[string]string, error) {
	manifest, err := image.Manifest()
	if err != nil {
		return nil, nil, err
	}
	layers, err := image.Layers()
	if err != nil {
		return nil, nil, err
	}
	if len(layers) != 1 {
		return nil, nil, fmt.Errorf("a piece of evidence has %d layers", len(layers))
	}
	body, err := layers[0].Compressed()
	if err != nil {
		return nil, nil, err
	}
	defer body.Close()
	raw, err := io.ReadAll(body)
	return raw, manifest.Annotations, err
}

// attach hangs a bundle on a subject, as anybody may who can push.
func (d *demo) attach(ctx context.Context, repository string, subject v1.Descriptor, b demoBundle) error {
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), "application/vnd.dev.sigstore.bundle.v0.3+json")
	image, err := mutate.AppendLayers(image, static.NewLayer(b.raw, demoBundleType))
	if err != nil {
		return err
	}
	// The subject comes last: setting annotations afterwards would lose it.
	referrer := mutate.Subject(mutate.Annotations(image, b.annotations).(v1.Image), subject).(v1.Image)
	digest, err := referrer.Digest()
	if err != nil {
		return err
	}
	ref, err := name.NewDigest(d.host + "/" + repository + "@" + digest.String())
	if err != nil {
		return err
	}
	return remote.Write(ref, referrer, remote.WithContext(ctx))
}

// copyWithEvidence copies the good image to another repository, and its evidence
// through change.
func (d *demo) copyWithEvidence(ctx context.Context, repository string, change func([]byte) []byte) error {
	ref, err := name.ParseReference(d.image)
	if err != nil {
		return err
	}
	index, err := remote.Index(ref, remote.WithContext(ctx))
	if err != nil {
		return err
	}
	if _, err := pushIndex(ctx, d.host+"/"+repository+":1.0", index); err != nil {
		return err
	}
	all, err := d.bundles(ctx)
	if err != nil {
		return err
	}
	for _, b := range all {
		b.raw = change(b.raw)
		if err := d.attach(ctx, repository, b.subject, b); err != nil {
			return err
		}
	}
	return nil
}

// saveLayout writes the good image and its evidence as an OCI layout, with a
// policy that names it there.
func (d *demo) saveLayout(ctx context.Context) error {
	ref, err := name.ParseReference(d.image)
	if err != nil {
		return err
	}
	index, err := remote.Index(ref, remote.WithContext(ctx))
	if err != nil {
		return err
	}
	path, err := layout.Write(d.path("image"), empty.Index)
	if err != nil {
		return err
	}
	if err := path.AppendIndex(index); err != nil {
		return err
	}
	all, err := d.bundles(ctx)
	if err != nil {
		return err
	}
	for _, b := range all {
		if err := path.AppendImage(b.image, layout.WithAnnotations(map[string]string{"dev.hallmark.evidence": "true"})); err != nil {
			return err
		}
	}
	policy := strings.Replace(fmt.Sprintf(demoPolicy, d.host), d.host+"/**", "**", 1)
	return os.WriteFile(d.path("layout-policy.yaml"), []byte(policy), 0o644)
}
