package policy

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/verify"
)

const fileHead = "apiVersion: hallmark.dev/v1alpha1\nkind: TrustPolicy\nmetadata: {name: acme}\n"

// moreFile is what includes include: the signer release.
const moreFile = fileHead + "signers:\n  release: {keys: [{file: a.pub}]}\n"

var including = "include: [{file: more.yaml, sha256: '" + digest.FromBytes([]byte(moreFile)).Hex() + "'}]\n"

func files(contents ...string) []File {
	var all []File
	for i, content := range contents {
		all = append(all, File{fmt.Sprintf("%d.yaml", i), []byte(content)})
	}
	return all
}

const (
	signersFile = fileHead + "signers:\n  a: {keys: [{file: a.pub}]}\n  b: {keys: [{file: b.pub}]}\ngroups: {both: [a, b]}\n"
	firstFile   = fileHead + "rules:\n  - {name: one, images: [registry.acme.example/**], require: {signatures: {from: [both], atLeast: 2}}}\nunmatched: deny\n"
	secondFile  = fileHead + "rules:\n  - {name: two, images: [x.io/*], require: {signatures: {from: [c]}}}\nsigners: {c: {keys: [{file: c.pub}]}}\nunmatched: deny\n"
)

// TestParseFiles: several files are one policy, in any order.
func TestParseFiles(t *testing.T) {
	t.Parallel()
	p, err := ParseFiles(files(signersFile, firstFile, secondFile), keyFiles(t))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, p.Decide(found(signed(t, "a"), signed(t, "b")), noon), Allow, "")
	expect(t, p.Decide(found(signed(t, "a")), noon), Deny, verify.ReasonThreshold)
	other, err := ParseFiles(files(secondFile, signersFile, firstFile), keyFiles(t))
	if err != nil || other.Digest() != p.Digest() {
		t.Errorf("the order of files makes another policy: %v", err)
	}
	again, err := Parse("again", p.YAML(), nil)
	if err != nil || again.Digest() != p.Digest() {
		t.Errorf("the canonical form is another policy: %v\n%s", err, p.YAML())
	}
	if p.Name() != "acme" {
		t.Errorf("the name is %q", p.Name())
	}
}

