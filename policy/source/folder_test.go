package source_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/source"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

const (
	head    = "apiVersion: hallmark.dev/v1alpha1\nkind: TrustPolicy\nmetadata: {name: test}\n"
	signers = head + "signers: {a: {keys: [{file: keys/a.pub}]}}\n"
	rules   = head + "rules: [{name: all, images: [\"**\"], require: {signatures: {from: [a]}}}]\n"
)

// folder writes files below a new folder.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func parse(t *testing.T, dir string) (*policy.Policy, error) {
	t.Helper()
	f, err := source.OpenFolder(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return policy.ParseFiles(f.Files, f.Read)
}

func goodFiles(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{
		"10-signers.yaml": signers, "20-rules.yml": rules, "README.md": "no policy",
		"keys/a.pub": string(verifytest.NewKey(t, "ecdsa-p256").Trusted.PEM()), "keys/.hidden": "not looked at",
	}
}

// TestFolder: the files of a folder are one policy, whatever they are called.
func TestFolder(t *testing.T) {
	t.Parallel()
	files := goodFiles(t)
	first, err := parse(t, folder(t, files))
	if err != nil {
		t.Fatal(err)
	}
	files["a.json"], files["z.YAML"] = `{"apiVersion":"hallmark.dev/v1alpha1","kind":"TrustPolicy","metadata":{"name":"test"},"rules":[{"name":"all","images":["**"],"require":{"signatures":{"from":["a"]}}}]}`, signers
	delete(files, "10-signers.yaml")
	delete(files, "20-rules.yml")
	second, err := parse(t, folder(t, files))
	if err != nil {
		t.Fatal(err)
	}
	if first.Digest() != second.Digest() {
		t.Error("other names make another policy")
	}
}

// TestFolderRefuses: PO-21. Each folder is the good one and one thing more or less.
func TestFolderRefuses(t *testing.T) {
	t.Parallel()
	outside := folder(t, map[string]string{"evil.yaml": rules, "a.pub": "x"})
	many := make(map[string]string)
	for i := range 1001 {
		many[fmt.Sprintf("n%d", i)] = ""
	}
	for name, c := range map[string]struct {
		add  map[string]string
		drop string
		link [2]string // name, target
		want string
	}{
		"a hidden policy":              {add: map[string]string{".more.yaml": rules}, want: "hidden"},
		"a hidden folder":              {add: map[string]string{".git/config": ""}, want: "hidden"},
		"a link out of the folder":     {link: [2]string{"evil.yaml", filepath.Join(outside, "evil.yaml")}, want: "evil.yaml"},
		"a key's link out":             {drop: "keys/a.pub", link: [2]string{"keys/a.pub", filepath.Join(outside, "a.pub")}, want: "a.pub"},
		"a folder named as a policy":   {add: map[string]string{"sub.yaml/x": ""}, want: "no file"},
		"one invalid file":             {add: map[string]string{"30.yaml": head + "rulez: []\n"}, want: "rulez"},
		"an empty file":                {add: map[string]string{"30.yaml": ""}, want: "30.yaml"},
		"a name twice":                 {add: map[string]string{"30.yaml": rules}, want: "a second rule"},
		"another policy's name":        {add: map[string]string{"30.yaml": strings.Replace(rules, "test", "other", 1)}, want: "metadata.name"},
		"a root beside the policies":   {add: map[string]string{"root.json": `{"mediaType":"x"}`}, want: "root.json"},
		"too large a file":             {add: map[string]string{"30.yaml": strings.Repeat("#", policy.MaxBytes+1)}, want: "more than"},
		"no policy":                    {drop: "*", want: "holds no"},
		"too many entries":             {add: many, want: "more than 1000"},
		"a key that is above":          {add: map[string]string{"10-signers.yaml": strings.Replace(signers, "keys/a.pub", "../a.pub", 1)}, want: "outside"},
		"a key by its absolute path":   {add: map[string]string{"10-signers.yaml": strings.Replace(signers, "keys/a.pub", filepath.ToSlash(filepath.Join(outside, "a.pub")), 1)}, want: "outside"},
		"a folder where a key must be": {add: map[string]string{"10-signers.yaml": strings.Replace(signers, "keys/a.pub", "keys", 1)}, want: "no file"},
	} {
		t.Run("PO-21 "+name, func(t *testing.T) {
			t.Parallel()
			files := goodFiles(t)
			for file, content := range c.add {
				files[file] = content
			}
			if delete(files, c.drop); c.drop == "*" {
				files = nil
			}
			dir := folder(t, files)
			if c.link[0] != "" {
				if err := os.Symlink(c.link[1], filepath.Join(dir, c.link[0])); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := parse(t, dir); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want %q", err, c.want)
			}
		})
	}
	if _, err := source.OpenFolder(filepath.Join(outside, "nowhere")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// TestFolderLinksInside: a link that stays in the folder is a file like any other, as a
// mounted ConfigMap has it but for its hidden folders.
func TestFolderLinksInside(t *testing.T) {
	t.Parallel()
	files := goodFiles(t)
	files["keys/rules.txt"] = files["20-rules.yml"]
	delete(files, "20-rules.yml")
	dir := folder(t, files)
	if err := os.Symlink("keys/rules.txt", filepath.Join(dir, "rules.yaml")); err != nil {
		t.Fatal(err)
	}
	if _, err := parse(t, dir); err != nil {
		t.Error(err)
	}
}
