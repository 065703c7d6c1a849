package predicate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/wording"
)

// MaxSummaryBytes bounds a verification summary: a hundred input attestations take
// about 20 kB.
const MaxSummaryBytes = 1 << 20

// maxSummaryItems bounds each list of a summary; what is found about one image has
// fewer pieces.
const maxSummaryItems = 1000

// Results of a verification summary.
const (
	SummaryPassed = "PASSED"
	SummaryFailed = "FAILED"
)

// Summary is a SLSA verification summary (https://slsa.dev/spec/v1.0/verification_summary):
// a verifier's word that it judged an artifact by a policy. Every field is the claim
// of whoever signed the statement.
type Summary struct {
	Verifier     string            // verifier.id, never empty
	Version      map[string]string // verifier.version
	TimeVerified time.Time         // the verifier's word, no trusted time; zero if absent
	Resource     string            // resourceUri, never empty
	PolicyURI    string
	Policy       digest.Digest // policy.digest's sha256; zero if absent
	Inputs       []SummaryInput
	Result       string // [SummaryPassed] or [SummaryFailed]
	Levels       []string
	SLSAVersion  string

	// Hallmark's own extension fields; empty in the summaries of other verifiers.

	// Rule is the rule of the policy that governed the artifact.
	Rule string
	// Roots are the digests of the trust roots that evidence was proved with.
	Roots []digest.Digest
	// Until is the first instant at which the verdict may be another one for the same
	// evidence; zero if never.
	Until time.Time
}

// SummaryInput is one attestation that the verifier looked at.
type SummaryInput struct {
	URI    string
	Digest digest.Digest
}

// summaryJSON is the wire form. The names of extension fields follow SLSA's
// "<vendor>_<field>".
type summaryJSON struct {
	Verifier struct {
		ID      string            `json:"id"`
		Version map[string]string `json:"version,omitempty"`
	} `json:"verifier"`
	TimeVerified string            `json:"timeVerified,omitempty"`
	ResourceURI  string            `json:"resourceUri"`
	Policy       summaryResource   `json:"policy"`
	Inputs       []summaryResource `json:"inputAttestations,omitempty"`
	Result       string            `json:"verificationResult"`
	Levels       []string          `json:"verifiedLevels"`
	SLSAVersion  string            `json:"slsaVersion,omitempty"`
	Rule         string            `json:"hallmark_rule,omitempty"`
	Roots        []summaryResource `json:"hallmark_trustRoots,omitempty"`
	Until        string            `json:"hallmark_until,omitempty"`
}

type summaryResource struct {
	URI    string            `json:"uri,omitempty"`
	Digest map[string]string `json:"digest,omitempty"`
}

// ReadSummary reads a predicate of the type [TypeVSA], strictly: field names count
// as they are written, and what SLSA requires must be there. Unknown fields are
// ignored, as SLSA's parsing rules want. Errors wrap [ErrUnknownType] for any other
// type, else [ErrMalformed].
func ReadSummary(predicateType string, predicate []byte) (Summary, error) {
	if predicateType != TypeVSA {
		return Summary{}, fmt.Errorf("reading a verification summary: %w: %q is not %s", ErrUnknownType, wording.Short(predicateType), TypeVSA)
	}
	if len(predicate) > MaxSummaryBytes {
		return Summary{}, fmt.Errorf("reading a verification summary: %w: %d bytes, at most %d are read", ErrMalformed, len(predicate), MaxSummaryBytes)
	}
	s, err := readSummary(predicate)
	if err != nil {
		return Summary{}, fmt.Errorf("reading a verification summary: %w", err)
	}
	return s, nil
}

