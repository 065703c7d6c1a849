package sign

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify"
)

// ErrNotByDigest: the signer needs the whole message and cannot sign a stream.
var ErrNotByDigest = errors.New("the signer cannot sign by digest")

// Blob signs content as a message signature in a Sigstore bundle. The content is
// read once and streamed: memory does not grow with it. Ed25519 keys make
// Ed25519ph over SHA-512, which is what Sigstore's logs take; cosign 2 verifies
// only pure Ed25519 when it is given a key.
func Blob(ctx context.Context, content io.Reader, s DigestSigner) (Evidence, error) {
	algorithm := map[crypto.Hash]protocommon.HashAlgorithm{
		crypto.SHA256: protocommon.HashAlgorithm_SHA2_256,
		crypto.SHA384: protocommon.HashAlgorithm_SHA2_384,
		crypto.SHA512: protocommon.HashAlgorithm_SHA2_512,
	}[s.Hash()]
	if algorithm == protocommon.HashAlgorithm_HASH_ALGORITHM_UNSPECIFIED {
		return Evidence{}, fmt.Errorf("signing content: %w with %v", ErrNotByDigest, s.Hash())
	}
	h := s.Hash().New()
	if _, err := io.Copy(h, &cancelled{ctx: ctx, inner: content}); err != nil {
		return Evidence{}, fmt.Errorf("reading the content: %w", err)
	}
	sum := h.Sum(nil)
	sig, err := s.SignDigest(ctx, sum)
	if err != nil {
		return Evidence{}, fmt.Errorf("signing content: %w", err)
	}
	raw, err := encodeBundle(ctx, s, &protobundle.Bundle{Content: &protobundle.Bundle_MessageSignature{MessageSignature: &protocommon.MessageSignature{
		MessageDigest: &protocommon.HashOutput{Algorithm: algorithm, Digest: sum},
		Signature:     sig,
	}}})
	if err != nil {
		return Evidence{}, err
	}
	return proved(verify.Evidence{Format: verify.FormatBundle, Raw: raw}, digest.FromHash(h), "", s)
}

// cancelled ends a long read when its context ends.
type cancelled struct {
	ctx   context.Context
	inner io.Reader
}

func (c *cancelled) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.inner.Read(p)
}
