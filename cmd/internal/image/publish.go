package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// policyText is the policy that the image must pass before it counts as made.
const policyText = `apiVersion: hallmark.dev/v1alpha1
kind: TrustPolicy
metadata: {name: hallmark-verify}
signers:
  release:
    keys: [{file: %s}]
rules:
  - name: the image itself
    images: ["**"]
    platforms: all
    require:
      signatures: {from: [release]}
      provenance: {from: [release]}
      sbom: {from: [release], format: [spdx]}
`

// publish writes the index, with its evidence, as an OCI layout. The folder is there
// whole or not at all.
func publish(ctx context.Context, s settings, index v1.ImageIndex) error {
	digest, err := index.Digest()
	if err != nil {
		return fmt.Errorf("packing the index: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(s.out), 0o755); err != nil {
		return fmt.Errorf("making the layout: %w", err)
	}
	dir, err := os.MkdirTemp(filepath.Dir(s.out), ".image-")
	if err != nil {
		return fmt.Errorf("making the layout: %w", err)
	}
	defer os.RemoveAll(dir)
	made := filepath.Join(dir, "image")
	if s.hallmark == "" {
		path, err := layout.Write(made, empty.Index)
		if err == nil {
			err = path.AppendIndex(index)
		}
		if err != nil {
			return fmt.Errorf("writing the layout: %w", err)
		}
	} else if err := evidence(ctx, s, index, dir, made); err != nil {
		return err
	}
	if err := os.RemoveAll(s.out); err != nil {
		return fmt.Errorf("replacing the layout: %w", err)
	}
	if err := os.Rename(made, s.out); err != nil {
		return fmt.Errorf("replacing the layout: %w", err)
	}
	fmt.Printf("%s\t%s\n", s.out, digest)
	return nil
}

// evidence pushes the index to a registry on loopback, has hallmark say about it what
// there is to say, and copies all of it into a layout.
func evidence(ctx context.Context, s settings, index v1.ImageIndex, dir, made string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("starting a registry: %w", err)
	}
	server := &http.Server{
		Handler:           registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0))),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	defer server.Close()
	go server.Serve(listener)
	image := listener.Addr().String() + "/hallmark-verify:" + tag(s.version)
	ref, err := name.ParseReference(image)
	if err != nil {
		return fmt.Errorf("naming the image: %w", err)
	}
	if err := remote.WriteIndex(ref, index, remote.WithContext(ctx)); err != nil {
		return fmt.Errorf("pushing the image: %w", err)
	}
	key, public := s.key, filepath.Join(dir, "key.pub")
	if key == "" {
		fmt.Fprintln(os.Stderr, "image: no -key: signing with a key that is thrown away")
		key = filepath.Join(dir, "key.key")
		if _, err := command(ctx, os.Environ(), s.hallmark, "key", "generate", "--format", "pkcs8", "--no-password", "--out", filepath.Join(dir, "key")); err != nil {
			return err
		}
	} else {
		text, err := command(ctx, os.Environ(), s.hallmark, "key", "public", "--key", key)
		if err != nil {
			return err
		}
		if err := os.WriteFile(public, text, 0o644); err != nil {
			return fmt.Errorf("writing the public key: %w", err)
		}
	}
	environment, err := remoteOf(s, dir)
	if err != nil {
		return err
	}
	archive := filepath.Join(dir, "image.tar")
	for _, args := range [][]string{
		{"sbom", image, "--no-cache", "--format", "spdx", "--out", filepath.Join(dir, "sbom"), "--attest", "--key", key},
		{"sign", image, "--recursive", "--key", key},
		{"attest", "provenance", image, "--recursive", "--source-dir", s.source, "--key", key},
		{"copy", image, "oci-archive:" + archive},
	} {
		if _, err := command(ctx, environment, s.hallmark, args...); err != nil {
			return err
		}
	}
	if err := unpack(archive, made); err != nil {
		return fmt.Errorf("unpacking the layout: %w", err)
	}
	return judge(ctx, s, public, made)
}

// judge leaves the public key and a policy beside the layout, and has the layout
// verified under it.
func judge(ctx context.Context, s settings, public, made string) error {
	raw, err := os.ReadFile(public)
	if err != nil {
		return fmt.Errorf("reading the public key: %w", err)
	}
	policy := s.out + "-policy.yaml"
	for path, content := range map[string][]byte{s.out + ".pub": raw, policy: fmt.Appendf(nil, policyText, filepath.Base(s.out)+".pub")} {
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return fmt.Errorf("writing the policy: %w", err)
		}
	}
	args := []string{"oci-dir:" + made, "--policy", policy}
	program := s.verifier
	if program == "" {
		program, args = s.hallmark, append([]string{"verify"}, args...)
	}
	report, err := command(ctx, os.Environ(), program, args...)
	os.Stderr.Write(report)
	return err
}

// remoteOf is the environment in which git knows the remote of a checkout that has none
// of its own, such as a copy. What the checkout says itself goes before it.
func remoteOf(s settings, dir string) ([]string, error) {
	if s.remote == "" {
		return os.Environ(), nil
	}
	config := filepath.Join(dir, "config", "git", "config")
	if err := os.MkdirAll(filepath.Dir(config), 0o755); err != nil {
		return nil, fmt.Errorf("naming the remote: %w", err)
	}
	text := fmt.Sprintf("[remote \"origin\"]\n\turl = %s\n", s.remote)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, fmt.Errorf("naming the remote: %w", err)
	}
	return append(os.Environ(), "XDG_CONFIG_HOME="+filepath.Join(dir, "config")), nil
}

// tag makes a version fit for a tag.
func tag(version string) string {
	fit := func(r rune) rune {
		if r < 0x80 && (r == '.' || r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z') {
			return r
		}
		return '-'
	}
	return strings.TrimLeft(strings.Map(fit, version), ".-")
}

// command runs a program and returns what it printed.
func command(ctx context.Context, environment []string, program string, args ...string) ([]byte, error) {
	c := exec.CommandContext(ctx, program, args...)
	c.Env = environment
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Run(); err != nil {
		return nil, fmt.Errorf("running %s %s: %w\n%s%s", filepath.Base(program), strings.Join(args, " "), err, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.Bytes(), nil
}

// unpack writes the files of a tar that hallmark made into a new folder.
func unpack(archive, dir string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	reader := tar.NewReader(f)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if !filepath.IsLocal(header.Name) {
			return fmt.Errorf("%q leaves the folder", header.Name)
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		path := filepath.Join(dir, header.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, reader)
		if err := errors.Join(err, out.Close()); err != nil {
			return err
		}
	}
}
