// Package learn proposes the tightest policy that known-good images pass: their
// repositories, the signers and statements that were proved for all of them, and
// nothing wider.
//
//	proposal, err := learn.Propose(ctx, targets, learn.Options{Keys: keys, Now: time.Now})
//	os.Stdout.Write(proposal.YAML)
//
// A proposal is for a person to read. It demands what is there, and what is there is
// only as good as whoever made the images: a signer who should not be trusted is
// proposed like any other, as long as the given keys and trust root prove it.
//
// Non-goals: finding keys, and trusting what no given key or root proves.
package learn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
)

// maxTargets bounds the images that are learnt from together.
const maxTargets = 200

// ErrNothing: nothing that a policy could demand was proved for an image.
var ErrNothing = errors.New("nothing was proved")

// Key is a public key whose signatures count.
type Key struct {
	// Name is what the proposal calls its signer.
	Name string
	// File is how the proposal names the key's file.
	File string
	Key  trust.Key
}

// Options say what proves evidence. Keys or Root are needed.
type Options struct {
	Keys []Key
	// Root is the text of a trusted_root.json that proves certificates, or empty.
	Root []byte
	// RootFile is how the proposal names Root; "" is `public-good`.
	RootFile string
	// Now is the clock.
	Now func() time.Time
	// Name is the policy's name; "" is "learnt".
	Name string
}

// Proposal is a policy that allows the images that it was learnt from.
type Proposal struct {
	// YAML is the policy's text. [policy.Parse] reads it.
	YAML []byte
	// Notes say what a reader should know, such as that images differ.
	Notes []string
}

// Propose learns from images. Each is looked at once per source call; let the sources
// remember their answers (package record) if they are remote. The proposal is
// judged before it is returned: it allows every image, or there is an error.
func Propose(ctx context.Context, targets []gate.Target, o Options) (*Proposal, error) {
	if len(targets) == 0 || len(targets) > maxTargets {
		return nil, fmt.Errorf("learning from %d images: from 1 to %d are read", len(targets), maxTargets)
	}
	if o.Name == "" {
		o.Name = "learnt"
	}
	l := &learner{options: o}
	if err := l.prepare(); err != nil {
		return nil, fmt.Errorf("learning: %w", err)
	}
	var groups []*group
	for _, t := range targets {
		if t.Err != nil {
			return nil, fmt.Errorf("learning from %s: %w", t.Text, t.Err)
		}
		seen, err := l.look(ctx, t)
		if err != nil {
			return nil, fmt.Errorf("learning from %s: %w", t.Text, err)
		}
		at := slices.IndexFunc(groups, func(g *group) bool { return g.name == t.Name })
		if at < 0 {
			at = len(groups)
			groups = append(groups, &group{name: t.Name})
		}
		groups[at].images = append(groups[at].images, seen)
	}
	rules := make([]rule, len(groups))
	for i, g := range groups {
		var err error
		if rules[i], err = l.settle(ctx, g); err != nil {
			return nil, err
		}
	}
	raw, err := l.write(merge(rules))
	if err != nil {
		return nil, err
	}
	if err := l.check(ctx, raw, targets); err != nil {
		return nil, err
	}
	slices.Sort(l.notes)
	return &Proposal{YAML: raw, Notes: slices.Compact(l.notes)}, nil
}

// learner is one call of [Propose].
type learner struct {
	options   Options
	verifiers []*verify.Verifier
	parties   []*party
	notes     []string
}

// group are the images of one repository.
type group struct {
	name   string
	images []*image
}

// places are the digests on which a rule of these platforms wants evidence.
func (g *group) places(all bool) []*place {
	var list []*place
	for _, i := range g.images {
		list = append(list, i.target)
		if all {
			list = append(list, i.platforms...)
		}
	}
	return list
}

