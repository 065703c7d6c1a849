package convert_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/convert"
	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// failing stands for a test where there is none: what fails panics.
type failing struct{ testing.TB }

func (failing) Helper()           {}
func (failing) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

var instance = sync.OnceValue(func() *verifytest.Instance { return verifytest.NewInstance(failing{}) })

var keys sync.Map

// key makes the one test key of a name.
func key(t testing.TB, name string) trust.Key {
	t.Helper()
	if k, found := keys.Load(name); found {
		return k.(trust.Key)
	}
	seed := sha256.Sum256([]byte(name))
	k, err := trust.NewKey(ed25519.NewKeyFromSeed(seed[:]).Public())
	if err != nil {
		t.Fatal(err)
	}
	keys.Store(name, k)
	return k
}

// files serves keys as NAME.pub, Sigstore's public root, and nothing else.
func files(t testing.TB) func(string) ([]byte, error) {
	return func(path string) ([]byte, error) {
		if path == policy.PublicGood {
			return instance().TrustedRoot(t), nil
		}
		if name, found := strings.CutSuffix(filepath.Base(path), ".pub"); found && name != "missing" {
			return key(t, name).PEM(), nil
		}
		return nil, errors.New("no such file")
	}
}

// source replaces KEY(name) by the PEM of a test key, indented as the line is, and
// KEYDATA(name) by its base64.
func source(t testing.TB, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	for line := range strings.Lines(text) {
		at := strings.Index(line, "KEY(")
		if at < 0 {
			out.WriteString(line)
			continue
		}
		name, rest, _ := strings.Cut(line[at+len("KEY("):], ")")
		indent := strings.Repeat(" ", at)
		pem := strings.ReplaceAll(strings.TrimSpace(string(key(t, name).PEM())), "\n", "\n"+indent)
		out.WriteString(line[:at] + pem + rest)
	}
	return out.Bytes()
}

// convertText converts one source, and reads the result as a policy.
func convertText(t testing.TB, kind convert.Kind, text string, change ...func(*convert.Options)) (*convert.Result, *policy.Policy) {
	t.Helper()
	o := convert.Options{Kind: kind, Read: files(t)}
	for _, one := range change {
		one(&o)
	}
	result, err := convert.Convert([]convert.Source{{Name: "source", Data: source(t, text)}}, o)
	if err != nil {
		t.Fatalf("converting:\n%s\n%v", text, err)
	}
	p, err := policy.Parse("policy.yaml", result.Policy, files(t))
	if err != nil {
		t.Fatalf("parsing:\n%s\n%v", result.Policy, err)
	}
	return result, p
}

// golden compares with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got), -update writes it anew:\n%s", path, diff)
	}
}

// store is a trust store with the certificates of one authority. They are written once,
// so that golden files stay.
func store(kind, name string) ([]byte, error) {
	return os.ReadFile(filepath.Join("testdata", "x509", kind, name+".pem"))
}

// sources are the realistic policies of testdata, and with which options they are
// converted.
var sources = map[string]func(*convert.Options){
	"clusterimagepolicy.yaml":    func(*convert.Options) {},
	"kyverno.yaml":               func(*convert.Options) {},
	"imagevalidatingpolicy.yaml": func(*convert.Options) {},
	"containers.json":            func(o *convert.Options) { o.InsecureAnyName = true },
	"notation.json":              func(o *convert.Options) { o.TrustStore = store },
}

// TestGolden converts a realistic policy of each kind.
func TestGolden(t *testing.T) {
	t.Parallel()
	for name, change := range sources {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(filepath.Join("testdata", name))
			if err != nil {
				t.Fatal(err)
			}
			result, _ := convertText(t, "", string(raw), change)
			golden(t, strings.TrimSuffix(name, filepath.Ext(name))+".golden.yaml", result.Policy)
		})
	}
}

// TestCosignGolden converts two command lines about one repository: both are asked.
func TestCosignGolden(t *testing.T) {
	t.Parallel()
	var sources []convert.Source
	for _, line := range []string{
		"cosign verify --key keys/ops.pub --insecure-ignore-tlog=true registry.acme.example/prod/app:1.2 registry.acme.example/prod/api@sha256:0123",
		"cosign verify-attestation --type slsaprovenance1 --certificate-oidc-issuer https://token.actions.githubusercontent.com --certificate-identity https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main --certificate-github-workflow-trigger push --output json registry.acme.example/prod/app:1.2",
	} {
		one, err := convert.Arguments("line", strings.Fields(line))
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, one)
	}
	result, err := convert.Convert(sources, convert.Options{Kind: convert.Cosign, Read: files(t)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := policy.Parse("policy.yaml", result.Policy, files(t)); err != nil || len(result.Losses) > 0 {
		t.Errorf("%v, losses %v", err, result.Losses)
	}
	golden(t, "cosign.golden.yaml", result.Policy)
	if _, err := convert.Arguments("line", []string{"a\nb"}); !errors.Is(err, convert.ErrSource) {
		t.Errorf("a line break: %v", err)
	}
}
