package oci_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// a descriptor of nothing in particular, without its braces.
var plain = `"mediaType":"x","digest":"sha256:` + strings.Repeat("a", 64) + `","size":1`

// TestParseManifest: each broken manifest is the good one with one change.
func TestParseManifest(t *testing.T) {
	t.Parallel()
	good := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"artifactType":"a/b","config":{%s},"layers":[{%s}],"subject":{%s},"annotations":{"Layers":"x"}}`, oci.TypeImage, plain, plain, plain)
	index := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{%s,"platform":{"os":"linux","architecture":"arm","variant":"v7"}}]}`, oci.TypeIndex, plain)
	m, err := oci.ParseManifest([]byte(good), oci.TypeImage)
	if err != nil {
		t.Fatal(err)
	}
	// OC-44: what an artifact is, is there to be judged.
	if m.ArtifactType != "a/b" || m.Config.MediaType != "x" || m.IsIndex() || m.Subject == nil || len(m.Layers) != 1 || m.Digest != digest.FromBytes([]byte(good)) {
		t.Errorf("read %+v", m)
	}
	if m, err = oci.ParseManifest([]byte(index), oci.TypeIndex); err != nil || len(m.Manifests) != 1 || m.Manifests[0].Platform.String() != "linux/arm/v7" {
		t.Errorf("read %+v, %v", m, err)
	}
	// OC-22: no children is no error here and no platform either; the gate refuses.
	if m, err = oci.ParseManifest([]byte(strings.Replace(index, "[{"+plain, "[], \"x\":[{"+plain, 1)), oci.TypeIndex); err != nil || len(m.Manifests) != 0 {
		t.Errorf("OC-22 an empty index: %+v, %v", m, err)
	}
	for name, test := range map[string]struct {
		from, old, new string
		want           error
	}{
		"OC-43 config twice":              {good, `"layers"`, `"config":{` + plain + `},"layers"`, oci.ErrAmbiguous},
		"OC-43 layers twice":              {good, `"subject"`, `"layers":[],"subject"`, oci.ErrAmbiguous},
		"OC-43 a digest twice":            {good, `"size":1`, `"size":1,"digest":"sha256:` + strings.Repeat("b", 64) + `"`, oci.ErrAmbiguous},
		"OC-43 manifests twice":           {index, `"manifests"`, `"manifests":[],"manifests"`, oci.ErrAmbiguous},
		"OC-43 an escaped key":            {good, `"layers"`, `"l\u0061yers":[],"layers"`, oci.ErrAmbiguous},
		"OC-43 keys in another case":      {good, `"layers"`, `"Layers"`, oci.ErrAmbiguous},
		"OC-43 both cases":                {good, `"layers"`, `"LAYERS":[],"layers"`, oci.ErrAmbiguous},
		"OC-43 a long s":                  {good, `"subject"`, `"ſubject"`, oci.ErrAmbiguous},
		"OC-43 a descriptor's other case": {good, `"layers":[{"mediaType":"x","digest"`, `"layers":[{"mediaType":"x","Digest"`, oci.ErrAmbiguous},
		"OC-43 a subject's other case":    {good, `"subject":{"mediaType":"x","digest"`, `"subject":{"mediaType":"x","DIGEST"`, oci.ErrAmbiguous},
		"OC-07 manifests in a manifest":   {good, `"subject"`, `"manifests":[],"subject"`, oci.ErrAmbiguous},
		"OC-07 layers in an index":        {index, `"manifests"`, `"layers":[],"manifests"`, oci.ErrAmbiguous},
		"OC-07 config in an index":        {index, `"manifests"`, `"config":{` + plain + `},"manifests"`, oci.ErrAmbiguous},
		"OC-07 no layers":                 {good, `"layers"`, `"x"`, oci.ErrAmbiguous},
		"OC-07 layers null":               {good, `"layers":[{` + plain + `}]`, `"layers":null`, oci.ErrAmbiguous},
		"OC-07 layers no list":            {good, `"layers":[{` + plain + `}]`, `"layers":{}`, oci.ErrAmbiguous},
		"OC-09 schema 1":                  {good, `"schemaVersion":2`, `"schemaVersion":1`, oci.ErrMediaType},
		"OC-09 schema 1's layers":         {good, `"subject"`, `"fsLayers":[],"subject"`, oci.ErrMediaType},
		"OC-09 no schema":                 {good, `"schemaVersion":2,`, ``, oci.ErrMediaType},
		"OC-08 another type":              {good, oci.TypeImage, oci.TypeDockerImage, oci.ErrMediaType},
		"OC-08 a type of another case":    {good, oci.TypeImage, strings.ToUpper(oci.TypeImage), oci.ErrMediaType},
		"OC-29 a layer without digest":    {good, `"layers":[{"mediaType":"x","digest":"sha256:` + strings.Repeat("a", 64) + `",`, `"layers":[{"mediaType":"x",`, oci.ErrDigestMismatch},
		"OC-29 a layer that is null":      {good, `"layers":[{` + plain + `}]`, `"layers":[null]`, oci.ErrDigestMismatch},
		"OC-29 a digest that is a path":   {good, `"layers":[{"mediaType":"x","digest":"sha256:` + strings.Repeat("a", 64), `"layers":[{"mediaType":"x","digest":"sha256:../../` + strings.Repeat("a", 58), oci.ErrDigestMismatch},
		"OC-31 a negative size":           {good, `"size":1`, `"size":-1`, oci.ErrSizeMismatch},
		"OC-31 a size beyond any count":   {good, `"size":1`, `"size":9223372036854775808`, oci.ErrAmbiguous},
		"OC-30 data of another size":      {good, `"size":1`, `"size":1,"data":"YWI="`, oci.ErrSizeMismatch},
		"OC-30 data of another digest":    {good, `"size":1`, `"size":1,"data":"YQ=="`, oci.ErrDigestMismatch},
		"OC-30 data that is no base64":    {good, `"size":1`, `"size":1,"data":"*"`, oci.ErrAmbiguous},
		"OC-30 more data than is taken":   {good, `"size":1`, `"size":1,"data":"` + strings.Repeat("AAAA", 400_000) + `"`, oci.ErrLimit},
		"bytes behind the document":       {good, `"annotations":{"Layers":"x"}}`, `"annotations":{}} {}`, oci.ErrAmbiguous},
		"a document that ends early":      {good, `}}`, `}`, oci.ErrAmbiguous},
		"an array":                        {good, good, `[]`, oci.ErrAmbiguous},
		"nothing":                         {good, good, ``, oci.ErrAmbiguous},
		"a byte order mark":               {good, `{"schemaVersion"`, "\ufeff" + `{"schemaVersion"`, oci.ErrAmbiguous},
		"bytes that are no UTF-8":         {good, `"a/b"`, "\"a\xff\"", oci.ErrAmbiguous},
	} {
		raw := strings.Replace(test.from, test.old, test.new, 1)
		if raw == test.from {
			t.Errorf("%s: nothing was changed", name)
		}
		sent := oci.TypeImage
		if test.from == index {
			sent = oci.TypeIndex
		}
		if _, err := oci.ParseManifest([]byte(raw), sent); !errors.Is(err, test.want) {
			t.Errorf("%s: %.300v, want %v", name, err, test.want)
		}
	}
}
