package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/sbom"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// attachSBOMs signs each document about its own platform's digest and attaches it
// there; without an attacher it does nothing. The tag was resolved when the
// targets were opened, and is not looked at again.
func (a *app) attachSBOMs(ctx context.Context, s *attacher, text string, all []made) error {
	if s == nil {
		return nil
	}
	ref, err := oci.ParseReference(strings.TrimPrefix(text, string(sbom.KindRegistry)+":"))
	if err != nil {
		return cli.RegistryError(text, err)
	}
	if len(all) > 1 {
		fmt.Fprintf(a.Stderr, "hallmark: %s is an index: each of its %d platforms gets its own SBOM, the index none\n", ref, len(all))
	}
	for _, m := range all {
		for _, document := range m.documents {
			subject := m.target.Descriptor
			if len(all) > 1 || ref.Digest != subject.Digest {
				subject.Platform = platformOf(document.Platform)
			}
			made := result{ref: ref}
			failed := s.attachTo(ctx, []oci.Descriptor{subject}, s.statement(document.Format.PredicateType(), document.Raw), &made)
			if err := s.print(made.ref, made.lines); err != nil {
				return err
			}
			if failed != nil {
				return failed
			}
		}
	}
	return nil
}

func platformOf(text string) *oci.Platform {
	parts := strings.SplitN(text, "/", 3)
	if len(parts) < 2 {
		return nil
	}
	p := &oci.Platform{OS: parts[0], Architecture: parts[1]}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	return p
}