func readSummary(predicate []byte) (Summary, error) {
	tree, err := parseObject(predicate)
	if err != nil {
		return Summary{}, err
	}
	if err := tree.exactSummary(); err != nil {
		return Summary{}, err
	}
	var wire summaryJSON
	if err := json.Unmarshal(predicate, &wire); err != nil {
		return Summary{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	s := Summary{
		Verifier: wire.Verifier.ID, Version: wire.Verifier.Version, Resource: wire.ResourceURI, PolicyURI: wire.Policy.URI,
		Result: wire.Result, Levels: wire.Levels, SLSAVersion: wire.SLSAVersion, Rule: wire.Rule,
	}
	switch {
	case !isURI(s.Verifier):
		return Summary{}, fmt.Errorf("%w: verifier.id is %q, and must be a URI", ErrMalformed, wording.Short(s.Verifier))
	case !isURI(s.Resource):
		return Summary{}, fmt.Errorf("%w: resourceUri is %q, and must be a URI", ErrMalformed, wording.Short(s.Resource))
	case s.Result != SummaryPassed && s.Result != SummaryFailed:
		return Summary{}, fmt.Errorf("%w: verificationResult is %q, neither %s nor %s", ErrMalformed, wording.Short(s.Result), SummaryPassed, SummaryFailed)
	case len(s.Levels) > maxSummaryItems || len(wire.Inputs) > maxSummaryItems || len(wire.Roots) > maxSummaryItems:
		return Summary{}, fmt.Errorf("%w: a list of more than %d entries", ErrMalformed, maxSummaryItems)
	}
	if s.Policy, err = wire.Policy.sha256(); err != nil {
		return Summary{}, err
	}
	for _, one := range wire.Inputs {
		d, err := one.sha256()
		if err != nil {
			return Summary{}, err
		}
		s.Inputs = append(s.Inputs, SummaryInput{one.URI, d})
	}
	for _, one := range wire.Roots {
		d, err := one.sha256()
		if err != nil {
			return Summary{}, err
		}
		s.Roots = append(s.Roots, d)
	}
	if s.TimeVerified, err = summaryTime("timeVerified", wire.TimeVerified); err != nil {
		return Summary{}, err
	}
	s.Until, err = summaryTime("hallmark_until", wire.Until)
	return s, err
}

// exactSummary refuses fields whose names another parser would take for known ones.
func (o object) exactSummary() error {
	if err := o.exact("verifier", "timeVerified", "resourceUri", "policy", "inputAttestations", "verificationResult", "verifiedLevels", "dependencyLevels", "slsaVersion"); err != nil {
		return err
	}
	for key := range o {
		if fold := strings.ToLower(key); strings.HasPrefix(fold, "hallmark_") && key != "hallmark_rule" && key != "hallmark_trustRoots" && key != "hallmark_until" {
			return fmt.Errorf("%w: field %q", ErrMalformed, wording.Short(key))
		}
	}
	for name, fields := range map[string][]string{"verifier": {"id", "version"}, "policy": {"uri", "digest"}} {
		inner, err := o.object(name)
		if err != nil {
			return err
		}
		if err := inner.exact(fields...); err != nil {
			return err
		}
	}
	return nil
}

func (r summaryResource) sha256() (digest.Digest, error) {
	value, found := r.Digest["sha256"]
	if !found {
		return digest.Digest{}, nil
	}
	d, err := digest.Parse("sha256:" + value)
	if err != nil {
		return digest.Digest{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return d, nil
}

func summaryTime(field, value string) (time.Time, error) {
	if value == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: %s is %q, which is no time", ErrMalformed, field, wording.Short(value))
	}
	return at.UTC(), nil
}

// Predicate returns the summary as it is signed. Reading it gives the same summary.
func (s Summary) Predicate() ([]byte, error) {
	wire := summaryJSON{ResourceURI: s.Resource, Result: s.Result, Levels: s.Levels, SLSAVersion: s.SLSAVersion, Rule: s.Rule}
	wire.Verifier.ID, wire.Verifier.Version = s.Verifier, s.Version
	wire.Policy = resourceOf(s.PolicyURI, s.Policy)
	for _, one := range s.Inputs {
		wire.Inputs = append(wire.Inputs, resourceOf(one.URI, one.Digest))
	}
	for _, one := range s.Roots {
		wire.Roots = append(wire.Roots, resourceOf("", one))
	}
	if !s.TimeVerified.IsZero() {
		wire.TimeVerified = s.TimeVerified.UTC().Format(time.RFC3339)
	}
	if !s.Until.IsZero() {
		wire.Until = s.Until.UTC().Format(time.RFC3339)
	}
	if wire.Levels == nil {
		wire.Levels = []string{}
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(wire); err != nil {
		return nil, fmt.Errorf("writing a verification summary: %w", err)
	}
	if _, err := ReadSummary(TypeVSA, out.Bytes()); err != nil {
		return nil, fmt.Errorf("writing a verification summary: %w", err)
	}
	return bytes.TrimSpace(out.Bytes()), nil
}

func resourceOf(uri string, d digest.Digest) summaryResource {
	r := summaryResource{URI: uri}
	if !d.IsZero() {
		r.Digest = map[string]string{"sha256": d.Hex()}
	}
	return r
}
