package e2e

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// costCase is one command of each tool. IMAGE stands for the image's name.
type costCase struct {
	name         string
	index        bool       // of two platforms, instead of an image
	byDigest     bool       // instead of by tag
	before       [][]string // hallmark's commands that prepare the image
	ours, theirs []string
	// Most requests besides pings and tokens, with and without the referrers API.
	referrers, tags int
}

func costCases() []costCase {
	sign := []string{"sign", "IMAGE", "--key", "k.key"}
	attest := []string{"attest", "IMAGE", "--key", "k.key", "--type", predicateType, "--predicate", "p.json"}
	other := []string{"attest", "IMAGE", "--key", "k.key", "--type", "custom", "--predicate", "p.json"}
	verify := []string{"verify", "IMAGE", "--key", "k.pub"}
	cosignVerify := append([]string{"verify", "IMAGE"}, verifyFlags("bundle", "k.pub")...)
	return []costCase{
		{name: "sign", ours: sign, theirs: append([]string{"sign", "IMAGE"}, signFlags("bundle")...), referrers: 5, tags: 10},
		{name: "attest", ours: attest, theirs: append([]string{"attest", "IMAGE", "--type", predicateType, "--predicate", "p.json"}, signFlags("bundle")...), referrers: 5, tags: 10},
		{name: "sign an index of two platforms", index: true, ours: append(slices.Clone(sign), "--recursive"), theirs: append([]string{"sign", "--recursive", "IMAGE"}, signFlags("bundle")...), referrers: 12, tags: 27},
		{name: "verify by tag", before: [][]string{sign}, ours: verify, theirs: cosignVerify, referrers: 3, tags: 4},
		{name: "verify by digest", byDigest: true, before: [][]string{sign}, ours: verify, theirs: cosignVerify, referrers: 2, tags: 3},
		{name: "verify by tag, two attestations beside", before: [][]string{attest, other, sign}, ours: verify, theirs: cosignVerify, referrers: 3, tags: 4},
	}
}

// TestRequestsBesideCosign counts what each asks of one registry. hallmark's counts
// are budgets that may only fall; cosign's are logged.
func TestRequestsBesideCosign(t *testing.T) {
	t.Parallel()
	dir := workbench(t, "ecdsa-p256")
	for _, test := range costCases() {
		for _, referrers := range []bool{true, false} {
			count := func(program string, args []string) int {
				reg := registrytest.New(t, registrytest.WithReferrers(referrers))
				image := pushForCost(reg, test)
				for _, prepare := range test.before {
					hallmark(t, dir, fill(prepare, image)...).want(t, 0, prepare[0])
				}
				reg.Reset()
				runIn(t, dir, program, fill(args, image)...).want(t, 0, program)
				return reg.Budgeted()
			}
			ours, theirs := count(hallmarkPath(t), test.ours), count(filepath.Join(cache, "cosign"), test.theirs)
			t.Logf("%s, referrers API %t: hallmark %d requests, cosign 2.6.5 %d, besides pings", test.name, referrers, ours, theirs)
			budget := test.referrers
			if !referrers {
				budget = test.tags
			}
			if ours > budget {
				t.Errorf("%s, referrers API %t: %d requests, the budget is %d", test.name, referrers, ours, budget)
			}
		}
	}
}

// pushForCost pushes the image of a case and returns the name to use.
func pushForCost(reg *registrytest.Registry, test costCase) string {
	if test.index {
		return reg.PushIndex("app", "1", "linux/amd64", "linux/arm64").TagRef()
	}
	pushed := reg.PushImage("app", "1", map[string]string{"a": "b"})
	if test.byDigest {
		return pushed.Ref()
	}
	return pushed.TagRef()
}

// fill puts the image's name into a command.
func fill(args []string, image string) []string {
	filled := slices.Clone(args)
	for i, arg := range filled {
		if arg == "IMAGE" {
			filled[i] = image
		}
	}
	return filled
}
