// Package sigstore hides the engine's types: what stands here is nobody's API.
package sigstore

import "github.com/sigstore/sigstore-go/pkg/root"

// Material is a parsed trusted root, or a virtual one in tests.
type Material struct{ root.TrustedMaterial }
