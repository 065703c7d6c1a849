package main

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/admission"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// TestPullSecretsOfAskers: a Pod's own secret opens the registry that it is for, to that
// Pod alone and only where it is switched on; no other host sees it (AD-21).
func TestPullSecretsOfAskers(t *testing.T) {
	t.Parallel()
	mine := registrytest.New(t, registrytest.WithBasicAuth("team", "secret"))
	victim := registrytest.New(t, registrytest.WithBasicAuth("team", "secret"))
	key := verifytest.NewKey(t, "ecdsa-p256")
	signed := func(r *registrytest.Registry) string {
		image := r.PushImage("team/app", "1", map[string]string{"app": "x"})
		r.Attach(image.Repository, image.Descriptor, registrytest.Artifact{
			Type: verifytest.BundleMediaType, Content: key.Signature(t, image.Digest).Raw, Embed: true,
			Annotations: map[string]string{"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": verify.SignaturePredicateType},
		})
		return image.TagRef()
	}
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file("release.pub", string(key.Trusted.PEM()))
	policyFile := file("policy.yaml", `apiVersion: hallmark.dev/v1alpha1
kind: TrustPolicy
metadata: {name: test}
signers: {release: {keys: [{file: release.pub}]}}
rules: [{name: all, images: ["**"], require: {signatures: {from: [release]}}}]
`)
	config := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `{"auths": {%q: {"username": "team", "password": "secret"}}}`, mine.Host()))
	var asked atomic.Int64
	api := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path != "/api/v1/namespaces/shop/secrets/login" || r.Header.Get("Authorization") != "Bearer token" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprintf(w, `{"kind": "Secret", "type": "kubernetes.io/dockerconfigjson", "metadata": {"name": "login", "namespace": "shop"}, "data": {".dockerconfigjson": %q}}`, config)
	}))
	t.Cleanup(api.Close)
	file("token", "token")
	file("ca.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw})))
	address, err := url.Parse(api.URL)
	if err != nil {
		t.Fatal(err)
	}
	environment := map[string]string{"KUBERNETES_SERVICE_HOST": address.Hostname(), "KUBERNETES_SERVICE_PORT": address.Port()}
	judge := func(asker admission.Asker, image string, on bool, config string) (policy.Verdict, string) {
		t.Helper()
		a := &cli.App{Stdout: io.Discard, Stderr: io.Discard, Getenv: func(name string) string { return environment[name] }}
		f := &serveFlags{
			policy: policyFile, trustDir: dir, logFile: "none", plainHTTP: true, onUnavailable: admission.UnavailableDeny, timeout: 10 * time.Second,
			reload: time.Second, maxAge: time.Minute, cacheEntries: 10, maxConcurrent: 10, traceRatio: 1, accountDir: dir, pullSecrets: on, dockerConfig: config,
		}
		s, _, done, err := f.server(a, slog.New(slog.DiscardHandler), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		defer done()
		answer := s.Judge.Judge(t.Context(), asker, []string{image})[0]
		return answer.Verdict, string(answer.Reason) + " " + answer.Error
	}
	shop := admission.Asker{Namespace: "shop", PullSecrets: []string{"login"}}
	if verdict, why := judge(shop, signed(mine), true, ""); verdict != policy.Allow {
		t.Errorf("with its secret: %s %s", verdict, why)
	}
	for name, tc := range map[string]struct {
		asker admission.Asker
		image string
		on    bool
	}{
		"AD-21 another registry":   {shop, signed(victim), true},
		"AD-21 another namespace":  {admission.Asker{Namespace: "other", PullSecrets: []string{"login"}}, signed(mine), true},
		"AD-21 no secret is named": {admission.Asker{Namespace: "shop"}, signed(mine), true},
		"AD-21 switched off":       {shop, signed(mine), false},
	} {
		before := asked.Load()
		if verdict, why := judge(tc.asker, tc.image, tc.on, ""); verdict != policy.Undetermined {
			t.Errorf("%s: %s %s", name, verdict, why)
		}
		if !tc.on && asked.Load() != before {
			t.Errorf("%s: the API was asked", name)
		}
	}
	// Beside the secrets the server's own credentials count.
	own := file("config.json", fmt.Sprintf(`{"auths": {%q: {"username": "team", "password": "secret"}}}`, victim.Host()))
	if verdict, why := judge(shop, signed(victim), true, own); verdict != policy.Allow {
		t.Errorf("with the server's own credentials: %s %s", verdict, why)
	}
	environment["KUBERNETES_SERVICE_HOST"] = ""
	var errs strings.Builder
	a := &cli.App{Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: &errs, Getenv: func(name string) string { return environment[name] }}
	if code := run(t.Context(), a, []string{"serve", "--policy", policyFile, "--insecure-plain-http", "--listen", "127.0.0.1:0", "--pull-secrets"}); code != cli.ExitUndetermined || !strings.Contains(errs.String(), "hint: leave --pull-secrets away") {
		t.Errorf("outside of a cluster: %d\n%s", code, &errs)
	}
}

// TestWarnedOnce: the log does not fill with what every Pod of a namespace brings.
func TestWarnedOnce(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	f := &firstTime{log: slog.New(slog.NewTextHandler(&b, nil))}
	for i := range 3000 {
		f.warn(fmt.Errorf("reading secret s%d", i%500))
	}
	if n := strings.Count(b.String(), "\n"); n != 500 {
		t.Errorf("%d lines", n)
	}
	for i := range 5000 {
		f.warn(fmt.Errorf("reading secret t%d", i))
	}
	if len(f.said) > maxSaid {
		t.Errorf("%d are remembered", len(f.said))
	}
}
