package sbom_test

import (
	"bytes"
	"crypto"
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/anchore/syft/syft"
	"github.com/anchore/syft/syft/cataloging"
	"github.com/anchore/syft/syft/cataloging/filecataloging"
	"github.com/anchore/syft/syft/format/cyclonedxjson"
	"github.com/anchore/syft/syft/format/spdxjson"
	"github.com/anchore/syft/syft/format/syftjson"
	syftsbom "github.com/anchore/syft/syft/sbom"
	"github.com/anchore/syft/syft/source"
	"github.com/anchore/syft/syft/source/directorysource"
	"github.com/google/go-cmp/cmp"

	"github.com/hallmark-project/hallmark/sbom"
)

// TestSameAsSyft: but for time and identity, and for what tells of this machine,
// the documents are what syft with its command's defaults and its own encoders
// writes.
func TestSameAsSyft(t *testing.T) {
	t.Parallel()
	dir := folderOf(t, filepath.Join(t.TempDir(), "app"), map[string][]byte{
		"package-lock.json": []byte(`{"name":"app","version":"1.0.0","lockfileVersion":3,"packages":{"":{"name":"app","version":"1.0.0"},"node_modules/a<b":{"version":"1.3.0"}}}`),
		"lib/widget.jar":    jar("com.example", "widget", "2.1"),
		// A package that owns a file has a verification code, and the file its digests.
		"var/lib/dpkg/status":           []byte(dpkgStatus),
		"var/lib/dpkg/info/zlib1g.list": []byte("/lib/libz.so.1\n"),
		"etc/os-release":                []byte(osRelease),
		"lib/libz.so.1":                 []byte("\x7fELF"),
	})
	from := must(directorysource.New(directorysource.Config{Path: dir, Base: dir, Alias: source.Alias{Name: "app"}}))
	config := syft.DefaultCreateSBOMConfig().WithTool("syft", sbom.SyftVersion[1:]).WithUnknownsConfig(cataloging.DefaultUnknownsConfig()).
		WithFilesConfig(filecataloging.DefaultConfig().WithHashers(crypto.SHA1, crypto.SHA256))
	model := must(syft.CreateSBOM(t.Context(), from, config))
	model.Descriptor.Configuration = nil
	model.Source.Metadata = source.DirectoryMetadata{Path: "app"}
	encoders := map[sbom.Format]syftsbom.FormatEncoder{
		sbom.SPDX:      must(spdxjson.NewFormatEncoderWithConfig(spdxjson.EncoderConfig{Version: "2.3"})),
		sbom.CycloneDX: must(cyclonedxjson.NewFormatEncoderWithConfig(cyclonedxjson.EncoderConfig{Version: "1.6"})),
		sbom.Syft:      syftjson.NewFormatEncoder(),
	}
	for _, ours := range generate(t, dir, sbom.Options{Formats: sbom.Formats()}) {
		var theirs bytes.Buffer
		check(encoders[ours.Format].Encode(&theirs, *model))
		if diff := cmp.Diff(withoutIdentity(t, theirs.Bytes()), withoutIdentity(t, ours.Raw)); diff != "" {
			t.Errorf("%s (-syft +ours):\n%s", ours.Format, diff)
		}
		if !bytes.Contains(ours.Raw, []byte("a<b")) || bytes.Count(ours.Raw, []byte("\n")) != 1 {
			t.Errorf("%s is escaped or spaced otherwise", ours.Format)
		}
		if ours.Format == sbom.SPDX && !bytes.Contains(ours.Raw, []byte(`"algorithm":"SHA1"`)) {
			t.Error("SPDX wants the SHA-1 of files (SPDX 2.3, clause 8.4)")
		}
	}
}

func withoutIdentity(t *testing.T, raw []byte) map[string]any {
	t.Helper()
	var document map[string]any
	if err := json.Unmarshal(raw, &document); err != nil {
		t.Fatal(err)
	}
	delete(document, "documentNamespace")
	delete(document, "serialNumber")
	for _, name := range []string{"creationInfo", "metadata"} {
		if inner, isObject := document[name].(map[string]any); isObject {
			delete(inner, "created")
			delete(inner, "timestamp")
		}
	}
	return document
}
