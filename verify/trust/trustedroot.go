package trust

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"

	prototrust "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify/internal/sigstore"
)

const (
	maxTrustedRootBytes = 8 << 20 // the public-good one has 7 kB
	maxEntries          = 500     // of each kind; a log that shards each year for a century has 100
	maxChain            = 20      // certificates of one authority
)

// WithTrustedRoot trusts the authorities and logs of a Sigstore
// trusted_root.json (protobuf-specs, sigstore_trustroot.proto, media type
// version 0.1). It is read strictly: an unknown field, a duplicate key, an entry
// without its key or certificate, a log that does not say since when it is
// trusted, or one key under two names is an error that wraps [ErrRootInvalid],
// and nothing of the file is trusted.
func WithTrustedRoot(json []byte) Option {
	return func(r *Root) error {
		parsed, err := parseTrustedRoot(json)
		if err != nil {
			return fmt.Errorf("reading a trusted root: %w: %w", ErrRootInvalid, err)
		}
		r.add(&sigstore.Material{TrustedMaterial: parsed}, digest.FromBytes(json))
		return nil
	}
}

func parseTrustedRoot(json []byte) (*root.TrustedRoot, error) {
	if len(json) > maxTrustedRootBytes {
		return nil, fmt.Errorf("%d bytes are more than %d", len(json), maxTrustedRootBytes)
	}
	if bytes.Contains(json, []byte("PRIVATE KEY")) {
		return nil, errors.New("a private key stands in it; whoever has the file has the key")
	}
	// The decoder refuses unknown fields, fields that stand twice under either of
	// their names, broken UTF-8 and what stands behind the value.
	message, err := root.NewTrustedRootProtobuf(json)
	if err != nil {
		return nil, err
	}
	if err := checkEntries(message); err != nil {
		return nil, err
	}
	parsed, err := root.NewTrustedRootFromProtobuf(message)
	if err != nil {
		return nil, err
	}
	for _, logs := range []map[string]*root.TransparencyLog{parsed.RekorLogs(), parsed.CTLogs()} {
		for id, log := range logs {
			if err := CheckStrength(log.PublicKey); err != nil {
				return nil, fmt.Errorf("the key of log %s: %w", id, err)
			}
		}
	}
	return parsed, nil
}

// checkEntries refuses what the parser would read as less than it says.
func checkEntries(message *prototrust.TrustedRoot) error {
	for _, kind := range []struct {
		name    string
		entries int
	}{
		{"certificate authorities", len(message.GetCertificateAuthorities())},
		{"timestamp authorities", len(message.GetTimestampAuthorities())},
		{"transparency logs", len(message.GetTlogs())},
		{"certificate transparency logs", len(message.GetCtlogs())},
	} {
		if kind.entries > maxEntries {
			return fmt.Errorf("%d %s are more than %d", kind.entries, kind.name, maxEntries)
		}
	}
	if len(message.GetCertificateAuthorities())+len(message.GetTimestampAuthorities())+len(message.GetTlogs())+len(message.GetCtlogs()) == 0 {
		return errors.New("it names no authority and no log")
	}
	for _, authority := range message.GetCertificateAuthorities() {
		if err := checkChain(authority); err != nil {
			return fmt.Errorf("certificate authority %q: %w", authority.GetUri(), err)
		}
	}
	for _, authority := range message.GetTimestampAuthorities() {
		if err := checkChain(authority); err != nil {
			return fmt.Errorf("timestamp authority %q: %w", authority.GetUri(), err)
		}
	}
	if err := checkLogs(message.GetTlogs()); err != nil {
		return fmt.Errorf("transparency log: %w", err)
	}
	if err := checkLogs(message.GetCtlogs()); err != nil {
		return fmt.Errorf("certificate transparency log: %w", err)
	}
	return nil
}

// checkChain wants a chain that ends in something that may be a root: the engine
// takes the last certificate for it.
func checkChain(authority *prototrust.CertificateAuthority) error {
	chain := authority.GetCertChain().GetCertificates()
	if len(chain) == 0 {
		return errors.New("it has no certificate")
	}
	if len(chain) > maxChain {
		return fmt.Errorf("%d certificates are more than %d", len(chain), maxChain)
	}
	for _, raw := range chain {
		certificate, err := x509.ParseCertificate(raw.GetRawBytes())
		if err != nil {
			return err
		}
		if err := CheckStrength(certificate.PublicKey); err != nil {
			return fmt.Errorf("certificate %q: %w", certificate.Subject, err)
		}
	}
	last, err := x509.ParseCertificate(chain[len(chain)-1].GetRawBytes())
	if err != nil {
		return err
	}
	if err := checkIssuing(last); err != nil {
		return fmt.Errorf("its chain has no root: %w", err)
	}
	if window := authority.GetValidFor(); window.GetEnd() != nil {
		if start := window.GetStart(); start != nil && window.GetEnd().AsTime().Before(start.AsTime()) {
			return errors.New("it ends before it begins")
		}
	}
	return nil
}

// checkLogs refuses a log ID that stands twice, of which the engine would
// silently keep the last.
func checkLogs(logs []*prototrust.TransparencyLogInstance) error {
	seen := map[string]bool{}
	for _, log := range logs {
		id, key := string(log.GetLogId().GetKeyId()), log.GetPublicKey()
		switch {
		case id == "":
			return fmt.Errorf("%q has no log ID", log.GetBaseUrl())
		case len(key.GetRawBytes()) == 0:
			return fmt.Errorf("%q has no public key", log.GetBaseUrl())
		case key.GetValidFor().GetStart() == nil:
			return fmt.Errorf("%q does not say since when it is trusted", log.GetBaseUrl())
		case key.GetValidFor().GetEnd() != nil && key.GetValidFor().GetEnd().AsTime().Before(key.GetValidFor().GetStart().AsTime()):
			return fmt.Errorf("%q ends before it begins", log.GetBaseUrl())
		case seen[id]:
			return fmt.Errorf("the log ID of %q stands twice", log.GetBaseUrl())
		}
		seen[id] = true
	}
	return nil
}
