package trust

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

const (
	maxAuthorityBytes = 1 << 20  // 70 certificates with RSA-8192 keys have a fifth of it
	maxRevocationSize = 16 << 20 // the largest lists of the web's CAs have about 10 MB
	maxRevocations    = 20       // one for each root
)

// parseCertificates reads PEM blocks of type CERTIFICATE and nothing else, each
// with a key that [CheckStrength] accepts. A certificate given twice counts once.
func parseCertificates(text []byte, limit int) ([]*x509.Certificate, error) {
	if len(text) > maxAuthorityBytes {
		return nil, fmt.Errorf("%d bytes are more than %d", len(text), maxAuthorityBytes)
	}
	var certificates []*x509.Certificate
	seen := map[string]bool{}
	for rest := text; len(bytes.TrimSpace(rest)) > 0; {
		block, after := pem.Decode(rest)
		if block == nil {
			return nil, errors.New("something else than PEM stands in it")
		}
		rest = after
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("a block is %q, not a certificate", block.Type)
		}
		if seen[string(block.Bytes)] {
			continue
		}
		seen[string(block.Bytes)] = true
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(certificates)+1, err)
		}
		if err := CheckStrength(certificate.PublicKey); err != nil {
			return nil, fmt.Errorf("certificate %q: %w", certificate.Subject, err)
		}
		if certificates = append(certificates, certificate); len(certificates) > limit {
			return nil, fmt.Errorf("more than %d certificates", limit)
		}
	}
	return certificates, nil
}

// checkIssuing refuses what may not issue certificates: RFC 5280 sections
// 4.2.1.3 and 4.2.1.9.
func checkIssuing(certificate *x509.Certificate) error {
	if !certificate.BasicConstraintsValid || !certificate.IsCA {
		return fmt.Errorf("certificate %q is no certificate authority", certificate.Subject)
	}
	if certificate.KeyUsage&x509.KeyUsageCertSign == 0 {
		return fmt.Errorf("certificate %q lacks the key usage keyCertSign", certificate.Subject)
	}
	return nil
}

// parseRevocationList reads one list, in PEM ("X509 CRL") or DER.
func parseRevocationList(raw []byte) (*x509.RevocationList, error) {
	if len(raw) > maxRevocationSize {
		return nil, fmt.Errorf("%d bytes are more than %d", len(raw), maxRevocationSize)
	}
	if block, rest := pem.Decode(raw); block != nil {
		if block.Type != "X509 CRL" {
			return nil, fmt.Errorf("the block is %q, not X509 CRL", block.Type)
		}
		if len(bytes.TrimSpace(rest)) > 0 {
			return nil, errors.New("something stands behind the block; give each list alone")
		}
		raw = block.Bytes
	}
	return x509.ParseRevocationList(raw)
}
