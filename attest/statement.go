// Package attest holds the in-toto data that both sides of Hallmark use: the
// [Statement], the DSSE [Envelope] and its pre-authentication encoding. It is
// pure data: no network, no keys, no clock.
//
//	env, err := attest.ParseEnvelope(raw)       // strict, bounded
//	payload, err := env.Payload()               // the one buffer that was signed
//	st, err := attest.ParseStatement(payload)   // strict statement, free predicate
//	if !st.Names(image) { … }                   // the binding that matters
//
// Reading a statement says nothing about who made it: only package verify does.
package attest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/hallmark-project/hallmark/attest/digest"
)

// Statement types of the in-toto attestation framework.
const (
	StatementTypeV1  = "https://in-toto.io/Statement/v1"   // spec/v1/statement.md
	StatementTypeV01 = "https://in-toto.io/Statement/v0.1" // spec/v0.1.0
	// PayloadType is the DSSE payload type of every in-toto statement.
	PayloadType = "application/vnd.in-toto+json"
)

// Limits on a statement from outside. sigstore-go has the same two for its own
// reading (1024 subjects, 32 digests each).
const (
	MaxStatementBytes = 128 << 20 // a large SBOM is tens of megabytes; more is a mistake
	MaxSubjects       = 1024      // an index of a release has dozens
	MaxDigests        = 32        // algorithms per subject; the specification knows about twenty
)

// Errors of [ParseStatement]. A caller branches on them to name the reason.
var (
	// ErrStatementMalformed: refuse the statement as a whole.
	ErrStatementMalformed = errors.New("malformed in-toto statement")
	// ErrSubjectEmpty: the statement is about nothing, so it proves nothing.
	ErrSubjectEmpty = errors.New("statement names no subject")
	// ErrLimit: more bytes, subjects or depth than any honest statement has.
	ErrLimit = errors.New("limit exceeded")
)

// Statement is one parsed in-toto statement (in-toto attestation framework,
// spec/v1/statement.md). Predicate keeps the exact bytes.
type Statement struct {
	Type          string          `json:"_type"`
	Subject       []Subject       `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate,omitempty"`
}

// Subject is one artifact that a statement is about (spec/v1/resource_descriptor.md).
// Name, URI and the other fields are the signer's words; only Digest binds.
type Subject struct {
	Name             string            `json:"name,omitempty"`
	URI              string            `json:"uri,omitempty"`
	Digest           map[string]string `json:"digest"`
	Content          []byte            `json:"content,omitempty"`
	DownloadLocation string            `json:"downloadLocation,omitempty"`
	MediaType        string            `json:"mediaType,omitempty"`
	Annotations      map[string]any    `json:"annotations,omitempty"`
}

// NewStatement returns a v1 statement of predicateType about the given
// artifact; predicate must be one JSON value.
func NewStatement(name string, subject digest.Digest, predicateType string, predicate []byte) (*Statement, error) {
	if subject.IsZero() {
		return nil, fmt.Errorf("making a statement: %w", ErrSubjectEmpty)
	}
	if predicateType == "" {
		return nil, fmt.Errorf("making a statement: %w: no predicate type", ErrStatementMalformed)
	}
	if err := CheckJSON(predicate); err != nil {
		return nil, fmt.Errorf("making a statement: predicate: %w", err)
	}
	return &Statement{
		Type:          StatementTypeV1,
		Subject:       []Subject{{Name: name, Digest: map[string]string{subject.Algorithm(): subject.Hex()}}},
		PredicateType: predicateType,
		Predicate:     slices.Clone(predicate),
	}, nil
}

// Names reports whether some subject of the statement is exactly d: the digest
// of d's algorithm is present and equal, letter by letter. A subject that names
// d and disagrees with itself is refused when it is parsed.
func (s *Statement) Names(d digest.Digest) bool {
	if d.IsZero() {
		return false
	}
	for _, subject := range s.Subject {
		if subject.Digest[d.Algorithm()] == d.Hex() {
			return true
		}
	}
	return false
}

// Digests returns all well-formed sha256, sha384 and sha512 digests that the
// statement's subjects name, in their order, for messages to people.
func (s *Statement) Digests() []digest.Digest {
	var all []digest.Digest
	for _, subject := range s.Subject {
		for _, algorithm := range []string{"sha256", "sha384", "sha512"} {
			if d, err := digest.Parse(algorithm + ":" + subject.Digest[algorithm]); err == nil {
				all = append(all, d)
			}
		}
	}
	return all
}

// ParseStatement reads one statement strictly: one JSON object without
// duplicate or case-folded duplicate keys at any depth, no unknown field
// outside the predicate, a known _type, at least one subject, and every subject
// with at least one digest whose known algorithms have full-length lower-case
// values. Errors wrap [ErrStatementMalformed], [ErrSubjectEmpty] or [ErrLimit].
func ParseStatement(raw []byte) (*Statement, error) {
	if len(raw) > MaxStatementBytes {
		return nil, fmt.Errorf("parsing a statement of %d bytes: %w (%d)", len(raw), ErrLimit, MaxStatementBytes)
	}
	var wire struct {
		Type          string          `json:"_type"`
		Subject       []*Subject      `json:"subject"`
		PredicateType string          `json:"predicateType"`
		Predicate     json.RawMessage `json:"predicate"`
	}
	if err := decodeStrict(raw, &wire); err != nil {
		return nil, fmt.Errorf("parsing a statement: %w", err)
	}
	if wire.Type != StatementTypeV1 && wire.Type != StatementTypeV01 {
		return nil, fmt.Errorf("parsing a statement: %w: _type is %q", ErrStatementMalformed, shorten(wire.Type))
	}
	if wire.PredicateType == "" {
		return nil, fmt.Errorf("parsing a statement: %w: no predicateType", ErrStatementMalformed)
	}
	if len(wire.Subject) == 0 {
		return nil, fmt.Errorf("parsing a statement: %w", ErrSubjectEmpty)
	}
	if len(wire.Subject) > MaxSubjects {
		return nil, fmt.Errorf("parsing a statement with %d subjects: %w (%d)", len(wire.Subject), ErrLimit, MaxSubjects)
	}
	st := &Statement{Type: wire.Type, PredicateType: wire.PredicateType, Predicate: wire.Predicate}
	for i, subject := range wire.Subject {
		if subject == nil {
			return nil, fmt.Errorf("parsing a statement: %w: subject %d is null", ErrStatementMalformed, i)
		}
		if err := checkDigests(subject.Digest); err != nil {
			return nil, fmt.Errorf("parsing a statement: subject %d: %w", i, err)
		}
		st.Subject = append(st.Subject, *subject)
	}
	return st, nil
}

// checkDigests refuses a digest set that is empty, too large, or has a known
// algorithm with a value that is no digest of it.
func checkDigests(set map[string]string) error {
	if len(set) == 0 {
		return fmt.Errorf("%w: it has no digest", ErrSubjectEmpty)
	}
	if len(set) > MaxDigests {
		return fmt.Errorf("%d digests: %w (%d)", len(set), ErrLimit, MaxDigests)
	}
	for algorithm, value := range set {
		switch algorithm {
		case "sha256", "sha384", "sha512":
			if _, err := digest.Parse(algorithm + ":" + value); err != nil {
				return fmt.Errorf("%w: %w", ErrStatementMalformed, err)
			}
		}
	}
	return nil
}
