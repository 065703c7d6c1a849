package trust

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	prototrust "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/sigstore-go/pkg/root"
	"google.golang.org/protobuf/encoding/protojson"
)

// Endpoint is one service of an [Instance] and what it is recognised by.
type Endpoint struct {
	URL string // http or https, without credentials
	PEM []byte // a certificate chain, in any order, or one public key

	// From and Until bound what is trusted of it, both inclusive. Zero From is the
	// instance's; zero Until is no end. After Until nothing is signed with it.
	From, Until time.Time
}

// Instance describes one's own Sigstore services, to make the two files that
// clients of it need.
type Instance struct {
	Fulcio     []Endpoint // certificate authorities: chains
	Timestamps []Endpoint // RFC 3161 authorities: chains, with or without leaf
	RekorV1    []Endpoint // keys
	RekorV2    []Endpoint // keys
	CTLogs     []Endpoint // keys
	Issuers    []string   // URLs of the OpenID Connect issuers that people sign in at

	From time.Time // since when what has no From of its own is trusted; required
	All  bool      // sign with all logs and timestamp authorities, not with any one
}

// stampPath is where a Sigstore timestamp authority answers, if its URL has no path.
const stampPath = "/api/v1/timestamp"

// TrustedRoot makes a trusted_root.json that [WithTrustedRoot] accepts. Errors wrap
// [ErrRootInvalid].
func (i Instance) TrustedRoot() ([]byte, error) {
	text, err := i.trustedRoot()
	if err != nil {
		return nil, fmt.Errorf("making a trusted root: %w: %w", ErrRootInvalid, err)
	}
	if _, err := parseTrustedRoot(text); err != nil {
		return nil, fmt.Errorf("making a trusted root: %w: %w", ErrRootInvalid, err)
	}
	return text, nil
}

func (i Instance) trustedRoot() ([]byte, error) {
	if i.From.IsZero() {
		return nil, errors.New("it does not say since when it is trusted")
	}
	i = i.dated()
	var issuers []root.CertificateAuthority
	for _, endpoint := range i.Fulcio {
		chain, err := endpoint.chain()
		if err != nil {
			return nil, err
		}
		last := len(chain) - 1
		issuers = append(issuers, &root.FulcioCertificateAuthority{
			URI: endpoint.URL, Root: chain[last], Intermediates: chain[:last],
			ValidityPeriodStart: endpoint.From, ValidityPeriodEnd: endpoint.Until,
		})
	}
	var stamps []root.TimestampingAuthority
	for _, endpoint := range i.Timestamps {
		chain, err := endpoint.chain()
		if err != nil {
			return nil, err
		}
		authority := &root.SigstoreTimestampingAuthority{URI: endpoint.URL, ValidityPeriodStart: endpoint.From, ValidityPeriodEnd: endpoint.Until}
		if !chain[0].IsCA {
			authority.Leaf, chain = chain[0], chain[1:]
		}
		if len(chain) == 0 {
			return nil, fmt.Errorf("timestamp authority %s: its chain has no root", endpoint.URL)
		}
		authority.Root, authority.Intermediates = chain[len(chain)-1], chain[:len(chain)-1]
		stamps = append(stamps, authority)
	}
	logs, ctlogs := map[string]*root.TransparencyLog{}, map[string]*root.TransparencyLog{}
	for _, kind := range []struct {
		into      map[string]*root.TransparencyLog
		endpoints []Endpoint
		id        func(string, crypto.PublicKey) ([]byte, error)
	}{{logs, i.RekorV1, keyHash}, {logs, i.RekorV2, noteID}, {ctlogs, i.CTLogs, keyHash}} {
		for _, endpoint := range kind.endpoints {
			if err := endpoint.addLog(kind.into, kind.id); err != nil {
				return nil, err
			}
		}
	}
	for _, known := range []map[string]*root.TransparencyLog{logs, ctlogs} {
		if err := distinctLogs(known); err != nil {
			return nil, err
		}
	}
	if err := distinctStamps(stamps); err != nil {
		return nil, err
	}
	made, err := root.NewTrustedRoot(root.TrustedRootMediaType01, issuers, ctlogs, stamps, logs)
	if err != nil {
		return nil, err
	}
	raw, err := made.MarshalJSON()
	if err != nil {
		return nil, err
	}
	return inOrder(raw)
}

// inOrder makes one text of one instance: the engine keeps its logs in a map.
func inOrder(trustedRoot []byte) ([]byte, error) {
	message, err := root.NewTrustedRootProtobuf(trustedRoot)
	if err != nil {
		return nil, err
	}
	for _, logs := range [][]*prototrust.TransparencyLogInstance{message.GetTlogs(), message.GetCtlogs()} {
		slices.SortFunc(logs, func(a, b *prototrust.TransparencyLogInstance) int {
			return cmp.Or(
				a.GetPublicKey().GetValidFor().GetStart().AsTime().Compare(b.GetPublicKey().GetValidFor().GetStart().AsTime()),
				cmp.Compare(a.GetBaseUrl(), b.GetBaseUrl()),
				bytes.Compare(a.GetLogId().GetKeyId(), b.GetLogId().GetKeyId()),
			)
		})
	}
	raw, err := protojson.Marshal(message)
	if err != nil {
		return nil, err
	}
	return indent(raw)
}

// dated gives every endpoint a beginning.
func (i Instance) dated() Instance {
	for _, list := range []*[]Endpoint{&i.Fulcio, &i.Timestamps, &i.RekorV1, &i.RekorV2, &i.CTLogs} {
		*list = slices.Clone(*list)
		for at := range *list {
			if (*list)[at].From.IsZero() {
				(*list)[at].From = i.From
			}
		}
	}
	return i
}

