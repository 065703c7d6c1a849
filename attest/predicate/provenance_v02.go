package predicate

import (
	"encoding/json"
	"fmt"
	"time"

	slsa02 "github.com/in-toto/in-toto-golang/in_toto/slsa_provenance/v0.2"
)

// readV02 reads the predicate of https://slsa.dev/spec/v0.2/provenance, schema.
func readV02(tree object) (Provenance, error) {
	for _, later := range []string{"buildDefinition", "runDetails"} {
		if _, found := tree[later]; found {
			return Provenance{}, fmt.Errorf("%w: it has the field %q of a later version", ErrMalformed, later)
		}
	}
	if err := exactV02(tree); err != nil {
		return Provenance{}, err
	}
	invocation, err := tree.object("invocation")
	if err != nil {
		return Provenance{}, err
	}
	metadata, err := tree.object("metadata")
	if err != nil {
		return Provenance{}, err
	}
	p := Provenance{}
	if p.Parameters, err = flatten(invocation["parameters"]); err != nil {
		return Provenance{}, err
	}
	known := tree.without("buildConfig")
	known["invocation"] = invocation.without("parameters", "environment")
	// The specification writes invocationId at the end, in-toto's type invocationID.
	p.Invocation = metadata.text("buildInvocationId")
	if other := metadata.text("buildInvocationID"); p.Invocation == "" {
		p.Invocation = other
	}
	known["metadata"] = metadata.without("buildInvocationId", "buildInvocationID")
	var body slsa02.ProvenancePredicate
	if err := known.decode(func(raw []byte) error { return json.Unmarshal(raw, &body) }); err != nil {
		return Provenance{}, err
	}
	p.Builder, p.BuildType = body.Builder.ID, body.BuildType
	if p.Builder == "" {
		return Provenance{}, fmt.Errorf("%w: no builder.id", ErrMalformed)
	}
	if p.BuildType == "" {
		return Provenance{}, fmt.Errorf("%w: no buildType", ErrMalformed)
	}
	if body.Metadata != nil {
		p.StartedOn, p.FinishedOn = timeOf(body.Metadata.BuildStartedOn), timeOf(body.Metadata.BuildFinishedOn)
	}
	if len(body.Materials) > maxDependencies {
		return Provenance{}, fmt.Errorf("%w: %d materials, at most %d are read", ErrMalformed, len(body.Materials), maxDependencies)
	}
	for _, m := range body.Materials {
		p.Dependencies = append(p.Dependencies, Dependency{URI: m.URI, Digest: m.Digest})
	}
	source := body.Invocation.ConfigSource
	p.Workflow = workflowPath(source.EntryPoint)
	return p, p.setSource([]statedSource{{uri: source.URI, commit: commitOf(source.Digest)}})
}

// exactV02 refuses field names that in-toto's type would match in another case.
func exactV02(tree object) error {
	if err := tree.exact("builder", "buildType", "invocation", "buildConfig", "metadata", "materials"); err != nil {
		return err
	}
	for name, fields := range map[string][]string{
		"builder":    {"id"},
		"invocation": {"configSource", "parameters", "environment"},
		"metadata":   {"buildStartedOn", "buildFinishedOn", "completeness", "reproducible"},
	} {
		inner, err := tree.object(name)
		if err != nil {
			return err
		}
		if err := inner.exact(fields...); err != nil {
			return err
		}
		if name == "invocation" {
			source, err := inner.object("configSource")
			if err != nil {
				return err
			}
			if err := source.exact("uri", "digest", "entryPoint"); err != nil {
				return err
			}
		}
	}
	materials, isList := tree["materials"].([]any)
	if tree["materials"] != nil && !isList {
		return fmt.Errorf("%w: materials is not a list", ErrMalformed)
	}
	for _, item := range materials {
		material, isObject := item.(map[string]any)
		if !isObject {
			return fmt.Errorf("%w: a material is not an object", ErrMalformed)
		}
		if err := object(material).exact("uri", "digest"); err != nil {
			return err
		}
	}
	return nil
}

func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
