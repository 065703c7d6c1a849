package sbom_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/sbom"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

func TestSecondRunComesFromTheCache(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	pushed := reg.PushV1("team/app", "1", smallImage())
	o := sbom.Options{Formats: sbom.Formats(), CacheDir: filepath.Join(t.TempDir(), "new", "cache")}
	first := generate(t, pushed.TagRef(), o)
	reg.Reset()
	for n, document := range generate(t, pushed.TagRef(), o) {
		if first[n].Cached || !document.Cached || !bytes.Equal(first[n].Raw, document.Raw) || document.Platform != "linux/amd64" {
			t.Errorf("%s: cached %t, then %t, platform %q", document.Format, first[n].Cached, document.Cached, document.Platform)
		}
	}
	if got := reg.Count("GET", registrytest.Blob); got != 1 || reg.Budgeted() != 3 {
		t.Errorf("%d blobs in %d requests, want the config alone in three:\n%s", got, reg.Budgeted(), reg.Log())
	}
	info := must(os.Stat(o.CacheDir))
	if info.Mode().Perm() != 0o700 {
		t.Errorf("the cache's mode is %v", info.Mode())
	}
	for name, other := range map[string]sbom.Options{
		"another time": {CacheDir: o.CacheDir, Created: time.Unix(1, 0)},
		"no cache":     {},
	} {
		if generate(t, pushed.TagRef(), other)[0].Cached {
			t.Errorf("%s came from the cache", name)
		}
	}
}

// TestCacheIsNotBelieved: OC-39. A flipped bit, a cut file and another document's
// file are no answer, and are replaced.
func TestCacheIsNotBelieved(t *testing.T) {
	t.Parallel()
	dir := folderOf(t, t.TempDir(), map[string][]byte{"package-lock.json": []byte(npmLock)})
	file := filepath.Join(dir, "package-lock.json")
	o := sbom.Options{CacheDir: t.TempDir()}
	first := generate(t, file, o)[0]
	kept := must(filepath.Glob(filepath.Join(o.CacheDir, "*")))
	if len(kept) != 1 {
		t.Fatalf("the cache holds %v", kept)
	}
	good := must(os.ReadFile(kept[0]))
	flip := func(at int) []byte {
		bad := bytes.Clone(good)
		bad[at] ^= 1
		return bad
	}
	generate(t, file, sbom.Options{CacheDir: o.CacheDir, Formats: one(sbom.CycloneDX)})
	var foreign []byte
	for _, name := range must(filepath.Glob(filepath.Join(o.CacheDir, "*"))) {
		if name != kept[0] {
			foreign = must(os.ReadFile(name))
		}
	}
	for name, bad := range map[string][]byte{
		"first byte": flip(0), "line break": flip(64), "middle": flip(len(good) / 2), "last byte": flip(len(good) - 1),
		"cut": good[:len(good)-1], "longer": append(bytes.Clone(good), ' '), "empty": {}, "sum alone": good[:65], "another format's": foreign,
	} {
		check(os.WriteFile(kept[0], bad, 0o600))
		if got := generate(t, file, o)[0]; got.Cached || !bytes.Equal(got.Raw, first.Raw) {
			t.Errorf("%s: cached %t", name, got.Cached)
		}
		if got := generate(t, file, o)[0]; !got.Cached || !bytes.Equal(got.Raw, first.Raw) {
			t.Errorf("%s: it was not replaced", name)
		}
	}
	// Another content under the same name is another document.
	check(os.WriteFile(file, bytes.ReplaceAll([]byte(npmLock), []byte("1.3.0"), []byte("1.3.1")), 0o600))
	if generate(t, file, o)[0].Cached {
		t.Error("a changed file came from the cache")
	}
}

func TestUnusableCacheIsNoFailure(t *testing.T) {
	t.Parallel()
	dir := folderOf(t, t.TempDir(), map[string][]byte{"package-lock.json": []byte(npmLock)})
	file := filepath.Join(dir, "package-lock.json")
	generate(t, file, sbom.Options{CacheDir: file}) // a file where the folder should be
	if generate(t, dir, sbom.Options{CacheDir: t.TempDir()})[0].Cached {
		t.Error("a folder came from the cache")
	}
}
