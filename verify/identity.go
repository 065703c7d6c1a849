package verify

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// Arcs of certificate extensions.
const (
	fulcioArc   = "1.3.6.1.4.1.57264.1." // fulcio docs/oid-info.md
	issuerV1    = fulcioArc + "1"        // raw text
	issuerV2    = fulcioArc + "8"        // DER UTF8String
	standardArc = "2.5.29."              // RFC 5280, section 4.2.1
	sctListOID  = "1.3.6.1.4.1.11129.2.4.2"
)

// Bounds of what is read out of one certificate. Fulcio's have 20 extensions of
// less than a kilobyte.
const (
	maxExtensions     = 100
	maxExtensionBytes = 16 << 10
)

// rawText are Fulcio's oldest extensions, 1.1 to 1.6: their value is the text
// itself and not a DER string.
func rawText(oid string) bool {
	last, found := strings.CutPrefix(oid, fulcioArc)
	return found && len(last) == 1 && last >= "1" && last <= "6"
}

// leafIdentity reads the identity out of the verified leaf. A certificate with
// several names is refused: it could be matched by one and mean another.
func leafIdentity(e Evidence, leaf *x509.Certificate) (*Certificate, *Rejection) {
	refuse := func(reason Reason, format string, args ...any) (*Certificate, *Rejection) {
		return nil, e.reject(StepCertificate, reason, fmt.Errorf(format, args...))
	}
	names, err := countNames(leaf)
	if err != nil {
		return refuse(ReasonCertificateUsage, "reading the certificate's names: %w", err)
	}
	if names != 1 {
		return refuse(ReasonCertificateUsage, "the certificate has %d names; a signing certificate has exactly one", names)
	}
	identity := &Certificate{Extensions: make(map[string]string)}
	switch {
	case len(leaf.URIs) == 1:
		identity.SANType, identity.SAN = "URI", leaf.URIs[0].String()
	case len(leaf.EmailAddresses) == 1:
		identity.SANType, identity.SAN = "Email", leaf.EmailAddresses[0]
	case len(leaf.DNSNames) == 1:
		identity.SANType, identity.SAN = "DNS", leaf.DNSNames[0]
	default:
		other, err := cryptoutils.UnmarshalOtherNameSAN(leaf.Extensions)
		if err != nil {
			return refuse(ReasonCertificateUsage, "the certificate's name is of a kind that is not read: %w", err)
		}
		identity.SANType, identity.SAN = "Other", other
	}
	if identity.SAN == "" || !utf8.ValidString(identity.SAN) {
		return refuse(ReasonCertificateUsage, "the certificate's name is empty or no text")
	}
	if len(leaf.Extensions) > maxExtensions {
		return refuse(ReasonLimitExceeded, "%d certificate extensions, at most %d are read", len(leaf.Extensions), maxExtensions)
	}
	for _, extension := range leaf.Extensions {
		oid := extension.Id.String()
		if strings.HasPrefix(oid, standardArc) || oid == sctListOID {
			continue
		}
		if len(extension.Value) > maxExtensionBytes {
			return refuse(ReasonLimitExceeded, "certificate extension %s has %d bytes, at most %d are read", oid, len(extension.Value), maxExtensionBytes)
		}
		text, err := extensionText(oid, extension.Value)
		if err != nil {
			return refuse(ReasonCertificateUsage, "certificate extension %s: %w", oid, err)
		}
		identity.Extensions[oid] = text
	}
	old, current := identity.Extensions[issuerV1], identity.Extensions[issuerV2]
	if old != "" && current != "" && old != current {
		return refuse(ReasonIssuerMismatch, "the certificate names two issuers, %q and %q", wording.Short(old), wording.Short(current))
	}
	identity.Issuer = current
	if identity.Issuer == "" {
		identity.Issuer = old
	}
	return identity, nil
}

// countNames counts the general names of the subject alternative name (RFC 5280,
// section 4.2.1.6), also those that crypto/x509 does not read, such as otherName.
func countNames(leaf *x509.Certificate) (int, error) {
	count := 0
	for _, extension := range leaf.Extensions {
		if !extension.Id.Equal(cryptoutils.SANOID) {
			continue
		}
		var sequence asn1.RawValue
		rest, err := asn1.Unmarshal(extension.Value, &sequence)
		if err != nil || len(rest) > 0 || !sequence.IsCompound || sequence.Tag != asn1.TagSequence || sequence.Class != asn1.ClassUniversal {
			return 0, errors.New("the subject alternative name is not one sequence")
		}
		for names := sequence.Bytes; len(names) > 0; count++ {
			var name asn1.RawValue
			if names, err = asn1.Unmarshal(names, &name); err != nil {
				return 0, fmt.Errorf("the subject alternative name: %w", err)
			}
		}
	}
	return count, nil
}

// extensionText returns an extension's value as text. Fulcio's first six are raw;
// the later ones must be DER strings. An extension of another arc that is no text
// is given as "hex:" and its bytes.
func extensionText(oid string, value []byte) (string, error) {
	if rawText(oid) {
		if !utf8.Valid(value) {
			return "", errors.New("not UTF-8")
		}
		return string(value), nil
	}
	var text string
	rest, err := asn1.Unmarshal(value, &text)
	switch {
	case err == nil && len(rest) == 0 && utf8.ValidString(text):
		return text, nil
	case strings.HasPrefix(oid, fulcioArc) && fulcioText(oid):
		return "", errors.New("not a DER string")
	}
	return "hex:" + hex.EncodeToString(value), nil
}

// fulcioText reports whether Fulcio defines the extension as a DER UTF8String:
// 1.8 and later; 1.7 is an otherName's type and no claim.
func fulcioText(oid string) bool { return oid != fulcioArc+"7" }
