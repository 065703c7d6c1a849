package sigstore

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// Errors of [Material.Revoked] and [NewRevocation].
var (
	// ErrRevoked: a certificate of the chain is revoked; the signature does not
	// count.
	ErrRevoked = errors.New("certificate is revoked")
	// ErrRevocationStale: the revocation list of an issuer is not in force now,
	// so that nothing can be said; give a fresh one.
	ErrRevocationStale = errors.New("revocation list is not in force")
)

// Reason codes of RFC 5280 section 5.3.1 after which no earlier signature can be
// told from a forged one.
const (
	reasonKeyCompromise = 1
	reasonCACompromise  = 2
	reasonAACompromise  = 10
)

// oidInvalidityDate is RFC 5280 section 5.3.2.
var oidInvalidityDate = asn1.ObjectIdentifier{2, 5, 29, 24}

// Revocation is one certificate revocation list (RFC 5280 section 5) whose
// signature its issuer has been found to have made. It is immutable.
type Revocation struct {
	issuer  *x509.Certificate
	from    time.Time
	until   time.Time
	entries map[string]revoked
}

type revoked struct {
	since  time.Time
	forged bool // the key was in other hands: no earlier signature counts either
}

// NewRevocation checks that issuer, a CA with the key usage cRLSign or none,
// signed the list and that the list is a complete one: delta lists, indirect
// lists and lists of a part of the certificates are refused, as is every other
// critical extension.
func NewRevocation(list *x509.RevocationList, issuer *x509.Certificate) (*Revocation, error) {
	if !bytes.Equal(list.RawIssuer, issuer.RawSubject) {
		return nil, fmt.Errorf("checking a revocation list of %q: the issuer is %q", list.Issuer, issuer.Subject)
	}
	if err := list.CheckSignatureFrom(issuer); err != nil {
		return nil, fmt.Errorf("checking the revocation list of %q: %w", list.Issuer, err)
	}
	for _, extension := range list.Extensions {
		if extension.Critical {
			return nil, fmt.Errorf("checking the revocation list of %q: the critical extension %s is not supported", list.Issuer, extension.Id)
		}
	}
	if list.ThisUpdate.IsZero() || list.NextUpdate.IsZero() {
		return nil, fmt.Errorf("checking the revocation list of %q: it does not say until when it is in force", list.Issuer)
	}
	r := &Revocation{issuer: issuer, from: list.ThisUpdate, until: list.NextUpdate, entries: make(map[string]revoked, len(list.RevokedCertificateEntries))}
	for _, entry := range list.RevokedCertificateEntries {
		read, err := readEntry(entry)
		if err != nil {
			return nil, fmt.Errorf("checking the revocation list of %q: serial number %x: %w", list.Issuer, entry.SerialNumber, err)
		}
		r.add(entry.SerialNumber, read)
	}
	return r, nil
}

// add keeps the stricter of two entries for one certificate.
func (r *Revocation) add(serial *big.Int, entry revoked) {
	if known, ok := r.entries[serial.String()]; ok {
		entry.forged = entry.forged || known.forged
		if known.since.Before(entry.since) {
			entry.since = known.since
		}
	}
	r.entries[serial.String()] = entry
}

func readEntry(entry x509.RevocationListEntry) (revoked, error) {
	read := revoked{since: entry.RevocationTime}
	switch entry.ReasonCode {
	case reasonKeyCompromise, reasonCACompromise, reasonAACompromise:
		read.forged = true
	}
	for _, extension := range entry.Extensions {
		if extension.Id.Equal(oidInvalidityDate) {
			var invalid time.Time
			if rest, err := asn1.UnmarshalWithParams(extension.Value, &invalid, "generalized"); err != nil || len(rest) > 0 {
				return revoked{}, errors.New("the invalidity date cannot be read")
			}
			if invalid.Before(read.since) {
				read.since = invalid
			}
			continue
		}
		if extension.Critical {
			return revoked{}, fmt.Errorf("the critical extension %s is not supported", extension.Id)
		}
	}
	return read, nil
}

// Issuer returns the certificate that signed the list.
func (r *Revocation) Issuer() *x509.Certificate { return r.issuer }

// Window returns from when to when the list is in force.
func (r *Revocation) Window() (from, until time.Time) { return r.from, r.until }

// Revoked asks the lists of the material about a chain, leaf first. A
// certificate about whose issuer no list speaks passes. Every list that does
// speak must be in force at now, else the error wraps [ErrRevocationStale].
//
// A revoked certificate is refused with [ErrRevoked], unless signed, the proven
// signing time, is earlier than the revocation and the reason is not that a key
// was compromised. The zero signed stands for "not proven" and excuses nothing.
func (m *Material) Revoked(chain []*x509.Certificate, signed, now time.Time) error {
	if len(m.Revocations) == 0 {
		return nil
	}
	for i, certificate := range chain {
		issuer := certificate // a root speaks for itself
		if i+1 < len(chain) {
			issuer = chain[i+1]
		}
		for _, list := range m.Revocations {
			if !list.speaksFor(certificate, issuer) {
				continue
			}
			if err := list.judge(certificate, signed, now); err != nil {
				return err
			}
		}
	}
	return nil
}

// speaksFor compares names and keys: two certificates of one CA (a renewal, a
// cross-signed one) share their list.
func (r *Revocation) speaksFor(certificate, issuer *x509.Certificate) bool {
	return bytes.Equal(certificate.RawIssuer, r.issuer.RawSubject) &&
		bytes.Equal(issuer.RawSubjectPublicKeyInfo, r.issuer.RawSubjectPublicKeyInfo)
}

func (r *Revocation) judge(certificate *x509.Certificate, signed, now time.Time) error {
	if now.Before(r.from) {
		return fmt.Errorf("asking the revocation list of %q: %w: it begins at %s", r.issuer.Subject, ErrRevocationStale, r.from.UTC().Format(time.RFC3339))
	}
	if now.After(r.until) {
		return fmt.Errorf("asking the revocation list of %q: %w: it ended at %s", r.issuer.Subject, ErrRevocationStale, r.until.UTC().Format(time.RFC3339))
	}
	entry, ok := r.entries[certificate.SerialNumber.String()]
	if !ok || (!entry.forged && !signed.IsZero() && signed.Before(entry.since)) {
		return nil
	}
	return fmt.Errorf("asking the revocation list of %q about serial number %x: %w since %s",
		r.issuer.Subject, certificate.SerialNumber, ErrRevoked, entry.since.UTC().Format(time.RFC3339))
}
