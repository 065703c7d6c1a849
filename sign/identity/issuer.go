package identity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// issuer is what one login knows about the OIDC issuer.
type issuer struct {
	url      string
	client   *http.Client
	provider *oidc.Provider
	config   oauth2.Config
}

// discover reads the issuer's configuration (OpenID Connect Discovery section 4). It
// must name exactly the issuer that was asked for, and each address in it must use
// TLS unless it is this machine.
func (s *settings) discover(ctx context.Context) (*issuer, error) {
	u, err := checkURL(s.Issuer)
	if err == nil && (u.RawQuery != "" || u.Fragment != "") {
		err = errors.New("a URL with a query or a fragment")
	}
	if err != nil {
		return nil, fmt.Errorf("reading the address of the issuer: %w", err)
	}
	provider, err := oidc.NewProvider(s.inContext(ctx), s.Issuer)
	if err != nil {
		var other *oidc.IssuerMismatchError
		if errors.As(err, &other) {
			return nil, withHint(fmt.Errorf("discovering the issuer %s: it calls itself %q", s.Issuer, wording.Short(other.Discovered)),
				"give the issuer letter by letter as it calls itself, with --oidc-issuer, if that is the one you trust")
		}
		return nil, fmt.Errorf("discovering the issuer %s: %w", s.Issuer, brief(err))
	}
	var more struct {
		Methods []string `json:"code_challenge_methods_supported"`
		Keys    string   `json:"jwks_uri"`
	}
	if err := provider.Claims(&more); err != nil {
		return nil, fmt.Errorf("discovering the issuer %s: its configuration is not what OpenID Connect says", s.Issuer)
	}
	endpoint := provider.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInParams // there is no secret; and a code works once, so nothing is tried out
	for name, address := range map[string]string{
		"authorization_endpoint": endpoint.AuthURL, "token_endpoint": endpoint.TokenURL,
		"device_authorization_endpoint": endpoint.DeviceAuthURL, "jwks_uri": more.Keys,
	} {
		if name == "device_authorization_endpoint" && address == "" {
			continue
		}
		at, err := checkURL(address)
		if err == nil && at.Scheme == "http" && u.Scheme == "https" {
			err = errors.New("it is not https, and the issuer is")
		}
		if err != nil {
			return nil, fmt.Errorf("discovering the issuer %s: its %s: %w", s.Issuer, name, err)
		}
	}
	// RFC 8414 section 2: without the list the server does not say. The nonce protects
	// the code there too.
	if len(more.Methods) > 0 && !slices.Contains(more.Methods, "S256") {
		return nil, fmt.Errorf("discovering the issuer %s: it does not do PKCE with S256 (RFC 7636)", s.Issuer)
	}
	return &issuer{
		url: s.Issuer, client: s.client, provider: provider,
		config: oauth2.Config{ClientID: s.ClientID, Endpoint: endpoint, Scopes: []string{oidc.ScopeOpenID, oidc.ScopeEmail}},
	}, nil
}

// inContext gives the libraries the client with the rules of this package.
func (s *settings) inContext(ctx context.Context) context.Context {
	return oidc.ClientContext(ctx, s.client)
}

// accept checks the answer of the token endpoint (OpenID Connect Core section
// 3.1.3.7): signature, issuer, audience, expiry, the nonce if one was sent, and the
// hash of the access token if there is one.
func (s *settings) accept(ctx context.Context, from *issuer, answer *oauth2.Token, nonce string) (string, error) {
	raw, isText := answer.Extra("id_token").(string)
	if !isText || raw == "" {
		return "", errors.New("the issuer answered without an ID token")
	}
	if _, err := Parse(raw); err != nil {
		return "", err
	}
	verifier := from.provider.Verifier(&oidc.Config{ClientID: s.ClientID, Now: s.Now})
	token, err := verifier.Verify(s.inContext(ctx), raw)
	if err != nil {
		return "", fmt.Errorf("verifying the ID token: %w", redact(brief(err), raw))
	}
	if nonce != "" && token.Nonce != nonce {
		return "", errors.New("verifying the ID token: it has another nonce, so that it was made for another login")
	}
	if token.AccessTokenHash != "" {
		if err := token.VerifyAccessToken(answer.AccessToken); err != nil {
			return "", errors.New("verifying the ID token: it belongs to another access token")
		}
	}
	return raw, nil
}

// brief shortens the error of a library: no address with a query, no body of an
// answer.
func brief(err error) error {
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) {
		status := ""
		if refused.Response != nil {
			status = " (" + wording.Short(refused.Response.Status) + ")"
		}
		if refused.ErrorCode == "" {
			return fmt.Errorf("the issuer refused%s", status)
		}
		return fmt.Errorf("the issuer refused%s: %s", status, said(refused.ErrorCode, refused.ErrorDescription))
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return withoutURL(err)
	}
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) > maxWords {
		text = strings.ToValidUTF8(text[:maxWords], "") + "…"
	}
	if text == err.Error() {
		return err
	}
	return &redacted{err: err, text: text}
}

// maxWords is enough for the messages of the libraries; what is longer holds a page.
const maxWords = 300

// said quotes an error of OAuth (RFC 6749 section 5.2).
func said(code, description string) string {
	if description == "" {
		return fmt.Sprintf("%q", wording.Short(code))
	}
	return fmt.Sprintf("%q: %q", wording.Short(code), wording.Short(description))
}
