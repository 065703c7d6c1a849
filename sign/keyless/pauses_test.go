package keyless_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hallmark-project/hallmark/sign/keyless"
)

// stub answers every request in memory, as synctest needs it.
type stub func(*http.Request) (*http.Response, error)

func (s stub) RoundTrip(request *http.Request) (*http.Response, error) { return s(request) }

func answer(request *http.Request, status int, header, value string) *http.Response {
	response := &http.Response{
		StatusCode: status, Status: http.StatusText(status), Request: request,
		Header: make(http.Header), Body: io.NopCloser(strings.NewReader("no")),
	}
	response.Header.Set(header, value)
	return response
}

// TestPauses measures, on a clock of its own, how long a service is waited for that never
// does what it should.
func TestPauses(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	base := k.options(t, k.v2())
	for name, row := range map[string]struct {
		answer   stub
		requests int
		least    time.Duration
		most     time.Duration
		is       error
	}{
		"silent": {func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}, 1, 2 * time.Minute, 2 * time.Minute, context.DeadlineExceeded},
		"failing": {func(r *http.Request) (*http.Response, error) {
			return answer(r, http.StatusServiceUnavailable, "X", "Y"), nil
		}, 5, time.Second, 8 * time.Second, keyless.ErrService},
		"later": {func(r *http.Request) (*http.Response, error) {
			return answer(r, http.StatusTooManyRequests, "Retry-After", "5"), nil
		}, 5, 20 * time.Second, 25 * time.Second, keyless.ErrService},
		"much later": {func(r *http.Request) (*http.Response, error) {
			return answer(r, http.StatusTooManyRequests, "Retry-After", "900"), nil
		}, 5, time.Second, 8 * time.Second, keyless.ErrService},
		"before": {func(r *http.Request) (*http.Response, error) {
			return answer(r, http.StatusTooManyRequests, "Retry-After", "-5"), nil
		}, 5, time.Second, 8 * time.Second, keyless.ErrService},
		"slow and failing": {func(r *http.Request) (*http.Response, error) {
			select {
			case <-r.Context().Done():
				return nil, r.Context().Err()
			case <-time.After(50 * time.Second):
			}
			return answer(r, http.StatusBadGateway, "X", "Y"), nil
		}, 3, 2 * time.Minute, 2 * time.Minute, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				options, requests := base, 0
				options.Now = time.Now
				options.Transport = stub(func(r *http.Request) (*http.Response, error) {
					requests++
					return row.answer(r)
				})
				source, err := keyless.New(options)
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				_, err = source.Signer(t.Context())
				took := time.Since(began)
				if !errors.Is(err, row.is) || !errors.Is(err, keyless.ErrService) || !errors.Is(err, keyless.ErrCertificate) {
					t.Errorf("error %v", err)
				}
				if took < row.least || took > row.most {
					t.Errorf("took %v, want %v to %v", took, row.least, row.most)
				}
				if requests != row.requests {
					t.Errorf("%d requests, want %d", requests, row.requests)
				}
			})
		})
	}
}
