package keyless

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// ErrService: a signing service refused or could not be reached, also after several
// attempts. Nothing was signed or stored.
var ErrService = errors.New("signing service")

const (
	firstWait     = 300 * time.Millisecond
	longestWait   = 8 * time.Second
	maxAttempts   = 5
	maxErrorBytes = 4 << 10 // of a service's answer, for the message
	// maxRequestBytes bounds a request: the largest is an envelope for a Rekor v1.
	maxRequestBytes = maxRekorV1 + 1<<20
)

// steady is the transport to the signing services: every request ends with its
// context, is tried again with growing pauses while the service is overloaded,
// failing or unreachable, and within one budget of time. Redirects are not
// followed: a request carries a token or a signature that is meant for one host.
type steady struct {
	ctx   context.Context
	inner http.RoundTripper
	agent string
}

// RoundTrip implements http.RoundTripper.
func (s *steady) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx := s.ctx
	if err := repeatable(request); err != nil {
		return nil, err
	}
	attempt := func() (*http.Response, error) {
		one := request.Clone(ctx)
		if request.GetBody != nil {
			body, err := request.GetBody()
			if err != nil {
				return nil, backoff.Permanent(err)
			}
			one.Body = body
		}
		one.Header.Set("User-Agent", s.agent)
		response, err := s.inner.RoundTrip(one)
		if err != nil {
			if ctx.Err() != nil {
				return nil, backoff.Permanent(err)
			}
			return nil, err
		}
		if !worthAnother(response.StatusCode) {
			return response, nil
		}
		defer response.Body.Close()
		failure := fmt.Errorf("%s answered %s%s", request.URL.Host, response.Status, said(response.Body))
		if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 && time.Duration(seconds)*time.Second <= longestWait {
			return nil, &backoff.RetryAfterError{Duration: time.Duration(seconds) * time.Second}
		}
		return nil, failure
	}
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = firstWait, longestWait
	var last error
	response, err := backoff.Retry(ctx, func() (*http.Response, error) {
		response, err := attempt()
		var later *backoff.RetryAfterError
		if err != nil && !errors.As(err, &later) {
			last = err
		}
		return response, err
	}, backoff.WithBackOff(pauses), backoff.WithMaxTries(maxAttempts))
	if err != nil {
		var later *backoff.RetryAfterError
		if errors.As(err, &later) {
			err = fmt.Errorf("%s asks to come back later", request.URL.Host)
		}
		if ctx.Err() != nil && last != nil {
			err = fmt.Errorf("%w (%w)", last, ctx.Err())
		}
		return nil, fmt.Errorf("%w: %w", ErrService, err)
	}
	return response, nil
}

// repeatable holds a request's body, so that it can be sent again.
func repeatable(request *http.Request) error {
	if request.Body == nil || request.GetBody != nil {
		return nil
	}
	raw, err := io.ReadAll(io.LimitReader(request.Body, maxRequestBytes+1))
	request.Body.Close()
	switch {
	case err != nil:
		return err
	case len(raw) > maxRequestBytes:
		return fmt.Errorf("%w: a request of more than %d bytes", ErrTooLarge, maxRequestBytes)
	}
	request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil }
	request.ContentLength = int64(len(raw))
	return nil
}

// worthAnother reports whether the same request may be answered differently soon.
func worthAnother(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500 && status != http.StatusNotImplemented
}

// said returns the beginning of a service's answer for a message.
func said(body io.Reader) string {
	raw, err := io.ReadAll(io.LimitReader(body, maxErrorBytes))
	text := strings.TrimSpace(string(raw))
	if err != nil || text == "" {
		return ""
	}
	return ": " + wording.Short(text)
}

// newClient returns a client for one session of requests.
func newClient(ctx context.Context, inner http.RoundTripper, agent string) *http.Client {
	return &http.Client{
		Transport: &steady{ctx: ctx, inner: inner, agent: agent},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
}
