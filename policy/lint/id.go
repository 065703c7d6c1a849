package lint

import "slices"

// ID names a kind of finding. It stays what it is from version to version.
type ID string

// The kinds of findings.
const (
	Invalid           ID = "policy-invalid"
	UnmatchedWarn     ID = "unmatched-warn"
	ModeWarn          ID = "mode-warn"
	Anyone            ID = "insecure-anyone"
	SignerUnused      ID = "signer-unused"
	SignerEnds        ID = "signer-ends-soon"
	KeyTwice          ID = "key-twice"
	RootUnused        ID = "root-unused"
	RootUnpinned      ID = "root-unpinned"
	RootEnds          ID = "root-ends-soon"
	RootWeak          ID = "root-asks-little"
	RuleWeaker        ID = "rule-weaker"
	RuleEnded         ID = "rule-ended"
	PatternTwice      ID = "pattern-covered"
	PatternShort      ID = "pattern-short-name"
	PatternEverything ID = "pattern-everything"
	PlatformsIndex    ID = "platforms-index"
	NoProvenance      ID = "keyless-without-provenance"
	ProvenanceAny     ID = "provenance-any-source"
	StatementAny      ID = "statement-any-content"
	NoTime            ID = "no-trusted-time"
	ScanAnyAge        ID = "scan-any-age"
	ScanAny           ID = "scan-any"
	SBOMUnchecked     ID = "sbom-unchecked"
	SummaryAnyAge     ID = "summary-any-age"
	GroupUnused       ID = "group-unused"
	ExceptionEnds     ID = "exception-ends-soon"
	ExceptionAll      ID = "exception-skips-all"
	RuleWithoutImages ID = "rule-without-images"
	ImageUnmatched    ID = "image-unmatched"
)

// About says what a kind of finding means.
type About struct {
	ID       ID
	Severity Severity
	Text     string // one sentence
}

// All lists every kind of finding, in the order of the documentation.
func All() []About {
	return []About{
		{Invalid, Error, "The policy cannot be used; it allows nothing."},
		{UnmatchedWarn, Warning, "Images that no rule governs are allowed."},
		{ModeWarn, Warning, "What a rule refuses is allowed, and only reported."},
		{Anyone, Warning, "A signer is an identity that anybody could have."},
		{SignerUnused, Warning, "No rule names the signer."},
		{SignerEnds, Warning, "After the next 30 days no key of the signer counts."},
		{KeyTwice, Warning, "Two signers have one key, and count as one wherever signers are counted."},
		{RootUnused, Note, "No signer is proved with the trust root."},
		{RootUnpinned, Note, "The file of a trust root is read without comparing its digest: whoever writes it decides who is trusted."},
		{RootEnds, Warning, "An authority or a log of the trust root ends within 30 days."},
		{RootWeak, Warning, "The trust root asks for no log, or no certificate log, where its kind has them."},
		{RuleWeaker, Warning, "The rule takes images from a wider one and demands less of them."},
		{RuleEnded, Warning, "The rule's last day is over or near."},
		{PatternTwice, Note, "Another pattern of the rule covers it."},
		{PatternShort, Warning, "A pattern without a host means Docker Hub, and governs no image of another registry."},
		{PatternEverything, Note, "The rule governs every image that no other rule does."},
		{PlatformsIndex, Warning, "An SBOM or a scan of an index says nothing about the platforms below it."},
		{NoProvenance, Note, "A CI system signs, and the rule does not ask what it built."},
		{ProvenanceAny, Warning, "Provenance of any source is accepted."},
		{StatementAny, Note, "Only the statement's type is demanded: whatever it says is accepted."},
		{NoTime, Warning, "An age or the latest is wanted of signers that prove no time: what they sign never counts."},
		{ScanAnyAge, Warning, "A scan of any age is accepted: what was found since then is not known."},
		{ScanAny, Warning, "One good scan is enough, so that an old one hides what a newer one found."},
		{SBOMUnchecked, Note, "The SBOM is not compared with what is in the image: it lists what its signer says."},
		{SummaryAnyAge, Warning, "A summary of a verification counts however old it is."},
		{GroupUnused, Note, "No rule names the group."},
		{ExceptionEnds, Warning, "The exception is over, or ends within 30 days."},
		{ExceptionAll, Warning, "With the exception nothing at all is demanded of the image."},
		{RuleWithoutImages, Warning, "The rule governs none of the given images."},
		{ImageUnmatched, Warning, "No rule governs a given image."},
	}
}

// About says what the kind means; of an unknown one it says that it is an error.
func (id ID) About() About {
	all := All()
	if i := slices.IndexFunc(all, func(a About) bool { return a.ID == id }); i >= 0 {
		return all[i]
	}
	return About{ID: id, Severity: Error}
}
