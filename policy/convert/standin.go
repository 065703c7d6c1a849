package convert

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"sync"
)

// standIn takes the place of Sigstore's public root while the result is checked: it
// has one authority and one log of each kind, and nobody has their keys. Whether a
// policy can be read does not depend on which root it is, so that no trust state is
// needed to convert.
var standIn = sync.OnceValues(func() ([]byte, error) {
	block, _ := pem.Decode([]byte(standInCertificate))
	if block == nil {
		return nil, errors.New("no certificate stands in")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	der := certificate.RawSubjectPublicKeyInfo
	id := sha256.Sum256(der)
	log := logJSON{
		URL: "https://log.invalid", Hash: "SHA2_256", ID: keyIDJSON{id[:]},
		PublicKey: publicKeyJSON{Raw: der, Details: "PKIX_ECDSA_P256_SHA_256", Valid: periodJSON{since}},
	}
	return json.Marshal(rootJSON{
		MediaType: rootType, Logs: []logJSON{log}, CertificateLogs: []logJSON{log},
		Authorities: []authorityJSON{authority([]certificateJSON{{block.Bytes}})},
	})
})

const standInCertificate = `-----BEGIN CERTIFICATE-----
MIIBWDCB/6ADAgECAgEBMAoGCCqGSM49BAMCMBMxETAPBgNVBAMTCHN0YW5kLWlu
MCAXDTAwMDEwMTAwMDAwMFoYDzIxMDAwMTAxMDAwMDAwWjATMREwDwYDVQQDEwhz
dGFuZC1pbjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABKTBKoqeeRvqbPye3Ou7
u0DpkZJ8hHinpV1wSYGCt+WDeh4oU5M5h+IlFwi9lQG31sS/8R2lutT05C8R8cAt
9rSjQjBAMA4GA1UdDwEB/wQEAwICBDAPBgNVHRMBAf8EBTADAQH/MB0GA1UdDgQW
BBT9ib6WdRPALEgdTUmQSa8XYPj6xzAKBggqhkjOPQQDAgNIADBFAiByS/5RiuFb
53gvl3eJ23kr974Iz6mYvFTuzO0VC8V0cgIhAP72MomPKhLEySjyBzUqEd+JQ3Ic
GwE/6scmMN5usjKl
-----END CERTIFICATE-----
`
