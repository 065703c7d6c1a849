package keyless

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/transparency-dev/tessera/client"

	"github.com/hallmark-project/hallmark/verify/trust"
)

const (
	entriesPerBundle = 256 // C2SP tlog-tiles, "Log Entries"
	checkpointTries  = 10  // until the checkpoint covers the entry
	checkpointPause  = 200 * time.Millisecond
)

// conflictError: the log has an equal entry already.
type conflictError struct {
	index string // in the log, decimal; "" where the log does not say
	text  string
}

func (e *conflictError) Error() string { return "the log has the entry already: " + e.text }

// existing fetches an entry that a Rekor v2 has already, with a proof under the log's
// newest checkpoint (C2SP tlog-tiles): an answer that was lost on its way back is no
// failure. What it returns is verified like every new entry.
func existing(ctx context.Context, http *http.Client, base string, root *trust.Root, conflict *conflictError) (*protorekor.TransparencyLogEntry, error) {
	index, err := strconv.ParseUint(conflict.index, 10, 62)
	if err != nil {
		return nil, fmt.Errorf("%w; it does not say where", conflict)
	}
	log, found := root.Log(base)
	if !found {
		return nil, fmt.Errorf("%w; its key is not in the trusted root, so the entry cannot be fetched", conflict)
	}
	address, err := url.Parse(strings.TrimRight(base, "/") + "/api/v2/")
	if err != nil {
		return nil, fmt.Errorf("%w: %q is no URL", ErrServices, base)
	}
	key, err := signature.LoadVerifier(log.Key, log.Hash)
	if err != nil {
		return nil, fmt.Errorf("reading the log's key: %w", err)
	}
	verifier, err := note.NewNoteVerifier(address.Hostname(), key)
	if err != nil {
		return nil, fmt.Errorf("reading the log's key: %w", err)
	}
	fetcher, err := client.NewHTTPFetcher(address, http)
	if err != nil {
		return nil, fmt.Errorf("reading the log: %w", err)
	}
	for range checkpointTries {
		checkpoint, raw, _, err := client.FetchCheckpoint(ctx, fetcher.ReadCheckpoint, verifier, address.Hostname())
		if err != nil {
			return nil, fmt.Errorf("reading the log's checkpoint: %w", err)
		}
		if index >= checkpoint.Size {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(checkpointPause):
			}
			continue
		}
		proofs, err := client.NewProofBuilder(ctx, checkpoint.Size, fetcher.ReadTile)
		if err != nil {
			return nil, fmt.Errorf("proving the entry: %w", err)
		}
		path, err := proofs.InclusionProof(ctx, index)
		if err != nil {
			return nil, fmt.Errorf("proving the entry: %w", err)
		}
		bundle, err := client.GetEntryBundle(ctx, fetcher.ReadEntryBundle, index/entriesPerBundle, checkpoint.Size)
		if err != nil {
			return nil, fmt.Errorf("reading the entry: %w", err)
		}
		at := index % entriesPerBundle
		if at >= uint64(len(bundle.Entries)) {
			return nil, errors.New("reading the entry: the log's tile is too short")
		}
		return &protorekor.TransparencyLogEntry{
			LogIndex: int64(index), LogId: &protocommon.LogId{KeyId: bytes.Clone(log.ID)},
			KindVersion:       &protorekor.KindVersion{Kind: "hashedrekord", Version: "0.0.2"},
			CanonicalizedBody: bundle.Entries[at],
			InclusionProof: &protorekor.InclusionProof{
				LogIndex: int64(index), RootHash: checkpoint.Hash, TreeSize: int64(checkpoint.Size), Hashes: path,
				Checkpoint: &protorekor.Checkpoint{Envelope: string(raw)},
			},
		}, nil
	}
	return nil, fmt.Errorf("%w; its checkpoint does not cover it yet", conflict)
}
