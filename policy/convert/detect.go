package convert

import (
	"fmt"
	"strings"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// detect finds the kind of a document by what it says of itself.
func detect(n node) (Kind, error) {
	apiVersion, kind := n.field("apiVersion").text(), n.field("kind").text()
	group, _, _ := strings.Cut(apiVersion, "/")
	switch {
	case group == "policy.sigstore.dev":
		return ClusterImagePolicy, nil
	case group == "kyverno.io", group == "policies.kyverno.io":
		return Kyverno, nil
	case n.field("trustPolicies").there():
		return Notation, nil
	case apiVersion == "" && n.field("default").there():
		return Containers, nil
	case apiVersion != "":
		return "", fmt.Errorf("%s: %s of %q: %w", n.place(), wording.Short(kind), wording.Short(apiVersion), ErrKind)
	}
	return "", fmt.Errorf("%s: neither apiVersion nor `trustPolicies` nor `default` stands there: %w", n.place(), ErrKind)
}
