package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

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
