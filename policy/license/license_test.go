package license_test

import (
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/policy/license"
)

func setOf(t testing.TB, entries ...string) *license.Set {
	t.Helper()
	s := license.NewSet()
	for _, entry := range entries {
		if _, err := s.Add(entry); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestDenies(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		entries, text, by string
	}{
		{"AGPL-3.0-only", "AGPL-3.0-only", "AGPL-3.0-only"},
		{"AGPL-3.0-only", "AGPL-3.0", "AGPL-3.0-only"},
		{"AGPL-3.0", "agpl-3.0-ONLY", "AGPL-3.0"},
		{"AGPL-3.0-only", "AGPL-3.0-or-later", "AGPL-3.0-only"}, // there is no later one to choose
		{"GPL-2.0-only", "GPL-2.0-or-later", ""},                // GPL-3.0 may be chosen
		{"GPL-2.0-only", "GPL-2.0+", ""},
		{"GPL-2.0-or-later", "GPL-2.0-or-later", "GPL-2.0-or-later"},
		{"GPL-2.0-or-later", "GPL-3.0-only", "GPL-2.0-or-later"},
		{"GPL-2.0-or-later", "GPL-1.0-or-later", ""},
		{"GPL-2.0-or-later", "LGPL-2.1-only", ""},
		{"GPL-3.0-only", "MIT", ""},
		{"GPL-3.0-only", "MIT OR GPL-3.0-only", ""},
		{"GPL-3.0-only", "MIT AND GPL-3.0-only", "GPL-3.0-only"},
		{"GPL-3.0-only", "MIT and GPL-3.0-only", "GPL-3.0-only"},
		{"GPL-3.0-only", "MIT OR Apache-2.0 AND GPL-3.0-only", ""},
		{"GPL-3.0-only", "(MIT OR Apache-2.0) AND GPL-3.0-only", "GPL-3.0-only"},
		{"GPL-3.0-only,MIT", "MIT OR Apache-2.0 AND GPL-3.0-only", "GPL-3.0-only"},
		{"GPL-2.0-only", "GPL-2.0-only WITH Classpath-exception-2.0", "GPL-2.0-only"},
		{"GPL-2.0-only WITH Classpath-exception-2.0", "GPL-2.0-only", ""},
		{"GPL-2.0-only WITH Classpath-exception-2.0", "GPL-2.0 WITH classpath-exception-2.0", "GPL-2.0-only WITH Classpath-exception-2.0"},
		{"GPL-2.0-only WITH Classpath-exception-2.0", "GPL-2.0-with-classpath-exception", "GPL-2.0-only WITH Classpath-exception-2.0"},
		{"GPL-2.0-only", "GPL-2.0-with-classpath-exception", "GPL-2.0-only"},
		{"NOASSERTION", "NOASSERTION", "NOASSERTION"},
		{"NOASSERTION", "none", "NOASSERTION"},
		{"NOASSERTION", "MIT AND NOASSERTION", "NOASSERTION"},
		{"NOASSERTION", "MIT OR NOASSERTION", ""},
		{"MIT", "NOASSERTION", ""},
		{"LicenseRef-acme", "LicenseRef-acme", "LicenseRef-acme"},
		{"name:Oracle  BCL", "oracle bcl", "name:Oracle BCL"},
		{"name:Proprietary", "MIT AND Proprietary", "name:Proprietary"},
		{"name:Proprietary", "MIT OR Proprietary", ""},
		{"GPL-3.0-only", "Oracle BCL", ""},
		// What is no expression cannot be ruled out.
		{"GPL-3.0-only", "MIT, GPL-3.0-only and others", "GPL-3.0-only"},
		{"GPL-3.0-only", "GPL-3.0-only AND", "GPL-3.0-only"},
		{"GPL-3.0-only", "GPL-3.0-only) OR MIT", "GPL-3.0-only"},
		{"GPL-3.0-only", "MIT, BSD", ""},
		{"GPL-3.0-only", strings.Repeat("(", 100) + "GPL-3.0-only" + strings.Repeat(")", 100), "GPL-3.0-only"},
		{"GPL-3.0-only", strings.Repeat("MIT OR ", 5000) + "GPL-3.0-only", "GPL-3.0-only"},
		{"MIT", "", ""},
	} {
		by, denied := setOf(t, strings.Split(row.entries, ",")...).Denies(row.text)
		if by != row.by || denied != (row.by != "") {
			t.Errorf("%s and %.60q: denied by %q, expected %q", row.entries, row.text, by, row.by)
		}
	}
}

func TestEntries(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ entry, want, fault string }{
		{"agpl-3.0-only", "AGPL-3.0-only", ""},
		{"apache-2.0+", "Apache-2.0+", ""},
		{"gpl-2.0+", "GPL-2.0+", ""},
		{"gpl-2.0-only with classpath-exception-2.0", "GPL-2.0-only WITH Classpath-exception-2.0", ""},
		{"name: Oracle BCL", "name:Oracle BCL", ""},
		{"NOASSERTION", "NOASSERTION", ""},
		{"AGPL-3.0-olny", "", `did you mean "AGPL-3.0-only"?`},
		{"Oracle", "", `"name:"`},
		{"name: ", "", "nothing stands behind"},
		{"MIT OR GPL-2.0-only", "", "several licenses"},
		{"GPL-2.0-only WITH nothing-at-all", "", "no exception"},
		{"GPL-2.0-only AND", "", "no license expression"},
	} {
		got, err := license.NewSet().Add(row.entry)
		if got != row.want || (err != nil) != (row.fault != "") || err != nil && !strings.Contains(err.Error(), row.fault) {
			t.Errorf("%q: %q, %v", row.entry, got, err)
		}
	}
	if license.NewSet().Unstated() || !setOf(t, license.Unstated).Unstated() {
		t.Error("NOASSERTION is not what it says")
	}
}

// FuzzDenies: a choice beside a text never makes it denied, and a duty beside it
// never makes it allowed; a set that denies nothing denies nothing.
func FuzzDenies(f *testing.F) {
	for _, text := range []string{"MIT", "GPL-3.0-only", "(MIT OR GPL-3.0+) AND ISC", "GPL-2.0-only WITH Classpath-exception-2.0", "a, b", ")", "name"} {
		f.Add(text)
	}
	set := setOf(f, "GPL-3.0-only", "name:b", "GPL-2.0-or-later")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.ContainsAny(text, "()") || len(text) > 1000 {
			return // a parenthesis may close the one that stands before it
		}
		_, alone := set.Denies(text)
		if _, also := set.Denies("(" + text + ") AND GPL-3.0-only"); !also {
			t.Errorf("%q with a denied license is not denied", text)
		}
		if _, with := set.Denies("(" + text + ") OR MIT"); with && !alone {
			t.Errorf("%q becomes denied by a choice", text)
		}
		if by, denied := license.NewSet().Denies(text); denied {
			t.Errorf("an empty set denies %q by %q", text, by)
		}
	})
}
