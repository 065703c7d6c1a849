package policy

// joinEntry demands that several statements fit together.
type joinEntry struct {
	node
	// Of names the statements for the conditions: each is one that meets the demand
	// of that name, `provenance`, `sbom`, `vulnerabilities` or `statements[0]`. An
	// entry of `statements` may also be named by its type.
	Of joined `policy:"of,required" example:"{build: provenance, test: test-result}"`
	// CEL lists conditions on these names; see Conditions. All must be `true` of the
	// same statements.
	CEL []text `policy:"cel,required" multiline:"yes" example:"build.predicate.runDetails.metadata.invocationId == test.predicate.url"`
}
