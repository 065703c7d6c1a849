package keyless

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	sigsign "github.com/sigstore/sigstore-go/pkg/sign"
	"golang.org/x/sync/errgroup"

	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
)

// sctListOID marks a certificate that is in a CT log (RFC 6962, section 3.3).
const sctListOID = "1.3.6.1.4.1.11129.2.4.2"

// session is one ephemeral key with its certificate. It implements sign.Notary and
// is safe for concurrent use.
type session struct {
	source      *Source
	pair        *keypair
	certificate *x509.Certificate
	verifier    *verify.Verifier
	strict      *verify.Verifier // nil where it would ask for no more
}

// newSession takes a certificate for exactly the given key.
func (s *Source) newSession(pair *keypair, der []byte) (*session, error) {
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate: %w", err)
	}
	if !pair.private.PublicKey.Equal(certificate.PublicKey) {
		return nil, errors.New("the certificate is for another key")
	}
	if !s.options.Now().Before(certificate.NotAfter) {
		return nil, fmt.Errorf("the certificate ended at %s; is the system clock right?", certificate.NotAfter)
	}
	need := trust.Requirement{LogEntries: len(s.options.Services.Logs), Timestamps: max(1, len(s.options.Services.TimestampAuthorities))}
	times := len(s.options.Services.TimestampAuthorities)
	for _, log := range s.options.Services.Logs {
		if log.Version == 1 {
			times++
		}
	}
	for _, extension := range certificate.Extensions {
		if extension.Id.String() == sctListOID {
			need.SCTs = 1
		}
	}
	if need.SCTs == 0 {
		s.options.Warn("the certificate is in no certificate transparency log; verifiers must be told to ask for none")
	}
	verifier, err := verify.New(s.options.Root, need, s.options.Now)
	if err != nil {
		return nil, err
	}
	made := &session{source: s, pair: pair, certificate: certificate, verifier: verifier}
	if times > need.Timestamps {
		need.Timestamps = times
		if made.strict, err = verify.New(s.options.Root, need, s.options.Now); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// Public returns the ephemeral key.
func (s *session) Public() crypto.PublicKey { return s.pair.private.Public() }

// Hash returns SHA-256.
func (s *session) Hash() crypto.Hash { return crypto.SHA256 }

// Sign signs a whole message.
func (s *session) Sign(ctx context.Context, message []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	sig, _, err := s.pair.SignData(ctx, message)
	return sig, err
}

// SignDigest signs a message by its SHA-256.
func (s *session) SignDigest(ctx context.Context, sum []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	if len(sum) != crypto.SHA256.Size() {
		return nil, fmt.Errorf("signing: a digest of %d bytes is no SHA-256", len(sum))
	}
	return ecdsa.SignASN1(rand.Reader, s.pair.private, sum)
}

// Verifier verifies what this session signs against the trust root.
func (s *session) Verifier() *verify.Verifier { return s.verifier }

// Notarize adds the certificate, the timestamps and the log entries to a bundle that
// has its content and signature. All services are asked side by side; when one
// fails the others are left and the error is returned, as when one of them is no
// witness of this signature where package sign would not notice.
func (s *session) Notarize(ctx context.Context, wire *protobundle.Bundle) error {
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	options := &s.source.options
	signature, err := signatureOf(wire)
	if err != nil {
		return err
	}
	material := &protobundle.VerificationMaterial{
		Content: &protobundle.VerificationMaterial_Certificate{Certificate: &protocommon.X509Certificate{RawBytes: s.certificate.Raw}},
	}
	wire.VerificationMaterial = material
	stamps := make([]*protocommon.RFC3161SignedTimestamp, len(options.Services.TimestampAuthorities))
	entries := make([]*protorekor.TransparencyLogEntry, len(options.Services.Logs))
	group, groupCtx := errgroup.WithContext(ctx)
	for i, address := range options.Services.TimestampAuthorities {
		group.Go(func() error {
			authority := sigsign.NewTimestampAuthority(&sigsign.TimestampAuthorityOptions{
				URL: address, Timeout: -1, Transport: s.source.steady(groupCtx),
			})
			raw, err := authority.GetTimestamp(groupCtx, signature)
			if err != nil {
				return fmt.Errorf("asking the timestamp authority %s: %w", address, err)
			}
			stamps[i] = &protocommon.RFC3161SignedTimestamp{SignedTimestamp: raw}
			return nil
		})
	}
	for i, log := range options.Services.Logs {
		group.Go(func() (err error) {
			client := &http.Client{Transport: s.source.steady(groupCtx)}
			entries[i], err = record(groupCtx, client, log, options.Root, s.certificate.Raw, wire)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if len(stamps) > 0 {
		material.TimestampVerificationData = &protobundle.TimestampVerificationData{Rfc3161Timestamps: stamps}
	}
	material.TlogEntries = entries
	if s.strict != nil {
		return s.checkAll(wire)
	}
	return nil
}

// signatureOf returns the one signature of a bundle.
func signatureOf(wire *protobundle.Bundle) ([]byte, error) {
	if signatures := wire.GetDsseEnvelope().GetSignatures(); len(signatures) == 1 {
		return signatures[0].GetSig(), nil
	}
	if signature := wire.GetMessageSignature().GetSignature(); len(signature) > 0 {
		return signature, nil
	}
	return nil, errors.New("notarizing a bundle: it has no signature")
}

func trimSlash(address string) string { return strings.TrimRight(address, "/") }
