package predicate_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hallmark-project/hallmark/attest/predicate"
)

const (
	commit = "c27d339ee6075c1f744c5d4b200f7901aad2c369"
	github = `{
  "buildDefinition": {
    "buildType": "https://actions.github.io/buildtypes/workflow/v1",
    "externalParameters": {"workflow": {"ref": "refs/tags/v1.2", "repository": "https://github.com/acme/app", "path": ".github/workflows/release.yml"}},
    "internalParameters": {"github": {"event_name": "push"}},
    "resolvedDependencies": [
      {"uri": "git+https://github.com/acme/lib@refs/heads/main", "digest": {"gitCommit": "1111111111111111111111111111111111111111"}},
      {"uri": "git+https://github.com/acme/app@refs/tags/v1.2", "digest": {"gitCommit": "` + commit + `"}}
    ]
  },
  "runDetails": {
    "builder": {"id": "https://github.com/actions/runner/github-hosted"},
    "metadata": {"invocationId": "https://github.com/acme/app/actions/runs/7/attempts/1", "startedOn": "2026-03-01T10:00:00Z", "finishedOn": "2026-03-01T12:00:00+01:00"}
  }
}`
	generator = `{
  "builder": {"id": "https://github.com/slsa-framework/slsa-github-generator/.github/workflows/generator_container_slsa3.yml@refs/tags/v2.0.0"},
  "buildType": "https://github.com/slsa-framework/slsa-github-generator/container@v1",
  "invocation": {
    "configSource": {"uri": "git+https://github.com/acme/app@refs/heads/main", "digest": {"sha1": "` + commit + `"}, "entryPoint": ".github/workflows/release.yml"},
    "parameters": {"inputs": {"fast": true, "jobs": 4}},
    "environment": {"github_run_id": "7"}
  },
  "metadata": {"buildInvocationID": "7-1", "buildStartedOn": "2026-03-01T10:00:00Z", "completeness": {"parameters": true, "environment": false, "materials": false}, "reproducible": false},
  "materials": [{"uri": "git+https://github.com/acme/app@refs/heads/main", "digest": {"sha1": "` + commit + `"}}]
}`
	gitlab = `{
  "buildDefinition": {
    "buildType": "https://gitlab.com/gitlab-org/gitlab-runner/-/blob/v18.3.0/PROVENANCE.md",
    "externalParameters": {"source": "https://gitlab.com/acme/app", "entryPoint": "build", "variables": {"CI_COMMIT_TAG": "v1", "list": ["a", null, {"b": 1.50}]}},
    "resolvedDependencies": [{"uri": "https://gitlab.com/acme/app", "digest": {"gitCommit": "` + commit + `"}}]
  },
  "runDetails": {"builder": {"id": "https://gitlab.com/acme/app/-/runners/33"}, "metadata": {"invocationId": 412}}
}`
)

