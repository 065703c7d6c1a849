// Package keyless signs without long-lived keys: a certificate authority (Fulcio)
// binds an ephemeral key to the identity in an OIDC token, transparency logs
// (Rekor v1 and v2) record the signature, and timestamp authorities (RFC 3161) say
// when it was made.
//
//	services, err := keyless.FromSigningConfig(json, time.Now())
//	source, err := keyless.New(keyless.Options{Services: services, Token: token, Root: root})
//	signer, err := source.Signer(ctx)     // a sign.Notary
//	evidence, err := sign.Image(ctx, digest, nil, signer)
//
// One certificate serves as many signatures as its life allows. What is made is
// verified against the trust root before it is returned; package sign sees to it.
// The wire clients are sigstore-go's and Rekor's own, over one transport that tries
// again with growing pauses, ends with its context and follows no redirect.
//
// Non-goals: getting tokens (sign/identity), writing to registries (sign/publish).
package keyless

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	sigsign "github.com/sigstore/sigstore-go/pkg/sign"

	"github.com/hallmark-project/hallmark/sign"
	"github.com/hallmark-project/hallmark/verify/trust"
)

// ErrCertificate: the certificate authority issued no usable certificate.
var ErrCertificate = errors.New("getting a certificate")

const (
	// sparedLife is what a certificate must still live to be used for a signature:
	// logs and timestamp authorities answer within it.
	sparedLife = 90 * time.Second
	// budget bounds all requests for one certificate, and for one signature.
	budget = 2 * time.Minute
)

// Options say how keyless signatures are made. Services, Token and Root are needed.
type Options struct {
	Services Services
	// Token returns an OIDC token for the certificate authority. It is asked again
	// when a batch outlives its certificate.
	Token func(ctx context.Context) (string, error)
	// Root is what new signatures are verified against.
	Root *trust.Root
	// Transport carries the requests; nil is a transport of its own with the usual
	// proxies.
	Transport http.RoundTripper
	// UserAgent names the program to the services; "" is "hallmark".
	UserAgent string
	// Warn is told what a person should know; nil tells nobody.
	Warn func(text string)
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Source gives signers with short-lived certificates. Safe for concurrent use.
type Source struct {
	options   Options
	firstWait time.Duration // before a request is tried again

	mu      sync.Mutex
	current *session
	issued  int
}

// New returns a source. Nothing is asked of any service yet. Errors wrap
// [ErrServices] where the services are not enough.
func New(o Options) (*Source, error) {
	if err := o.Services.Check(); err != nil {
		return nil, err
	}
	if o.Token == nil {
		return nil, errors.New("signing without a key: there is no identity token")
	}
	if o.Root == nil || !o.Root.Keyless() {
		return nil, fmt.Errorf("%w: a trusted root is needed, for every signature is verified before it is used", ErrServices)
	}
	if o.Transport == nil {
		base, known := http.DefaultTransport.(*http.Transport)
		if !known {
			return nil, errors.New("signing without a key: the default transport was replaced")
		}
		own := base.Clone()
		own.MaxIdleConnsPerHost, own.ResponseHeaderTimeout = 16, time.Minute
		o.Transport = own
	}
	if o.UserAgent == "" {
		o.UserAgent = "hallmark"
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Source{options: o, firstWait: firstWait}, nil
}

// Issued returns how many certificates were asked for so far.
func (s *Source) Issued() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.issued
}

// Signer returns a signer whose certificate lives long enough for one signature:
// the one of before while it does, else a new one. Errors wrap [ErrCertificate].
func (s *Source) Signer(ctx context.Context) (sign.Notary, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil && s.options.Now().Add(sparedLife).Before(s.current.certificate.NotAfter) {
		return s.current, nil
	}
	next, err := s.open(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	s.current = next
	s.issued++
	return next, nil
}

// open asks for a certificate for a new key.
func (s *Source) open(ctx context.Context) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	token, err := s.options.Token(ctx)
	if err != nil {
		return nil, err
	}
	pair, err := newKeypair()
	if err != nil {
		return nil, err
	}
	authority := sigsign.NewFulcio(&sigsign.FulcioOptions{
		BaseURL: trimSlash(s.options.Services.CertificateAuthority), Timeout: -1,
		Transport: s.steady(ctx),
	})
	der, err := authority.GetCertificate(ctx, pair, &sigsign.CertificateProviderOptions{IDToken: token})
	if err != nil {
		return nil, err
	}
	return s.newSession(pair, der)
}
