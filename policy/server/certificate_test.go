package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestSwappedCertificates: Kubernetes swaps a Secret's volume in one step; a load in the
// middle of it is no refusal.
func TestSwappedCertificates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"tls.crt", "tls.key"} {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2 {
		pair(t, filepath.Join(dir, fmt.Sprintf("..%d", i)), int64(i+1))
	}
	swap := func(i int) {
		temp := filepath.Join(dir, "..tmp")
		if err := os.Symlink(fmt.Sprintf("..%d", i%2), temp); err != nil {
			t.Error(err)
		}
		if err := os.Rename(temp, filepath.Join(dir, "..data")); err != nil {
			t.Error(err)
		}
	}
	swap(0)
	c, err := openCertificates(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), "")
	if err != nil {
		t.Fatal(err)
	}
	swapped := make(chan struct{})
	go func() {
		defer close(swapped)
		for i := range 100 {
			swap(i)
			// Slow enough that a busy machine ends one of a few loads between two swaps.
			time.Sleep(20 * time.Millisecond)
		}
	}()
	changes := 0
	for done := false; !done; {
		select {
		case <-swapped:
			done = true
		default:
		}
		changed, err := c.check()
		if err != nil {
			t.Errorf("refused: %v", err)
		}
		if changed {
			changes++
		}
	}
	if changes == 0 {
		t.Error("no swap was noticed")
	}
}

// pair writes a self-signed certificate and its key into a folder of its own.
func pair(t *testing.T, dir string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"tls.crt": {Type: "CERTIFICATE", Bytes: raw}, "tls.key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
