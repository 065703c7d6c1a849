package main

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// demoPlatforms are the platforms of the demo's index. Both carry the program
// that is running; a real build would cross-compile.
var demoPlatforms = []v1.Platform{
	{OS: "linux", Architecture: "amd64"},
	{OS: "linux", Architecture: "arm64"},
}

// packProgram makes an image index out of one program file: a layer with the
// program, one image for each platform, and the index over them.
func packProgram(program string, created time.Time) (v1.ImageIndex, error) {
	layer, err := programLayer(program)
	if err != nil {
		return nil, err
	}
	var addenda []mutate.IndexAddendum
	for _, platform := range demoPlatforms {
		image, err := mutate.Append(mutate.MediaType(empty.Image, types.OCIManifestSchema1), mutate.Addendum{
			Layer:   layer,
			History: v1.History{Created: v1.Time{Time: created}, CreatedBy: "hallmark demo"},
		})
		if err != nil {
			return nil, fmt.Errorf("packing the image: %w", err)
		}
		config, err := image.ConfigFile()
		if err != nil {
			return nil, fmt.Errorf("packing the image: %w", err)
		}
		config = config.DeepCopy()
		config.OS, config.Architecture = platform.OS, platform.Architecture
		config.Created = v1.Time{Time: created}
		config.Config.Entrypoint = []string{"/usr/local/bin/hallmark"}
		config.Config.User = "65532:65532"
		image, err = mutate.ConfigFile(image, config)
		if err != nil {
			return nil, fmt.Errorf("packing the image: %w", err)
		}
		image = mutate.ConfigMediaType(image, types.OCIConfigJSON)
		addenda = append(addenda, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &platform}})
	}
	index := mutate.IndexMediaType(mutate.AppendManifests(empty.Index, addenda...), types.OCIImageIndex)
	return index, nil
}

// programLayer packs one program as /usr/local/bin/hallmark. The tar is made
// anew for each reader, so that the program is never held in memory.
func programLayer(program string) (v1.Layer, error) {
	info, err := os.Stat(program)
	if err != nil {
		return nil, fmt.Errorf("packing the program: %w", err)
	}
	open := func() (io.ReadCloser, error) {
		file, err := os.Open(program)
		if err != nil {
			return nil, err
		}
		var header, trailer bytes.Buffer
		writer := tar.NewWriter(&header)
		if err := writer.WriteHeader(&tar.Header{
			Typeflag: tar.TypeReg, Name: "usr/local/bin/" + programName(program), Size: info.Size(), Mode: 0o755, Format: tar.FormatPAX,
		}); err != nil {
			file.Close()
			return nil, err
		}
		// A tar ends with two empty blocks, behind the file's own padding.
		trailer.Write(make([]byte, (512-info.Size()%512)%512+1024))
		return readCloser{io.MultiReader(&header, io.LimitReader(file, info.Size()), &trailer), file}, nil
	}
	layer, err := tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(1))
	if err != nil {
		return nil, fmt.Errorf("packing the program: %w", err)
	}
	return layer, nil
}

func programName(program string) string {
	name := filepath.Base(program)
	if runtime.GOOS == "windows" {
		return "hallmark.exe"
	}
	return name
}

type readCloser struct {
	io.Reader
	io.Closer
}

func decodeText(text string) ([]byte, error) { return base64.StdEncoding.DecodeString(text) }

func encodeText(raw []byte) string { return base64.StdEncoding.EncodeToString(raw) }
