package convert

import (
	"regexp"
	"strconv"
	"strings"
)

// maxConditions bounds the conditions on one statement.
const maxConditions = 50

// cueField is one field with its value, or the beginning of a struct. Names with
// anything but letters, digits and `_` are not read.
var cueField = regexp.MustCompile(`^(?:"([A-Za-z_][A-Za-z0-9_]*)"|([A-Za-z_][A-Za-z0-9_]*))\s*:\s*(.*)$`)

// cue reads the simplest of CUE: structs of fields with one text, number or truth
// value each. Everything else is not readable, and the caller refuses. Such a policy
// holds for the whole statement.
func cue(n node) (conditions []string, readable bool) {
	kind, data := n.field("type").text(), n.field("data")
	if kind != "cue" || !data.there() || len(n.unknown()) > 0 {
		return nil, false
	}
	var path []string
	var pushed []int // names that each open brace added
	for _, line := range strings.Split(data.text(), "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "", strings.HasPrefix(line, "//"):
			continue
		case line == "}":
			if len(pushed) == 0 {
				return nil, false
			}
			path = path[:len(path)-pushed[len(pushed)-1]]
			pushed = pushed[:len(pushed)-1]
			continue
		}
		before := len(path)
		for {
			parts := cueField.FindStringSubmatch(line)
			if parts == nil {
				return nil, false
			}
			path, line = append(path, parts[1]+parts[2]), parts[3]
			if line == "{" {
				pushed = append(pushed, len(path)-before)
				break
			}
			if cueField.MatchString(line) {
				continue
			}
			value, ok := literal(line)
			if !ok || len(conditions) == maxConditions {
				return nil, false
			}
			conditions = append(conditions, "statement."+strings.Join(path, ".")+" == "+value)
			path = path[:before]
			break
		}
	}
	return conditions, len(pushed) == 0 && len(conditions) > 0
}

// literal turns a text in quotes, a whole number or a truth value into CEL.
func literal(text string) (string, bool) {
	if text == "true" || text == "false" {
		return text, true
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && strconv.FormatInt(n, 10) == text {
		return text, true
	}
	var value string
	if len(text) < 2 || text[0] != '"' || text[len(text)-1] != '"' || strings.ContainsAny(text[1:len(text)-1], "\"\\\n") {
		return "", false
	}
	value = text[1 : len(text)-1]
	return celText(value), true
}

// celText quotes a text for CEL.
func celText(value string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`).Replace(value) + "'"
}
