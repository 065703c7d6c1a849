package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
)

// TestReportFormats: every form of the report comes out of verify and of replay, whole,
// to standard output and to a file, with the verdict and the digest in it.
func TestReportFormats(t *testing.T) {
	t.Parallel()
	w := newVerifyWorld(t)
	seen := filepath.Join(w.dir, "seen.json")
	if code, stdout, stderr := w.hallmark("verify", w.signed.Ref(), w.bare.Ref(), "--policy", w.policyFile, "--record", seen); code != cli.ExitDeny {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	begins := map[string]string{"text": "ALLOW", "json": "{", "sarif": "{", "junit": "<?xml", "markdown": "", "html": "<!"}
	for _, format := range cli.ReportFormats {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			for _, verb := range [][]string{{"verify", w.signed.Ref(), w.bare.Ref(), "--policy", w.policyFile}, {"replay", seen}} {
				code, printed, stderr := w.hallmark(append(verb, "--output", format)...)
				if code != cli.ExitDeny || !strings.HasPrefix(strings.ToLower(printed), strings.ToLower(begins[format])) || !strings.Contains(printed, w.bare.Digest.Hex()) {
					t.Errorf("%s: exit code %d\n%s%s", verb[0], code, printed, stderr)
				}
				file := filepath.Join(t.TempDir(), "report")
				code, stdout, _ := w.hallmark(append(verb, "--output", format, "--output-file", file)...)
				kept, err := os.ReadFile(file)
				if err != nil || code != cli.ExitDeny || !strings.Contains(string(kept), w.bare.Digest.Hex()) || strings.Contains(stdout, w.bare.Digest.Hex()) {
					t.Errorf("%s to a file: exit code %d, %v\n%s", verb[0], code, err, stdout)
				}
			}
		})
	}
	if code, _, stderr := w.hallmark("verify", w.signed.Ref(), "--policy", w.policyFile, "--output", "yaml"); code != cli.ExitUsage || !strings.Contains(stderr, "sarif") {
		t.Errorf("an unknown form: exit code %d\n%s", code, stderr)
	}
}
