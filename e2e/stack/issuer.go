package stack

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Issuer is an OpenID Connect issuer. At its own URL it speaks for people, at
// URL/actions for a CI system with GitHub's claims; for each of the real issuers it
// makes tokens that Fulcio accepts, because Fulcio asks for their keys here.
// It is safe for concurrent use.
type Issuer struct {
	// URL is the issuer of people's tokens.
	URL string

	signer jose.Signer
	public jose.JSONWebKey
	logins logins
}

// Profile is whom a token speaks for.
type Profile struct {
	// Issuer is the token's issuer; one that begins with a slash is below [Issuer.URL].
	Issuer string
	// Identity is the subject alternative name of the certificate that Fulcio makes of it.
	Identity string
	claims   map[string]any
}

// TokenLife is how long a token is valid, as that of CI systems.
const TokenLife = 10 * time.Minute

// commit is the commit that CI tokens name.
const commit = "0123456789abcdef0123456789abcdef01234567"

// Email is a person.
func Email() Profile {
	return Profile{Issuer: "", Identity: "alice@example.com", claims: map[string]any{"sub": "user-1", "email": "alice@example.com", "email_verified": true}}
}

// GitHub is a workflow run with GitHub's claims, from an issuer of one's own.
func GitHub() Profile {
	workflow := "octo-org/octo-repo/.github/workflows/release.yml@refs/heads/main"
	return Profile{Issuer: "/actions", Identity: "https://github.com/" + workflow, claims: map[string]any{
		"sub": "repo:octo-org/octo-repo:ref:refs/heads/main", "repository": "octo-org/octo-repo", "repository_id": "74",
		"repository_owner": "octo-org", "repository_owner_id": "65", "repository_visibility": "public", "ref": "refs/heads/main", "ref_type": "branch",
		"sha": commit, "workflow": "release", "workflow_ref": workflow, "workflow_sha": commit, "job_workflow_ref": workflow, "job_workflow_sha": commit,
		"event_name": "push", "run_id": "1001", "run_number": "7", "run_attempt": "1", "runner_environment": "github-hosted", "actor": "octocat", "actor_id": "12",
	}}
}

// RealGitHub is [GitHub] from GitHub's own issuer URL.
func RealGitHub() Profile {
	p := GitHub()
	p.Issuer = "https://token.actions.githubusercontent.com"
	return p
}

// GitLab is a pipeline job of gitlab.com.
func GitLab() Profile {
	config := "gitlab.com/group/project//.gitlab-ci.yml@refs/heads/main"
	return Profile{Issuer: "https://gitlab.com", Identity: "https://" + config, claims: map[string]any{
		"sub": "project_path:group/project:ref_type:branch:ref:main", "project_path": "group/project", "project_id": "20", "namespace_path": "group", "namespace_id": "72",
		"ci_config_ref_uri": config, "ci_config_sha": commit, "runner_environment": "gitlab-hosted", "sha": commit, "ref": "main", "ref_type": "branch",
		"pipeline_source": "push", "pipeline_id": "301", "job_id": "302", "project_visibility": "private",
	}}
}

// Buildkite is a job of a Buildkite pipeline.
func Buildkite() Profile {
	return Profile{Issuer: "https://agent.buildkite.com", Identity: "https://buildkite.com/acme/release", claims: map[string]any{
		"sub": "organization:acme:pipeline:release:ref:refs/heads/main:commit:" + commit + ":step:build", "organization_slug": "acme", "pipeline_slug": "release",
		"build_number": 9, "build_commit": commit, "build_source": "webhook", "build_branch": "main", "job_id": "0184990a-477b-4fa8-9968-496074483cee",
		"runner_environment": "self-hosted",
	}}
}

// URLOf is the issuer in the tokens of a profile.
func (i *Issuer) URLOf(profile Profile) string {
	if profile.Issuer == "" || profile.Issuer[0] == '/' {
		return i.URL + profile.Issuer
	}
	return profile.Issuer
}

// Token makes an identity token with the audience "sigstore". The given claims come
// last: they replace the profile's own.
func (i *Issuer) Token(profile Profile, claims map[string]any) (string, error) {
	now := time.Now()
	all := map[string]any{"iss": i.URLOf(profile), "aud": "sigstore", "iat": now.Unix(), "nbf": now.Unix() - 5, "exp": now.Add(TokenLife).Unix()}
	maps.Copy(all, profile.claims)
	maps.Copy(all, claims)
	token, err := jwt.Signed(i.signer).Claims(all).Serialize()
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return token, nil
}

// startIssuer starts the issuer and the proxy that answers for the real ones.
func (s *Stack) startIssuer() error {
	private := jose.JSONWebKey{Key: s.keys.issuer, KeyID: "e2e", Algorithm: string(jose.ES256), Use: "sig"}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: private}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return fmt.Errorf("making the issuer's signer: %w", err)
	}
	s.Issuer = &Issuer{URL: "http://" + s.addresses.oidc, signer: signer, public: private.Public(), logins: logins{codes: map[string]login{}, devices: map[string]string{}}}
	mux := http.NewServeMux()
	for _, path := range []string{"", "/actions"} {
		s.Issuer.discovery(mux, path, func(*http.Request) string { return s.Issuer.URL + path })
	}
	s.Issuer.routes(mux)
	if err := s.serve(s.addresses.oidc, mux); err != nil {
		return err
	}
	real := http.NewServeMux()
	s.Issuer.discovery(real, "", func(r *http.Request) string { return "https://" + r.Host })
	return s.startProxy(real)
}

// discovery adds an issuer's two documents (OpenID Connect Discovery, section 4).
func (i *Issuer) discovery(mux *http.ServeMux, path string, issuer func(*http.Request) string) {
	mux.HandleFunc("GET "+path+"/.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		url := issuer(r)
		writeJSON(w, map[string]any{
			"issuer": url, "jwks_uri": url + "/keys", "authorization_endpoint": url + "/auth", "token_endpoint": url + "/token", "device_authorization_endpoint": url + "/device",
			"code_challenge_methods_supported": []string{"S256"},
			"response_types_supported":         []string{"code", "id_token"}, "subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"ES256"},
		})
	})
	mux.HandleFunc("GET "+path+"/keys", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{i.public}})
	})
}

func writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(value) // a client that has gone is no concern of ours
}

// serve answers at one of the chosen addresses until the instance stops.
func (s *Stack) serve(address string, handler http.Handler) error {
	listener, err := listen(address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve(listener)
	}()
	s.closers = append(s.closers, func() {
		server.Close()
		<-done
	})
	return nil
}
