package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sigstore/sigstore-go/pkg/testing/data"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/sign"
	"github.com/hallmark-project/hallmark/sign/keys"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
)

const blobContent = "the content of the artifact\n"

// signBlob signs blobContent and returns artifact, bundle and public key.
func signBlob(t testing.TB, algorithm keys.Algorithm) (artifact, bundle, public string) {
	t.Helper()
	private, public := newKeyPair(t, algorithm)
	artifact = newFile(t, "artifact", blobContent)
	bundle = filepath.Join(t.TempDir(), "b.json")
	if got := runVerb(t.Context(), nil, "sign-blob", "--key", private, "--bundle", bundle, artifact); got.code != cli.ExitAllow {
		t.Fatalf("%+v", got)
	}
	return artifact, bundle, public
}

// TestBlob: a signature verifies from a file, from standard input, from a FIFO that
// gives its bytes once (CL-03), and by digest; and nothing else does.
func TestBlob(t *testing.T) {
	t.Parallel()
	for _, algorithm := range keys.Algorithms() {
		t.Run(string(algorithm), func(t *testing.T) {
			t.Parallel()
			artifact, bundle, public := signBlob(t, algorithm)
			_, stranger := newKeyPair(t, algorithm)
			verifyBlob := func(key, what, stdin string) outcome {
				return runVerb(t.Context(), strings.NewReader(stdin), "verify-blob", "--key", key, "--bundle", bundle, what)
			}
			if got := verifyBlob(public, artifact, ""); got.code != cli.ExitAllow || !strings.HasPrefix(got.stdout, "ALLOW") {
				t.Errorf("file: %+v", got)
			}
			if got := verifyBlob(public, "-", blobContent); got.code != cli.ExitAllow {
				t.Errorf("CL-03 standard input: %+v", got)
			}
			fifo := filepath.Join(t.TempDir(), "fifo")
			if err := syscall.Mkfifo(fifo, 0o600); err != nil {
				t.Fatal(err)
			}
			go os.WriteFile(fifo, []byte(blobContent), 0)
			if got := verifyBlob(public, fifo, ""); got.code != cli.ExitAllow {
				t.Errorf("CL-03 FIFO: %+v", got)
			}
			wantFailure(t, verifyBlob(public, "-", blobContent+"x"), cli.ExitDeny, "DIGEST_MISMATCH")
			wantFailure(t, verifyBlob(public, "-", ""), cli.ExitDeny, "DIGEST_MISMATCH")
			wantFailure(t, verifyBlob(stranger, artifact, ""), cli.ExitDeny, "KEY_MISMATCH")
			wantFailure(t, verifyBlob(public, digest.FromBytes([]byte("other")).String(), ""), cli.ExitDeny, "DIGEST_MISMATCH")
			wantFailure(t, verifyBlob(public, artifact+".missing", ""), cli.ExitUndetermined, "no such file")
			wantFailure(t, verifyBlob(public, filepath.Dir(artifact), ""), cli.ExitUndetermined, "folder")
			wantFailure(t, verifyBlob(public, "sha256:abc", ""), cli.ExitUsage, "digest")
			wantFailure(t, verifyBlob(public, "", ""), cli.ExitUndetermined)
			wantFailure(t, verifyBlob(artifact, artifact, ""), cli.ExitUndetermined, "PEM")
		})
	}
	artifact, bundle, public := signBlob(t, keys.ECDSAP256)
	if got := runVerb(t.Context(), nil, "verify-blob", "--key", public, "--bundle", bundle, digest.FromBytes([]byte(blobContent)).String()); got.code != cli.ExitAllow {
		t.Errorf("digest: %+v", got)
	}
	got := runVerb(t.Context(), nil, "verify-blob", "--key", public, "--bundle", bundle, "--output", "json", artifact)
	var report blobReport
	if err := json.Unmarshal([]byte(got.stdout), &report); err != nil || report.Verdict != "allow" || len(report.Checks) == 0 || report.Signer == "" {
		t.Errorf("JSON: %+v, %v", got, err)
	}
	got = runVerb(t.Context(), strings.NewReader("other"), "verify-blob", "--key", public, "--bundle", bundle, "--output", "json", "-")
	report = blobReport{}
	if err := json.Unmarshal([]byte(got.stdout), &report); err != nil || got.code != cli.ExitDeny || report.Verdict != "deny" || report.Reason != verify.ReasonDigestMismatch || report.Checks != nil {
		t.Errorf("JSON of a denial: %+v, %v", got, err)
	}
}

