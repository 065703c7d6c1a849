package sign_test

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"testing"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/sign"
	"github.com/hallmark-project/hallmark/sign/keys"
	"github.com/hallmark-project/hallmark/verify"
)

var image = digest.FromBytes([]byte("the image"))

func TestEverySignatureVerifies(t *testing.T) {
	t.Parallel()
	for _, algorithm := range keys.Algorithms() {
		t.Run(string(algorithm), func(t *testing.T) {
			t.Parallel()
			signer, err := keys.Generate(algorithm)
			if err != nil {
				t.Fatal(err)
			}
			statement, err := attest.NewStatement("app", image, "https://example.com/t", []byte(`{"a":1}`))
			if err != nil {
				t.Fatal(err)
			}
			makers := map[string]func(context.Context) (sign.Evidence, error){
				"image": func(ctx context.Context) (sign.Evidence, error) {
					return sign.Image(ctx, image, map[string]string{"a": "b"}, signer)
				},
				"statement": func(ctx context.Context) (sign.Evidence, error) { return sign.Statement(ctx, statement, image, signer) },
				"legacy": func(ctx context.Context) (sign.Evidence, error) {
					return sign.Legacy(ctx, "app", image, map[string]string{"a": "b"}, signer)
				},
				"legacy statement": func(ctx context.Context) (sign.Evidence, error) {
					return sign.LegacyStatement(ctx, statement, image, signer)
				},
				"legacy with SHA-256": func(ctx context.Context) (sign.Evidence, error) {
					return sign.Legacy(ctx, "app", image, nil, signer.WithSHA256())
				},
			}
			v, err := sign.Verifier(signer)
			if err != nil {
				t.Fatal(err)
			}
			for name, makeOne := range makers {
				made, err := makeOne(t.Context())
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				fact, err := v.Check(verify.Subject{Digest: image}, made.Evidence)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				if name == "image" || name == "legacy" {
					if fact.Annotations["a"] != "b" || fact.Kind != verify.KindSignature {
						t.Errorf("%s: %s with %v", name, fact.Kind, fact.Annotations)
					}
				}
			}
		})
	}
}

func TestBlobStreams(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("x"), 1<<20)
	for _, algorithm := range keys.Algorithms() {
		signer, err := keys.Generate(algorithm)
		if err != nil {
			t.Fatal(err)
		}
		made, err := sign.Blob(t.Context(), bytes.NewReader(content), signer)
		if err != nil {
			t.Errorf("%s: %v", algorithm, err)
			continue
		}
		v, err := sign.Verifier(signer)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Check(verify.Subject{Digest: made.Subject}, made.Evidence); err != nil {
			t.Errorf("%s: %v", algorithm, err)
		}
	}
}

// liar signs with another key than the one it names: SB-16, an own signature that
// does not verify is never returned.
type liar struct{ *keys.Signer }

func (liar) Sign(context.Context, []byte) ([]byte, error) { return []byte("no signature"), nil }

func (liar) SignDigest(context.Context, []byte) ([]byte, error) { return []byte("no signature"), nil }

func (liar) Hash() crypto.Hash { return crypto.SHA256 }

func TestWhatDoesNotVerifyIsNotReturned(t *testing.T) {
	t.Parallel()
	signer, err := keys.Generate(keys.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	var rejection *verify.Rejection
	if _, err := sign.Image(t.Context(), image, nil, liar{signer}); !errors.As(err, &rejection) {
		t.Errorf("image: %v", err)
	}
	if _, err := sign.Legacy(t.Context(), "app", image, nil, liar{signer}); !errors.As(err, &rejection) {
		t.Errorf("legacy: %v", err)
	}
	if _, err := sign.Blob(t.Context(), bytes.NewReader(nil), liar{signer}); !errors.As(err, &rejection) {
		t.Errorf("blob: %v", err)
	}
	// SB-15: nothing is signed for nothing.
	if _, err := sign.Image(t.Context(), digest.Digest{}, nil, signer); !errors.Is(err, sign.ErrNothingToSign) {
		t.Errorf("no digest: %v", err)
	}
	other, err := attest.NewStatement("", digest.FromBytes([]byte("other")), "t", []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sign.Statement(t.Context(), other, image, signer); err == nil {
		t.Error("a statement about another image was signed")
	}
}

func ExampleImage() {
	signer, err := keys.Generate(keys.ECDSAP256)
	if err != nil {
		panic(err)
	}
	evidence, err := sign.Image(context.Background(), digest.FromBytes([]byte("a manifest")), nil, signer)
	if err != nil {
		panic(err)
	}
	fmt.Println(evidence.PredicateType, evidence.Signer.KeyID == signer.Key().ID())
	// Output: https://sigstore.dev/cosign/sign/v1 true
}
