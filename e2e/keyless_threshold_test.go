package e2e

import (
	"slices"
	"testing"

	"github.com/hallmark-project/hallmark/e2e/stack"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// TestKeylessThresholds: different logs and authorities are counted. What two of each
// have witnessed meets a threshold of two; what one has, does not.
func TestKeylessThresholds(t *testing.T) {
	t.Parallel()
	one := instance(t).Services().V2()
	two := one
	two.AllLogs, two.AllTSAs = true, true
	for name, test := range map[string]struct {
		services stack.Services
		flags    []string
		code     int
	}{
		"two of two logs":            {two, []string{"--log-threshold", "2"}, 0},
		"two of two TSAs":            {two, []string{"--timestamp-threshold", "2"}, 0},
		"two of each":                {two, []string{"--log-threshold", "2", "--timestamp-threshold", "2"}, 0},
		"three of two logs":          {two, []string{"--log-threshold", "3"}, 1},
		"three of two TSAs":          {two, []string{"--timestamp-threshold", "3"}, 1},
		"two of one log":             {one, []string{"--log-threshold", "2"}, 1},
		"two of one TSA":             {one, []string{"--timestamp-threshold", "2"}, 1},
		"two SCTs of a certificate":  {two, []string{"--sct-threshold", "2"}, 1},
		"one of each, as by default": {one, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKeyless(t, test.services, stack.GitHub())
			hallmark(t, k.dir, k.sign("sign-blob", "blob", "--bundle", "b.json")...).want(t, 0, "hallmark sign-blob")
			checked := hallmark(t, k.dir, slices.Concat(k.verify("verify-blob", "blob", "--bundle", "b.json"), test.flags)...).want(t, test.code, "hallmark verify-blob")
			if test.code != 0 {
				contains(t, checked.stdout+checked.stderr, "THRESHOLD")
			}
			reg := registrytest.New(t)
			image := reg.PushImage("app", "1", map[string]string{"a": "b"}).TagRef()
			hallmark(t, k.dir, k.sign("sign", image)...).want(t, 0, "hallmark sign")
			checked = hallmark(t, k.dir, slices.Concat(k.verify("verify", image), test.flags)...)
			if slices.Contains(test.flags, "--sct-threshold") {
				// More than the root has: that can never be met, so nothing is judged.
				checked.want(t, 2, "hallmark verify with a threshold that the root cannot reach")
				contains(t, checked.stderr, "are wanted, and the root has")
				return
			}
			checked.want(t, test.code, "hallmark verify")
			if test.code != 0 {
				contains(t, checked.stdout, "THRESHOLD")
			}
		})
	}
}
