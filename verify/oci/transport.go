package oci

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Retry policy: three attempts in all, and never a wait that the caller's
// deadline does not allow.
const (
	maxAttempts   = 3
	firstBackoff  = 100 * time.Millisecond
	maxRetryAfter = 30 * time.Second
)

// guard refuses requests that would leave TLS or the client's border, whoever
// asked for them.
type guard struct {
	inner     http.RoundTripper
	allowHTTP func(host string) bool
	border    *border
}

func (g *guard) RoundTrip(request *http.Request) (*http.Response, error) {
	if err := g.border.request(request.URL.Host); err != nil {
		return nil, err
	}
	switch request.URL.Scheme {
	case "https":
	case "http":
		if !g.allowHTTP(request.URL.Host) {
			return nil, fmt.Errorf("%w: %s is not reached without TLS", ErrRedirectRefused, short(request.URL.Host))
		}
	default:
		return nil, fmt.Errorf("%w: scheme %q", ErrRedirectRefused, short(request.URL.Scheme))
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
		return fmt.Errorf("%w: from https to %s", ErrRedirectRefused, short(next.URL.Scheme))
	}
	if next.URL.Host != first.Host {
		next.Header.Del("Authorization")
		next.Header.Del("Cookie")
		if InternalAddress(next.URL.Hostname()) && !InternalAddress(first.Hostname()) {
			return fmt.Errorf("%w: to the internal address %s", ErrRedirectRefused, short(next.URL.Hostname()))
		}
	}
	return nil
}

// InternalAddress reports whether host is the literal of an address that is not
// on the public network, or a text that some resolvers take for one. A name that
// resolves to such an address is the network's business. Readers and writers of
// registries refuse to be sent from a public host to such an address.
func InternalAddress(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if err != nil {
		// "127.1", "2130706433" and "0x7f000001" are loopback to inet_aton.
		return host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost") || endsInNumber(host)
	}
	ip = ip.Unmap()
	for _, reserved := range reservedNetworks {
		if reserved.Contains(ip) {
			return true
		}
	}
	return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsUnspecified() || ip.IsMulticast()
}

// reservedNetworks are internal beside what net/netip knows as such.
var reservedNetworks = [...]netip.Prefix{
	netip.MustParsePrefix("100.64.0.0/10"), // RFC 6598, shared by carriers and clouds
	netip.MustParsePrefix("0.0.0.0/8"),     // RFC 1122, this host
	netip.MustParsePrefix("64:ff9b::/96"),  // RFC 6052, an IPv4 address behind a translator
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

// retryAfter reads the header's seconds or date (RFC 9110 section 10.2.3).
func retryAfter(header http.Header, otherwise time.Duration) time.Duration {
	text := header.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil && seconds >= 0 {
		return min(time.Duration(seconds), 24*3600) * time.Second
	}
	if date, err := http.ParseTime(text); err == nil {
		return max(time.Until(date), otherwise)
	}
	return otherwise
}

// drain reads the rest of a short body so that the connection can be reused.
func drain(answer *http.Response) {
	io.CopyN(io.Discard, answer.Body, maxShort)
	answer.Body.Close()
}
