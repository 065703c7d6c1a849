package sbom_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/gzip"

	"github.com/hallmark-project/hallmark/sbom"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// TestTargetsAreNotGuessed: a mistyped path is no such file, and asks nobody. There
// is no client, so that a look at a registry would be another error.
func TestTargetsAreNotGuessed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	packed := filepath.Join(dir, "files.tar")
	check(os.WriteFile(packed, tarOf(small()), 0o600))
	zipped := filepath.Join(dir, "files.tgz")
	out := must(os.Create(zipped))
	writer := gzip.NewWriter(out)
	must(writer.Write(tarOf(small())))
	check(errors.Join(writer.Close(), out.Close()))
	for text, want := range map[string]error{
		"./nosuch": sbom.ErrNoTarget, "../nosuch": sbom.ErrNoTarget, "/no/such/path": sbom.ErrNoTarget, "~/nosuch": sbom.ErrNoTarget,
		"nosuch": sbom.ErrNoTarget, "nosuch/app": sbom.ErrNoTarget, "nosuch.tar": sbom.ErrNoTarget, "my.dir/": sbom.ErrNoTarget,
		"Not/A/Reference": sbom.ErrNoTarget, "": sbom.ErrNoTarget, "../sbom/nosuch:1": sbom.ErrNoTarget, dir + "/nosuch:1": sbom.ErrNoTarget,
		"dir:nosuch": sbom.ErrNoTarget, "file:nosuch": sbom.ErrNoTarget, "oci-dir:nosuch": sbom.ErrNoTarget, "oci-archive:nosuch": sbom.ErrNoTarget,
		"docker-archive:nosuch": sbom.ErrNoTarget, "dir:target_test.go": sbom.ErrNoTarget, "file:.": sbom.ErrNoTarget, "oci-dir:.": sbom.ErrNoTarget,
		"registry:Not/A/Reference": oci.ErrReference, "registry:": oci.ErrReference,
		packed: sbom.ErrArchive, zipped: sbom.ErrArchive, "docker-archive:" + packed: oci.ErrNotFound, "oci-archive:" + packed: sbom.ErrNoTarget,
		"docker-archive:" + zipped: oci.ErrMediaType,
	} {
		if _, err := sbom.Open(t.Context(), text, sbom.OpenOptions{}); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
	if _, err := sbom.Open(t.Context(), dir, sbom.OpenOptions{Platform: "linux/amd64"}); !errors.Is(err, sbom.ErrPlatform) {
		t.Errorf("a folder of a platform: %v", err)
	}
}

func TestTargetsAreWhatTheyAre(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	folder, archive := writeLayout(t, dir, smallImage())
	plain := folderOf(t, filepath.Join(dir, "plain"), small())
	for text, want := range map[string]sbom.Kind{
		folder: sbom.KindLayout, "dir:" + folder: sbom.KindFolder, archive: sbom.KindArchive, plain: sbom.KindFolder,
		filepath.Join(plain, "srv/app/package-lock.json"): sbom.KindFile, filepath.Join(plain, "usr/share/java/widget-2.1.jar"): sbom.KindFile,
	} {
		if got := open(t, text, sbom.OpenOptions{}); len(got) != 1 || got[0].Kind != want {
			t.Errorf("%s is %v, want %s", text, got[0].Kind, want)
		}
	}
	digest := open(t, folder, sbom.OpenOptions{})[0].Digest
	if got := open(t, "oci-dir:"+folder+"@"+digest.String(), sbom.OpenOptions{}); got[0].Digest != digest || got[0].Name != "app" {
		t.Errorf("by digest: %+v", got[0])
	}
}
