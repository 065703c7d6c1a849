package wording_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hallmark-project/hallmark/attest/wording"
)

func TestShort(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "short", strings.Repeat("a", 120)} {
		if got := wording.Short(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
	for _, text := range []string{strings.Repeat("a", 121), strings.Repeat("é", 100), "a" + strings.Repeat("é", 100)} {
		got := wording.Short(text)
		if len(got) > 120+len("…") || !strings.HasSuffix(got, "…") || !utf8.ValidString(got) {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	known := []string{"signatures", "signers", "sbom"}
	for word, want := range map[string]string{"signatres": "signatures", "SIGNERS": "signers", "sbum": "sbom", "rules": "", "": "", strings.Repeat("s", 65): ""} {
		if got, found := wording.Nearest(word, known); got != want || found != (want != "") {
			t.Errorf("%q: %q, %t; want %q", word, got, found, want)
		}
	}
}

func ExampleNearest() {
	near, found := wording.Nearest("signatre", []string{"signatures", "sbom"})
	fmt.Println(near, found)
	// Output: signatures true
}
