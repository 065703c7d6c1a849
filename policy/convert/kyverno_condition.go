package convert

import (
	"regexp"
	"slices"
	"strings"
)

// kyvernoPath is a variable of dotted names and nothing else: no JMESPath functions,
// filters or defaults.
var kyvernoPath = regexp.MustCompile(`^\{\{\s*([A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*)\s*\}\}$`)

// kyvernoContext are names that Kyverno gives to other things than the predicate.
var kyvernoContext = []string{"request", "images", "image", "serviceAccountName", "serviceAccountNamespace", "element", "elementIndex", "target"}

// kyvernoConditions says "all of" and "any of" in CEL, if each condition compares one
// field of the predicate with a value, or with a list of values of which it must be
// one.
func kyvernoConditions(n node) (cel []string, readable bool) {
	all, any := n.field("all"), n.field("any")
	every, ok := all.items()
	some, good := any.items()
	if !ok || !good || len(n.unknown()) > 0 || len(every)+len(some) == 0 {
		return nil, false
	}
	for _, one := range every {
		text, ok := kyvernoCondition(one)
		if !ok {
			return nil, false
		}
		cel = append(cel, text)
	}
	var alternatives []string
	for _, one := range some {
		text, ok := kyvernoCondition(one)
		if !ok {
			return nil, false
		}
		alternatives = append(alternatives, text)
	}
	if len(alternatives) > 0 {
		cel = append(cel, strings.Join(alternatives, " || "))
	}
	return cel, len(cel) <= maxConditions
}

// kyvernoCondition says one comparison. Kyverno also takes texts for equal that are
// equal lengths of time or amounts; CEL does not.
func kyvernoCondition(n node) (string, bool) {
	parts := kyvernoPath.FindStringSubmatch(n.field("key").text())
	operator, value := n.field("operator").text(), n.field("value")
	n.field("message")
	if parts == nil || len(n.unknown()) > 0 {
		return "", false
	}
	if root, _, _ := strings.Cut(parts[1], "."); slices.Contains(kyvernoContext, root) {
		return "", false
	}
	field := "statement.predicate." + parts[1]
	switch operator {
	case "Equals", "Equal":
		text, ok := celValue(value)
		return field + " == " + text, ok && !strings.ContainsAny(text, "*?{")
	case "AnyIn", "In":
		items, ok := value.items()
		var list []string
		for _, item := range items {
			text, good := celValue(item)
			list, ok = append(list, text), ok && good && !strings.ContainsAny(text, "*?{")
		}
		return field + " in [" + strings.Join(list, ", ") + "]", ok && len(list) > 0
	}
	return "", false
}
