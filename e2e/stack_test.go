package e2e

import (
	"bytes"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore-go/pkg/tuf"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/hallmark-project/hallmark/e2e/stack"
)

// profiles are the identities that everything is tried with.
var profiles = map[string]stack.Profile{
	"e-mail": stack.Email(), "GitHub claims": stack.GitHub(), "real GitHub issuer": stack.RealGitHub(), "GitLab": stack.GitLab(), "Buildkite": stack.Buildkite(),
}

// TestStack: the instance itself is sound, seen by Sigstore's own client: each
// combination of services and identity signs and verifies.
func TestStack(t *testing.T) {
	t.Parallel()
	s := instance(t)
	for logName, services := range logVariants(s) {
		for profileName, profile := range profiles {
			t.Run(logName+"/"+profileName, func(t *testing.T) {
				t.Parallel()
				signed := signByClient(t, s, services, profile, []byte("an artifact"))
				if err := verifyByClient(t, s, signed, []byte("an artifact"), s.Issuer.URLOf(profile), profile.Identity); err != nil {
					t.Error(err)
				}
				if err := verifyByClient(t, s, signed, []byte("another artifact"), s.Issuer.URLOf(profile), profile.Identity); err == nil {
					t.Error("verified another artifact")
				}
				if err := verifyByClient(t, s, signed, []byte("an artifact"), s.Issuer.URLOf(profile), "mallory@example.com"); err == nil {
					t.Error("verified another identity")
				}
			})
		}
	}
}

// logVariants are the combinations of logs that a signature may be in.
func logVariants(s *stack.Stack) map[string]stack.Services {
	all := s.Services()
	two := all
	two.AllLogs, two.AllTSAs = true, true
	return map[string]stack.Services{"Rekor v1": all.V1(), "Rekor v2": all.V2(), "two Rekor v2": two}
}

// signByClient signs with sigstore-go as the signing configuration says.
func signByClient(t *testing.T, s *stack.Stack, services stack.Services, profile stack.Profile, artifact []byte) *bundle.Bundle {
	t.Helper()
	text, err := services.SigningConfig()
	if err != nil {
		t.Fatal(err)
	}
	config, err := root.NewSigningConfigFromJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	token, err := s.Issuer.Token(profile, nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	authority, err := root.SelectService(config.FulcioCertificateAuthorityURLs(), sign.FulcioAPIVersions, now)
	if err != nil {
		t.Fatal(err)
	}
	logs, err := root.SelectServices(config.RekorLogURLs(), config.RekorLogURLsConfig(), sign.RekorAPIVersions, now)
	if err != nil {
		t.Fatal(err)
	}
	timestampers, err := root.SelectServices(config.TimestampAuthorityURLs(), config.TimestampAuthorityURLsConfig(), sign.TimestampAuthorityAPIVersions, now)
	if err != nil {
		t.Fatal(err)
	}
	options := sign.BundleOptions{
		Context:                    t.Context(),
		CertificateProvider:        sign.NewFulcio(&sign.FulcioOptions{BaseURL: authority.URL, Timeout: 30 * time.Second, Retries: 1}),
		CertificateProviderOptions: &sign.CertificateProviderOptions{IDToken: token},
	}
	for _, service := range timestampers {
		options.TimestampAuthorities = append(options.TimestampAuthorities, sign.NewTimestampAuthority(&sign.TimestampAuthorityOptions{URL: service.URL, Timeout: 30 * time.Second, Retries: 1}))
	}
	for _, service := range logs {
		options.TransparencyLogs = append(options.TransparencyLogs, sign.NewRekor(&sign.RekorOptions{BaseURL: service.URL, Timeout: 90 * time.Second, Retries: 1, Version: service.MajorAPIVersion}))
	}
	key, err := sign.NewEphemeralKeypair(nil)
	if err != nil {
		t.Fatal(err)
	}
	made, err := sign.Bundle(&sign.PlainData{Data: artifact}, key, options)
	if err != nil {
		t.Fatal(err)
	}
	want := 1
	if services.AllLogs {
		want = len(services.RekorV2)
	}
	if len(made.GetVerificationMaterial().GetTlogEntries()) != want {
		t.Errorf("%d log entries, want %d", len(made.GetVerificationMaterial().GetTlogEntries()), want)
	}
	signed, err := bundle.NewBundle(made)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func verifyByClient(t *testing.T, s *stack.Stack, signed *bundle.Bundle, artifact []byte, issuer, identity string) error {
	t.Helper()
	trusted, err := root.NewTrustedRootFromJSON(s.TrustedRoot)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := verify.NewVerifier(trusted, verify.WithSignedCertificateTimestamps(1), verify.WithTransparencyLog(1), verify.WithObserverTimestamps(1))
	if err != nil {
		t.Fatal(err)
	}
	wanted, err := verify.NewShortCertificateIdentity(issuer, "", identity, "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = verifier.Verify(signed, verify.NewPolicy(verify.WithArtifact(bytes.NewReader(artifact)), verify.WithCertificateIdentity(wanted)))
	return err
}

// TestStackTUF: Sigstore's own client reads the instance's TUF repository.
func TestStackTUF(t *testing.T) {
	t.Parallel()
	s := instance(t)
	client, err := tuf.New(tuf.DefaultOptions().WithRoot(s.TUF.Root).WithRepositoryBaseURL(s.TUF.URL).WithCachePath(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := root.GetTrustedRoot(client); err != nil {
		t.Error(err)
	}
	if _, err := root.GetSigningConfig(client); err != nil {
		t.Error(err)
	}
}
