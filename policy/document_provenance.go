package policy

// provenanceEntry demands one provenance statement that meets every field.
type provenanceEntry struct {
	node
	// From names the signers whose provenance counts.
	From []text `policy:"from,required" example:"release"`
	// Builder lists the accepted builder IDs, compared letter by letter. Without it
	// every builder that the signer names is accepted.
	Builder []text `policy:"builder" default:"any" example:"https://github.com/actions/runner/github-hosted"`
	// Level is the SLSA build level that the builder must reach: as `builders` says, or
	// as is known of it; see Provenance. A builder that is unknown has none.
	Level number `policy:"level" default:"any" example:"3"`
	// Source is the address of the repository that must have been built. Scheme and
	// host are compared without regard to case, the path letter by letter.
	Source text `policy:"source" default:"any" example:"https://github.com/acme/app"`
	// Ref is the git ref that must have been built: exact, or with `*` inside a
	// part, or with `/**` at the end.
	Ref text `policy:"ref" default:"any" example:"refs/tags/v*"`
	// BuildType lists the accepted build types, compared letter by letter.
	BuildType []text `policy:"buildType" default:"any" example:"https://actions.github.io/buildtypes/workflow/v1"`
	// Parameters are what the builder was told from outside, by dotted path. Each that
	// is listed must be there and match.
	Parameters parameters `policy:"parameters" default:"any" example:"{workflow.path: .github/workflows/release.yml}"`
	// OnlyParameters refuses provenance with a parameter that is not listed.
	OnlyParameters consent `policy:"onlyParameters" default:"others may be there" example:"true"`
	// Materials are what the build must have used, and must not.
	Materials *materialsEntry `policy:"materials"`
	// Which says how several are combined: `any`: one that meets the demand is
	// enough; `all`: each must; `latest`: the one with the latest trusted time must.
	Which text `policy:"which" default:"any" oneof:"any,all,latest" example:"latest"`
	// MaxAge is how long ago it may have been signed, by its trusted time.
	MaxAge span `policy:"maxAge" default:"any age" example:"90d"`
}

// materialsEntry is about what a build used: materials in SLSA v0.2, resolved
// dependencies in v1. Each is compared by its URI.
type materialsEntry struct {
	node
	// Include lists URIs, of which each must match one of the materials.
	Include matches `policy:"include" default:"none" example:"pkg:docker/golang@1.26?platform=linux%2Famd64"`
	// Exclude lists URIs, of which none may match a material.
	Exclude matches `policy:"exclude" default:"none" example:"{glob: https://untrusted.example/**}"`
}

// builderEntry says which level a builder reaches and who may speak for it.
type builderEntry struct {
	node
	// ID is the builder's, compared letter by letter.
	ID text `policy:"id,required" example:"https://build.acme.example/runner"`
	// Level is the SLSA build level that it reaches, from 1 to 3.
	Level number `policy:"level,required" example:"3"`
	// From names the signers that may say that it built something. Provenance by
	// another signer that names it is refused, whatever rule it is for.
	From []text `policy:"from,required" example:"release"`
}
