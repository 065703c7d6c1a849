package convert_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/policy/convert"
)

// The tests of this file make policies at random, judge images by what the source's
// documentation says, and by the converted policy: what the converted one allows, the
// source must allow. Where nothing is lost, both must agree.

var keyNames = []string{"ann", "ben", "cat"}

// images have tags, as the sources match them.
var images = []string{
	"reg.example/a:v1", "reg.example/a/x:v1", "reg.example/a/x:v2", "reg.example/ab/x:v1", "reg.example/b/x:v1", "reg.example/a/b/x:v2",
	"reg.example/a/b/c/xy:v1", "reg.example/a-evil:v1", "sub.reg.example/a/x:v1", "one.sub.reg.example/a/x:v1", "other.example/x:v1", "docker.io/library/nginx:v1", "docker.io/acme/app:v1",
	"reg.example:5000/a/x:v1", "sub.reg.example:5000/a/x:v1",
}

type random struct{ *rand.Rand }

func (r random) some(all []string) (chosen []string) {
	for _, one := range all {
		if r.IntN(2) == 0 {
			chosen = append(chosen, one)
		}
	}
	return chosen
}

func (r random) one(all []string) string { return all[r.IntN(len(all))] }

func (r random) evidence() evidence {
	e := evidence{signed: r.some(keyNames), attested: map[string]string{}}
	for _, name := range r.some(keyNames) {
		e.attested[name] = r.one([]string{"PASSED", "FAILED"})
	}
	return e
}

// compare checks one converted policy with many images. source judges as the source
// does.
func compare(t *testing.T, r random, kind convert.Kind, text string, source func(image string, e evidence) bool, change ...func(*convert.Options)) {
	t.Helper()
	result, p := convertText(t, kind, text, change...)
	for range 30 {
		image, e := r.one(images), r.evidence()
		name := image[:strings.LastIndexByte(image, ':')]
		want, got := source(image, e), allows(t, p, name, e)
		if got && !want {
			t.Fatalf("weaker: %s with %+v is allowed, and the source refuses\n%s\n%s", image, e, text, result.Policy)
		}
		if want && !got && len(result.Losses) == 0 {
			t.Fatalf("stricter without a loss: %s with %+v is refused\n%s\n%s", image, e, text, result.Policy)
		}
	}
}

// randomAuthority is an authority of a ClusterImagePolicy, and whether it is met.
type randomAuthority struct {
	text string
	met  func(evidence) bool
}

func (r random) authority() randomAuthority {
	name := r.one(keyNames)
	text := "    - key:\n        data: |\n          KEY(" + name + ")\n      ctlog: {}\n"
	switch r.IntN(8) {
	case 0:
		return randomAuthority{"    - static: {action: pass}\n", func(evidence) bool { return true }}
	case 1:
		return randomAuthority{"    - static: {action: fail}\n", func(evidence) bool { return false }}
	case 2, 3:
		return randomAuthority{text + "      attestations: [{name: a, predicateType: '" + testType + "'}]\n", func(e evidence) bool { return e.attested[name] != "" }}
	case 4:
		return randomAuthority{
			text + "      attestations:\n        - name: a\n          predicateType: " + testType + "\n          policy:\n            type: cue\n            data: |\n              predicate: result: \"PASSED\"\n",
			func(e evidence) bool { return e.attested[name] == "PASSED" },
		}
	}
	return randomAuthority{text, func(e evidence) bool { return slices.Contains(e.signed, name) }}
}

// slashGlob is policy-controller's matching: `*` stays in a segment, `**` does not.
func slashGlob(glob, image string) bool {
	text := regexp.QuoteMeta(glob)
	text = strings.ReplaceAll(text, `\*\*`, "\x00")
	text = strings.ReplaceAll(text, `\*`, "[^/]*")
	return regexp.MustCompile("^" + strings.ReplaceAll(text, "\x00", ".*") + "$").MatchString(image)
}

