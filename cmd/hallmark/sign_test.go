package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/sign/keys"
	"github.com/hallmark-project/hallmark/sign/publish"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// outcome is what one command line left behind.
type outcome struct {
	code           int
	stdout, stderr string
}

// runVerb runs one command line in this process. No variable is set.
func runVerb(ctx context.Context, stdin io.Reader, args ...string) outcome {
	var stdout, stderr bytes.Buffer
	if stdin == nil {
		stdin = strings.NewReader("")
	}
	code := run(ctx, &app{App: cli.App{Stdin: stdin, Stdout: &stdout, Stderr: &stderr, Getenv: func(string) string { return "" }}}, args)
	return outcome{code, stdout.String(), stderr.String()}
}

// newKeyPair writes an unencrypted key pair and returns the two paths.
func newKeyPair(t testing.TB, algorithm keys.Algorithm) (private, public string) {
	t.Helper()
	signer, err := keys.Generate(algorithm)
	if err != nil {
		t.Fatal(err)
	}
	prefix := filepath.Join(t.TempDir(), "k")
	if err := signer.WritePair(prefix, keys.FormatPKCS8, nil, false); err != nil {
		t.Fatal(err)
	}
	return prefix + ".key", prefix + ".pub"
}

// newFile writes a file and returns its path.
func newFile(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// wantFailure checks exit code, one error line, at most one hint line, and words.
func wantFailure(t testing.TB, got outcome, code int, words ...string) {
	t.Helper()
	if got.code != code {
		t.Errorf("exit code %d, want %d: %s", got.code, code, got.stderr)
	}
	if n := strings.Count(got.stderr, "hallmark: error: "); n != 1 {
		t.Errorf("%d error lines: %s", n, got.stderr)
	}
	if n := strings.Count(got.stderr, "hallmark: hint: "); n > 1 {
		t.Errorf("%d hint lines: %s", n, got.stderr)
	}
	for _, word := range words {
		if !strings.Contains(got.stderr, word) {
			t.Errorf("the message lacks %q: %s", word, got.stderr)
		}
	}
}

// TestSignPrintsWhatItSigned: KE-14. The tag moves behind the first look; what was
// resolved is printed and signed, and the other image gets nothing.
func TestSignPrintsWhatItSigned(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	first := reg.PushImage("team/app", "1", map[string]string{"a": "first"})
	other := reg.PushImage("team/app", "2", map[string]string{"a": "other"})
	reg.FlipTag("team/app", "1", 1, other)
	private, _ := newKeyPair(t, keys.ECDSAP256)
	got := runVerb(t.Context(), nil, "sign", "--key", private, first.TagRef())
	if got.code != cli.ExitAllow || !strings.Contains(got.stdout, first.Ref()) {
		t.Fatalf("KE-14: %+v", got)
	}
	if len(reg.Referrers("team/app", first.Digest)) != 1 || len(reg.Referrers("team/app", other.Digest)) != 0 {
		t.Error("KE-14: something else than the printed digest was signed")
	}
}

func TestSignRecursiveJSON(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"bundle", "legacy"} {
		reg := registrytest.New(t)
		index := reg.PushIndex("team/app", "1", "linux/amd64", "linux/arm64")
		private, _ := newKeyPair(t, keys.ECDSAP256)
		for round, existing := range []bool{false, true} {
			got := runVerb(t.Context(), nil, "sign", "-r", "--format", format, "-a", "build=42", "--output", "json", "--key", private, index.TagRef())
			if got.code != cli.ExitAllow {
				t.Fatalf("%s: %+v", format, got)
			}
			lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
			if len(lines) != 3 {
				t.Fatalf("%s: %d lines: %s", format, len(lines), got.stdout)
			}
			for _, line := range lines {
				var a attachment
				if err := json.Unmarshal([]byte(line), &a); err != nil {
					t.Fatal(err)
				}
				if a.Schema != attachmentSchema || a.Existing != existing || a.Subject == "" || a.KeyID == "" {
					t.Errorf("%s, round %d: %s", format, round, line)
				}
			}
		}
	}
}

