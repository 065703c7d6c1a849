package policy

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/wording"
)

// expiryNotice is how long before its end an exception is said to end.
const expiryNotice = 30 * 24 * time.Hour

// Skipped says why a demand that is not met is not asked for.
type Skipped struct {
	Reason  string    `json:"reason"`
	Owner   string    `json:"owner"`
	Ticket  string    `json:"ticket"`
	Expires time.Time `json:"expires"`
}

// exception is a compiled entry of exceptions, kept with its rule.
type exception struct {
	image  string // canonical
	digest digest.Digest
	skip   []string
	why    Skipped
}

// exceptions compiles the entries and hands them to their rules.
func (c *compiler) exceptions(d *document, rules []*rule) {
	for i := range d.Exceptions {
		entry := &d.Exceptions[i]
		e := exception{why: Skipped{entry.Reason.value, entry.Owner.value, entry.Ticket.value, entry.Expires.time}}
		const hint = "write the name and the digest: registry.example/app@sha256:…"
		name, sum, _ := strings.Cut(entry.Image.value, "@")
		canonical, err := CanonicalName(name)
		if err != nil {
			c.add(entry.Image.at, entry.Image.path, hint, err)
		}
		if e.digest, err = digest.Parse(sum); err != nil {
			c.addf(entry.Image.at, entry.Image.path, hint, "the image %q: %w", wording.Short(entry.Image.value), err)
		}
		e.image, entry.Image.value = canonical, canonical+"@"+sum
		entry.Skip = sortTexts(entry.Skip)
		at := slices.IndexFunc(rules, func(r *rule) bool { return r.name == entry.Rule.value })
		if at < 0 {
			var names []string
			for _, r := range rules {
				names = append(names, r.name)
			}
			c.addf(entry.Rule.at, entry.Rule.path, didYouMean(entry.Rule.value, names), "there is no rule %q", wording.Short(entry.Rule.value))
			continue
		}
		r := rules[at]
		if !slices.ContainsFunc(r.patterns, func(p pattern) bool { return p.match(canonical) }) && canonical != "" {
			c.addf(entry.Image.at, entry.Image.path, "name the rule that governs it", "the rule %q does not match the image, so that this excepts nothing", r.name)
		}
		known := demandNames(d.Rules[at].Require)
		for _, skip := range entry.Skip {
			if !slices.Contains(known, skip.value) {
				c.addf(skip.at, skip.path, "the rule demands "+strings.Join(known, ", "), "the rule %q does not demand %q", r.name, wording.Short(skip.value))
			}
			if slices.ContainsFunc(r.exceptions, func(other exception) bool {
				return other.image == e.image && other.digest == e.digest && slices.Contains(other.skip, skip.value)
			}) {
				c.addf(skip.at, skip.path, "keep one", "a second exception of the image skips %q", skip.value)
			}
			e.skip = append(e.skip, skip.value)
		}
		r.exceptions = append(r.exceptions, e)
	}
	slices.SortStableFunc(d.Exceptions, func(a, b exceptionEntry) int {
		return cmp.Or(cmp.Compare(a.Image.value, b.Image.value), cmp.Compare(a.Rule.value, b.Rule.value), cmp.Compare(a.Skip[0].value, b.Skip[0].value))
	})
}

// demandNames lists the demands that are written, as reports name them.
func demandNames(entry *requireEntry) []string {
	var names []string
	if entry == nil {
		return nil
	}
	v := reflect.ValueOf(entry).Elem()
	entries, _ := entriesOf(v.Type())
	for _, e := range entries {
		switch field := v.Field(e.index); {
		case e.name == demandSummary: // nobody has to have one
		case field.Kind() == reflect.Slice && field.Type().Elem() != reflect.TypeFor[text]():
			for i := range field.Len() {
				names = append(names, e.name+"["+strconv.Itoa(i)+"]")
			}
		case (field.Kind() == reflect.Slice || field.Kind() == reflect.Pointer) && !field.IsNil():
			names = append(names, e.name)
		}
	}
	return names
}

// except marks the demands that an exception of the image skips. What is met needs
// none, and stays as it is.
func (d *Decision) except(r *rule, canonical string, img Image, at time.Time) {
	for _, e := range r.exceptions {
		if e.image != canonical || e.digest != img.Target.Subject.Digest {
			continue
		}
		used := false
		for i := range d.Demands {
			demand := &d.Demands[i]
			if demand.Verdict == Allow || !slices.Contains(e.skip, demand.Name) {
				continue
			}
			used = true
			if at.Before(e.why.Expires) {
				why := e.why
				demand.Skipped = &why
			}
		}
		what := fmt.Sprintf("of %s (%s, %s): %s", strings.Join(e.skip, ", "), e.why.Ticket, e.why.Owner, e.why.Reason)
		switch left := e.why.Expires.Sub(at); {
		case !used:
		case left <= 0:
			d.Warnings = append(d.Warnings, fmt.Sprintf("the exception %s; it expired at %s", what, stamp(e.why.Expires)))
		default:
			text := fmt.Sprintf("an exception skips the demand %s; it expires at %s", what, stamp(e.why.Expires))
			if left < expiryNotice {
				text += fmt.Sprintf(", in %s", plural(int(left/(24*time.Hour)), "day"))
			}
			d.Warnings = append(d.Warnings, text)
			d.Until = earlier(d.Until, e.why.Expires)
		}
	}
}
