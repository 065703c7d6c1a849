package convert

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/hallmark-project/hallmark/attest/wording"
	"github.com/hallmark-project/hallmark/policy"
)

// The result, as it is written; document.go of package policy describes it.
type (
	pageText struct {
		APIVersion string              `yaml:"apiVersion"`
		Kind       string              `yaml:"kind"`
		Metadata   map[string]string   `yaml:"metadata,flow"`
		Roots      map[string]rootText `yaml:"trustRoots,omitempty"`
		Signers    yaml.Node           `yaml:"signers"`
		Rules      []ruleText          `yaml:"rules"`
		Unmatched  string              `yaml:"unmatched,omitempty"`
	}
	rootText struct {
		Sigstore   string    `yaml:"sigstore,omitempty"`
		X509       *x509Text `yaml:"x509,omitempty"`
		Log        *int      `yaml:"log,omitempty"`
		Timestamps *int      `yaml:"timestamps,omitempty"`
		SCT        *int      `yaml:"sct,omitempty"`
	}
	x509Text struct {
		Roots          string `yaml:"roots"`
		Intermediates  string `yaml:"intermediates,omitempty"`
		TimestampRoots string `yaml:"timestampRoots"`
	}
	ruleText struct {
		Name    string      `yaml:"name"`
		Images  []string    `yaml:"images,flow"`
		Mode    string      `yaml:"mode,omitempty"`
		Require requireText `yaml:"require"`
	}
	requireText struct {
		Signatures *signaturesText `yaml:"signatures,omitempty"`
		Statements []statementText `yaml:"statements,omitempty"`
	}
	signaturesText struct {
		From    []string `yaml:"from,flow"`
		AtLeast int      `yaml:"atLeast,omitempty"`
	}
	statementText struct {
		Type  string   `yaml:"type"`
		From  []string `yaml:"from,flow"`
		Which string   `yaml:"which,omitempty"`
		CEL   []string `yaml:"cel,omitempty"`
	}
)

func (s statementText) equal(other statementText) bool {
	return s.Type == other.Type && s.Which == other.Which && slices.Equal(s.From, other.From) && slices.Equal(s.CEL, other.CEL)
}

// write makes the result's text.
func (c *converter) write() ([]byte, error) {
	for _, w := range c.wishes {
		for _, s := range w.scopes {
			c.loseScope(s)
		}
	}
	var rules []ruleText
	keys := make(map[string]int) // of rules by what they ask
	for _, one := range c.gather() {
		require, warn := c.demands(one.wishes)
		rule := ruleText{Name: c.ruleName(one.wishes), Images: []string{one.pattern}, Require: require}
		if warn {
			rule.Mode = "warn"
		}
		key := fmt.Sprint(one.wishes)
		if known, found := keys[key]; found {
			rules[known].Images = append(rules[known].Images, one.pattern)
			continue
		}
		keys[key] = len(rules)
		rules = append(rules, rule)
	}
	if len(rules) == 0 { // a policy has at least one rule
		rules = []ruleText{{Name: "nothing is allowed", Images: []string{everything}, Require: c.impossible()}}
	}
	names := make(map[string]int)
	for i := range rules {
		name := rules[i].Name
		if names[name]++; names[name] > 1 {
			rules[i].Name = name + " (" + strconv.Itoa(names[name]) + ")"
		}
	}
	if len(c.parties.names) > maxParties || len(rules) > maxParties {
		return nil, fmt.Errorf("converting: more than %d signers or rules: %w", maxParties, ErrSource)
	}
	c.agreeOnTimes()
	return append(c.header(), c.page(c.parties.names, c.parties.known, rules, c.usedRoots())...), nil
}

// loseScope tells what a scope's patterns take more or less than the source's.
func (c *converter) loseScope(s scope) {
	if s.exact() {
		return
	}
	meant := fmt.Sprintf("the pattern %q", wording.Short(s.text))
	if c.unmatched == "warn" || c.specific {
		c.lose(s.place, meant, "what is asked holds for "+strings.Join(s.outer, ", ")+", which is more")
		return
	}
	if len(s.inner) == 0 {
		c.lose(s.place, meant+", which depends on the tag or cannot be said", "no rule has it, so that its images are refused; what is asked holds where other rules meet it")
		return
	}
	c.lose(s.place, meant, "the rule has "+strings.Join(s.inner, ", ")+", which is less; other images are refused")
}

