package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/attest/wholefile"
	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/policy/learn"
	"github.com/hallmark-project/hallmark/policy/record"
	"github.com/hallmark-project/hallmark/policy/report"
)

type policyLearnFlags struct {
	cli.RegistryFlags
	keys              []string
	trustedRoot       string
	keyless           bool
	out, name, record string
	timeout           time.Duration
}

func newPolicyLearnCommand(a *app) *cobra.Command {
	f := &policyLearnFlags{}
	cmd := &cobra.Command{
		Use:   "learn IMAGE…",
		Short: "Propose the tightest policy that known-good images pass",
		Long: `Looks at images that are known to be good, and proposes a policy that allows them: their
repositories by name, and the signers and statements that the given keys and trusted
root prove for all of them. The proposal is judged before it is printed. Read it before
you use it: it trusts whoever made these images.

--key names public keys; the name of a file becomes the name of its signer. Keyless
signers are learnt with --trusted-root FILE, or with --keyless from what hallmark trust
has fetched.

Exit codes: 0 proposed, 1 nothing that a policy could demand was proved, 2 an image
could not be looked at, 64 wrong usage.`,
		Example: `  hallmark policy learn registry.example/app:1.2 registry.example/web:7 --key release.pub
  hallmark policy learn registry.example/app:1.2 --trusted-root root.json -o policy.yaml
  hallmark policy learn registry.example/app:1.2 --keyless --record app.record`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.policyLearn(cmd.Context(), f, args) },
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&f.keys, "key", nil, "a public key whose signatures count; may be given several times")
	flags.StringVar(&f.trustedRoot, "trusted-root", "", "a trusted_root.json that proves certificates")
	flags.BoolVar(&f.keyless, "keyless", false, "prove certificates with what hallmark trust has fetched")
	flags.StringVarP(&f.out, "out", "o", "", "write the policy to this file, with the keys' paths relative to it")
	flags.StringVar(&f.name, "name", "learnt", "the policy's name")
	flags.StringVar(&f.record, "record", "", "also write what was seen to this file, for hallmark policy test and diff")
	flags.DurationVar(&f.timeout, "timeout", 2*time.Minute, "how long looking may take")
	f.RegistryFlags.Add(flags)
	return cmd
}

func (a *app) policyLearn(ctx context.Context, f *policyLearnFlags, images []string) error {
	o, err := a.learnOptions(f)
	if err != nil {
		return err
	}
	client, err := f.RegistryFlags.Client(&a.App, false)
	if err != nil {
		return cli.Undetermined(err)
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	g := gate.New(nil, client, gate.Options{})
	var targets []gate.Target
	for _, image := range images {
		if _, _, local := cli.CutLocal(image); local {
			return cli.Hint(cli.UsageError("%s is no image of a registry", image), "a policy's rules are about names in registries")
		}
		targets = append(targets, g.Target(image))
	}
	recorder := watch(targets)
	proposal, err := learn.Propose(ctx, targets, o)
	if errors.Is(err, learn.ErrNothing) {
		return cli.Hint(err, "give the keys or the trusted root that prove the images' evidence; hallmark inspect shows what is there")
	}
	if err != nil {
		return cli.Undetermined(cli.RegistryError(images[0], err))
	}
	for _, note := range proposal.Notes {
		fmt.Fprintf(a.Stderr, "hallmark: note: %s\n", report.Plain(note))
	}
	if f.out == "" {
		if _, err := a.Stdout.Write(proposal.YAML); err != nil {
			return err
		}
	} else if _, err := wholefile.Write(f.out, 0o644, func(w io.Writer) error { _, err := w.Write(proposal.YAML); return err }); err != nil {
		return err
	}
	if f.record == "" {
		return nil
	}
	return a.recordLearnt(ctx, f, o, proposal, targets, recorder)
}

// recordLearnt keeps what the proposal was learnt from.
func (a *app) recordLearnt(ctx context.Context, f *policyLearnFlags, o learn.Options, proposal *learn.Proposal, targets []gate.Target, recorder *record.Recorder) error {
	p, err := learn.Parse(proposal, o)
	if err != nil {
		return err
	}
	at := o.Now()
	g := gate.New(p, nil, gate.Options{Now: func() time.Time { return at }})
	r := report.New(p, at, g.JudgeTargets(ctx, targets)...)
	return cli.Undetermined(writeRecord(ctx, f.record, recorder, record.Verification{Policy: p, Targets: targets}, r))
}

// learnOptions reads keys and trusted root.
func (a *app) learnOptions(f *policyLearnFlags) (learn.Options, error) {
	o := learn.Options{Now: time.Now, Name: f.name}
	if len(f.keys) == 0 && f.trustedRoot == "" && !f.keyless {
		return o, cli.Hint(cli.UsageError("nothing says whose signatures count"), "give --key FILE, --trusted-root FILE or --keyless")
	}
	if f.trustedRoot != "" && f.keyless {
		return o, cli.UsageError("--trusted-root and --keyless contradict each other")
	}
	beside := func(path string) string {
		if f.out == "" || filepath.IsAbs(path) {
			return filepath.ToSlash(path)
		}
		if below, err := filepath.Rel(filepath.Dir(f.out), path); err == nil {
			path = below
		}
		return filepath.ToSlash(path)
	}
	for _, path := range f.keys {
		key, err := cli.LoadPublicKey(path)
		var coded *cli.CodeError
		if errors.As(err, &coded) {
			return o, err
		}
		if err != nil {
			return o, cli.Undetermined(err)
		}
		base := filepath.Base(path)
		o.Keys = append(o.Keys, learn.Key{Name: strings.TrimSuffix(base, filepath.Ext(base)), File: beside(path), Key: key})
	}
	if f.trustedRoot == "" && !f.keyless {
		return o, nil
	}
	root, err := a.TrustedRoot(f.trustedRoot)
	if err != nil {
		return o, err
	}
	o.Root = root
	if f.trustedRoot != "" {
		o.RootFile = beside(f.trustedRoot)
	}
	return o, nil
}