func TestReadProvenance(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		uri, body string
		want      predicate.Provenance
	}{
		"GitHub v1": {predicate.TypeProvenanceV1, github, predicate.Provenance{
			Builder: "https://github.com/actions/runner/github-hosted", BuildType: "https://actions.github.io/buildtypes/workflow/v1",
			Source: "https://github.com/acme/app", SourceURI: "https://github.com/acme/app", Ref: "refs/tags/v1.2", Commit: commit,
			Workflow: ".github/workflows/release.yml", Invocation: "https://github.com/acme/app/actions/runs/7/attempts/1",
			Dependencies: []predicate.Dependency{
				{URI: "git+https://github.com/acme/lib@refs/heads/main", Digest: map[string]string{"gitCommit": strings.Repeat("1", 40)}},
				{URI: "git+https://github.com/acme/app@refs/tags/v1.2", Digest: map[string]string{"gitCommit": commit}},
			},
			StartedOn: start, FinishedOn: start.Add(time.Hour),
			Parameters: map[string]string{"workflow.ref": "refs/tags/v1.2", "workflow.repository": "https://github.com/acme/app", "workflow.path": ".github/workflows/release.yml"},
		}},
		"slsa-github-generator v0.2": {predicate.TypeProvenanceV02, generator, predicate.Provenance{
			Builder:   "https://github.com/slsa-framework/slsa-github-generator/.github/workflows/generator_container_slsa3.yml@refs/tags/v2.0.0",
			BuildType: "https://github.com/slsa-framework/slsa-github-generator/container@v1",
			Source:    "https://github.com/acme/app", SourceURI: "git+https://github.com/acme/app@refs/heads/main", Ref: "refs/heads/main", Commit: commit,
			Workflow: ".github/workflows/release.yml", Invocation: "7-1", StartedOn: start,
			Dependencies: []predicate.Dependency{{URI: "git+https://github.com/acme/app@refs/heads/main", Digest: map[string]string{"sha1": commit}}},
			Parameters:   map[string]string{"inputs.fast": "true", "inputs.jobs": "4"},
		}},
		"GitLab v1 with a number as invocation": {predicate.TypeProvenanceV1, gitlab, predicate.Provenance{
			Builder: "https://gitlab.com/acme/app/-/runners/33", BuildType: "https://gitlab.com/gitlab-org/gitlab-runner/-/blob/v18.3.0/PROVENANCE.md",
			Source: "https://gitlab.com/acme/app", SourceURI: "https://gitlab.com/acme/app", Commit: commit, Invocation: "412",
			Dependencies: []predicate.Dependency{{URI: "https://gitlab.com/acme/app", Digest: map[string]string{"gitCommit": commit}}},
			Parameters:   map[string]string{"source": "https://gitlab.com/acme/app", "entryPoint": "build", "variables.CI_COMMIT_TAG": "v1", "variables.list.0": "a", "variables.list.2.b": "1.50"},
		}},
		"BuildKit v1": {
			predicate.TypeProvenanceV1,
			`{"buildDefinition": {"buildType": "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md",
			  "externalParameters": {"configSource": {"uri": "https://github.com/acme/app.git#refs/heads/main:docker", "digest": {"sha1": "` + commit + `"}, "path": "Dockerfile"}, "request": {}}},
			  "runDetails": {"builder": {"id": "https://builder.example"}}}`,
			predicate.Provenance{
				Builder: "https://builder.example", BuildType: "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md",
				Source: "https://github.com/acme/app.git", SourceURI: "https://github.com/acme/app.git#refs/heads/main:docker", Ref: "refs/heads/main", Commit: commit,
				Parameters: map[string]string{"configSource.uri": "https://github.com/acme/app.git#refs/heads/main:docker", "configSource.digest.sha1": commit, "configSource.path": "Dockerfile"},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := predicate.ReadProvenance(c.uri, []byte(c.body))
			if err != nil {
				t.Fatal(err)
			}
			c.want.PredicateType = c.uri
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestProvenanceMalformed breaks one thing at a time: DS-20 and its like.
func TestProvenanceMalformed(t *testing.T) {
	t.Parallel()
	swap := func(body, old, with string) string {
		if !strings.Contains(body, old) {
			panic("the mutant changes nothing: " + old)
		}
		return strings.Replace(body, old, with, 1)
	}
	for name, c := range map[string]struct{ uri, body string }{
		"DS-20 v1 type with a v0.2 body":          {predicate.TypeProvenanceV1, generator},
		"DS-20 v0.2 type with a v1 body":          {predicate.TypeProvenanceV02, github},
		"DS-20 v1 with v0.2 fields beside":        {predicate.TypeProvenanceV1, swap(github, "{", `{"builder":{"id":"https://evil.example"},`)},
		"DS-20 v1 without builder":                {predicate.TypeProvenanceV1, swap(github, `"builder"`, `"bulider"`)},
		"DS-20 v1 without builder id":             {predicate.TypeProvenanceV1, swap(github, `"id"`, `"url"`)},
		"DS-20 v1 with an empty builder id":       {predicate.TypeProvenanceV1, swap(gitlab, "https://gitlab.com/acme/app/-/runners/33", "")},
		"DS-20 v1 without build type":             {predicate.TypeProvenanceV1, swap(github, `"buildType"`, `"buildKind"`)},
		"DS-20 v1 without parameters":             {predicate.TypeProvenanceV1, swap(github, `"externalParameters"`, `"parameters"`)},
		"DS-20 v0.2 without builder":              {predicate.TypeProvenanceV02, swap(generator, `"builder"`, `"bulider"`)},
		"DS-20 v0.2 without build type":           {predicate.TypeProvenanceV02, swap(generator, `"buildType"`, `"kind"`)},
		"DS-20 v1 in another case":                {predicate.TypeProvenanceV1, swap(github, `"buildType"`, `"BuildType"`)},
		"DS-20 v1 in protobuf's names":            {predicate.TypeProvenanceV1, swap(github, `"runDetails"`, `"run_details"`)},
		"DS-20 v0.2 in another case":              {predicate.TypeProvenanceV02, swap(generator, `"configSource"`, `"configsource"`)},
		"DS-20 v0.2 material in another case":     {predicate.TypeProvenanceV02, swap(generator, `"materials": [{"uri"`, `"materials": [{"URI"`)},
		"DS-11 a key twice":                       {predicate.TypeProvenanceV1, swap(github, `"builder"`, `"builder": {"id": "https://evil.example"}, "builder"`)},
		"DS-12 a text":                            {predicate.TypeProvenanceV1, `"provenance"`},
		"DS-12 a list":                            {predicate.TypeProvenanceV1, `[` + github + `]`},
		"DS-12 null":                              {predicate.TypeProvenanceV1, `null`},
		"DS-12 a number where an object belongs":  {predicate.TypeProvenanceV1, swap(gitlab, `{"invocationId": 412}`, `7`)},
		"DS-19 two sources":                       {predicate.TypeProvenanceV1, swap(gitlab, `"entryPoint"`, `"workflow": {"repository": "https://gitlab.com/acme/evil"}, "entryPoint"`)},
		"DS-19 two sources, one malformed":        {predicate.TypeProvenanceV1, swap(gitlab, `"entryPoint"`, `"workflow": {"repository": "https://gitlab.com@evil/acme"}, "entryPoint"`)},
		"DS-19 two refs":                          {predicate.TypeProvenanceV1, swap(github, `"repository": "https://github.com/acme/app"`, `"repository": "https://github.com/acme/app@refs/heads/evil"`)},
		"DS-19 the commit of the source disputed": {predicate.TypeProvenanceV02, swap(generator, `"materials": [{"uri": "git+https://github.com/acme/app@refs/heads/main", "digest": {"sha1": "c`, `"materials": [{"uri": "git+https://github.com/acme/app@refs/heads/main", "digest": {"sha1": "d`)},
		"two parameters of one flat name":         {predicate.TypeProvenanceV1, swap(github, `"externalParameters": {`, `"externalParameters": {"workflow.ref": "refs/heads/main", `)},
		"a time that is none":                     {predicate.TypeProvenanceV1, swap(github, "2026-03-01T10:00:00Z", "yesterday")},
		"more than the limit":                     {predicate.TypeProvenanceV1, strings.Repeat(" ", predicate.MaxProvenanceBytes) + github},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := predicate.ReadProvenance(c.uri, []byte(c.body))
			if !errors.Is(err, predicate.ErrMalformed) {
				t.Errorf("got %+v, %v", p, err)
			}
		})
	}
	if _, err := predicate.ReadProvenance(predicate.TypeSPDX, []byte(github)); !errors.Is(err, predicate.ErrUnknownType) {
		t.Errorf("another type: %v", err)
	}
}

// TestDS19SourceNearMisses: what only resembles the wanted source is another one.
func TestDS19SourceNearMisses(t *testing.T) {
	t.Parallel()
	want := predicate.Source{Repository: "https://github.com/acme/app", Ref: "refs/heads/main"}
	for _, same := range []string{
		"git+https://github.com/acme/app@refs/heads/main",
		"https://github.com/acme/app@refs/heads/main",
		"HTTPS://GitHub.com/acme/app@refs/heads/main",
		"https://github.com/acme/app#refs/heads/main",
	} {
		got, err := predicate.ParseSource(same)
		if err != nil || got != want {
			t.Errorf("DS-19 %s is %+v, %v", same, got, err)
		}
	}
	for _, other := range []string{
		"git+https://github.com/acme/app.git@refs/heads/main",
		"git+https://github.com/acme/app",
		"git+https://github.com/Acme/app@refs/heads/main",
		"git+https://github.com/acme/app@refs/heads/Main",
		"git+https://github.com/acme/app@refs/heads/main2",
		"git+https://github.com/acme/app@refs/heads/evil@refs/heads/main",
		"git+https://github.com/acme/app@refs/tags/main",
		"git+https://github.com/acme/app-evil@refs/heads/main",
		"git+https://github.com/acme/app/sub@refs/heads/main",
		"git+https://github.com.evil.example/acme/app@refs/heads/main",
		"git+https://github.com:8443/acme/app@refs/heads/main",
		"git+http://github.com/acme/app@refs/heads/main",
		"git+ssh://github.com/acme/app@refs/heads/main",
	} {
		got, err := predicate.ParseSource(other)
		if err != nil || got == want {
			t.Errorf("DS-19 %s is %+v, %v", other, got, err)
		}
	}
	for _, malformed := range []string{
		"", "github.com/acme/app", "git+git+https://github.com/acme/app", "https://", "https://github.com", "https://github.com/",
		"https://github.com@evil.example/acme/app", "https://user:secret@github.com/acme/app", "https://github.com//acme/app",
		"https://github.com/acme/app/", "https://github.com/acme/../acme/app", "https://github.com/acme/./app", "https://github.com/acme/app?x=1",
		"https://github.com/acme/%61pp", "https://github.com/acme/app@", "https://github.com/acme/app@-x", "https://github.com/acme/app@a b",
		"https://github.com/acme/app@refs/heads/main\n", "https://github.com/acmé/app", "https://github.com/acme\\app", "https://[::1]/acme/app",
		"file:///acme/app", "git@github.com:acme/app", "https://github.com:/acme/app", "https://github..com/acme/app", "https://" + strings.Repeat("a", 5000),
	} {
		if got, err := predicate.ParseSource(malformed); !errors.Is(err, predicate.ErrSource) {
			t.Errorf("DS-19 %q is %+v, %v", malformed, got, err)
		}
	}
}

// TestDS19SubmoduleIsNoSource: a dependency never becomes the source.
func TestDS19SubmoduleIsNoSource(t *testing.T) {
	t.Parallel()
	body := `{"buildDefinition": {"buildType": "https://b.example", "externalParameters": {"target": "all"},
	  "resolvedDependencies": [{"uri": "git+https://github.com/acme/app@refs/heads/main", "digest": {"gitCommit": "` + commit + `"}}]},
	  "runDetails": {"builder": {"id": "https://b.example"}}}`
	p, err := predicate.ReadProvenance(predicate.TypeProvenanceV1, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if p.Source != "" || p.SourceURI != "" || p.Ref != "" || p.Commit != "" {
		t.Errorf("DS-19 the source comes from a dependency: %+v", p)
	}
	evil := strings.Replace(github, `"repository": "https://github.com/acme/app"`, `"repository": "https://github.com/evil/app"`, 1)
	if p, err = predicate.ReadProvenance(predicate.TypeProvenanceV1, []byte(evil)); err != nil {
		t.Fatal(err)
	}
	if p.Source != "https://github.com/evil/app" || p.Commit != "" {
		t.Errorf("DS-19 the commit of a dependency became the source's: %+v", p)
	}
}

func ExampleReadProvenance() {
	p, err := predicate.ReadProvenance("https://slsa.dev/provenance/v1", []byte(github))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Source, p.Ref)
	fmt.Println(p.Parameters["workflow.path"])
	// Output:
	// https://github.com/acme/app refs/tags/v1.2
	// .github/workflows/release.yml
}

// FuzzReadProvenance: what is read has a builder and a build type, its source is
// stated in the bytes, and reading is repeatable.
func FuzzReadProvenance(f *testing.F) {
	f.Add(true, []byte(github))
	f.Add(true, []byte(gitlab))
	f.Add(false, []byte(generator))
	f.Fuzz(func(t *testing.T, one bool, raw []byte) {
		uri, other := predicate.TypeProvenanceV1, predicate.TypeProvenanceV02
		if !one {
			uri, other = other, uri
		}
		p, err := predicate.ReadProvenance(uri, raw)
		if err != nil {
			return
		}
		if p.Builder == "" || p.BuildType == "" {
			t.Fatalf("no builder or build type: %+v", p)
		}
		if _, err := predicate.ReadProvenance(other, raw); err == nil {
			t.Fatal("one body is provenance of both types")
		}
		if p.Source != "" {
			source, err := predicate.ParseSource(p.SourceURI)
			if err != nil || source.Repository != p.Source {
				t.Fatalf("source %q is not %q: %v", p.Source, p.SourceURI, err)
			}
		}
		again, err := predicate.ReadProvenance(uri, raw)
		if err != nil || !cmp.Equal(p, again) {
			t.Fatalf("read twice, two meanings: %s", cmp.Diff(p, again))
		}
	})
}

// FuzzParseSource: DS-19, a source that was read is written and read as itself,
// and a changed byte is another source, but for the case of scheme and host.
func FuzzParseSource(f *testing.F) {
	f.Add("git+https://github.com/acme/app@refs/heads/main", uint16(30), byte('x'))
	f.Add("https://host.example:8443/a/b.git#v1:dir", uint16(9), byte('H'))
	f.Fuzz(func(t *testing.T, address string, at uint16, with byte) {
		source, err := predicate.ParseSource(address)
		if err != nil {
			if source != (predicate.Source{}) {
				t.Fatalf("%+v and %v", source, err)
			}
			return
		}
		if again, err := predicate.ParseSource(source.String()); err != nil || again != source {
			t.Fatalf("%q became %q: %v", source, again, err)
		}
		if bare, err := predicate.ParseSource(source.Repository); err != nil || bare.Repository != source.Repository || bare.Ref != "" {
			t.Fatalf("%q became %q: %v", source.Repository, bare, err)
		}
		if strings.Contains(address, "#") { // BuildKit's folder is no part of the source
			return
		}
		changed := []byte(address)
		i := int(at) % len(changed)
		changed[i] = with
		if strings.EqualFold(string(changed), address) || with == '#' || with == '@' {
			return // the case of a host, or the other separator
		}
		if other, err := predicate.ParseSource(string(changed)); err == nil && other == source {
			t.Fatalf("%q and %q are one source", address, changed)
		}
	})
}
