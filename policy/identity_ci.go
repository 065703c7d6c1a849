package policy

import (
	"strings"

	"github.com/hallmark-project/hallmark/verify"
)

// Certificate extensions of CI systems (fulcio docs/oid-info.md). The first six
// are GitHub's old ones; where a certificate has both, they must agree.
const (
	fulcioClaim = "1.3.6.1.4.1.57264.1."

	oidGitHubTrigger    = fulcioClaim + "2"
	oidGitHubRepository = fulcioClaim + "5"
	oidGitHubRef        = fulcioClaim + "6"

	oidRunner           = fulcioClaim + "11"
	oidSourceRepository = fulcioClaim + "12"
	oidSourceRef        = fulcioClaim + "14"
	oidSourceOwner      = fulcioClaim + "16"
	oidSourceOwnerID    = fulcioClaim + "17"
	oidTrigger          = fulcioClaim + "20"
	oidEnvironment      = fulcioClaim + "23"
)

const (
	githubServer = "https://github.com"
	githubIssuer = "https://token.actions.githubusercontent.com"
	buildkite    = "https://buildkite.com"
	workflows    = "/.github/workflows/"
)

// agreed returns the newer claim, or the older one where there is no newer;
// nothing where they contradict each other.
func agreed(c *verify.Certificate, newer, older string) string {
	n, o := c.Extensions[newer], c.Extensions[older]
	switch {
	case n == "":
		return o
	case o != "" && n != o:
		return ""
	}
	return n
}

// extension returns the getter of one claim.
func extension(oid string) func(*verify.Certificate) []string {
	return func(c *verify.Certificate) []string { return some(c.Extensions[oid]) }
}

// under returns an address without its server in front, then the address itself.
func under(server, address string) []string {
	if !strings.HasPrefix(address, "https://") {
		return nil
	}
	if short, found := strings.CutPrefix(address, strings.TrimSuffix(server, "/")+"/"); found && short != "" {
		return []string{short, address}
	}
	return []string{address}
}

// sourceRepository is the address of the repository that was built; "" where
// the certificate does not say or contradicts itself.
func sourceRepository(c *verify.Certificate) string {
	address, old := c.Extensions[oidSourceRepository], c.Extensions[oidGitHubRepository]
	switch {
	case address == "" && old != "" && c.Issuer == githubIssuer:
		return githubServer + "/" + old // certificates of before 2023
	case old != "" && !strings.HasSuffix(address, "/"+old):
		return ""
	}
	return address
}

// subjectRepository is the repository of the file that a workflow's subject names,
// for the two systems that name one; "" otherwise.
func subjectRepository(san string) string {
	scheme, rest, found := strings.Cut(san, "://")
	if !found {
		return ""
	}
	if before, _, found := strings.Cut(rest, workflows); found { // GitHub
		return scheme + "://" + before
	}
	if before, _, found := strings.Cut(rest, "//"); found { // GitLab
		return scheme + "://" + before
	}
	return ""
}

// ownRepository reports whether the workflow that signed belongs to the
// repository that was built, as far as the certificate speaks of repositories.
func ownRepository(c *verify.Certificate) bool {
	subject := subjectRepository(c.SAN)
	if subject == "" || c.Extensions[oidSourceRepository] == "" && c.Extensions[oidGitHubRepository] == "" {
		return true
	}
	if c.Extensions[oidSourceRepository] == "" {
		return strings.HasSuffix(subject, "/"+c.Extensions[oidGitHubRepository])
	}
	return subject == sourceRepository(c)
}

// workflow gives the spellings of the file that signed: relative to the repository
// that was built, if it is its own, then with owner and repository, then in full.
func workflow(c *verify.Certificate) []string {
	if c.SANType != "URI" {
		return nil
	}
	repository, file, found := strings.Cut(c.SAN, workflows)
	if !found {
		return nil
	}
	file, _, found = strings.Cut(file, "@")
	if !found {
		return nil
	}
	var all []string
	if repository == sourceRepository(c) {
		all = append(all, workflows[1:]+file)
	}
	return append(all, under(githubServer, repository+workflows+file)...)
}

func (i *profile) github(g *githubEntry) {
	if g == nil {
		return
	}
	i.want("GitHub repository", &g.Repository, func(c *verify.Certificate) []string { return under(githubServer, sourceRepository(c)) })
	i.want("GitHub owner", &g.Owner, func(c *verify.Certificate) []string { return under(githubServer, c.Extensions[oidSourceOwner]) })
	i.want("GitHub owner ID", &g.OwnerID, extension(oidSourceOwnerID))
	i.want("GitHub workflow", &g.Workflow, workflow)
	i.want("GitHub ref", &g.Ref, func(c *verify.Certificate) []string { return some(agreed(c, oidSourceRef, oidGitHubRef)) })
	i.want("GitHub event", &g.Event, func(c *verify.Certificate) []string { return some(agreed(c, oidTrigger, oidGitHubTrigger)) })
	i.want("GitHub runner", &g.Runner, extension(oidRunner))
	i.want("GitHub environment", &g.Environment, extension(oidEnvironment))
}

func (i *profile) gitlab(g *gitlabEntry) {
	if g == nil {
		return
	}
	i.want("GitLab project", &g.Project, func(c *verify.Certificate) []string { return under(c.Issuer, c.Extensions[oidSourceRepository]) })
	i.want("GitLab ref", &g.Ref, extension(oidSourceRef))
	i.want("GitLab pipeline source", &g.PipelineSource, extension(oidTrigger))
	i.want("GitLab environment", &g.Environment, extension(oidEnvironment))
	i.want("GitLab runner", &g.Runner, extension(oidRunner))
}

// buildkite: the subject is the pipeline's address, and there is no claim of its
// own for either part (fulcio pkg/identity/buildkite).
func (i *profile) buildkite(b *buildkiteEntry) {
	if b == nil {
		return
	}
	part := func(n int) func(*verify.Certificate) []string {
		return func(c *verify.Certificate) []string {
			path := under(buildkite, c.SAN)
			if c.SANType != "URI" || len(path) != 2 {
				return nil
			}
			parts := strings.Split(path[0], "/")
			if len(parts) != 2 {
				return nil
			}
			return some(parts[n])
		}
	}
	i.want("Buildkite organization", &b.Organization, part(0))
	i.want("Buildkite pipeline", &b.Pipeline, part(1))
}
