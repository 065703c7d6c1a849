package stack

import (
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"time"

	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/sigstore-go/pkg/root"
)

// Services are the URLs that a client signs with. Change a copy to leave services out
// or to put a [Counter] before one.
type Services struct {
	Fulcio string
	// FulcioWithoutCT is the same authority without a CT log.
	FulcioWithoutCT string
	RekorV1, OIDC   string
	RekorV2, TSA    []string
	// AllLogs wants an entry of every log, AllTSAs a timestamp of every authority;
	// without, any one does.
	AllLogs, AllTSAs bool

	created time.Time
}

// describe lists what runs.
func (s *Stack) describe() Services {
	a := &s.addresses
	return Services{
		Fulcio: "http://" + a.fulcio, FulcioWithoutCT: "http://" + a.noCT, RekorV1: "http://" + a.rekor1, RekorV2: []string{"http://" + a.rekor2[0].front, "http://" + a.rekor2[1].front},
		TSA: []string{"http://" + a.tsa[0], "http://" + a.tsa[1]}, OIDC: s.Issuer.URL, created: s.keys.created,
	}
}

// Services are all services of the instance.
func (s *Stack) Services() Services {
	services := s.services
	services.RekorV2, services.TSA = slices.Clone(services.RekorV2), slices.Clone(services.TSA)
	return services
}

// V1 leaves Rekor v2 out.
func (s Services) V1() Services { s.RekorV2 = nil; return s }

// V2 leaves Rekor v1 out.
func (s Services) V2() Services { s.RekorV1 = ""; return s }

// NoCT takes certificates that are in no CT log.
func (s Services) NoCT() Services { s.Fulcio = s.FulcioWithoutCT; return s }

// TimestampURLs are the addresses that timestamp requests are posted to.
func (s Services) TimestampURLs() []string {
	urls := make([]string, len(s.TSA))
	for i, base := range s.TSA {
		urls[i] = base + "/api/v1/timestamp"
	}
	return urls
}

// SigningConfig is a signing configuration (version 0.2) with these services. Each has an
// operator of its own: of one operator, clients take one service only. Of the two versions
// of Rekor they take the higher one.
func (s Services) SigningConfig() ([]byte, error) {
	service := func(url, operator string, version uint32) root.Service {
		return root.Service{URL: url, MajorAPIVersion: version, ValidityPeriodStart: s.created, Operator: operator}
	}
	selector := func(all bool) root.ServiceConfiguration {
		if all {
			return root.ServiceConfiguration{Selector: prototrustroot.ServiceSelector_ALL}
		}
		return root.ServiceConfiguration{Selector: prototrustroot.ServiceSelector_ANY}
	}
	var logs, authorities []root.Service
	for i, url := range s.RekorV2 {
		logs = append(logs, service(url, fmt.Sprintf("rekor2-%d.example", i), 2))
	}
	if s.RekorV1 != "" {
		logs = append(logs, service(s.RekorV1, "rekor1.example", 1))
	}
	for i, url := range s.TimestampURLs() {
		authorities = append(authorities, service(url, fmt.Sprintf("tsa%d.example", i), 1))
	}
	config, err := root.NewSigningConfig(root.SigningConfigMediaType02, []root.Service{service(s.Fulcio, "fulcio.example", 1)},
		[]root.Service{service(s.OIDC, "oidc.example", 1)}, logs, selector(s.AllLogs), authorities, selector(s.AllTSAs))
	if err != nil {
		return nil, err
	}
	return config.MarshalJSON()
}

// CosignEnvironment tells cosign what to trust where it reads no trusted root: when it
// makes and verifies signatures in its older format.
func (s *Stack) CosignEnvironment() []string {
	return []string{
		"SIGSTORE_ROOT_FILE=" + s.keys.fulcioChain, "SIGSTORE_REKOR_PUBLIC_KEY=" + s.path("rekor1.pub"),
		"SIGSTORE_CT_LOG_PUBLIC_KEY_FILE=" + s.path("ct.pub"), "SIGSTORE_TSA_CERTIFICATE_FILE=" + s.keys.tsaChains[0],
	}
}

// trustedRoot describes the instance to verifiers.
func (s *Stack) trustedRoot() ([]byte, error) {
	k, services := s.keys, s.services
	logs, ctLogs := map[string]*root.TransparencyLog{}, map[string]*root.TransparencyLog{}
	// The identifier of a Rekor v2 is its note key's hash over its name, which is the
	// host without a port; that of the others is the key's own hash.
	for i, key := range k.rekor2 {
		parsed, err := url.Parse(services.RekorV2[i])
		if err != nil {
			return nil, err
		}
		_, id, err := note.KeyHash(parsed.Hostname(), key.Public())
		if err != nil {
			return nil, err
		}
		logs[hex.EncodeToString(id)] = k.log(services.RekorV2[i], key.Public(), id)
	}
	id, err := keyID(k.rekor1.Public())
	if err != nil {
		return nil, err
	}
	logs[hex.EncodeToString(id)] = k.log(services.RekorV1, k.rekor1.Public(), id)
	if id, err = keyID(k.ct.Public()); err != nil {
		return nil, err
	}
	ctLogs[hex.EncodeToString(id)] = k.log(s.CTLog(), k.ct.Public(), id)
	var authorities []root.TimestampingAuthority
	for i, chain := range k.tsa {
		authorities = append(authorities, &root.SigstoreTimestampingAuthority{
			Leaf: chain[0], Root: chain[1], ValidityPeriodStart: k.created, URI: services.TimestampURLs()[i],
		})
	}
	made, err := root.NewTrustedRoot(root.TrustedRootMediaType01, []root.CertificateAuthority{&root.FulcioCertificateAuthority{
		Root: k.fulcioRoot, Intermediates: []*x509.Certificate{k.fulcio}, ValidityPeriodStart: k.created, URI: services.Fulcio,
	}}, ctLogs, authorities, logs)
	if err != nil {
		return nil, err
	}
	return made.MarshalJSON()
}

func (k *keys) log(url string, key crypto.PublicKey, id []byte) *root.TransparencyLog {
	hash := crypto.SHA256
	if _, ok := key.(ed25519.PublicKey); ok {
		hash = crypto.SHA512
	}
	return &root.TransparencyLog{
		BaseURL: url, ID: id, ValidityPeriodStart: k.created, HashFunc: crypto.SHA256, PublicKey: key, SignatureHashFunc: hash,
	}
}

func keyID(key crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	id := sha256.Sum256(der)
	return id[:], nil
}

// CTLog is the URL of the certificate transparency log.
func (s *Stack) CTLog() string { return "http://" + s.addresses.ct + "/ct" }
