package telemetry

import (
	"encoding/hex"
	"strings"
)

// parent is where a trace came from: the caller's span.
type parent struct {
	trace   [16]byte
	span    [8]byte
	sampled bool
}

// parseParent reads a traceparent header (W3C Trace Context, section 3.2). What is not
// exactly right is no parent: a trace is then begun anew.
func parseParent(header string) (parent, bool) {
	// version 00: "00-" 32 hex "-" 16 hex "-" 2 hex. A later version may go on after
	// another "-".
	if len(header) < 55 || len(header) > 255 || header[2] != '-' || header[35] != '-' || header[52] != '-' {
		return parent{}, false
	}
	version := header[:2]
	if !lowerHex(version) || version == "ff" || version == "00" && len(header) != 55 || len(header) > 55 && header[55] != '-' {
		return parent{}, false
	}
	trace, span, flags := header[3:35], header[36:52], header[53:55]
	if !lowerHex(trace) || !lowerHex(span) || !lowerHex(flags) {
		return parent{}, false
	}
	var p parent
	hex.Decode(p.trace[:], []byte(trace)) //nolint:errcheck // checked above
	hex.Decode(p.span[:], []byte(span))   //nolint:errcheck // checked above
	var flag [1]byte
	hex.Decode(flag[:], []byte(flags)) //nolint:errcheck // checked above
	p.sampled = flag[0]&1 == 1
	return p, p.trace != [16]byte{} && p.span != [8]byte{}
}

func lowerHex(text string) bool {
	return strings.Trim(text, "0123456789abcdef") == ""
}
