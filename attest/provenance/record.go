// Package provenance makes SLSA v1 provenance from what is known where a build
// runs: the environment of GitHub Actions or GitLab CI, or a git checkout.
//
//	record, err := provenance.Detect(ctx, os.Getenv, ".", started)
//	if err != nil { … }                    // says which variable or remote is missing
//	st, err := attest.NewStatement(name, image, record.Type, record.Predicate)
//
// Such provenance is written by the build itself: whoever can change the build
// can change it. It is worth what its signature and the signer's policy make it.
// Only the variables of [GitHubVariables] and [GitLabVariables] are read, each is
// checked for its form, and nothing else of the environment is recorded.
//
// The build types are https://actions.github.io/buildtypes/workflow/v1 (any
// event), https://docs.gitlab.com/ci/pipeline_security/slsa/provenance_v1 (with
// those variables alone), and [LocalBuildType]: its external parameters are
// "source", an SPDX download location, and "dirty": true where the checkout had
// changes that no commit has. The commit is then no resolved dependency, as it
// is not what was built, but the internal parameter "baseCommit".
package provenance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	slsa1 "github.com/in-toto/attestation/go/predicates/provenance/v1"
	intoto "github.com/in-toto/attestation/go/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hallmark-project/hallmark/attest/predicate"
)

// Build types and the builder of a build outside any CI.
const (
	GitHubBuildType = "https://actions.github.io/buildtypes/workflow/v1"
	GitLabBuildType = "https://docs.gitlab.com/ci/pipeline_security/slsa/provenance_v1"
	LocalBuildType  = "https://hallmark.dev/buildtypes/local/v1"
	// LocalBuilder is a person's own machine. No policy should trust it to
	// have built what it says.
	LocalBuilder = "https://hallmark.dev/builders/local"
)

// Errors of this package.
var (
	// ErrEnvironment: a variable of the CI system is missing or is not what the
	// system would set; run it in a job, or make the provenance elsewhere.
	ErrEnvironment = errors.New("incomplete CI environment")
	// ErrCheckout: no git, no checkout, no commit, or no remote "origin" that
	// others could fetch from.
	ErrCheckout = errors.New("no usable git checkout")
)

// Record is provenance that was made, ready to be attested.
type Record struct {
	System    string // "github", "gitlab" or "git"
	Type      string // the predicate type, [predicate.TypeProvenanceV1]
	Predicate []byte // one JSON object; equal facts give equal bytes
	// The rest repeats the predicate, for messages to people.
	Builder, Source, Ref, Commit string
	// Dirty: the checkout had uncommitted changes, so no commit is claimed.
	Dirty bool
}

// Detect makes provenance for the place it runs in: GitHub Actions or GitLab CI
// where their environment is there, else the git checkout that holds dir. An
// environment of both is refused with [ErrEnvironment]. started becomes the
// start of the run; the zero time leaves it out, but for what GitLab says.
func Detect(ctx context.Context, env func(string) string, dir string, started time.Time) (*Record, error) {
	onGitHub, onGitLab := env("GITHUB_ACTIONS") == "true", env("GITLAB_CI") == "true"
	switch {
	case onGitHub && onGitLab:
		return nil, fmt.Errorf("making provenance: %w: both GITHUB_ACTIONS and GITLAB_CI are set", ErrEnvironment)
	case onGitHub:
		return FromGitHub(env, started)
	case onGitLab:
		return FromGitLab(env, started)
	}
	return FromGit(ctx, env, dir, started)
}

// facts are what all systems have in common.
type facts struct {
	system, buildType, builder, invocation string
	version                                map[string]string
	external, internal                     map[string]any
	source                                 predicate.Source
	commit                                 string // "" where the source is no commit
	started                                time.Time
}

