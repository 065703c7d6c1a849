package source

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// judgeTimeout bounds the looking for signatures of one policy.
const judgeTimeout = time.Minute

// Fetcher reads policies from a registry. Safe for concurrent use.
type Fetcher struct {
	// Registry is where they are: a client, or a layout.
	Registry gate.Source
	// Signer is the policy that a policy itself must meet, such as [policy.ForKey] and
	// [policy.ForIdentity] make; nil asks for no signature, which is for digests only.
	Signer *policy.Policy
	// Cache keeps what was fetched; its zero value keeps nothing.
	Cache Cache
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Fetched is a policy whose digest, and signature where one was asked for, are proved.
type Fetched struct {
	// Reference names what was read, by digest.
	Reference oci.Reference
	// Data is the policy as YAML. It is for [policy.Parse], and names no files.
	Data []byte
	// Created is when it was pushed, as the manifest says; zero where it does not.
	Created time.Time
	// Cached says that no network was asked.
	Cached bool
}

// Fetch reads one policy. A tag is resolved once; everything after is about the digest
// that it named then. With a Cache, a digest that this signer was proved for is read
// without a network, and a tag may not go back to an older policy than it was seen
// with. Errors wrap one of this package's or of package oci's.
func (f *Fetcher) Fetch(ctx context.Context, ref oci.Reference) (Fetched, error) {
	result, err := f.fetch(ctx, ref)
	if err != nil {
		return Fetched{}, fmt.Errorf("fetching policy %s%s: %w", Scheme, ref, err)
	}
	return result, nil
}

func (f *Fetcher) fetch(ctx context.Context, ref oci.Reference) (Fetched, error) {
	byTag := ref.Digest.IsZero()
	if byTag && f.Signer == nil {
		return Fetched{}, ErrUnpinned
	}
	if !byTag {
		if raw, data, found := f.Cache.load(ref.Digest, f.signer()); found {
			if m, err := parseManifest(raw, ref.Digest); err == nil && m.layer.Digest == digest.FromBytes(data) {
				return Fetched{ref.At(ref.Digest), data, m.created, true}, nil
			}
		}
	}
	top, err := f.Registry.Resolve(ctx, ref)
	if err != nil {
		return Fetched{}, err
	}
	at := ref.At(top.Digest)
	m, err := f.Registry.Manifest(ctx, at, oci.Descriptor{Digest: top.Digest, Size: -1})
	if err != nil {
		return Fetched{}, err
	}
	parsed, err := parseManifest(m.Raw, top.Digest)
	if err != nil {
		return Fetched{}, err
	}
	if err := f.signed(ctx, at); err != nil {
		return Fetched{}, err
	}
	if byTag {
		if err := f.Cache.forward(ref, f.signer(), seen{parsed.created, top.Digest}); err != nil {
			return Fetched{}, err
		}
	}
	data, err := f.Registry.Blob(ctx, at, parsed.layer, policy.MaxBytes)
	if err != nil {
		return Fetched{}, err
	}
	f.Cache.save(top.Digest, f.signer(), m.Raw, data)
	return Fetched{at, data, parsed.created, false}, nil
}

// signer names who must have signed; zero is nobody.
func (f *Fetcher) signer() digest.Digest {
	if f.Signer == nil {
		return digest.Digest{}
	}
	return f.Signer.Digest()
}

// signed demands the wanted signature on a digest.
func (f *Fetcher) signed(ctx context.Context, at oci.Reference) error {
	if f.Signer == nil {
		return nil
	}
	g := gate.New(f.Signer, f.Registry, gate.Options{Timeout: judgeTimeout, Now: f.Now})
	answer := g.Judge(ctx, at.String())
	if err := ctx.Err(); err != nil {
		return err
	}
	switch answer.Verdict {
	case policy.Allow:
		return nil
	case policy.Deny:
		return fmt.Errorf("%w: %s", ErrNotSigned, answer.Reason)
	}
	err := fmt.Errorf("%w: %s", ErrUndetermined, answer.Reason)
	if answer.Error != "" {
		err = fmt.Errorf("%w: %s", err, answer.Error)
	}
	if answer.Reason == policy.ReasonUnauthorized {
		err = errors.Join(err, oci.ErrUnauthorized)
	}
	return err
}

// manifest is what is read of an artifact's manifest.
type manifest struct {
	layer   oci.Descriptor
	created time.Time
}

// parseManifest reads the manifest of a policy artifact strictly: one layer, and both
// types as they are written.
func parseManifest(raw []byte, d digest.Digest) (manifest, error) {
	if digest.FromBytes(raw) != d {
		return manifest{}, oci.ErrDigestMismatch
	}
	m, err := oci.ParseManifest(raw, "")
	if err != nil {
		return manifest{}, err
	}
	switch {
	case m.IsIndex():
		return manifest{}, fmt.Errorf("%w: it is an index", ErrNoPolicy)
	case m.ArtifactType != ArtifactType:
		return manifest{}, fmt.Errorf("%w: its type is %.100q, not %s", ErrNoPolicy, m.ArtifactType, ArtifactType)
	case len(m.Layers) != 1:
		return manifest{}, fmt.Errorf("%w: it has %d layers, not one", ErrNoPolicy, len(m.Layers))
	case m.Layers[0].MediaType != ArtifactType:
		return manifest{}, fmt.Errorf("%w: its layer's type is %.100q, not %s", ErrNoPolicy, m.Layers[0].MediaType, ArtifactType)
	case m.Layers[0].Size > policy.MaxBytes:
		return manifest{}, fmt.Errorf("%w: its policy has %d bytes, at most %d are read", oci.ErrLimit, m.Layers[0].Size, policy.MaxBytes)
	}
	result := manifest{layer: m.Layers[0]}
	if text := m.Annotations[AnnotationCreated]; text != "" {
		if result.created, err = time.Parse(time.RFC3339, text); err != nil {
			return manifest{}, fmt.Errorf("%w: its time of creation is no time", ErrNoPolicy)
		}
	}
	return result, nil
}
