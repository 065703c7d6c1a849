package policy

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Why says what Plan and Decide do: the most specific pattern that is in force.
func TestWhy(t *testing.T) {
	t.Parallel()
	p := parse(t, policyOf(`
  - {name: all, images: ["**"], require: {signatures: {from: [a]}}}
  - {name: team, images: [registry.example/team/**], require: {signatures: {from: [a]}}}
  - {name: app, images: [registry.example/team/app], until: 2026-06-01, require: {signatures: {from: [a]}}}
`))
	may, july := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	everything := Candidate{"all", "**", "it is less specific"}
	for _, test := range []struct {
		image string
		at    time.Time
		want  Governing
	}{
		{"nginx", may, Governing{Name: "docker.io/library/nginx", Rule: "all", Pattern: "**"}},
		{"registry.example/team/web", may, Governing{Name: "registry.example/team/web", Rule: "team", Pattern: "registry.example/team/**", Others: []Candidate{everything}}},
		{"registry.example/team/app", may, Governing{Name: "registry.example/team/app", Rule: "app", Pattern: "registry.example/team/app", Others: []Candidate{everything, {"team", "registry.example/team/**", "it is less specific"}}}},
		{"registry.example/team/app", july, Governing{Name: "registry.example/team/app", Rule: "team", Pattern: "registry.example/team/**", Others: []Candidate{everything, {"app", "registry.example/team/app", "the rule is not in force then"}}}},
	} {
		got, err := p.Why(test.image, test.at)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s at %s:\n%s", test.image, test.at, diff)
		}
		if decision := p.Decide(Image{Name: test.image}, test.at); decision.Rule != got.Rule {
			t.Errorf("%s: Decide says %q", test.image, decision.Rule)
		}
	}
	if _, err := p.Why("UPPER", may); err == nil {
		t.Error("a name that cannot be read is no error")
	}
}