// record writes the facts as a predicate of in-toto's own type, and reads it
// again as a policy will.
func (f facts) record() (*Record, error) {
	external, err := structpb.NewStruct(f.external)
	if err != nil {
		return nil, fmt.Errorf("making provenance: external parameters: %w", err)
	}
	source := &intoto.ResourceDescriptor{Uri: f.source.String()}
	if f.commit != "" {
		source.Digest = map[string]string{"gitCommit": f.commit}
	}
	message := &slsa1.Provenance{
		BuildDefinition: &slsa1.BuildDefinition{
			BuildType: f.buildType, ExternalParameters: external,
			ResolvedDependencies: []*intoto.ResourceDescriptor{source},
		},
		RunDetails: &slsa1.RunDetails{Builder: &slsa1.Builder{Id: f.builder, Version: f.version}},
	}
	if len(f.internal) > 0 {
		if message.BuildDefinition.InternalParameters, err = structpb.NewStruct(f.internal); err != nil {
			return nil, fmt.Errorf("making provenance: internal parameters: %w", err)
		}
	}
	if f.invocation != "" || !f.started.IsZero() {
		message.RunDetails.Metadata = &slsa1.BuildMetadata{InvocationId: f.invocation}
	}
	if !f.started.IsZero() {
		message.RunDetails.Metadata.StartedOn = timestamppb.New(f.started.UTC().Truncate(time.Second))
	}
	if err := message.Validate(); err != nil {
		return nil, fmt.Errorf("making provenance: %w", err)
	}
	raw, err := protojson.Marshal(message)
	if err != nil {
		return nil, fmt.Errorf("making provenance: %w", err)
	}
	// protojson sets blanks at random, on purpose; the same facts shall be the
	// same bytes.
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		return nil, fmt.Errorf("making provenance: %w", err)
	}
	read, err := predicate.ReadProvenance(predicate.TypeProvenanceV1, compact.Bytes())
	if err != nil {
		return nil, fmt.Errorf("making provenance: %w", err)
	}
	if read.Source != f.source.Repository || read.Ref != f.source.Ref || read.Commit != f.commit {
		return nil, fmt.Errorf("making provenance: it would be read as %s at %q %q, not %s %q", read.Source, read.Ref, read.Commit, f.source, f.commit)
	}
	return &Record{
		System: f.system, Type: predicate.TypeProvenanceV1, Predicate: compact.Bytes(),
		Builder: read.Builder, Source: read.Source, Ref: read.Ref, Commit: read.Commit,
	}, nil
}

// variables reads an environment and keeps the first complaint.
type variables struct {
	env func(string) string
	err error
}

// must returns a variable that has to be set and to pass check.
func (v *variables) must(name string, check func(string) bool) string {
	value := v.env(name)
	switch {
	case v.err != nil:
	case value == "":
		v.err = fmt.Errorf("making provenance: %w: %s is not set", ErrEnvironment, name)
	case !check(value):
		// The value is not shown: what should be an identifier may be a secret.
		v.err = fmt.Errorf("making provenance: %w: %s has not the form that the CI system gives it", ErrEnvironment, name)
	}
	return value
}

// may returns a variable that passes check, or "".
func (v *variables) may(name string, check func(string) bool) string {
	if value := v.env(name); value != "" && check(value) {
		return value
	}
	return ""
}

// Forms of variables.

func isDigits(text string) bool {
	return text != "" && len(text) <= 20 && strings.Trim(text, "0123456789") == ""
}

func isCommit(text string) bool {
	return (len(text) == 40 || len(text) == 64) && strings.Trim(text, "0123456789abcdef") == ""
}

// isWord accepts identifiers such as "workflow_dispatch", "github-hosted", "18.3.0".
func isWord(text string) bool {
	return consistsOf(text, 64, "._-")
}

// isPath accepts a relative path of plain characters.
func isPath(text string) bool {
	return consistsOf(text, 1024, "._-/+@ ") && !strings.HasPrefix(text, "/") && !strings.Contains(text, "..")
}

// isRefName accepts a branch or tag name, or a full ref.
func isRefName(text string) bool {
	source, err := predicate.ParseSource("https://host.example/repository@" + text)
	return err == nil && source.Ref == text && len(text) <= 1024
}

func isFullRef(text string) bool { return strings.HasPrefix(text, "refs/") && isRefName(text) }

// isLabel accepts a name that a person chose: one line of printable text.
func isLabel(text string) bool {
	for _, r := range text {
		if r < ' ' || r == 0x7f || r == '\ufffd' {
			return false
		}
	}
	return text != "" && len(text) <= 255
}

func isRepository(text string) bool {
	source, err := predicate.ParseSource(text)
	return err == nil && source.Ref == "" && source.Repository == text
}

func consistsOf(text string, limit int, others string) bool {
	for _, c := range []byte(text) {
		alphanumeric := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alphanumeric && strings.IndexByte(others, c) < 0 {
			return false
		}
	}
	return text != "" && len(text) <= limit
}
