package policy

// The types of the files document*.go are the policy language: each struct is a mapping, each
// field an entry. The reader, the writer of the canonical form, docs/policy.md
// and the test that no field is without effect all walk them.
//
// Tags: `policy:"name"` names the entry; ",required" demands it, ",key" fills it
// from the mapping's own key. `default` is what a missing entry means, `example`
// one value, `later` the entries of later versions, which are refused.
// `multiline:"file"` allows the text of a whole file.

// document is the whole file.
type document struct {
	node
	// APIVersion is the version of the language.
	APIVersion text `policy:"apiVersion,required" example:"hallmark.dev/v1alpha1"`
	// Kind is always `TrustPolicy`.
	Kind text `policy:"kind,required" example:"TrustPolicy"`
	// Metadata names the policy.
	Metadata *metadata `policy:"metadata,required"`
	// Include names further files of the policy, by digest.
	Include []includeEntry `policy:"include"`
	// TrustRoots are the authorities and logs that keyless signers are proved
	// with. An identity counts only if the root of its own signer proved it.
	TrustRoots []rootEntry `policy:"trustRoots" map:"name"`
	// Signers are the parties that rules refer to by name. One entry is one
	// party, however many keys or certificates it has.
	Signers []signerEntry `policy:"signers,required" map:"name"`
	// Groups are lists of signers by a name of their own. In `from` a group stands for
	// its members, each counted by itself.
	Groups groups `policy:"groups" example:"{maintainers: [ann, ben]}"`
	// Builders say which SLSA build level builders reach, and who may speak for them.
	// What stands here counts in place of what Hallmark knows of the builder.
	Builders []builderEntry `policy:"builders"`
	// Rules say what images need. Exactly one rule governs an image: the one whose
	// pattern is the most specific.
	Rules []ruleEntry `policy:"rules,required"`
	// Exceptions let single images go without some demands, for a time.
	Exceptions []exceptionEntry `policy:"exceptions"`
	// Revoked lists signers whose evidence does not count, although it is proved, and
	// images that are denied whatever is proved.
	Revoked []revokedEntry `policy:"revoked"`
	// Unmatched says what happens to an image that no rule governs: `deny`, or
	// `warn`, which allows it and says so in the report.
	Unmatched text `policy:"unmatched" default:"deny" oneof:"deny,warn" example:"deny"`
}

// metadata is about the policy itself.
type metadata struct {
	node
	// Name stands in reports. It decides nothing.
	Name text `policy:"name,required" example:"acme-production"`
}

// ruleEntry says what some images need.
type ruleEntry struct {
	node
	// Name stands in reports; each rule has its own.
	Name text `policy:"name,required" example:"production"`
	// Images are the patterns of the names that the rule governs; see Patterns.
	Images []text `policy:"images,required" example:"registry.acme.example/prod/**"`
	// Platforms says which digests need the evidence: `index` the one that the
	// reference resolves to; `all` also every platform manifest of an index, each
	// by itself.
	Platforms text `policy:"platforms" default:"index" oneof:"index,all" example:"all"`
	// Mode says what becomes of an image that does not meet the demands: `enforce`
	// refuses it; `warn` allows it, and the report says what it would be.
	Mode text `policy:"mode" default:"enforce" oneof:"enforce,warn" example:"warn"`
	// From is when the rule begins to govern. Before, the next most specific rule does.
	From moment `policy:"from" default:"since ever" example:"2026-10-01"`
	// Until is when the rule ends: the first instant at which it does not govern.
	Until moment `policy:"until" default:"for ever" example:"2027-01-01"`
	// Require lists the demands. All of them must be met; there must be one.
	Require *requireEntry `policy:"require,required"`
}

// requireEntry holds the demands of a rule.
type requireEntry struct {
	node
	// Signatures demands signatures on the digest. An attestation is no signature.
	Signatures *signaturesEntry `policy:"signatures"`
	// Provenance demands SLSA provenance, v0.2 or v1.
	Provenance *provenanceEntry `policy:"provenance"`
	// SBOM demands a software bill of materials that has packages.
	SBOM *sbomEntry `policy:"sbom"`
	// Vulnerabilities demands a vulnerability scan that found nothing too bad.
	Vulnerabilities *vulnerabilitiesEntry `policy:"vulnerabilities"`
	// Statements demands further in-toto statements, each entry by itself.
	Statements []statementEntry `policy:"statements"`
	// SameRun lists demands whose statements must name one build: `provenance`, `sbom`,
	// `vulnerabilities`, `statements[0]`; see Several statements.
	SameRun []text `policy:"sameRun" example:"provenance"`
	// Join demands that statements fit together, each entry by itself.
	Join []joinEntry `policy:"join"`
	// Summary accepts the summary of a verification by this policy in place of all of
	// the above.
	Summary *summaryEntry `policy:"summary"`
}

// signaturesEntry demands signatures.
type signaturesEntry struct {
	node
	// From names the signers that count.
	From []text `policy:"from,required" example:"release"`
	// AtLeast is how many different signers must have signed. It counts signers,
	// not signatures, and one key never counts twice.
	AtLeast number `policy:"atLeast" default:"1" example:"2"`
	// MaxAge is how long ago each may have been signed, by its trusted time.
	MaxAge span `policy:"maxAge" default:"any age" example:"90d"`
}

// statementEntry demands one in-toto statement that meets every field.
type statementEntry struct {
	node
	// Type is the predicate type: a URI, or a short name such as `test-result`.
	Type text `policy:"type,required" example:"https://in-toto.io/attestation/test-result/v0.1"`
	// From names the signers whose statement counts.
	From []text `policy:"from,required" example:"release"`
	// Which says how several are combined: `any`: one that meets the demand is
	// enough; `all`: each must; `latest`: the one with the latest trusted time must.
	Which text `policy:"which" default:"any" oneof:"any,all,latest" example:"latest"`
	// MaxAge is how long ago it may have been signed, by its trusted time.
	MaxAge span `policy:"maxAge" default:"any age" example:"90d"`
	// CEL lists conditions on the statement; see Conditions. All must be `true`.
	CEL []text `policy:"cel" multiline:"yes" example:"statement.predicate.result == 'PASSED'"`
}
