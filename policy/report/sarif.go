package report

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/hallmark-project/hallmark/policy"
)

// ruleMet is the SARIF rule of a demand that is met: it has no reason code.
const ruleMet = "DEMAND_MET"

// sarifRunBag is what SARIF has no place for, about the whole run.
type sarifRunBag struct {
	Schema     string         `json:"schema"`
	Verdict    policy.Verdict `json:"verdict"`
	Policy     Policy         `json:"policy"`
	TrustRoots []TrustRoot    `json:"trustRoots,omitempty"`
	Insecure   []string       `json:"insecure,omitempty"`
}

// sarifResultBag is the image without its demands, and the one demand that a result
// is about.
type sarifResultBag struct {
	Image  *Image         `json:"image"`
	Demand *policy.Demand `json:"demand,omitempty"`
}

// WriteSARIF writes the report as SARIF 2.1.0, with one result for each demand on each
// digest of each image, met ones too. version is that of the tool, or "".
//
// A demand that could not be checked is a failure of level warning, and not of kind
// "open": viewers that know only levels would show that as harmless. Properties hold
// the same facts as the JSON of [Schema].
func (r *Report) WriteSARIF(w io.Writer, version string) error {
	s := &sarif{run: sarifRun{
		Tool:        sarifTool{Driver: sarifDriver{Name: "hallmark", Version: Plain(version), Rules: []sarifRule{}}},
		ColumnKind:  "unicodeCodePoints",
		Invocations: []sarifInvocation{{ExecutionSuccessful: r.Verdict != policy.Undetermined, EndTimeUTC: instant(r.Time)}},
		Artifacts:   []sarifArtifact{}, Results: []sarifResult{},
		Properties: &sarifRunBag{Schema: r.Schema, Verdict: r.Verdict, Policy: r.Policy, TrustRoots: r.TrustRoots, Insecure: r.Insecure},
	}, rules: make(map[string]int)}
	for _, weakened := range r.Insecure {
		s.notify("warning", weakened+" was given")
	}
	for _, image := range r.Images {
		s.image(image)
	}
	return WriteJSON(w, sarifLog{Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{s.run}})
}

// sarif collects one run.
type sarif struct {
	run   sarifRun
	rules map[string]int
}

func (s *sarif) notify(level, text string) {
	i := &s.run.Invocations[0]
	i.Notifications = append(i.Notifications, sarifNotification{Level: level, Message: message(text)})
}

func (s *sarif) image(i *Image) {
	artifact := sarifArtifact{Location: sarifURI{URI: imageURI(i.Image)}}
	if !i.Digest.IsZero() {
		// "sha-256" and "sha-512" are the names of 3.24.11.
		artifact.Hashes = map[string]string{strings.Replace(i.Digest.Algorithm(), "sha", "sha-", 1): i.Digest.Hex()}
	}
	at := len(s.run.Artifacts)
	s.run.Artifacts = append(s.run.Artifacts, artifact)
	for _, u := range i.Unseen {
		s.notify("error", fmt.Sprintf("%s: not seen: %s: %s", i.Image, u.Reason, u.Detail))
	}
	for _, warning := range i.Warnings {
		s.notify("note", i.Image+": "+warning)
	}
	bare := *i
	bare.Demands = nil
	if len(i.Demands) == 0 {
		s.add(i, &bare, at, nil)
	}
	for n := range i.Demands {
		s.add(i, &bare, at, &i.Demands[n])
	}
}

