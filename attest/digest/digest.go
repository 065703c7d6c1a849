// Package digest holds the content digest that names every artifact in
// Hallmark: a validated algorithm and its hexadecimal value.
//
//	d, err := digest.Parse("sha256:9f86d0…")
//	if err != nil { … }           // wrong length, upper case, path characters
//	if digest.FromBytes(raw) != d { … }
//
// It is the leaf that every other package may import, and it knows nothing of
// registries, signatures or files.
package digest

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"
)

// ErrMalformed is the cause of every error of [Parse]. A caller that reads a
// digest from outside refuses the reference when it sees it.
var ErrMalformed = errors.New("malformed digest")

// Digest is a validated content digest such as "sha256:" and 64 lower-case
// hexadecimal characters (OCI image-spec, descriptor.md, "Digests"). The zero
// value is no digest at all and equals no parsed one. Digests are comparable.
type Digest struct{ text string }

// Parse reads an algorithm and a full-length lower-case hexadecimal value,
// separated by a colon. It accepts sha256, sha384 and sha512 and nothing else,
// so that no digest can ever hold a path, a host or a truncated value. The
// error wraps [ErrMalformed].
func Parse(text string) (Digest, error) {
	algorithm, value, found := strings.Cut(text, ":")
	if !found {
		return Digest{}, fmt.Errorf("%w: %q has no algorithm", ErrMalformed, shorten(text))
	}
	size := hexLength(algorithm)
	if size == 0 {
		return Digest{}, fmt.Errorf("%w: %q is not one of sha256, sha384, sha512", ErrMalformed, shorten(algorithm))
	}
	if len(value) != size {
		return Digest{}, fmt.Errorf("%w: a %s value has %d characters, not %d", ErrMalformed, algorithm, size, len(value))
	}
	for _, c := range []byte(value) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return Digest{}, fmt.Errorf("%w: %q is not lower-case hexadecimal", ErrMalformed, shorten(value))
		}
	}
	return Digest{text}, nil
}

// MustParse is [Parse] for literals in tests and examples; it panics on a
// malformed digest.
func MustParse(text string) Digest {
	d, err := Parse(text)
	if err != nil {
		panic(err)
	}
	return d
}

// FromBytes returns the SHA-256 digest of content.
func FromBytes(content []byte) Digest {
	sum := sha256.Sum256(content)
	return Digest{"sha256:" + hex.EncodeToString(sum[:])}
}

// FromHash returns the digest of everything that was written to h, which must
// be a SHA-256, SHA-384 or SHA-512 hash; any other size gives the zero Digest.
func FromHash(h hash.Hash) Digest {
	algorithm := map[int]string{sha256.Size: "sha256", sha512.Size384: "sha384", sha512.Size: "sha512"}[h.Size()]
	if algorithm == "" {
		return Digest{}
	}
	return Digest{algorithm + ":" + hex.EncodeToString(h.Sum(nil))}
}

// String returns the digest as it stands in references, or "" for the zero value.
func (d Digest) String() string { return d.text }

// IsZero reports whether d is no digest.
func (d Digest) IsZero() bool { return d.text == "" }

// Algorithm returns "sha256", "sha384" or "sha512", or "" for the zero value.
func (d Digest) Algorithm() string {
	algorithm, _, _ := strings.Cut(d.text, ":")
	return algorithm
}

// Hex returns the hexadecimal value without the algorithm.
func (d Digest) Hex() string {
	_, value, _ := strings.Cut(d.text, ":")
	return value
}

// Bytes returns the raw digest value, or nil for the zero value.
func (d Digest) Bytes() []byte {
	raw, err := hex.DecodeString(d.Hex())
	if err != nil || len(raw) == 0 {
		return nil
	}
	return raw
}

// Short returns the algorithm and the first twelve characters, for people.
func (d Digest) Short() string {
	if d.IsZero() {
		return "no digest"
	}
	return d.text[:len(d.Algorithm())+1+12]
}

// New returns a fresh hash of d's algorithm, or nil for the zero value.
func (d Digest) New() hash.Hash {
	switch d.Algorithm() {
	case "sha256":
		return sha256.New()
	case "sha384":
		return sha512.New384()
	case "sha512":
		return sha512.New()
	}
	return nil
}

// Matches reports whether content hashes to d. The zero Digest matches nothing.
func (d Digest) Matches(content []byte) bool {
	h := d.New()
	if h == nil {
		return false
	}
	h.Write(content)
	return FromHash(h) == d
}

// MarshalText returns the digest's text form, so that it stands as a plain
// string in JSON and YAML.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.text), nil }

// UnmarshalText is [Parse]; the empty text is the zero Digest.
func (d *Digest) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*d = Digest{}
		return nil
	}
	parsed, err := Parse(string(text))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}

func hexLength(algorithm string) int {
	switch algorithm {
	case "sha256":
		return 2 * sha256.Size
	case "sha384":
		return 2 * sha512.Size384
	case "sha512":
		return 2 * sha512.Size
	}
	return 0
}

// shorten keeps an untrusted text out of logs beyond a few words.
func shorten(text string) string {
	const limit = 80
	if len(text) > limit {
		return text[:limit] + "…"
	}
	return text
}
