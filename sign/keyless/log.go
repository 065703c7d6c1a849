package keyless

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/go-openapi/runtime"
	httptransport "github.com/go-openapi/runtime/client"
	"github.com/go-openapi/strfmt"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	tiles "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	rekorclient "github.com/sigstore/rekor/pkg/generated/client"
	sigsign "github.com/sigstore/sigstore-go/pkg/sign"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/hallmark-project/hallmark/verify/trust"
)

// ErrTooLarge: a statement is larger than a Rekor v1 takes. Sign with a Rekor v2,
// which is sent hashes only, or attest a smaller document.
var ErrTooLarge = errors.New("too large for the transparency log")

const (
	// maxRekorV1 bounds what is sent to a Rekor v1, which is given the whole envelope
	// although it keeps hashes only. Rekor itself has no default limit; the proxies in
	// front of one do, and 32 MB is what they commonly let through.
	maxRekorV1 = 32 << 20
	// maxLogAnswer bounds a log's answer: an entry with its proof has some kilobytes.
	maxLogAnswer = 4 << 20
)

// record writes the signature of a bundle into a log and returns the entry with its
// proof. An entry that is there already counts as written.
func record(ctx context.Context, client *http.Client, log Log, root *trust.Root, certificate []byte, wire *protobundle.Bundle) (*protorekor.TransparencyLogEntry, error) {
	options := &sigsign.RekorOptions{BaseURL: log.URL, Version: log.Version, Timeout: -1}
	switch log.Version {
	case 1:
		if n := len(wire.GetDsseEnvelope().GetPayload()); n > maxRekorV1/4*3 {
			return nil, fmt.Errorf("%w %s: a statement of %d bytes, at most %d can be sent", ErrTooLarge, log.URL, n, maxRekorV1/4*3)
		}
		v1, err := newRekorV1(client, log.URL)
		if err != nil {
			return nil, err
		}
		options.Client = v1
	case 2:
		options.ClientV2 = &rekorV2{client: client, base: log.URL, root: root}
	}
	// The engine appends to the bundle that it is given; logs are asked side by side.
	mine, copied := proto.Clone(wire).(*protobundle.Bundle)
	if !copied {
		return nil, errors.New("copying a bundle")
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
	if err := sigsign.NewRekor(options).GetTransparencyLogEntry(ctx, text, mine); err != nil {
		return nil, fmt.Errorf("writing to the transparency log %s: %w", log.URL, err)
	}
	all := mine.GetVerificationMaterial().GetTlogEntries()
	if len(all) == 0 {
		return nil, fmt.Errorf("writing to the transparency log %s: it returned no entry", log.URL)
	}
	return all[len(all)-1], nil
}

// newRekorV1 returns Rekor's own client over our transport.
func newRekorV1(client *http.Client, base string) (*rekorV1, error) {
	address, err := url.Parse(base)
	if err != nil {
		return nil, fmt.Errorf("%w: %q is no URL", ErrServices, base)
	}
	root := address.Path
	if root == "" {
		root = rekorclient.DefaultBasePath
	}
	transport := httptransport.NewWithClient(address.Host, root, []string{address.Scheme}, client)
	transport.Consumers["application/json"] = runtime.JSONConsumer()
	transport.Producers["application/json"] = runtime.JSONProducer()
	return &rekorV1{rekorclient.New(transport, strfmt.Default).Entries}, nil
}

// rekorV2 speaks to a Rekor v2 (rekor-tiles, api/proto/rekor_service.proto,
// CreateEntry).
type rekorV2 struct {
	client *http.Client
	base   string
	root   *trust.Root
}

// Add implements the engine's interface for logs of version 2.
func (r *rekorV2) Add(ctx context.Context, entry any) (*protorekor.TransparencyLogEntry, error) {
	record, known := entry.(*tiles.HashedRekordRequestV002)
	if !known {
		return nil, fmt.Errorf("an entry of kind %T is not written", entry)
	}
	body, err := protojson.Marshal(&tiles.CreateEntryRequest{Spec: &tiles.CreateEntryRequest_HashedRekordRequestV002{HashedRekordRequestV002: record}})
	if err != nil {
		return nil, fmt.Errorf("encoding a log entry: %w", err)
	}
	address, err := url.Parse(r.base)
	if err != nil {
		return nil, fmt.Errorf("%w: %q is no URL", ErrServices, r.base)
	}
	address.Path = path.Join("/", address.Path, "api/v2/log/entries")
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := r.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusConflict {
		return existing(ctx, r.client, r.base, r.root, &conflictError{index: response.Header.Get("x-log-index"), text: strings.TrimPrefix(said(response.Body), ": ")})
	}
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxLogAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("reading the log's answer: %w", err)
	}
	if len(raw) > maxLogAnswer {
		return nil, fmt.Errorf("reading the log's answer: more than %d bytes", maxLogAnswer)
	}
	var made protorekor.TransparencyLogEntry
	if err := protojson.Unmarshal(raw, &made); err != nil {
		return nil, fmt.Errorf("reading the log's answer: %w", err)
	}
	return &made, nil
}