func (c *converter) ruleName(set []int) string {
	var names []string
	for _, i := range set {
		names = append(names, c.wishes[i].name)
	}
	names = distinct(names)
	if len(names) == 0 {
		return "other images"
	}
	if len(names) > 4 {
		names = append(names[:4], fmt.Sprintf("%d more", len(names)-4))
	}
	return oneLine(strings.Join(names, " and "))
}

// oneLine keeps what a reader sees.
func oneLine(text string) string {
	text = strings.TrimSpace(strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return ' '
		}
		return r
	}, text))
	if text == "" {
		return "unnamed"
	}
	return wording.Short(text)
}

// agreeOnTimes lets every signer that lists a key ask for the same witnesses, as a
// policy demands: those of the strictest.
func (c *converter) agreeOnTimes() {
	for changed := true; changed; {
		changed = false
		times := make(map[string]string)
		for _, name := range c.parties.names {
			for _, key := range c.parties.known[name].Keys {
				if p := c.parties.known[name]; p.Times != "" {
					times[key.PEM] = p.Times
				}
			}
		}
		for _, name := range c.parties.names {
			p := c.parties.known[name]
			for _, key := range p.Keys {
				if want := times[key.PEM]; p.Times == "" && want != "" {
					c.lose("signer "+name, "a key that needs no log entry here, and one elsewhere", "it needs one everywhere")
					p.Times, changed = want, true
					c.parties.known[name] = p
				}
			}
		}
	}
}

func (c *converter) usedRoots() map[string]rootText {
	used := make(map[string]rootText)
	for _, p := range c.parties.known {
		if p.Times != "" {
			used[p.Times] = c.root(p.Times)
		}
		if p.Keyless != nil {
			used[p.Keyless.Root] = c.root(p.Keyless.Root)
		}
	}
	return used
}

// publicRoot is the name of Sigstore's public instance in results.
const publicRoot = "public-good"

func (c *converter) root(name string) rootText {
	if name == publicRoot {
		return rootText{Sigstore: "public-good"}
	}
	return c.parties.roots[name]
}

// maxHeader bounds the losses that stand at the head of a result.
const maxHeader = 200

// header says where the policy comes from, and what is lost.
func (c *converter) header() []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "# Converted from %s by hallmark policy convert.\n", c.kind)
	for i, loss := range c.losses {
		if i == 0 {
			fmt.Fprintln(&out, "# What the source says and this policy does not:")
		}
		if i == maxHeader {
			fmt.Fprintf(&out, "#   and %d more\n", len(c.losses)-i)
			break
		}
		fmt.Fprintf(&out, "#   %s\n", strings.Map(func(r rune) rune {
			if !strconv.IsPrint(r) {
				return ' '
			}
			return r
		}, loss.String()))
	}
	return out.Bytes()
}

// page writes a policy. roots nil are those that the signers name.
func (c *converter) page(names []string, known map[string]party, rules []ruleText, roots map[string]rootText) []byte {
	page := pageText{APIVersion: policy.APIVersion, Kind: policy.KindPolicy, Metadata: map[string]string{"name": c.policyName()}, Rules: rules, Roots: roots}
	if c.unmatched == "warn" {
		page.Unmatched = "warn"
	}
	if roots == nil {
		page.Roots = make(map[string]rootText)
		for _, p := range known {
			if p.Keyless != nil {
				page.Roots[p.Keyless.Root] = c.root(p.Keyless.Root)
			}
		}
	}
	page.Signers.Kind = yaml.MappingNode
	for _, name := range names {
		var value yaml.Node
		if err := value.Encode(known[name]); err != nil {
			continue // no party has a value that cannot be written
		}
		page.Signers.Content = append(page.Signers.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name}, &value)
	}
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(page); err != nil {
		return nil // policy refuses an empty text
	}
	_ = encoder.Close()
	return out.Bytes()
}

func (c *converter) policyName() string {
	for _, name := range []string{c.options.Name, c.name} {
		if name != "" {
			return oneLine(name)
		}
	}
	return "converted"
}
