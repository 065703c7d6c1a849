package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// inspectWorld adds an index with every kind of evidence.
func inspectWorld(t *testing.T) (*verifyWorld, registrytest.Pushed) {
	t.Helper()
	w := newVerifyWorld(t)
	arm := w.PushImage("team/all", "", map[string]string{"app": "arm"})
	amd := w.PushImage("team/all", "", map[string]string{"app": "amd"})
	buildkit := w.PutJSON("team/all", "", oci.TypeImage, map[string]any{
		"schemaVersion": 2, "mediaType": oci.TypeImage, "config": w.PutBlob("team/all", oci.TypeConfig, []byte("{}")),
		"layers": []registrytest.Descriptor{{
			MediaType: "application/vnd.in-toto+json", Digest: w.PutBlob("team/all", "", []byte("{ }")).Digest, Size: 3,
			Annotations: map[string]string{"in-toto.io/predicate-type": "https://slsa.dev/provenance/v1"},
		}},
	})
	entries := []registrytest.Descriptor{amd.Descriptor, arm.Descriptor, buildkit.Descriptor}
	entries[0].Platform = &registrytest.Platform{OS: "linux", Architecture: "amd64"}
	entries[1].Platform = &registrytest.Platform{OS: "linux", Architecture: "arm64"}
	entries[2].Platform = &registrytest.Platform{OS: "unknown", Architecture: "unknown"}
	entries[2].Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": amd.Digest.String()}
	index := w.PutJSON("team/all", "1.0", oci.TypeIndex, map[string]any{"schemaVersion": 2, "mediaType": oci.TypeIndex, "manifests": entries})
	w.attach(index, verify.SignaturePredicateType, w.key.Signature(t, index.Digest).Raw)
	w.attach(index, "https://example.com/lie", w.key.Attestation(t, index.Digest, "https://spdx.dev/Document", `{}`).Raw)
	w.Attach("team/all", index.Descriptor, registrytest.Artifact{Type: "application/vnd.cncf.notary.signature", Content: []byte("x")})
	w.Attach("team/all", index.Descriptor, registrytest.Artifact{Type: "application/spdx+json", Content: []byte("{}")})
	w.Attach("team/all", index.Descriptor, registrytest.Artifact{Type: verifytest.BundleMediaType, Content: []byte("not a bundle")})
	legacy := w.key.LegacySignature(t, arm.Digest)
	w.AttachLegacy("team/all", arm.Digest, "sig", registrytest.LegacyLayer{MediaType: oci.TypeLegacyLayer, Content: legacy.Raw, Annotations: legacy.Annotations})
	return w, index
}

func TestInspectShowsEverything(t *testing.T) {
	t.Parallel()
	w, index := inspectWorld(t)
	code, stdout, stderr := w.hallmark("inspect", index.TagRef(), "--output", "json")
	var tree inspection
	if err := json.Unmarshal([]byte(stdout), &tree); err != nil || code != 0 || stderr != "" {
		t.Fatalf("exit code %d, %v\n%s%s", code, err, stdout, stderr)
	}
	if tree.Schema != "hallmark.dev/inspect/v1" || tree.Verified || tree.Digest != index.Digest.String() || len(tree.Platforms) != 2 {
		t.Errorf("%+v", tree)
	}
	count := func(i *inspection) string {
		var kinds []string
		for _, e := range i.Evidence {
			kinds = append(kinds, e.Kind)
		}
		return strings.Join(kinds, " ")
	}
	for want, got := range map[string]string{
		"signature attestation refused foreign other": count(&tree),
		"unsigned":  count(tree.Platforms[0]),
		"signature": count(tree.Platforms[1]),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if e := tree.Evidence[1]; e.PredicateType != "https://spdx.dev/Document" || !strings.Contains(e.Note, "https://example.com/lie") {
		t.Errorf("the annotation's lie is not shown: %+v", e)
	}
	if e := tree.Evidence[0]; e.ClaimedSigner != "key "+w.key.Trusted.Hint() || e.Format != "bundle" || e.Size == 0 {
		t.Errorf("%+v", e)
	}
	if e := tree.Platforms[0].Evidence[0]; e.PredicateType != "https://slsa.dev/provenance/v1" || !strings.Contains(e.Note, "nobody signed") {
		t.Errorf("%+v", e)
	}
}

func TestInspectText(t *testing.T) {
	t.Parallel()
	w, index := inspectWorld(t)
	code, stdout, _ := w.hallmark("inspect", index.TagRef())
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{
		"nothing below is verified", "├─ signature\n", "claims to be signed by: key " + w.key.Trusted.Hint(), "evidence of another scheme",
		"unusable evidence", "└─ platform linux/arm64", "unsigned attestation https://slsa.dev/provenance/v1", "legacy-signature in signature-tag",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is missing in:\n%s", want, stdout)
		}
	}
	for _, never := range []string{"verified by", "ALLOW", "trusted"} {
		if strings.Contains(stdout, never) {
			t.Errorf("inspect says %q and has verified nothing", never)
		}
	}
}

func TestInspectExitCodes(t *testing.T) {
	t.Parallel()
	w := newVerifyWorld(t)
	half := newVerifyWorld(t)
	half.Inject(registrytest.Match{Class: registrytest.LegacyTag}, registrytest.Status(403))
	for name, test := range map[string]struct {
		w    *verifyWorld
		args []string
		code int
		says string
	}{
		"bare image":                          {w, []string{w.bare.Ref()}, 0, "no evidence"},
		"no such image":                       {w, []string{w.Host() + "/team/none:1"}, 1, "team/none"},
		"no argument":                         {w, nil, 64, "hint"},
		"no such output":                      {w, []string{w.bare.Ref(), "--output", "xml"}, 64, "xml"},
		"no such folder":                      {w, []string{"oci-dir:" + w.dir + "/none"}, 1, w.dir + "/none"},
		"a layout":                            {w, []string{w.layout(w.signed)}, 0, "signature"},
		"a place is forbidden":                {half, []string{half.signed.Ref()}, 2, "could not look"},
		"--insecure-allow-http does not harm": {w, []string{w.bare.Ref(), "--insecure-allow-http"}, 0, "no evidence"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := test.w.hallmark(append([]string{"inspect"}, test.args...)...)
			if code != test.code || !strings.Contains(stdout+stderr, test.says) {
				t.Errorf("exit code %d, want %d and %q\n%s%s", code, test.code, test.says, stdout, stderr)
			}
		})
	}
}

func TestOpenLocal(t *testing.T) {
	t.Parallel()
	w := newVerifyWorld(t)
	withDigest := w.layout(w.signed)
	dir, pick, _ := strings.Cut(strings.TrimPrefix(withDigest, "oci-dir:"), "@")
	colon := filepath.Join(w.dir, "a:b")
	if err := os.Rename(dir, colon); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{colon: "", colon + "@" + pick: pick, colon + ":1.0": "1.0"} {
		layout, got, err := cli.OpenLocal("oci-dir", text)
		if err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", text, got, err, want)
			continue
		}
		layout.Close()
	}
	if _, _, err := cli.OpenLocal("oci-archive", colon+"/index.json"); err == nil {
		t.Error("index.json is no archive")
	}
}
