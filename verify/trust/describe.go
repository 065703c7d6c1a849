package trust

import (
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/hallmark-project/hallmark/verify/internal/sigstore"
)

// Kind says what an [Entry] is trusted for.
type Kind string

// The kinds of entries.
const (
	KindKey                  Kind = "key"
	KindCertificateAuthority Kind = "certificate authority"
	KindTimestampAuthority   Kind = "timestamp authority"
	KindTransparencyLog      Kind = "transparency log"
	KindCertificateLog       Kind = "certificate transparency log"
	KindRevocationList       Kind = "revocation list"
)

// Entry describes one trust anchor, for people and for reports.
type Entry struct {
	Kind Kind   `json:"kind"`
	Name string `json:"name,omitempty"` // the URL of the service, or the authority's name

	// ID is the key ID of a key, the log ID of a log in base64 as bundles have it,
	// and "sha256:" with the certificate's hash of an authority.
	ID        string `json:"id"`
	Subject   string `json:"subject,omitempty"` // of the certificate that ID names
	Algorithm string `json:"algorithm"`         // of its key

	// From and Until bound the signing times that count, inclusive: the entry's own
	// window, cut to the windows of its certificates. Zero is no bound.
	From  time.Time `json:"from,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// CompromisedSince is set for a revoked key.
	CompromisedSince time.Time `json:"compromisedSince,omitzero"`
}

// InForce reports whether a signature made at the instant counts.
func (e Entry) InForce(at time.Time) bool {
	window := Window{From: e.From, Until: e.Until, CompromisedSince: e.CompromisedSince}
	return window.Check(at, at) == nil
}

// Describe lists all that the root trusts, ordered by kind, name and beginning.
func (r *Root) Describe() []Entry {
	var entries []Entry
	for _, key := range r.keys {
		entries = append(entries, Entry{
			Kind: KindKey, ID: key.id, Algorithm: key.Algorithm(),
			From: key.window.From, Until: key.window.Until, CompromisedSince: key.window.CompromisedSince,
		})
	}
	if r.sigstore != nil {
		entries = append(entries, describeMaterial(r.sigstore)...)
	}
	order := []Kind{KindCertificateAuthority, KindTransparencyLog, KindCertificateLog, KindTimestampAuthority, KindRevocationList, KindKey}
	slices.SortStableFunc(entries, func(a, b Entry) int {
		return cmp.Or(
			cmp.Compare(slices.Index(order, a.Kind), slices.Index(order, b.Kind)),
			cmp.Compare(a.Name, b.Name), a.From.Compare(b.From), cmp.Compare(a.ID, b.ID),
		)
	})
	return entries
}

// Expires returns when the first of the entries that are in force at now ends, and
// the zero time if none does.
func (r *Root) Expires(now time.Time) time.Time {
	var first time.Time
	for _, entry := range r.Describe() {
		if entry.Until.IsZero() || !entry.InForce(now) {
			continue
		}
		if first.IsZero() || entry.Until.Before(first) {
			first = entry.Until
		}
	}
	return first
}

func describeMaterial(material *sigstore.Material) []Entry {
	var entries []Entry
	for _, issuer := range material.FulcioCertificateAuthorities() {
		if authority, ok := issuer.(*root.FulcioCertificateAuthority); ok && authority.Root != nil {
			window := Window{From: authority.ValidityPeriodStart, Until: authority.ValidityPeriodEnd}
			entries = append(entries, describeChain(KindCertificateAuthority, authority.URI, window, authority.Root))
		}
	}
	for _, stamp := range material.TimestampingAuthorities() {
		authority, ok := stamp.(*root.SigstoreTimestampingAuthority)
		if !ok || authority.Root == nil {
			continue
		}
		chain := []*x509.Certificate{authority.Root}
		if authority.Leaf != nil {
			chain = []*x509.Certificate{authority.Leaf, authority.Root}
		}
		window := Window{From: authority.ValidityPeriodStart, Until: authority.ValidityPeriodEnd}
		entries = append(entries, describeChain(KindTimestampAuthority, authority.URI, window, chain...))
	}
	for _, log := range material.RekorLogs() {
		entries = append(entries, describeLog(KindTransparencyLog, log))
	}
	for _, log := range material.CTLogs() {
		entries = append(entries, describeLog(KindCertificateLog, log))
	}
	for _, list := range material.Revocations {
		from, until := list.Window()
		entry := describeChain(KindRevocationList, "", Window{}, list.Issuer())
		entry.From, entry.Until = from, until
		entries = append(entries, entry)
	}
	return entries
}

// describeChain describes an authority by the first of its certificates and cuts
// the window to those of all.
func describeChain(kind Kind, name string, window Window, chain ...*x509.Certificate) Entry {
	for _, certificate := range chain {
		if window.From.Before(certificate.NotBefore) {
			window.From = certificate.NotBefore
		}
		if window.Until.IsZero() || certificate.NotAfter.Before(window.Until) {
			window.Until = certificate.NotAfter
		}
	}
	sum := sha256.Sum256(chain[0].Raw)
	return Entry{
		Kind: kind, Name: name, ID: "sha256:" + hex.EncodeToString(sum[:]), Subject: chain[0].Subject.String(),
		Algorithm: Key{public: chain[0].PublicKey}.Algorithm(), From: window.From.UTC(), Until: window.Until.UTC(),
	}
}

func describeLog(kind Kind, log *root.TransparencyLog) Entry {
	return Entry{
		Kind: kind, Name: log.BaseURL, ID: base64.StdEncoding.EncodeToString(log.ID),
		Algorithm: Key{public: log.PublicKey}.Algorithm(), From: log.ValidityPeriodStart, Until: log.ValidityPeriodEnd,
	}
}
