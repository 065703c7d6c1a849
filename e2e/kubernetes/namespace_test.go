package kubernetes

import (
	"strings"
	"testing"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestNamespacePolicies: a namespace's policy holds in addition to the cluster's, and
// can only refuse more.
func TestNamespacePolicies(t *testing.T) {
	t.Parallel()
	i := newImages(t)
	app, base, bad := i.signed("team/app", "1").TagRef(), i.signed("base/os", "1").TagRef(), i.unsigned("team/app", "3").TagRef()
	tight, loose, without := namespace(t, "tight"), namespace(t, "loose"), namespace(t, "without")
	openToAll := `apiVersion: hallmark.dev/v1alpha1
kind: TrustPolicy
metadata: {name: loose}
signers:
  release: {keys: [{file: keys/release.pub}]}
rules:
  - name: all
    images: ["**"]
    mode: warn
    require: {signatures: {from: [release]}}
unmatched: warn
`
	v := serve(t, i.policy(), settings{
		flags: []string{"--namespace-policies", "FOLDER/namespaces"},
		files: map[string]string{
			"namespaces/" + tight + ".yaml": strings.Replace(signedOnly("tight", i.Host()+"/team/*"), "release.pub", "keys/release.pub", 1),
			"namespaces/" + loose + ".yaml": openToAll,
			"namespaces/keys/release.pub":   releaseKey(t).public,
		},
	})
	register(t, v.address, v.authority, nil, tight, loose, without)
	for _, namespace := range []string{tight, loose, without} {
		effective(t, namespace)
	}
	cases := []struct {
		namespace, image string
		allow            bool
	}{
		{tight, app, true},
		{tight, base, false}, // the cluster's policy has it, the namespace's has not
		{tight, bad, false},
		{loose, app, true},
		{loose, bad, false}, // what the namespace lets in stays refused by the cluster's
		{without, app, true},
		{without, base, true},
		{without, bad, false},
	}
	for _, c := range cases {
		name := strings.ReplaceAll(strings.TrimPrefix(c.image, i.Host()+"/"), "/", " ")
		t.Run(c.namespace+" "+name, func(t *testing.T) {
			_, err := in(t, c.namespace, "pods/v1").try(pod("app", c.image))
			if c.allow {
				allowed(t, err)
			} else {
				refused(t, err, c.image)
			}
		})
	}
}

// TestExemptions: only the server's configuration exempts, until a day, and each use is
// told.
func TestExemptions(t *testing.T) {
	t.Parallel()
	i := newImages(t)
	bad, other := i.unsigned("legacy/app", "1").TagRef(), i.unsigned("team/app", "1").TagRef()
	legacy, past, elsewhere := namespace(t, "legacy"), namespace(t, "past"), namespace(t, "elsewhere")
	v := serve(t, i.policy(), settings{config: `customResources: []
exemptions:
  - name: legacy
    namespaces: [` + legacy + `]
    images: ["` + i.Host() + `/legacy/**"]
    reason: moves to signed builds
    until: 2999-12-31
  - name: past
    namespaces: [` + past + `]
    images: ["` + i.Host() + `/legacy/**"]
    reason: was to move
    until: 2020-01-01
`})
	register(t, v.address, v.authority, nil, legacy, past, elsewhere)
	for _, namespace := range []string{legacy, past, elsewhere} {
		effective(t, namespace)
	}
	t.Run("AD-10 exempt", func(t *testing.T) {
		warnings := warned(t, legacy, pod("app", bad))
		if !strings.Contains(warnings, "exempt") || !strings.Contains(warnings, "moves to signed builds") {
			t.Errorf("no warning of the exemption and its reason:\n%s", warnings)
		}
	})
	refuse := map[string][2]string{
		"AD-10 another image":     {legacy, other},
		"AD-10 another namespace": {elsewhere, bad},
		"AD-10 expired":           {past, bad},
	}
	for name, c := range refuse {
		t.Run(name, func(t *testing.T) {
			_, err := in(t, c[0], "pods/v1").try(pod("app", c[1]))
			refused(t, err, c[1])
		})
	}
	v.eventually("the exemption stands in the decision log", func() bool {
		return len(v.decisions("moves to signed builds", bad)) > 0 || len(v.decisions(`"exemption"`, bad)) > 0
	})
}

// warned creates an object with kubectl, which prints the webhook's warnings.
func warned(t testing.TB, namespace, text string) string {
	t.Helper()
	stdout, stderr, code := kubectl(t, text, "create", "-n", namespace, "-f", "-")
	if code != 0 {
		t.Errorf("kubectl ended with %d\n%s%s", code, stdout, stderr)
	}
	return stderr
}

// TestDryRun: a dry run is judged as the real thing, and stores nothing (AD-13).
func TestDryRun(t *testing.T) {
	t.Parallel()
	i := newImages(t)
	good, bad := i.signed("team/app", "1").TagRef(), i.unsigned("team/app", "3").TagRef()
	v := serve(t, i.policy(), settings{})
	namespace := namespace(t, "dry")
	register(t, v.address, v.authority, nil, namespace)
	effective(t, namespace)
	for _, mode := range []string{"--dry-run=server", "--dry-run=client"} {
		stdout, stderr, code := kubectl(t, pod("app", good), "create", mode, "-n", namespace, "-f", "-")
		if code != 0 {
			t.Errorf("AD-13 %s ended with %d\n%s%s", mode, code, stdout, stderr)
		}
	}
	_, stderr, code := kubectl(t, pod("app", bad), "create", "--dry-run=server", "-n", namespace, "-f", "-")
	if code == 0 || !strings.Contains(stderr, bad) {
		t.Errorf("AD-13 ended with %d: %s", code, stderr)
	}
	list, err := in(t, namespace, "pods/v1").List(t.Context(), meta.ListOptions{})
	if err != nil || len(list.Items) != 0 {
		t.Errorf("the namespace holds %v, %v", list.Items, err)
	}
	if got := v.decisions(bad, `"dryRun":true`); len(got) == 0 {
		t.Errorf("the decision log does not tell that it was a dry run:\n%s", v.last())
	}
}
