package stack

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"time"
)

// keys are the instance's private keys and certificates; the servers read them from
// files of the same names.
type keys struct {
	created     time.Time // from when on everything is valid
	fulcioRoot  *x509.Certificate
	fulcio      *x509.Certificate // the intermediate, which issues
	tsa         [2][]*x509.Certificate
	tls         *x509.Certificate
	tlsKey      *ecdsa.PrivateKey
	issuer      *ecdsa.PrivateKey
	ct, rekor1  *ecdsa.PrivateKey
	rekor2      [2]ed25519.PrivateKey
	fulcioChain string // files
	tsaChains   [2]string
}

// certificateYears is how long the authorities are valid: longer than any test.
const certificateYears = 10

// makeKeys makes every key and writes what the servers need.
func (s *Stack) makeKeys() error {
	k := &keys{created: time.Now().Add(-time.Hour).UTC().Truncate(time.Second)}
	s.keys = k
	var err error
	generate := func(curve elliptic.Curve) *ecdsa.PrivateKey {
		key, failed := ecdsa.GenerateKey(curve, rand.Reader)
		if failed != nil && err == nil {
			err = failed
		}
		return key
	}
	rootKey, fulcioKey := generate(elliptic.P384()), generate(elliptic.P384())
	k.tlsKey, k.issuer, k.ct, k.rekor1 = generate(elliptic.P256()), generate(elliptic.P256()), generate(elliptic.P256()), generate(elliptic.P256())
	tsaRoots, tsaKeys := [2]*ecdsa.PrivateKey{}, [2]*ecdsa.PrivateKey{}
	for i := range tsaKeys {
		tsaRoots[i], tsaKeys[i] = generate(elliptic.P384()), generate(elliptic.P256())
	}
	if err != nil {
		return fmt.Errorf("generating keys: %w", err)
	}
	for i := range k.rekor2 {
		if _, k.rekor2[i], err = ed25519.GenerateKey(rand.Reader); err != nil {
			return fmt.Errorf("generating keys: %w", err)
		}
	}

	if k.fulcioRoot, err = issue(k.authority("Fulcio root", 1), nil, rootKey.Public(), rootKey); err != nil {
		return err
	}
	intermediate := k.authority("Fulcio intermediate", 0)
	intermediate.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
	if k.fulcio, err = issue(intermediate, k.fulcioRoot, fulcioKey.Public(), rootKey); err != nil {
		return err
	}
	if k.tls, err = issue(k.authority("TLS root", 0), nil, k.tlsKey.Public(), k.tlsKey); err != nil {
		return err
	}
	for i := range tsaKeys {
		if k.tsa[i], err = k.timestamper(i, tsaRoots[i], tsaKeys[i]); err != nil {
			return err
		}
		k.tsaChains[i] = s.path(fmt.Sprintf("tsa%d-chain.pem", i))
		if err := writeCertificates(k.tsaChains[i], k.tsa[i]...); err != nil {
			return err
		}
	}
	k.fulcioChain = s.path("fulcio-chain.pem")
	for path, chain := range map[string][]*x509.Certificate{
		// Fulcio wants the issuing certificate first and the root last.
		k.fulcioChain: {k.fulcio, k.fulcioRoot}, s.path("fulcio-root.pem"): {k.fulcioRoot}, s.path("tls-root.pem"): {k.tls},
	} {
		if err := writeCertificates(path, chain...); err != nil {
			return err
		}
	}
	for name, key := range map[string]crypto.Signer{
		"fulcio.key": fulcioKey, "ct.key": k.ct, "rekor1.key": k.rekor1, "rekor2-0.key": k.rekor2[0], "rekor2-1.key": k.rekor2[1], "tsa0.key": tsaKeys[0], "tsa1.key": tsaKeys[1],
	} {
		if err := writeKey(s.path(name), key); err != nil {
			return err
		}
	}
	for name, key := range map[string]crypto.Signer{"ct.pub": k.ct, "rekor1.pub": k.rekor1, "rekor2-0.pub": k.rekor2[0], "rekor2-1.pub": k.rekor2[1]} {
		der, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			return err
		}
		if err := os.WriteFile(s.path(name), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// authority is the template of a certificate authority.
func (k *keys) authority(name string, pathLength int) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: "e2e " + name, Organization: []string{"e2e.example"}}, NotBefore: k.created, NotAfter: k.created.AddDate(certificateYears, 0, 0),
		IsCA: true, BasicConstraintsValid: true, MaxPathLen: pathLength, MaxPathLenZero: pathLength == 0, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
}

// timestamper makes a timestamp authority's chain: its own certificate and a root. The
// usage extension must be critical (RFC 3161, section 2.3), which the standard library
// does not make it.
func (k *keys) timestamper(number int, rootKey, key *ecdsa.PrivateKey) ([]*x509.Certificate, error) {
	root, err := issue(k.authority(fmt.Sprintf("TSA root %d", number), 0), nil, rootKey.Public(), rootKey)
	if err != nil {
		return nil, err
	}
	usage, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	if err != nil {
		return nil, err
	}
	leaf, err := issue(&x509.Certificate{
		Subject:   pkix.Name{CommonName: fmt.Sprintf("e2e TSA %d", number), Organization: []string{"e2e.example"}},
		NotBefore: k.created, NotAfter: k.created.AddDate(certificateYears-1, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage}},
	}, root, key.Public(), rootKey)
	if err != nil {
		return nil, err
	}
	return []*x509.Certificate{leaf, root}, nil
}

// issue signs a certificate; without a parent it signs itself.
func issue(template, parent *x509.Certificate, public crypto.PublicKey, signer crypto.Signer) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	id := sha256.Sum256(der)
	template.SubjectKeyId = id[:20]
	if parent == nil {
		parent = template
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		return nil, fmt.Errorf("issuing the certificate of %s: %w", template.Subject.CommonName, err)
	}
	return x509.ParseCertificate(raw)
}

func writeKey(path string, key crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

func writeCertificates(path string, chain ...*x509.Certificate) error {
	var text []byte
	for _, certificate := range chain {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})...)
	}
	return os.WriteFile(path, text, 0o600)
}
