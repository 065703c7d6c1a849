package record

import (
	"context"

	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/verify/evidence"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// maxWidened bounds the platforms of one image whose evidence is looked at beyond
// what its verification asked; package gate judges as many.
const maxWidened = 64

// Widen asks what the verification of a target did not need and another policy may:
// every piece of evidence of the image and of its platforms, in every place. Its
// failures are answers too, so it has no error. The target's source must be
// watched.
func Widen(ctx context.Context, t gate.Target) {
	if t.Err != nil || t.Source == nil {
		return
	}
	subject, err := t.Source.Resolve(ctx, t.Reference)
	if err != nil {
		return
	}
	everything(ctx, t, subject)
	m, err := t.Source.Manifest(ctx, t.Reference, subject)
	if err != nil || !m.IsIndex() {
		return
	}
	for i, d := range m.Manifests {
		if i == maxWidened {
			return
		}
		if !evidence.IsUnsigned(d) {
			everything(ctx, t, d)
		}
	}
}

// everything asks for all evidence about one digest.
func everything(ctx context.Context, t gate.Target, d oci.Descriptor) {
	search := evidence.New(t.Source, t.Reference, d.Digest, evidence.Want{Everything: true})
	if t.Layout != "" {
		search = search.InLayout(t.Layout)
	}
	search.Referrers(ctx)
	search.Tags(ctx)
}
