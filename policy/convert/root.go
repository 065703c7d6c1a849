package convert

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/hallmark-project/hallmark/verify/trust"
)

// maxCertificates bounds the authorities of one root.
const maxCertificates = 20

// rootType is the media type of a trusted_root.json.
const rootType = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"

// since is when a root made from bare keys begins: they say nothing of their time.
const since = "2000-01-01T00:00:00Z"

// rootJSON is what of a trusted_root.json a converted one has (protobuf-specs,
// sigstore_trustroot.proto, in its JSON form).
type rootJSON struct {
	MediaType       string          `json:"mediaType"`
	Logs            []logJSON       `json:"tlogs,omitempty"`
	Authorities     []authorityJSON `json:"certificateAuthorities,omitempty"`
	CertificateLogs []logJSON       `json:"ctlogs,omitempty"`
}

type logJSON struct {
	URL       string        `json:"baseUrl"`
	Hash      string        `json:"hashAlgorithm"`
	PublicKey publicKeyJSON `json:"publicKey"`
	ID        keyIDJSON     `json:"logId"`
}

type publicKeyJSON struct {
	Raw     []byte     `json:"rawBytes"`
	Details string     `json:"keyDetails"`
	Valid   periodJSON `json:"validFor"`
}

type keyIDJSON struct {
	ID []byte `json:"keyId"`
}

type periodJSON struct {
	Start string `json:"start"`
}

type authorityJSON struct {
	Subject   map[string]string `json:"subject"`
	URI       string            `json:"uri"`
	CertChain chainJSON         `json:"certChain"`
	Valid     periodJSON        `json:"validFor"`
}

type chainJSON struct {
	Certificates []certificateJSON `json:"certificates"`
}

type certificateJSON struct {
	Raw []byte `json:"rawBytes"`
}

// rekor makes the trust root of a requirement that names the keys of logs, and
// perhaps certificate authorities; "" where it names none. false where it cannot be
// made.
func (c *converter) rekor(n, fulcio node, name string) (string, bool) {
	const never = "nothing meets it"
	var keys [][]byte
	paths, _ := n.field("rekorPublicKeyPaths").texts()
	datas, _ := n.field("rekorPublicKeyDatas").texts()
	for _, path := range append([]string{n.field("rekorPublicKeyPath").text()}, paths...) {
		if path != "" {
			raw, ok := c.file(n.place(), path)
			if !ok {
				return "", false
			}
			keys = append(keys, raw)
		}
	}
	for _, data := range append([]string{n.field("rekorPublicKeyData").text()}, datas...) {
		if data != "" {
			raw, err := base64.StdEncoding.DecodeString(data)
			if err != nil {
				c.lose(n.place(), "a log's key that is no base64", never)
				return "", false
			}
			keys = append(keys, raw)
		}
	}
	var authorities []byte
	if path := fulcio.field("caPath").text(); path != "" {
		raw, ok := c.file(fulcio.place(), path)
		if !ok {
			return "", false
		}
		authorities = raw
	}
	if data := fulcio.field("caData").text(); data != "" {
		raw, err := base64.StdEncoding.DecodeString(data)
		if err != nil {
			c.lose(fulcio.place(), "certificates that are no base64", never)
			return "", false
		}
		authorities = raw
	}
	if len(keys) == 0 {
		if fulcio.there() {
			c.lose(fulcio.place(), "certificates without a transparency log", never)
			return "", false
		}
		return "", true
	}
	root, err := sigstoreRoot(keys, authorities)
	if err != nil {
		c.lose(n.place(), fmt.Sprintf("a trust root that Hallmark does not read (%v)", err), never)
		return "", false
	}
	return c.addRoot(nameFrom(name)+"-root", root), true
}

// addRoot gives a root a name; equal ones have one.
func (c *converter) addRoot(name string, root rootText) string {
	if name = nameFrom(name); name == "" {
		name = "own"
	}
	if c.parties.roots == nil {
		c.parties.roots = make(map[string]rootText)
	}
	for known, other := range c.parties.roots {
		if root.Sigstore != "" && other.Sigstore == root.Sigstore && root.X509 == nil && other.X509 == nil {
			return known
		}
	}
	for try, n := name, 2; ; n++ {
		if _, taken := c.parties.roots[try]; !taken && try != publicRoot {
			c.parties.roots[try] = root
			return try
		}
		try = fmt.Sprintf("%s-%d", name, n)
	}
}

// sigstoreRoot makes a root of the keys of logs, and of certificate authorities. It has
// no certificate log, since what it is made of names none.
func sigstoreRoot(logs [][]byte, authorities []byte) (rootText, error) {
	wire := rootJSON{MediaType: rootType}
	for i, raw := range logs {
		key, err := trust.ParsePublicKey(raw)
		if err != nil {
			return rootText{}, err
		}
		block, _ := pem.Decode(key.PEM())
		if block == nil {
			return rootText{}, errors.New("no key")
		}
		details, err := keyDetails(block.Bytes)
		if err != nil {
			return rootText{}, err
		}
		id := sha256.Sum256(block.Bytes)
		wire.Logs = append(wire.Logs, logJSON{
			URL: fmt.Sprintf("https://log-%d.invalid", i+1), Hash: "SHA2_256", ID: keyIDJSON{id[:]},
			PublicKey: publicKeyJSON{Raw: block.Bytes, Details: details, Valid: periodJSON{since}},
		})
	}
	chain := chainJSON{}
	for rest := authorities; len(rest) > 0; {
		block, after := pem.Decode(rest)
		if block == nil {
			break
		}
		if rest = after; len(chain.Certificates) == maxCertificates {
			return rootText{}, fmt.Errorf("more than %d certificates", maxCertificates)
		}
		chain.Certificates = append(chain.Certificates, certificateJSON{block.Bytes})
	}
	if len(authorities) > 0 {
		wire.Authorities = []authorityJSON{authority(chain.Certificates)}
	}
	text, err := json.Marshal(wire)
	if err != nil {
		return rootText{}, err
	}
	if _, err := trust.NewRoot(trust.WithTrustedRoot(text)); err != nil {
		return rootText{}, err
	}
	none := 0
	return rootText{Sigstore: string(text), SCT: &none}, nil
}

func authority(chain []certificateJSON) authorityJSON {
	return authorityJSON{
		Subject: map[string]string{"organization": "converted", "commonName": "converted"},
		URI:     "https://authority.invalid", CertChain: chainJSON{chain}, Valid: periodJSON{since},
	}
}

// keyDetails names a key's algorithm as protobuf-specs does (PublicKeyDetails).
func keyDetails(der []byte) (string, error) {
	public, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return "", err
	}
	switch key := public.(type) {
	case ed25519.PublicKey:
		return "PKIX_ED25519", nil
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() {
			return "PKIX_ECDSA_P256_SHA_256", nil
		}
	}
	return "", errors.New("a log's key is ECDSA P-256 or Ed25519")
}