// TestSignRefused: KE-16 and the failures of a registry, each with exit code and
// words.
func TestSignRefused(t *testing.T) {
	t.Parallel()
	private, public := newKeyPair(t, keys.ECDSAP256)
	for name, test := range map[string]struct {
		match registrytest.Match
		fault registrytest.Fault
		code  int
		words []string
	}{
		"KE-16 403 on push": {registrytest.Match{Method: http.MethodPost}, registrytest.Status(http.StatusForbidden), cli.ExitDeny, []string{"signature not stored", "403"}},
		"KE-16 403 on the manifest": {
			registrytest.Match{Method: http.MethodPut, Class: registrytest.Manifest},
			registrytest.Status(http.StatusForbidden), cli.ExitDeny,
			[]string{"signature not stored", "may push"},
		},
		"401 on reading": {registrytest.Match{Class: registrytest.Tag}, registrytest.Status(http.StatusUnauthorized), cli.ExitUndetermined, []string{"log in"}},
		"500 on reading": {registrytest.Match{Class: registrytest.Referrers}, registrytest.Status(http.StatusInternalServerError), cli.ExitUndetermined, []string{"500"}},
		"a web page":     {registrytest.Match{Class: registrytest.Referrers}, registrytest.HTML(), cli.ExitUndetermined, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t)
			image := reg.PushImage("team/app", "1", map[string]string{"a": "b"})
			reg.Inject(test.match, test.fault)
			got := runVerb(t.Context(), nil, "sign", "--key", private, image.TagRef())
			wantFailure(t, got, test.code, append(test.words, "team/app")...)
			if got.stdout != "" {
				t.Errorf("a success was printed: %s", got.stdout)
			}
			if n := len(reg.Referrers("team/app", image.Digest)); n != 0 {
				t.Errorf("%d signatures are listed", n)
			}
		})
	}
	down := registrytest.New(t)
	image := down.PushImage("team/app", "1", nil)
	down.Close()
	wantFailure(t, runVerb(t.Context(), nil, "sign", "--key", private, image.TagRef()), cli.ExitUndetermined, "reachable")

	reg := registrytest.New(t)
	reg.PushImage("team/app", "1", nil)
	wantFailure(t, runVerb(t.Context(), nil, "sign", "--key", private, reg.Host()+"/team/app:2"), cli.ExitDeny, "not found", "team/app:2")
	wantFailure(t, runVerb(t.Context(), nil, "sign", "--key", private, reg.Host()+"/Team/App:2"), cli.ExitUsage, "lower case")
	wantFailure(t, runVerb(t.Context(), nil, "sign", "--key", public, reg.Host()+"/team/app:1"), cli.ExitDeny, "public key")
	wantFailure(t, runVerb(t.Context(), nil, "sign", "--key", private+".missing", reg.Host()+"/team/app:1"), cli.ExitDeny, "no such file")
	wantFailure(t, runVerb(t.Context(), nil, "sign", reg.Host()+"/team/app:1"), cli.ExitUsage, "--key")
	wantFailure(t, runVerb(t.Context(), nil, "sign", "--key", private), cli.ExitUsage)
	wantFailure(t, runVerb(t.Context(), nil, "sign", "--key", private, "--format", "x", reg.Host()+"/team/app:1"), cli.ExitUsage, "legacy")
	wantFailure(t, runVerb(t.Context(), nil, "sign", "--key", private, "-a", "x", reg.Host()+"/team/app:1"), cli.ExitUsage, "key=value")
}

// TestSignSaysWhatWasDone: one platform's signature was refused; those that were
// stored are printed all the same.
func TestSignSaysWhatWasDone(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	index := reg.PushIndex("team/app", "1", "linux/amd64", "linux/arm64")
	private, _ := newKeyPair(t, keys.ECDSAP256)
	reg.Inject(registrytest.Match{Method: http.MethodPut, Class: registrytest.Manifest, After: 2}, registrytest.Status(http.StatusForbidden))
	got := runVerb(t.Context(), nil, "sign", "-r", "--key", private, index.TagRef())
	wantFailure(t, got, cli.ExitDeny, "signature not stored")
	listed := len(reg.Referrers("team/app", index.Digest))
	for _, child := range index.Children {
		listed += len(reg.Referrers("team/app", child.Digest))
	}
	if printed := strings.Count(got.stdout, "signed "); printed > listed {
		t.Errorf("%d printed, %d listed", printed, listed)
	}
}

