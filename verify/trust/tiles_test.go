package trust_test

import (
	"os/exec"
	"strings"
	"testing"
)

// TestNoTilesAreRead: TR-15. Nothing that verifies links a client that reads tiles
// of a log, so that none can be led past a hash: proofs come with the evidence.
func TestNoTilesAreRead(t *testing.T) {
	t.Parallel()
	const module = "github.com/hallmark-project/hallmark/"
	list, err := exec.Command("go", "list", "-deps", module+"verify", module+"verify/trust/...", module+"policy/gate").Output()
	if err != nil {
		t.Fatal(err)
	}
	linked := strings.Fields(string(list))
	if len(linked) < 100 {
		t.Fatalf("only %d packages are linked", len(linked))
	}
	for _, pkg := range linked {
		for _, reader := range []string{"golang.org/x/mod/sumdb/tlog", "github.com/transparency-dev/tessera", "github.com/sigstore/rekor-tiles/v2/pkg/client"} {
			if strings.HasPrefix(pkg, reader) || pkg == "golang.org/x/mod/sumdb" {
				t.Errorf("%s is linked", pkg)
			}
		}
	}
}
