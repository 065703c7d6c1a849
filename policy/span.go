package policy

import (
	"regexp"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// span is a length of time, such as `24h` or `90d`, with its place.
type span struct {
	node
	value time.Duration
}

// maxSpan bounds a span; who wants more means for ever.
const maxSpan = 100 * 365 * 24 * time.Hour

var spanText = regexp.MustCompile(`^([1-9][0-9]{0,6})([mhdw])$`)

func (s *span) describe() string { return "length of time" }

func (s *span) read(d decoder, n *yaml.Node, _ entry, path string) {
	at := position{n.Line, n.Column}
	s.place(at, path)
	const hint = "write a whole number and m, h, d or w: 30m, 24h, 90d, 4w"
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		d.addf(at, path, hint, "%s where a length of time is wanted", kindOf(n))
		return
	}
	parts := spanText.FindStringSubmatch(n.Value)
	if parts == nil {
		d.addf(at, path, hint, "%q is no length of time", wording.Short(n.Value))
		return
	}
	count, err := strconv.Atoi(parts[1])
	if err != nil {
		d.add(at, path, hint, err)
		return
	}
	unit := map[string]time.Duration{"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour}[parts[2]]
	if time.Duration(count) > maxSpan/unit {
		d.addf(at, path, "remove the entry if no age is too old", "%q is longer than a hundred years", n.Value)
		return
	}
	s.value = time.Duration(count) * unit
}

// write gives the one spelling of a length: in days if it is some, else in hours or
// minutes.
func (s *span) write() *yaml.Node {
	if s.value == 0 {
		return nil
	}
	return textNode(s.String())
}

// String shows the length as a policy writes it.
func (s *span) String() string {
	switch minutes := int64(s.value / time.Minute); {
	case minutes%(24*60) == 0:
		return strconv.FormatInt(minutes/(24*60), 10) + "d"
	case minutes%60 == 0:
		return strconv.FormatInt(minutes/60, 10) + "h"
	default:
		return strconv.FormatInt(minutes, 10) + "m"
	}
}
