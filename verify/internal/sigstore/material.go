// Package sigstore hides the engine's types: what stands here is nobody's API.
package sigstore

import "github.com/sigstore/sigstore-go/pkg/root"

// Material is a parsed trusted root, or a virtual one in tests. Nothing in it
// changes once a Root holds it.
type Material struct {
	root.TrustedMaterial

	// Revocations are the certificate revocation lists of private authorities,
	// each checked against its issuer. See [Material.Revoked].
	Revocations []*Revocation

	// Own tells that the authorities are a private PKI of the caller's: bundles may
	// then carry the intermediate certificates of their chain.
	Own bool
}
