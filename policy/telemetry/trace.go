package telemetry

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Kind is what a span is of (OTLP, Span.SpanKind).
type Kind int

// The kinds of spans that a server has.
const (
	Internal Kind = 1
	Server   Kind = 2
)

// TraceOptions say where traces go.
type TraceOptions struct {
	// Endpoint is the URL that batches are posted to, such as
	// http://collector:4318/v1/traces.
	Endpoint string
	// Headers are sent with each batch, for collectors that want a key.
	Headers map[string]string
	// Service and Version name the program.
	Service, Version string
	// Attributes are more about the program, such as its namespace.
	Attributes map[string]string
	// Ratio is the part of the traces that is kept when the caller has no say; zero is
	// all of them.
	Ratio float64
	// Client sends; nil is one with its own timeout.
	Client *http.Client
	// Every is how often a batch is sent; zero is 5 seconds.
	Every time.Duration
	// Failed is told why a batch was lost, from another goroutine; nil asks for nothing.
	Failed func(error)
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Tracer makes spans and sends them in batches. A nil Tracer makes spans that go
// nowhere. Safe for concurrent use.
type Tracer struct {
	options TraceOptions
	queue   chan *Span
	dropped atomic.Uint64
	sent    atomic.Uint64
	closing sync.Once
	stop    chan struct{}
	stopped chan struct{}
}

const (
	// maxQueue bounds the spans that wait: some megabytes. What does not fit is lost and
	// counted; a request never waits for a collector.
	maxQueue = 4096
	// maxBatch is the number of spans in one post.
	maxBatch = 512
	// maxSpanAttributes and maxAttribute bound what one span says.
	maxSpanAttributes = 32
	maxAttribute      = 512
)

// NewTracer starts sending. Close it.
func NewTracer(o TraceOptions) *Tracer {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Every == 0 {
		o.Every = 5 * time.Second
	}
	if o.Client == nil {
		// A collector elsewhere must not get the headers that are for this one.
		noRedirect := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		o.Client = &http.Client{Timeout: 10 * time.Second, CheckRedirect: noRedirect}
	}
	if o.Ratio <= 0 || o.Ratio > 1 {
		o.Ratio = 1
	}
	t := &Tracer{options: o, queue: make(chan *Span, maxQueue), stop: make(chan struct{}), stopped: make(chan struct{})}
	go t.run()
	return t
}

// Dropped is the number of spans that were lost, Sent of those that a collector took.
func (t *Tracer) Dropped() uint64 {
	if t == nil {
		return 0
	}
	return t.dropped.Load()
}

// Sent is the number of spans that a collector took.
func (t *Tracer) Sent() uint64 {
	if t == nil {
		return 0
	}
	return t.sent.Load()
}

// Close sends what waits, for as long as ctx allows, and ends.
func (t *Tracer) Close(ctx context.Context) {
	if t == nil {
		return
	}
	t.closing.Do(func() { close(t.stop) })
	select {
	case <-t.stopped:
	case <-ctx.Done():
	}
}

// Span is one piece of work. A nil Span does nothing. One goroutine at a time may use
// it.
type Span struct {
	tracer     *Tracer
	name       string
	kind       Kind
	trace      [16]byte
	id, parent [8]byte
	start, end time.Time
	attributes []attribute
	failed     string
}

type attribute struct {
	key  string
	text string
	num  int64
	kind byte // 's', 'i' or 'b'
}

type spanKey struct{}

// Remote returns ctx with the caller's span, from the header traceparent of a request.
func (t *Tracer) Remote(ctx context.Context, header http.Header) context.Context {
	if t == nil {
		return ctx
	}
	if p, ok := parseParent(header.Get("Traceparent")); ok {
		return context.WithValue(ctx, spanKey{}, p)
	}
	return ctx
}

// Start begins a span below the one in ctx, and returns ctx with it. The span is nil
// where the trace is not kept.
func (t *Tracer) Start(ctx context.Context, name string, kind Kind) (context.Context, *Span) {
	if t == nil {
		return ctx, nil
	}
	p, below := ctx.Value(spanKey{}).(parent)
	if !below {
		binary.BigEndian.PutUint64(p.trace[:8], rand.Uint64())
		random := rand.Uint64()
		binary.BigEndian.PutUint64(p.trace[8:], random)
		p.sampled = float64(random>>1) < t.options.Ratio*float64(math.MaxInt64)
	}
	if !p.sampled {
		if !below {
			ctx = context.WithValue(ctx, spanKey{}, p)
		}
		return ctx, nil
	}
	s := &Span{tracer: t, name: name, kind: kind, trace: p.trace, parent: p.span, start: t.options.Now()}
	binary.BigEndian.PutUint64(s.id[:], rand.Uint64()|1) // never all zero
	return context.WithValue(ctx, spanKey{}, parent{s.trace, s.id, true}), s
}

// Traced reports whether spans below ctx are kept.
func Traced(ctx context.Context) bool {
	p, below := ctx.Value(spanKey{}).(parent)
	return below && p.sampled
}

// TraceID is the trace's name in hexadecimal; "" of a nil Span.
func (s *Span) TraceID() string {
	if s == nil {
		return ""
	}
	return hex.EncodeToString(s.trace[:])
}

// Text says something about the span.
func (s *Span) Text(key, value string) {
	if len(value) > maxAttribute {
		value = value[:maxAttribute]
	}
	s.add(attribute{key: key, text: value, kind: 's'})
}

// Number says a number about the span.
func (s *Span) Number(key string, value int64) { s.add(attribute{key: key, num: value, kind: 'i'}) }

func (s *Span) add(a attribute) {
	if s != nil && len(s.attributes) < maxSpanAttributes {
		s.attributes = append(s.attributes, a)
	}
}

// Fail marks the span as failed.
func (s *Span) Fail(why string) {
	if s != nil {
		s.failed = why
	}
}

// End ends the span and hands it over. It must not be used any more.
func (s *Span) End() {
	if s == nil {
		return
	}
	s.end = s.tracer.options.Now()
	select {
	case s.tracer.queue <- s:
	default:
		s.tracer.dropped.Add(1)
	}
}
