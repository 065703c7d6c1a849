package admission

import (
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/verify"
)

// Limits of what a user is told. An event of Kubernetes cuts at 1 kB, a terminal
// shows some dozens of lines.
const (
	maxMessage  = 2000
	maxRefused  = 10
	maxImage    = 160
	maxWhy      = 240
	maxHint     = 200
	maxWarnings = 5
	// maxWarning is the length that the API asks for.
	maxWarning = 120
	// maxAudit bounds one audit annotation.
	maxAudit = 1000
)

// message says which images are refused, one line each, what was denied first.
func message(spots []spot, refused int, ended []*Exemption) string {
	var b strings.Builder
	denied := count(spots, func(s *spot) bool { return s.verdict == policy.Deny })
	switch noun := plural(len(spots), "image"); {
	case denied == 0:
		them := "them"
		if refused == 1 {
			them = "it"
		}
		fmt.Fprintf(&b, "%d of %s could not be checked, which is no finding against %s; nothing unchecked is admitted:", refused, noun, them)
	case denied == refused:
		fmt.Fprintf(&b, "%d of %s denied by the trust policy:", denied, noun)
	default:
		fmt.Fprintf(&b, "%d of %s denied by the trust policy, %d could not be checked:", denied, noun, refused-denied)
	}
	written := 0
	for _, verdict := range []policy.Verdict{policy.Deny, policy.Undetermined} {
		for i := range spots {
			s := &spots[i]
			if s.verdict != verdict {
				continue
			}
			text := s.line()
			if written == maxRefused || b.Len()+len(text) > maxMessage-200 {
				fmt.Fprintf(&b, "\n  and %d more", refused-written)
				return b.String()
			}
			b.WriteString("\n  " + text)
			written++
		}
	}
	for _, e := range ended {
		if b.Len() < maxMessage-200 {
			fmt.Fprintf(&b, "\n  exemption %q for this namespace ended on %s", clip(e.Name, 60), e.Until.UTC().Format(time.DateOnly))
			break
		}
	}
	return b.String()
}

// line is one refused place.
func (s *spot) line() string {
	text := fmt.Sprintf("%s: %s: %s", clip(s.place.Path, maxImage), clip(s.place.Image, maxImage), s.short())
	if s.why != "" {
		text += ": " + clip(s.why, maxWhy)
	}
	if s.hint != "" {
		text += "; to do: " + clip(s.hint, maxHint)
	}
	return text
}

// short is the verdict with its reason.
func (s *spot) short() string {
	word := "denied"
	if s.verdict != policy.Deny {
		word = "could not check"
	}
	if s.reason == "" {
		return word
	}
	return word + ", " + clip(string(s.reason), 40)
}

// refusal says why a review as a whole is refused.
func refusal(reason verify.Reason, err error) string {
	hint := ""
	switch reason {
	case ReasonUnknownKind:
		hint = "; to do: name the paths of its images in the server's configuration, or take the kind out of the webhook's rules"
	case verify.ReasonInternal:
		hint = "; to do: this is a bug of Hallmark's; please report it"
	}
	return fmt.Sprintf("the object could not be read, %s: %s%s", reason, clip(err.Error(), 400), hint)
}

// forbidden is the status of a refusal. "Could not check" has the same code, since a
// 5xx of the API server itself would make load balancers take it for broken.
func forbidden(message string, all []cause) *status {
	s := &status{Status: "Failure", Message: message, Reason: "Forbidden", Code: http.StatusForbidden}
	if len(all) > 0 {
		s.Details = &details{Causes: all}
	}
	return s
}

func causes(spots []spot) []cause {
	var all []cause
	for i := range spots {
		if s := &spots[i]; s.verdict != policy.Allow && len(all) < maxRefused {
			all = append(all, cause{Reason: string(s.reason), Message: s.short() + ": " + clip(s.place.Image, maxImage), Field: clip(s.place.Path, maxImage)})
		}
	}
	return all
}

// warnings tell the user what was let pass.
func warnings(spots []spot, allowed bool) []string {
	var all []string
	add := func(s *spot, format string, args ...any) {
		all = append(all, clip(fmt.Sprintf("%s: %s", s.place.Path, fmt.Sprintf(format, args...)), maxWarning))
	}
	for i := range spots {
		s := &spots[i]
		switch {
		case s.exemption != nil:
			add(s, "not verified: exemption %q until %s: %s", s.exemption.Name, s.exemption.Until.UTC().Format(time.DateOnly), s.exemption.Reason)
		case s.verdict == policy.Undetermined && allowed:
			add(s, "admitted unchecked: %s", s.short())
		case s.result == nil || s.verdict != policy.Allow:
		default:
			if w := s.result.Warned; w != nil {
				add(s, "would be refused (%s); the policy only warns", w.Reason)
			}
			for j := range s.result.Demands {
				if d := &s.result.Demands[j]; d.Skipped != nil {
					add(s, "exception until %s: %s", d.Skipped.Expires.UTC().Format(time.DateOnly), d.Skipped.Reason)
				}
			}
			for _, w := range s.result.Warnings {
				add(s, "%s", w)
			}
		}
	}
	if more := len(all) - maxWarnings; more > 0 {
		all = append(all[:maxWarnings], fmt.Sprintf("and %s more", plural(more, "warning")))
	}
	return all
}

// audit is what the API server's audit log gets.
func (r *Reviewer) audit(q *request, verdict policy.Verdict, spots []spot) map[string]string {
	all := map[string]string{"verdict": verdict.String()}
	if r.options.Policy != nil {
		if text := r.options.Policy(q.namespace); text != "" {
			all["policy"] = clip(text, maxAudit)
		}
	}
	var digests, exempt strings.Builder
	for i := range spots {
		s := &spots[i]
		if s.exemption != nil && exempt.Len() < maxAudit {
			fmt.Fprintf(&exempt, "%s=%s ", s.place.Path, s.exemption.Name)
		}
		if s.result != nil && !s.result.Digest.IsZero() && digests.Len() < maxAudit {
			digests.WriteString(s.place.Path + "=" + s.result.Digest.String() + " ")
		}
	}
	if digests.Len() > 0 {
		all["digests"] = clip(strings.TrimSpace(digests.String()), maxAudit)
	}
	if exempt.Len() > 0 {
		all["exempt"] = clip(strings.TrimSpace(exempt.String()), maxAudit)
	}
	return all
}

// clip makes a text harmless and at most so many bytes long.
func clip(text string, limit int) string {
	if len(text) > 4*limit {
		text = text[:4*limit]
	}
	text = report.Plain(text)
	if len(text) <= limit {
		return text
	}
	cut := limit - len("…")
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
