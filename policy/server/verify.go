package server

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"regexp"

	"github.com/hallmark-project/hallmark/attest/strictjson"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/policy/live"
	"github.com/hallmark-project/hallmark/policy/report"
)

// maxAsked bounds the images of one question.
const maxAsked = 100

// question is the body of POST /v1/verify.
type question struct {
	Images []string `json:"images"`
	// Platform, such as "linux/arm64", asks for that platform's manifest below an index.
	Platform string `json:"platform,omitempty"`
	// Namespace asks for the namespace's own policy too.
	Namespace string `json:"namespace,omitempty"`
}

var platformText = regexp.MustCompile(`^[a-z0-9]{1,32}/[a-z0-9_]{1,32}(/[a-z0-9.]{1,32})?$`)

// verify answers POST /v1/verify with the JSON report. The status is 200 whatever the
// verdict is: the verdict stands in the report.
func (s *Server) verify(x *exchange) {
	if s.limitedBy(x) {
		return
	}
	body, done, ok := s.begin(x, maxQuestionBytes)
	if !ok {
		return
	}
	defer done()
	var q question
	if err := strictjson.Decode(body, &q); err != nil {
		x.fail(http.StatusBadRequest, "reading the question: "+report.Plain(err.Error()), `send {"images": ["registry.example/app:1.2"]}`)
		return
	}
	switch {
	case len(q.Images) == 0:
		x.fail(http.StatusBadRequest, "no image was named", `send {"images": ["registry.example/app:1.2"]}`)
		return
	case len(q.Images) > maxAsked:
		x.fail(http.StatusBadRequest, fmt.Sprintf("%d images, at most %d are judged in one request", len(q.Images), maxAsked), "")
		return
	case q.Platform != "" && !platformText.MatchString(q.Platform):
		x.fail(http.StatusBadRequest, "the platform is not OS/ARCHITECTURE", `write "linux/arm64", or "linux/arm/v7"`)
		return
	}
	allowed, err := s.allowed(x)
	if err != nil {
		x.fail(http.StatusBadRequest, err.Error(), "")
		return
	}
	ctx, cancel := context.WithDeadline(x.request.Context(), x.began.Add(allowed-reserve(allowed)))
	defer cancel()
	snapshot := s.options.Live.Current()
	targets := make([]gate.Target, len(q.Images))
	for i, image := range q.Images {
		targets[i] = snapshot.Target(image)
	}
	images := s.options.Judge.judge(ctx, snapshot, live.Asking{Namespace: q.Namespace, Platform: q.Platform}, targets)
	r := report.New(snapshot.Policy(), s.options.Now(), images...)
	snapshot.SetAge(r)
	var out bytes.Buffer
	if err := r.WriteJSON(&out); err != nil {
		x.fail(http.StatusInternalServerError, "the report cannot be written", "")
		return
	}
	x.json(http.StatusOK, out.Bytes())
	s.decisions.verification(s.options.Now(), x, &q, r)
}