func TestClusterImagePolicyIsNeverWeaker(t *testing.T) {
	t.Parallel()
	globs := []string{
		"**", "reg.example/**", "reg.example/a/**", "reg.example/a/*", "reg.example/a*", "reg.example/a**", "reg.example/*/x*", "reg.example/a/x:v1",
		"reg.example/**/x*", "*.example/**", "*.reg.example/**", "reg.example/a/x", "reg.example/a/x:*", "docker.io/library/*", "reg.example:5000**", "reg.example:*/**", "reg.example:5000/*/x*", "reg.example/a/**/x*", "reg.example/*a/**", "reg.example/a/b/x*",
	}
	for seed := range uint64(80) {
		r := random{rand.New(rand.NewPCG(seed, 1))}
		var text strings.Builder
		type one struct {
			globs       []string
			authorities []randomAuthority
		}
		var all []one
		for n := range 1 + r.IntN(4) {
			p := one{globs: []string{r.one(globs)}}
			if r.IntN(3) == 0 {
				p.globs = append(p.globs, r.one(globs))
			}
			fmt.Fprintf(&text, "---\napiVersion: policy.sigstore.dev/v1beta1\nkind: ClusterImagePolicy\nmetadata: {name: p%d}\nspec:\n  images:\n", n)
			for _, glob := range p.globs {
				fmt.Fprintf(&text, "    - glob: \"%s\"\n", glob)
			}
			text.WriteString("  authorities:\n")
			for range 1 + r.IntN(3) {
				a := r.authority()
				p.authorities = append(p.authorities, a)
				text.WriteString(a.text)
			}
			all = append(all, p)
		}
		compare(t, r, convert.ClusterImagePolicy, text.String(), func(image string, e evidence) bool {
			matched := false
			for _, p := range all {
				if !slices.ContainsFunc(p.globs, func(glob string) bool { return slashGlob(glob, image) }) {
					continue
				}
				matched = true
				if !slices.ContainsFunc(p.authorities, func(a randomAuthority) bool { return a.met(e) }) {
					return false
				}
			}
			return matched
		})
	}
}

// openGlob is Kyverno's matching: `*` takes everything, `?` one character.
func openGlob(glob, image string) bool {
	text := strings.ReplaceAll(regexp.QuoteMeta(glob), `\*`, ".*")
	return regexp.MustCompile("^" + strings.ReplaceAll(text, `\?`, ".") + "$").MatchString(image)
}

func TestKyvernoIsNeverWeaker(t *testing.T) {
	t.Parallel()
	globs := []string{
		"*", "reg.example/*", "reg.example/a/*", "reg.example/a*", "reg.example/a/x:v1", "reg.example/*/x:*", "*/a/*", "reg.example/a/?:*", "reg.example/a/x:*", "reg.example/a/x",
		"*.example/*", "docker.io/library/nginx:*", "reg*", "reg.example:*", "reg.example:5000*", "reg.example:5000/*", "reg.example?5000/a/x:v1", "reg.example/b/x*", "reg.example/a/b/*",
	}
	type set struct {
		count int
		keys  []string
	}
	met := func(s set, signed func(string) bool) bool {
		n := 0
		for _, name := range s.keys {
			if signed(name) {
				n++
			}
		}
		return s.count == 0 && n == len(s.keys) || s.count > 0 && n >= s.count
	}
	for seed := range uint64(80) {
		r := random{rand.New(rand.NewPCG(seed, 2))}
		var text strings.Builder
		sets := func(indent string) (all []set) {
			fmt.Fprintf(&text, "%sattestors:\n", indent)
			for range 1 + r.IntN(2) {
				one := set{}
				for len(one.keys) == 0 {
					one.keys = r.some(keyNames)
				}
				if r.IntN(2) == 0 {
					one.count = 1 + r.IntN(len(one.keys))
					fmt.Fprintf(&text, "%s  - count: %d\n%s    entries:\n", indent, one.count, indent)
				} else {
					fmt.Fprintf(&text, "%s  - entries:\n", indent)
				}
				for _, name := range one.keys {
					fmt.Fprintf(&text, "%s      - keys:\n%s          rekor: {ignoreTlog: true}\n%s          publicKeys: |-\n%s            KEY(%s)\n", indent, indent, indent, indent, name)
				}
				all = append(all, one)
			}
			return all
		}
		type one struct {
			glob           string
			audit          bool
			signed, tested []set
		}
		var all []one
		for n := range 1 + r.IntN(3) {
			p := one{glob: r.one(globs), audit: r.IntN(4) == 0}
			action := "Enforce"
			if p.audit {
				action = "Audit"
			}
			fmt.Fprintf(&text, "---\napiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {name: p%d}\nspec:\n  validationFailureAction: %s\n  rules:\n    - name: r\n      match: {any: [{resources: {kinds: [Pod]}}]}\n      verifyImages:\n        - imageReferences: [\"%s\"]\n", n, action, p.glob)
			p.signed = sets("          ")
			if r.IntN(3) == 0 {
				fmt.Fprintf(&text, "          attestations:\n            - type: %s\n", testType)
				p.tested = sets("              ")
			}
			all = append(all, p)
		}
		compare(t, r, convert.Kyverno, text.String(), func(image string, e evidence) bool {
			for _, p := range all {
				if p.audit || !openGlob(p.glob, image) {
					continue
				}
				for _, s := range p.signed {
					if !met(s, func(name string) bool { return slices.Contains(e.signed, name) }) {
						return false
					}
				}
				for _, s := range p.tested {
					if !met(s, func(name string) bool { return e.attested[name] != "" }) {
						return false
					}
				}
			}
			return true
		})
	}
}

