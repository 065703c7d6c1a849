package cli

import (
	"fmt"
	"os"
	"strings"

	"github.com/hallmark-project/hallmark/verify/oci"
)

// CutLocal recognises "oci-dir:PATH" and "oci-archive:PATH".
func CutLocal(image string) (kind, rest string, local bool) {
	kind, rest, found := strings.Cut(image, ":")
	return kind, rest, found && (kind == "oci-dir" || kind == "oci-archive")
}

// OpenLocal opens a layout: PATH, PATH:TAG or PATH@DIGEST. pick is the tag or
// digest. A path that exists as it stands has neither.
func OpenLocal(kind, text string) (layout *oci.Layout, pick string, err error) {
	path := text
	if _, missing := os.Stat(text); missing != nil {
		if before, digest, found := strings.Cut(text, "@"); found {
			path, pick = before, digest
		} else if colon := strings.LastIndex(text, ":"); colon > strings.LastIndex(text, "/") {
			path, pick = text[:colon], text[colon+1:]
		}
	}
	if kind == "oci-dir" {
		layout, err = oci.OpenLayout(path)
	} else {
		layout, err = oci.OpenArchive(path)
	}
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", kind, err)
	}
	return layout, pick, nil
}