// TestFaultsOfFiles: each fault names its own file and line.
func TestFaultsOfFiles(t *testing.T) {
	t.Parallel()
	all := files(signersFile, firstFile, secondFile)
	for name, row := range map[string]struct {
		add, want string
	}{
		"PO-08 equal patterns":     {fileHead + "rules:\n  - {name: three, images: ['x.io/*'], require: {signatures: {from: [a]}}}\n", "3.yaml:5:28: rules[0].images[0]"},
		"one name of two rules":    {fileHead + "rules:\n  - {name: two, images: [y.io/*], require: {signatures: {from: [a]}}}\n", "3.yaml:5:12: rules[0].name"},
		"one name of two signers":  {fileHead + "signers:\n  c: {keys: [{file: d.pub}]}\n", "3.yaml:5:3: signers.c"},
		"one name of two groups":   {fileHead + "groups: {both: [a]}\n", "3.yaml:4:10: groups.both"},
		"another metadata.name":    {strings.Replace(signersFile, "acme", "other", 1), "3.yaml:3:18: metadata.name"},
		"two kinds of unmatched":   {fileHead + "unmatched: warn\n", "3.yaml:4:12: unmatched"},
		"another apiVersion":       {strings.Replace(fileHead, "v1alpha1", "v2", 1), "3.yaml:1:13: apiVersion"},
		"PO-11 misspelt":           {fileHead + "rule: []\n", "3.yaml:4:1: unknown entry"},
		"PO-12 no YAML":            {"a: [", "3.yaml:"},
		"PO-12 BOM":                {"\xef\xbb\xbf" + fileHead, "3.yaml:1:1: it starts with a byte order mark"},
		"PO-09 empty":              {"", "3.yaml:1:1: policy demands nothing"},
		"an unknown signer":        {fileHead + "rules:\n  - {name: three, images: [y.io/*], require: {signatures: {from: [aa]}}}\n", "3.yaml:5:67: rules[0].require.signatures.from[0]"},
		"a condition that is none": {fileHead + "rules:\n  - {name: three, images: [y.io/*], require: {statements: [{type: custom, from: [a], cel: ['statement ==']}]}}\n", "3.yaml:5:"},
	} {
		_, err := ParseFiles(append(all[:3:3], File{"3.yaml", []byte(row.add)}), keyFiles(t))
		if err == nil || !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, expected %s", name, err, row.want)
		}
	}
	for name, list := range map[string][]File{
		"PO-09 no file": nil, "PO-09 no rules": files(signersFile), "PO-09 no rules in two": files(signersFile, fileHead), "PO-09 no signers": files(fileHead+firstFile[len(fileHead):], fileHead),
		"PO-12 101 files": make([]File, 101), "PO-12 more than a mebibyte": files(signersFile, firstFile+strings.Repeat("#", MaxBytes/2), fileHead+strings.Repeat("#", MaxBytes/2)),
		"only broken ones": files("a: [", "b: ["),
	} {
		if p, err := ParseFiles(list, keyFiles(t)); err == nil || p != nil || !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestInclude: a file that a policy names by digest counts as if it stood there.
func TestInclude(t *testing.T) {
	t.Parallel()
	plain := fileHead + "signers:\n  release: {keys: [{file: a.pub}]}\nrules:\n  - {name: one, images: [registry.acme.example/**], require: {signatures: {from: [release]}}}\n"
	with := strings.Replace(plain, "signers:\n  release: {keys: [{file: a.pub}]}\n", including, 1)
	p := parse(t, with)
	if p.Digest() != parse(t, plain).Digest() {
		t.Errorf("the included file makes another policy:\n%s", p.YAML())
	}
	expect(t, p.Decide(found(signed(t, "a")), noon), Allow, "")
	serve := func(content string) (string, func(string) ([]byte, error)) {
		yaml := strings.Replace(with, digest.FromBytes([]byte(moreFile)).Hex(), digest.FromBytes([]byte(content)).Hex(), 1)
		return yaml, func(path string) ([]byte, error) {
			if path == "more.yaml" {
				return []byte(content), nil
			}
			return keyFiles(t)(path)
		}
	}
	for name, row := range map[string]struct{ content, want string }{
		"it includes another":     {including + moreFile, "more.yaml:1:"},
		"it says unmatched":       {moreFile + "unmatched: warn\n", "more.yaml:6:12: unmatched"},
		"it says unmatched again": {moreFile + "unmatched: deny\n", "more.yaml:6:12: unmatched"},
		"PO-11 misspelt":          {moreFile + "rulez: []\n", "more.yaml:6:1: unknown entry"},
		"PO-12 an alias bomb":     {moreFile + "x: &a [*a]\n", "more.yaml:6:"},
		"PO-12 10 MB":             {moreFile + strings.Repeat("#\n", 5<<20), "more.yaml:1:1"},
		"a rule of the same name": {moreFile + "rules:\n  - {name: one, images: [y.io/a], require: {signatures: {from: [release]}}}\n", ""},
		"PO-08 an equal pattern":  {moreFile + "rules:\n  - {name: two, images: ['registry.acme.example/**'], require: {signatures: {from: [release]}}}\n", "more.yaml:7:"},
		"no policy":               {"hello", "more.yaml:1:1"},
		"PO-09 nothing":           {"", "more.yaml:1:1"},
	} {
		yaml, read := serve(row.content)
		if _, err := Parse("policy.yaml", []byte(yaml), read); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, expected %s", name, err, row.want)
		}
	}
	for name, change := range map[string][2]string{
		"another digest":    {digest.FromBytes([]byte(moreFile)).Hex(), strings.Repeat("0", 64)},
		"no digest":         {", sha256: '" + digest.FromBytes([]byte(moreFile)).Hex() + "'", ""},
		"a missing file":    {"more.yaml", "missing.yaml"},
		"PO-09 empty":       {including, "include: []\n"},
		"twice":             {"[{", "[" + strings.TrimSuffix(strings.TrimPrefix(including, "include: ["), "]\n") + ", {"},
		"its signer, again": {"rules:", "signers:\n  release: {keys: [{file: b.pub}]}\nrules:"},
	} {
		_, err := Parse("policy.yaml", []byte(replaceOnce(t, with, change[0], change[1])), keyFiles(t))
		var first *Error
		if !errors.Is(err, ErrInvalid) || !errors.As(err, &first) || first.Line == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Parse("policy.yaml", []byte(with), nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("files are read by nobody, and the policy is accepted: %v", err)
	}
}
