package keyless

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	sigsign "github.com/sigstore/sigstore-go/pkg/sign"

	"github.com/hallmark-project/hallmark/verify"
)

// ErrServices: the services are not enough to sign with, or are contradictory; the
// text says which one to name.
var ErrServices = errors.New("signing services")

// Bounds of a signing configuration.
const (
	maxSigningConfigBytes = 1 << 20 // the public-good one has two kilobytes
	maxServices           = 8       // of one kind: each is asked for every signature
)

// Log is one transparency log that signatures are written to.
type Log struct {
	URL string
	// Version is Rekor's major API version, 1 or 2.
	Version uint32
}

// Services are the addresses of the services that make keyless signatures.
type Services struct {
	// CertificateAuthority is Fulcio's base URL.
	CertificateAuthority string
	// Logs are all written to; none is allowed where a timestamp authority is named.
	Logs []Log
	// TimestampAuthorities are all asked; the URLs are whole, with their path.
	TimestampAuthorities []string
	// Issuer is the OIDC issuer where people log in; "" where none is named.
	Issuer string
}

// FromSigningConfig selects services as a Sigstore signing configuration says
// (protobuf-specs, sigstore_trustroot.proto, SigningConfig v0.2): of every kind
// those that are valid now, of the highest version that is spoken here, one per
// operator, as many as its selector wants.
func FromSigningConfig(json []byte, now time.Time) (Services, error) {
	if len(json) > maxSigningConfigBytes {
		return Services{}, fmt.Errorf("%w: a configuration of %d bytes, at most %d are read", ErrServices, len(json), maxSigningConfigBytes)
	}
	wire, err := root.NewSigningConfigProtobuf(json)
	if err != nil {
		return Services{}, fmt.Errorf("%w: reading the configuration: %w", ErrServices, err)
	}
	// The engine takes it for granted that the selectors are there.
	if len(wire.GetRekorTlogUrls()) > 0 && wire.GetRekorTlogConfig() == nil || len(wire.GetTsaUrls()) > 0 && wire.GetTsaConfig() == nil {
		return Services{}, fmt.Errorf("%w: the configuration does not say how many of its services to use", ErrServices)
	}
	config, err := root.NewSigningConfigFromProtobuf(wire)
	if err != nil {
		return Services{}, fmt.Errorf("%w: reading the configuration: %w", ErrServices, err)
	}
	authority, err := root.SelectService(config.FulcioCertificateAuthorityURLs(), sigsign.FulcioAPIVersions, now)
	if err != nil {
		return Services{}, fmt.Errorf("%w: choosing a certificate authority: %w", ErrServices, err)
	}
	s := Services{CertificateAuthority: authority.URL}
	if all := config.RekorLogURLs(); len(all) > 0 {
		logs, err := root.SelectServices(all, config.RekorLogURLsConfig(), sigsign.RekorAPIVersions, now)
		if err != nil {
			return Services{}, fmt.Errorf("%w: choosing transparency logs: %w", ErrServices, err)
		}
		for _, log := range logs {
			s.Logs = append(s.Logs, Log{URL: log.URL, Version: log.MajorAPIVersion})
		}
	}
	if all := config.TimestampAuthorityURLs(); len(all) > 0 {
		authorities, err := root.SelectServices(all, config.TimestampAuthorityURLsConfig(), sigsign.TimestampAuthorityAPIVersions, now)
		if err != nil {
			return Services{}, fmt.Errorf("%w: choosing timestamp authorities: %w", ErrServices, err)
		}
		for _, authority := range authorities {
			s.TimestampAuthorities = append(s.TimestampAuthorities, authority.URL)
		}
	}
	if issuer, err := root.SelectService(config.OIDCProviderURLs(), []uint32{1}, now); err == nil {
		s.Issuer = issuer.URL
	}
	return s, s.Check()
}

// Check says whether signatures can be made with the services: there is a
// certificate authority, something that tells the time, and every address is an
// absolute http or https URL.
func (s Services) Check() error {
	if s.CertificateAuthority == "" {
		return fmt.Errorf("%w: no certificate authority is named", ErrServices)
	}
	if len(s.Logs) > maxServices || len(s.TimestampAuthorities) > maxServices {
		return fmt.Errorf("%w: more than %d of one kind", ErrServices, maxServices)
	}
	all := append([]string{s.CertificateAuthority}, s.TimestampAuthorities...)
	timed := len(s.TimestampAuthorities) > 0
	for _, log := range s.Logs {
		switch log.Version {
		case 1:
			timed = true
		case 2:
		default:
			return fmt.Errorf("%w: the log %s speaks version %d; versions 1 and 2 are spoken here", ErrServices, log.URL, log.Version)
		}
		all = append(all, log.URL)
	}
	if !timed {
		return fmt.Errorf("%w: nobody tells the time: a Rekor v2 gives none, so a timestamp authority is needed", ErrServices)
	}
	seen := make(map[string]bool)
	for _, address := range all {
		parsed, err := url.Parse(address)
		switch {
		case err != nil:
			return fmt.Errorf("%w: %q is no URL", ErrServices, address)
		case parsed.Scheme != "https" && parsed.Scheme != "http" || parsed.Host == "" || parsed.User != nil || parsed.RawQuery != "" || parsed.Fragment != "":
			return fmt.Errorf("%w: %q is not an address such as https://fulcio.example", ErrServices, parsed.Redacted())
		case seen[strings.TrimSuffix(address, "/")]:
			return fmt.Errorf("%w: %q is named twice", ErrServices, address)
		}
		seen[strings.TrimSuffix(address, "/")] = true
	}
	return nil
}

// Legacy says whether cosign's tag format can hold what the services make: the promise
// of one Rekor v1, and one timestamp. The error wraps [verify.ErrLegacyFormat].
func (s Services) Legacy() error {
	if len(s.Logs) != 1 || s.Logs[0].Version != 1 || len(s.TimestampAuthorities) > 1 {
		return fmt.Errorf("%w: it has place for the promise of one Rekor v1, and for one timestamp", verify.ErrLegacyFormat)
	}
	return nil
}
