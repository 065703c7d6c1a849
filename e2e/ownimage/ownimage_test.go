// Package ownimage tests what `make image` makes: that it is the same each time, holds
// nothing but the program, runs as nobody in an empty root, and passes its own policy.
package ownimage

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

const authorities = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"

// program is one that `make build` has made.
func program(t *testing.T, variable, name string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		path = filepath.Join("..", "..", "bin", name)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v; make build makes it", err)
	}
	return path
}

// run runs a program and wants its exit code.
func run(t *testing.T, code int, program string, args ...string) string {
	t.Helper()
	command := exec.Command(program, args...)
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	out, err := command.CombinedOutput()
	if command.ProcessState == nil || command.ProcessState.ExitCode() != code {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(program), strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestImage(t *testing.T) {
	t.Parallel()
	hallmark, verifier := program(t, "HALLMARK", "hallmark"), program(t, "HALLMARK_VERIFY", "hallmark-verify")
	dir := t.TempDir()
	packer := filepath.Join(dir, "packer")
	build := exec.Command("go", "build", "-C", "../..", "-o", packer, "./cmd/internal/image")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, []byte(authorities), 0o644); err != nil {
		t.Fatal(err)
	}
	source := checkout(t)
	platform := "linux/" + runtime.GOARCH
	pack := func(out string, more ...string) string {
		args := []string{"-program", platform + "=" + verifier, "-ca", ca, "-created", "1700000000", "-out", out, "-source", source}
		printed := run(t, 0, packer, append(args, more...)...)
		_, digest, found := strings.Cut(printed[strings.LastIndex(printed, out+"\t"):], "\t")
		if !found {
			t.Fatalf("no digest in %s", printed)
		}
		return strings.TrimSpace(digest)
	}
	out := filepath.Join(dir, "image")
	digest := pack(out, "-hallmark", hallmark, "-verifier", verifier, "-remote", "https://git.example/hallmark")
	if bare := pack(filepath.Join(dir, "bare")); bare != digest {
		t.Errorf("%s, then %s", digest, bare)
	}

	image := only(t, out, digest)
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.User != "65532:65532" {
		t.Errorf("it runs as %q", config.Config.User)
	}
	root := t.TempDir()
	if got, want := unpack(t, image, root), "etc/ssl/certs/ca-certificates.crt usr/local/bin/hallmark-verify"; got != want {
		t.Errorf("it holds %q, not %q", got, want)
	}
	inside(t, root, config.Config.Entrypoint[0])

	// It passes under its own policy as a layout, and from a registry with what was copied along.
	policy := out + "-policy.yaml"
	run(t, 0, verifier, "oci-dir:"+out+"@"+digest, "--policy", policy)
	registry := registrytest.New(t, registrytest.WithReferrers(true))
	ref := registry.Host() + "/hallmark-verify:0.1.0"
	run(t, 0, hallmark, "copy", "oci-dir:"+out+"@"+digest, ref)
	run(t, 0, verifier, ref, "--policy", policy)

	// A key of ours signs as well; the policy then names its public half.
	key := filepath.Join(dir, "own")
	run(t, 0, hallmark, "key", "generate", "--format", "pkcs8", "--no-password", "--out", key)
	signed := filepath.Join(dir, "signed")
	if again := pack(signed, "-hallmark", hallmark, "-verifier", verifier, "-remote", "https://git.example/hallmark", "-key", key+".key"); again != digest {
		t.Errorf("signing changed the image: %s, then %s", digest, again)
	}
	run(t, 1, verifier, "oci-dir:"+signed+"@"+digest, "--policy", policy) // the key that was thrown away did not sign it

	// A changed byte in the layer does not travel, to a registry that has not the right one.
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	name, err := layers[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	blob := filepath.Join(out, "blobs", "sha256", name.Hex)
	content, err := os.ReadFile(blob)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := os.WriteFile(blob, content, 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, 1, hallmark, "copy", "oci-dir:"+out+"@"+digest, registrytest.New(t).Host()+"/other:1")
}

// checkout makes a git checkout with one commit and no remote.
func checkout(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, args := range [][]string{
		{"init", "--quiet", "--initial-branch=main"},
		{"-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "--quiet", "--allow-empty", "--no-gpg-sign", "--message", "a"},
	} {
		run(t, 0, "git", append([]string{"-C", dir}, args...)...)
	}
	return dir
}

// only is the one image below the index of that digest.
func only(t *testing.T, dir, digest string) v1.Image {
	t.Helper()
	hash, err := v1.NewHash(digest)
	if err != nil {
		t.Fatal(err)
	}
	root, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	index, err := root.ImageIndex(hash)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil || len(manifest.Manifests) != 1 {
		t.Fatalf("%d images, %v", len(manifest.Manifests), err)
	}
	image, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// unpack writes the one layer into a folder and names its files.
func unpack(t *testing.T, image v1.Image, root string) string {
	t.Helper()
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	var files []string
	for reader := tar.NewReader(content); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return strings.Join(files, " ")
		} else if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(root, filepath.FromSlash(header.Name))
		if header.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(path, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		files = append(files, header.Name)
		file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, os.FileMode(header.Mode))
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(file, reader)
		if err := errors.Join(err, file.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// inside runs the program of the image: as root in the image's own root, as nobody, and
// otherwise from outside.
func inside(t *testing.T, root, entrypoint string) {
	t.Helper()
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	command := &exec.Cmd{Path: filepath.Join(root, entrypoint), Args: []string{entrypoint, "version"}, Env: []string{}, Stdout: &stdout, Stderr: &stderr}
	if os.Geteuid() == 0 {
		command.Path, command.Dir = entrypoint, "/"
		command.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
	}
	if err := command.Run(); err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	if !strings.Contains(stdout.String(), "go1.") {
		t.Errorf("version prints %s", stdout.String())
	}
}
