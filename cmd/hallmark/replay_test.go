package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// A record is judged to the same report without the registry, by another policy to
// another one.
func TestReplay(t *testing.T) {
	t.Parallel()
	w := newVerifyWorld(t)
	file := filepath.Join(w.dir, "app.record")
	code, was, stderr := w.hallmark("verify", w.signed.Ref(), w.attested.Ref(), "--policy", w.policyFile, "--record", file, "--output", "json")
	if code != 1 {
		t.Fatalf("exit %d\n%s%s", code, was, stderr)
	}
	w.Close()
	provenance := w.file("provenance.yaml", `apiVersion: hallmark.dev/v1alpha1
kind: TrustPolicy
metadata: {name: other}
signers: {release: {keys: [{file: release.pub}]}}
rules: [{name: all, images: ["**"], require: {statements: [{type: "https://slsa.dev/provenance/v1", from: [release]}]}}]
`)
	for name, test := range map[string]struct {
		args []string
		code int
		says string
	}{
		"the same report":        {[]string{file, "--output", "json"}, 1, was},
		"one image":              {[]string{file, "--image", w.signed.Ref()}, 0, "ALLOW"},
		"another policy":         {[]string{file, "--policy", provenance, "--image", w.attested.Ref()}, 0, "ALLOW"},
		"another time":           {[]string{file, "--at", "2031-02-03T04:05:06Z", "--output", "json"}, 1, "2031-02-03T04:05:06Z"},
		"it says whose word":     {[]string{file}, 1, "as trustworthy as that file"},
		"no such image":          {[]string{file, "--image", "nobody"}, 2, "nobody"},
		"no such file":           {[]string{file + "x"}, 2, "no such file"},
		"a file of another kind": {[]string{w.policyFile}, 2, "not a record"},
		"no time":                {[]string{file, "--at", "tomorrow"}, 64, "tomorrow"},
		"no platform":            {[]string{file, "--platform", "arm64"}, 64, "linux/arm64"},
		"no output":              {[]string{file, "--output", "xml"}, 64, "xml"},
		"no record":              {nil, 64, "hallmark replay --help"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := w.hallmark(append([]string{"replay"}, test.args...)...)
			if code != test.code || !strings.Contains(stdout+stderr, test.says) {
				t.Errorf("exit %d, want %d and %q\n%s%s", code, test.code, test.says, stdout, stderr)
			}
		})
	}
}

// An image of a layout is replayed from its record, whose only image has no tag.
func TestReplayOfALayout(t *testing.T) {
	t.Parallel()
	w := newVerifyWorld(t)
	layout, file := "oci-archive:"+filepath.Join(w.dir, "layout.tar"), filepath.Join(w.dir, "layout.record")
	if code, _, stderr := w.hallmark("copy", w.signed.Ref(), layout); code != 0 {
		t.Fatalf("exit %d\n%s", code, stderr)
	}
	code, was, stderr := w.hallmark("verify", layout, "--as", "registry.example/app", "--policy", w.policyFile, "--record", file)
	if code != 0 {
		t.Fatalf("exit %d\n%s%s", code, was, stderr)
	}
	if code, again, stderr := w.hallmark("replay", file); code != 0 || again != was {
		t.Errorf("exit %d\n%s%s\nwant\n%s", code, again, stderr, was)
	}
	if code, _, stderr := w.hallmark("verify", "--bundle-file", "x.tar", "--record", file); code != 64 || !strings.Contains(stderr, "--record is not for --bundle-file") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}
