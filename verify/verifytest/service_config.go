package verifytest

import (
	"testing"
	"time"
)

// SigningConfig is a signing configuration that names the services (protobuf-specs,
// sigstore_trustroot.proto, SigningConfig v0.2): one log of the given version of Rekor,
// one timestamp authority beside a v2.
func (s *Services) SigningConfig(t testing.TB, rekor int) []byte {
	t.Helper()
	service := func(url string, version int) []any {
		return []any{map[string]any{
			"url": url, "majorApiVersion": version, "operator": "verifytest",
			"validFor": map[string]any{"start": s.Instance.Now.Add(-24 * time.Hour).Format(time.RFC3339)},
		}}
	}
	one := map[string]any{"selector": "ANY"}
	config := map[string]any{
		"mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
		"caUrls":    service(s.Fulcio.URL, 1), "rekorTlogUrls": service(s.Rekor1.URL, 1), "rekorTlogConfig": one, "tsaConfig": one,
	}
	if rekor == 2 {
		config["rekorTlogUrls"], config["tsaUrls"] = service(s.Rekor2.URL, 2), service(s.TSA.URL, 1)
	}
	return encodeJSON(t, config)
}
