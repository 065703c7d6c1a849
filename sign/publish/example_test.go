package publish_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hallmark-project/hallmark/sign"
	"github.com/hallmark-project/hallmark/sign/keys"
	"github.com/hallmark-project/hallmark/sign/publish"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// Sign an image in a registry, twice: the second run adds nothing.
func ExamplePublisher_Attach() {
	server := httptest.NewServer(registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	image := strings.TrimPrefix(server.URL, "http://") + "/team/app:1"
	tag, err := name.NewTag(image)
	must(err)
	must(remote.Write(tag, empty.Image))

	ctx := context.Background()
	signer, err := keys.Generate(keys.ECDSAP256)
	must(err)
	verifier, err := sign.Verifier(signer)
	must(err)
	ref, err := oci.ParseReference(image)
	must(err)
	for range 2 {
		publisher := publish.New(oci.NewClient(oci.Options{Push: true}))
		subjects, err := publisher.Subjects(ctx, ref, false)
		must(err)
		evidence, err := sign.Image(ctx, subjects[0].Digest, nil, signer)
		must(err)
		result, err := publisher.Attach(ctx, ref, subjects[0], evidence, verifier)
		must(err)
		fmt.Println(result.Place, result.Existing)
	}
	// Output:
	// referrers-api false
	// referrers-api true
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
