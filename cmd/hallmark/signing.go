package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/spf13/pflag"

	"github.com/hallmark-project/hallmark/attest/wholefile"
	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/sign"
	"github.com/hallmark-project/hallmark/sign/identity"
	"github.com/hallmark-project/hallmark/sign/keyless"
	"github.com/hallmark-project/hallmark/sign/keys"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
)

const (
	maxSigningConfig = 1 << 20
)

// identityFlags say who signs: a key, or a person or job by an identity token.
type identityFlags struct {
	key, passwordFile string

	token         string
	signingConfig string
	trustedRoot   string
	fulcio        string
	rekor         []string
	rekorVersion  uint32
	timestamps    []string
	issuer        string
	clientID      string
	flow          string
}

func (f *identityFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.key, "key", "", "sign with the private key in this file")
	flags.StringVar(&f.passwordFile, "password-file", "", "read the key's password from a file, - for standard input")
	flags.StringVar(&f.token, "identity-token", "", "keyless: the identity token, a file with it, or - for standard input")
	flags.StringVar(&f.signingConfig, "signing-config", "", "keyless: a signing_config.json with the services to use")
	flags.StringVar(&f.trustedRoot, "trusted-root", "", "keyless: the trusted_root.json that new signatures are verified against")
	flags.StringVar(&f.fulcio, "fulcio-url", "", "keyless: the certificate authority, instead of a signing config")
	flags.StringArrayVar(&f.rekor, "rekor-url", nil, "keyless: a transparency log; may be repeated")
	flags.Uint32Var(&f.rekorVersion, "rekor-version", 1, "keyless: the API version of the logs of --rekor-url, 1 or 2")
	flags.StringArrayVar(&f.timestamps, "timestamp-url", nil, "keyless: a timestamp authority's whole URL; may be repeated")
	flags.StringVar(&f.issuer, "oidc-issuer", "", "keyless: the issuer to log in at")
	flags.StringVar(&f.clientID, "oidc-client-id", "sigstore", "keyless: the client to log in as, and the audience that tokens must be for")
	flags.StringVar(&f.flow, "oidc-flow", "auto", "keyless: how a person logs in: auto, browser, device or none")
}

func (f *identityFlags) check() error {
	single := f.fulcio != "" || len(f.rekor) > 0 || len(f.timestamps) > 0
	named := f.token != "" || f.signingConfig != "" || f.trustedRoot != "" || single || f.issuer != ""
	switch {
	case f.key != "" && named:
		return cli.Hint(cli.UsageError("--key and keyless signing contradict each other"), "leave --key away, or every flag of keyless signing")
	case f.key != "":
		return nil
	case f.passwordFile != "":
		return cli.Hint(cli.UsageError("--password-file is for the password of a key"), "name the key with --key")
	case single && f.signingConfig != "":
		return cli.Hint(cli.UsageError("--signing-config and single services contradict each other"), "put the services into the signing config; hallmark trust create writes one")
	case single && f.fulcio == "":
		return cli.Hint(cli.UsageError("no certificate authority was named"), "name it with --fulcio-url, or all services with --signing-config")
	case f.rekorVersion != 1 && f.rekorVersion != 2:
		return cli.UsageError("--rekor-version is 1 or 2, not %d", f.rekorVersion)
	case f.flow != "auto" && f.flow != "browser" && f.flow != "device" && f.flow != "none":
		return cli.UsageError("--oidc-flow is auto, browser, device or none, not %q", f.flow)
	}
	return nil
}

// signing gives signers: a key's, or those of short-lived certificates.
type signing struct {
	key         *keys.Signer
	keyVerifier *verify.Verifier
	source      *keyless.Source
}

// signer returns a signer for one piece of evidence and what verifies it.
func (s *signing) signer(ctx context.Context) (sign.DigestSigner, *verify.Verifier, error) {
	if s.source == nil {
		return s.key, s.keyVerifier, nil
	}
	notary, err := s.source.Signer(ctx)
	if err != nil {
		return nil, nil, err
	}
	return notary, notary.Verifier(), nil
}

// newSigning loads the key, or prepares keyless signing. legacy is cosign's tag
// format, which cosign 2 verifies with SHA-256 whatever the curve.
func (a *app) newSigning(ctx context.Context, f *identityFlags, legacy bool) (*signing, error) {
	if f.key == "" {
		source, err := a.newKeylessSource(ctx, f, legacy)
		return &signing{source: source}, err
	}
	key, err := a.loadSigner(ctx, f.key, f.passwordFile)
	if err != nil {
		return nil, err
	}
	if legacy {
		key = key.WithSHA256()
	}
	verifier, err := sign.Verifier(key)
	return &signing{key: key, keyVerifier: verifier}, err
}

