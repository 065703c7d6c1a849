package policy

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hallmark-project/hallmark/attest/wording"
	"github.com/hallmark-project/hallmark/verify"
)

// maxBuildLevel is the highest level of SLSA's build track (SLSA v1.0, "Build
// levels").
const maxBuildLevel = 3

// builder is a compiled entry of `builders`.
type builder struct {
	level int
	from  signers
}

// builders are the policy's own, by ID.
type builders map[string]builder

func (c *compiler) allBuilders(d *document) builders {
	all := make(builders)
	for i := range d.Builders {
		e := &d.Builders[i]
		if e.Level.value > maxBuildLevel {
			c.addf(e.Level.at, e.Level.path, "SLSA's build levels end at 3", "the level is %d", e.Level.value)
		}
		if strings.Contains(e.ID.value, "*") {
			c.addf(e.ID.at, e.ID.path, "list each builder", "a builder is compared letter by letter and has no wildcard")
		}
		if _, twice := all[e.ID.value]; twice {
			c.addf(e.ID.at, e.ID.path, "keep one", "the builder %q stands twice", wording.Short(e.ID.value))
		}
		all[e.ID.value] = builder{e.Level.value, c.from(&e.From)}
	}
	slices.SortFunc(d.Builders, func(a, b builderEntry) int { return cmp.Compare(a.ID.value, b.ID.value) })
	return all
}

// vouched returns the level that a builder's ID implies where this signer names
// it; zero where nothing is known of the builder. A signer that cannot speak for
// the builder is refused: the ID is what he says, and not what is proved.
func (all builders) vouched(id string, by verify.Signer) (level int, reason verify.Reason, detail string) {
	if own, listed := all[id]; listed {
		if own.from.has(by) == nil {
			reason, detail = own.from.refusal(by)
			return 0, reason, fmt.Sprintf("it names the builder %q, for which %s may speak: %s", wording.Short(id), own.from.oneOf(), detail)
		}
		return own.level, "", ""
	}
	for _, k := range knownBuilders() {
		if !k.id.MatchString(id) {
			continue
		}
		if by.Certificate == nil {
			// A key cannot show who holds it: its holder may name any builder, and that
			// proves no level.
			return 0, "", ""
		}
		if what := k.differs(id, by.Certificate); what != "" {
			return 0, verify.ReasonIdentityMismatch, fmt.Sprintf("it names the builder %q, and its certificate is another's: %s", wording.Short(id), what)
		}
		return k.level, "", ""
	}
	return 0, "", ""
}

// knownBuilder is a public builder whose certificates can be told from others.
type knownBuilder struct {
	id      *regexp.Regexp
	level   int
	differs func(id string, c *verify.Certificate) string
}

var (
	// slsa-github-generator's reusable workflows, at a released version. They are
	// isolated from the project that calls them: level 3.
	generatorID = regexp.MustCompile(`\Ahttps://github\.com/slsa-framework/slsa-github-generator/\.github/workflows/(builder|generator)_[a-z-]+_slsa3\.yml@refs/tags/v[0-9]+\.[0-9]+\.[0-9]+\z`)
	// GitHub's own runners (actions/attest-build-provenance): level 2.
	hostedID = regexp.MustCompile(`\Ahttps://github\.com/actions/runner/github-hosted\z`)
	// Any workflow of GitHub that names itself: level 2 on GitHub's own runners.
	workflowID = regexp.MustCompile(`\Ahttps://github\.com/[^/@]+/[^/@]+/\.github/workflows/[^@]+@.+\z`)
)

// knownBuilders is what is known without the policy, the most specific first.
func knownBuilders() [3]knownBuilder {
	return [...]knownBuilder{{generatorID, 3, otherWorkflow}, {hostedID, 2, otherRunner}, {workflowID, 2, func(id string, c *verify.Certificate) string {
		return cmp.Or(otherWorkflow(id, c), otherRunner(id, c))
	}}}
}

// otherWorkflow compares the builder's ID with the workflow that signed.
func otherWorkflow(id string, c *verify.Certificate) string {
	switch {
	case c.Issuer != githubIssuer:
		return fmt.Sprintf("its issuer is %q, not %s", wording.Short(c.Issuer), githubIssuer)
	case c.SANType != "URI" || c.SAN != id:
		return fmt.Sprintf("its subject is %q", wording.Short(c.SAN))
	}
	return ""
}

// otherRunner asks for a runner of GitHub's.
func otherRunner(_ string, c *verify.Certificate) string {
	switch {
	case c.Issuer != githubIssuer:
		return fmt.Sprintf("its issuer is %q, not %s", wording.Short(c.Issuer), githubIssuer)
	case c.Extensions[oidRunner] != "github-hosted":
		return "its runner is " + stated(c.Extensions[oidRunner], "") + ", not github-hosted"
	}
	return ""
}
