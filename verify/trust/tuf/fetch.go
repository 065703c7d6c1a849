package tuf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

const (
	maxFileBytes   = 16 << 20         // targets.json of the largest known repository has 5 MB
	requestTimeout = 30 * time.Second // for one file
	attempts       = 3
	firstWait      = 200 * time.Millisecond // doubles
	maxRequests    = 1000                   // 256 root rotations, roles and targets, and tries
)

var errRedirect = errors.New("the mirror redirects")

// fetcher gets files of one mirror. It sends no credentials, follows no redirect
// to another host, and retries what may pass. It is not safe for concurrent use.
type fetcher struct {
	ctx      context.Context //nolint:containedctx // the engine's interface has no place for it
	client   *http.Client
	requests int
}

func newFetcher(ctx context.Context, transport http.RoundTripper) *fetcher {
	return &fetcher{ctx: ctx, client: &http.Client{
		Transport: transport,
		Timeout:   requestTimeout,
		CheckRedirect: func(next *http.Request, before []*http.Request) error {
			if next.URL.Host != before[0].URL.Host || next.URL.Scheme != before[0].URL.Scheme {
				return fmt.Errorf("%w to %s://%s", errRedirect, next.URL.Scheme, next.URL.Host)
			}
			if len(before) > 5 {
				return fmt.Errorf("%w without end", errRedirect)
			}
			return nil
		},
	}}
}

// checkMirror accepts an http or https URL without credentials and query.
func checkMirror(mirror string) error {
	u, err := url.Parse(mirror)
	if err != nil {
		return errors.New("the mirror's URL cannot be read")
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http", u.Host == "":
		return fmt.Errorf("the mirror %q is no http or https URL", u.Redacted())
	case u.User != nil:
		return fmt.Errorf("the mirror %q has credentials in it, and mirrors get none", u.Redacted())
	case u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("the mirror %q has a query or a fragment", u.Redacted())
	}
	return nil
}

// DownloadFile implements the engine's fetcher.Fetcher.
func (f *fetcher) DownloadFile(from string, limit int64, _ time.Duration) ([]byte, error) {
	if limit < 0 || limit > maxFileBytes {
		return nil, &metadata.ErrDownloadLengthMismatch{Msg: fmt.Sprintf("%s announces %d bytes; %d are allowed", from, limit, int64(maxFileBytes))}
	}
	wait := firstWait
	for attempt := 1; ; attempt++ {
		body, err := f.get(from, limit)
		if err == nil || attempt == attempts || !transient(err) {
			return body, err
		}
		select {
		case <-f.ctx.Done():
			return nil, fmt.Errorf("%w: %w", ErrUnreachable, f.ctx.Err())
		case <-time.After(wait):
			wait *= 2
		}
	}
}

func (f *fetcher) get(from string, limit int64) ([]byte, error) {
	if f.requests++; f.requests > maxRequests {
		return nil, &metadata.ErrDownload{Msg: fmt.Sprintf("more than %d requests", maxRequests)}
	}
	request, err := http.NewRequestWithContext(f.ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, &metadata.ErrDownload{Msg: err.Error()}
	}
	request.Header.Set("User-Agent", "hallmark")
	response, err := f.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	defer response.Body.Close() //nolint:errcheck // only read from
	if response.StatusCode != http.StatusOK {
		return nil, &metadata.ErrDownloadHTTP{StatusCode: response.StatusCode, URL: from}
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	if int64(len(body)) > limit {
		return nil, &metadata.ErrDownloadLengthMismatch{Msg: fmt.Sprintf("%s has more than %d bytes", from, limit)}
	}
	return body, nil
}

func transient(err error) bool {
	var status *metadata.ErrDownloadHTTP
	if errors.As(err, &status) {
		return status.StatusCode == http.StatusTooManyRequests || status.StatusCode >= 500
	}
	var network *url.Error
	return errors.As(err, &network) && !errors.Is(err, errRedirect) && !errors.Is(err, context.Canceled)
}
