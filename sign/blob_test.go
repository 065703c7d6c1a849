package sign_test

import (
	"io"
	"runtime"
	"testing"

	"github.com/hallmark-project/hallmark/sign"
	"github.com/hallmark-project/hallmark/sign/keys"
)

// zeros is content without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestBlobMemory is not parallel, so that what is allocated is its own: signing large
// content allocates no more than signing little. The peers hold all of it.
func TestBlobMemory(t *testing.T) {
	const (
		size   = 256 << 20
		budget = 4 << 20
	)
	for _, algorithm := range []keys.Algorithm{keys.ECDSAP256, keys.Ed25519} {
		signer, err := keys.Generate(algorithm)
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := sign.Blob(t.Context(), io.LimitReader(zeros{}, size), signer); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > budget {
			t.Errorf("%s: %d bytes allocated for %d bytes of content, the budget is %d", algorithm, used, size, budget)
		}
	}
}
