package e2e

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/hallmark-project/hallmark/e2e/stack"
)

// shared is the Sigstore instance of all tests of a run; the first test that asks
// starts it, TestMain stops it.
var shared struct {
	once  sync.Once
	mu    sync.Mutex
	stack *stack.Stack
	err   error
}

// instance is the shared Sigstore instance.
func instance(t testing.TB) *stack.Stack {
	t.Helper()
	shared.once.Do(func() {
		shared.mu.Lock()
		defer shared.mu.Unlock()
		dir, err := os.MkdirTemp("", "sigstore-")
		if err == nil {
			shared.stack, err = stack.Start(t.Context(), stack.Options{Programs: cache, Dir: dir})
		}
		shared.err = err
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.stack
}

// stopInstance ends the shared instance, if one was started.
func stopInstance() {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.stack == nil {
		return
	}
	shared.stack.Stop()
	os.RemoveAll(shared.stack.Dir)
	shared.stack = nil
}

// put writes a file into a test's folder and returns its name.
func put(t testing.TB, dir, name string, content []byte) string {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
