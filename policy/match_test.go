package policy

import (
	"regexp"
	"strings"
	"testing"
)

// anchored is the glob language said once more, as a regular expression.
func anchored(glob string) *regexp.Regexp {
	head, rest := strings.CutSuffix(glob, "/**")
	var parts []string
	for _, segment := range strings.Split(head, "/") {
		part := strings.ReplaceAll(regexp.QuoteMeta(segment), `\*`, `[^/]*`)
		if strings.Trim(segment, "*") == "" && segment != "" {
			part = `[^/]+`
		}
		parts = append(parts, part)
	}
	text := strings.Join(parts, "/")
	if rest {
		text += `(/[^/]+)+`
	}
	return regexp.MustCompile(`(?s)\A(?:` + text + `)\z`)
}

// FuzzMatch: CI-01. Whatever the kind, a match is a match of the whole text, and
// what is put before or behind it is looked at too.
func FuzzMatch(f *testing.F) {
	f.Add(uint8(0), release, release)
	f.Add(uint8(1), "https://github.com/acme/*/.github/workflows/*@refs/tags/v*", release)
	f.Add(uint8(1), "refs/**", "refs/heads/a/b")
	f.Add(uint8(2), `https://github\.com/acme/.*`, release)
	f.Add(uint8(2), `(?m)^a$`, "b\na\nc")
	f.Add(uint8(2), `(?s).*(?i)x|y`, "X")
	f.Add(uint8(2), `a)|(?:b`, "b")
	f.Add(uint8(2), `\z\A`, "")
	f.Fuzz(func(t *testing.T, kind uint8, pattern, name string) {
		m := match{kind: matchKind(kind % 3), text: pattern}
		if _, err := m.compile(); err != nil {
			return
		}
		got := m.matches(name)
		want := name != ""
		switch m.kind {
		case exactly:
			want = want && pattern == name
		case byGlob:
			want = want && anchored(pattern).MatchString(name)
		case byRegexp:
			alone := regexp.MustCompile(pattern)
			alone.Longest()
			// A whole match begins at the first byte and ends at the last; which of the
			// alternatives RE2 prefers does not matter.
			at := alone.FindStringIndex(name)
			if got && (at == nil || at[0] != 0 || at[1] != len(name)) {
				t.Fatalf("CI-01 %q matches %q, of which it takes only %v", pattern, name, at)
			}
			return
		}
		if got != want {
			t.Fatalf("CI-01 %v %q matches %q: %t", m.kind, pattern, name, got)
		}
	})
}

// FuzzZone: an identity that passes the check of its width never takes a name
// under another owner or host.
func FuzzZone(f *testing.F) {
	f.Add(uint8(1), "https://github.com/acme/**")
	f.Add(uint8(1), "https://github.com/acme*/**")
	f.Add(uint8(2), `https?://github\.com/(acme|widgets)/.*`)
	f.Add(uint8(2), `https://github\.com/acme(/.*)?`)
	f.Add(uint8(2), `(?i)https://github\.com/acme/.*|https://[a-z.]+/x/y`)
	f.Add(uint8(2), `(?i)https://github\.com/.*`)
	f.Add(uint8(2), `(?i:HTTPS)://github\.com/.*`)
	f.Add(uint8(2), `(https://github\.com/acme/)+.*`)
	f.Add(uint8(2), `(?:https://github\.com/acme/x){1,3}`)
	strangers := []string{
		"https://github.com/zq7-evil/app/.github/workflows/release.yml@refs/heads/main", "https://zq7.example/acme/app", "https://zq7.example",
		"https://github.com/zq7", "zq7", "spiffe://zq7.example/a", "http://zq7.example/a/b/c", "https://zq7.example/a/b@c.example",
	}
	f.Fuzz(func(t *testing.T, kind uint8, pattern string) {
		m := match{kind: matchKind(kind % 3), text: pattern}
		if _, err := m.compile(); err != nil || strings.Contains(strings.ToLower(pattern), "zq7") {
			return
		}
		if _, err := m.checkZone(zoneURI); err != nil {
			return
		}
		for _, stranger := range strangers {
			if m.matches(stranger) {
				t.Fatalf("CI-02 %q matches %q", pattern, stranger)
			}
		}
	})
}

func TestLiterals(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]string{
		`https://github\.com/acme/.*`: "https://github.com/acme/",
		`^https://a\.b/c$`:            "https://a.b/c=",
		`.*`:                          "",
		`a(be|co)d+`:                  "abed acod",
		`ab?c`:                        "abc= ac=",
		`(ab){2,}`:                    "ab",
		`[.]x`:                        ".x=",
		`a*`:                          "",
	} {
		m := match{kind: byRegexp, text: pattern}
		var got []string
		for _, one := range m.starts() {
			text := one.text
			if one.whole {
				text += "="
			}
			got = append(got, text)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s begins with %q, want %q", pattern, got, want)
		}
	}
	m := match{kind: byRegexp, text: `.*(xe|yo)@acme\.example`}
	if got := m.endings(); len(got) != 2 || got[0].text != "xe@acme.example" || got[1].text != "yo@acme.example" {
		t.Errorf("endings %v", got)
	}
}