// TestBlobBundleBroken: SB-08 a changed messageDigest, SB-15 nothing to check,
// SB-16 random bytes as a signature, each beside the good one that passes.
func TestBlobBundleBroken(t *testing.T) {
	t.Parallel()
	for _, algorithm := range keys.Algorithms() {
		artifact, bundle, public := signBlob(t, algorithm)
		raw, err := os.ReadFile(bundle)
		if err != nil {
			t.Fatal(err)
		}
		var parsed struct {
			MessageSignature struct {
				MessageDigest struct{ Digest string }
				Signature     string
			}
		}
		if err := json.Unmarshal(raw, &parsed); err != nil {
			t.Fatal(err)
		}
		sum, signature := parsed.MessageSignature.MessageDigest.Digest, parsed.MessageSignature.Signature
		flipped := base64.StdEncoding.EncodeToString(append([]byte{^unbase(t, sum)[0]}, unbase(t, sum)[1:]...))
		random := base64.StdEncoding.EncodeToString(make([]byte, len(unbase(t, signature))))
		for name, test := range map[string]struct {
			bundle string
			reason []string
		}{
			"the good one":                      {string(raw), nil},
			"SB-08 messageDigest flipped":       {strings.Replace(string(raw), sum, flipped, 1), []string{"DIGEST_MISMATCH"}},
			"SB-16 random bytes":                {strings.Replace(string(raw), signature, random, 1), []string{"SIG_INVALID", "SIG_FORMAT"}},
			"SB-15 an empty signature":          {strings.Replace(string(raw), signature, "", 1), []string{"SIG_FORMAT"}},
			"SB-15 an empty file":               {"", []string{"SIG_FORMAT"}},
			"SB-15 an empty object":             {"{}", []string{"SIG_FORMAT"}},
			"SB-15 an empty digest":             {strings.Replace(string(raw), sum, "", 1), []string{"DIGEST_MISMATCH", "SIG_FORMAT", "SIG_INVALID"}},
			"another algorithm for the digest":  {strings.Replace(strings.Replace(strings.Replace(string(raw), "SHA2_256", "SHA2_999", 1), "SHA2_512", "SHA2_256", 1), "SHA2_384", "SHA2_256", 1), []string{"DIGEST_MISMATCH", "SIG_FORMAT", "SIG_INVALID"}},
			"not JSON":                          {"hello", []string{"SIG_FORMAT"}},
			"the same key twice in one object ": {strings.Replace(string(raw), `{"mediaType"`, `{"mediaType":"x","mediaType"`, 1), []string{"SIG_FORMAT"}},
		} {
			got := runVerb(t.Context(), nil, "verify-blob", "--key", public, "--bundle", newFile(t, "b", test.bundle), artifact)
			if test.reason == nil {
				if got.code != cli.ExitAllow {
					t.Errorf("%s, %s: %+v", algorithm, name, got)
				}
				continue
			}
			matched := false
			for _, reason := range test.reason {
				matched = matched || strings.Contains(got.stderr, reason)
			}
			if got.code != cli.ExitDeny || !matched {
				t.Errorf("%s, %s: %+v", algorithm, name, got)
			}
		}
	}
}

func unbase(t testing.TB, text string) []byte {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) == 0 {
		t.Fatalf("%q, %v", text, err)
	}
	return raw
}

