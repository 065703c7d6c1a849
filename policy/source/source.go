// Package source reads trust policies from where they are kept: a folder of files, or
// a registry.
//
//	ref, err := source.ParseReference("oci://registry.example/policies/prod@sha256:…")
//	fetched, err := (&source.Fetcher{Registry: client, Signer: signer}).Fetch(ctx, ref)
//	p, err := policy.Parse(ref.String(), fetched.Data, nil)
//
// A policy in a registry is an OCI artifact of one layer, the policy in canonical form
// with keys and trust roots inline. It is named by digest, or by a tag together with
// who must have signed it; no byte of it is returned before the digest and, where a
// signer is given, the signature are proved. What signs a policy and what the policy
// trusts are two things: nothing in the artifact has a say in who may sign it.
package source

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hallmark-project/hallmark/verify/oci"
)

// The form of a policy in a registry; package sign/publish writes the same.
const (
	ArtifactType = "application/vnd.hallmark.policy.v1+yaml"
	// AnnotationCreated says when the policy was pushed (image-spec, annotations.md).
	// It stands in the manifest, so that the signature covers it.
	AnnotationCreated = "org.opencontainers.image.created"
)

// Scheme stands before the reference of a policy in a registry.
const Scheme = "oci://"

// Errors of this package. What the registry does wrong comes as errors of package oci.
var (
	// ErrUnpinned: a tag without a signer says nothing that holds.
	ErrUnpinned = errors.New("a tag alone does not say whose policy it is")
	// ErrNotSigned: it was looked at, and the wanted signer has not signed it.
	ErrNotSigned = errors.New("the policy is not signed by the wanted signer")
	// ErrUndetermined: its signatures could not be looked at.
	ErrUndetermined = errors.New("the policy's signatures could not be checked")
	// ErrNoPolicy: the artifact is something else, or no artifact that this version reads.
	ErrNoPolicy = errors.New("not a policy artifact")
	// ErrOlder: the tag names an older policy than it did before.
	ErrOlder = errors.New("the tag went back to an older policy")
	// ErrFolder: a folder that is not read as one policy.
	ErrFolder = errors.New("not a folder of policies")
)

// IsReference reports whether text names a policy in a registry.
func IsReference(text string) bool { return strings.HasPrefix(text, Scheme) }

// ParseReference reads "oci://REGISTRY/REPOSITORY:TAG" or "…@sha256:DIGEST". Nothing is
// guessed: neither the tag latest nor Docker Hub. Errors wrap [oci.ErrReference].
func ParseReference(text string) (oci.Reference, error) {
	rest, found := strings.CutPrefix(text, Scheme)
	if !found {
		return oci.Reference{}, fmt.Errorf("reading %q: %w: it does not start with %s", text, oci.ErrReference, Scheme)
	}
	ref, err := oci.ParseReference(rest)
	if err != nil {
		return oci.Reference{}, fmt.Errorf("reading %q: %w", text, err)
	}
	host, path, _ := strings.Cut(rest, "/")
	switch {
	case path == "" || host != "localhost" && !strings.ContainsAny(host, ".:"):
		return oci.Reference{}, fmt.Errorf("reading %q: %w: it names no registry", text, oci.ErrReference)
	case !strings.ContainsAny(path, ":@"):
		return oci.Reference{}, fmt.Errorf("reading %q: %w: it has neither a tag nor a digest", text, oci.ErrReference)
	}
	return ref, nil
}
