package policy

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// key makes the one test key of a name.
func key(t testing.TB, name string) trust.Key {
	t.Helper()
	seed := sha256.Sum256([]byte(name))
	k, err := trust.NewKey(ed25519.NewKeyFromSeed(seed[:]).Public())
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// instances are two Sigstores that know nothing of each other.
var instances = sync.OnceValue(func() [2]*verifytest.Instance {
	var t failing
	return [2]*verifytest.Instance{verifytest.NewInstance(t), verifytest.NewInstance(t)}
})

// failing stands for a test where there is none: what fails panics.
type failing struct{ testing.TB }

func (failing) Helper()           {}
func (failing) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

// keyFiles serves "NAME.pub" for every name that has no "missing" in it, and the
// trust roots of the instances.
func keyFiles(t testing.TB) func(string) ([]byte, error) {
	return func(path string) ([]byte, error) {
		switch in := instances(); path {
		case PublicGood, "root.json":
			return in[0].TrustedRoot(t), nil
		case "more.yaml":
			return []byte(moreFile), nil
		case "other.json":
			return in[1].TrustedRoot(t), nil
		case "corp.pem":
			return certificatePEM(in[0].CA.Root), nil
		case "issuing.pem":
			return certificatePEM(in[0].CA.Intermediate), nil
		case "corp2.pem":
			return certificatePEM(in[1].CA.Root), nil
		case "tsa.pem":
			return certificatePEM(in[0].TSA.Root), nil
		case "tsa2.pem":
			return certificatePEM(in[1].TSA.Root), nil
		}
		name, isKey := strings.CutSuffix(path, ".pub")
		if !isKey || strings.Contains(name, "missing") {
			return nil, errors.New("no such file")
		}
		return key(t, name).PEM(), nil
	}
}

func certificatePEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

const image = "registry.acme.example/prod/app"

var (
	imageDigest = digest.FromBytes([]byte("image"))
	noon        = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

func parse(t testing.TB, yaml string) *Policy {
	t.Helper()
	p, err := Parse("policy.yaml", []byte(yaml), keyFiles(t))
	if err != nil {
		t.Fatalf("parsing:\n%s\n%v", yaml, err)
	}
	return p
}

// policyOf wraps rules and signers a, b, c, each with a key of its name.
func policyOf(rules string) string {
	return `apiVersion: hallmark.dev/v1alpha1
kind: TrustPolicy
metadata: {name: test}
signers:
  a: {keys: [{file: a.pub}]}
  b: {keys: [{file: b.pub}]}
  c: {keys: [{file: c.pub}]}
rules:
` + rules
}

// require wraps demands into one rule for every image of the test registry.
func require(demands string) string {
	return policyOf("  - name: one\n    images: [registry.acme.example/**]\n    require:\n" + indent(demands, "      "))
}

func indent(s, by string) string {
	return by + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n"+by) + "\n"
}

func subject() verify.Subject { return verify.Subject{Repository: image, Digest: imageDigest} }

func origin(n int) verify.Origin {
	return verify.Origin{Place: "referrers-api", Location: image, Manifest: digest.FromBytes(fmt.Append(nil, n))}
}

// signed is a signature by the key of a name.
func signed(t testing.TB, name string) verify.Fact {
	return verify.Fact{Subject: subject(), Kind: verify.KindSignature, Signer: verify.Signer{KeyID: key(t, name).ID()}, Checks: []verify.Step{verify.StepSignature}, Origin: origin(len(name))}
}

// attested is a statement by the key of a name.
func attested(t testing.TB, name, predicateType, body string) verify.Fact {
	return verify.Fact{
		Subject: subject(), Kind: verify.KindStatement, Signer: verify.Signer{KeyID: key(t, name).ID()}, Origin: origin(len(body)),
		Statement: &attest.Statement{
			Type:          attest.StatementTypeV1,
			Subject:       []attest.Subject{{Name: image, Digest: map[string]string{"sha256": imageDigest.Hex()}}},
			PredicateType: predicateType,
			Predicate:     []byte(body),
		},
	}
}

const (
	testType = predicate.TypeTestResult
	passed   = `{"result":"PASSED","runId":7}`
	failed   = `{"result":"FAILED","runId":8}`
)

// provenance is a v1 body.
func provenanceBody(builder, source, ref string) string {
	return fmt.Sprintf(`{"buildDefinition":{"buildType":"https://actions.github.io/buildtypes/workflow/v1","externalParameters":{"workflow":{"ref":%q,"repository":%q,"path":".github/workflows/release.yml"}},"resolvedDependencies":[{"uri":"git+%s@%s","digest":{"gitCommit":"0123456789012345678901234567890123456789"}}]},"runDetails":{"builder":{"id":%q}}}`,
		ref, source, source, ref, builder)
}

const (
	hosted = "https://github.com/actions/runner/github-hosted"
	source = "https://github.com/acme/app"
	tagRef = "refs/tags/v1.2.3"
)

// spdx is an SPDX body with the given package URLs.
func spdx(purls ...string) string {
	var packages []string
	for i, purl := range purls {
		packages = append(packages, fmt.Sprintf(`{"SPDXID":"SPDXRef-%d","name":"p%d","versionInfo":"1","externalRefs":[{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":%q}]}`, i, i, purl))
	}
	return `{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","name":"x","packages":[` + strings.Join(packages, ",") + `]}`
}

// cyclonedx is a CycloneDX body with the given package URLs.
func cyclonedx(purls ...string) string {
	var components []string
	for i, purl := range purls {
		components = append(components, fmt.Sprintf(`{"type":"library","name":"p%d","version":"1","purl":%q}`, i, purl))
	}
	return `{"bomFormat":"CycloneDX","specVersion":"1.6","version":1,"components":[` + strings.Join(components, ",") + `]}`
}

// found makes an image with facts on its own digest.
func found(facts ...verify.Fact) Image {
	return Image{Name: image, Target: Part{Subject: subject(), Findings: Findings{Facts: facts}}}
}

// expect says how a decision must turn out.
func expect(t *testing.T, d Decision, verdict Verdict, reason verify.Reason) {
	t.Helper()
	if d.Verdict != verdict || d.Reason != reason {
		t.Errorf("decided %s/%s, expected %s/%s: %+v", d.Verdict, d.Reason, verdict, reason, d.Demands)
	}
}

// fault parses a policy that must be refused, and returns the first fault.
func fault(t *testing.T, yaml string) *Error {
	t.Helper()
	_, err := Parse("policy.yaml", []byte(yaml), keyFiles(t))
	if err == nil {
		t.Errorf("accepted:\n%s", yaml)
		return &Error{Err: errors.New("none")}
	}
	if !errors.Is(err, ErrInvalid) {
		t.Errorf("the error does not wrap ErrInvalid: %v", err)
	}
	var first *Error
	if !errors.As(err, &first) || first.File != "policy.yaml" {
		t.Fatalf("no *Error with the file in %v", err)
	}
	return first
}
