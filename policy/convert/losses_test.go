package convert_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/policy/convert"
)

const (
	cipHead   = "apiVersion: policy.sigstore.dev/v1beta1\nkind: ClusterImagePolicy\nmetadata: {name: x}\nspec:\n  images: [{glob: reg.example/**}]\n"
	cipKey    = "  authorities:\n    - name: a\n      ctlog: {}\n      key:\n        data: |\n          KEY(ann)\n"
	kyvHead   = "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {name: x}\nspec:\n  validationFailureAction: Enforce\n  rules:\n    - name: r\n      match: {any: [{resources: {kinds: [Pod]}}]}\n      verifyImages:\n        - imageReferences: ['reg.example/*']\n"
	kyvKey    = "          attestors:\n            - entries:\n                - keys:\n                    rekor: {ignoreTlog: true}\n                    publicKeys: |-\n                      KEY(ann)\n"
	ivpHead   = "apiVersion: policies.kyverno.io/v1beta1\nkind: ImageValidatingPolicy\nmetadata: {name: x}\nspec:\n  matchImageReferences: [{glob: reg.example/*}]\n"
	ivpKey    = "  attestors:\n    - name: a\n      cosign:\n        ctlog: {insecureIgnoreTlog: true}\n        key:\n          data: |\n            KEY(ann)\n"
	ivpSigned = "  validations:\n    - expression: images.containers.map(image, verifyImageSignatures(image, [attestors.a])).all(e, e > 0)\n"
)

func containersOf(fields string) string {
	return `{"default": [{"type": "reject"}], "transports": {"docker": {"reg.example": [{"type": "sigstoreSigned", "signedIdentity": {"type": "matchRepository"}` + fields + `}]}}}`
}

