package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// debian are real packages of three kinds: a small system, and Java libraries.
var debian = []string{"base-files", "bash", "coreutils", "libc6", "dpkg", "zlib1g", "libcommons-lang3-java", "libcommons-io-java", "libgoogle-gson-java"}

// realRoot unpacks Debian packages with their dpkg entries, installs npm packages
// with a lock file, and adds a Go program.
func realRoot(t *testing.T) string {
	t.Helper()
	root, debs := t.TempDir(), t.TempDir()
	command := exec.Command("apt-get", append([]string{"download", "-qq"}, debian...)...)
	command.Dir = debs
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("apt-get download: %v\n%s", err, out)
	}
	files, err := filepath.Glob(filepath.Join(debs, "*.deb"))
	if err != nil || len(files) < len(debian) {
		t.Fatalf("%d packages were downloaded, %v", len(files), err)
	}
	if err := os.MkdirAll(filepath.Join(root, "var/lib/dpkg/info"), 0o755); err != nil {
		t.Fatal(err)
	}
	var status strings.Builder
	for _, file := range files {
		if out, err := exec.Command("dpkg-deb", "-x", file, root).CombinedOutput(); err != nil {
			t.Fatalf("dpkg-deb -x %s: %v\n%s", file, err, out)
		}
		control, err := exec.Command("dpkg-deb", "-f", file).Output()
		if err != nil {
			t.Fatal(err)
		}
		first, rest, _ := strings.Cut(string(control), "\n")
		status.WriteString(first + "\nStatus: install ok installed\n" + rest + "\n")
	}
	app := filepath.Join(root, "srv/app")
	if err := os.MkdirAll(app, 0o755); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		"var/lib/dpkg/status":  status.String(),
		"srv/app/package.json": `{"name":"app","version":"1.0.0","dependencies":{"is-number":"7.0.0","ms":"2.1.3"}}`,
	} {
		if err := os.WriteFile(filepath.Join(root, path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	install := exec.Command("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts")
	install.Dir = app
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm install: %v\n%s", err, out)
	}
	raw, err := os.ReadFile(filepath.Join(cache, "registry"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "usr/bin/registry"), raw, 0o755); err != nil {
		t.Fatal(err)
	}
	return root
}

// packages lists name, version and purl of an SPDX document's packages.
func packages(t *testing.T, raw []byte) []string {
	t.Helper()
	var document struct {
		Packages []struct {
			Name         string `json:"name"`
			Version      string `json:"versionInfo"`
			Purpose      string `json:"primaryPackagePurpose"`
			ExternalRefs []struct {
				Type    string `json:"referenceType"`
				Locator string `json:"referenceLocator"`
			} `json:"externalRefs"`
		} `json:"packages"`
	}
	if err := json.Unmarshal(raw, &document); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, p := range document.Packages {
		if p.Purpose == "CONTAINER" {
			continue // the image itself
		}
		line := p.Name + " " + p.Version
		for _, ref := range p.ExternalRefs {
			if ref.Type == "purl" {
				line += " " + ref.Locator
			}
		}
		all = append(all, line)
	}
	slices.Sort(all)
	return all
}

// TestSamePackagesAsSyft: hallmark's SBOM of a real image against the syft command
// of the same version.
func TestSamePackagesAsSyft(t *testing.T) {
	t.Parallel()
	image := pushImage(t, inMemory(t, true).host+"/real:1", imageOf(t, realRoot(t)))
	dir := t.TempDir()
	started := time.Now()
	ours := packages(t, []byte(hallmark(t, dir, "sbom", image, "--format", "spdx").want(t, 0, "hallmark sbom").stdout))
	first := time.Since(started)
	started = time.Now()
	again := hallmark(t, dir, "sbom", image, "--format", "spdx").want(t, 0, "hallmark sbom").stdout
	second := time.Since(started)
	if fresh := hallmark(t, dir, "sbom", image, "--format", "spdx", "--no-cache").want(t, 0, "hallmark sbom").stdout; fresh != again {
		t.Error("two runs differ")
	}
	started = time.Now()
	theirs := packages(t, []byte(tool(t, dir, "syft", "scan", "registry:"+image, "-o", "spdx-json", "-q").want(t, 0, "syft").stdout))
	t.Logf("%d packages; hallmark %.2f s, from the cache %.2f s, syft %.2f s", len(ours), first.Seconds(), second.Seconds(), time.Since(started).Seconds())
	if len(ours) < 100 {
		t.Errorf("only %d packages", len(ours))
	}
	if !slices.Equal(ours, theirs) {
		for _, p := range ours {
			if !slices.Contains(theirs, p) {
				t.Errorf("only hallmark: %s", p)
			}
		}
		for _, p := range theirs {
			if !slices.Contains(ours, p) {
				t.Errorf("only syft: %s", p)
			}
		}
	}
}
