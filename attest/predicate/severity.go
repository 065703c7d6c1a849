package predicate

import (
	"strconv"
	"strings"
)

// Severity is how bad a vulnerability is. The zero value is unknown, which counts
// as worse than everything that is known.
type Severity uint8

// The severities from the least to the worst, after the unknown one.
const (
	SeverityUnknown Severity = iota
	SeverityNone
	SeverityLow
	SeverityMedium
	SeverityHigh
	SeverityCritical
)

var severityNames = [...]string{"unknown", "none", "low", "medium", "high", "critical"}

// String returns "unknown", "none", "low", "medium", "high" or "critical".
func (s Severity) String() string {
	if int(s) < len(severityNames) {
		return severityNames[s]
	}
	return severityNames[SeverityUnknown]
}

// Exceeds reports whether a severity is worse than the worst that is accepted. An
// unknown one is.
func (s Severity) Exceeds(accepted Severity) bool {
	return s == SeverityUnknown || s > accepted
}

// ParseSeverity reads the words of scanners, distributions and databases, in any
// case, and a score of CVSS from 0 to 10 by the qualitative scale of CVSS v3.1,
// section 5: none is 0, low begins at 0.1, medium at 4, high at 7, critical at 9.
// Any other text, such as a vector, is unknown.
func ParseSeverity(text string) Severity {
	text = strings.ToLower(strings.TrimSpace(text))
	switch text {
	case "critical":
		return SeverityCritical
	case "high", "important":
		return SeverityHigh
	case "medium", "moderate":
		return SeverityMedium
	case "low", "minor", "negligible", "unimportant":
		return SeverityLow
	case "none":
		return SeverityNone
	}
	if strings.ContainsFunc(text, func(c rune) bool { return (c < '0' || c > '9') && c != '.' }) {
		return SeverityUnknown
	}
	score, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil || score > 10:
		return SeverityUnknown
	case score >= 9:
		return SeverityCritical
	case score >= 7:
		return SeverityHigh
	case score >= 4:
		return SeverityMedium
	case score > 0:
		return SeverityLow
	}
	return SeverityNone
}

// levelSeverity maps the level of a SARIF result (SARIF 2.1.0, section 3.27.10),
// which is all that some scanners write. An error may be anything up to the worst.
func levelSeverity(level string) Severity {
	switch level {
	case "error":
		return SeverityCritical
	case "warning":
		return SeverityMedium
	case "note":
		return SeverityLow
	case "none":
		return SeverityNone
	}
	return SeverityUnknown
}

// worst returns the worst of the known severities, and unknown where none is.
func worst(all []Severity) Severity {
	found := SeverityUnknown
	for _, s := range all {
		found = max(found, s)
	}
	return found
}
