package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/sign/keys"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

const lockFile = `{"name":"app","version":"1.0.0","lockfileVersion":3,"packages":{"":{"name":"app","version":"1.0.0"},"node_modules/left-pad":{"version":"1.3.0"}}}`

// packageFiles is an image with one npm package.
var packageFiles = map[string]string{"srv/node_modules/left-pad/package.json": `{"name":"left-pad","version":"1.3.0"}`}

func TestSBOMPrintsOneDocument(t *testing.T) {
	t.Parallel()
	file := newFile(t, "package-lock.json", lockFile)
	for format, uri := range map[string]string{"spdx": predicate.TypeSPDX, "cyclonedx": predicate.TypeCycloneDX, "syft": predicate.TypeSyft} {
		got := runVerb(t.Context(), nil, "sbom", "--no-cache", "--format", format, file)
		if got.code != cli.ExitAllow || got.stderr != "" {
			t.Fatalf("%+v", got)
		}
		bom, err := predicate.ReadSBOM(uri, []byte(got.stdout))
		if err != nil || bom.Hollow() || !strings.Contains(got.stdout, "pkg:npm/left-pad@1.3.0") {
			t.Errorf("%s: %v, %v", format, bom, err)
		}
		if again := runVerb(t.Context(), nil, "sbom", "--no-cache", "--format", format, "file:"+file); again.stdout != got.stdout {
			t.Errorf("%s: two runs differ", format)
		}
	}
}

func TestSBOMOut(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	image := reg.PushImage("team/app", "1", packageFiles)
	index := reg.PushIndex("team/index", "1", "linux/amd64", "linux/arm64")
	for name, test := range map[string]struct {
		args []string
		out  string
		want []string
	}{
		"one file":    {[]string{image.TagRef()}, "a.json", []string{"a.json"}},
		"two formats": {[]string{"--format", "spdx,cyclonedx", image.TagRef()}, "new/", []string{"new/sbom.cdx.json", "new/sbom.spdx.json"}},
		"an index":    {[]string{index.TagRef(), "--format", "syft", "--format", "spdx"}, "new", []string{"new/sbom-linux-amd64.spdx.json", "new/sbom-linux-amd64.syft.json", "new/sbom-linux-arm64.spdx.json", "new/sbom-linux-arm64.syft.json"}},
		"a platform":  {[]string{index.TagRef(), "--platform", "linux/arm64"}, "new/", []string{"new/sbom.spdx.json"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			got := runVerb(t.Context(), nil, append([]string{"sbom", "--no-cache", "--out", dir + "/" + test.out}, test.args...)...)
			if got.code != cli.ExitAllow || got.stdout != "" {
				t.Fatalf("%+v", got)
			}
			var found []string
			check := func(path string, entry os.DirEntry, err error) error {
				if err == nil && !entry.IsDir() {
					found = append(found, strings.TrimPrefix(path, dir+"/"))
				}
				return err
			}
			if err := filepath.WalkDir(dir, check); err != nil || strings.Join(found, " ") != strings.Join(test.want, " ") {
				t.Errorf("%v, %v", found, err)
			}
		})
	}
}

// TestSBOMAttest: BM-09. Each platform's digest gets its own document, run twice
// adds nothing, and the index itself gets none.
func TestSBOMAttest(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	index := reg.PushIndex("team/app", "1", "linux/amd64", "linux/arm64")
	private, _ := newKeyPair(t, keys.ECDSAP256)
	for round, existing := range []bool{false, true} {
		got := runVerb(t.Context(), nil, "sbom", "--no-cache", "--attest", "--key", private, "--output", "json", "--format", "spdx,cyclonedx", index.TagRef())
		if got.code != cli.ExitAllow || !strings.Contains(got.stderr, "is an index: each of its 2 platforms") {
			t.Fatalf("%+v", got)
		}
		lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
		if len(lines) != 4 {
			t.Fatalf("%d lines: %s", len(lines), got.stdout)
		}
		for n, line := range lines {
			var a attachment
			if err := json.Unmarshal([]byte(line), &a); err != nil {
				t.Fatal(err)
			}
			child := index.Children[n/2]
			if a.Subject != child.Digest.String() || a.Existing != existing || a.Platform == "" || a.Type != []string{predicate.TypeSPDX, predicate.TypeCycloneDX}[n%2] {
				t.Errorf("round %d: %s", round, line)
			}
		}
	}
	for _, child := range index.Children {
		if got := len(reg.Referrers("team/app", child.Digest)); got != 2 {
			t.Errorf("%d SBOMs on %s", got, child.Digest)
		}
	}
	if len(reg.Referrers("team/app", index.Digest)) != 0 {
		t.Error("the index has an SBOM")
	}
}

