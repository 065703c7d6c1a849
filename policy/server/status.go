package server

import (
	"bytes"
	"net/http"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/admission"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/policy/telemetry"
)

// plain answers with a line of text.
func (x *exchange) plain(code int, text string) {
	x.Header().Set("Content-Type", "text/plain; charset=utf-8")
	x.WriteHeader(code)
	x.Write([]byte(text + "\n")) //nolint:errcheck // the client is gone
}

// healthz says that the process answers at all.
func (s *Server) healthz(x *exchange) { x.plain(http.StatusOK, "ok") }

// readyz says whether reviews should be sent here: policy and certificate are loaded,
// or the server would not have started; the certificate has not ended; and the server
// is not about to stop. A registry that is down makes nobody unready: no replica would
// be better off.
func (s *Server) readyz(x *exchange) {
	switch {
	case s.closing.Load():
		x.plain(http.StatusServiceUnavailable, "shutting down")
	case s.certificates != nil && s.options.Now().After(s.certificates.until()):
		x.plain(http.StatusServiceUnavailable, "the certificate has ended")
	default:
		x.plain(http.StatusOK, "ok")
	}
}

// metrics answers GET /metrics.
func (s *Server) metrics(x *exchange) {
	x.Header().Set("Content-Type", telemetry.ContentType)
	x.WriteHeader(http.StatusOK)
	s.options.Metrics.set.WriteText(x) //nolint:errcheck // the client is gone
}

// policyStatus is the answer of GET /v1/policy.
type policyStatus struct {
	policyEntry
	// Namespaces are the policies of single namespaces, by name.
	Namespaces map[string]policyEntry `json:"namespaces,omitempty"`
	// Exemptions are the ways around the policies, ended ones too.
	Exemptions []exemptionEntry `json:"exemptions,omitempty"`
	LoadedAt   time.Time        `json:"loadedAt"`
	Refused    *refusal         `json:"refused,omitempty"`
	Version    string           `json:"version"`
}

type exemptionEntry struct {
	admission.Exemption
	Ended bool `json:"ended,omitempty"`
}

type policyEntry struct {
	Name       string             `json:"name"`
	Digest     digest.Digest      `json:"digest"`
	TrustRoots []report.TrustRoot `json:"trustRoots,omitempty"`
}

// refusal tells of newer files that are not in force.
type refusal struct {
	At  time.Time `json:"at"`
	Why string    `json:"why"`
}

// policy answers GET /v1/policy. No key, no credential and no path of a secret is in it.
func (s *Server) policy(x *exchange) {
	snapshot, state := s.options.Live.Current(), s.options.Live.State()
	entry := func(p *policy.Policy) policyEntry {
		r := report.New(p, s.options.Now())
		snapshot.SetAge(r)
		return policyEntry{r.Policy.Name, r.Policy.Digest, r.TrustRoots}
	}
	status := policyStatus{policyEntry: entry(snapshot.Policy()), LoadedAt: snapshot.Loaded(), Version: s.options.Version}
	for _, name := range snapshot.Namespaces() {
		if status.Namespaces == nil {
			status.Namespaces = make(map[string]policyEntry)
		}
		status.Namespaces[name] = entry(snapshot.Namespace(name))
	}
	for _, e := range s.options.Exemptions {
		status.Exemptions = append(status.Exemptions, exemptionEntry{e, !s.options.Now().Before(e.Until)})
	}
	if !state.RefusedAt.IsZero() {
		status.Refused = &refusal{state.RefusedAt, report.Plain(strings.ReplaceAll(state.RefusedWhy, "\n", "; "))}
	}
	var out bytes.Buffer
	if err := report.WriteJSON(&out, status); err != nil {
		x.fail(http.StatusInternalServerError, "the status cannot be written", "")
		return
	}
	x.json(http.StatusOK, out.Bytes())
}
