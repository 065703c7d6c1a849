package trust

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify/internal/sigstore"
)

// Errors of a root's revocation lists, in what package verify reports.
var (
	// ErrRevoked: a certificate of the chain is revoked; the signature does not
	// count.
	ErrRevoked = sigstore.ErrRevoked
	// ErrRevocationStale: an issuer's revocation list is not in force, so that
	// nothing can be said of its certificates; give a fresh one.
	ErrRevocationStale = sigstore.ErrRevocationStale
)

const (
	maxRoots         = 20 // each is tried for each certificate
	maxIntermediates = 50
)

// Authority is one's own certificate authority, given as the files that a PKI
// hands out. At least Roots or TimestampRoots must be there.
type Authority struct {
	Name          string // how reports call it; required
	Roots         []byte // PEM: certificates with CA:true and keyCertSign; they need not be self-signed
	Intermediates []byte // PEM, likewise; may be empty

	// CRLs are revocation lists, each in PEM or DER, each signed by one of the
	// certificates above. A list that is not in force when a signature is judged
	// refuses every certificate of its issuer.
	CRLs [][]byte

	// TimestampRoots is the PEM of a private time stamping authority (RFC 3161):
	// root, intermediates and, if it is to be the only one, the leaf, in any order.
	TimestampRoots []byte

	// From and Until bound the signing times that count, both inclusive; zero
	// means that only the certificates' own windows bound them.
	From, Until time.Time
}

// WithAuthority trusts the certificates and timestamps of one's own authority.
// Its leaves need the extended key usage codeSigning, or none. Several
// timestamps of one authority count as one. What such an authority certifies is
// any name and any claim: give it a root of its own where only some names are its.
// Errors wrap [ErrRootInvalid].
func WithAuthority(authority Authority) Option {
	return func(r *Root) error {
		material, err := authority.material()
		if err != nil {
			return fmt.Errorf("trusting the authority %q: %w: %w", authority.Name, ErrRootInvalid, err)
		}
		r.add(material, authority.digest())
		return nil
	}
}

func (a Authority) material() (*sigstore.Material, error) {
	if a.Name == "" {
		return nil, errors.New("it has no name")
	}
	if !a.From.IsZero() && !a.Until.IsZero() && a.Until.Before(a.From) {
		return nil, errors.New("it ends before it begins")
	}
	roots, err := parseCertificates(a.Roots, maxRoots)
	if err != nil {
		return nil, fmt.Errorf("reading the roots: %w", err)
	}
	intermediates, err := parseCertificates(a.Intermediates, maxIntermediates)
	if err != nil {
		return nil, fmt.Errorf("reading the intermediates: %w", err)
	}
	for _, certificate := range slices.Concat(roots, intermediates) {
		if err := checkIssuing(certificate); err != nil {
			return nil, err
		}
	}
	stamps, stampers, err := a.timestamps()
	if err != nil {
		return nil, fmt.Errorf("reading the timestamp roots: %w", err)
	}
	if len(roots) == 0 && len(stamps) == 0 {
		return nil, errors.New("it has neither roots nor timestamp roots")
	}
	revocations, err := a.revocations(slices.Concat(roots, intermediates, stampers))
	if err != nil {
		return nil, err
	}
	var issuers []root.CertificateAuthority
	for _, certificate := range roots {
		issuers = append(issuers, &root.FulcioCertificateAuthority{
			Root: certificate, Intermediates: intermediates,
			ValidityPeriodStart: a.From, ValidityPeriodEnd: a.Until, URI: a.Name,
		})
	}
	parsed, err := root.NewTrustedRoot(root.TrustedRootMediaType01, issuers, nil, stamps, nil)
	if err != nil {
		return nil, err
	}
	return &sigstore.Material{TrustedMaterial: parsed, Revocations: revocations, Own: true}, nil
}

// timestamps makes one entry for each pair of a root and a leaf; with no leaf,
// one for each root. The certificates are those that may issue others.
func (a Authority) timestamps() ([]root.TimestampingAuthority, []*x509.Certificate, error) {
	all, err := parseCertificates(a.TimestampRoots, maxRoots+maxIntermediates)
	if err != nil || len(all) == 0 {
		return nil, nil, err
	}
	var roots, intermediates, leaves []*x509.Certificate
	for _, certificate := range all {
		switch {
		case !certificate.IsCA:
			leaves = append(leaves, certificate)
		case checkIssuing(certificate) != nil:
			return nil, nil, checkIssuing(certificate)
		case bytes.Equal(certificate.RawIssuer, certificate.RawSubject):
			roots = append(roots, certificate)
		default:
			intermediates = append(intermediates, certificate)
		}
	}
	if len(roots) == 0 {
		return nil, nil, errors.New("no certificate is self-signed: the root is missing")
	}
	if len(roots) > maxRoots || len(leaves) > maxRoots {
		return nil, nil, fmt.Errorf("more than %d roots or leaves", maxRoots)
	}
	if len(leaves) == 0 {
		leaves = []*x509.Certificate{nil} // the token brings its own
	}
	var stamps []root.TimestampingAuthority
	for _, anchor := range roots {
		for _, leaf := range leaves {
			stamps = append(stamps, &root.SigstoreTimestampingAuthority{
				Root: anchor, Intermediates: intermediates, Leaf: leaf,
				ValidityPeriodStart: a.From, ValidityPeriodEnd: a.Until, URI: a.Name,
			})
		}
	}
	return stamps, slices.Concat(roots, intermediates), nil
}

func (a Authority) revocations(issuers []*x509.Certificate) ([]*sigstore.Revocation, error) {
	if len(a.CRLs) > maxRevocations {
		return nil, fmt.Errorf("more than %d revocation lists", maxRevocations)
	}
	var all []*sigstore.Revocation
	for i, raw := range a.CRLs {
		list, err := parseRevocationList(raw)
		if err != nil {
			return nil, fmt.Errorf("reading revocation list %d: %w", i+1, err)
		}
		revocation, err := issuedBy(list, issuers)
		if err != nil {
			return nil, fmt.Errorf("reading revocation list %d: %w", i+1, err)
		}
		all = append(all, revocation)
	}
	return all, nil
}

// issuedBy finds the one of the authority's certificates that signed the list.
func issuedBy(list *x509.RevocationList, issuers []*x509.Certificate) (*sigstore.Revocation, error) {
	var problems []error
	for _, issuer := range issuers {
		if !bytes.Equal(list.RawIssuer, issuer.RawSubject) {
			continue
		}
		revocation, err := sigstore.NewRevocation(list, issuer)
		if err == nil {
			return revocation, nil
		}
		problems = append(problems, err)
	}
	if len(problems) == 0 {
		return nil, fmt.Errorf("its issuer %q is none of the authority's certificates", list.Issuer)
	}
	return nil, errors.Join(problems...)
}

// digest names all that the authority says.
func (a Authority) digest() digest.Digest {
	var all bytes.Buffer
	add := func(part []byte) {
		sum := digest.FromBytes(part)
		all.WriteString(sum.String() + "\n")
	}
	add([]byte(a.Name))
	add(a.Roots)
	add(a.Intermediates)
	add(a.TimestampRoots)
	add([]byte(Window{From: a.From, Until: a.Until}.String()))
	for _, list := range a.CRLs {
		add(list)
	}
	return digest.FromBytes(all.Bytes())
}
