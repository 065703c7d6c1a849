package identity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"
	"unicode"

	"golang.org/x/oauth2"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// Time that a person has to log in.
const (
	browserWait   = 5 * time.Minute
	maxDeviceWait = 15 * time.Minute // whatever the issuer offers
)

// person is somebody who logs in.
type person struct {
	*settings
	wait time.Duration
}

func (s *settings) person() Source {
	return &checked{settings: s, provider: person{s, browserWait}, fixed: s.ClientID}
}

func (p person) name() string { return "a login at " + wording.Short(p.Issuer) }

func (p person) advice(string) string {
	return "log in again; is the clock of this machine right, and is the client ID (--oidc-client-id) the one that the issuer knows?"
}

func (p person) fetch(ctx context.Context, _ string) (string, error) {
	from, err := p.discover(ctx)
	if err != nil {
		return "", err
	}
	if p.Flow == FlowDevice {
		return p.device(ctx, from)
	}
	return p.browser(ctx, from)
}

// errNoBrowser: nothing opens a page here.
var errNoBrowser = errors.New("no browser can be opened here")

// show opens the login page, or says where it is.
func (p person) show(address string) error {
	if p.OpenBrowser == nil {
		return errNoBrowser
	}
	return p.OpenBrowser(address)
}

// device asks for a code that the person enters elsewhere (RFC 8628).
func (p person) device(ctx context.Context, from *issuer) (string, error) {
	if from.config.Endpoint.DeviceAuthURL == "" {
		return "", withHint(errors.New("the issuer has no device flow"), "use --oidc-flow browser")
	}
	ctx, cancel := context.WithTimeout(p.inContext(ctx), maxDeviceWait)
	defer cancel()
	verifier := oauth2.GenerateVerifier()
	offer, err := from.config.DeviceAuth(ctx, oauth2.S256ChallengeOption(verifier))
	if err != nil {
		return "", fmt.Errorf("asking for a device code: %w", redact(brief(err), verifier))
	}
	if err := checkOffer(offer); err != nil {
		return "", fmt.Errorf("asking for a device code: %w", err)
	}
	p.invite(offer)
	answer, err := poll(ctx, from, offer, verifier)
	if late(ctx, err, offer) {
		return "", withHint(fmt.Errorf("waiting for the login: nobody entered the code in time: %w", redact(brief(err), verifier, offer.DeviceCode)), "run the command again and enter the code before it runs out")
	}
	if err != nil {
		return "", fmt.Errorf("waiting for the login: %w", redact(brief(err), verifier, offer.DeviceCode))
	}
	return p.accept(ctx, from, answer, "")
}

// maxFailures is how many questions in one login may get no answer.
const maxFailures = 3

// poll asks until the person has logged in. Where a question got no answer it goes
// on at half the pace (RFC 8628 section 3.5).
func poll(ctx context.Context, from *issuer, offer *oauth2.DeviceAuthResponse, verifier string) (*oauth2.Token, error) {
	for failures := 0; ; failures++ {
		answer, err := from.config.DeviceAccessToken(ctx, offer, oauth2.VerifierOption(verifier))
		if err == nil || failures == maxFailures || !unanswered(err) || late(ctx, err, offer) {
			return answer, err
		}
		offer.Interval = min(2*max(offer.Interval, defaultInterval), maxInterval)
	}
}

func unanswered(err error) bool {
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) {
		return refused.ErrorCode == "" && refused.Response != nil && refused.Response.StatusCode >= 500
	}
	var wrapped *url.Error
	return errors.As(err, &wrapped) && !errors.Is(err, errRedirect) && !errors.Is(err, context.Canceled)
}

// late tells an offer that ran out from a request that took too long.
func late(ctx context.Context, err error, offer *oauth2.DeviceAuthResponse) bool {
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) {
		return refused.ErrorCode == "expired_token"
	}
	ranOut := !offer.Expiry.IsZero() && !time.Now().Before(offer.Expiry) // by the clock that made Expiry
	return errors.Is(err, context.DeadlineExceeded) && (ranOut || ctx.Err() != nil)
}

// Limits of an offer.
const (
	maxUserCode = 64 // a person types it
	maxInterval = 60 // seconds; who waits longer misses the login
	// defaultInterval, in seconds, is RFC 8628's where the issuer says nothing.
	defaultInterval = 5
	maxAddress      = 2048 // a person reads it
)

// checkOffer refuses what must not be shown or waited for (RFC 8628 section 3.2).
func checkOffer(offer *oauth2.DeviceAuthResponse) error {
	if offer.DeviceCode == "" || offer.UserCode == "" || len(offer.UserCode) > maxUserCode || strings.ContainsFunc(offer.UserCode, unprintable) {
		return errors.New("the issuer answered without a code that can be typed")
	}
	if offer.Interval < 0 || offer.Interval > maxInterval {
		return fmt.Errorf("the issuer wants to be asked every %d seconds", offer.Interval)
	}
	for _, address := range []string{offer.VerificationURI, offer.VerificationURIComplete} {
		if address == "" && offer.VerificationURI != "" {
			continue
		}
		u, err := checkURL(address)
		if err == nil && len(u.String()) > maxAddress {
			err = errors.New("too long to be read")
		}
		if err != nil {
			return fmt.Errorf("the address of the issuer's page: %w", err)
		}
	}
	return nil
}

func unprintable(r rune) bool { return r > unicode.MaxASCII || !unicode.IsPrint(r) }

// invite tells the person what to do. The page with the code in its address opens
// only by the person's own hand, who has then read the code: RFC 8628 section 5.4.
func (p person) invite(offer *oauth2.DeviceAuthResponse) {
	page, err := checkURL(offer.VerificationURI)
	if err != nil {
		return // checkOffer has been here
	}
	fmt.Fprintf(p.Prompt, "To log in, open this page on any device and enter the code %s:\n  %s\n", offer.UserCode, page)
	if whole, err := checkURL(offer.VerificationURIComplete); err == nil {
		fmt.Fprintf(p.Prompt, "or, with the code in it:\n  %s\n", whole)
	}
	if !offer.Expiry.IsZero() {
		fmt.Fprintf(p.Prompt, "The code serves until %s.\n", offer.Expiry.Local().Format("15:04:05"))
	}
	_, _ = io.WriteString(p.Prompt, "Waiting …\n")
}
