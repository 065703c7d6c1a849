package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// TestRequestsBesideCosign counts what each asks of one registry. hallmark's counts
// are budgets that may only fall; cosign's are logged.
func TestRequestsBesideCosign(t *testing.T) {
	t.Parallel()
	dir := workbench(t, "ecdsa-p256")
	for name, test := range map[string]struct {
		ours, theirs []string
		budget       int
	}{
		"sign":   {[]string{"sign", "IMAGE", "--key", "k.key"}, append([]string{"sign", "IMAGE"}, signFlags("bundle")...), 6},
		"verify": {[]string{"verify", "IMAGE", "--key", "k.pub"}, append([]string{"verify", "IMAGE"}, verifyFlags("bundle", "k.pub")...), 4},
	} {
		count := func(run func(t testing.TB, dir string, args ...string) result, args []string) int {
			reg := registrytest.New(t)
			image := reg.PushImage("app", "1", map[string]string{"a": "b"}).TagRef()
			if name == "verify" {
				hallmark(t, dir, "sign", image, "--key", "k.key").want(t, 0, "hallmark sign")
			}
			reg.Reset()
			filled := append([]string(nil), args...)
			filled[1] = image
			run(t, dir, filled...).want(t, 0, args[0])
			return len(reg.Requests())
		}
		ours := count(hallmark, test.ours)
		theirs := count(func(t testing.TB, dir string, args ...string) result { return tool(t, dir, "cosign", args...) }, test.theirs)
		t.Logf("%s, bundle, by tag, with the ping: hallmark %d requests, cosign 2.6.5 %d", name, ours, theirs)
		if ours > test.budget {
			t.Errorf("%s: %d requests, the budget is %d", name, ours, test.budget)
		}
	}
}

// BenchmarkProcess runs whole processes: time, CPU time and resident memory, with
// cosign's beside them.
func BenchmarkProcess(b *testing.B) {
	dir := b.TempDir()
	prepare := func(args ...string) { hallmark(b, dir, args...).want(b, 0, args[0]) }
	prepare("key", "generate", "--format", "pkcs8", "--no-password", "--out", "plain")
	prepare("key", "generate", "--out", "k")
	if err := os.WriteFile(filepath.Join(dir, "root.json"), []byte(emptyRoot), 0o600); err != nil {
		b.Fatal(err)
	}
	reg := registrytest.New(b)
	image := reg.PushImage("app", "1", map[string]string{"a": "b"}).TagRef()
	prepare("sign", image, "--key", "plain.key")
	prepare("sign", image, "--key", "k.key")
	program := hallmarkPath(b)
	cosign := filepath.Join(cache, "cosign")
	for _, test := range []struct {
		name    string
		program string
		args    []string
	}{
		{"hallmark-help", program, []string{"--help"}},
		{"hallmark-verify", program, []string{"verify", image, "--key", "plain.pub"}},
		{"hallmark-sign-pkcs8", program, []string{"sign", image, "--key", "plain.key"}},
		{"hallmark-sign-cosign-key", program, []string{"sign", image, "--key", "k.key"}},
		{"cosign-verify", cosign, append([]string{"verify", image}, verifyFlags("bundle", "k.pub")...)},
		{"cosign-sign", cosign, append([]string{"sign", image}, signFlags("bundle")...)},
	} {
		b.Run(test.name, func(b *testing.B) {
			var cpu time.Duration
			var resident, private float64
			for b.Loop() {
				u := measure(b, dir, test.program, test.args...)
				cpu += u.cpu
				resident, private = max(resident, u.resident), max(private, u.private)
			}
			b.ReportMetric(cpu.Seconds()/float64(b.N), "cpu-s/op")
			b.ReportMetric(resident, "max-MB")
			b.ReportMetric(private, "private-MB")
		})
	}
}
