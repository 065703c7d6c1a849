package bundle

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"time"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/attest/strictjson"
)

// maxCertificateBytes bounds one certificate; Fulcio's have two kilobytes.
const maxCertificateBytes = 64 << 10

// Certificate is what a signing certificate claims. Its chain is not checked.
type Certificate struct {
	// Issuer is the OIDC issuer that the certificate names (Fulcio's extension),
	// or "" if it names none, or two that differ.
	Issuer string
	// Identities are the subject alternative names, with their kind before a
	// colon, such as "uri:https://github.com/…" or "email:a@example.com".
	Identities          []string
	NotBefore, NotAfter time.Time
}

// readMaterial reads the verification material (sigstore_bundle.proto).
func (o *Outline) readMaterial(raw []byte) error {
	kinds := 0
	return each(raw, func(key string, value []byte) (err error) {
		switch key {
		case "publicKey", "certificate", "x509CertificateChain":
			if kinds++; kinds > 1 {
				return errors.New("a second kind of key material")
			}
		}
		switch key {
		case "publicKey":
			return each(value, func(key string, value []byte) (err error) {
				if key != "hint" {
					return errUnknownField
				}
				o.KeyHint, err = strictjson.Text(value)
				return err
			})
		case "certificate":
			o.Certificate, err = readCertificate(value)
		case "x509CertificateChain":
			return each(value, func(key string, value []byte) error {
				if key != "certificates" {
					return errUnknownField
				}
				return o.readChain(value)
			})
		case "tlogEntries":
			o.LogEntries, err = count(value)
		case "timestampVerificationData":
			return each(value, func(key string, value []byte) (err error) {
				if key != "rfc3161Timestamps" {
					return errUnknownField
				}
				o.Timestamps, err = count(value)
				return err
			})
		default:
			err = errUnknownField
		}
		return err
	})
}

func count(raw []byte) (int, error) {
	items, err := list(raw, maxProofs)
	return len(items), err
}

// readChain reads the first certificate of a chain, which is the signer's.
func (o *Outline) readChain(raw []byte) error {
	chain, err := list(raw, maxCertificates)
	if err != nil {
		return err
	}
	if len(chain) == 0 {
		return errors.New("an empty certificate chain")
	}
	o.Certificate, err = readCertificate(chain[0])
	return err
}

func readCertificate(raw []byte) (*Certificate, error) {
	var der []byte
	if err := each(raw, func(key string, value []byte) (err error) {
		if key != "rawBytes" {
			return errUnknownField
		}
		der, err = base64Text(value)
		return err
	}); err != nil {
		return nil, err
	}
	if len(der) > maxCertificateBytes {
		return nil, fmt.Errorf("a certificate of %d bytes: %w (%d)", len(der), attest.ErrLimit, maxCertificateBytes)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	c := &Certificate{Issuer: issuerOf(parsed), NotBefore: parsed.NotBefore, NotAfter: parsed.NotAfter}
	for _, uri := range parsed.URIs {
		c.Identities = append(c.Identities, "uri:"+uri.String())
	}
	for _, address := range parsed.EmailAddresses {
		c.Identities = append(c.Identities, "email:"+address)
	}
	for _, name := range parsed.DNSNames {
		c.Identities = append(c.Identities, "dns:"+name)
	}
	for _, address := range parsed.IPAddresses {
		c.Identities = append(c.Identities, "ip:"+address.String())
	}
	return c, nil
}

// issuerOf reads the OIDC issuer (fulcio, oid-info.md): 57264.1.8 holds a UTF-8
// string in DER, the older 57264.1.1 the bare text.
func issuerOf(certificate *x509.Certificate) string {
	fulcio := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1}
	var issuer string
	for _, extension := range certificate.Extensions {
		if len(extension.Id) != len(fulcio)+1 || !extension.Id[:len(fulcio)].Equal(fulcio) {
			continue
		}
		var text string
		switch extension.Id[len(fulcio)] {
		case 1:
			text = string(bytes.ToValidUTF8(extension.Value, []byte("?")))
		case 8:
			if rest, err := asn1.Unmarshal(extension.Value, &text); err != nil || len(rest) > 0 {
				return ""
			}
		default:
			continue
		}
		if issuer != "" && issuer != text {
			return ""
		}
		issuer = text
	}
	return issuer
}
