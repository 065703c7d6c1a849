package predicate

import (
	"fmt"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// MaxProvenanceBytes bounds a provenance predicate. BuildKit's, with its whole
// build graph inside, has a few megabytes.
const MaxProvenanceBytes = 32 << 20

// maxDependencies bounds the dependencies that are read. BuildKit names its base
// images, GitHub one repository, a hermetic builder some thousand files.
const maxDependencies = 10000

// Provenance is what SLSA provenance says, whichever version says it. Every
// field is the claim of whoever signed the statement, and an empty field means
// that the claim is missing: a policy that asks for it must refuse.
type Provenance struct {
	PredicateType string // [TypeProvenanceV1] or [TypeProvenanceV02]
	Builder       string // builder.id, never empty
	BuildType     string // never empty
	// Source is the repository that was built, in the form of
	// [Source.Repository], or "" where it is not stated or its address is
	// malformed; SourceURI has what was stated.
	Source    string
	SourceURI string
	Ref       string // the git ref, such as "refs/heads/main"
	Commit    string // the full git commit of Source, in lower case
	Workflow  string // the path of a GitHub workflow in its repository
	// Invocation is the builder's own name of the run.
	Invocation string
	// Dependencies are the resolved dependencies (v1) or materials (v0.2), in order.
	Dependencies []Dependency
	// StartedOn and FinishedOn are the builder's words, zero if absent. They are
	// no trusted times.
	StartedOn, FinishedOn time.Time
	// Parameters are the external parameters (v1) or invocation parameters
	// (v0.2), flattened: "workflow.path" is the field path of the object
	// workflow, "steps.0" the first item of a list. Numbers and booleans stand as
	// JSON writes them; null, {} and [] are left out.
	Parameters map[string]string
}

// Dependency is one artifact that a build used.
type Dependency struct {
	Name   string
	URI    string
	Digest map[string]string
}

// ReadProvenance reads SLSA provenance v1 or v0.2, strictly as its type says: a
// v0.2 body under the v1 type is refused, and so is a predicate without builder
// or build type, with field names in another case, or with two statements about
// its source that disagree. Unknown fields are ignored, as SLSA's parsing rules
// want. Errors wrap [ErrUnknownType] for any other type, else [ErrMalformed].
func ReadProvenance(predicateType string, predicate []byte) (Provenance, error) {
	var read func(object) (Provenance, error)
	switch predicateType {
	case TypeProvenanceV1:
		read = readV1
	case TypeProvenanceV02:
		read = readV02
	default:
		return Provenance{}, fmt.Errorf("reading provenance: %w: %q is neither %s nor %s", ErrUnknownType, wording.Short(predicateType), TypeProvenanceV1, TypeProvenanceV02)
	}
	if len(predicate) > MaxProvenanceBytes {
		return Provenance{}, fmt.Errorf("reading provenance: %w: %d bytes, at most %d are read", ErrMalformed, len(predicate), MaxProvenanceBytes)
	}
	tree, err := parseObject(predicate)
	if err != nil {
		return Provenance{}, fmt.Errorf("reading provenance: %w", err)
	}
	p, err := read(tree)
	if err != nil {
		return Provenance{}, fmt.Errorf("reading provenance of type %s: %w", predicateType, err)
	}
	p.PredicateType = predicateType
	return p, nil
}

// statedSource is one place where a predicate names what was built.
type statedSource struct {
	uri, ref, commit string
}

// setSource takes the source from the places that state it, and its commit and
// ref from the dependency that is the same repository. A dependency alone, such
// as a submodule, never makes the source.
func (p *Provenance) setSource(stated []statedSource) error {
	for _, s := range stated {
		if s.uri == "" {
			continue
		}
		if p.SourceURI == "" {
			p.SourceURI = s.uri
		}
		parsed, err := ParseSource(s.uri)
		if err != nil {
			if p.Source != "" || p.SourceURI != s.uri {
				return fmt.Errorf("%w: it states the sources %q and %q", ErrMalformed, wording.Short(p.SourceURI), wording.Short(s.uri))
			}
			continue
		}
		if p.Source == "" && p.SourceURI != s.uri {
			return fmt.Errorf("%w: it states the sources %q and %q", ErrMalformed, wording.Short(p.SourceURI), wording.Short(s.uri))
		}
		for _, one := range []struct {
			what  string
			field *string
			value string
		}{
			{"source", &p.Source, parsed.Repository},
			{"ref", &p.Ref, parsed.Ref},
			{"ref", &p.Ref, s.ref},
			{"commit", &p.Commit, s.commit},
		} {
			if err := agree(one.what, one.field, one.value); err != nil {
				return err
			}
		}
	}
	if p.Source != "" {
		return p.completeSource()
	}
	return nil
}

// completeSource adds commit and ref from the dependencies that are the source.
func (p *Provenance) completeSource() error {
	var refs, commits []string
	for _, d := range p.Dependencies {
		parsed, err := ParseSource(d.URI)
		if err != nil || parsed.Repository != p.Source || p.Ref != "" && parsed.Ref != "" && parsed.Ref != p.Ref {
			continue
		}
		refs = appendNew(refs, parsed.Ref)
		commits = appendNew(commits, commitOf(d.Digest))
	}
	if p.Ref == "" && len(refs) == 1 {
		p.Ref = refs[0]
	}
	switch {
	case p.Commit == "" && len(commits) == 1:
		p.Commit = commits[0]
	case p.Commit != "" && len(commits) == 1 && commits[0] != p.Commit:
		return agree("commit", &p.Commit, commits[0])
	}
	return nil
}

// agree sets a field once; another value than the first is refused.
func agree(what string, field *string, value string) error {
	if value == "" || value == *field {
		return nil
	}
	if *field != "" {
		return fmt.Errorf("%w: it states the %ss %q and %q", ErrMalformed, what, wording.Short(*field), wording.Short(value))
	}
	*field = value
	return nil
}

func appendNew(list []string, text string) []string {
	if text == "" {
		return list
	}
	for _, old := range list {
		if old == text {
			return list
		}
	}
	return append(list, text)
}

// commitOf returns the git commit of a digest set. GitLab's runner wrote the
// 40 characters of a SHA-1 commit under "sha256" for years.
func commitOf(set map[string]string) string {
	for _, algorithm := range []string{"gitCommit", "sha1", "sha256"} {
		if value := set[algorithm]; isCommit(value) && (algorithm == "gitCommit" || len(value) == 40) {
			return value
		}
	}
	return ""
}

// workflowPath keeps an entry point that is a GitHub workflow's path.
func workflowPath(entryPoint string) string {
	if strings.HasPrefix(entryPoint, ".github/workflows/") {
		return entryPoint
	}
	return ""
}
