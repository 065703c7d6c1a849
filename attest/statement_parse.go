package attest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/strictjson"
	"github.com/hallmark-project/hallmark/attest/wording"
)

// maxFields bounds the fields of a statement and of a subject, so that a
// document of nothing but unknown fields costs nothing. The specification has
// four and seven.
const maxFields = 16

// maxAnnotations bounds the bytes of one subject's annotations, which become a
// tree of many times their size. They hold a few words.
const maxAnnotations = 64 << 10

// ParseStatement reads one statement strictly (in-toto attestation framework,
// spec/v1/statement.md): one JSON object without duplicate keys at any depth,
// exactly the specified fields outside the predicate, a known _type, at least
// one subject, and every subject with at least one digest. The digests of
// sha256, sha384 and sha512 have full-length lower-case values under exactly
// these names, and no two subjects agree in one of them and differ in another.
// Everything else in a subject is only the signer's words.
//
// The predicate may be any JSON value, or missing; it shares raw's memory, which
// must not change afterwards. Errors wrap [ErrStatementMalformed],
// [ErrSubjectEmpty] or [ErrLimit].
func ParseStatement(raw []byte) (*Statement, error) {
	st, err := parseStatement(raw)
	if err != nil {
		return nil, fmt.Errorf("parsing a statement: %w", err)
	}
	return st, nil
}

func parseStatement(raw []byte) (*Statement, error) {
	if len(raw) > MaxStatementBytes {
		return nil, fmt.Errorf("%d bytes: %w (%d)", len(raw), ErrLimit, MaxStatementBytes)
	}
	if err := CheckJSON(raw); err != nil {
		return nil, err
	}
	fields, err := strictjson.Object(raw, maxFields)
	if err != nil {
		return nil, named(err)
	}
	st := &Statement{}
	var subjects []byte
	for _, f := range fields {
		var err error
		switch f.Key {
		case "_type":
			st.Type, err = strictjson.Text(f.Value)
		case "predicateType":
			st.PredicateType, err = strictjson.Text(f.Value)
		case "predicate":
			st.Predicate = json.RawMessage(f.Value)
		case "subject":
			subjects = f.Value
		default:
			err = fmt.Errorf("%w: unknown field %.60q", strictjson.ErrMalformed, f.Key)
		}
		if err != nil {
			return nil, named(err)
		}
	}
	if st.Type != StatementTypeV1 && st.Type != StatementTypeV01 {
		return nil, fmt.Errorf("%w: _type is %q", ErrStatementMalformed, wording.Short(st.Type))
	}
	if st.PredicateType == "" {
		return nil, fmt.Errorf("%w: no predicateType", ErrStatementMalformed)
	}
	st.Subject, err = parseSubjects(subjects)
	return st, err
}

func parseSubjects(raw []byte) ([]Subject, error) {
	if len(raw) == 0 || strictjson.IsNull(raw) {
		return nil, ErrSubjectEmpty
	}
	items, err := strictjson.Array(raw, MaxSubjects)
	if err != nil {
		return nil, fmt.Errorf("subjects: %w", named(err))
	}
	if len(items) == 0 {
		return nil, ErrSubjectEmpty
	}
	subjects := make([]Subject, len(items))
	for i, item := range items {
		if subjects[i], err = parseSubject(item); err != nil {
			return nil, fmt.Errorf("subject %d: %w", i, err)
		}
	}
	return subjects, checkAgreement(subjects)
}

// parseSubject reads one resource descriptor (spec/v1/resource_descriptor.md).
func parseSubject(raw []byte) (Subject, error) {
	fields, err := strictjson.Object(raw, maxFields)
	if err != nil {
		return Subject{}, named(err)
	}
	var s Subject
	for _, f := range fields {
		var err error
		switch f.Key {
		case "digest":
			s.Digest, err = parseDigests(f.Value)
		case "name":
			s.Name, err = optionalText(f.Value)
		case "uri":
			s.URI, err = optionalText(f.Value)
		case "content":
			var text string
			if text, err = optionalText(f.Value); err == nil {
				s.Content, err = DecodeBase64(text)
			}
		case "downloadLocation":
			s.DownloadLocation, err = optionalText(f.Value)
		case "mediaType":
			s.MediaType, err = optionalText(f.Value)
		case "annotations":
			if len(f.Value) > maxAnnotations {
				return Subject{}, fmt.Errorf("annotations of %d bytes: %w (%d)", len(f.Value), ErrLimit, maxAnnotations)
			}
			err = json.Unmarshal(f.Value, &s.Annotations)
		default:
			err = fmt.Errorf("unknown field %.60q", f.Key)
		}
		switch {
		case err == nil:
		case errors.Is(err, ErrStatementMalformed), errors.Is(err, ErrLimit), errors.Is(err, ErrSubjectEmpty):
			return Subject{}, err
		default:
			return Subject{}, fmt.Errorf("%w: %w", ErrStatementMalformed, err)
		}
	}
	if len(s.Digest) == 0 {
		return Subject{}, fmt.Errorf("%w: it has no digest", ErrSubjectEmpty)
	}
	return s, nil
}

// parseDigests reads a digest set (spec/v1/digest_set.md). A known algorithm
// with a value that is no digest of it is refused, and so is a known algorithm
// in another spelling, which another reader might take for it.
func parseDigests(raw []byte) (map[string]string, error) {
	if strictjson.IsNull(raw) {
		return nil, nil
	}
	fields, err := strictjson.Object(raw, MaxDigests)
	if err != nil {
		return nil, named(err)
	}
	set := make(map[string]string, len(fields))
	for _, f := range fields {
		value, err := strictjson.Text(f.Value)
		if err != nil {
			return nil, named(err)
		}
		for _, algorithm := range knownAlgorithms() {
			if f.Key == algorithm {
				if _, err := digest.Parse(algorithm + ":" + value); err != nil {
					return nil, fmt.Errorf("%w: %w", ErrStatementMalformed, err)
				}
			} else if plain := strings.NewReplacer("-", "", "_", "", " ", "").Replace(f.Key); strings.EqualFold(plain, algorithm) {
				return nil, fmt.Errorf("%w: digest algorithm %.60q, which must be %q", ErrStatementMalformed, f.Key, algorithm)
			}
		}
		set[f.Key] = value
	}
	return set, nil
}

// checkAgreement refuses subjects that share one digest and differ in another:
// at most one of them can exist.
func checkAgreement(subjects []Subject) error {
	type pair struct{ algorithm, value, other string }
	stated := make(map[pair]string)
	for i, s := range subjects {
		for _, algorithm := range knownAlgorithms() {
			value, present := s.Digest[algorithm]
			if !present {
				continue
			}
			for _, other := range knownAlgorithms() {
				second, present := s.Digest[other]
				if !present || other == algorithm {
					continue
				}
				key := pair{algorithm, value, other}
				if before, again := stated[key]; again && before != second {
					return fmt.Errorf("%w: subject %d has the %s digest of an earlier one and another %s digest", ErrStatementMalformed, i, algorithm, other)
				}
				stated[key] = second
			}
		}
	}
	return nil
}

// optionalText reads a text that may be null, which protobuf's JSON mapping
// holds equal to a missing field.
func optionalText(raw []byte) (string, error) {
	if strictjson.IsNull(raw) {
		return "", nil
	}
	return strictjson.Text(raw)
}

// knownAlgorithms are the digest algorithms that bind; see package digest.
func knownAlgorithms() []string { return []string{"sha256", "sha384", "sha512"} }
