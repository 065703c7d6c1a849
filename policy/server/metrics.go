package server

import (
	"math"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/policy/telemetry"
	"github.com/hallmark-project/hallmark/verify"
)

// Metrics are what a server counts. Safe for concurrent use.
type Metrics struct {
	set       *telemetry.Metrics
	requests  *telemetry.Counter
	decisions *telemetry.Counter
	reviews   *telemetry.Counter
	cached    *telemetry.Counter
	registry  *telemetry.Counter
	limited   *telemetry.Counter
	lostLog   *telemetry.Counter
	exempted  *telemetry.Counter
	reloads   *telemetry.Counter
	duration  *telemetry.Histogram
	inFlight  atomic.Int64
	conns     atomic.Int64
}

// The values of the labels. What is not among them counts as "other".
var (
	codes    = []int{200, 400, 401, 403, 404, 405, 408, 413, 415, 429, 500, 503}
	verdicts = []string{policy.Allow.String(), policy.Deny.String(), policy.Undetermined.String()}
)

// NewMetrics returns the metrics of a program of a version.
func NewMetrics(version string, started time.Time) *Metrics {
	m := &Metrics{set: telemetry.NewMetrics()}
	var codeTexts []string
	for _, code := range codes {
		codeTexts = append(codeTexts, strconv.Itoa(code))
	}
	endpoint := telemetry.Label{Name: "endpoint", Values: endpoints()}
	m.requests = m.set.Counter("hallmark_requests_total", "Requests answered, by endpoint and status code.", endpoint, telemetry.Label{Name: "code", Values: codeTexts})
	m.duration = m.set.Histogram("hallmark_request_duration_seconds", "Time from the end of a request's header to its answer.", endpoint,
		500*time.Microsecond, time.Millisecond, 2*time.Millisecond, 5*time.Millisecond, 10*time.Millisecond, 25*time.Millisecond, 50*time.Millisecond, 100*time.Millisecond,
		250*time.Millisecond, 500*time.Millisecond, time.Second, 2500*time.Millisecond, 5*time.Second, 10*time.Second, 30*time.Second)
	m.reviews = m.set.Counter("hallmark_reviews_total", "Admission reviews, by endpoint and answer.", endpoint, telemetry.Label{Name: "answer", Values: []string{"allowed", "denied"}})
	m.decisions = m.set.Counter("hallmark_decisions_total", "Images judged, by verdict and primary reason.", telemetry.Label{Name: "verdict", Values: verdicts}, telemetry.Label{Name: "reason", Values: reasons()})
	m.exempted = m.set.Counter("hallmark_exempted_reviews_total", "Reviews that an exemption let images pass in.")
	m.cached = m.set.Counter("hallmark_decision_cache_total", "Images judged, by whether the decision was cached.", telemetry.Label{Name: "result", Values: []string{"hit", "miss"}})
	m.registry = m.set.Counter("hallmark_registry_requests_total", "Requests made to registries.")
	m.limited = m.set.Counter("hallmark_refused_requests_total", "Requests refused before any work.", telemetry.Label{Name: "why", Values: []string{"busy", "rate", "body", "certificate"}})
	m.lostLog = m.set.Counter("hallmark_decision_log_lost_total", "Lines of the decision log that could not be written in time.")
	m.reloads = m.set.Counter("hallmark_reloads_total", "Loads of changed files, by what and by result.", telemetry.Label{Name: "what", Values: []string{"policy", "certificate"}}, telemetry.Label{Name: "result", Values: []string{"ok", "refused"}})
	m.set.Gauge("hallmark_requests_in_flight", "Requests that are worked on.", func() float64 { return float64(m.inFlight.Load()) })
	m.set.Gauge("hallmark_connections", "Open connections.", func() float64 { return float64(m.conns.Load()) })
	m.set.Info("hallmark_build_info", "The program's version.", [2]string{"version", version}, [2]string{"goversion", runtime.Version()})
	m.set.Process(started)
	return m
}

// Set is the set of metrics, to add to before a server is made.
func (m *Metrics) Set() *telemetry.Metrics { return m.set }

