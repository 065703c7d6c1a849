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

var (
	// ErrService: a signing service could not be reached or failed, also after several
	// attempts. Nothing was signed or stored; try again later.
	ErrService = errors.New("signing service")
	// ErrRefused: a signing service answered that it will not do what it was asked, and
	// will say the same again. Nothing was signed or stored.
	ErrRefused = errors.New("signing service refused")
)

const (
	firstWait     = 300 * time.Millisecond
	longestWait   = 8 * time.Second
	maxAttempts   = 5
	maxErrorBytes = 4 << 10 // of a service's answer, for the message
	// maxRequestBytes bounds a request: the largest is an envelope for a Rekor v1.
	maxRequestBytes = maxRekorV1 + 1<<20
	// maxAnswerBytes bounds an answer: the largest is a tile of 256 log entries, which
	// have two bytes for their length (C2SP tlog-tiles).
	maxAnswerBytes = 256 * (2 + 1<<16)
)

// steady is the transport to the signing services: every request ends with its
// context, is tried again with growing pauses while the service is overloaded,
// failing or unreachable, and within one budget of time. Redirects are not
// followed: a request carries a token or a signature that is meant for one host.
type steady struct {
	ctx   context.Context
	inner http.RoundTripper
	agent string
	first time.Duration // the first pause
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
		if err == nil {
			err = held(response)
		}
		switch {
		case err != nil && (ctx.Err() != nil || errors.Is(err, errHuge)):
			return nil, backoff.Permanent(err)
		case err != nil:
			return nil, err
		case final(request, response.StatusCode):
			return response, nil
		}
		failure := refusal(request, response)
		if !worthAnother(response.StatusCode) {
			return nil, backoff.Permanent(fmt.Errorf("%w: %w", ErrRefused, failure))
		}
		if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 && time.Duration(seconds)*time.Second <= longestWait {
			return nil, &backoff.RetryAfterError{Duration: time.Duration(seconds) * time.Second}
		}
		return nil, failure
	}
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = s.first, longestWait
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
		if errors.Is(err, ErrRefused) {
			return nil, err
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

// errHuge: a service answers with more than any answer has.
var errHuge = fmt.Errorf("an answer of more than %d bytes", maxAnswerBytes)

// held reads an answer to its end, so that an answer that breaks off is asked for again,
// no client reads more than the bound, and none leaves a connection open.
func held(response *http.Response) error {
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes+1))
	switch {
	case err != nil:
		return fmt.Errorf("reading the answer of %s: %w", response.Request.URL.Host, err)
	case len(raw) > maxAnswerBytes:
		return fmt.Errorf("reading the answer of %s: %w", response.Request.URL.Host, errHuge)
	}
	response.Body = io.NopCloser(bytes.NewReader(raw))
	return nil
}

// final reports whether an answer is for the client to read: a success, a log's word that
// it has an equal entry, and that there is no such part of a log.
func final(request *http.Request, status int) bool {
	return status/100 == 2 || status == http.StatusConflict || status == http.StatusNotFound && request.Method == http.MethodGet
}

// refusal is the error of an answer that is none of these. It quotes the service, but not
// what the service was shown.
func refusal(request *http.Request, response *http.Response) error {
	if response.StatusCode/100 == 3 {
		return fmt.Errorf("%s answered %s; redirects are not followed, name the service's own address", request.URL.Host, response.Status)
	}
	var shown []string
	if _, token, found := strings.Cut(request.Header.Get("Authorization"), " "); found {
		shown = strings.Split(token, ".")
	}
	return fmt.Errorf("%s answered %s%s", request.URL.Host, response.Status, said(response.Body, shown...))
}

// worthAnother reports whether the same request may be answered differently soon.
func worthAnother(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500 && status != http.StatusNotImplemented
}

// said returns the beginning of a service's answer for a message, or nothing if the
// answer repeats a part of what it must not.
func said(body io.Reader, secrets ...string) string {
	raw, err := io.ReadAll(io.LimitReader(body, maxErrorBytes))
	text := strings.TrimSpace(string(raw))
	if err != nil || text == "" {
		return ""
	}
	for _, secret := range secrets {
		if secret != "" && strings.Contains(text, secret) {
			return ": (what it was shown)"
		}
	}
	return ": " + wording.Short(text)
}

// steady returns the transport of the requests that end with the context.
func (s *Source) steady(ctx context.Context) *steady {
	return &steady{ctx: ctx, inner: s.options.Transport, agent: s.options.UserAgent, first: s.firstWait}
}
