package sbom_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/anchore/syft/syft"
	"github.com/anchore/syft/syft/cataloging"
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
	})
	from := must(directorysource.New(directorysource.Config{Path: dir, Base: dir, Alias: source.Alias{Name: "app"}}))
	config := syft.DefaultCreateSBOMConfig().WithTool("syft", sbom.SyftVersion[1:]).WithUnknownsConfig(cataloging.DefaultUnknownsConfig())
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