// TestBlobPureEd25519: other tools sign content with pure Ed25519, which needs the
// content itself.
func TestBlobPureEd25519(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := trust.NewKey(public)
	if err != nil {
		t.Fatal(err)
	}
	signature := base64.StdEncoding.EncodeToString(ed25519.Sign(private, []byte(blobContent)))
	short, long := sha256.Sum256([]byte(blobContent)), sha512.Sum512([]byte(blobContent))
	pub := newFile(t, "k.pub", string(key.PEM()))
	for algorithm, sum := range map[string][]byte{"SHA2_256": short[:], "SHA2_512": long[:]} {
		text := `{"mediaType":"` + sign.BundleMediaType + `","verificationMaterial":{"publicKey":{"hint":"` + key.Hint() + `"}},` +
			`"messageSignature":{"messageDigest":{"algorithm":"` + algorithm + `","digest":"` + base64.StdEncoding.EncodeToString(sum) + `"},"signature":"` + signature + `"}}`
		bundle := newFile(t, "b", text)
		check := func(what, stdin string) outcome {
			return runVerb(t.Context(), strings.NewReader(stdin), "verify-blob", "--key", pub, "--bundle", bundle, what)
		}
		if got := check("-", blobContent); got.code != cli.ExitAllow {
			t.Errorf("%s: %+v", algorithm, got)
		}
		if got := check("-", blobContent+"x"); got.code != cli.ExitDeny {
			t.Errorf("%s, other content: %+v", algorithm, got)
		}
		wantFailure(t, check(digest.FromBytes([]byte(blobContent)).String(), ""), cli.ExitUndetermined, "content itself")
		lie := strings.Replace(text, base64.StdEncoding.EncodeToString(sum), base64.StdEncoding.EncodeToString(append([]byte{^sum[0]}, sum[1:]...)), 1)
		bundle = newFile(t, "b", lie)
		if got := check("-", blobContent); got.code != cli.ExitDeny {
			t.Errorf("SB-08, %s, the digest lies beside a good signature: %+v", algorithm, got)
		}
	}
}

