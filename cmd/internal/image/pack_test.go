package main

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

const authority = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"

// program is the head of an ELF file, which is all that is looked at.
func program(t *testing.T, machine elf.Machine, segments ...elf.ProgType) string {
	t.Helper()
	var b bytes.Buffer
	header := elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT),
		Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: uint16(len(segments)), Shentsize: 64,
	}
	if err := binary.Write(&b, binary.LittleEndian, header); err != nil {
		t.Fatal(err)
	}
	for _, segment := range segments {
		if err := binary.Write(&b, binary.LittleEndian, elf.Prog64{Type: uint32(segment)}); err != nil {
			t.Fatal(err)
		}
	}
	return put(t, b.String())
}

func put(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func both(t *testing.T) settings {
	t.Helper()
	return settings{
		programs:    map[string]string{"linux/amd64": program(t, elf.EM_X86_64, elf.PT_LOAD), "linux/arm64": program(t, elf.EM_AARCH64, elf.PT_LOAD)},
		authorities: put(t, authority), version: "v1", created: time.Unix(1700000000, 0).UTC(),
	}
}

func digestOf(t *testing.T, s settings) string {
	t.Helper()
	index, err := pack(s)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

// TestReproducible: the same content makes the same digest, from other paths and at
// another time; other content makes another.
func TestReproducible(t *testing.T) {
	t.Parallel()
	one := digestOf(t, both(t))
	if two := digestOf(t, both(t)); two != one {
		t.Errorf("%s, then %s", one, two)
	}
	later, other, without := both(t), both(t), both(t)
	later.created = later.created.Add(time.Second)
	other.programs["linux/arm64"] = program(t, elf.EM_AARCH64, elf.PT_LOAD, elf.PT_LOAD)
	without.authorities = ""
	for what, s := range map[string]settings{"another time": later, "another program": other, "no authorities": without} {
		if digestOf(t, s) == one {
			t.Errorf("%s, and the digest is the same", what)
		}
	}
}

// TestContent: one layer with the program and the authorities, nothing writable, nobody
// as the user.
func TestContent(t *testing.T) {
	t.Parallel()
	s := both(t)
	index, err := pack(s)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var platforms []string
	for _, m := range manifest.Manifests {
		platforms = append(platforms, m.Platform.String())
		image, err := index.Image(m.Digest)
		if err != nil {
			t.Fatal(err)
		}
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if config.Config.User != "65532:65532" || config.Architecture != m.Platform.Architecture || !config.Created.Equal(s.created) {
			t.Errorf("user %q, architecture %q, made %s", config.Config.User, config.Architecture, config.Created)
		}
		if diff := cmp.Diff([]string{"/usr/local/bin/hallmark-verify"}, config.Config.Entrypoint); diff != "" {
			t.Error(diff)
		}
		want := []string{
			"drwxr-xr-x 0 etc/", "drwxr-xr-x 0 etc/ssl/", "drwxr-xr-x 0 etc/ssl/certs/", "-rw-r--r-- 59 etc/ssl/certs/ca-certificates.crt",
			"drwxr-xr-x 0 usr/", "drwxr-xr-x 0 usr/local/", "drwxr-xr-x 0 usr/local/bin/", "-rwxr-xr-x 120 usr/local/bin/hallmark-verify",
		}
		if diff := cmp.Diff(want, entries(t, image)); diff != "" {
			t.Error(diff)
		}
	}
	if diff := cmp.Diff([]string{"linux/amd64", "linux/arm64"}, platforms); diff != "" {
		t.Error(diff)
	}
}

func entries(t *testing.T, image v1.Image) []string {
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
	var all []string
	for reader := tar.NewReader(content); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		if header.Uid != 0 || header.Gid != 0 || header.Uname != "" {
			t.Errorf("%s belongs to %d:%d", header.Name, header.Uid, header.Gid)
		}
		all = append(all, fmt.Sprintf("%s %d %s", header.FileInfo().Mode(), header.Size, header.Name))
	}
}

// TestRefused: what could not run in an empty image, or is none of what it should be.
func TestRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spoil func(*settings)
		want  string
	}{
		"dynamic":           {func(s *settings) { s.programs["linux/amd64"] = program(t, elf.EM_X86_64, elf.PT_INTERP) }, "CGO_ENABLED=0"},
		"other machine":     {func(s *settings) { s.programs["linux/arm64"] = s.programs["linux/amd64"] }, "not for arm64"},
		"unknown machine":   {func(s *settings) { s.programs["linux/riscv64"] = s.programs["linux/amd64"] }, "not for riscv64"},
		"a script":          {func(s *settings) { s.programs["linux/amd64"] = put(t, "#!/bin/sh\n"+strings.Repeat("#", 100)) }, "bad magic"},
		"no program":        {func(s *settings) { s.programs["linux/amd64"] = "none" }, "no such file"},
		"no certificate":    {func(s *settings) { s.authorities = put(t, "hello") }, "holds no certificate"},
		"a key":             {func(s *settings) { s.authorities = put(t, strings.ReplaceAll(authority, "CERTIFICATE", "PRIVATE KEY")) }, "holds no certificate"},
		"a huge authority":  {func(s *settings) { s.authorities = put(t, strings.Repeat("x", maxAuthorities+1)) }, "larger"},
		"a missing file":    {func(s *settings) { s.authorities = "none" }, "no such file"},
		"authorities a dir": {func(s *settings) { s.authorities = t.TempDir() }, "directory"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := both(t)
			test.spoil(&s)
			if _, err := pack(s); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, not %q", err, test.want)
			}
		})
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{},
		{"-program", "linux/amd64"},
		{"-program", "linux=x"},
		{"-program", "linux/amd64=x", "more"},
		{"-program", "linux/amd64=x", "-created", "today"},
		{"-program", "linux/amd64=x", "-remote", "a\nb"},
	} {
		if _, err := parse(args); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
	s, err := parse([]string{"-program", "linux/amd64=x", "-created", "1700000000"})
	if err != nil || s.created.Year() != 2023 {
		t.Errorf("%v, %v", s.created, err)
	}
}

// TestUnpackStaysInside: an archive cannot write outside the folder.
func TestUnpackStaysInside(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"../x", "/x", "a/../../x"} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		w.Close()
		if err := unpack(put(t, b.String()), filepath.Join(t.TempDir(), "a", "b")); err == nil {
			t.Errorf("%s was written", name)
		}
	}
}

func TestTag(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{"v1.2.3": "v1.2.3", "v1-5-gabc+dirty": "v1-5-gabc-dirty", "..x": "x", "é/1": "1"} {
		if got := tag(version); got != want {
			t.Errorf("tag(%q) = %q, not %q", version, got, want)
		}
	}
}
