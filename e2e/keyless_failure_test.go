package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/e2e/stack"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// counters are the instance's services, each behind a counter.
type counters struct {
	fulcio, rekor1 *stack.Counter
	rekor2, tsa    []*stack.Counter
}

// counted puts counters before all services, until the test ends.
func counted(t testing.TB, services stack.Services) (stack.Services, *counters) {
	t.Helper()
	start := func(url string) *stack.Counter {
		c := stack.NewCounter(url)
		t.Cleanup(c.Close)
		return c
	}
	c := &counters{fulcio: start(services.Fulcio)}
	services.Fulcio = c.fulcio.URL
	if services.RekorV1 != "" {
		c.rekor1 = start(services.RekorV1)
		services.RekorV1 = c.rekor1.URL
	}
	services.RekorV2, services.TSA = slices.Clone(services.RekorV2), slices.Clone(services.TSA)
	for i, url := range services.RekorV2 {
		c.rekor2 = append(c.rekor2, start(url))
		services.RekorV2[i] = c.rekor2[i].URL
	}
	for i, url := range services.TSA {
		c.tsa = append(c.tsa, start(url))
		services.TSA[i] = c.tsa[i].URL
	}
	return services, c
}

// TestKeylessFailureLeavesNothing: whatever is down, or makes what cannot be verified,
// the command fails and the registry was not asked to write anything.
func TestKeylessFailureLeavesNothing(t *testing.T) {
	t.Parallel()
	all := instance(t).Services()
	two := all
	two.AllLogs, two.AllTSAs = true, true
	cases := map[string]struct {
		services stack.Services
		fail     func(t *testing.T, k keyless, c *counters)
		says     string
	}{
		"Fulcio down":            {all.V2(), func(_ *testing.T, _ keyless, c *counters) { c.fulcio.Fail(http.StatusServiceUnavailable) }, "503"},
		"Fulcio refuses":         {all.V2(), func(_ *testing.T, _ keyless, c *counters) { c.fulcio.Fail(http.StatusForbidden) }, "403"},
		"Fulcio unreachable":     {all.V2(), func(_ *testing.T, _ keyless, c *counters) { c.fulcio.Close() }, "refused"},
		"Rekor v1 down":          {all.V1(), func(_ *testing.T, _ keyless, c *counters) { c.rekor1.Fail(http.StatusBadGateway) }, "502"},
		"Rekor v2 down":          {all.V2(), func(_ *testing.T, _ keyless, c *counters) { c.rekor2[0].Fail(503); c.rekor2[1].Fail(503) }, "503"},
		"one of two logs down":   {two, func(_ *testing.T, _ keyless, c *counters) { c.rekor2[1].Fail(503) }, "503"},
		"one of two TSAs down":   {two, func(_ *testing.T, _ keyless, c *counters) { c.tsa[1].Fail(http.StatusServiceUnavailable) }, "503"},
		"all TSAs down":          {all.V2(), func(_ *testing.T, _ keyless, c *counters) { c.tsa[0].Fail(503); c.tsa[1].Fail(503) }, "503"},
		"expired token":          {all.V2(), func(t *testing.T, k keyless, _ *counters) { k.token(t, map[string]any{"exp": 1700000000}) }, "identity token"},
		"token for others":       {all.V2(), func(t *testing.T, k keyless, _ *counters) { k.token(t, map[string]any{"aud": "others"}) }, "audience"},
		"unverified e-mail":      {all.V2(), func(t *testing.T, k keyless, _ *counters) { k.token(t, map[string]any{"email_verified": false}) }, "not verified"},
		"another's trusted root": {all.V2(), func(t *testing.T, k keyless, _ *counters) { put(t, k.dir, "trusted_root.json", strangersRoot(t)) }, "hallmark: error"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			services, c := counted(t, test.services)
			k := newKeyless(t, services, stack.Email())
			test.fail(t, k, c)
			for _, format := range formatsOf(services) {
				reg := registrytest.New(t, registrytest.WithReferrers(true))
				image := reg.PushImage("app", "1", map[string]string{"a": "b"}).TagRef()
				reg.Reset()
				failed := hallmark(t, k.dir, k.sign("sign", image, "--format", format)...)
				failed.fails(t, "hallmark sign --format "+format)
				if failed.code > 2 {
					t.Errorf("ended with %d\n%s", failed.code, failed.stderr)
				}
				contains(t, strings.ToLower(failed.stderr), test.says)
				for _, method := range []string{http.MethodPut, http.MethodPost, http.MethodPatch} {
					if n := reg.Count(method, registrytest.Any); n > 0 {
						t.Errorf("%s, %s: %d writes\n%s", format, method, n, reg.Log())
					}
				}
			}
		})
	}
}

// formatsOf are the formats that services can make: the legacy one needs a Rekor v1
// alone, and at most one timestamp.
func formatsOf(services stack.Services) []string {
	if services.RekorV1 == "" || services.AllLogs || services.AllTSAs {
		return []string{"bundle"}
	}
	return []string{"bundle", "legacy"}
}

// token replaces the token by one with other claims.
func (k keyless) token(t testing.TB, claims map[string]any) {
	t.Helper()
	token, err := k.stack.Issuer.Token(k.profile, claims)
	if err != nil {
		t.Fatal(err)
	}
	put(t, k.dir, "token", []byte(token))
}

// strangersRoot is a trusted root that knows nobody of the shared instance.
func strangersRoot(t testing.TB) []byte {
	t.Helper()
	root, err := stack.StrangersRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return root
}
