package server

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/hallmark-project/hallmark/policy/admission"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/policy/telemetry"
)

const (
	// maxLogQueue bounds the requests whose lines wait for a slow writer, some
	// megabytes. No request waits for its log: lines that do not fit are lost and
	// counted.
	maxLogQueue = 2048
	// maxLogImages bounds the lines of one request.
	maxLogImages = 500
)

// decisionLog writes a JSON line for each request and each of its images. Untrusted
// texts are harmless in it: see [report.Plain]. Safe for concurrent use; nil writes
// nothing.
type decisionLog struct {
	to    io.Writer
	lost  *telemetry.Counter
	queue chan []byte
	done  chan struct{}
	once  sync.Once
}

func newDecisionLog(to io.Writer, lost *telemetry.Counter) *decisionLog {
	if to == nil {
		return nil
	}
	l := &decisionLog{to: to, lost: lost, queue: make(chan []byte, maxLogQueue), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		for lines := range l.queue {
			if _, err := l.to.Write(lines); err != nil {
				l.lost.Add(uint64(bytes.Count(lines, []byte("\n"))))
			}
		}
	}()
	return l
}

// close writes what waits. Nothing may be logged after it.
func (l *decisionLog) close() {
	if l != nil {
		l.once.Do(func() { close(l.queue) })
		<-l.done
	}
}

// requestLine is what was asked and answered. The order of the fields is that of the
// output.
type requestLine struct {
	Time        time.Time `json:"time"`
	Log         string    `json:"log"` // "request"
	Endpoint    string    `json:"endpoint"`
	UID         string    `json:"uid,omitempty"`
	Trace       string    `json:"trace,omitempty"`
	Operation   string    `json:"operation,omitempty"`
	Group       string    `json:"group,omitempty"`
	Kind        string    `json:"kind,omitempty"`
	SubResource string    `json:"subResource,omitempty"`
	Namespace   string    `json:"namespace,omitempty"`
	Name        string    `json:"name,omitempty"`
	User        string    `json:"user,omitempty"`
	Client      string    `json:"client,omitempty"` // of its certificate
	Remote      string    `json:"remote"`
	DryRun      bool      `json:"dryRun,omitempty"`
	Allowed     bool      `json:"allowed"`
	Verdict     string    `json:"verdict"`
	Reason      string    `json:"reason,omitempty"`
	Exemption   string    `json:"exemption,omitempty"`
	Message     string    `json:"message,omitempty"`
	Images      int       `json:"images"`
	Policy      string    `json:"policy,omitempty"`
	OwnPolicy   string    `json:"namespacePolicy,omitempty"`
	Requests    int64     `json:"registryRequests"`
	Millis      float64   `json:"milliseconds"`
}

// imageLine is one image of a request.
type imageLine struct {
	Time      time.Time `json:"time"`
	Log       string    `json:"log"` // "image"
	UID       string    `json:"uid,omitempty"`
	Trace     string    `json:"trace,omitempty"`
	Namespace string    `json:"namespace,omitempty"`
	Place     string    `json:"place,omitempty"`
	Image     string    `json:"image"`
	Digest    string    `json:"digest,omitempty"`
	Platform  string    `json:"platform,omitempty"`
	Unchanged bool      `json:"unchanged,omitempty"`
	Exemption string    `json:"exemption,omitempty"`
	Verdict   string    `json:"verdict"`
	Reason    string    `json:"reason,omitempty"`
	Rule      string    `json:"rule,omitempty"`
	// Warned is the verdict that a policy which only warns did not enforce.
	Warned   string    `json:"warned,omitempty"`
	Why      []logWhy  `json:"why,omitempty"`
	Evidence []string  `json:"evidence,omitempty"`
	Signers  []string  `json:"signers,omitempty"`
	Until    time.Time `json:"until,omitzero"`
	Cached   bool      `json:"cached"`
	Error    string    `json:"error,omitempty"`
	Policy   string    `json:"policy,omitempty"`
	Own      string    `json:"namespacePolicy,omitempty"`
}

// logWhy is a demand that is not met.
type logWhy struct {
	Demand string `json:"demand"`
	Reason string `json:"reason"`
}

