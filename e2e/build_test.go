package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// module is a Go module and the programs that are built in it, with their packages;
// its go.mod pins versions.
type module struct {
	dir      string
	stamp    string // file beside the programs
	programs map[string]string
}

var modules = []module{
	{".", "e2e.stamp", map[string]string{
		"cosign":   "github.com/sigstore/cosign/v2/cmd/cosign",
		"registry": "github.com/distribution/distribution/v3/cmd/registry",
		"syft":     "github.com/anchore/syft/cmd/syft",
	}},
	{"sigstore", "sigstore.stamp", map[string]string{
		"fulcio":        "github.com/sigstore/fulcio",
		"rekor1":        "github.com/sigstore/rekor/cmd/rekor-server",
		"rekor2":        "github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix",
		"localtrillian": "./cmd/localtrillian",
		"localtsa":      "./cmd/localtsa",
	}},
}

// build makes the programs that are missing. A change of a module's sums, or of the
// sources of its own programs, makes all of that module anew.
func build() error {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	for _, m := range modules {
		if err := m.build(); err != nil {
			return err
		}
	}
	return nil
}

func (m module) build() error {
	sum, err := m.sum()
	if err != nil {
		return err
	}
	stamp := filepath.Join(cache, m.stamp)
	if kept, err := os.ReadFile(stamp); err != nil || !bytes.Equal(kept, sum) {
		for name := range m.programs {
			os.Remove(filepath.Join(cache, name))
		}
	}
	for name, path := range m.programs {
		if _, err := os.Stat(filepath.Join(cache, name)); err == nil {
			continue
		}
		// One after another: each takes both cores.
		command := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(cache, name), path)
		command.Dir = m.dir
		command.Env = append(os.Environ(), "CGO_ENABLED=0") // as make build does: one build cache
		command.Stderr = os.Stderr
		if err := command.Run(); err != nil {
			return fmt.Errorf("building %s: %w", name, err)
		}
	}
	return os.WriteFile(stamp, sum, 0o600)
}

// sum identifies what the programs are built from.
func (m module) sum() ([]byte, error) {
	files := []string{"go.mod", "go.sum"}
	if m.dir != "." { // the programs of e2e itself are all from elsewhere
		err := filepath.WalkDir(filepath.Join(m.dir, "cmd"), func(path string, entry fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".go") {
				relative, failed := filepath.Rel(m.dir, path)
				files, err = append(files, relative), failed
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	hash := sha256.New()
	for _, name := range files {
		content, err := os.ReadFile(filepath.Join(m.dir, name))
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(hash, "%s %d\n%s", name, len(content), content)
	}
	return []byte(hex.EncodeToString(hash.Sum(nil)) + "\n"), nil
}
