package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/e2e/stack"
)

// keyless is a folder from which one identity signs with a choice of services:
// signing.json, trusted_root.json, token, and a predicate p.json.
type keyless struct {
	dir     string
	stack   *stack.Stack
	profile stack.Profile
	// sct tells whether certificates are in a CT log.
	sct bool
}

func newKeyless(t testing.TB, services stack.Services, profile stack.Profile) keyless {
	t.Helper()
	s := instance(t)
	k := keyless{dir: t.TempDir(), stack: s, profile: profile, sct: services.Fulcio != s.Services().FulcioWithoutCT}
	config, err := services.SigningConfig()
	if err != nil {
		t.Fatal(err)
	}
	token, err := s.Issuer.Token(profile, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"signing.json": string(config), "trusted_root.json": string(s.TrustedRoot), "token": token, "p.json": predicateText, "blob": "an artifact", "other": "another artifact",
	} {
		put(t, k.dir, name, []byte(content))
	}
	return k
}

// sign are the flags with which hallmark signs.
func (k keyless) sign(args ...string) []string {
	return append(args, "--identity-token", "token", "--signing-config", "signing.json", "--trusted-root", "trusted_root.json")
}

// verify are the flags with which hallmark, and cosign, verify.
func (k keyless) verify(args ...string) []string {
	return k.as(k.profile.Identity, k.stack.Issuer.URLOf(k.profile), args...)
}

// as is verify with another identity or issuer.
func (k keyless) as(identity, issuer string, args ...string) []string {
	flags := append(args, "--certificate-identity", identity, "--certificate-oidc-issuer", issuer, "--trusted-root", "trusted_root.json")
	if !k.sct {
		return append(flags, "--insecure-ignore-sct")
	}
	return flags
}

// keylessVariants calls f for log × CT × identity, as subtests side by side.
func keylessVariants(t *testing.T, f func(t *testing.T, k keyless)) {
	t.Helper()
	all := instance(t).Services()
	for logName, services := range map[string]stack.Services{"Rekor v1": all.V1(), "Rekor v2": all.V2()} {
		for ctName, services := range map[string]stack.Services{"CT": services, "no CT": services.NoCT()} {
			for profileName, profile := range map[string]stack.Profile{"e-mail": stack.Email(), "GitHub claims": stack.GitHub(), "real GitHub issuer": stack.RealGitHub()} {
				t.Run(logName+"/"+ctName+"/"+profileName, func(t *testing.T) {
					t.Parallel()
					f(t, newKeyless(t, services, profile))
				})
			}
		}
	}
}

// reasons are the reason codes that a JSON report holds, wherever they stand.
func reasons(t testing.TB, report string) map[string]bool {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(report), &value); err != nil {
		t.Fatalf("reading the report: %v\n%s", err, report)
	}
	found := map[string]bool{}
	var walk func(value any)
	walk = func(value any) {
		switch value := value.(type) {
		case map[string]any:
			if code, ok := value["reason"].(string); ok {
				found[code] = true
			}
			for _, inner := range value {
				walk(inner)
			}
		case []any:
			for _, inner := range value {
				walk(inner)
			}
		}
	}
	walk(value)
	return found
}

// repositoryName turns a test's name into a repository's.
func repositoryName(t testing.TB) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '/':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, t.Name())
}
