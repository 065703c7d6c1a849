package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// Where the JSON Schema of SARIF 2.1.0 is had: a package of the format's own authors
// carries it. Its content is pinned.
const (
	sarifPackage   = "@microsoft/jest-sarif@1.0.0-beta.0"
	sarifIntegrity = "A1fOhPd6Ic5iDk4F9YPw1qNB4XF+7+IviR7xl8r2F6QzQkx5cpY9LsGk2rExiFIEcBbjpVnSmwWGBukASkiQ9A=="
	sarifFile      = "package/lib/schemas/sarif-2.1.0-rtm.5.json"
)

// sarifSchema fetches the schema and compiles it.
func sarifSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	dir := t.TempDir()
	command := exec.Command("npm", "pack", "--silent", "--pack-destination", dir, sarifPackage)
	command.Dir = dir
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("npm pack: %v\n%s", err, out)
	}
	packed, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(packed) != 1 {
		t.Fatalf("packages %v, error %v", packed, err)
	}
	raw, err := os.ReadFile(packed[0])
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha512.Sum512(raw); base64.StdEncoding.EncodeToString(sum[:]) != sarifIntegrity {
		t.Fatalf("%s is not the pinned one", sarifPackage)
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	for files := tar.NewReader(unzipped); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			t.Fatalf("%s has no %s", sarifPackage, sarifFile)
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Name != sarifFile {
			continue
		}
		document, err := jsonschema.UnmarshalJSON(files)
		if err != nil {
			t.Fatal(err)
		}
		compiler := jsonschema.NewCompiler()
		compiler.AssertFormat()
		if err := compiler.AddResource("sarif.json", document); err != nil {
			t.Fatal(err)
		}
		schema, err := compiler.Compile("sarif.json")
		if err != nil {
			t.Fatal(err)
		}
		return schema
	}
}

// TestSARIFSchema: what hallmark writes as SARIF is valid by the schema of SARIF 2.1.0:
// of images that are allowed, denied, unreachable and misnamed, by key, by policy and
// with an exception, and of lint.
func TestSARIFSchema(t *testing.T) {
	t.Parallel()
	schema := sarifSchema(t)
	dir := t.TempDir()
	hallmark(t, dir, "key", "generate", "--format", "pkcs8", "--no-password", "--out", "k").want(t, 0, "key generate")
	reg := registrytest.New(t)
	signed := reg.PushImage("team/app", "1", map[string]string{"a": "b"}).TagRef()
	bare := reg.PushImage("team/bare", "1", map[string]string{"c": "d"}).TagRef()
	excused := reg.PushImage("team/excused", "1", map[string]string{"e": "f"})
	hallmark(t, dir, "sign", "--key", "k.key", signed).want(t, 0, "sign")
	policy := `apiVersion: hallmark.dev/v1alpha1
kind: TrustPolicy
metadata: {name: sarif}
signers:
  k: {keys: [{file: k.pub}]}
rules:
  - name: team
    images: ["` + reg.Host() + `/team/*"]
    require:
      signatures: {from: [k]}
      provenance: {from: [k], builder: ["https://builder.example/x"]}
  - name: excused
    images: ["` + reg.Host() + `/team/excused"]
    require:
      signatures: {from: [k]}
exceptions:
  - {image: "` + excused.Ref() + `", rule: excused, skip: [signatures], reason: the key was lost, owner: ops, ticket: OPS-1, expires: 2099-01-01}
`
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("policy.yaml", policy)
	write("broken.yaml", strings.Replace(policy, "signatures:", "signature:", 1))
	write("weak.yaml", strings.Replace(policy, reg.Host()+"/team/*", "**", 1))
	for name, args := range map[string][]string{
		"by key":      {"verify", signed, bare, "127.0.0.1:1/down:1", "UPPER/x:1", "--key", "k.pub"},
		"allowed":     {"verify", signed, "--key", "k.pub"},
		"by policy":   {"verify", signed, bare, excused.TagRef(), "other.example/x:1", "--policy", "policy.yaml"},
		"lint":        {"policy", "lint", "weak.yaml"},
		"lint, fault": {"policy", "lint", "broken.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := hallmark(t, dir, append(args, "--output", "sarif")...)
			document, err := jsonschema.UnmarshalJSON(strings.NewReader(r.stdout))
			if err != nil {
				t.Fatalf("%v\n%s\n%s", err, r.stdout, r.stderr)
			}
			if err := schema.Validate(document); err != nil {
				t.Errorf("%v\n%s", err, r.stdout)
			}
			broken := strings.Replace(r.stdout, `"level":`, `"levle":`, 1)
			if document, err = jsonschema.UnmarshalJSON(strings.NewReader(broken)); err != nil {
				t.Fatal(err)
			}
			if schema.Validate(document) == nil && broken != r.stdout {
				t.Error("a misspelt entry is valid: the schema checks nothing")
			}
		})
	}
}
