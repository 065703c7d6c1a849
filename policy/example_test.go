package policy_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
)

const opsKey = `-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
`

const acmePolicy = `apiVersion: hallmark.dev/v1alpha1
kind: TrustPolicy
metadata: {name: acme}
signers:
  ops: {keys: [{file: ops.pub}]}
rules:
  - name: production
    images: [registry.acme.example/prod/**]
    require:
      signatures: {from: [ops]}
      sbom: {from: [ops], deny: {packages: ["pkg:npm/event-stream@3.3.6"]}}
`

func readKey(path string) ([]byte, error) {
	if path != "ops.pub" {
		return nil, errors.New("no such file")
	}
	return []byte(opsKey), nil
}

func ExampleParse() {
	p, err := policy.Parse("acme.yaml", []byte(acmePolicy), readKey)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Name())
	_, err = policy.Parse("acme.yaml", []byte("apiVersion: hallmark.dev/v1alpha1\nkinds: TrustPolicy\n"), readKey)
	var first *policy.Error
	if errors.As(err, &first) {
		fmt.Printf("line %d: %s\n", first.Line, first.Hint)
	}
	// Output:
	// acme
	// line 1:
}

func ExamplePolicy_Plan() {
	p, err := policy.Parse("acme.yaml", []byte(acmePolicy), readKey)
	if err != nil {
		fmt.Println(err)
		return
	}
	plan, err := p.Plan("registry.acme.example/prod/app")
	fmt.Println(plan.Rule, plan.Signatures, plan.PredicateTypes, err)
	_, err = p.Plan("nginx")
	fmt.Println(err)
	// Output:
	// production true [https://cyclonedx.org/bom https://spdx.dev/Document https://spdx.dev/Document/v2.3] <nil>
	// planning the check of "nginx": POLICY_NO_MATCH: no rule of policy "acme" matches docker.io/library/nginx
}

func ExamplePolicy_Decide() {
	key, err := trust.ParsePublicKey([]byte(opsKey))
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err := policy.ForKey(key)
	if err != nil {
		fmt.Println(err)
		return
	}
	subject := verify.Subject{Digest: digest.FromBytes([]byte("manifest"))}
	// Package verify makes facts; this one stands for a checked signature.
	fact := verify.Fact{Subject: subject, Kind: verify.KindSignature, Signer: verify.Signer{KeyID: key.ID()}}
	image := policy.Image{
		Name:   "registry.acme.example/app",
		Target: policy.Part{Subject: subject, Findings: policy.Findings{Facts: []verify.Fact{fact}}},
	}
	decision := p.Decide(image, time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
	fmt.Println(decision.Verdict, decision.Demands[0].Found)

	image.Target.Findings.Facts = nil
	decision = p.Decide(image, time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
	fmt.Println(decision.Verdict, decision.Reason, "wanted:", decision.Demands[0].Wanted)
	// Output:
	// allow 1 signature by 1 signer
	// deny NO_SIGNATURE wanted: a signature by key
}

func ExampleMatchesImage() {
	for _, name := range []string{"registry.io/team/app", "registry.io/team-evil/app"} {
		matches, err := policy.MatchesImage("registry.io/team/*", name)
		fmt.Println(name, matches, err)
	}
	// Output:
	// registry.io/team/app true <nil>
	// registry.io/team-evil/app false <nil>
}
