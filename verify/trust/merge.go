package trust

import (
	"crypto/x509"
	"fmt"
	"maps"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/hallmark-project/hallmark/verify/internal/sigstore"
)

// mergeMaterials makes one material of several, and nil of none. Witnesses are
// counted by log ID and by the authority's name: one key under two of them would
// count as two witnesses, and is refused.
func mergeMaterials(materials []*sigstore.Material) (*sigstore.Material, error) {
	if len(materials) == 0 {
		return nil, nil
	}
	var (
		issuers     []root.CertificateAuthority
		stamps      []root.TimestampingAuthority
		logs        = map[string]*root.TransparencyLog{}
		ctlogs      = map[string]*root.TransparencyLog{}
		revocations []*sigstore.Revocation
	)
	for _, material := range materials {
		issuers = append(issuers, material.FulcioCertificateAuthorities()...)
		stamps = append(stamps, material.TimestampingAuthorities()...)
		revocations = append(revocations, material.Revocations...)
		if err := mergeLogs(logs, material.RekorLogs()); err != nil {
			return nil, err
		}
		if err := mergeLogs(ctlogs, material.CTLogs()); err != nil {
			return nil, err
		}
	}
	if err := distinctLogs(logs); err != nil {
		return nil, err
	}
	if err := distinctLogs(ctlogs); err != nil {
		return nil, err
	}
	if err := distinctStamps(stamps); err != nil {
		return nil, err
	}
	if len(materials) == 1 {
		return materials[0], nil
	}
	own := true // only where no instance of Sigstore is among them
	for _, material := range materials {
		own = own && material.Own
	}
	parsed, err := root.NewTrustedRoot(root.TrustedRootMediaType01, issuers, ctlogs, stamps, logs)
	if err != nil {
		return nil, err
	}
	return &sigstore.Material{TrustedMaterial: parsed, Revocations: revocations, Own: own}, nil
}

// mergeLogs accepts a log that two roots name alike.
func mergeLogs(into, from map[string]*root.TransparencyLog) error {
	for id, log := range from {
		known, ok := into[id]
		if !ok {
			continue
		}
		same, err := sameLog(known, log)
		if err != nil {
			return err
		}
		if !same {
			return fmt.Errorf("log %s stands in two roots, with different keys or windows", id)
		}
	}
	maps.Copy(into, from)
	return nil
}

func sameLog(a, b *root.TransparencyLog) (bool, error) {
	first, err := x509.MarshalPKIXPublicKey(a.PublicKey)
	if err != nil {
		return false, err
	}
	second, err := x509.MarshalPKIXPublicKey(b.PublicKey)
	if err != nil {
		return false, err
	}
	return string(first) == string(second) &&
		a.ValidityPeriodStart.Equal(b.ValidityPeriodStart) && a.ValidityPeriodEnd.Equal(b.ValidityPeriodEnd), nil
}

func distinctLogs(logs map[string]*root.TransparencyLog) error {
	byKey := map[string]string{}
	for id, log := range logs {
		der, err := x509.MarshalPKIXPublicKey(log.PublicKey)
		if err != nil {
			return err
		}
		if other, ok := byKey[string(der)]; ok {
			return fmt.Errorf("logs %s and %s have one key", min(id, other), max(id, other))
		}
		byKey[string(der)] = id
	}
	return nil
}

// distinctStamps compares what signs: the leaf's key or, where any leaf under the
// root may, the root's, which then belongs to that authority alone.
func distinctStamps(stamps []root.TimestampingAuthority) error {
	byKey, open := map[string]string{}, map[string]string{}
	claim := func(owners map[string]string, certificate *x509.Certificate, name string) error {
		key := string(certificate.RawSubjectPublicKeyInfo)
		if other, ok := owners[key]; ok && other != name {
			return fmt.Errorf("timestamp authorities %q and %q have one key", other, name)
		}
		owners[key] = name
		return nil
	}
	var known []*root.SigstoreTimestampingAuthority
	for _, stamp := range stamps {
		authority, ok := stamp.(*root.SigstoreTimestampingAuthority)
		if !ok {
			continue // a virtual one of a test
		}
		if authority.Root == nil {
			return fmt.Errorf("timestamp authority %q has no root", authority.URI)
		}
		known = append(known, authority)
		if authority.Leaf != nil {
			if err := claim(byKey, authority.Leaf, authority.URI); err != nil {
				return err
			}
		} else if err := claim(open, authority.Root, authority.URI); err != nil {
			return err
		}
	}
	for _, authority := range known {
		if other, ok := open[string(authority.Root.RawSubjectPublicKeyInfo)]; ok && other != authority.URI {
			return fmt.Errorf("timestamp authorities %q and %q have one root", other, authority.URI)
		}
	}
	return nil
}