// TestLosses has what the result cannot say: it is listed with its place. An image that
// everybody signed is allowed only where the stricter thing still lets it pass.
func TestLosses(t *testing.T) {
	t.Parallel()
	everything := evidence{signed: []string{"ann", "ben", "cat", "ops", "release@acme.example"}, attested: map[string]string{"ann": "PASSED"}}
	anyName := func(o *convert.Options) { o.InsecureAnyName = true }
	for name, test := range map[string]struct {
		kind    convert.Kind
		text    string
		loss    string // "" is none
		allowed bool
		change  func(*convert.Options)
	}{
		"a plain key":                      {convert.ClusterImagePolicy, cipHead + cipKey, "", true, nil},
		"v1alpha1":                         {convert.ClusterImagePolicy, strings.Replace(cipHead, "v1beta1", "v1alpha1", 1) + cipKey, "", true, nil},
		"the log is wanted by default":     {convert.ClusterImagePolicy, cipHead + strings.Replace(cipKey, "      ctlog: {}\n", "", 1), "", true, nil},
		"an own log":                       {convert.ClusterImagePolicy, cipHead + strings.Replace(cipKey, "ctlog: {}", "ctlog: {url: https://rekor.acme.example}", 1), "ctlog: another transparency log", false, nil},
		"a KMS":                            {convert.ClusterImagePolicy, cipHead + "  authorities: [{key: {kms: 'gcpkms://x'}}]\n", "source:6: spec.authorities[0].key.kms: a key that is kept elsewhere", false, nil},
		"a secret":                         {convert.ClusterImagePolicy, cipHead + "  authorities: [{key: {secretRef: {name: x}}}]\n", "key.secretRef: a key that is kept", false, nil},
		"no key":                           {convert.ClusterImagePolicy, cipHead + "  authorities: [{key: {data: hello}}]\n", "a key that Hallmark does not read", false, nil},
		"another hash":                     {convert.ClusterImagePolicy, cipHead + strings.Replace(cipKey, "key:\n", "key:\n        hashAlgorithm: sha512\n", 1), "the hash algorithm", false, nil},
		"PO-09 no authorities":             {convert.ClusterImagePolicy, cipHead + "  authorities: []\n", "no authorities", false, nil},
		"CUE on all":                       {convert.ClusterImagePolicy, cipHead + "  policy: {type: cue, data: 'x: 1'}\n" + cipKey, "spec.policy: conditions in CUE", false, nil},
		"Rego":                             {convert.ClusterImagePolicy, cipHead + cipKey + "      attestations: [{name: a, predicateType: custom, policy: {type: rego, data: 'package x'}}]\n", "policy: a condition in CUE or Rego", false, nil},
		"too much CUE":                     {convert.ClusterImagePolicy, cipHead + cipKey + "      attestations: [{name: a, predicateType: custom, policy: {type: cue, data: 'a: >5'}}]\n", "policy: a condition in CUE or Rego", false, nil},
		"a selector":                       {convert.ClusterImagePolicy, cipHead + "  match: [{group: '', version: v1, resource: pods, selector: {matchLabels: {a: b}}}]\n" + cipKey, "spec.match: it holds for some", false, nil},
		"pods":                             {convert.ClusterImagePolicy, cipHead + "  match: [{group: '', version: v1, resource: pods}]\n" + cipKey, "", true, nil},
		"PO-15 an unknown mode":            {convert.ClusterImagePolicy, cipHead + "  mode: wran\n" + cipKey, `the mode "wran"`, true, nil},
		"a signature or a statement":       {convert.ClusterImagePolicy, cipHead + cipKey + "    - {key: {kms: x}, attestations: [{name: a, predicateType: custom}]}\n", "kept elsewhere", true, nil},
		"another place":                    {convert.ClusterImagePolicy, cipHead + strings.Replace(cipKey, "      ctlog", "      source: [{oci: other.example/x}]\n      ctlog", 1), "signatures in another place", true, nil},
		"a timestamp":                      {convert.ClusterImagePolicy, cipHead + strings.Replace(cipKey, "      ctlog", "      rfc3161timestamp: {trustRootRef: x}\n      ctlog", 1), "a timestamp by an authority", false, nil},
		"an own authority":                 {convert.ClusterImagePolicy, cipHead + "  authorities: [{keyless: {url: 'https://fulcio.acme.example', identities: [{issuer: x, subject: y}]}}]\n", "url: another certificate authority", false, nil},
		"a trust root":                     {convert.ClusterImagePolicy, cipHead + cipKey + "---\napiVersion: policy.sigstore.dev/v1alpha1\nkind: TrustRoot\nmetadata: {name: x}\n", "a trust root", true, nil},
		"Kyverno":                          {convert.Kyverno, kyvHead + kyvKey, "", true, nil},
		"PO-15 an unknown action":          {convert.Kyverno, strings.Replace(kyvHead, "Enforce", "'Enforce '", 1) + strings.Replace(kyvKey, "KEY(ann)", "KEY(eve)", 1), "the mode", false, nil},
		"PO-16 left out":                   {convert.Kyverno, kyvHead + "          skipImageReferences: ['reg.example/a*']\n" + kyvKey, "images that are left out", true, nil},
		"PO-10 by digest":                  {convert.Kyverno, kyvHead + "          verifyDigest: true\n" + kyvKey, "images must be named by digest", true, nil},
		"PO-10 not required":               {convert.Kyverno, kyvHead + "          required: false\n" + kyvKey, "need not have been verified", true, nil},
		"annotations":                      {convert.Kyverno, kyvHead + "          annotations: {a: b}\n" + kyvKey, "annotations", false, nil},
		"a Notary signature":               {convert.Kyverno, kyvHead + "          type: Notary\n" + kyvKey, `signatures of the kind "Notary"`, false, nil},
		"preconditions":                    {convert.Kyverno, strings.Replace(kyvHead, "      match", "      preconditions: {all: []}\n      match", 1) + kyvKey, "a condition on the Kubernetes resource", true, nil},
		"PO-18 ignored failures":           {convert.Kyverno, strings.Replace(kyvHead, "  rules", "  failurePolicy: Ignore\n  rules", 1) + kyvKey, "when they cannot be checked", true, nil},
		"other actions":                    {convert.Kyverno, strings.Replace(kyvHead, "  rules", "  validationFailureActionOverrides: [{action: Audit, namespaces: [x]}]\n  rules", 1) + strings.Replace(kyvKey, "ann", "eve", 1), "other actions", false, nil},
		"PO-09 an empty set":               {convert.Kyverno, kyvHead + "          attestors: [{entries: []}]\n", "a set without entries", false, nil},
		"PO-09 no attestors":               {convert.Kyverno, kyvHead + "          mutateDigest: true\n", "no attestors", false, nil},
		"a certificate":                    {convert.Kyverno, kyvHead + "          attestors: [{entries: [{certificates: {cert: x}}]}]\n", "does not know", false, nil},
		"a log's key":                      {convert.Kyverno, kyvHead + strings.Replace(kyvKey, "{ignoreTlog: true}", "{pubkey: x}", 1), "with keys of their own", false, nil},
		"a JMESPath function":              {convert.Kyverno, kyvHead + kyvKey + "          attestations:\n            - type: " + testType + "\n              attestors: [{entries: [{keys: {kms: x}}]}]\n              conditions: [{all: [{key: '{{ length(x) }}', operator: Equals, value: 1}]}]\n", "cannot say in CEL", false, nil},
		"PO-19 a condition on the request": {convert.Kyverno, kyvHead + kyvKey + "          attestations:\n            - type: " + testType + "\n              attestors: [{entries: [{keys: {kms: x}}]}]\n              conditions: [{all: [{key: '{{ request.operation }}', operator: Equals, value: CREATE}]}]\n", "conditions that the converter cannot say in CEL", false, nil},
		"cosign with two names":            {convert.Cosign, "verify\n--certificate-identity\nrelease@acme.example\n--certificate-identity-regexp\n^x@acme\\.example$\n--certificate-oidc-issuer\nhttps://accounts.google.com\nreg.example/a", "a text and a regular expression", false, nil},
		"Kyverno with two names":           {convert.Kyverno, kyvHead + "          attestors: [{entries: [{keyless: {issuer: 'https://accounts.google.com', subject: '*@acme.example', subjectRegExp: '^x@acme.example$'}}]}]\n", "a text and a regular expression", false, nil},
		"a name with a wildcard":           {convert.Kyverno, kyvHead + "          attestors: [{entries: [{keyless: {issuer: 'https://accounts.google.com', subject: '*@acme.example'}}]}]\n", "", true, nil},
		"the old fields":                   {convert.Kyverno, strings.Replace(kyvHead, "imageReferences: ['reg.example/*']", "image: 'reg.example/*'", 1) + "          key: |-\n            KEY(ann)\n", "", true, nil},
		"ImageValidatingPolicy":            {convert.Kyverno, ivpHead + ivpKey + ivpSigned, "", true, nil},
		"another expression":               {convert.Kyverno, ivpHead + ivpKey + "  validations: [{expression: 'true'}]\n", `the expression "true"`, false, nil},
		"an expression that is negated":    {convert.Kyverno, ivpHead + ivpKey + strings.Replace(ivpSigned, "e > 0", "e == 0", 1), "a number that needs no signature", false, nil},
		"at least none":                    {convert.Kyverno, ivpHead + ivpKey + strings.Replace(ivpSigned, "e > 0", "e >= 0", 1), "a number that needs no signature", false, nil},
		"another variable":                 {convert.Kyverno, ivpHead + ivpKey + strings.Replace(ivpSigned, "e > 0", "f > 0", 1), "the expression", false, nil},
		"an attestor that is not there":    {convert.Kyverno, ivpHead + ivpKey + strings.Replace(ivpSigned, "attestors.a", "attestors.b", 1), "which is not there", false, nil},
		"a notary attestor":                {convert.Kyverno, ivpHead + "  attestors: [{name: a, notary: {certs: {value: x}}}]\n" + ivpSigned, "notary: something", false, nil},
		"two of one":                       {convert.Kyverno, ivpHead + ivpKey + strings.Replace(ivpSigned, "e > 0", "e > 1", 1), "2 of 1 attestors", false, nil},
		"containers":                       {convert.Containers, containersOf(`, "keyPath": "ann.pub"`), "as was asked", true, anyName},
		"the name of a signature":          {convert.Containers, containersOf(`, "keyPath": "ann.pub"`), "--insecure-any-name", false, nil},
		"a missing key":                    {convert.Containers, containersOf(`, "keyPath": "missing.pub"`), `the file "missing.pub"`, false, anyName},
		"an own PKI":                       {convert.Containers, containersOf(`, "pki": {"caRootsPath": "x"}`), "pki: certificates of an own authority", false, anyName},
		"key data":                         {convert.Containers, containersOf(`, "keyData": "` + base64.StdEncoding.EncodeToString(key(t, "ann").PEM()) + `"`), "as was asked", true, anyName},
		"certificates without a log":       {convert.Containers, containersOf(`, "fulcio": {"caData": "eA==", "oidcIssuer": "https://x", "subjectEmail": "a@b.example"}`), "certificates without a transparency log", false, anyName},
		"a requirement of later times":     {convert.Containers, strings.Replace(containersOf(""), "sigstoreSigned", "signedByMagic", 1), "the requirement", false, anyName},
		"cosign":                           {convert.Cosign, "cosign\nverify\n--key=ann.pub\n--insecure-ignore-tlog\nreg.example/a:1", "", true, nil},
		"cosign with a log":                {convert.Cosign, "verify\n--key\nann.pub\n-o\ntext\nreg.example/a@sha256:00", "", true, nil},
		"verify-attestation":               {convert.Cosign, "verify-attestation\n--key\nann.pub\n--type\n" + testType + "\nreg.example/a", "", true, nil},
		"verify-attestation, no type":      {convert.Cosign, "verify-attestation\n--key\nann.pub\nreg.example/a", "", false, nil},
		"cosign with a policy":             {convert.Cosign, "verify-attestation\n--key\nann.pub\n--policy\nx.rego\nreg.example/a", "--policy: a flag", false, nil},
		"cosign with annotations":          {convert.Cosign, "verify\n--key\nann.pub\n-a\nx=y\nreg.example/a", "-a: a flag", false, nil},
		"cosign with a KMS":                {convert.Cosign, "verify\n--key\nawskms://x\nreg.example/a", "kept elsewhere (awskms)", false, nil},
		"CL-07 claims are not checked":     {convert.Cosign, "verify\n--key\nann.pub\n--check-claims=false\nreg.example/a", "not about the image", true, nil},
		"cosign without identity":          {convert.Cosign, "verify\nreg.example/a", "does not accept", false, nil},
		"cosign with its own root":         {convert.Cosign, "verify\n--key\nann.pub\n--trusted-root\nmissing\nreg.example/a", `the file "missing"`, false, nil},
		"cosign with authorities":          {convert.Cosign, "verify\n--ca-roots\nx.pem\n--certificate-identity\nrelease@acme.example\n--certificate-oidc-issuer\nhttps://accounts.google.com\nreg.example/a", "--ca-roots: a flag", false, nil},
		"cosign with an address":           {convert.Cosign, "verify\n--certificate-identity\nrelease@acme.example\n--certificate-oidc-issuer\nhttps://accounts.google.com\nreg.example/a", "", true, nil},
		"cosign with another address":      {convert.Cosign, "verify\n--certificate-identity\nother@acme.example\n--certificate-oidc-issuer\nhttps://accounts.google.com\nreg.example/a", "", false, nil},
		"cosign with a claim":              {convert.Cosign, "verify\n--certificate-identity\nrelease@acme.example\n--certificate-oidc-issuer\nhttps://accounts.google.com\n--certificate-github-workflow-ref\nrefs/heads/main\nreg.example/a", "", false, nil},
		"cosign with an expression, any":   {convert.Cosign, "verify\n--certificate-identity-regexp\n.*\n--certificate-oidc-issuer\nhttps://accounts.google.com\nreg.example/a", "does not accept", false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			change := test.change
			if change == nil {
				change = func(*convert.Options) {}
			}
			result, p := convertText(t, test.kind, test.text, change)
			var lines []string
			for _, loss := range result.Losses {
				lines = append(lines, loss.String())
			}
			if all := strings.Join(lines, "\n"); (test.loss == "") != (all == "") || !strings.Contains(all, test.loss) {
				t.Errorf("want the loss %q in:\n%s", test.loss, all)
			}
			if got := allows(t, p, "reg.example/a", everything); got != test.allowed {
				t.Errorf("allowed: %v\n%s", got, result.Policy)
			}
		})
	}
}
