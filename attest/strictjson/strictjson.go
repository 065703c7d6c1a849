// Package strictjson refuses JSON that two parsers could read as two documents:
// duplicate keys, keys that differ in case only, bytes behind the value, broken
// UTF-8, half a surrogate pair, and depth without end.
//
//	if err := strictjson.Check(raw); err != nil { … }
//	err := strictjson.Decode(raw, &target)    // unknown and re-cased fields refused too
//	fields, err := strictjson.Object(raw, 8)  // without copying, at most 8 fields
//
// encoding/json keeps the last of two equal keys and matches field names without
// regard to case; other parsers do not. Under a signature that is two meanings.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// Errors of this package.
var (
	// ErrMalformed: not exactly one unambiguous JSON value; refuse the document.
	ErrMalformed = errors.New("malformed JSON")
	// ErrDepth: nested deeper than [MaxDepth]; refuse the document.
	ErrDepth = errors.New("JSON nested too deeply")
	// ErrMany: more fields or items than the caller wants; refuse the document.
	ErrMany = errors.New("too many JSON fields or items")
)

// MaxDepth bounds nesting: SBOMs nest about a dozen levels.
const MaxDepth = 128

// manyKeys is the number of keys of one object from which on a set is kept
// instead of comparing with each: comparing few is faster, and comparing many
// would let a large object take time without end.
const manyKeys = 24

// Check reports whether raw is exactly one JSON value (RFC 8259) that every
// parser reads alike. Keys of one object must differ; at the top level they must
// differ in more than case. It is one pass and allocates nothing for documents
// whose objects are small. Errors wrap [ErrMalformed] or [ErrDepth].
func Check(raw []byte) error {
	if !utf8.Valid(raw) {
		return fmt.Errorf("%w: not UTF-8", ErrMalformed)
	}
	c := checker{raw: raw}
	if err := c.value(0); err != nil {
		return err
	}
	c.space()
	if c.at < len(raw) {
		return c.malformed("more behind the value")
	}
	return nil
}

// checker reads a document once, from the left to the right (RFC 8259 section 2).
type checker struct {
	raw []byte
	at  int
	// open holds the keys of all open objects, the innermost one's at the end.
	open [][]byte
}

func (c *checker) malformed(why string) error {
	return fmt.Errorf("%w: %s, at byte %d", ErrMalformed, why, c.at)
}

// peek returns the byte at hand, or 0, which starts nothing, at the end.
func (c *checker) peek() byte {
	if c.at < len(c.raw) {
		return c.raw[c.at]
	}
	return 0
}

func (c *checker) space() {
	for c.at < len(c.raw) {
		switch c.raw[c.at] {
		case ' ', '\t', '\r', '\n':
			c.at++
		default:
			return
		}
	}
}

func (c *checker) value(depth int) error {
	c.space()
	switch first := c.peek(); {
	case first == '"':
		_, err := c.text()
		return err
	case first == '{' || first == '[':
		if depth == MaxDepth {
			return fmt.Errorf("%w: deeper than %d at byte %d", ErrDepth, MaxDepth, c.at)
		}
		c.at++
		if first == '{' {
			return c.object(depth)
		}
		return c.array(depth)
	case first == '-' || isDigit(first):
		return c.number()
	case first == 't':
		return c.literal("true")
	case first == 'f':
		return c.literal("false")
	case first == 'n':
		return c.literal("null")
	case c.at == len(c.raw):
		return c.malformed("the document ends too early")
	}
	return c.malformed("no JSON value")
}

func (c *checker) object(depth int) error {
	start := len(c.open)
	defer func() { c.open = c.open[:start] }()
	var set map[string]struct{}
	c.space()
	if c.peek() == '}' {
		c.at++
		return nil
	}
	for {
		c.space()
		if c.peek() != '"' {
			return c.malformed("no object key")
		}
		key, err := c.key(depth == 0)
		if err != nil {
			return err
		}
		twice := false
		switch {
		case set != nil:
			_, twice = set[string(key)]
			set[string(key)] = struct{}{}
		default:
			for _, other := range c.open[start:] {
				twice = twice || bytes.Equal(other, key)
			}
			if c.open = append(c.open, key); len(c.open)-start == manyKeys {
				set = make(map[string]struct{}, 4*manyKeys)
				for _, other := range c.open[start:] {
					set[string(other)] = struct{}{}
				}
			}
		}
		if twice {
			return c.malformed(fmt.Sprintf("key %.60q stands twice in one object", key))
		}
		c.space()
		if c.peek() != ':' {
			return c.malformed("no colon behind a key")
		}
		c.at++
		if err := c.value(depth + 1); err != nil {
			return err
		}
		if done, err := c.next('}'); done || err != nil {
			return err
		}
	}
}

