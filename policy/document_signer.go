package policy

// rootEntry is one set of authorities and logs: a Sigstore trusted root, or the
// certificates of one's own authority, not both.
type rootEntry struct {
	node
	// Name is what signers call the root: letters, digits, `.`, `_` and `-`.
	Name text `policy:",key"`
	// Sigstore is `public-good`, the path of a trusted_root.json relative to the
	// policy's folder, or its text.
	Sigstore text `policy:"sigstore" multiline:"file" example:"roots/acme.json"`
	// SHA256 is what the file of a `sigstore` root must hash to, in hexadecimal: a file
	// that somebody else keeps cannot change what is trusted.
	SHA256 text `policy:"sha256" example:"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"`
	// X509 is an authority of one's own, without a transparency log.
	X509 *authorityEntry `policy:"x509"`
	// Log is how many different transparency logs must hold the signature.
	Log count `policy:"log" default:"1; 0 under x509" example:"2"`
	// Timestamps is how many different authorities or logs must vouch for the time of
	// signing. At least one: a certificate proves nothing without.
	Timestamps count `policy:"timestamps" default:"1" example:"1"`
	// SCT is how many different certificate transparency logs must know the
	// certificate.
	SCT count `policy:"sct" default:"1; 0 under x509" example:"0"`
}

// authorityEntry is an authority of one's own. Each entry is a path relative to
// the policy's folder, or the PEM text itself.
type authorityEntry struct {
	node
	// Roots are the trusted CA certificates.
	Roots text `policy:"roots,required" multiline:"file" example:"corp-root.pem"`
	// Intermediates are CA certificates that chains may pass through.
	Intermediates text `policy:"intermediates" multiline:"file" example:"corp-issuing.pem"`
	// CRL is a revocation list, in PEM or DER, signed by one of these authorities.
	CRL text `policy:"crl" multiline:"file" example:"corp.crl"`
	// TimestampRoots are the certificates of the time stamping authority.
	TimestampRoots text `policy:"timestampRoots,required" multiline:"file" example:"tsa.pem"`
}

// signerEntry is one party: it has keys, a keyless identity, or both, and signs
// with either.
type signerEntry struct {
	node
	// Name is what rules call the signer: letters, digits, `.`, `_` and `-`.
	Name text `policy:",key"`
	// Keys are the public keys of this signer: any of them signs for it. Two keys
	// of one signer are one signer, never two.
	Keys []keyEntry `policy:"keys"`
	// TimesFrom names the entry of `trustRoots` whose logs and timestamp authorities
	// say when the keys signed; its `log` and `timestamps` then hold for the keys'
	// signatures too. Without it nobody does.
	TimesFrom text `policy:"timesFrom" example:"public"`
	// Keyless is the identity that its certificates prove.
	Keyless *keylessEntry `policy:"keyless"`
}

// keyEntry is one public key: a file or the key itself, not both.
type keyEntry struct {
	node
	// File is the path of a PEM public key, relative to the policy's folder.
	File text `policy:"file" example:"keys/ops-2026.pub"`
	// PEM is the PEM public key itself.
	PEM text `policy:"pem" multiline:"yes" example:"-----BEGIN PUBLIC KEY-----…"`
	// NotBefore is when the key's time begins. Each trusted time of a signature must lie
	// in the key's time; where there is none, now must.
	NotBefore moment `policy:"notBefore" default:"since ever" example:"2026-01-01"`
	// NotAfter is when the key's time ends. What trusted times say was signed before
	// still counts.
	NotAfter moment `policy:"notAfter" default:"for ever" example:"2027-01-01"`
	// CompromisedSince is when others may have had the key. Only what trusted times say
	// was signed before counts.
	CompromisedSince moment `policy:"compromisedSince" default:"never" example:"2025-06-01T00:00:00Z"`
}

