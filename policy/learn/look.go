package learn

import (
	"context"
	"fmt"

	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/evidence"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/trust"
)

// maxPlatforms bounds the platforms of one index, as package gate does.
const maxPlatforms = 64

// image is one image and what was proved about it.
type image struct {
	from      gate.Target
	target    *place
	platforms []*place
}

// place is one digest.
type place struct {
	platform bool // below an index
	index    bool
	facts    []verify.Fact
}

// prepare makes the verifiers of the given keys and of the root.
func (l *learner) prepare() error {
	o := l.options
	if len(o.Keys) == 0 && len(o.Root) == 0 {
		return fmt.Errorf("%w: give a key or a trusted root", ErrNothing)
	}
	var keys []trust.Key
	for _, key := range o.Keys {
		keys = append(keys, key.Key)
	}
	add := func(need trust.Requirement, option trust.Option) error {
		root, err := trust.NewRoot(option)
		if err != nil {
			return err
		}
		v, err := verify.New(root, need, o.Now)
		if err != nil {
			return err
		}
		l.verifiers = append(l.verifiers, v)
		return nil
	}
	if len(keys) > 0 {
		if err := add(trust.Requirement{}, trust.WithKeys(keys...)); err != nil {
			return fmt.Errorf("using the keys: %w", err)
		}
	}
	if len(o.Root) > 0 {
		if err := add(trust.Keyless(), trust.WithTrustedRoot(o.Root)); err != nil {
			return fmt.Errorf("using the trusted root: %w", err)
		}
	}
	return nil
}

// look finds what is proved about an image and its platforms. A place that cannot be
// looked at is an error: what is learnt without it would be too little.
func (l *learner) look(ctx context.Context, t gate.Target) (*image, error) {
	subject, err := t.Source.Resolve(ctx, t.Reference)
	if err != nil {
		return nil, err
	}
	m, err := t.Source.Manifest(ctx, t.Reference, subject)
	if err != nil {
		return nil, err
	}
	out := &image{from: t}
	if out.target, err = l.prove(ctx, t, subject); err != nil {
		return nil, err
	}
	if out.target.index = m.IsIndex(); !out.target.index {
		return out, nil
	}
	for i, d := range m.Manifests {
		if i == maxPlatforms {
			return nil, fmt.Errorf("%w: more than %d platforms", oci.ErrLimit, maxPlatforms)
		}
		if evidence.IsUnsigned(d) {
			continue
		}
		p, err := l.prove(ctx, t, d)
		if err != nil {
			return nil, err
		}
		p.platform = true
		out.platforms = append(out.platforms, p)
	}
	return out, nil
}

// prove checks all evidence about one digest.
func (l *learner) prove(ctx context.Context, t gate.Target, d oci.Descriptor) (*place, error) {
	search := evidence.New(t.Source, t.Reference, d.Digest, evidence.Want{Everything: true})
	if t.Layout != "" {
		search = search.InLayout(t.Layout)
	}
	found := search.Referrers(ctx)
	found = found.Join(search.Tags(ctx))
	for _, err := range found.Missing {
		return nil, err
	}
	p := &place{}
	subject := verify.Subject{Repository: t.Reference.Name(), Digest: d.Digest}
	for _, e := range found.Evidence {
		for _, v := range l.verifiers {
			if fact, err := v.Check(subject, e); err == nil {
				p.facts = append(p.facts, fact)
				break
			}
		}
	}
	return p, nil
}