// settle finds the tightest rule that allows a group: with every platform if
// that can be, and without what turns out not to be met.
func (l *learner) settle(ctx context.Context, g *group) (rule, error) {
	index := slices.ContainsFunc(g.images, func(i *image) bool { return len(i.platforms) > 0 })
	var failure error
	for _, all := range []bool{true, false} {
		if all && !index {
			continue
		}
		r := l.rule(g, all)
		for range 8 { // each round drops a demand; a rule has few
			if r.empty() {
				failure = fmt.Errorf("learning from %s: %w that all its images have", g.name, ErrNothing)
				break
			}
			raw, err := l.write([]rule{r})
			if err != nil {
				return rule{}, err
			}
			unmet, err := l.unmet(ctx, raw, g)
			if err != nil {
				return rule{}, err
			}
			if len(unmet) == 0 {
				return r, nil
			}
			for _, name := range unmet {
				l.notes = append(l.notes, fmt.Sprintf("%s: %s is there and is not demanded: the policy would not accept it on every image", g.name, name))
			}
			r.drop(unmet)
		}
	}
	return rule{}, failure
}

// unmet judges a group by a proposal and names the demands that are not met.
func (l *learner) unmet(ctx context.Context, raw []byte, g *group) ([]string, error) {
	p, err := l.parse(raw)
	if err != nil {
		return nil, err
	}
	var targets []gate.Target
	for _, i := range g.images {
		targets = append(targets, i.from)
	}
	var names []string
	for _, answer := range gate.New(p, nil, gate.Options{Now: l.options.Now}).JudgeTargets(ctx, targets) {
		if answer.Verdict == policy.Allow {
			continue
		}
		before := len(names)
		for _, d := range answer.Demands {
			if d.Verdict != policy.Allow && !slices.Contains(names, d.Name) {
				names = append(names, d.Name)
			}
		}
		if len(answer.Demands) == 0 || len(names) == before && before == 0 {
			return nil, fmt.Errorf("learning from %s: %s %s %s", answer.Image, answer.Verdict, answer.Reason, answer.Error)
		}
	}
	return names, nil
}

// check makes sure that the whole proposal allows every image.
func (l *learner) check(ctx context.Context, raw []byte, targets []gate.Target) error {
	p, err := l.parse(raw)
	if err != nil {
		return err
	}
	for _, answer := range gate.New(p, nil, gate.Options{Now: l.options.Now}).JudgeTargets(ctx, targets) {
		if answer.Verdict != policy.Allow {
			return fmt.Errorf("learning from %s: the proposal says %s %s", answer.Image, answer.Verdict, answer.Reason)
		}
	}
	return nil
}

// parse reads a proposal, whose files are the given keys and root.
func (l *learner) parse(raw []byte) (*policy.Policy, error) {
	p, err := policy.Parse("the proposal", raw, func(name string) ([]byte, error) {
		for _, key := range l.options.Keys {
			if key.File == name {
				return key.Key.PEM(), nil
			}
		}
		if name == policy.PublicGood || name == l.options.RootFile {
			return l.options.Root, nil
		}
		return nil, fmt.Errorf("no file %s", name)
	})
	if err != nil {
		return nil, fmt.Errorf("learning: %w", err)
	}
	return p, nil
}

// Parse reads a proposal with the keys and the root that it was learnt with.
func Parse(p *Proposal, o Options) (*policy.Policy, error) {
	return (&learner{options: o}).parse(p.YAML)
}

// merge puts repositories with the same demands into one rule.
func merge(rules []rule) []rule {
	var merged []rule
	for _, r := range rules {
		at := slices.IndexFunc(merged, func(m rule) bool { return m.same(r) })
		if at < 0 {
			merged = append(merged, r)
			continue
		}
		merged[at].Images = append(merged[at].Images, r.Images...)
	}
	names := make(map[string]int)
	for i := range merged {
		slices.Sort(merged[i].Images)
		base := merged[i].Images[0]
		base = base[strings.LastIndex(base, "/")+1:]
		if names[base]++; names[base] > 1 {
			base = fmt.Sprintf("%s-%d", base, names[base])
		}
		merged[i].Name = base
	}
	return merged
}
