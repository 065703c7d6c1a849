package sbom_test

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/hallmark-project/hallmark/sbom"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// TestSameBytes: equal content gives equal bytes in every format, whatever the
// tag, the folder above and the run.
func TestSameBytes(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	pushed := reg.PushV1("team/app", "1", smallImage())
	reg.Tag("team/app", "2", pushed.Digest)
	a, b := folderOf(t, filepath.Join(t.TempDir(), "a", "app"), small()), folderOf(t, filepath.Join(t.TempDir(), "app"), small())
	file, copied := filepath.Join(a, "usr/share/java/widget-2.1.jar"), filepath.Join(b, "usr/share/java/widget-2.1.jar")
	for name, texts := range map[string][]string{
		"image":  {pushed.TagRef(), pushed.Ref(), pushed.Name() + ":2"},
		"folder": {a, "dir:" + b, a + "/"},
		"file":   {file, "file:" + copied, file},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := sbom.Options{Formats: sbom.Formats()}
			first := generate(t, texts[0], o)
			for _, text := range texts[1:] {
				for n, document := range generate(t, text, o) {
					if !bytes.Equal(document.Raw, first[n].Raw) {
						t.Errorf("%s: %s differs", text, document.Format)
					}
				}
			}
		})
	}
}

// TestTimeAndIdentity: the time is the image's own or the one that is given, and
// another content, time or format is another document.
func TestTimeAndIdentity(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	image := reg.PushV1("team/app", "1", smallImage())
	changed := small()
	changed["srv/app/package-lock.json"] = []byte(strings.ReplaceAll(npmLock, "1.3.0", "1.3.1"))
	dir, other := folderOf(t, filepath.Join(t.TempDir(), "app"), small()), folderOf(t, filepath.Join(t.TempDir(), "app"), changed)
	given := sbom.Options{Created: time.Unix(1_700_000_000, 5)}
	seen := make(map[string]string)
	for _, test := range []struct {
		text, time string
		o          sbom.Options
	}{
		{image.TagRef(), "2026-03-04T05:06:07Z", sbom.Options{}},
		{image.TagRef(), "2023-11-14T22:13:20Z", given},
		{dir, "1970-01-01T00:00:00Z", sbom.Options{}},
		{dir, "2023-11-14T22:13:20Z", given},
		{other, "1970-01-01T00:00:00Z", sbom.Options{}},
	} {
		for _, f := range []sbom.Format{sbom.SPDX, sbom.CycloneDX} {
			test.o.Formats = one(f)
			raw := generate(t, test.text, test.o)[0].Raw
			if !bytes.Contains(raw, []byte(`"`+test.time+`"`)) {
				t.Errorf("%s as %s is not of %s", test.text, f, test.time)
			}
			for _, field := range []string{`"documentNamespace":"https://hallmark.dev/sbom/`, `"serialNumber":"urn:uuid:`} {
				if _, rest, found := bytes.Cut(raw, []byte(field)); found {
					id := string(rest[:36])
					if before, twice := seen[id]; twice {
						t.Errorf("%s and %s have the identity %s", before, test.text, id)
					}
					seen[id] = test.text
				}
			}
		}
	}
	if len(seen) != 10 {
		t.Errorf("%d identities, want ten: %v", len(seen), seen)
	}
}

// TestNothingOfThisMachine: BM-12 and KE-03. No variable, path or name of the
// machine stands in a document, and of the image no variable and no command.
func TestNothingOfThisMachine(t *testing.T) { // not parallel: it sets variables
	const marker = "marker-4f1d"
	home := filepath.Join(t.TempDir(), "home-"+marker)
	check(os.MkdirAll(home, 0o755))
	for name, text := range map[string]string{
		"HALLMARK_PASSWORD": marker, "COSIGN_PASSWORD": marker, "GOPROXY": "https://user:" + marker + "@proxy.example",
		"GOPRIVATE": marker, "GONOPROXY": marker, "GOMODCACHE": "/" + marker, "GOPATH": "/" + marker, "HOME": home, "USER": marker,
		"SYFT_REGISTRY_AUTH_PASSWORD": marker, "MAVEN_HOME": "/" + marker,
	} {
		t.Setenv(name, text)
	}
	temporary := filepath.Join(t.TempDir(), "tmp-"+marker)
	check(os.MkdirAll(temporary, 0o755))
	t.Setenv("TMPDIR", temporary)
	reg := registrytest.New(t)
	pushed := reg.PushV1("team/app", "1", imageOf(func(c *v1.ConfigFile) {
		c.Config.Env = []string{"TOKEN=" + marker}
		c.History = []v1.History{{CreatedBy: "RUN --secret " + marker}}
		c.Author = marker
	}, layerOf(tarOf(small()))))
	dir := folderOf(t, filepath.Join(home, "app"), small())
	for _, text := range []string{pushed.TagRef(), dir, filepath.Join(dir, "usr/share/java/widget-2.1.jar"), filepath.Join(dir, "srv/app/package-lock.json")} {
		for _, document := range generate(t, text, sbom.Options{Formats: sbom.Formats()}) {
			content := string(document.Raw)
			for _, word := range strings.FieldsFunc(content, func(r rune) bool { return r == '"' }) {
				if raw, err := base64.StdEncoding.DecodeString(word); err == nil && len(word) > 40 {
					content += string(raw)
				}
			}
			for _, leak := range []string{marker, os.TempDir(), filepath.Dir(dir), "hallmark-sbom-"} {
				if at := strings.Index(content, leak); at >= 0 {
					t.Errorf("%s: %s tells %q: …%s", filepath.Base(text), document.Format, leak, content[max(0, at-80):min(len(content), at+80)])
				}
			}
		}
	}
	wantEmpty(t, temporary)
}
