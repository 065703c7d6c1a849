package identity

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/attest/strictjson"
)

// decodePart decodes one part of a token (RFC 7515 section 2).
func decodePart(name, part string) ([]byte, error) {
	decoded, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil || strings.ContainsAny(part, "\r\n") {
		return nil, fmt.Errorf("%w: its %s is not base64url", ErrMalformed, name)
	}
	return decoded, nil
}

func objectOf(name, part string) (map[string][]byte, error) {
	decoded, err := decodePart(name, part)
	if err != nil {
		return nil, err
	}
	if err := strictjson.Check(decoded); err != nil {
		return nil, fmt.Errorf("%w: its %s: %w", ErrMalformed, name, withoutText(err))
	}
	fields, err := strictjson.Object(decoded, maxClaims)
	if err != nil {
		return nil, fmt.Errorf("%w: its %s: %w", ErrMalformed, name, withoutText(err))
	}
	object := make(map[string][]byte, len(fields))
	for _, field := range fields {
		object[field.Key] = field.Value
	}
	return object, nil
}

// withoutText keeps what is wrong with a document and drops the words of it that the
// message may quote: a token's claims can be private.
func withoutText(err error) error {
	for _, known := range []error{strictjson.ErrDepth, strictjson.ErrMany, strictjson.ErrMalformed} {
		if errors.Is(err, known) {
			return known
		}
	}
	return strictjson.ErrMalformed
}

// textOf returns a claim that is a string, or "" where there is none.
func textOf(claims map[string][]byte, name string) (string, error) {
	value, found := claims[name]
	if !found {
		return "", nil
	}
	text, err := strictjson.Text(value)
	if err != nil {
		return "", fmt.Errorf("%w: %s is not a string", ErrMalformed, name)
	}
	return text, nil
}

// audiencesOf reads one string or a list of strings (RFC 7519 section 4.1.3).
func audiencesOf(value []byte) ([]string, error) {
	if value == nil {
		return nil, fmt.Errorf("%w: claim aud is missing", ErrMalformed)
	}
	if one, err := strictjson.Text(value); err == nil {
		return []string{one}, nil
	}
	items, err := strictjson.Array(value, maxAudiences)
	if err != nil || len(items) == 0 {
		return nil, fmt.Errorf("%w: aud is neither a string nor a list of 1 to %d strings", ErrMalformed, maxAudiences)
	}
	audiences := make([]string, 0, len(items))
	for _, item := range items {
		audience, err := strictjson.Text(item)
		if err != nil {
			return nil, fmt.Errorf("%w: aud has an item that is not a string", ErrMalformed)
		}
		audiences = append(audiences, audience)
	}
	return audiences, nil
}

// lastSecond is the end of the year 9999, the last that RFC 3339 can write.
const lastSecond = 253402300799

// timeOf reads a NumericDate (RFC 7519 section 2), which may have a fraction.
func timeOf(claims map[string][]byte, name string) (time.Time, error) {
	value, found := claims[name]
	if !found {
		return time.Time{}, fmt.Errorf("%w: claim %s is missing", ErrMalformed, name)
	}
	var seconds float64
	if err := json.Unmarshal(value, &seconds); err != nil || strictjson.IsNull(value) || seconds < 0 || seconds > lastSecond {
		return time.Time{}, fmt.Errorf("%w: %s is not a time", ErrMalformed, name)
	}
	return time.Unix(int64(math.Floor(seconds)), 0).UTC(), nil
}
