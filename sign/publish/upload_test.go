package publish

import (
	"errors"
	"net/http"
	"net/url"
	"testing"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// TestUploadTargets: OC-27. From a public registry an upload goes to a public host
// over TLS, and to no spelling of an internal address.
func TestUploadTargets(t *testing.T) {
	t.Parallel()
	asked, err := url.Parse("https://registry.example/v2/app/blobs/uploads/")
	if err != nil {
		t.Fatal(err)
	}
	for location, want := range map[string]error{
		"/v2/app/blobs/uploads/1?state=x":     nil,
		"https://storage.example/put?state=x": nil,
		"":                                    oci.ErrUnreachable,
		"http://storage.example/put":          oci.ErrRedirectRefused,
		"https://127.0.0.1/put":               oci.ErrRedirectRefused,
		"https://127.1/put":                   oci.ErrRedirectRefused,
		"https://2130706433/put":              oci.ErrRedirectRefused,
		"https://0x7f000001/put":              oci.ErrRedirectRefused,
		"https://localhost/put":               oci.ErrRedirectRefused,
		"https://x.localhost./put":            oci.ErrRedirectRefused,
		"https://10.1.2.3/put":                oci.ErrRedirectRefused,
		"https://100.64.0.1/put":              oci.ErrRedirectRefused,
		"https://169.254.169.254/put":         oci.ErrRedirectRefused,
		"https://[::1]/put":                   oci.ErrRedirectRefused,
		"https://[64:ff9b::a00:1]/put":        oci.ErrRedirectRefused,
		"https://[::ffff:10.0.0.1]/put":       oci.ErrRedirectRefused,
	} {
		answer := &http.Response{Request: &http.Request{URL: asked}, Header: http.Header{"Location": {location}}}
		target, err := uploadTarget(answer, digest.FromBytes(nil))
		if !errors.Is(err, want) || (want == nil) != (err == nil) {
			t.Errorf("%q: %q, %v; want %v", location, target, err, want)
		}
	}
}
