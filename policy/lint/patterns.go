package lint

import (
	"strings"

	"github.com/hallmark-project/hallmark/policy"
)

// placed is a pattern, its rule and its place.
type placed struct {
	text string
	rule int
	at   view
}

// patterns compares the patterns of all rules.
func (l *linter) patterns() {
	rules := l.items("rules")
	var all []placed
	for i, rule := range rules {
		for _, at := range rule.get("images").items() {
			all = append(all, placed{at.text(), i, at})
		}
	}
	said := make(map[[2]int]bool)
	for _, p := range all {
		if p.text == "**" {
			l.add(PatternEverything, p.at, "", "the rule %s governs every image that no other rule does", rules[p.rule].get("name").text())
		} else if short(p.text) {
			l.add(PatternShort, p.at, "write the host, such as registry.example/"+p.text, "%q is an image of docker.io", p.text)
		}
		for _, other := range all {
			if p.at.node == other.at.node || !covers(other.text, p.text) {
				continue
			}
			if p.rule == other.rule {
				if !covers(p.text, other.text) {
					l.add(PatternTwice, p.at, "remove it", "%q covers it", other.text)
				}
				continue
			}
			if pair := [2]int{p.rule, other.rule}; !said[pair] && other.text != "**" {
				said[pair] = true
				narrow, wide := rules[p.rule], rules[other.rule]
				if lost := weaker(narrow, wide); len(lost) > 0 {
					l.add(RuleWeaker, p.at, "demand as much, or say in a comment why not", "the rule %s takes these images from %s, and does not demand %s",
						narrow.get("name").text(), wide.get("name").text(), strings.Join(lost, ", "))
				}
			}
		}
	}
}

// short reports whether a pattern has no host of its own (attack row PO-06).
func short(pattern string) bool {
	host, _, found := strings.Cut(pattern, "/")
	return !found || !strings.ContainsAny(host, ".:[*") && host != "localhost"
}

// covers reports whether a pattern matches whatever another one does. It tries
// names that the other stands for and that nobody would write out.
func covers(wide, narrow string) bool {
	if wide == narrow || !strings.Contains(wide, "*") {
		return false
	}
	for _, name := range samples(narrow) {
		if matches, err := policy.MatchesImage(wide, name); err != nil || !matches {
			return false
		}
	}
	return true
}

// samples are names that a pattern matches.
func samples(pattern string) []string {
	if pattern == "**" {
		return []string{"q7z.q7z.example/q7z", "q8z.example/q7z/q8z/q9z"}
	}
	one := strings.NewReplacer("**", "q7z", "*", "q7z").Replace(pattern)
	many := strings.NewReplacer("**", "q7z/q8z/q9z", "*", "q-7-z").Replace(pattern)
	return []string{one, many}
}

// examples compares rules with images that are in use.
func (l *linter) examples() {
	if len(l.options.Images) == 0 {
		return
	}
	governing := make(map[string]bool)
	for _, image := range l.options.Images {
		plan, err := l.policy.Plan(image)
		if err != nil || plan.Rule == "" {
			l.add(ImageUnmatched, l.written[0].get("rules"), "write a rule for it", "no rule governs %s", image)
			continue
		}
		governing[plan.Rule] = true
	}
	for _, rule := range l.items("rules") {
		if name := rule.get("name").text(); !governing[name] {
			l.add(RuleWithoutImages, rule, "correct its patterns, or remove it", "the rule %s governs none of the %d given images", name, len(l.options.Images))
		}
	}
}
