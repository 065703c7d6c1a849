package oci_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hallmark-project/hallmark/verify/oci"
)

func ExampleParseReference() {
	for _, text := range []string{"nginx", "registry.example:443/team/app:1.2", "Registry.example/app"} {
		ref, err := oci.ParseReference(text)
		if errors.Is(err, oci.ErrReference) {
			fmt.Println("refused:", text)
			continue
		}
		fmt.Println(ref)
	}
	// Output:
	// docker.io/library/nginx:latest
	// registry.example/team/app:1.2
	// refused: Registry.example/app
}

func ExampleClient() {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(true)))
	defer server.Close()
	text := strings.TrimPrefix(server.URL, "http://") + "/team/app:1.2"
	tag, err := name.NewTag(text)
	if err != nil {
		log.Fatal(err)
	}
	if err := remote.Write(tag, empty.Image); err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	client := oci.NewClient(oci.Options{})
	ref, err := oci.ParseReference(text)
	if err != nil {
		log.Fatal(err)
	}
	image, err := client.Resolve(ctx, ref)
	if err != nil {
		log.Fatal(err)
	}
	list, err := client.Referrers(ctx, ref, image.Digest)
	if err != nil {
		log.Fatal(err)
	}
	m, err := client.Manifest(ctx, ref, image)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(list.Descriptors), "referrers by", list.Place, "and", len(m.Layers), "layers")
	// Output: 0 referrers by referrers-api and 0 layers
}
