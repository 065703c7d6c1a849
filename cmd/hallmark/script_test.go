package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// TestMain lets scripts run hallmark as a process of its own, with its own
// environment, terminal and exit code: this test program, under that name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"hallmark": main})
}

// TestScripts runs each script of testdata/script in an empty folder. The
// environment of a script holds nothing of the caller's but PATH. $REGISTRY is a
// registry for all scripts, each of which keeps to a folder of its own name; $LOCKED
// is one that wants the password marker-4711. $ROOT is the trusted root of an instance
// that does not answer.
func TestScripts(t *testing.T) {
	t.Parallel()
	open := registrytest.New(t)
	locked := registrytest.New(t, registrytest.WithBasicAuth("user", "marker-4711"))
	root := newFile(t, "root.json", string(verifytest.NewInstance(t).TrustedRoot(t)))
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("REGISTRY", open.Host())
			env.Setenv("LOCKED", locked.Host())
			env.Setenv("ROOT", root)
			return nil
		},
	})
}
