package keyless

import (
	"errors"
	"fmt"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/sign"
	"github.com/hallmark-project/hallmark/verify"
)

// checkAll verifies a finished bundle with every witness that was asked. Package sign
// verifies what it makes of it, where a Rekor v1 and a timestamp authority can stand in
// for each other, for cosign's tag format has no place for both.
func (s *session) checkAll(wire *protobundle.Bundle) error {
	whole, copied := proto.Clone(wire).(*protobundle.Bundle)
	if !copied {
		return errors.New("copying a bundle")
	}
	whole.MediaType = sign.BundleMediaType
	raw, err := protojson.Marshal(whole)
	if err != nil {
		return fmt.Errorf("encoding a bundle: %w", err)
	}
	subject, err := subjectOf(whole)
	if err != nil {
		return err
	}
	if _, err := s.strict.Check(verify.Subject{Digest: subject}, verify.Evidence{Format: verify.FormatBundle, Raw: raw}); err != nil {
		return fmt.Errorf("verifying the new signature: %w", err)
	}
	return nil
}

// subjectOf returns what a bundle is about: its message's digest, or a subject of its
// statement.
func subjectOf(wire *protobundle.Bundle) (digest.Digest, error) {
	if sum := wire.GetMessageSignature().GetMessageDigest().GetDigest(); len(sum) > 0 {
		return digest.Parse(fmt.Sprintf("sha256:%x", sum))
	}
	statement, err := attest.ParseStatement(wire.GetDsseEnvelope().GetPayload())
	if err != nil {
		return digest.Digest{}, fmt.Errorf("reading the statement: %w", err)
	}
	for _, subject := range statement.Subject {
		for algorithm, sum := range subject.Digest {
			if parsed, err := digest.Parse(algorithm + ":" + sum); err == nil {
				return parsed, nil
			}
		}
	}
	return digest.Digest{}, errors.New("reading the statement: it has no subject with a known digest")
}
