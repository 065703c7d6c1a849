// Package attest holds the in-toto data that both sides of Hallmark use: the
// [Statement], the DSSE [Envelope] and its pre-authentication encoding. It is
// pure data: no network, no keys, no clock.
//
//	env, err := attest.ParseEnvelope(raw)           // strict, bounded
//	st, err := attest.ParseStatement(env.Payload)   // the one buffer that was signed
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
	maxStatementFrame = 64 << 10  // what stands around the predicate of a statement of our own
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
	if len(predicate) > MaxStatementBytes-maxStatementFrame {
		return nil, fmt.Errorf("making a statement: predicate of %d bytes: %w (%d)", len(predicate), ErrLimit, MaxStatementBytes-maxStatementFrame)
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
// of d's algorithm is present and equal, letter by letter. That the subject's
// digests of other algorithms are d's content too cannot be seen from d; see
// [Statement.NamesAll].
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

// NamesAll reports whether some subject is the artifact that has all the given
// digests: it names at least one of them, and disagrees with none of them whose
// algorithm it has. No digest, or a zero one, is named by nothing. A caller that
// has the artifact's content computes every algorithm and asks this; a registry
// gives one digest, for which this is [Statement.Names].
func (s *Statement) NamesAll(digests ...digest.Digest) bool {
	for _, d := range digests {
		if d.IsZero() {
			return false
		}
	}
	for _, subject := range s.Subject {
		named, refuted := false, false
		for _, d := range digests {
			value, present := subject.Digest[d.Algorithm()]
			named = named || present && value == d.Hex()
			refuted = refuted || present && value != d.Hex()
		}
		if named && !refuted {
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
		for _, algorithm := range knownAlgorithms() {
			if d, err := digest.Parse(algorithm + ":" + subject.Digest[algorithm]); err == nil {
				all = append(all, d)
			}
		}
	}
	return all
}
