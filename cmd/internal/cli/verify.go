package cli

import (
	"context"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// VerifyFlags say how images are judged, and by what.
type VerifyFlags struct {
	RegistryFlags
	CertificateFlags
	PolicySignerFlags
	Policy      string
	Keys        []string
	PrintPolicy bool
	Platform    string
	As          string
	Output      string
	OutputFile  string
	Concurrency int
	Timeout     time.Duration

	// References are images beside those of the command line, which files ask for. Each
	// names an image of a registry, also where it looks like a path on this machine.
	References []string

	// HaveImages and HavePolicy are set where these come from elsewhere, so that the
	// command line need not name any.
	HaveImages, HavePolicy bool

	command *cobra.Command
}

// Add adds the flags to the command that has them.
func (f *VerifyFlags) Add(cmd *cobra.Command) {
	f.command = cmd
	flags := cmd.Flags()
	flags.StringVar(&f.Policy, "policy", "", "the trust policy: a file, a folder of files, or oci://REGISTRY/REPOSITORY@sha256:…")
	flags.StringArrayVar(&f.Keys, "key", nil, "a public key; given several times, any of them will do")
	flags.BoolVar(&f.PrintPolicy, "print-policy", false, "print the policy in full: to standard output without an image, else to standard error")
	flags.StringVar(&f.Platform, "platform", "", "judge this platform's manifest below an index, such as linux/arm64")
	flags.StringVar(&f.As, "as", "", "the image name that the policy's rules see, for oci-dir: and oci-archive:")
	flags.StringVar(&f.Output, "output", "text", strings.Join(ReportFormats, ", "))
	flags.StringVar(&f.OutputFile, "output-file", "", "write the report to this file instead of standard output")
	flags.IntVar(&f.Concurrency, "concurrency", 16, "how many images are judged at a time")
	flags.DurationVar(&f.Timeout, "timeout", 2*time.Minute, "how long the judging of one image may take")
	f.PolicySignerFlags.Add(flags)
	f.CertificateFlags.Add(flags)
	f.RegistryFlags.Add(flags)
}

// PlatformText matches what --platform may be.
var PlatformText = regexp.MustCompile(`^[a-z0-9]+/[a-z0-9_]+(/[a-z0-9.]+)?$`)

// Wants reports whether the command line itself says what is wanted.
func (f *VerifyFlags) Wants() bool { return f.Policy != "" || len(f.Keys) > 0 || f.Named() }

// Check refuses flags that contradict each other, and command lines that name no image
// or nothing to judge by.
func (f *VerifyFlags) Check(images []string) error {
	switch {
	case CheckReportFormat(f.Output) != nil:
		return CheckReportFormat(f.Output)
	case f.Policy != "" && len(f.Keys) > 0:
		return Hint(UsageError("--policy and --key contradict each other"), "name the key in the policy, or give --key alone")
	case f.Named() && (f.Policy != "" || len(f.Keys) > 0):
		// CI-23: an identity beside a key or a policy would be passed over.
		return Hint(UsageError("a certificate's identity contradicts --policy and --key"), "write the identity into the policy, or give --certificate-identity with --certificate-oidc-issuer alone")
	case !f.HavePolicy && !f.Wants():
		return Hint(UsageError("nothing says what is wanted of the images"), "give --policy FILE, --key FILE, or --certificate-identity with --certificate-oidc-issuer")
	case len(images)+len(f.References) == 0 && !f.PrintPolicy && !f.HaveImages:
		return Hint(UsageError("no image was named"), "%s IMAGE… --policy FILE", f.command.CommandPath())
	case f.Concurrency < 1:
		return UsageError("--concurrency is at least 1, not %d", f.Concurrency)
	case f.Timeout <= 0:
		return UsageError("--timeout is a time such as 30s, not %s", f.Timeout)
	case f.Platform != "" && !PlatformText.MatchString(f.Platform):
		return Hint(UsageError("%q is no platform", f.Platform), "a platform is OS/ARCHITECTURE, such as linux/arm64, or linux/arm/v7")
	}
	if f.Named() {
		if err := f.CertificateFlags.Check(); err != nil {
			return err
		}
	} else if weakened := f.Insecure(); len(weakened) > 0 {
		return Hint(UsageError("%s is for --certificate-identity", weakened[0]), "a policy says log: 0 or sct: 0 of its trust root")
	}
	if err := f.PolicySignerFlags.Check(f.Policy); err != nil {
		return err
	}
	return f.checkAs(images)
}

func (f *VerifyFlags) checkAs(images []string) error {
	if f.As == "" {
		return nil
	}
	if _, err := policy.CanonicalName(f.As); err != nil {
		return Hint(UsageError("--as: %s", err), "give a name without tag and digest, such as registry.example/app")
	}
	for _, image := range images {
		if _, _, local := CutLocal(image); !local {
			return Hint(UsageError("--as is for oci-dir: and oci-archive: only; %s has a name", image), "leave --as away")
		}
	}
	return nil
}

// VerifyPolicy is the policy that the flags name or stand for.
func (a *App) VerifyPolicy(ctx context.Context, f *VerifyFlags) (*policy.Policy, error) {
	if f.Policy != "" {
		return a.PolicyFrom(ctx, f.Policy, &f.PolicySignerFlags, &f.RegistryFlags)
	}
	if !f.Named() {
		return KeyPolicy(f.Keys)
	}
	root, err := a.TrustedRoot(f.TrustedRoot)
	if err != nil {
		return nil, err
	}
	p, err := policy.ForIdentity(root, f.Need(), policy.Pattern{Exact: f.issuer, Regexp: f.issuerRegexp}, policy.Pattern{Exact: f.identity, Regexp: f.identityRegexp})
	return p, Undetermined(Hint(err, "a policy file can say more: docs/policy.md"))
}

// Verification is one run of the verb that judges images.
type Verification struct {
	Policy  *policy.Policy
	At      time.Time
	Options gate.Options
	Targets []gate.Target
	// Report is there when the images have been judged.
	Report *report.Report
}

// Extras are what a program does around the judging; what is nil is left away.
type Extras struct {
	// Policy replaces the policy that the flags name.
	Policy func(*policy.Policy) (*policy.Policy, error)
	// Prepare may change options and the targets' sources, before anything is asked.
	Prepare func(*Verification)
	// Judged sees the report before it is printed. Its error ends the run.
	Judged func(context.Context, *Verification) error
}

// Verify judges images as the flags say, prints the report and ends with its verdict.
func (a *App) Verify(ctx context.Context, f *VerifyFlags, images []string, extras Extras) error {
	if err := f.Check(images); err != nil {
		return err
	}
	p, err := a.VerifyPolicy(ctx, f)
	if err != nil {
		return err
	}
	if extras.Policy != nil {
		if p, err = extras.Policy(p); err != nil {
			return err
		}
	}
	if f.PrintPolicy {
		out := a.Stderr
		none := len(images)+len(f.References) == 0
		if none {
			out = a.Stdout
		}
		if _, err := out.Write(p.YAML()); err != nil || none {
			return err
		}
	}
	client, err := f.Client(a, false)
	if err != nil {
		return Undetermined(err)
	}
	v := &Verification{Policy: p, At: time.Now()}
	v.Options = gate.Options{
		Platform: f.Platform, Concurrency: f.Concurrency, Timeout: f.Timeout, Now: func() time.Time { return v.At },
	}
	targets, done := f.targets(gate.New(p, client, gate.Options{}), images)
	defer done()
	v.Targets = targets
	if extras.Prepare != nil {
		extras.Prepare(v)
	}
	v.Report = report.New(p, v.At, gate.New(p, client, v.Options).JudgeTargets(ctx, v.Targets)...)
	a.Complete(v.Report, f)
	if extras.Judged != nil {
		if err := extras.Judged(ctx, v); err != nil {
			return err
		}
	}
	return a.Conclude(ctx, v.Report, f.Output, f.OutputFile)
}

// Complete adds to a report what the command line and the trust state know of it.
func (a *App) Complete(r *report.Report, f *VerifyFlags) {
	a.SetAge(r)
	r.Insecure = append(r.Insecure, f.Insecure()...)
	if f.AllowHTTP {
		r.Insecure = append(r.Insecure, "--insecure-allow-http")
	}
}

// targets reads what the images are. Layouts stay open until done is called.
func (f *VerifyFlags) targets(g *gate.Gate, images []string) (targets []gate.Target, done func()) {
	var open []*oci.Layout
	for _, image := range images {
		kind, rest, local := CutLocal(image)
		if !local {
			targets = append(targets, g.Target(image))
			continue
		}
		layout, pick, err := OpenLocal(kind, rest)
		if err != nil {
			targets = append(targets, gate.Target{Text: image, Err: err})
			continue
		}
		open = append(open, layout)
		targets = append(targets, gate.LayoutTarget(image, layout, f.As, pick))
	}
	for _, reference := range f.References {
		targets = append(targets, g.Target(reference))
	}
	return targets, func() {
		for _, layout := range open {
			layout.Close()
		}
	}
}
