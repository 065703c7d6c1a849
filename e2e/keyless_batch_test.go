package e2e

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/hallmark-project/hallmark/e2e/stack"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// batchSize is how many images one command signs.
const batchSize = 20

// Requests that a batch may cost: budgets that may only fall.
const (
	batchCertificates = 1 // of Fulcio, for all images
	perImageLog       = 1 // to each log
	perImageTSA       = 1 // to each authority
	perImageRegistry  = 5 // as with a key, besides pings (TestRequestsBesideCosign)
)

// TestKeylessBatch: one command signs many images with one certificate, one log entry
// and one timestamp each.
func TestKeylessBatch(t *testing.T) {
	t.Parallel()
	all := instance(t).Services()
	for name, services := range map[string]stack.Services{"Rekor v1": all.V1(), "Rekor v2": all.V2()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			services, c := counted(t, services)
			k := newKeyless(t, services, stack.RealGitHub())
			reg := registrytest.New(t, registrytest.WithReferrers(true))
			args := []string{"sign"}
			for i := range batchSize {
				args = append(args, reg.PushImage(fmt.Sprintf("batch/%d", i), "1", map[string]string{"n": fmt.Sprint(i)}).TagRef())
			}
			reg.Reset()
			hallmark(t, k.dir, k.sign(args...)...).want(t, 0, "hallmark sign")
			logs, times := 0, 0
			for _, log := range append(c.rekor2, c.rekor1) {
				if log != nil {
					logs += log.Count(http.MethodPost, "/log/entries")
				}
			}
			for _, authority := range c.tsa {
				times += authority.Count(http.MethodPost, "/timestamp")
			}
			for what, figures := range map[string][2]int{
				"requests for certificates": {c.fulcio.Count(http.MethodPost, "/signingCert"), batchCertificates},
				"log entries":               {logs, batchSize * perImageLog},
				"timestamps":                {times, batchSize * perImageTSA},
			} {
				if figures[0] != figures[1] {
					t.Errorf("%d %s, want %d", figures[0], what, figures[1])
				}
			}
			t.Logf("%d images: Fulcio %v, registry %d requests", batchSize, c.fulcio.Requests(), reg.Budgeted())
			if n := reg.Budgeted(); n > batchSize*perImageRegistry {
				t.Errorf("%d requests to the registry, the budget is %d", n, batchSize*perImageRegistry)
			}
			// Every one of them is a signature that others take.
			for _, image := range []string{args[1], args[batchSize]} {
				k.cosign(t, k.cosignVerify(k.profile.Identity, "verify", image)...).want(t, 0, "cosign verify")
			}
		})
	}
}