func TestSignCancelled(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	image := reg.PushImage("team/app", "1", nil)
	private, _ := newKeyPair(t, keys.ECDSAP256)
	ctx, cancel := context.WithCancel(t.Context())
	reg.Inject(registrytest.Match{Method: http.MethodPost, Times: 1}, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { cancel(); next.ServeHTTP(w, r) })
	})
	got := runVerb(ctx, nil, "sign", "--key", private, image.TagRef())
	if got.code != 130 || len(reg.Referrers("team/app", image.Digest)) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestAttest(t *testing.T) {
	t.Parallel()
	private, _ := newKeyPair(t, keys.ECDSAP256)
	spdx := newFile(t, "sbom.spdx.json", `{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","dataLicense":"CC0-1.0","name":"x","documentNamespace":"https://example.com/x","creationInfo":{"created":"2024-01-01T00:00:00Z","creators":["Tool: x"]},"packages":[]}`)
	cyclone := newFile(t, "sbom.cdx.json", `{"bomFormat":"CycloneDX","specVersion":"1.6","version":1,"components":[]}`)
	reg := registrytest.New(t)
	image := reg.PushImage("team/app", "1", nil)
	for kind, file := range map[string]string{"spdx": spdx, "cyclonedx": cyclone, "https://example.com/review/v1": newFile(t, "r.json", `{"ok":true}`)} {
		for range 2 {
			if got := runVerb(t.Context(), nil, "attest", "--key", private, "--type", kind, "--predicate", file, image.TagRef()); got.code != cli.ExitAllow {
				t.Errorf("%s: %+v", kind, got)
			}
		}
	}
	if n := len(reg.Referrers("team/app", image.Digest)); n != 3 {
		t.Errorf("%d attestations after running each of three twice", n)
	}
	for name, test := range map[string]struct {
		kind, file, stdin string
		code              int
		word              string
	}{
		"empty":               {"custom", newFile(t, "e", ""), "", cli.ExitDeny, "empty"},
		"empty stdin":         {"custom", "-", "", cli.ExitDeny, "empty"},
		"white space":         {"custom", "-", " \n", cli.ExitDeny, "predicate"},
		"no JSON":             {"custom", "-", "a: b", cli.ExitDeny, "JSON"},
		"two JSON values":     {"custom", "-", "{}{}", cli.ExitDeny, "JSON"},
		"a number":            {"custom", "-", "7", cli.ExitDeny, "object"},
		"null":                {"custom", "-", "null", cli.ExitDeny, "object"},
		"cut short":           {"custom", "-", `{"a":`, cli.ExitDeny, "JSON"},
		"SPDX as CycloneDX":   {"cyclonedx", spdx, "", cli.ExitDeny, "contradicts"},
		"CycloneDX as SPDX":   {"spdx", cyclone, "", cli.ExitDeny, "contradicts"},
		"unknown type":        {"slsaprovnance", spdx, "", cli.ExitUsage, "type"},
		"missing file":        {"custom", spdx + ".missing", "", cli.ExitDeny, "no such file"},
		"predicate not named": {"custom", "", "", cli.ExitUsage, "--predicate"},
	} {
		got := runVerb(t.Context(), strings.NewReader(test.stdin), "attest", "--key", private, "--type", test.kind, "--predicate", test.file, image.TagRef())
		if got.code != test.code || !strings.Contains(got.stderr, test.word) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	got := runVerb(t.Context(), strings.NewReader(`{}`), "attest", "--key", private, "--type", "custom", "--predicate", "-", "--password-file", "-", image.TagRef())
	wantFailure(t, got, cli.ExitUsage, "standard input")
	if n := len(reg.Referrers("team/app", image.Digest)); n != 3 {
		t.Errorf("refused predicates left %d attestations", n)
	}
}

func TestLegacyTags(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	image := reg.PushImage("team/app", "1", nil)
	private, _ := newKeyPair(t, keys.ECDSAP384)
	review := newFile(t, "r.json", `{"ok":true}`)
	for range 2 {
		if got := runVerb(t.Context(), nil, "sign", "--format", "legacy", "--key", private, image.Ref()); got.code != cli.ExitAllow {
			t.Fatalf("%+v", got)
		}
		if got := runVerb(t.Context(), nil, "attest", "--format", "legacy", "--key", private, "--type", "https://example.com/r", "--predicate", review, image.Ref()); got.code != cli.ExitAllow {
			t.Fatalf("%+v", got)
		}
	}
	for _, tag := range []string{publish.SignatureTag(image.Digest), publish.AttestationTag(image.Digest)} {
		raw, _, found := reg.Manifest("team/app", tag)
		var m struct {
			Layers []struct {
				Digest      digest.Digest     `json:"digest"`
				Annotations map[string]string `json:"annotations"`
			} `json:"layers"`
		}
		if !found || json.Unmarshal(raw, &m) != nil || len(m.Layers) != 1 {
			t.Errorf("%s: %s", tag, raw)
			continue
		}
		if _, has := m.Layers[0].Annotations[verify.LegacySignatureAnnotation]; !has {
			t.Errorf("%s: annotations %v", tag, m.Layers[0].Annotations)
		}
	}
}
