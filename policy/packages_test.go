package policy

import "testing"

func TestDeniedPackages(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		deny    string
		yes, no []listed
	}{
		{
			"pkg:npm/event-stream@3.3.6",
			[]listed{list("pkg:npm/event-stream@3.3.6", "", ""), list("pkg:npm/Event-Stream@3.3.6?vcs_url=x#y", "", ""), list("pkg:npm/event-stream", "", "3.3.6"), list("", "event-stream", "3.3.6"), list("pkg:npm/event-stream", "", ""), list("pkg:npm/event-stream@v3.3.6", "", "")},
			[]listed{list("pkg:npm/event-stream@3.3.5", "", ""), list("pkg:npm/event-stream2@3.3.6", "", ""), list("pkg:npm/@x/event-stream@3.3.6", "", ""), list("pkg:pypi/event-stream@3.3.6", "", ""), list("", "event-streams", "3.3.6"), list("", "event-stream", "4")},
		},
		{
			"pkg:maven/org.apache.logging.log4j/log4j-core@<2.17.1",
			[]listed{list("pkg:maven/org.apache.logging.log4j/log4j-core@2.17.0", "", ""), list("pkg:maven/org.apache.logging.log4j/log4j-core@2.0-beta9", "", ""), list("pkg:maven/org.apache.logging.log4j/log4j-core@2.17.1-rc1?type=jar", "", ""), list("", "org.apache.logging.log4j:log4j-core", "2.9"), list("", "log4j-core", "")},
			[]listed{list("pkg:maven/org.apache.logging.log4j/log4j-core@2.17.1", "", ""), list("pkg:maven/org.apache.logging.log4j/log4j-core@2.20.0", "", ""), list("pkg:maven/org.apache.logging.log4j/log4j-api@2.9", "", ""), list("pkg:maven/evil/log4j-core@2.9", "", "")},
		},
		{"pkg:golang/golang.org/x/net", []listed{list("pkg:golang/golang.org/x/net@v0.1.0", "", ""), list("pkg:golang/golang.org/x/Net@v9", "", "")}, []listed{list("pkg:golang/golang.org/x/net/html@v0.1.0", "", ""), list("pkg:golang/golang.org/x/text@v1", "", "")}},
		{"pkg:golang/golang.org/x/net@>=v0.10.0,<v0.17.0", []listed{list("pkg:golang/golang.org/x/net@v0.16.1", "", ""), list("pkg:golang/golang.org/x/net@(devel)", "", ""), list("pkg:golang/golang.org/x/net@v0.17.0-rc.1", "", "")}, []listed{list("pkg:golang/golang.org/x/net@v0.17.0", "", ""), list("pkg:golang/golang.org/x/net@v0.9.0", "", "")}},
		{"pkg:npm/@scope/name@<1", []listed{list("pkg:npm/%40scope/name@0.9.0", "", ""), list("", "@scope/name", "0.1.0")}, []listed{list("pkg:npm/name@0.9.0", "", "")}},
		{"pkg:pypi/Foo_Bar@<2.0", []listed{list("pkg:pypi/foo.bar@1.9", "", ""), list("pkg:pypi/foo-bar@2.0rc1", "", ""), list("", "Foo.Bar", "1")}, []listed{list("pkg:pypi/foo-bar@2.0.post1", "", "")}},
		{"pkg:deb/debian/openssl@<3.0.11-1~deb12u2", []listed{list("pkg:deb/debian/openssl@3.0.11-1~deb12u1?arch=amd64&distro=debian-12", "", "")}, []listed{list("pkg:deb/debian/openssl@3.0.11-1~deb12u2?arch=amd64", "", ""), list("pkg:deb/debian/openssl@1%3A3.0", "", ""), list("pkg:deb/ubuntu/openssl@1", "", "")}},
		{"pkg:rpm/redhat/openssl@<3.0.8", []listed{list("pkg:rpm/redhat/openssl@3.0.7-18.el9?arch=x86_64&epoch=1", "", ""), list("pkg:rpm/redhat/openssl@1:3.0.7-18.el9", "", "")}, []listed{list("pkg:rpm/redhat/openssl@3.0.8-1.el9?epoch=1", "", "")}},
		{"pkg:rpm/redhat/openssl@>=1:3.0.0,<1:3.0.8", []listed{list("pkg:rpm/redhat/openssl@3.0.7-18.el9?epoch=1", "", ""), list("pkg:rpm/redhat/openssl?epoch=1", "", "3.0.7")}, []listed{list("pkg:rpm/redhat/openssl@3.0.7-18.el9?epoch=2", "", ""), list("pkg:rpm/redhat/openssl@3.0.7-18.el9", "", "")}},
		{"pkg:rpm/redhat/openssl@1:3.0.7-18.el9", []listed{list("pkg:rpm/redhat/openssl@3.0.7-18.el9?epoch=1", "", "")}, []listed{list("pkg:rpm/redhat/openssl@3.0.7-18.el9", "", "")}},
		{"pkg:rpm/redhat/openssl@3.0.7-18.el9", []listed{list("pkg:rpm/redhat/openssl@3.0.7-18.el9?epoch=1", "", ""), list("pkg:rpm/redhat/openssl@3.0.7-18.el9", "", "")}, nil},
		{"pkg:cargo/foo_bar@1.0.0", []listed{list("pkg:cargo/foo-bar@1.0.0", "", ""), list("pkg:cargo/Foo_Bar@1.0.0", "", ""), list("", "foo_bar", "1.0.0")}, []listed{list("pkg:cargo/foobar@1.0.0", "", "")}},
		{"pkg:unknown/x@1", []listed{list("pkg:unknown/x@1", "", "")}, []listed{list("pkg:unknown/x@1.0", "", "")}},
	} {
		d, err := parseDenied(row.deny)
		if err != nil {
			t.Errorf("%s: %v", row.deny, err)
			continue
		}
		for _, p := range row.yes {
			if !d.denies(p) {
				t.Errorf("%s does not deny %+v", row.deny, p)
			}
		}
		for _, p := range row.no {
			if d.denies(p) {
				t.Errorf("%s denies %+v", row.deny, p)
			}
		}
	}
	for _, bad := range []string{
		"event-stream", "pkg:npm", "pkg:npm/", "pkg:npm/x@", "pkg:npm/x@<", "pkg:npm/x@<a", "pkg:npm/x@<1,", "pkg:npm/x@<1 <2", "pkg:npm/x@!=1", "pkg:npm/x@=>1", "pkg:unknown/x@<1", "pkg:npm/x@1?arch=a", "pkg:npm/x@1#y", "pkg:npm/*@1", "pkg:npm/x@%zz",
	} {
		if _, err := parseDenied(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// TestVersionOrders: each line is in ascending order, in the order of its kind.
func TestVersionOrders(t *testing.T) {
	t.Parallel()
	for kind, lines := range map[string][][]string{
		"npm":    {{"0.9.9", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1", "1.10.0", "10.0.0"}},
		"golang": {{"v0.0.0-20200101000000-abcdefabcdef", "v0.0.0-20210101000000-abcdefabcdef", "v0.1.0", "v1.2.3-pre", "v1.2.3", "v2.0.0+incompatible"}},
		"nuget":  {{"1.0", "1.0.0.1", "1.0.1"}},
		"maven":  {{"1-alpha-1", "1-alpha2", "1-beta", "1-milestone", "1-rc", "1-snapshot", "1", "1-sp", "1-foo", "1-1", "1.1", "1.1.1", "1.2", "1.10", "2.0-beta9", "2.0"}, {"2.0-rc1", "2.0-rc2", "2.0", "2.0.1"}, {"31.0-android", "31.1-android", "31.1-jre"}},
		"deb":    {{"1.0~~", "1.0~~a", "1.0~", "1.0", "1.0-1~deb12u1", "1.0-1", "1.0-1+b1", "1.0a", "1.0+", "1.0.1", "1.9", "1.10", "1:0.1", "2:0"}},
		"rpm":    {{"1.0~rc1", "1.0", "1.0^git1", "1.0.1", "1.0a", "1.9", "1.10", "2.0-1.el9", "2.0-2.el9", "1:0.1"}, {"1.0a", "1.0.1"}},
		"apk":    {{"1.0_alpha", "1.0_alpha2", "1.0_beta", "1.0_pre1", "1.0_rc1", "1.0", "1.0-r1", "1.0-r10", "1.0_p1", "1.0a", "1.0.1", "1.01", "1.05", "1.1", "1.9", "1.10"}},
		"pypi":   {{"1.0.dev1", "1.0a1.dev1", "1.0a1", "1.0a2", "1.0b1", "1.0rc1", "1.0", "1.0+local", "1.0.post1.dev1", "1.0.post1", "1.0.1", "1.10", "1!0.1"}},
		"gem":    {{"1.0.a", "1.0.b1", "1.0.b2", "1.0.rc1", "1.0", "1.0.1", "1.9", "1.10"}},
	} {
		compare := comparerOf(kind)
		for _, line := range lines {
			for i := range line {
				for j := range line {
					if kind == "rpm" && len(line) > 2 && (line[i] == "1.0a" || line[j] == "1.0a") {
						continue // rpm's order of 1.0a has its own line
					}
					got, ok := compare(line[i], line[j])
					want := 0
					if i < j {
						want = -1
					} else if i > j {
						want = 1
					}
					if !ok || got != want {
						t.Errorf("%s: %s and %s compare as %d (%v), not %d", kind, line[i], line[j], got, ok, want)
					}
				}
			}
		}
	}
	for kind, pairs := range map[string][][2]string{
		"npm": {{"v1.0.0", "1.0.0+build"}, {"1.0", "1.0.0"}}, "maven": {{"1", "1.0"}, {"1.0", "1-ga"}, {"1.0.0", "1-final"}, {"1a1", "1-alpha-1"}, {"1-rc", "1-cr"}},
		"pypi": {{"1.0", "1.0.0"}, {"1.0-1", "1.0.post1"}, {"1.0.RC1", "1.0c1"}}, "deb": {{"0:1.0", "1.0"}, {"1.0", "1.00"}}, "rpm": {{"1.0", "1.0-5"}, {"1_0", "1.0"}},
	} {
		for _, pair := range pairs {
			if got, ok := comparerOf(kind)(pair[0], pair[1]); !ok || got != 0 {
				t.Errorf("%s: %s and %s compare as %d (%v)", kind, pair[0], pair[1], got, ok)
			}
		}
	}
	for kind, bad := range map[string]string{"npm": "latest", "golang": "(devel)", "maven": "a b", "deb": "1.0 2", "apk": "x", "pypi": "unknown", "gem": "x"} {
		if _, ok := comparerOf(kind)(bad, "1.0"); ok {
			t.Errorf("%s: %q has an order", kind, bad)
		}
	}
}
