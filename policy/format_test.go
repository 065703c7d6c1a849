package policy

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const untidy = `# Who may run in production.

kind: TrustPolicy
apiVersion: hallmark.dev/v1alpha1   # the only one
metadata: {name: x}
rules:
    # The rule of all rules.
    - require: {signatures: {atLeast: 1, from: [a]}}   # one will do
      name: "all"

      images: ["**"]


    - images:
        - registry.example/app
      name: app
      require:
          statements:
              - cel:
                    - "statement.predicate.ok"
                from: [b]
                type: test-result
          signatures: {from: [a]}
signers:
    # ours
    b: {keys: [{file: b.pub}]}

    a:
        keys:
            - file: a.pub # of 2026
# the end
`

const tidy = `# Who may run in production.

apiVersion: hallmark.dev/v1alpha1 # the only one
kind: TrustPolicy
metadata: {name: x}
signers:
  # ours
  b: {keys: [{file: b.pub}]}

  a:
    keys:
      - file: a.pub # of 2026
# the end

rules:
  # The rule of all rules.
  - name: "all"

    images: ["**"]
    require: {signatures: {from: [a], atLeast: 1}} # one will do

  - name: app
    images:
      - registry.example/app
    require:
      signatures: {from: [a]}
      statements:
        - type: test-result
          from: [b]
          cel:
            - "statement.predicate.ok"
`

func format(t *testing.T, text string) string {
	t.Helper()
	out, err := Format("p.yaml", []byte(text), keyFiles(t))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return string(out)
}

func TestFormat(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(tidy, format(t, untidy)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// What is formatted stays as it is, and means what it meant.
func TestFormatOnceIsEnough(t *testing.T) {
	t.Parallel()
	for _, text := range []string{untidy, tidy, full, identities, string(parse(t, full).YAML())} {
		once := format(t, text)
		if diff := cmp.Diff(once, format(t, once)); diff != "" {
			t.Errorf("a second round changes it:\n%s", diff)
		}
		if parse(t, once).Digest() != parse(t, text).Digest() {
			t.Errorf("the meaning changed:\n%s", once)
		}
	}
}

func TestFormatRefuses(t *testing.T) {
	t.Parallel()
	if _, err := Format("p.yaml", []byte(strings.Replace(full, "platforms: all", "platforms: some", 1)), keyFiles(t)); !errors.Is(err, ErrInvalid) {
		t.Errorf("an invalid policy: %v", err)
	}
	if _, err := Format("p.yaml", []byte(full+emptyLine+"\n"), keyFiles(t)); !errors.Is(err, ErrFormat) {
		t.Errorf("the marker of empty lines: %v", err)
	}
}

// FuzzFormat: what comes out means what went in, and stays as it is.
func FuzzFormat(f *testing.F) {
	for _, text := range []string{untidy, tidy, full, identities} {
		f.Add(text)
	}

	f.Fuzz(func(t *testing.T, text string) {
		read := keyFiles(t)
		before, err := Parse("p.yaml", []byte(text), read)
		if err != nil {
			return
		}
		out, err := Format("p.yaml", []byte(text), read)
		if errors.Is(err, ErrFormat) {
			return
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		after, err := Parse("p.yaml", out, read)
		if err != nil || after.Digest() != before.Digest() {
			t.Fatalf("%v\n%s\nbecame\n%s", err, text, out)
		}
		if again, err := Format("p.yaml", out, read); err != nil || string(again) != string(out) {
			t.Fatalf("%v: a second round changes\n%s\nto\n%s", err, out, again)
		}
	})
}
