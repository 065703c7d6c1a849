package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/airgap"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// sealedFlags name a sealed file and the policy that its images are judged by.
type sealedFlags struct {
	bundleFile   string
	policyDigest string
}

func (f *sealedFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.bundleFile, "bundle-file", "", "judge the images in this sealed file, by the policy in it unless another is given; nothing is connected to")
	flags.StringVar(&f.policyDigest, "policy-digest", "", "the digest that the policy in the sealed file must have")
}

// sealed is an open sealed file, and the policy that it is judged by.
type sealed struct {
	file   *airgap.File
	policy *policy.Policy
	own    bool // the policy is that of the file
}

// openSealed opens a sealed file. given is the user's own policy, or nil.
func (a *app) openSealed(ctx context.Context, path string, given *policy.Policy, wanted string) (*sealed, error) {
	file, err := airgap.Open(ctx, path)
	if err != nil {
		return nil, cli.Undetermined(cli.Hint(err, "hallmark bundle save makes a sealed file"))
	}
	s := &sealed{file: file, policy: given}
	if given == nil {
		s.policy, s.own = file.Policy, true
	}
	if err := s.checkDigest(wanted); err != nil {
		file.Close()
		return nil, err
	}
	index := file.Index
	fmt.Fprintf(a.Stderr, "hallmark: %s was sealed on %s and %s\n", path, index.Created.UTC().Format(time.RFC3339), judgeable(index))
	if s.own {
		fmt.Fprintf(a.Stderr, "hallmark: judging by the policy in it, %s %s\n", report.Plain(index.Policy.Name), index.Policy.Digest)
	} else if given.Digest() != index.Policy.Digest {
		fmt.Fprintf(a.Stderr, "hallmark: judging by the policy %s %s; the one in the file is another, %s\n", given.Name(), given.Digest(), index.Policy.Digest)
	}
	return s, nil
}

// checkDigest compares the policy in the file with the digest that was asked for.
func (s *sealed) checkDigest(wanted string) error {
	if wanted == "" {
		return nil
	}
	d, err := digest.Parse(wanted)
	if err != nil {
		return cli.UsageError("--policy-digest: %s", err)
	}
	if sealedPolicy := s.file.Index.Policy.Digest; d != sealedPolicy {
		return cli.Undetermined(cli.Hint(fmt.Errorf("the policy in the file is %s, not %s", sealedPolicy, d), "do not trust this file; ask who made it, or give your own policy with --policy"))
	}
	return nil
}

// judge judges images of the file, all of them when none is named.
func (s *sealed) judge(ctx context.Context, images []string, o gate.Options) []*report.Image {
	g := gate.New(s.policy, nil, o)
	var targets []gate.Target
	if len(images) == 0 {
		for _, image := range s.file.Index.Images {
			targets = append(targets, s.file.Target(image))
		}
	}
	for _, text := range images {
		image, err := s.file.Find(text)
		if err != nil {
			if errors.Is(err, airgap.ErrNoImage) {
				err = fmt.Errorf("%w: %w", oci.ErrNotFound, err)
			}
			targets = append(targets, gate.Target{Text: text, Err: err})
			continue
		}
		t := s.file.Target(image)
		t.Text = text
		targets = append(targets, t)
	}
	expired := s.file.Index.Expired(o.Now())
	if !s.own || expired == nil {
		return g.JudgeTargets(ctx, targets)
	}
	answers := make([]*report.Image, 0, len(targets))
	for _, t := range targets {
		answers = append(answers, &report.Image{
			Image: t.Text, Name: t.Name, Digest: t.Reference.Digest,
			Decision: policy.Decision{Verdict: policy.Undetermined, Reason: verify.ReasonTrustRootExpired},
			Error:    expired.Error(), Hint: "seal the images anew where there is a network, or give a newer policy with --policy",
		})
	}
	return answers
}

// verifySealed is verify --bundle-file.
func (a *app) verifySealed(ctx context.Context, f *verifyFlags, images []string) error {
	if err := f.Check(images); err != nil {
		return err
	}
	a.withoutNetwork()
	var given *policy.Policy
	if f.Wants() {
		var err error
		f.Reach = oci.ReachNothing
		if given, err = a.VerifyPolicy(ctx, &f.VerifyFlags); err != nil {
			return err
		}
	}
	s, err := a.openSealed(ctx, f.bundleFile, given, f.policyDigest)
	if err != nil {
		return err
	}
	defer s.file.Close()
	if f.PrintPolicy {
		if _, err := a.Stderr.Write(s.policy.YAML()); err != nil {
			return err
		}
	}
	at := time.Now()
	answers := s.judge(ctx, images, gate.Options{
		Platform: f.Platform, Concurrency: f.Concurrency, Timeout: f.Timeout,
		Now: func() time.Time { return at }, Content: contentFunc(contentOptions(f.noCache)),
	})
	r := report.New(s.policy, at, answers...)
	a.SetAge(r)
	r.Insecure = append(r.Insecure, f.Insecure()...)
	return a.Conclude(ctx, r, f.Output, f.OutputFile)
}