func TestContainersIsNeverWeaker(t *testing.T) {
	t.Parallel()
	scopes := []string{"reg.example", "reg.example/a", "reg.example/a/x", "reg.example/a/x:v1", "reg.example/a/b", "*.example", "*.reg.example", "reg.example:5000", "reg.example:5000/a", "*.example:5000", "docker.io/library", "docker.io/acme/app", "other.example/x:v1", "sub.reg.example"}
	type requirement struct {
		kind string
		keys []string
	}
	for seed := range uint64(80) {
		r := random{rand.New(rand.NewPCG(seed, 3))}
		all := make(map[string][]requirement)
		list := func() (text string, reqs []requirement) {
			var texts []string
			for range 1 + r.IntN(2) {
				one := requirement{kind: r.one([]string{"reject", "insecureAcceptAnything", "sigstoreSigned", "sigstoreSigned", "sigstoreSigned"})}
				line := `{"type": "` + one.kind + `"}`
				if one.kind == "sigstoreSigned" {
					for len(one.keys) == 0 {
						one.keys = r.some(keyNames)
					}
					line = `{"type": "sigstoreSigned", "keyPaths": ["/k/` + strings.Join(one.keys, `.pub", "/k/`) + `.pub"], "signedIdentity": {"type": "matchRepository"}}`
				}
				texts, reqs = append(texts, line), append(reqs, one)
			}
			return "[" + strings.Join(texts, ", ") + "]", reqs
		}
		text, reqs := list()
		all[""] = reqs
		var lines []string
		for _, scope := range r.some(scopes) {
			body, reqs := list()
			all[scope] = reqs
			lines = append(lines, `"`+scope+`": `+body)
		}
		text = `{"default": ` + text + `, "transports": {"docker": {` + strings.Join(lines, ",\n") + `}}}`
		compare(t, r, convert.Containers, text, func(image string, e evidence) bool {
			for _, one := range mostSpecific(image, func(scope string) bool { return all[scope] != nil }, all) {
				if one.kind == "reject" || one.kind == "sigstoreSigned" && !slices.ContainsFunc(one.keys, func(name string) bool { return slices.Contains(e.signed, name) }) {
					return false
				}
			}
			return true
		}, func(o *convert.Options) { o.InsecureAnyName = true })
	}
}

// mostSpecific finds what containers/image looks up: the image, its prefixes, its host,
// wildcards for the host, and the default.
func mostSpecific[T any](image string, has func(string) bool, all map[string]T) T {
	if has(image) {
		return all[image]
	}
	name := image[:strings.LastIndexByte(image, ':')]
	for {
		if has(name) {
			return all[name]
		}
		slash := strings.LastIndexByte(name, '/')
		if slash < 0 {
			break
		}
		name = name[:slash]
	}
	for rest := name; ; {
		_, below, found := strings.Cut(rest, ".")
		if !found {
			return all[""]
		}
		if has("*." + below) {
			return all["*."+below]
		}
		rest = below
	}
}
