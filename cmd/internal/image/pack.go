package main

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	programPath     = "usr/local/bin/hallmark-verify"
	authoritiesPath = "etc/ssl/certs/ca-certificates.crt" // one of the places where Go looks
	// nobody is the user that distroless images call nonroot; deploy/helm says the same.
	nobody = "65532:65532"
	// maxProgram and maxAuthorities bound what is read into memory; real ones are
	// 20 MB and 250 kB.
	maxProgram     = 64 << 20
	maxAuthorities = 4 << 20
)

// machines are the ELF machines of the architectures.
var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// pack makes the image index: for each platform one image of one layer.
func pack(s settings) (v1.ImageIndex, error) {
	var authorities []byte
	if s.authorities != "" {
		raw, err := readFile(s.authorities, maxAuthorities)
		if err != nil {
			return nil, fmt.Errorf("packing the certificate authorities: %w", err)
		}
		if block, _ := pem.Decode(raw); block == nil || block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("packing the certificate authorities: %s holds no certificate", s.authorities)
		}
		authorities = raw
	}
	var addenda []mutate.IndexAddendum
	for _, platform := range slices.Sorted(maps.Keys(s.programs)) {
		system, architecture, _ := strings.Cut(platform, "/")
		program, err := readProgram(s.programs[platform], architecture)
		if err != nil {
			return nil, fmt.Errorf("packing the program for %s: %w", platform, err)
		}
		image, err := packOne(v1.Platform{OS: system, Architecture: architecture}, program, authorities, s)
		if err != nil {
			return nil, fmt.Errorf("packing the image for %s: %w", platform, err)
		}
		addenda = append(addenda, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: system, Architecture: architecture},
		}})
	}
	return mutate.IndexMediaType(mutate.AppendManifests(empty.Index, addenda...), types.OCIImageIndex), nil
}

func packOne(platform v1.Platform, program, authorities []byte, s settings) (v1.Image, error) {
	files := []file{{programPath, 0o755, program}}
	if authorities != nil {
		files = append([]file{{authoritiesPath, 0o644, authorities}}, files...)
	}
	archive, err := archiveOf(files, s.created)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive)), nil },
		tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(9))
	if err != nil {
		return nil, err
	}
	image, err := mutate.Append(mutate.MediaType(empty.Image, types.OCIManifestSchema1), mutate.Addendum{
		Layer:   layer,
		History: v1.History{Created: v1.Time{Time: s.created}, CreatedBy: "make image"},
	})
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = platform.OS, platform.Architecture, v1.Time{Time: s.created}
	config.Config = v1.Config{
		User:       nobody,
		Entrypoint: []string{"/" + programPath},
		Labels: map[string]string{
			"org.opencontainers.image.title":   "hallmark-verify",
			"org.opencontainers.image.source":  "https://github.com/hallmark-project/hallmark",
			"org.opencontainers.image.version": s.version,
		},
	}
	image, err = mutate.ConfigFile(image, config)
	if err != nil {
		return nil, err
	}
	return mutate.ConfigMediaType(image, types.OCIConfigJSON), nil
}

// file is one of the few in the image.
type file struct {
	name    string
	mode    int64
	content []byte
}

// archiveOf makes a tar of the files and their folders, all root's and of one time.
func archiveOf(files []file, created time.Time) ([]byte, error) {
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	made := make(map[string]bool)
	for _, f := range files {
		for i, c := range f.name {
			if folder := f.name[:i]; c == '/' && !made[folder] {
				made[folder] = true
				if err := writer.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: folder + "/", Mode: 0o755, ModTime: created, Format: tar.FormatPAX}); err != nil {
					return nil, err
				}
			}
		}
		header := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Size: int64(len(f.content)), Mode: f.mode, ModTime: created, Format: tar.FormatPAX}
		if err := writer.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := writer.Write(f.content); err != nil {
			return nil, err
		}
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	return archive.Bytes(), nil
}

// readProgram reads a program that can run in an empty image: an ELF file of the
// architecture that wants no loader.
func readProgram(path, architecture string) ([]byte, error) {
	raw, err := readFile(path, maxProgram)
	if err != nil {
		return nil, err
	}
	program, err := elf.NewFile(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if want, known := machines[architecture]; !known || program.Machine != want {
		return nil, fmt.Errorf("%s is for %s, not for %s", path, program.Machine, architecture)
	}
	for _, segment := range program.Progs {
		if segment.Type == elf.PT_INTERP {
			return nil, fmt.Errorf("%s is linked dynamically: build it with CGO_ENABLED=0", path)
		}
	}
	return raw, nil
}

func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) > limit {
		return nil, fmt.Errorf("reading %s: %w", path, errors.New("larger than any that was foreseen"))
	}
	return raw, nil
}
