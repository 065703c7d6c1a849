package convert_test

import (
	"sync"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/verify"
)

var (
	imageDigest = digest.FromBytes([]byte("image"))
	noon        = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

const testType = "https://in-toto.io/attestation/test-result/v0.1"

// evidence is what is attached to an image: who signed it, and who attested to what
// with which result. Names are those of keys, or the addresses of people.
type evidence struct {
	signed   []string
	attested map[string]string // signer to result
}

// publicRoot is the digest of what the tests have for Sigstore's public root.
var publicRoot = sync.OnceValue(func() digest.Digest { return instance().Root(failing{}).Digest() })

// signer is the key of a name, or an e-mail address that Sigstore's public root proves.
func signer(t testing.TB, name string) verify.Signer {
	t.Helper()
	for i := range len(name) {
		if name[i] == '@' {
			return verify.Signer{Certificate: &verify.Certificate{Issuer: "https://accounts.google.com", SAN: name, SANType: "Email", Root: publicRoot()}}
		}
	}
	return verify.Signer{KeyID: key(t, name).ID()}
}

// facts are the evidence as package verify proves it, each in a log.
func (e evidence) facts(t testing.TB) []verify.Fact {
	t.Helper()
	subject := verify.Subject{Digest: imageDigest}
	base := verify.Fact{
		Subject: subject, Kind: verify.KindSignature,
		Times: []verify.TrustedTime{{Time: noon.AddDate(0, 0, -1), Source: "log"}},
		Log:   []verify.LogEntry{{LogID: "00", Time: noon.AddDate(0, 0, -1)}},
	}
	var all []verify.Fact
	for _, name := range e.signed {
		one := base
		one.Signer = signer(t, name)
		all = append(all, one)
	}
	for name, result := range e.attested {
		one := base
		one.Kind, one.Signer = verify.KindStatement, signer(t, name)
		one.Statement = &attest.Statement{
			Type: attest.StatementTypeV1, PredicateType: testType, Predicate: []byte(`{"result":"` + result + `"}`),
			Subject: []attest.Subject{{Digest: map[string]string{"sha256": imageDigest.Hex()}}},
		}
		all = append(all, one)
	}
	return all
}

// allows decides about an image; one that the policy only warns of is allowed.
func allows(t testing.TB, p *policy.Policy, name string, e evidence) bool {
	t.Helper()
	d := p.Decide(policy.Image{Name: name, Target: policy.Part{Subject: verify.Subject{Digest: imageDigest}, Findings: policy.Findings{Facts: e.facts(t)}}}, noon)
	return d.Verdict == policy.Allow
}
