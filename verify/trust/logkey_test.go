package trust_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"testing"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"

	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// TestKeysOfLogs: KE-12. A log's key is of a kind that is said and can be checked, or
// the root is invalid: never a panic, never a log that is passed over.
func TestKeysOfLogs(t *testing.T) {
	t.Parallel()
	in := verifytest.NewInstance(t)
	encode := func(public any, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	curve := func(c elliptic.Curve) []byte {
		key, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return encode(key.Public(), nil)
	}
	modulus := func(bits int) []byte {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		return encode(key.Public(), nil)
	}
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	for name, test := range map[string]struct {
		key     []byte
		details protocommon.PublicKeyDetails
		good    bool
	}{
		"KE-12 ECDSA P-256":              {curve(elliptic.P256()), protocommon.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256, true},
		"KE-12 ECDSA P-384":              {curve(elliptic.P384()), protocommon.PublicKeyDetails_PKIX_ECDSA_P384_SHA_384, true},
		"KE-12 Ed25519":                  {encode(edwards, err), protocommon.PublicKeyDetails_PKIX_ED25519, true},
		"KE-12 RSA 2048":                 {modulus(2048), protocommon.PublicKeyDetails_PKIX_RSA_PKCS1V15_2048_SHA256, true},
		"KE-12 Ed25519 that is an ECDSA": {curve(elliptic.P256()), protocommon.PublicKeyDetails_PKIX_ED25519, false},
		"KE-12 ECDSA that is an Ed25519": {encode(edwards, err), protocommon.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256, false},
		"KE-12 RSA that is an ECDSA":     {curve(elliptic.P256()), protocommon.PublicKeyDetails_PKIX_RSA_PKCS1V15_2048_SHA256, false},
		"KE-12 an unspecified kind":      {curve(elliptic.P256()), protocommon.PublicKeyDetails_PUBLIC_KEY_DETAILS_UNSPECIFIED, false},
		"KE-12 no key":                   {[]byte("no key"), protocommon.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256, false},
		"KE-12 a key and something more": {append(curve(elliptic.P256()), 0), protocommon.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256, false},
		"KE-12 a curve of 224 bits":      {curve(elliptic.P224()), protocommon.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := in.TrustedRoot(t, func(root *prototrustroot.TrustedRoot) {
				root.Tlogs[0].PublicKey.RawBytes, root.Tlogs[0].PublicKey.KeyDetails = test.key, test.details
			})
			_, err := trust.NewRoot(trust.WithTrustedRoot(text))
			if test.good != (err == nil) || err != nil && !errors.Is(err, trust.ErrRootInvalid) {
				t.Errorf("%v", err)
			}
		})
	}
}
