package e2e

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// peerModules are the modules in which peers keep policies of their own: examples and
// what their tests use, broken ones too.
var peerModules = map[string]struct {
	module, from string
	is           *regexp.Regexp
	converted    int // how many are converted, at least; with their losses accepted
}{
	"policy-controller": {"github.com/sigstore/policy-controller@v0.13.1", "policy-controller", regexp.MustCompile(`(?m)^kind: ClusterImagePolicy`), 90},
	"kyverno":           {"github.com/kyverno/kyverno@v1.19.1", "kyverno", regexp.MustCompile(`(?m)verifyImages:|^kind: ImageValidatingPolicy`), 100},
	"containers":        {"go.podman.io/image/v5@v5.42.0", "containers", regexp.MustCompile(`(?m)^    "default": \[`), 2},
}

// moduleDir downloads a module and returns its folder.
func moduleDir(t *testing.T, module string) string {
	t.Helper()
	command := exec.Command("go", "mod", "download", "-json", module)
	command.Dir = t.TempDir()
	command.Env = append(os.Environ(), "GOTOOLCHAIN=local", "GOFLAGS=-mod=mod", "GOWORK=off")
	if err := os.WriteFile(filepath.Join(command.Dir, "go.mod"), []byte("module peers\n\ngo 1.26.8\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go mod download %s: %v\n%s", module, err, out)
	}
	var answer struct{ Dir string }
	if err := json.Unmarshal(out, &answer); err != nil || answer.Dir == "" {
		t.Fatalf("go mod download %s: %v\n%s", module, err, out)
	}
	return answer.Dir
}

// TestConvertPeersOwnPolicies converts every policy that a peer's own module holds. Each
// ends with a policy that lint has no fault with, or with an error that names the file;
// what is lost is said with its file; nothing is written without --accept-loss.
func TestConvertPeersOwnPolicies(t *testing.T) {
	t.Parallel()
	for peer, c := range peerModules {
		t.Run(peer, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			root := moduleDir(t, c.module)
			var whole, lossy, refused int
			err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
				if err != nil || entry.IsDir() || !regexp.MustCompile(`\.(yaml|yml|json)$`).MatchString(path) {
					return err
				}
				raw, err := os.ReadFile(path)
				if err != nil || !c.is.Match(raw) {
					return err
				}
				name := strings.TrimPrefix(path, root)
				strict := hallmark(t, dir, "policy", "convert", "--from", c.from, path, "--out", "strict.yaml")
				_, missing := os.Stat(filepath.Join(dir, "strict.yaml"))
				if (strict.code == 0) != (missing == nil) {
					t.Errorf("%s: ended with %d, and the file: %v", name, strict.code, missing)
				}
				os.Remove(filepath.Join(dir, "strict.yaml"))
				if strings.Contains(strict.stderr, "internal fault") {
					t.Errorf("%s: %s", name, strict.stderr)
				}
				if strict.code != 0 && !strings.Contains(strict.stderr, filepath.Base(path)) {
					t.Errorf("%s: the file is not named: %s", name, strict.stderr)
				}
				accepted := hallmark(t, dir, "policy", "convert", "--from", c.from, path, "--accept-loss", "--out", "accepted.yaml")
				switch {
				case strict.code == 0:
					whole++
				case accepted.code == 0:
					lossy++
					if !strings.Contains(strict.stderr+strict.stdout, "lost: "+path+":") {
						t.Errorf("%s: its losses are not told: %s%s", name, strict.stdout, strict.stderr)
					}
				default:
					refused++
					t.Logf("refused %s: %s", name, strings.SplitN(accepted.stderr, "\n", 2)[0])
					return nil
				}
				lint := hallmark(t, dir, "policy", "lint", "accepted.yaml", "--output", "json")
				if strings.Contains(lint.stdout, `"level": "error"`) || lint.code > 1 {
					t.Errorf("%s: lint says %d\n%s\n%s", name, lint.code, lint.stdout, lint.stderr)
				}
				return os.Remove(filepath.Join(dir, "accepted.yaml"))
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s: %d converted whole, %d with losses, %d refused", c.module, whole, lossy, refused)
			if whole+lossy < c.converted {
				t.Errorf("%d are converted, want %d", whole+lossy, c.converted)
			}
		})
	}
}