// OfCache adds what a cache of decisions counts.
func (m *Metrics) OfCache(stats func() gate.CacheStats) {
	for _, one := range []struct {
		name, help string
		value      func(gate.CacheStats) uint64
	}{
		{"hallmark_cache_hits_total", "Looks that a kept decision answered.", func(s gate.CacheStats) uint64 { return s.Hits }},
		{"hallmark_cache_joined_total", "Looks that waited for somebody else's.", func(s gate.CacheStats) uint64 { return s.Joined }},
		{"hallmark_cache_misses_total", "Looks of their own.", func(s gate.CacheStats) uint64 { return s.Misses }},
		{"hallmark_cache_tag_hits_total", "Tags that were not resolved anew.", func(s gate.CacheStats) uint64 { return s.TagHits }},
	} {
		m.set.CounterFunc(one.name, one.help, func() float64 { return float64(one.value(stats())) })
	}
	m.set.Gauge("hallmark_cache_entries", "Kept decisions.", func() float64 { return float64(stats().Entries) })
	m.set.Gauge("hallmark_cache_bytes", "Bytes that kept decisions have, about.", func() float64 { return float64(stats().Bytes) })
}

// ofServer adds what only a server knows.
func (m *Metrics) ofServer(s *Server) {
	m.set.Gauge("hallmark_policy_loaded_timestamp_seconds", "When the policy in force was loaded.", func() float64 {
		return float64(s.options.Live.Current().Loaded().Unix())
	})
	m.set.Gauge("hallmark_policy_refused_timestamp_seconds", "When newer policy files were refused that are still there; absent when the newest are in force.", func() float64 {
		if at := s.options.Live.State().RefusedAt; !at.IsZero() {
			return float64(at.Unix())
		}
		return math.NaN()
	})
	m.set.Gauge("hallmark_namespace_policies", "Namespaces that have a policy of their own.", func() float64 {
		return float64(len(s.options.Live.Current().Namespaces()))
	})
	m.set.Gauge("hallmark_certificate_expiry_timestamp_seconds", "When the server's certificate ends.", func() float64 {
		if s.certificates == nil {
			return math.NaN()
		}
		return float64(s.certificates.until().Unix())
	})
	if t := s.options.Tracer; t != nil {
		m.set.CounterFunc("hallmark_spans_dropped_total", "Spans of traces that were lost.", func() float64 { return float64(t.Dropped()) })
		m.set.CounterFunc("hallmark_spans_sent_total", "Spans of traces that the collector took.", func() float64 { return float64(t.Sent()) })
	}
}

// reasons are the reason codes that a decision can have.
func reasons() []string {
	var all []string
	for _, r := range []verify.Reason{
		"", verify.ReasonSignatureInvalid, verify.ReasonSignatureFormat, verify.ReasonKeyMismatch, verify.ReasonKeyWeak, verify.ReasonKeyExpired,
		verify.ReasonCertificateChain, verify.ReasonCertificateExpired, verify.ReasonCertificateUsage, verify.ReasonIdentityMismatch, verify.ReasonIssuerMismatch,
		verify.ReasonSCTMissing, verify.ReasonSCTInvalid, verify.ReasonLogMissing, verify.ReasonLogMismatch, verify.ReasonLogProof, verify.ReasonTimeMissing,
		verify.ReasonTimeOutside, verify.ReasonPayloadType, verify.ReasonPredicateType, verify.ReasonSubjectMismatch, verify.ReasonSubjectEmpty,
		verify.ReasonStatementMalformed, verify.ReasonThreshold, verify.ReasonDigestMismatch, verify.ReasonSizeMismatch, verify.ReasonMediaType,
		verify.ReasonManifestAmbiguous, verify.ReasonLimitExceeded, verify.ReasonUnsigned, verify.ReasonForeignFormat, verify.ReasonTrustRootInvalid,
		verify.ReasonTrustRootExpired, verify.ReasonTrustRootRollback, verify.ReasonInternal,
		policy.ReasonNoSignature, policy.ReasonNoAttestation, policy.ReasonNoMatch, policy.ReasonPolicyDeny, policy.ReasonNoPlatform, policy.ReasonSBOMHollow,
		policy.ReasonSBOMOtherSubject, policy.ReasonSBOMIncomplete, policy.ReasonSBOMMismatch, policy.ReasonContentUnchecked, policy.ReasonVulnerable,
		policy.ReasonUnreachable, policy.ReasonHostRefused, policy.ReasonUnauthorized, policy.ReasonNoImage, policy.ReasonReference, policy.ReasonRedirectDenied,
		policy.ReasonImageRevoked, policy.ReasonTooOld, policy.ReasonSuperseded,
	} {
		all = append(all, string(r))
	}
	return all
}