func (c *checker) array(depth int) error {
	c.space()
	if c.peek() == ']' {
		c.at++
		return nil
	}
	for {
		if err := c.value(depth + 1); err != nil {
			return err
		}
		if done, err := c.next(']'); done || err != nil {
			return err
		}
	}
}

// next steps over a comma, or over the end of an object or array.
func (c *checker) next(end byte) (done bool, err error) {
	c.space()
	switch c.peek() {
	case end:
		c.at++
		return true, nil
	case ',':
		c.at++
		return false, nil
	}
	return false, c.malformed("no comma between two items")
}

// key reads an object key as parsers see it; folded, as parsers see it that do
// not care for case.
func (c *checker) key(fold bool) ([]byte, error) {
	start := c.at
	escaped, err := c.text()
	if err != nil {
		return nil, err
	}
	key := c.raw[start+1 : c.at-1]
	if escaped {
		plain, simple := unescape(key)
		if !simple {
			var text string
			if err := json.Unmarshal(c.raw[start:c.at], &text); err != nil {
				return nil, c.malformed(err.Error())
			}
			plain = []byte(text)
		}
		key = plain
	}
	if fold {
		key = foldKey(key)
	}
	return key, nil
}

// unescape takes the escapes out of a checked string whose escapes are all of a quote
// or a backslash; Kubernetes objects are full of such keys.
func unescape(raw []byte) (plain []byte, simple bool) {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		if i++; raw[i] != '"' && raw[i] != '\\' {
			return nil, false
		}
	}
	plain = make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] == '\\' {
			i++
		}
		plain = append(plain, raw[i])
	}
	return plain, true
}

// foldKey maps all spellings that Unicode's simple case folding holds equal to
// one: more than lower case, as "K" is also the sign of the kelvin.
func foldKey(key []byte) []byte {
	return bytes.Map(func(r rune) rune {
		least := r
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			least = min(least, next)
		}
		return least
	}, key)
}

// text reads a string and tells whether it has escapes (RFC 8259 section 7).
func (c *checker) text() (escaped bool, err error) {
	for c.at++; c.at < len(c.raw); c.at++ {
		switch b := c.raw[c.at]; {
		case b == '"':
			c.at++
			return escaped, nil
		case b == '\\':
			escaped = true
			if err := c.escape(); err != nil {
				return true, err
			}
		case b < ' ':
			return escaped, c.malformed("a control character in a string")
		}
	}
	return escaped, c.malformed("a string without end")
}

// escape reads one escape and stops at its last byte. Half of a surrogate pair
// is refused: some parsers keep it, some replace it, some stop.
func (c *checker) escape() error {
	c.at++
	switch c.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return nil
	case 'u':
	default:
		return c.malformed("no such escape")
	}
	unit, ok := c.hex(c.at + 1)
	if !ok {
		return c.malformed("no such escape")
	}
	c.at += 4
	switch {
	case unit >= 0xdc00 && unit <= 0xdfff:
		return c.malformed("half a surrogate pair")
	case unit >= 0xd800 && unit <= 0xdbff:
		low, ok := c.hex(c.at + 3)
		if !ok || c.raw[c.at+1] != '\\' || c.raw[c.at+2] != 'u' || low < 0xdc00 || low > 0xdfff {
			return c.malformed("half a surrogate pair")
		}
		c.at += 6
	}
	return nil
}

// hex reads four hexadecimal digits.
func (c *checker) hex(at int) (unit int, ok bool) {
	if at+4 > len(c.raw) {
		return 0, false
	}
	for _, b := range c.raw[at : at+4] {
		switch {
		case isDigit(b):
			unit = unit<<4 | int(b-'0')
		case b >= 'a' && b <= 'f':
			unit = unit<<4 | int(b-'a'+10)
		case b >= 'A' && b <= 'F':
			unit = unit<<4 | int(b-'A'+10)
		default:
			return 0, false
		}
	}
	return unit, true
}

// number reads a number (RFC 8259 section 6).
func (c *checker) number() error {
	if c.peek() == '-' {
		c.at++
	}
	if c.peek() == '0' {
		c.at++
	} else if !c.digits() {
		return c.malformed("no number")
	}
	if c.peek() == '.' {
		if c.at++; !c.digits() {
			return c.malformed("no digit behind the decimal point")
		}
	}
	if b := c.peek(); b == 'e' || b == 'E' {
		c.at++
		if sign := c.peek(); sign == '+' || sign == '-' {
			c.at++
		}
		if !c.digits() {
			return c.malformed("no digit in the exponent")
		}
	}
	return nil
}

func (c *checker) digits() bool {
	start := c.at
	for isDigit(c.peek()) {
		c.at++
	}
	return c.at > start
}

func (c *checker) literal(text string) error {
	if !bytes.HasPrefix(c.raw[c.at:], []byte(text)) {
		return c.malformed("no JSON value")
	}
	c.at += len(text)
	return nil
}

func isDigit(b byte) bool { return b >= '0' && b <= '9' }