// review logs an admission review, or a question of Gatekeeper's.
func (l *decisionLog) review(at time.Time, x *exchange, e *admission.Entry) {
	if l == nil {
		return
	}
	line := l.request(at, x)
	line.UID, line.Operation, line.Group, line.Kind = report.Plain(e.UID), report.Plain(e.Operation), report.Plain(e.Group), report.Plain(e.Kind)
	line.SubResource, line.Namespace, line.Name, line.User = report.Plain(e.SubResource), report.Plain(e.Namespace), report.Plain(e.Name), report.Plain(e.User)
	line.DryRun, line.Allowed, line.Exemption, line.Message = e.DryRun, e.Allowed, report.Plain(e.Exemption), report.PlainLines(e.Message, "\n")
	line.Verdict, line.Reason, line.Images = e.Verdict.String(), string(e.Reason), len(e.Images)
	lines := []any{line}
	for _, image := range e.Images[:min(len(e.Images), maxLogImages)] {
		one := l.image(&line, image.Result)
		one.Place, one.Image, one.Unchanged, one.Exemption = report.Plain(image.Place), report.Plain(image.Image), image.Unchanged, report.Plain(image.Exemption)
		if image.Result == nil {
			one.Verdict, one.Reason = image.Verdict.String(), string(image.Reason)
		}
		switch { // not judged, so that no verdict is claimed
		case image.Result != nil:
		case image.Unchanged:
			one.Verdict = "unchanged"
		case image.Exemption != "":
			one.Verdict = "exempt"
		}
		lines = append(lines, one)
	}
	l.write(lines)
}

// verification logs a question to /v1/verify.
func (l *decisionLog) verification(at time.Time, x *exchange, q *question, r *report.Report) {
	if l == nil {
		return
	}
	line := l.request(at, x)
	line.Namespace, line.Verdict, line.Images, line.Allowed = report.Plain(q.Namespace), r.Verdict.String(), len(r.Images), r.Verdict.String() == "allow"
	lines := []any{line}
	for _, image := range r.Images {
		lines = append(lines, l.image(&line, image))
	}
	l.write(lines)
}

func (l *decisionLog) request(at time.Time, x *exchange) requestLine {
	line := requestLine{
		Time: at.UTC(), Log: "request", Endpoint: x.path, Trace: x.span.TraceID(), Client: client(x.request), Remote: x.remote,
		Millis: float64(time.Since(x.began).Microseconds()) / 1000,
	}
	x.work.mu.Lock()
	defer x.work.mu.Unlock()
	line.Policy, line.OwnPolicy, line.Requests = text(x.work.policy), text(x.work.own), x.work.requests
	return line
}

func (l *decisionLog) image(of *requestLine, image *report.Image) imageLine {
	line := imageLine{Time: of.Time, Log: "image", UID: of.UID, Trace: of.Trace, Namespace: of.Namespace, Policy: of.Policy, Own: of.OwnPolicy}
	if image == nil {
		return line
	}
	line.Image, line.Digest, line.Platform = report.Plain(image.Image), text(image.Digest), report.Plain(image.Platform)
	line.Verdict, line.Reason, line.Rule = image.Verdict.String(), string(image.Reason), report.Plain(image.Rule)
	line.Until, line.Cached, line.Error = image.Until, image.Cached, report.Plain(image.Error)
	if image.Warned != nil {
		line.Warned = image.Warned.Verdict.String()
	}
	for _, d := range image.Demands {
		if d.Verdict.String() != "allow" {
			line.Why = append(line.Why, logWhy{report.Plain(d.Name), string(d.Reason)})
		}
		for _, a := range d.Tried {
			if !a.Accepted {
				continue
			}
			evidence := text(a.Evidence)
			if evidence == "" {
				evidence = report.Plain(a.Origin)
			}
			if !slices.Contains(line.Evidence, evidence) {
				line.Evidence = append(line.Evidence, evidence)
			}
			if signer := report.Plain(a.Signer); signer != "" && !slices.Contains(line.Signers, signer) {
				line.Signers = append(line.Signers, signer)
			}
		}
	}
	return line
}

// write hands the lines of one request over, in one piece.
func (l *decisionLog) write(lines []any) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	for _, line := range lines {
		if err := encoder.Encode(line); err != nil {
			l.lost.Add(1)
		}
	}
	select {
	case l.queue <- b.Bytes():
	default:
		l.lost.Add(uint64(len(lines)))
	}
}
