package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/hallmark-project/hallmark/policy/admission"
	"github.com/hallmark-project/hallmark/policy/live"
	"github.com/hallmark-project/hallmark/policy/telemetry"
)

// Reviewer answers admission reviews and Gatekeeper's questions; [admission.Reviewer] is
// one. Each method must end by the deadline of its ctx.
type Reviewer interface {
	Validate(ctx context.Context, body []byte) admission.Answer
	Mutate(ctx context.Context, body []byte) admission.Answer
	Provide(ctx context.Context, body []byte) admission.Answer
}

// Options say what is served, and where. Listen, Live and Reviewer are required, and
// TLS unless InsecurePlainHTTP is set.
type Options struct {
	// Listen is the address of the service, such as ":8443".
	Listen string
	// Certificate and Key are PEM files. They are read again when they change.
	Certificate, Key string
	// ClientCA is a PEM file of authorities: every request but those for health must
	// then come with a certificate from one of them. "" asks for none.
	ClientCA string
	// InsecurePlainHTTP serves without TLS. Only loopback addresses are accepted then.
	InsecurePlainHTTP bool
	// HealthListen is an address that serves /healthz, /readyz and /metrics alone and
	// without TLS, for probes and scrapers; "" is none.
	HealthListen string

	// Live has the policies.
	Live *live.Live
	// Reload is how often files are looked at; zero is 5 seconds.
	Reload time.Duration
	// Hangup, when it receives, reloads at once.
	Hangup <-chan struct{}
	// Reviewer answers reviews; its judge should be a [Judge].
	Reviewer Reviewer
	// Judge judges the images of /v1/verify.
	Judge *Judge
	// Exemptions are those of the reviewer, for /v1/policy to show.
	Exemptions []admission.Exemption
	// Mutate serves /mutate; otherwise it is not there.
	Mutate bool
	// Timeout is how long an answer may take when the request does not say; zero is 10
	// seconds.
	Timeout time.Duration

	// MaxConcurrent is how many requests are worked on at a time; zero is 512. More are
	// told to come again, and so is an address that has half of them.
	MaxConcurrent int
	// Rate is how many requests a second one client may make to /v1/verify, and Burst
	// how many at once; zero is 50 and 100. A negative Rate is no limit.
	Rate  float64
	Burst int
	// Drain is how long a shutdown waits before it stops taking connections, so that
	// load balancers notice; zero is no wait.
	Drain time.Duration

	// Metrics are served; nil is a set of the server's own.
	Metrics *Metrics
	// Tracer gets a span for each request; nil traces nothing.
	Tracer *telemetry.Tracer
	// Decisions gets the decision log, in JSON lines; nil writes none.
	Decisions io.Writer
	// Log is told of what happens to the server itself; nil is silent.
	Log *slog.Logger
	// Version names the program.
	Version string
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// check completes the options.
func (o *Options) check() error {
	switch {
	case o.Live == nil || o.Reviewer == nil || o.Judge == nil:
		return errors.New("serving: there is nothing to judge with")
	case o.InsecurePlainHTTP && (o.Certificate != "" || o.Key != "" || o.ClientCA != ""):
		return errors.New("serving: plain HTTP has no certificates")
	case !o.InsecurePlainHTTP && (o.Certificate == "" || o.Key == ""):
		return errors.New("serving: a certificate and its key are needed")
	}
	if o.InsecurePlainHTTP {
		host, _, err := net.SplitHostPort(o.Listen)
		if err != nil {
			return fmt.Errorf("serving: %w", err)
		}
		if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
			return fmt.Errorf("serving: plain HTTP is for loopback addresses such as 127.0.0.1:8080, not %q", o.Listen)
		}
	}
	if o.Reload == 0 {
		o.Reload = defaultReload
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.MaxConcurrent == 0 {
		o.MaxConcurrent = defaultConcurrent
	}
	if o.Rate == 0 {
		o.Rate = defaultRate
	}
	if o.Burst == 0 {
		o.Burst = defaultBurst
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(o.Version, o.Now())
	}
	return nil
}

// Defaults and limits. The comments say why each number.
const (
	defaultReload     = 5 * time.Second  // the kubelet itself needs up to a minute
	defaultTimeout    = 10 * time.Second // the API server's own default for webhooks
	defaultConcurrent = 512              // far more than two cores work on; each holds some kilobytes
	defaultRate       = 50
	defaultBurst      = 100

	minTimeout = time.Second      // what the API server allows
	maxTimeout = 30 * time.Second // for a webhook (timeoutSeconds)
	minReserve = 200 * time.Millisecond
	maxReserve = time.Second

	// maxReviewBytes bounds a review; the reviewer has the same bound.
	maxReviewBytes = admission.DefaultMaxBody
	// maxQuestionBytes bounds /v1/verify and /provider: a hundred names.
	maxQuestionBytes = 256 << 10
	// maxBodies bounds the bytes of all bodies that are held at a time. With reviews of
	// the usual 8 kB this is thousands of them.
	maxBodies = 24 << 20

	// One address can have a third of the bytes, which is two of the largest reviews,
	// half of the requests and a quarter of the connections: who is not an API server
	// shall not lock the API servers out. A client authority keeps others out altogether.
	bodyParts       = 3
	slotParts       = 2
	connectionParts = 4

	readHeaderTimeout = 10 * time.Second // of the TLS handshake too
	readTimeout       = 15 * time.Second
	writeTimeout      = maxTimeout + 5*time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 16 << 10 // the API server sends less than one kilobyte
	maxConnections    = 4096     // each costs some 40 kB
)