// TestBlobStatement: a DSSE bundle must name the artifact as its subject.
func TestBlobStatement(t *testing.T) {
	t.Parallel()
	signer, err := keys.Generate(keys.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	public := newFile(t, "k.pub", string(signer.Key().PEM()))
	long := sha512.New()
	long.Write([]byte(blobContent))
	for _, subject := range []digest.Digest{digest.FromBytes([]byte(blobContent)), digest.FromHash(long)} {
		statement, err := attest.NewStatement("artifact", subject, "https://example.com/t", []byte(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		made, err := sign.Statement(t.Context(), statement, subject, signer)
		if err != nil {
			t.Fatal(err)
		}
		bundle := newFile(t, "b", string(made.Raw))
		if got := runVerb(t.Context(), strings.NewReader(blobContent), "verify-blob", "--key", public, "--bundle", bundle, "-"); got.code != cli.ExitAllow {
			t.Errorf("%s: %+v", subject.Algorithm(), got)
		}
		if got := runVerb(t.Context(), nil, "verify-blob", "--key", public, "--bundle", bundle, subject.String()); got.code != cli.ExitAllow {
			t.Errorf("%s: %+v", subject, got)
		}
		wantFailure(t, runVerb(t.Context(), strings.NewReader("other"), "verify-blob", "--key", public, "--bundle", bundle, "-"), cli.ExitDeny, "SUBJECT_MISMATCH")
	}
}

// TestVerifyBlobUsage: the contradictions of the command line.
func TestVerifyBlobUsage(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"identity without issuer": {"--bundle", "b", "--certificate-identity", "i", "--trusted-root", "t", "f"},
		"issuer without identity": {"--bundle", "b", "--certificate-oidc-issuer", "o", "--trusted-root", "t", "f"},
		"no trusted root":         {"--bundle", "b", "--certificate-identity", "i", "--certificate-oidc-issuer", "o", "f"},
		"nobody":                  {"--bundle", "b", "f"},
		"no bundle":               {"--key", "k", "f"},
		"no artifact":             {"--bundle", "b", "--key", "k"},
		"two artifacts":           {"--bundle", "b", "--key", "k", "f", "g"},
		"unknown output":          {"--bundle", "b", "--key", "k", "--output", "yaml", "f"},
		"unknown flag":            {"--bundel", "b", "f"},
	} {
		if got := runVerb(t.Context(), nil, append([]string{"verify-blob"}, args...)...); got.code != cli.ExitUsage {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestVerifyBlobKeyHasNoIdentity: CI-23. An identity that is wanted beside a key is
// never passed over: a signature by the right key has none, and is refused.
func TestVerifyBlobKeyHasNoIdentity(t *testing.T) {
	t.Parallel()
	content, bundle, public := signBlob(t, keys.ECDSAP256)
	verb := []string{"verify-blob", "--bundle", bundle, "--key", public}
	if got := runVerb(t.Context(), nil, append(verb, content)...); got.code != cli.ExitAllow {
		t.Fatalf("without an identity: %+v", got)
	}
	wantFailure(t, runVerb(t.Context(), nil, append(verb, "--certificate-identity", "i", "--certificate-oidc-issuer", "o", content)...), cli.ExitDeny, "IDENTITY_MISMATCH")
	wantFailure(t, runVerb(t.Context(), nil, append(verb, "--certificate-oidc-issuer", "o", content)...), cli.ExitDeny, "IDENTITY_MISMATCH")
}

// TestVerifyBlobIdentity checks a real keyless bundle of sigstore-js's release
// against exact identities.
func TestVerifyBlobIdentity(t *testing.T) {
	t.Parallel()
	const (
		identity = "https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/main"
		issuer   = "https://token.actions.githubusercontent.com"
		subject  = "sha512:46d4e2f74c4877316640000a6fdf8a8b59f1e0847667973e9859f774dd31b8f1e0937813b777fb66a2ac67d50540fe34640966eee9fc2ccca387082b4c85cd3c"
	)
	rawBundle, err := data.Bundle(t, "sigstore.js@2.0.0-provenance.sigstore.json").MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	rawRoot, err := data.TrustedRoot(t, "public-good.json").MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	bundle, root := newFile(t, "b", string(rawBundle)), newFile(t, "root", string(rawRoot))
	check := func(identity, issuer, subject string) outcome {
		return runVerb(t.Context(), nil, "verify-blob", "--bundle", bundle, "--trusted-root", root,
			"--certificate-identity", identity, "--certificate-oidc-issuer", issuer, subject)
	}
	if got := check(identity, issuer, subject); got.code != cli.ExitAllow {
		t.Errorf("%+v", got)
	}
	for _, other := range []string{identity + "x", strings.TrimSuffix(identity, "n"), strings.ToUpper(identity), ".*", identity[1:]} {
		wantFailure(t, check(other, issuer, subject), cli.ExitDeny, "IDENTITY_MISMATCH")
	}
	for _, other := range []string{issuer + "/", "https://token.actions.githubusercontent.com.example", ".*"} {
		wantFailure(t, check(identity, other, subject), cli.ExitDeny, "ISSUER_MISMATCH")
	}
	wantFailure(t, check(identity, issuer, strings.Replace(subject, "sha512:4", "sha512:5", 1)), cli.ExitDeny, "SUBJECT_MISMATCH")
}

func TestSignBlobBadInput(t *testing.T) {
	t.Parallel()
	private, public := newKeyPair(t, keys.ECDSAP256)
	artifact := newFile(t, "artifact", blobContent)
	bundle := filepath.Join(t.TempDir(), "b")
	for name, test := range map[string]struct {
		args []string
		code int
		word string
	}{
		"both from standard input": {[]string{"--key", private, "--password-file", "-", "--bundle", bundle, "-"}, cli.ExitUsage, "standard input"},
		"missing file":             {[]string{"--key", private, "--bundle", bundle, artifact + ".missing"}, cli.ExitUndetermined, "no such file"},
		"public key":               {[]string{"--key", public, "--bundle", bundle, artifact}, cli.ExitDeny, "public key"},
		"no key":                   {[]string{"--bundle", bundle, artifact}, cli.ExitUsage, "--key"},
		"no such folder":           {[]string{"--key", private, "--bundle", filepath.Join(bundle, "x", "b"), artifact}, cli.ExitDeny, ""},
		"no file":                  {[]string{"--key", private, "--bundle", bundle}, cli.ExitUsage, ""},
	} {
		got := runVerb(t.Context(), nil, append([]string{"sign-blob"}, test.args...)...)
		if got.code != test.code || !strings.Contains(got.stderr, test.word) {
			t.Errorf("%s: %+v", name, got)
		}
		if _, err := os.Stat(bundle); err == nil {
			t.Fatalf("%s: a bundle was left", name)
		}
	}
	// A full disk is an error, and what is no file stays what it is.
	full := filepath.Join(t.TempDir(), "full")
	if err := os.Symlink("/dev/full", full); err != nil {
		t.Fatal(err)
	}
	wantFailure(t, runVerb(t.Context(), nil, "sign-blob", "--key", private, "--bundle", full, artifact), cli.ExitDeny, "no space left")
	if target, err := os.Readlink(full); err != nil || target != "/dev/full" {
		t.Errorf("the link to a device was replaced: %q, %v", target, err)
	}
	got := runVerb(t.Context(), nil, "sign-blob", "--key", private, artifact)
	if got.code != cli.ExitAllow || !json.Valid([]byte(got.stdout)) {
		t.Errorf("to standard output: %+v", got)
	}
}
