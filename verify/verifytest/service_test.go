package verifytest_test

import (
	"bytes"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// post sends a body and returns the status and the answer.
func post(t *testing.T, url string, body []byte, header ...string) (int, http.Header, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(raw)
}

// hashedRekordV2 is a request to a Rekor v2 with the signature of a signed thing.
func hashedRekordV2(t *testing.T, digest []byte, s *verifytest.Signed, sig []byte) []byte {
	t.Helper()
	raw, err := json.Marshal(map[string]any{"hashedRekordRequestV002": map[string]any{
		"digest": digest, "signature": map[string]any{"content": sig, "verifier": map[string]any{
			"keyDetails": "PKIX_ECDSA_P256_SHA_256", "x509Certificate": map[string]any{"rawBytes": s.Leaf.Raw},
		}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestServicesRefuse: the services are not easier to please than real ones.
func TestServicesRefuse(t *testing.T) {
	t.Parallel()
	s := verifytest.NewServices(t)
	other := verifytest.NewServices(t)
	if status, _, _ := post(t, s.Fulcio.URL+"/api/v2/signingCert", []byte(`{}`), "Authorization", "Bearer "+other.Token); status != http.StatusUnauthorized {
		t.Errorf("another's token: %d", status)
	}
	if status, _, _ := post(t, s.Fulcio.URL+"/api/v2/signingCert", []byte(`{}`), "Authorization", "Bearer "+s.Token); status != http.StatusBadRequest {
		t.Errorf("no proof of possession: %d", status)
	}
	for _, url := range []string{s.Rekor1.URL + "/api/v1/log/entries", s.Rekor2.URL + "/api/v2/log/entries", s.TSA.URL} {
		for _, body := range []string{"", "{}", "[]", `{"kind":"dsse"}`, `{"kind":"hashedrekord"}`} {
			if status, _, _ := post(t, url, []byte(body)); status != http.StatusBadRequest {
				t.Errorf("%s was sent %q: %d", url, body, status)
			}
		}
	}
	for _, url := range []string{s.Fulcio.URL, s.Rekor1.URL + "/api/v2/log/entries", s.Rekor2.URL + "/api/v1/log/entries", s.TSA.URL + "/x"} {
		if status, _, _ := post(t, url, nil); status != http.StatusNotFound {
			t.Errorf("%s: %d", url, status)
		}
	}
	if n := s.Rekor2.Count("POST /api/v2/log/entries"); n != 5 {
		t.Errorf("counted %d requests, want 5", n)
	}
}

// TestServicesLog: a signature that does not verify is not logged, one that does is, and
// the second time the log says where.
func TestServicesLog(t *testing.T) {
	t.Parallel()
	s := verifytest.NewServices(t)
	signed := s.Instance.Sign(t, verifytest.Options{Message: true})
	hash := signed.Subject().Digest.Bytes()
	url := s.Rekor2.URL + "/api/v2/log/entries"
	broken := bytes.Clone(signed.Sig)
	broken[len(broken)-1] ^= 1
	if status, _, _ := post(t, url, hashedRekordV2(t, hash, signed, broken)); status != http.StatusBadRequest {
		t.Errorf("a broken signature: %d", status)
	}
	status, _, first := post(t, url, hashedRekordV2(t, hash, signed, signed.Sig))
	if status != http.StatusCreated || !strings.Contains(first, `"logIndex"`) {
		t.Fatalf("a signature: %d %s", status, first)
	}
	status, header, _ := post(t, url, hashedRekordV2(t, hash, signed, signed.Sig))
	if status != http.StatusConflict || header.Get("x-log-index") != "5" {
		t.Errorf("again: %d, index %q", status, header.Get("x-log-index"))
	}
	if status, _, _ := post(t, s.SecondV2.URL+"/api/v2/log/entries", hashedRekordV2(t, hash, signed, signed.Sig)); status != http.StatusCreated {
		t.Errorf("another log: %d", status)
	}
}

// TestServicesStamp: a timestamp is over what was asked, with the nonce of the request.
func TestServicesStamp(t *testing.T) {
	t.Parallel()
	s := verifytest.NewServices(t)
	imprint := verifytest.Imprint{Hash: bytes.Repeat([]byte{7}, 32)}
	imprint.Algorithm.Algorithm = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	raw, err := asn1.Marshal(struct {
		Version int
		Imprint verifytest.Imprint
		Nonce   int
	}{1, imprint, 0x1122334455667788})
	if err != nil {
		t.Fatal(err)
	}
	status, _, answer := post(t, s.TSA.URL, raw)
	if status != http.StatusCreated {
		t.Fatalf("status %d", status)
	}
	for _, part := range []string{string(imprint.Hash), "\x11\x22\x33\x44\x55\x66\x77\x88"} {
		if !strings.Contains(answer, part) {
			t.Errorf("%x is not in the timestamp", part)
		}
	}
}

// TestFaults: each fault is what it says, as often as it says.
func TestFaults(t *testing.T) {
	t.Parallel()
	s := verifytest.NewServices(t)
	s.TSA.Fail(verifytest.Fault{Status: 503, Times: 2, RetryAfter: 7, Text: "busy"})
	s.TSA.Fail(verifytest.Fault{Status: 404, Times: 1, On: "GET"})
	for i, want := range []int{503, 503, 400, 400} {
		status, header, text := post(t, s.TSA.URL, nil)
		if status != want || (want == 503) != (header.Get("Retry-After") == "7" && strings.Contains(text, "busy")) {
			t.Errorf("request %d: %d %v %q", i, status, header, text)
		}
	}
	s.TSA.Fail(verifytest.Fault{Status: 500})
	s.TSA.Heal()
	if status, _, _ := post(t, s.TSA.URL, nil); status != 400 {
		t.Errorf("after healing: %d", status)
	}
	if claims, err := base64.RawURLEncoding.DecodeString(strings.Split(s.Token, ".")[1]); err != nil || !json.Valid(claims) {
		t.Errorf("the token is no JWT: %v", err)
	}
	s.TSA.Fail(verifytest.Fault{Cut: true})
	if response, err := http.Post(s.TSA.URL, "", nil); err == nil {
		response.Body.Close()
		t.Error("the connection was not cut")
	}
}
