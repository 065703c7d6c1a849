package predicate

import (
	"encoding/json"
	"fmt"
	"strings"

	slsa1 "github.com/in-toto/attestation/go/predicates/provenance/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// readV1 reads the predicate of https://slsa.dev/spec/v1.0/provenance, schema.
func readV1(tree object) (Provenance, error) {
	for _, old := range []string{"builder", "buildType", "invocation", "materials", "metadata", "recipe"} {
		if _, found := tree[old]; found {
			return Provenance{}, fmt.Errorf("%w: it has the field %q of an older version", ErrMalformed, old)
		}
	}
	definition, details, err := sectionsV1(tree)
	if err != nil {
		return Provenance{}, err
	}
	external, err := definition.object("externalParameters")
	if err != nil {
		return Provenance{}, err
	}
	if len(external) == 0 {
		return Provenance{}, fmt.Errorf("%w: no buildDefinition.externalParameters", ErrMalformed)
	}
	p := Provenance{}
	if p.Parameters, err = flatten(map[string]any(external)); err != nil {
		return Provenance{}, err
	}
	message := &slsa1.Provenance{}
	known := object{"buildDefinition": definition.without("internalParameters", "externalParameters"), "runDetails": details.without("byproducts")}
	if err := known.decode(func(raw []byte) error {
		return protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(raw, message)
	}); err != nil {
		return Provenance{}, err
	}
	p.BuildType = message.GetBuildDefinition().GetBuildType()
	p.Builder = message.GetRunDetails().GetBuilder().GetId()
	if p.BuildType == "" {
		return Provenance{}, fmt.Errorf("%w: %w", ErrMalformed, slsa1.ErrBuildTypeRequired)
	}
	if p.Builder == "" {
		return Provenance{}, fmt.Errorf("%w: %w", ErrMalformed, slsa1.ErrBuilderIdRequired)
	}
	metadata := message.GetRunDetails().GetMetadata()
	if err := metadata.Validate(); err != nil {
		return Provenance{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	p.Invocation = metadata.GetInvocationId()
	if metadata.GetStartedOn() != nil {
		p.StartedOn = metadata.GetStartedOn().AsTime()
	}
	if metadata.GetFinishedOn() != nil {
		p.FinishedOn = metadata.GetFinishedOn().AsTime()
	}
	dependencies := message.GetBuildDefinition().GetResolvedDependencies()
	if len(dependencies) > maxDependencies {
		return Provenance{}, fmt.Errorf("%w: %d dependencies, at most %d are read", ErrMalformed, len(dependencies), maxDependencies)
	}
	for _, d := range dependencies {
		p.Dependencies = append(p.Dependencies, Dependency{Name: d.GetName(), URI: d.GetUri(), Digest: d.GetDigest()})
	}
	stated, err := p.statedV1(external)
	if err != nil {
		return Provenance{}, err
	}
	return p, p.setSource(stated)
}

// sectionsV1 returns the two parts of the predicate with exactly named fields.
func sectionsV1(tree object) (definition, details object, err error) {
	if err := tree.exact("buildDefinition", "runDetails"); err != nil {
		return nil, nil, err
	}
	if definition, err = tree.object("buildDefinition"); err != nil {
		return nil, nil, err
	}
	if details, err = tree.object("runDetails"); err != nil {
		return nil, nil, err
	}
	if err := definition.exact("buildType", "externalParameters", "internalParameters", "resolvedDependencies"); err != nil {
		return nil, nil, err
	}
	if err := details.exact("builder", "metadata", "byproducts"); err != nil {
		return nil, nil, err
	}
	builder, err := details.object("builder")
	if err != nil {
		return nil, nil, err
	}
	metadata, err := details.object("metadata")
	if err != nil {
		return nil, nil, err
	}
	if err := builder.exact("id", "version", "builderDependencies"); err != nil {
		return nil, nil, err
	}
	if err := metadata.exact("invocationId", "startedOn", "finishedOn"); err != nil {
		return nil, nil, err
	}
	// GitLab writes the number of its job where SLSA wants a text.
	if number, isNumber := metadata["invocationId"].(json.Number); isNumber {
		fixed := metadata.without("invocationId")
		fixed["invocationId"] = number.String()
		details = details.without("metadata")
		details["metadata"] = map[string]any(fixed)
	}
	return definition, details, nil
}

// statedV1 collects the places of the published build types that name a source:
// GitHub's workflow, GitLab's source, BuildKit's configSource.
func (p *Provenance) statedV1(external object) ([]statedSource, error) {
	var stated []statedSource
	workflow, err := external.object("workflow")
	if err == nil && len(workflow) > 0 {
		p.Workflow = workflow.text("path")
		stated = append(stated, statedSource{uri: workflow.text("repository"), ref: workflow.text("ref")})
	}
	for _, name := range []string{"source", "configSource"} {
		if text := external.text(name); text != "" {
			stated = append(stated, statedSource{uri: text})
			continue
		}
		source, err := external.object(name)
		if err != nil || len(source) == 0 {
			continue
		}
		digests, err := source.object("digest")
		if err != nil {
			return nil, err
		}
		set := make(map[string]string)
		for algorithm := range digests {
			set[algorithm] = digests.text(algorithm)
		}
		stated = append(stated, statedSource{uri: source.text("uri"), ref: source.text("ref"), commit: commitOf(set)})
	}
	for _, s := range stated {
		if s.ref != "" && !isRef(s.ref) {
			return nil, fmt.Errorf("%w: %q is no git ref", ErrMalformed, wording.Short(s.ref))
		}
	}
	if strings.TrimSpace(p.Workflow) != p.Workflow {
		return nil, fmt.Errorf("%w: workflow.path %q", ErrMalformed, wording.Short(p.Workflow))
	}
	return stated, nil
}

// without returns a copy that lacks some fields.
func (o object) without(names ...string) object {
	copied := make(object, len(o))
	for key, value := range o {
		copied[key] = value
	}
	for _, name := range names {
		delete(copied, name)
	}
	return copied
}
