package oci

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Retry policy: three attempts in all, and never a wait that the caller's
// deadline does not allow.
const (
	maxAttempts   = 3
	firstBackoff  = 100 * time.Millisecond
	maxRetryAfter = 30 * time.Second
)

// guard refuses requests that would leave TLS, whoever asked for them.
type guard struct {
	inner     http.RoundTripper
	allowHTTP func(host string) bool
}

func (g *guard) RoundTrip(request *http.Request) (*http.Response, error) {
	switch request.URL.Scheme {
	case "https":
	case "http":
		if !g.allowHTTP(request.URL.Host) {
			return nil, fmt.Errorf("%w: %s is not reached without TLS", ErrRedirectRefused, request.URL.Host)
		}
	default:
		return nil, fmt.Errorf("%w: scheme %q", ErrRedirectRefused, request.URL.Scheme)
	}
	return g.inner.RoundTrip(request)
}

// checkRedirect bounds redirects: few, never from TLS to plain HTTP, never from
// a public host to an internal address. Credentials are not carried along: the
// transport attaches them to the registry's own host only.
func checkRedirect(next *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("%w: more than %d", ErrRedirectRefused, maxRedirects)
	}
	previous, first := via[len(via)-1].URL, via[0].URL
	if previous.Scheme == "https" && next.URL.Scheme != "https" {
		return fmt.Errorf("%w: from https to %s", ErrRedirectRefused, next.URL.Scheme)
	}
	if next.URL.Host != first.Host {
		next.Header.Del("Authorization")
		next.Header.Del("Cookie")
		if internalAddress(next.URL.Hostname()) && !internalAddress(first.Hostname()) {
			return fmt.Errorf("%w: to the internal address %s", ErrRedirectRefused, next.URL.Hostname())
		}
	}
	return nil
}

// internalAddress reports whether host is a literal of a loopback, private or
// link-local address.
func internalAddress(host string) bool {
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if err != nil {
		return host == "localhost"
	}
	ip = ip.Unmap()
	return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsUnspecified()
}

// retrier repeats reads that failed for a moment: 429 as Retry-After says, 502,
// 503 and 504 and broken connections with a short back-off.
type retrier struct{ inner http.RoundTripper }

func (r *retrier) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method != http.MethodGet && request.Method != http.MethodHead {
		fresh, err := freshBody(request)
		if err != nil {
			return nil, err
		}
		return r.inner.RoundTrip(fresh)
	}
	backoff := firstBackoff
	for attempt := 1; ; attempt++ {
		answer, err := r.inner.RoundTrip(request)
		if attempt == maxAttempts || request.Context().Err() != nil {
			return answer, err
		}
		pause := backoff
		switch {
		case err != nil:
			if errors.Is(err, ErrRedirectRefused) || !brokenConnection(err) {
				return nil, err
			}
		case answer.StatusCode == http.StatusTooManyRequests:
			if pause = retryAfter(answer.Header, backoff); pause > maxRetryAfter {
				return answer, nil
			}
		case answer.StatusCode == http.StatusBadGateway, answer.StatusCode == http.StatusServiceUnavailable, answer.StatusCode == http.StatusGatewayTimeout:
		default:
			return answer, nil
		}
		if deadline, has := request.Context().Deadline(); has && time.Until(deadline) < pause {
			return answer, err
		}
		if answer != nil {
			drain(answer)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-request.Context().Done():
			timer.Stop()
			return nil, request.Context().Err()
		}
		backoff *= 4
	}
}

// freshBody returns the request with its body from the start: the layer above sends
// a write again, after a new token, whose body has been read already.
func freshBody(request *http.Request) (*http.Request, error) {
	if request.GetBody == nil {
		return request, nil
	}
	body, err := request.GetBody()
	if err != nil {
		return nil, fmt.Errorf("sending the body again: %w", err)
	}
	fresh := request.Clone(request.Context())
	fresh.Body = body
	return fresh, nil
}

// brokenConnection reports whether a connection ended before an answer came.
func brokenConnection(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(err.Error(), "connection reset")
}

// retryAfter reads the header's seconds (RFC 9110 section 10.2.3).
func retryAfter(header http.Header, otherwise time.Duration) time.Duration {
	seconds, err := strconv.Atoi(header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return otherwise
	}
	return time.Duration(seconds) * time.Second
}

// drain reads the rest of a short body so that the connection can be reused.
func drain(answer *http.Response) {
	io.CopyN(io.Discard, answer.Body, maxPing)
	answer.Body.Close()
}

var challengeParameter = regexp.MustCompile(`([a-zA-Z_]+)="([^"]*)"`)

// readChallenge reads the first Bearer or Basic challenge (RFC 9110 section 11.6.1).
func readChallenge(into *transport.Challenge, header http.Header) error {
	for _, text := range header.Values("WWW-Authenticate") {
		scheme, parameters, _ := strings.Cut(strings.TrimSpace(text), " ")
		switch strings.ToLower(scheme) {
		case "bearer", "basic":
			into.Scheme = strings.ToLower(scheme)
			into.Parameters = make(map[string]string)
			for _, pair := range challengeParameter.FindAllStringSubmatch(parameters, -1) {
				into.Parameters[strings.ToLower(pair[1])] = pair[2]
			}
			return nil
		}
	}
	return fmt.Errorf("%w: it wants a login of an unknown kind", ErrUnauthorized)
}
