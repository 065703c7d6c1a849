package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/sign/keys"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

func TestCopy(t *testing.T) {
	t.Parallel()
	from, to := registrytest.New(t), registrytest.New(t, registrytest.WithReferrers(false))
	image := from.PushIndex("team/app", "1.2", "linux/amd64", "linux/arm64")
	private, public := newKeyPair(t, keys.ECDSAP256)
	for _, format := range []string{formatBundle, formatLegacy} {
		if got := runVerb(t.Context(), nil, "sign", "--key", private, "--recursive", "--format", format, image.TagRef()); got.code != 0 {
			t.Fatal(got.stderr)
		}
	}
	target := to.Host() + "/mirror/app"
	got := runVerb(t.Context(), nil, "copy", image.TagRef(), target, "--output", "json", "--offline")
	var result copied
	if err := json.Unmarshal([]byte(got.stdout), &result); got.code != 0 || err != nil {
		t.Fatalf("%+v, %v", got, err)
	}
	if result.Schema != copySchema || result.Destination != target+":1.2" || result.Digest != image.Digest.String() || result.Manifests != 3 || result.Evidence != 6 {
		t.Errorf("%+v", result)
	}
	if got.stderr != "" {
		t.Errorf("progress where nobody sees it: %q", got.stderr)
	}
	// Each manifest is allowed at the destination by what was copied.
	for _, p := range append(image.Children, image) {
		if got := runVerb(t.Context(), nil, "verify", "--key", public, target+"@"+p.Digest.String()); got.code != 0 {
			t.Errorf("%s: %s%s", p.Digest, got.stdout, got.stderr)
		}
	}
	again := runVerb(t.Context(), nil, "copy", image.TagRef(), target)
	if again.code != 0 || again.stdout[:13] != "there already" {
		t.Errorf("the second run: %+v", again)
	}
	one := runVerb(t.Context(), nil, "copy", "--platform", "linux/arm64", image.TagRef(), target+":arm")
	if one.code != 0 {
		t.Errorf("%+v", one)
	}
	if raw, _, _ := to.Manifest("mirror/app", "arm"); string(raw) != string(image.Children[1].Raw) {
		t.Error("--platform copied something else")
	}
}

func TestCopyRefusals(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	image := reg.PushIndex("team/app", "1.2", "linux/amd64", "linux/arm64")
	closed := registrytest.New(t, registrytest.WithBasicAuth("user", "secret"))
	for name, test := range map[string]struct {
		code  int
		args  []string
		words []string
	}{
		"no such image":           {1, []string{image.Name() + ":9", reg.Host() + "/a"}, []string{"not found"}},
		"no such platform":        {1, []string{"--platform", "linux/s390x", image.TagRef(), reg.Host() + "/a"}, []string{"linux/amd64"}},
		"not logged in":           {1, []string{image.TagRef(), closed.Host() + "/a"}, []string{"push", "logged in"}},
		"another digest":          {1, []string{image.TagRef(), reg.Host() + "/a@" + image.Children[0].Digest.String()}, []string{image.Digest.String()}},
		"a folder as destination": {64, []string{image.TagRef(), "oci-dir:x"}, []string{"oci-archive:PATH"}},
		"a bad name":              {64, []string{image.TagRef(), "UPPER/case"}, []string{"lower case"}},
		"no platform":             {64, []string{"--platform", "arm", image.TagRef(), reg.Host() + "/a"}, []string{"linux/arm64"}},
		"a bad reach":             {64, []string{"--offline=off", image.TagRef(), reg.Host() + "/a"}, []string{"registry", "all"}},
		"nothing may be asked":    {2, []string{"--offline=all", image.TagRef(), reg.Host() + "/a"}, []string{reg.Host(), "--offline=all"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := runVerb(t.Context(), nil, append([]string{"copy"}, test.args...)...)
			wantFailure(t, got, test.code, test.words...)
			if got.stdout != "" {
				t.Errorf("stdout: %s", got.stdout)
			}
		})
	}
}

// TestOffline: every verb that reads a registry keeps to it, and says which host
// was refused and why.
func TestOffline(t *testing.T) {
	t.Parallel()
	private, public := newKeyPair(t, keys.ECDSAP256)
	for name, args := range map[string][]string{
		"verify":  {"verify", "--key", public},
		"inspect": {"inspect"},
		"sbom":    {"sbom", "--out", t.TempDir()},
		"sign":    {"sign", "--key", private},
		"copy":    {"copy"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg, victim := registrytest.New(t), registrytest.NewVictim(t)
			image := reg.PushImage("team/app", "1", map[string]string{"a": "b"})
			args := append(args, "--offline", image.TagRef())
			if name == "copy" {
				args = append(args, reg.Host()+"/other:1")
			}
			reg.Inject(registrytest.Match{After: 1}, registrytest.Redirect(http.StatusTemporaryRedirect, victim.URL()+"/elsewhere"))
			got := runVerb(t.Context(), nil, args...)
			text := got.stdout + got.stderr
			if got.code != 2 || !contains(text, victim.Host(), "--offline") {
				t.Errorf("exit code %d: %s", got.code, text)
			}
			reg.ClearFaults()
			if name != "sbom" { // there is nothing in the image to list
				if got := runVerb(t.Context(), nil, args...); got.code != 0 && name != "verify" {
					t.Errorf("the image's own registry was refused: %s%s", got.stdout, got.stderr)
				}
			}
			for i, arg := range args {
				if arg == "--offline" {
					args[i] = "--offline=all"
				}
			}
			reg.Reset()
			got = runVerb(t.Context(), nil, args...)
			if text := got.stdout + got.stderr; got.code != 2 || !contains(text, reg.Host(), "--offline=all") {
				t.Errorf("exit code %d: %s", got.code, text)
			}
			if n := reg.Connections(); n > 0 && len(reg.Requests()) > 0 {
				t.Errorf("--offline=all, and the registry was asked:\n%s", reg.Log())
			}
		})
	}
}

func contains(text string, words ...string) bool {
	for _, word := range words {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}
