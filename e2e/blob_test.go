package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// blobSize is what a program's memory must not grow with. BenchmarkBlob uses more.
const blobSize = 256 << 20

// sparse makes a file of zeros that takes no room on the disk.
func sparse(t testing.TB, path string, size int64) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

// TestBlobsAreStreamed: memory does not grow with a blob. The bound is below a
// fifth of the blob, so that one copy of it in memory fails the test.
func TestBlobsAreStreamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program := hallmarkPath(t)
	sparse(t, filepath.Join(dir, "blob"), blobSize)
	measure(t, dir, program, "key", "generate", "--format", "pkcs8", "--no-password", "--out", "k")
	signed := measure(t, dir, program, "sign-blob", "blob", "--key", "k.key", "--bundle", "b.json")
	verified := measure(t, dir, program, "verify-blob", "blob", "--key", "k.pub", "--bundle", "b.json")
	for name, u := range map[string]usage{"sign-blob": signed, "verify-blob": verified} {
		t.Logf("%s of 256 MiB: %.0f MB private, %.0f MB resident with the program's own file", name, u.private, u.resident)
		if u.private == 0 || u.private > 48 {
			t.Errorf("%s of 256 MiB took %.0f MB", name, u.private)
		}
	}
}

// BenchmarkBlob: one GiB, with sha256sum's and cosign's figures beside hallmark's.
func BenchmarkBlob(b *testing.B) {
	dir := b.TempDir()
	program, cosign := hallmarkPath(b), filepath.Join(cache, "cosign")
	sparse(b, filepath.Join(dir, "blob"), 1<<30)
	if err := os.WriteFile(filepath.Join(dir, "root.json"), []byte(emptyRoot), 0o600); err != nil {
		b.Fatal(err)
	}
	measure(b, dir, program, "key", "generate", "--format", "cosign", "--out", "k")
	measure(b, dir, program, "sign-blob", "blob", "--key", "k.key", "--bundle", "kept.json")
	for _, test := range []struct {
		name    string
		program string
		args    []string
	}{
		{"sha256sum", "sha256sum", []string{"blob"}},
		{"hallmark-sign-blob", program, []string{"sign-blob", "blob", "--key", "k.key", "--bundle", "ours.json"}},
		{"hallmark-verify-blob", program, []string{"verify-blob", "blob", "--key", "k.pub", "--bundle", "kept.json"}},
		{"cosign-sign-blob", cosign, []string{"sign-blob", "--key", "k.key", "--bundle", "theirs.json", "--new-bundle-format", "--tlog-upload=false", "--yes", "blob"}},
		{"cosign-verify-blob", cosign, []string{"verify-blob", "--key", "k.pub", "--bundle", "kept.json", "--new-bundle-format", "--trusted-root", "root.json", "--insecure-ignore-tlog", "blob"}},
	} {
		b.Run(test.name, func(b *testing.B) {
			var cpu time.Duration
			var resident, private float64
			for b.Loop() {
				// Each turn starts alike, whatever a tool does with a bundle that stands there.
				os.Remove(filepath.Join(dir, "ours.json"))
				os.Remove(filepath.Join(dir, "theirs.json"))
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
