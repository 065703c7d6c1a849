package policy

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/verify/trust"
)

// TestWorkIsBounded: files of less than a megabyte that would take minutes to read
// are refused.
func TestWorkIsBounded(t *testing.T) {
	t.Parallel()
	var patterns, names strings.Builder
	patterns.WriteString(fileHead + "signers: {a: {keys: [{file: a.pub}]}}\nrules:\n")
	for i := range 900 {
		pattern := strings.Repeat("a", 980) + strconv.Itoa(i)
		if i%2 == 0 {
			pattern = "*" + strings.Repeat("a", 490) + "b" + strconv.Itoa(i) + "*"
		}
		fmt.Fprintf(&patterns, "  - {name: r%d, images: ['r.example/%s'], require: {signatures: {from: [a]}}}\n", i, pattern)
	}
	names.WriteString(fileHead + "signers:\n")
	var members []string
	for i := range 1000 {
		seed := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
		key, err := trust.NewKey(ed25519.NewKeyFromSeed(seed[:]).Public())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&names, "  s%d: {keys: [{pem: %q}]}\n", i, key.PEM())
		members = append(members, fmt.Sprintf("s%d", i))
	}
	names.WriteString("groups:\n  g: [" + strings.Join(members, ", ") + "]\nrules:\n")
	names.WriteString("  - name: one\n    images: [r.example/one]\n    require:\n      statements:\n")
	for range 200 {
		names.WriteString("        - {type: custom, from: [g]}\n")
	}
	var roots, joins strings.Builder
	roots.WriteString(fileHead + "signers: {a: {keys: [{file: a.pub}]}}\nrules: [{name: x, images: [r.example/x], require: {signatures: {from: [a]}}}]\ntrustRoots:\n")
	for i := range maxRoots + 1 {
		fmt.Fprintf(&roots, "  r%d: {sigstore: public-good}\n", i)
	}
	joins.WriteString(fileHead + "signers: {a: {keys: [{file: a.pub}]}}\nrules:\n")
	for i := range maxConditions / 1000 {
		fmt.Fprintf(&joins, "  - name: r%d\n    images: [r.example/x%d]\n    require:\n      provenance: {from: [a]}\n      join: [{of: {x: provenance, y: 'statements[0]'}, cel: ['x==y']}]\n      statements:\n", i, i)
		for j := range 1000 {
			fmt.Fprintf(&joins, "        - {type: custom, from: [a], cel: ['statement.a==%d']}\n", 1000*i+j)
		}
	}
	for wanted, text := range map[string]string{
		"101 trust roots, at most 100 are read":                    roots.String(),
		"the policy has more than 2000 different conditions":       joins.String(),
		"comparing the patterns takes too much work":               patterns.String(),
		"the lists of the policy name more than 150000 signers":    names.String(),
		"2 different signers are wanted, and the list can give at": strings.Replace(require("signatures: {from: [a, a], atLeast: 2}"), "test", "one", 1),
	} {
		if _, err := Parse("policy.yaml", []byte(text), keyFiles(t)); err == nil || strings.Count(err.Error(), wanted) != 1 {
			t.Errorf("%d bytes: %.300v, not %q", len(text), err, wanted)
		}
	}
}
