package policy

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/attest/digest"
)

// TestDocumentedExamples: every example of docs/policy.md is a policy, or becomes one
// with signers and a rule; its files are those of the tests.
func TestDocumentedExamples(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	files := func(path string) ([]byte, error) {
		switch path {
		case "roots/acme.json":
			path = "other.json"
		case "corp-root.pem":
			path = "corp.pem"
		case "corp-issuing.pem":
			path = "issuing.pem"
		case "shared/signers.yaml":
			path = "more.yaml"
		}
		return keyFiles(t)(path)
	}
	root, err := files(PublicGood)
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) < 7 {
		t.Fatalf("only %d examples were found", len(blocks))
	}
	for _, block := range blocks {
		text := strings.NewReplacer(
			"public-good, sha256: 9f2c…", "public-good, sha256: "+digest.FromBytes(root).Hex(),
			"sha256: 9f86…", "sha256: '"+digest.FromBytes([]byte(moreFile)).Hex()+"'",
			"sha256:9f86…", imageDigest.String(),
		).Replace(block[1])
		p, err := Parse("policy.md", []byte(whole(text)), files)
		if err != nil {
			t.Errorf("%v in:\n%s", err, whole(text))
			continue
		}
		img := found()
		if d := p.Decide(img, noon); d.Verdict != Deny || d.Rule == "" {
			t.Errorf("without evidence %s by %q:\n%s", d.Verdict, d.Rule, block[1])
		}
	}
}

// whole adds to an example what it leaves out.
func whole(text string) string {
	if rest, found := strings.CutPrefix(text, "require:\n"); found {
		text = "rules:\n  - name: production\n    images: [registry.acme.example/prod/**]\n    require:\n    " + strings.ReplaceAll(rest, "\n", "\n    ")
	}
	has := func(entry string) bool {
		return strings.HasPrefix(text, entry+":") || strings.Contains(text, "\n"+entry+":")
	}
	if !has("apiVersion") {
		text = fileHead + text
	}
	from := "release"
	if has("groups") {
		from = "maintainers"
	}
	if !has("signers") && !has("include") {
		text += "\nsigners: {release: {keys: [{file: a.pub}]}, testers: {keys: [{file: b.pub}]}}\n"
	}
	if !has("rules") {
		text += "\nrules:\n  - {name: production, images: [registry.acme.example/prod/**], require: {signatures: {from: [" + from + "]}, provenance: {from: [" + from + "]}}}\n"
	}
	return text
}
