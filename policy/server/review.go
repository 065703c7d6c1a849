package server

import (
	"context"
	"net/http"

	"github.com/hallmark-project/hallmark/policy/admission"
	"github.com/hallmark-project/hallmark/policy/report"
)

// validate answers POST /validate.
func (s *Server) validate(x *exchange) { s.review(x, s.options.Reviewer.Validate, maxReviewBytes) }

// mutate answers POST /mutate.
func (s *Server) mutate(x *exchange) { s.review(x, s.options.Reviewer.Mutate, maxReviewBytes) }

// provide answers POST /provider (Gatekeeper's external data).
func (s *Server) provide(x *exchange) { s.review(x, s.options.Reviewer.Provide, maxQuestionBytes) }

// review reads a body and passes it to the reviewer, which keeps a part of the time for
// the way back.
func (s *Server) review(x *exchange, answer func(context.Context, []byte) admission.Answer, limit int64) {
	body, done, ok := s.begin(x, limit)
	if !ok {
		return
	}
	defer done()
	allowed, err := s.allowed(x)
	if err != nil {
		x.fail(http.StatusBadRequest, err.Error(), "")
		return
	}
	ctx, cancel := context.WithDeadline(x.request.Context(), x.began.Add(allowed))
	defer cancel()
	a := answer(ctx, body)
	x.json(a.Status, a.Body)
	said := "denied"
	if a.Entry.Allowed {
		said = "allowed"
	}
	s.options.Metrics.reviews.Add(1, x.path, said)
	if a.Entry.Exemption != "" {
		s.options.Metrics.exempted.Add(1)
	}
	x.span.Text("k8s.object.kind", report.Plain(a.Entry.Kind))
	x.span.Text("k8s.namespace.name", report.Plain(a.Entry.Namespace))
	x.span.Text("k8s.object.name", report.Plain(a.Entry.Name))
	x.span.Text("hallmark.answer", said)
	x.span.Number("hallmark.images", int64(len(a.Entry.Images)))
	s.decisions.review(s.options.Now(), x, &a.Entry)
}
