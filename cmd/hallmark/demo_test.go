package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
)

// demoIndex packs one small file, in which a scan finds one package, as the demo
// packs a program.
func demoIndex(t testing.TB) v1.ImageIndex {
	t.Helper()
	program := filepath.Join(t.TempDir(), "package.json")
	if err := os.WriteFile(program, []byte(`{"name":"left-pad","version":"1.3.0","license":"WTFPL"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	index, err := packProgram(program, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	return index
}

// TestDemo: the whole demo, with this test binary as the program. It checks itself
// that each attack is denied for its own reason; here it must also say so.
func TestDemo(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	var stdout, stderr bytes.Buffer
	a := &app{App: cli.App{Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Getenv: os.Getenv}}
	keep := filepath.Join(t.TempDir(), "play")
	if code := run(t.Context(), a, []string{"demo", "--quiet", "--keep", keep}); code != cli.ExitAllow {
		t.Fatalf("ended with %d\n%s%s", code, stdout.String(), stderr.String())
	}
	for _, reason := range []string{"NO_SIGNATURE", "SUBJECT_MISMATCH", "SIG_INVALID", "KEY_MISMATCH"} {
		if !strings.Contains(stdout.String(), "-> refused: "+reason) {
			t.Errorf("no attack was refused for %s\n%s", reason, stdout.String())
		}
	}
	stdout.Reset()
	if code := run(t.Context(), a, []string{"verify", "oci-dir:" + filepath.Join(keep, "image"), "--policy", filepath.Join(keep, "layout-policy.yaml")}); code != cli.ExitAllow {
		t.Errorf("what the demo left behind does not verify: %d\n%s%s", code, stdout.String(), stderr.String())
	}
	if code := run(t.Context(), a, []string{"demo", "--keep", keep}); code != cli.ExitUsage {
		t.Errorf("a folder that is not empty: exit code %d", code)
	}
}
