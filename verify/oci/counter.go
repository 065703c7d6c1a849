package oci

import (
	"context"
	"net/http"
	"sync/atomic"
)

// counterKey finds the counters of a context.
type counterKey struct{}

// counters are a counter and those of the contexts above.
type counters struct {
	own   *atomic.Int64
	above *counters
}

// WithCounter returns a context under which every HTTP request that a client sends
// is added to n: pings, tokens, repetitions and redirected ones too. The counters of
// the contexts above go on counting.
func WithCounter(ctx context.Context, n *atomic.Int64) context.Context {
	above, _ := ctx.Value(counterKey{}).(*counters)
	return context.WithValue(ctx, counterKey{}, &counters{n, above})
}

// counting counts what it passes on.
type counting struct{ inner http.RoundTripper }

func (c counting) RoundTrip(request *http.Request) (*http.Response, error) {
	if err := request.Context().Err(); err != nil {
		return nil, err // it would not be sent
	}
	all, _ := request.Context().Value(counterKey{}).(*counters)
	for ; all != nil; all = all.above {
		all.own.Add(1)
	}
	return c.inner.RoundTrip(request)
}
