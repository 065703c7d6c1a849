package keyless_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/sign"
	"github.com/hallmark-project/hallmark/sign/keyless"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// deadline ends a test's requests long before the test's own time is up.
const deadline = 90 * time.Second

// kit is a set of services with a source that signs with some of them.
type kit struct {
	*verifytest.Services
	tokens atomic.Int64 // how often the token was asked for
}

func newKit(t testing.TB) *kit {
	t.Helper()
	return &kit{Services: verifytest.NewServices(t)}
}

// v1, v2 and stamped are the usual choices of services.
func (k *kit) v1() keyless.Services {
	return keyless.Services{CertificateAuthority: k.Fulcio.URL, Logs: []keyless.Log{{URL: k.Rekor1.URL, Version: 1}}}
}

func (k *kit) v2() keyless.Services {
	return keyless.Services{
		CertificateAuthority: k.Fulcio.URL, Logs: []keyless.Log{{URL: k.Rekor2.URL, Version: 2}},
		TimestampAuthorities: []string{k.TSA.URL},
	}
}

func (k *kit) stamped() keyless.Services {
	return keyless.Services{CertificateAuthority: k.Fulcio.URL, TimestampAuthorities: []string{k.TSA.URL}}
}

// options are those of a source over the given services.
func (k *kit) options(t testing.TB, services keyless.Services) keyless.Options {
	t.Helper()
	return keyless.Options{
		Services: services, Root: k.Instance.Root(t), Now: k.Now,
		Token: func(context.Context) (string, error) {
			k.tokens.Add(1)
			return k.Token, nil
		},
	}
}

func (k *kit) source(t testing.TB, services keyless.Services) *keyless.Source {
	t.Helper()
	source, err := keyless.New(k.options(t, services))
	if err != nil {
		t.Fatal(err)
	}
	source.Hurry()
	return source
}

func (k *kit) signer(t testing.TB, services keyless.Services) sign.Notary {
	t.Helper()
	signer, err := k.source(t, services).Signer(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// refused fails unless the error is one without any evidence beside it, and does not
// quote the token (KE-15).
func (k *kit) refused(t testing.TB, evidence sign.Evidence, err error) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if len(evidence.Raw) > 0 || evidence.Annotations != nil {
		t.Errorf("evidence beside the error %v", err)
	}
	k.tokenless(t, err)
}

// tokenless fails if an error quotes the token or a part of it.
func (k *kit) tokenless(t testing.TB, err error) {
	t.Helper()
	for _, part := range strings.Split(k.Token, ".") {
		if strings.Contains(err.Error(), part[:16]) { // messages cut what they quote
			t.Errorf("the error quotes the identity token: %v", err)
		}
	}
}

// soon is a context that ends before the test runner loses patience.
func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	t.Cleanup(cancel)
	return ctx
}

// way is one of the things that are signed.
type way struct {
	name   string
	legacy bool
	sign   func(ctx context.Context, s sign.Notary) (sign.Evidence, error)
}

func ways() []way {
	image := verifytest.Image
	statement := func() *attest.Statement {
		return &attest.Statement{
			Type: attest.StatementTypeV1, Subject: []attest.Subject{{Digest: map[string]string{image.Algorithm(): image.Hex()}}},
			PredicateType: verifytest.PredicateType, Predicate: []byte(`{"made":"here"}`),
		}
	}
	return []way{
		{"image", false, func(ctx context.Context, s sign.Notary) (sign.Evidence, error) { return sign.Image(ctx, image, nil, s) }},
		{"statement", false, func(ctx context.Context, s sign.Notary) (sign.Evidence, error) {
			return sign.Statement(ctx, statement(), image, s)
		}},
		{"blob", false, func(ctx context.Context, s sign.Notary) (sign.Evidence, error) {
			return sign.Blob(ctx, strings.NewReader("some content"), s)
		}},
		{"legacy image", true, func(ctx context.Context, s sign.Notary) (sign.Evidence, error) {
			return sign.Legacy(ctx, "registry.example/app", image, nil, s)
		}},
		{"legacy statement", true, func(ctx context.Context, s sign.Notary) (sign.Evidence, error) {
			return sign.LegacyStatement(ctx, statement(), image, s)
		}},
	}
}

// image signs the image of the tests.
func image(ctx context.Context, s sign.Notary) (sign.Evidence, error) {
	return sign.Image(ctx, verifytest.Image, nil, s)
}

// check verifies evidence apart from the signer, as a reader does.
func (k *kit) check(t testing.TB, v *verify.Verifier, evidence sign.Evidence) verify.Fact {
	t.Helper()
	fact, err := v.Check(verify.Subject{Digest: evidence.Subject}, evidence.Evidence)
	if err != nil {
		t.Fatalf("a reader refuses it: %v", err)
	}
	return fact
}
