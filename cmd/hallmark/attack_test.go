package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/sign/keys"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// bomb is a reader that panics, as a decoder would on bytes that nobody foresaw.
type bomb struct{}

func (bomb) Read([]byte) (int, error) { panic("a fault in the middle of a check") }

// TestPanicIsNeverSuccess: SB-19. A panic ends with "could not check".
func TestPanicIsNeverSuccess(t *testing.T) {
	t.Parallel()
	_, bundle, public := signBlob(t, keys.ECDSAP256)
	var stdout, stderr bytes.Buffer
	a := &app{App: cli.App{Stdin: bomb{}, Stdout: &stdout, Stderr: &stderr, Getenv: func(string) string { return "" }}}
	code := run(t.Context(), a, []string{"verify-blob", "--key", public, "--bundle", bundle, "-"})
	if code != cli.ExitUndetermined || !strings.Contains(stderr.String(), "internal fault") || stdout.Len() > 0 {
		t.Errorf("SB-19: exit code %d\n%s%s", code, stdout.String(), stderr.String())
	}
}

// TestSwitchesThatWeaken: SB-21. Unset and "false" check; "true" does not; anything else
// is wrong usage. No variable of the environment is such a switch.
func TestSwitchesThatWeaken(t *testing.T) {
	t.Parallel()
	w := newVerifyWorld(t)
	in := verifytest.NewInstance(t)
	root := w.file("trusted_root.json", string(in.TrustedRoot(t)))
	images := map[string]string{
		"--insecure-ignore-sct":  w.keylessImage(in, "unseen", verifytest.Options{Leaf: verifytest.Leaf{CT: []verifytest.SCT{}}}).Ref(),
		"--insecure-ignore-tlog": w.keylessImage(in, "unlogged", verifytest.Options{Entries: []verifytest.Entry{}, Stamps: []verifytest.Stamp{{}}}).Ref(),
	}
	for flag, image := range images {
		for value, want := range map[string]int{"": cli.ExitDeny, "=false": cli.ExitDeny, "=0": cli.ExitDeny, "=true": cli.ExitAllow, "=maybe": cli.ExitUsage, "=": cli.ExitUsage} {
			t.Run("SB-21 "+flag+value, func(t *testing.T) {
				t.Parallel()
				args := []string{"verify", image, "--trusted-root", root, "--certificate-identity", verifytest.DefaultURI, "--certificate-oidc-issuer", verifytest.DefaultIssuer}
				if value != "" {
					args = append(args, flag+value)
				}
				if code, stdout, stderr := w.hallmark(args...); code != want {
					t.Errorf("exit code %d, want %d\n%s%s", code, want, stdout, stderr)
				}
			})
		}
	}
}

// TestRemovingTheBundleWeakensNothing: SB-23. What stays, in the older format, must have
// the same witnesses.
func TestRemovingTheBundleWeakensNothing(t *testing.T) {
	t.Parallel()
	in := verifytest.NewInstance(t)
	verifyBy := func(w *verifyWorld, image string) (int, string) {
		code, stdout, _ := w.hallmark("verify", image, "--trusted-root", w.file("trusted_root.json", string(in.TrustedRoot(t))),
			"--certificate-identity", verifytest.DefaultURI, "--certificate-oidc-issuer", verifytest.DefaultIssuer)
		return code, stdout
	}
	for _, with := range []bool{true, false} {
		w := newVerifyWorld(t)
		image := w.PushImage("team/both", "1", map[string]string{"both": "formats"})
		legacy := in.Sign(t, verifytest.Options{Form: verifytest.LegacySignature, Image: image.Digest, Entries: []verifytest.Entry{}}).Evidence(t)
		w.AttachLegacy(image.Repository, image.Digest, "sig", registrytest.LegacyLayer{
			MediaType: oci.TypeLegacyLayer, Content: legacy.Raw, Annotations: legacy.Annotations,
		})
		if with {
			w.attach(image, verify.SignaturePredicateType, in.Sign(t, verifytest.Options{
				Image: image.Digest, Statement: verifytest.Statement(t, image.Digest, verify.SignaturePredicateType, `{}`),
			}).Evidence(t).Raw)
		}
		code, stdout := verifyBy(w, image.Ref())
		switch {
		case with && code != cli.ExitAllow:
			t.Errorf("with the bundle: exit code %d\n%s", code, stdout)
		case !with && (code != cli.ExitDeny || !strings.Contains(stdout, "TLOG_MISSING")):
			t.Errorf("SB-23: without the bundle: exit code %d\n%s", code, stdout)
		}
	}
}

// TestSigningTimeIsPrinted: SB-25. An old signature under a moved tag is a valid one; the
// report says when it was made, and who says so.
func TestSigningTimeIsPrinted(t *testing.T) {
	t.Parallel()
	w := newVerifyWorld(t)
	in := verifytest.NewInstance(t)
	image := w.keylessImage(in, "1", verifytest.Options{}).Ref()
	for _, output := range []string{"text", "json"} {
		_, stdout, _ := w.hallmark("verify", image, "--output", output, "--trusted-root", w.file("trusted_root.json", string(in.TrustedRoot(t))),
			"--certificate-identity", verifytest.DefaultURI, "--certificate-oidc-issuer", verifytest.DefaultIssuer)
		if !strings.Contains(stdout, "2026-06-01T12:00") {
			t.Errorf("SB-25: %s says no signing time:\n%s", output, stdout)
		}
	}
}

// TestKeysAreFiles: SB-29. A URL is no key: nothing is fetched, whatever would be
// answered.
func TestKeysAreFiles(t *testing.T) {
	t.Parallel()
	w := newVerifyWorld(t)
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		answer.WriteHeader(http.StatusNotFound)
		answer.Write(w.key.Trusted.PEM())
	}))
	t.Cleanup(server.Close)
	for _, args := range [][]string{
		{"verify", w.signed.Ref(), "--key", server.URL},
		{"verify-blob", "--bundle", server.URL, "--key", w.keyFile, w.keyFile},
		{"verify-blob", "--bundle", w.keyFile, "--key", server.URL, w.keyFile},
	} {
		if code, stdout, _ := w.hallmark(args...); code == cli.ExitAllow || code == cli.ExitDeny || stdout != "" {
			t.Errorf("SB-29 %q: exit code %d\n%s", args, code, stdout)
		}
	}
	if asked.Load() > 0 {
		t.Errorf("SB-29: the server was asked %d times", asked.Load())
	}
}
