package tuf_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
)

// trustedRoot and otherRoot are the smallest that trust something: one log each.
var (
	trustedRoot = rootOf("https://log.test", 7)
	otherRoot   = rootOf("https://other.test", 8)
)

func rootOf(url string, seed byte) []byte {
	type object = map[string]any
	der, err := x509.MarshalPKIXPublicKey(ed25519.NewKeyFromSeed(append(make([]byte, 31), seed)).Public())
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(der)
	text, err := json.Marshal(object{
		"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
		"tlogs": []any{object{
			"baseUrl": url, "hashAlgorithm": "SHA2_256", "logId": object{"keyId": sum[:]},
			"publicKey": object{"rawBytes": der, "keyDetails": "PKIX_ED25519", "validFor": object{"start": "2026-01-01T00:00:00Z"}},
		}},
	})
	if err != nil {
		panic(err)
	}
	return text
}