func (a *app) newKeylessSource(ctx context.Context, f *identityFlags, legacy bool) (*keyless.Source, error) {
	services, err := a.services(f)
	if err != nil {
		return nil, err
	}
	if legacy {
		if err := services.Legacy(); err != nil {
			return nil, signingError(err)
		}
	}
	rootJSON, err := a.TrustedRoot(f.trustedRoot)
	if err != nil {
		return nil, err
	}
	root, err := trust.NewRoot(trust.WithTrustedRoot(rootJSON))
	if err != nil {
		return nil, cli.Hint(err, "is it a Sigstore trusted_root.json? hallmark trust create writes one for services of your own")
	}
	if f.issuer != "" {
		services.Issuer = f.issuer
	}
	tokens, err := identity.Find(ctx, identity.Options{
		Explicit: f.token, Getenv: a.Getenv, Stdin: a.Stdin, Issuer: services.Issuer, ClientID: f.clientID, Flow: f.flow,
		Audience: f.clientID, Interactive: cli.Terminal(a.Stderr), Prompt: a.Stderr, OpenBrowser: identity.SystemBrowser(a.Getenv),
	})
	if err != nil {
		return nil, signingError(err)
	}
	return keyless.New(keyless.Options{
		Services: services, Root: root, UserAgent: "hallmark/" + version,
		Token: func(ctx context.Context) (string, error) {
			token, err := tokens.Token(ctx, "")
			if err != nil {
				return "", err
			}
			return token.Raw(), nil
		},
		Warn: func(text string) { fmt.Fprintf(a.Stderr, "hallmark: warning: %s\n", text) },
	})
}

// services are those of the flags, of the signing config, or of the trust state.
func (a *app) services(f *identityFlags) (keyless.Services, error) {
	if f.fulcio != "" {
		services := keyless.Services{CertificateAuthority: f.fulcio, TimestampAuthorities: f.timestamps, Issuer: f.issuer}
		for _, url := range f.rekor {
			services.Logs = append(services.Logs, keyless.Log{URL: url, Version: f.rekorVersion})
		}
		err := services.Check()
		return services, cli.Hint(err, "name logs with --rekor-url and timestamp authorities with --timestamp-url")
	}
	raw, where := []byte(nil), f.signingConfig
	var err error
	if f.signingConfig != "" {
		if raw, err = wholefile.ReadFile(f.signingConfig, maxSigningConfig); err != nil {
			return keyless.Services{}, cli.Hint(fmt.Errorf("reading the signing config: %w", err), "--signing-config names a signing_config.json")
		}
	} else {
		where = "the trust state"
		if raw, err = a.stateSigningConfig(); err != nil {
			return keyless.Services{}, cli.Hint(cli.UsageError("neither a key was named nor the services for keyless signing: %w", err), "run hallmark trust init once, or give --signing-config FILE, or sign with --key FILE")
		}
	}
	services, err := keyless.FromSigningConfig(raw, time.Now())
	if err != nil {
		return services, cli.Hint(fmt.Errorf("%s: %w", where, err), "hallmark trust create writes a signing config for services of your own")
	}
	return services, nil
}

// stateSigningConfig is the signing config that signatures use when none is named.
func (a *app) stateSigningConfig() ([]byte, error) {
	state, err := a.TrustState()
	if err != nil {
		return nil, err
	}
	raw := state.SigningConfig()
	if len(raw) == 0 {
		return nil, errors.New("the trust state has no signing config: the mirror offers none")
	}
	return raw, nil
}

// signingError gives an error of signing its hint.
func signingError(err error) error {
	var unreachable *net.OpError
	switch {
	case err == nil:
		return nil
	case identity.Hint(err) != "":
		return cli.Hint(err, "%s", identity.Hint(err))
	case errors.Is(err, keyless.ErrTooLarge):
		return cli.Hint(err, "use a Rekor v2, which is sent hashes only (--rekor-version 2), or attest a smaller document; nothing was pushed")
	case errors.Is(err, verify.ErrLegacyFormat):
		return cli.Hint(err, "leave --format legacy away, or sign with one Rekor v1 log and at most one timestamp authority; nothing was pushed")
	case errors.As(err, &unreachable), errors.Is(err, keyless.ErrService):
		return cli.Hint(err, "a signing service did not answer; nothing was pushed, so the same command can be run again")
	case errors.Is(err, keyless.ErrRefused) && !errors.Is(err, keyless.ErrCertificate):
		return cli.Hint(err, "the service refuses this and will again; nothing was pushed")
	case errors.Is(err, keyless.ErrCertificate):
		return cli.Hint(err, "does the certificate authority know the token's issuer and audience? nothing was pushed")
	}
	return err
}
