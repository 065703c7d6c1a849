package policy

// summaryEntry accepts a verification summary (SLSA VSA) in place of the other demands
// of the rule; see Summaries.
type summaryEntry struct {
	node
	// From names the signers whose summary counts. Each of them decides alone what the
	// rule's other demands would decide.
	From []text `policy:"from,required" example:"verifier"`
	// Verifier lists the IDs that a summary may give its verifier.
	Verifier []text `policy:"verifier" default:"https://hallmark.dev/verifier" example:"https://ci.acme.example/verifier"`
	// Levels lists what the summary must say was verified. A higher level of the same
	// SLSA track will do.
	Levels []text `policy:"levels" default:"none" example:"SLSA_BUILD_LEVEL_3"`
	// MaxAge is how long ago the image may have been verified, by what the summary says,
	// and the summary signed, by its trusted time where there is one.
	MaxAge span `policy:"maxAge" default:"any age" example:"7d"`
}
