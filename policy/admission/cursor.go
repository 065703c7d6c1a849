package admission

import (
	"bytes"
	"fmt"

	"github.com/hallmark-project/hallmark/attest/strictjson"
)

// maxValues bounds the values that are made of one object, some dozens of bytes each: an
// item of two bytes becomes one. Ten thousand places need a tenth.
const maxValues = 200_000

// cursor goes once through a document that has passed [strictjson.Check], and makes
// values of the wanted parts alone: of a Pod that is a tenth.
type cursor struct {
	raw []byte
	at  int
	// made counts the values.
	made int
}

// peek returns the next byte that is no space, or 0 at the end.
func (c *cursor) peek() byte {
	for c.at < len(c.raw) {
		switch b := c.raw[c.at]; b {
		case ' ', '\t', '\r', '\n':
			c.at++
		default:
			return b
		}
	}
	return 0
}

// more reports whether another member follows, and goes to it. It is asked behind the
// opening bracket and behind each member.
func (c *cursor) more(end byte) bool {
	b := c.peek()
	if b == ',' {
		c.at++
		return true
	}
	if b == end || b == 0 {
		c.at++
		return false
	}
	return true
}

// key reads a key and the colon behind it.
func (c *cursor) key() (string, error) {
	key, err := strictjson.Text(c.skip())
	c.peek()
	c.at++
	return key, err
}

// skip passes over a value and returns its bytes.
func (c *cursor) skip() []byte {
	first := c.peek()
	start := min(c.at, len(c.raw))
	switch first {
	case '"':
		c.at = closing(c.raw, c.at)
	case '{', '[':
		depth := 0
		for c.at < len(c.raw) {
			switch c.raw[c.at] {
			case '"':
				c.at = closing(c.raw, c.at)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				depth--
			}
			c.at++
			if depth == 0 {
				break
			}
		}
	default:
		for c.at < len(c.raw) && bytes.IndexByte([]byte(",]} \t\r\n"), c.raw[c.at]) < 0 {
			c.at++
		}
	}
	end := min(c.at, len(c.raw))
	if c.at = end; end == start {
		c.at++ // only in what is no JSON: go on, so that there is an end
	}
	return c.raw[start:end]
}

// closing returns the index behind the quote that ends the string at start.
func closing(raw []byte, start int) int {
	for i := start + 1; i < len(raw); i++ {
		next := bytes.IndexByte(raw[i:], '"')
		if next < 0 {
			break
		}
		i += next
		slashes := 0
		for raw[i-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return i + 1
		}
	}
	return len(raw)
}

// scalar stands for a number or a truth value: something that is no text, no list
// and no object.
type scalar struct{}

// value makes a value as encoding/json does, without the fields whose keys are not
// wanted; numbers and truth values become a scalar.
func (c *cursor) value(wanted func(key string) bool) (any, error) {
	if c.made++; c.made > maxValues {
		return nil, fmt.Errorf("%w: at most %d values are read", strictjson.ErrMany, maxValues)
	}
	switch c.peek() {
	case '{':
		c.at++
		object := make(map[string]any)
		for c.more('}') {
			key, err := c.key()
			if err != nil {
				return nil, err
			}
			if !wanted(key) {
				c.skip()
				continue
			}
			if object[key], err = c.value(wanted); err != nil {
				return nil, err
			}
		}
		return object, nil
	case '[':
		c.at++
		list := []any{}
		for c.more(']') {
			item, err := c.value(wanted)
			if err != nil {
				return nil, err
			}
			list = append(list, item)
		}
		return list, nil
	case '"':
		return strictjson.Text(c.skip())
	case 'n':
		c.skip()
		return nil, nil
	}
	c.skip()
	return scalar{}, nil
}