// TestSBOMAttestFollowsOneLook: the tag moves behind the first look; the document
// is of what was seen, and hangs there.
func TestSBOMAttestFollowsOneLook(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	first := reg.PushImage("team/app", "1", packageFiles)
	other := reg.PushImage("team/app", "2", map[string]string{"a": "other"})
	reg.FlipTag("team/app", "1", 1, other)
	private, _ := newKeyPair(t, keys.ECDSAP256)
	got := runVerb(t.Context(), nil, "sbom", "--no-cache", "--attest", "--key", private, first.TagRef())
	if got.code != cli.ExitAllow || !strings.Contains(got.stdout, first.Digest.String()) {
		t.Fatalf("OC-02: %+v", got)
	}
	if len(reg.Referrers("team/app", first.Digest)) != 1 || len(reg.Referrers("team/app", other.Digest)) != 0 {
		t.Error("OC-02: the SBOM hangs on another digest")
	}
}

func TestSBOMFailures(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	index := reg.PushIndex("team/app", "1", "linux/amd64", "linux/arm64")
	down := registrytest.New(t)
	gone := down.PushImage("team/app", "1", packageFiles)
	down.Close()
	locked := registrytest.New(t, registrytest.WithBasicAuth("u", "p")).PushImage("team/app", "1", packageFiles)
	private, _ := newKeyPair(t, keys.ECDSAP256)
	lock := newFile(t, "package-lock.json", lockFile)
	packed := newFile(t, "files.tgz", "\x1f\x8b\x08\x00")
	for name, test := range map[string]struct {
		args  []string
		code  int
		words []string
	}{
		"a mistyped path":         {[]string{"./nosuch"}, cli.ExitDeny, []string{"no such", "registry.example/app:tag"}},
		"a mistyped bare name":    {[]string{"nosuch"}, cli.ExitDeny, []string{"no such", "registry:"}},
		"no target":               {nil, cli.ExitUsage, nil},
		"two targets":             {[]string{"a", "b"}, cli.ExitUsage, nil},
		"an unknown format":       {[]string{"--format", "xml", lock}, cli.ExitUsage, []string{"xml", "spdx, cyclonedx or syft"}},
		"an index and one place":  {[]string{index.TagRef()}, cli.ExitUsage, []string{"2 documents", "linux/amd64, linux/arm64"}},
		"two formats, one place":  {[]string{"--format", "spdx,syft", lock}, cli.ExitUsage, []string{"2 documents"}},
		"no such platform":        {[]string{"--platform", "linux/s390x", index.TagRef()}, cli.ExitDeny, []string{"linux/amd64, linux/arm64"}},
		"no such image":           {[]string{reg.Host() + "/team/none:1"}, cli.ExitDeny, []string{"not found"}},
		"the registry is down":    {[]string{gone.TagRef()}, cli.ExitUndetermined, nil},
		"not logged in":           {[]string{locked.TagRef()}, cli.ExitUndetermined, []string{"not authorised"}},
		"a key without --attest":  {[]string{"--key", private, lock}, cli.ExitUsage, []string{"--attest"}},
		"--attest without a key":  {[]string{"--attest", index.TagRef()}, cli.ExitUsage, []string{"--key"}},
		"--attest of a file":      {[]string{"--attest", "--key", private, lock}, cli.ExitUsage, []string{"an image in a registry"}},
		"an archive of files":     {[]string{packed}, cli.ExitDeny, []string{"unpack it"}},
		"out into no folder":      {[]string{"--out", lock + "/x/y", lock}, cli.ExitDeny, nil},
		"two documents, one file": {[]string{"--format", "spdx,syft", "--out", lock, lock}, cli.ExitUsage, []string{"is one file"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := runVerb(t.Context(), nil, append([]string{"sbom", "--no-cache"}, test.args...)...)
			wantFailure(t, got, test.code, test.words...)
			if got.stdout != "" {
				t.Errorf("it printed %s", got.stdout)
			}
		})
	}
}

func TestSBOMSourceDateEpoch(t *testing.T) {
	t.Parallel()
	file := newFile(t, "package-lock.json", lockFile)
	for text, code := range map[string]int{"1700000000": cli.ExitAllow, "": cli.ExitAllow, "0": cli.ExitAllow, "-1": cli.ExitUsage, "today": cli.ExitUsage, "99999999999999": cli.ExitUsage} {
		var stdout, stderr bytes.Buffer
		a := &app{App: cli.App{Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Getenv: func(name string) string {
			return map[string]string{"SOURCE_DATE_EPOCH": text}[name]
		}}}
		if got := run(t.Context(), a, []string{"sbom", "--no-cache", file}); got != code {
			t.Errorf("%q: exit code %d, want %d: %s", text, got, code, stderr.String())
		}
		if text == "1700000000" && !strings.Contains(stdout.String(), `"created":"2023-11-14T22:13:20Z"`) {
			t.Errorf("another time: %.600s", stdout.String())
		}
	}
}

func TestSBOMWarnsOfHollow(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	image := reg.PushImage("team/app", "1", map[string]string{"a": "nothing"})
	got := runVerb(t.Context(), nil, "sbom", "--no-cache", image.TagRef())
	if got.code != cli.ExitAllow || !strings.Contains(got.stderr, "warning: no package was found") || attest.CheckJSON([]byte(got.stdout)) != nil {
		t.Errorf("BM-01: %+v", got)
	}
}