// SigningConfig makes a signing_config.json (media type version 0.2).
func (i Instance) SigningConfig() ([]byte, error) {
	i = i.dated()
	selector := root.ServiceConfiguration{Selector: prototrust.ServiceSelector_ANY}
	if i.All {
		selector.Selector = prototrust.ServiceSelector_ALL
	}
	var authorities, issuers, logs, stamps []root.Service
	for _, kind := range []struct {
		into      *[]root.Service
		endpoints []Endpoint
		version   uint32
		path      string
	}{
		{&authorities, i.Fulcio, 1, ""},
		{&logs, i.RekorV2, 2, ""},
		{&logs, i.RekorV1, 1, ""},
		{&stamps, i.Timestamps, 1, stampPath},
	} {
		for _, endpoint := range kind.endpoints {
			service, err := endpoint.service(kind.version, kind.path)
			if err != nil {
				return nil, err
			}
			*kind.into = append(*kind.into, service)
		}
	}
	for _, issuer := range i.Issuers {
		service, err := Endpoint{URL: issuer, From: i.From}.service(1, "")
		if err != nil {
			return nil, err
		}
		issuers = append(issuers, service)
	}
	made, err := root.NewSigningConfig(root.SigningConfigMediaType02, authorities, issuers, logs, selector, stamps, selector)
	if err != nil {
		return nil, fmt.Errorf("making a signing configuration: %w", err)
	}
	raw, err := made.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("making a signing configuration: %w", err)
	}
	return indent(raw)
}

// service names the host as the operator: clients take at most one service of each.
func (e Endpoint) service(version uint32, path string) (root.Service, error) {
	u, err := checkURL(e.URL)
	if err != nil {
		return root.Service{}, err
	}
	operator := u.Host
	if u.Path == "" || u.Path == "/" {
		u.Path = path
	}
	return root.Service{URL: u.String(), MajorAPIVersion: version, ValidityPeriodStart: e.From, ValidityPeriodEnd: e.Until, Operator: operator}, nil
}

func (e Endpoint) chain() ([]*x509.Certificate, error) {
	if _, err := checkURL(e.URL); err != nil {
		return nil, err
	}
	certificates, err := parseCertificates(e.PEM, maxChain)
	if err != nil {
		return nil, fmt.Errorf("reading the chain of %s: %w", e.URL, err)
	}
	chain, err := orderChain(certificates)
	if err != nil {
		return nil, fmt.Errorf("reading the chain of %s: %w", e.URL, err)
	}
	return chain, nil
}

// orderChain returns the certificates leaf first. They must be one chain.
func orderChain(certificates []*x509.Certificate) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for _, candidate := range certificates {
		issues := false
		for _, other := range certificates {
			issues = issues || other != candidate && bytes.Equal(other.RawIssuer, candidate.RawSubject)
		}
		if !issues {
			chain = append(chain, candidate)
		}
	}
	if len(chain) != 1 {
		return nil, fmt.Errorf("%d certificates are no chain from one leaf to one root", len(certificates))
	}
	for len(chain) < len(certificates) {
		last, before := chain[len(chain)-1], len(chain)
		for _, candidate := range certificates {
			if candidate != last && bytes.Equal(last.RawIssuer, candidate.RawSubject) && last.CheckSignatureFrom(candidate) == nil {
				chain = append(chain, candidate)
				break
			}
		}
		if len(chain) == before {
			return nil, fmt.Errorf("no other certificate issued %q", last.Subject)
		}
	}
	return chain, nil
}

func (e Endpoint) addLog(into map[string]*root.TransparencyLog, identify func(string, crypto.PublicKey) ([]byte, error)) error {
	u, err := checkURL(e.URL)
	if err != nil {
		return err
	}
	key, err := ParsePublicKey(e.PEM)
	if err != nil {
		return fmt.Errorf("log %s: %w", e.URL, err)
	}
	id, err := identify(u.Hostname(), key.Public())
	if err != nil {
		return fmt.Errorf("log %s: %w", e.URL, err)
	}
	if known, ok := into[hex.EncodeToString(id)]; ok {
		return fmt.Errorf("logs %s and %s have one key", known.BaseURL, e.URL)
	}
	into[hex.EncodeToString(id)] = &root.TransparencyLog{
		BaseURL: e.URL, ID: id, ValidityPeriodStart: e.From, ValidityPeriodEnd: e.Until, HashFunc: crypto.SHA256, PublicKey: key.Public(),
	}
	return nil
}

// keyHash is the log ID of RFC 6962 section 3.2, which Rekor v1 has too.
func keyHash(_ string, key crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(der)
	return sum[:], nil
}

// noteID is the log ID of Rekor v2: the key ID, not cut short, of its signed notes,
// whose origin is the host name without the port.
func noteID(host string, key crypto.PublicKey) ([]byte, error) {
	_, id, err := note.KeyHash(host, key)
	return id, err
}

func checkURL(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%q is no http or https URL", address)
	}
	if u.User != nil {
		return nil, fmt.Errorf("%q has credentials in it", u.Redacted())
	}
	return u, nil
}

// indent makes the encoder's output, whose blanks are random, one text.
func indent(raw []byte) ([]byte, error) {
	var text bytes.Buffer
	if err := json.Indent(&text, raw, "", "  "); err != nil {
		return nil, err
	}
	text.WriteByte('\n')
	return text.Bytes(), nil
}