// keylessEntry is an identity. Every field that is written must match. It needs an
// issuer, and a subject or a CI system's claims that name a project and what
// ran there; see Identities.
type keylessEntry struct {
	node
	// TrustRoot names the entry of `trustRoots` that must have proved the
	// certificate.
	TrustRoot text `policy:"trustRoot,required" example:"public"`
	// Issuer is who vouched for the identity, compared letter by letter. Only under a
	// root of the kind `x509` it may be left away, and then the certificate must
	// name none.
	Issuer matches `policy:"issuer" default:"none" example:"https://token.actions.githubusercontent.com"`
	// Subject is the certificate's name, with its type.
	Subject *subjectEntry `policy:"subject"`
	// GitHub are the claims of a GitHub Actions token.
	GitHub *githubEntry `policy:"github"`
	// GitLab are the claims of a GitLab CI token.
	GitLab *gitlabEntry `policy:"gitlab"`
	// Buildkite are the claims of a Buildkite token.
	Buildkite *buildkiteEntry `policy:"buildkite"`
	// Extensions are further claims by the OID of their certificate extension.
	Extensions claims `policy:"extensions" example:"{\"1.3.6.1.4.1.57264.1.20\": push}"`
	// InsecureAnyone allows an identity that anybody could have. Each report says
	// so.
	InsecureAnyone consent `policy:"insecureAnyone" example:"true"`
}

// subjectEntry is the subject alternative name: exactly one type.
type subjectEntry struct {
	node
	// URI is a workflow, or another workload, by its address.
	URI matches `policy:"uri" example:"https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main"`
	// Email is a person or service account.
	Email matches `policy:"email" example:"[release@acme.example, security@acme.example]"`
	// DNS is a host.
	DNS matches `policy:"dns" example:"build.acme.example"`
}

// revokedEntry is an image, a key or an identity that is no longer trusted, whoever
// lists it.
type revokedEntry struct {
	node
	// Digest is that of an image or an index, which is denied under every name and rule,
	// also where the policy only warns.
	Digest text `policy:"digest" example:"sha256:9f86…"`
	// Key is the ID of a key, as reports show it.
	Key text `policy:"key" example:"sha256:9f86…"`
	// Subject is the name in a certificate, of whatever type.
	Subject matches `policy:"subject" example:"leaver@acme.example"`
	// Issuer is the certificate's issuer. With a subject, both must match.
	Issuer matches `policy:"issuer" example:"https://accounts.google.com"`
	// Since is when the trust ended. What trusted times say was signed before still
	// counts; what has no trusted time does not. Without it nothing counts.
	Since moment `policy:"since" default:"always" example:"2026-05-01"`
	// Reason stands in reports.
	Reason text `policy:"reason,required" example:"laptop stolen"`
}

// githubEntry are claims of GitHub Actions. A repository on another server than
// github.com is written with its whole address.
type githubEntry struct {
	node
	// Repository is the repository that was built, also where a reusable workflow of
	// another repository signed.
	Repository matches `policy:"repository" example:"acme/app"`
	// Owner is the organisation or user that owns the repository.
	Owner matches `policy:"owner" example:"acme"`
	// OwnerID is the owner's number, which no later owner of the name has.
	OwnerID matches `policy:"ownerID" example:"\"5678\""`
	// Workflow is the file that signed: a path in the repository that was built, or,
	// with owner and repository before it, a reusable workflow.
	Workflow matches `policy:"workflow" example:".github/workflows/release.yml"`
	// Ref is the git ref that was built.
	Ref matches `policy:"ref" example:"{glob: refs/tags/v*}"`
	// Event is what started the workflow.
	Event matches `policy:"event" example:"push"`
	// Runner is where it ran: `github-hosted` or `self-hosted`.
	Runner matches `policy:"runner" example:"github-hosted"`
	// Environment is the deployment environment of the job.
	Environment matches `policy:"environment" example:"production"`
}

// gitlabEntry are claims of GitLab CI. The server is the issuer's.
type gitlabEntry struct {
	node
	// Project is the project that was built, with its groups.
	Project matches `policy:"project" example:"acme/app"`
	// Ref is the git ref that was built.
	Ref matches `policy:"ref" example:"refs/heads/main"`
	// PipelineSource is what started the pipeline.
	PipelineSource matches `policy:"pipelineSource" example:"push"`
	// Environment is the deployment environment of the job.
	Environment matches `policy:"environment" example:"production"`
	// Runner is where it ran: `gitlab-hosted` or `self-hosted`.
	Runner matches `policy:"runner" example:"gitlab-hosted"`
}

// buildkiteEntry are claims of Buildkite. Both are needed.
type buildkiteEntry struct {
	node
	// Organization is the organisation's slug.
	Organization matches `policy:"organization,required" example:"acme"`
	// Pipeline is the pipeline's slug.
	Pipeline matches `policy:"pipeline,required" example:"release"`
}