// add adds the result of a demand, or of an image without demands.
func (s *sarif) add(i, bare *Image, at int, d *policy.Demand) {
	verdict, reason, logical := i.Verdict, string(i.Reason), i.Image
	if !i.Digest.IsZero() {
		logical = cmp.Or(i.Name, i.Image) + "@" + i.Digest.String()
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s", i.Image, verdictWord(i.Verdict))
	var suppressed []sarifSuppression
	key := []string{cmp.Or(i.Name, i.Image), i.Rule}
	if d != nil {
		verdict, reason = d.Verdict, string(d.Reason)
		key = append(key, d.Name, d.Platform)
		fmt.Fprintf(&text, ": %s %s", d.Name, stateWord(d))
		if on := target(i, d); on != "" {
			text.WriteString(" on " + on)
			logical = cmp.Or(i.Name, i.Image) + "@" + d.Digest.String()
		}
		fmt.Fprintf(&text, ". Wanted: %s. Found: %s.", d.Wanted, d.Found)
		if d.Hint != "" {
			text.WriteString(" To do: " + d.Hint + ".")
		}
		if d.Skipped != nil {
			suppressed = []sarifSuppression{{Kind: "external", Status: "accepted", Justification: Plain(describeSkipped(d.Skipped))}}
		}
	} else {
		if i.Error != "" {
			text.WriteString(": " + i.Error)
		}
		if i.Hint != "" {
			text.WriteString(". To do: " + i.Hint)
		}
	}
	kind, level := "fail", "error"
	switch {
	case verdict == policy.Allow:
		kind, level = "pass", "none"
	case d != nil && d.Alternative:
		kind, level = "informational", "none" // nobody asked for it
	case verdict == policy.Undetermined || i.Warned != nil:
		level = "warning"
	}
	id, index := s.rule(verdict, reason)
	sum := sha256.Sum256([]byte(strings.Join(append(key, id), "\n")))
	s.run.Results = append(s.run.Results, sarifResult{
		RuleID: id, RuleIndex: index, Kind: kind, Level: level, Message: message(text.String()),
		Locations: sarifLocations(i, at, []sarifLogical{{Name: Plain(logical), Kind: "container image"}}),
		// The digest is left out: the next build's refusal is the same one.
		Fingerprints: map[string]string{"hallmark/v1": hex.EncodeToString(sum[:])},
		Suppressions: suppressed,
		Properties:   sarifResultBag{bare, d},
	})
}

// sarifLocations are the places in files that ask for the image, where there are any:
// code hosts show a result at its first one. Otherwise it is the image itself.
func sarifLocations(i *Image, at int, logical []sarifLogical) []sarifLocation {
	if len(i.Locations) == 0 {
		return []sarifLocation{{Physical: sarifPhysical{Artifact: sarifURI{URI: imageURI(i.Image), Index: &at}}, Logical: logical}}
	}
	var all []sarifLocation
	for _, l := range i.Locations[:min(len(i.Locations), maxLocations)] {
		all = append(all, sarifLocation{
			Physical: sarifPhysical{sarifURI{URI: fileURI(l.File)}, &sarifRegion{StartLine: max(l.Line, 1), StartColumn: max(l.Column, 0)}},
			Logical:  logical,
		})
	}
	return all
}

// rule returns the name and place of a reason among the rules.
func (s *sarif) rule(verdict policy.Verdict, reason string) (string, int) {
	id := Plain(cmp.Or(reason, strings.ToUpper(verdict.String())))
	text, help := "refused with "+id, "docs/reasons.md says what it means and what to do."
	if verdict == policy.Allow {
		id, text, help = ruleMet, "what the policy wants was proved", "Nothing needs to be done."
	}
	index, known := s.rules[id]
	if !known {
		index = len(s.run.Tool.Driver.Rules)
		s.rules[id] = index
		s.run.Tool.Driver.Rules = append(s.run.Tool.Driver.Rules, sarifRule{ID: id, ShortDescription: message(text), Help: message(help)})
	}
	return id, index
}

// message makes a text one of SARIF: [text](target) would be a link (3.11.6), and
// {0} a place for an argument (3.11.5).
func message(text string) sarifMessage {
	var b strings.Builder
	var last rune
	for _, c := range plainUpTo(text, maxMessage) {
		if last == ']' && c == '(' || last == '{' && c >= '0' && c <= '9' {
			b.WriteByte(' ')
		}
		b.WriteRune(c)
		last = c
	}
	return sarifMessage{b.String()}
}

// imageURI writes a reference as a relative URI, which code hosts want of a location:
// a colon in the first segment would make a scheme of what stands before it.
func imageURI(reference string) string {
	segments := strings.Split(plainUpTo(reference, maxPlain), "/")
	for i, segment := range segments {
		segments[i] = strings.ReplaceAll(url.PathEscape(segment), ":", "%3A")
	}
	if segments[0] == "" {
		segments[0] = "%2F" // neither an absolute path nor an authority
	}
	return strings.Join(segments, "/")
}
