package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"

	"github.com/spf13/pflag"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/attest/predicate"
	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/sign"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// summaryFlags say whether, and by whom, a verification is attested.
type summaryFlags struct {
	attestSummary bool
	attestDenied  bool
	verifier      string
	// summarySigner has its key from verify's --key and its root from verify's --trusted-root.
	summarySigner identityFlags
}

func (f *summaryFlags) add(flags *pflag.FlagSet) {
	flags.BoolVar(&f.attestSummary, "attest-summary", false, "sign a verification summary (SLSA VSA) of each image that is allowed, and attach it; --key is then the private key that signs, and without it the signature is keyless")
	flags.BoolVar(&f.attestDenied, "attest-denied", false, "with --attest-summary: also attest that an image was denied (FAILED)")
	flags.StringVar(&f.verifier, "summary-verifier", policy.DefaultVerifier, "with --attest-summary: the verifier's ID, a URI")
	flags.StringVar(&f.summarySigner.passwordFile, "password-file", "", "with --attest-summary: read the key's password from a file, - for standard input")
	flags.StringVar(&f.summarySigner.token, "identity-token", "", "with --attest-summary, keyless: the identity token, a file with it, or - for standard input")
	flags.StringVar(&f.summarySigner.signingConfig, "signing-config", "", "with --attest-summary, keyless: a signing_config.json with the services to use")
	f.summarySigner.rekorVersion, f.summarySigner.flow, f.summarySigner.clientID = 1, "auto", "sigstore"
}

// takeSummary gives the summary's signer the flags that it shares with verify, and
// refuses what cannot be attested.
func (f *verifyFlags) takeSummary(images []string) error {
	if !f.attestSummary {
		if f.attestDenied || f.verifier != policy.DefaultVerifier || f.summarySigner.passwordFile != "" || f.summarySigner.token != "" || f.summarySigner.signingConfig != "" {
			return cli.Hint(cli.UsageError("--attest-denied, --summary-verifier, --password-file, --identity-token and --signing-config are for --attest-summary"), "hallmark verify --policy FILE --attest-summary --key FILE IMAGE")
		}
		return nil
	}
	switch {
	case f.Policy == "":
		return cli.Hint(cli.UsageError("--attest-summary needs --policy"), "a summary says which policy allowed the image; --key is the private key that signs it")
	case len(f.Keys) > 1:
		return cli.UsageError("one --key signs a summary, not %d", len(f.Keys))
	case f.Identified():
		return cli.Hint(cli.UsageError("a certificate's identity contradicts --policy"), "write the identity into the policy")
	case f.bundleFile != "":
		return cli.Hint(cli.UsageError("--attest-summary is not for --bundle-file"), "attest where the image's registry can be reached")
	case len(images) == 0:
		return cli.Hint(cli.UsageError("no image was named"), "hallmark verify IMAGE… --policy FILE --attest-summary --key FILE")
	}
	for _, image := range images {
		if _, _, local := cli.CutLocal(image); local {
			return cli.Hint(cli.UsageError("a summary is attached in a registry, and %s is in none", image), "leave --attest-summary away")
		}
	}
	if len(f.Keys) == 1 {
		f.summarySigner.key, f.Keys = f.Keys[0], nil
	}
	f.summarySigner.trustedRoot, f.TrustedRoot = f.TrustedRoot, ""
	return f.summarySigner.check()
}

// judgedImages are what a gate has decided on, by name and digest.
type judgedImages struct {
	mu  sync.Mutex
	all map[string]policy.Image
}

func (j *judgedImages) add(image policy.Image, _ policy.Decision) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.all == nil {
		j.all = make(map[string]policy.Image)
	}
	j.all[image.Name+"@"+image.Target.Subject.Digest.String()] = image
}

// attestSummaries signs and attaches the summaries of what was judged. What becomes of
// each is told beside the report.
func (a *app) attestSummaries(ctx context.Context, f *verifyFlags, v *cli.Verification, judged *judgedImages) error {
	s, err := a.newAttacher(ctx, &signFlags{RegistryFlags: f.RegistryFlags, identityFlags: f.summarySigner, format: formatBundle, output: "text"})
	if err != nil {
		return err
	}
	errs := make([]error, 0, len(v.Report.Images))
	done := make(map[string]bool)
	for i, image := range v.Report.Images {
		key := image.Name + "@" + image.Digest.String()
		if done[key] || image.Verdict != policy.Allow && (!f.attestDenied || image.Verdict != policy.Deny) {
			continue
		}
		done[key] = true
		found, known := judged.all[key]
		if !known {
			errs = append(errs, fmt.Errorf("%s: %w: nothing was looked at", image.Image, policy.ErrNoSummary))
			continue
		}
		summaries, err := v.Policy.Summarize(found, v.At)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", image.Image, err))
			continue
		}
		for _, one := range summaries {
			if err := s.attachSummary(ctx, v.Targets[i].Reference.At(one.Digest), one, f); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// attachSummary signs the summary of one digest and attaches it.
func (s *attacher) attachSummary(ctx context.Context, ref oci.Reference, one policy.DigestSummary, f *verifyFlags) error {
	one.Summary.Verifier = f.verifier
	one.Summary.Version = map[string]string{"https://hallmark.dev": version}
	one.Summary.PolicyURI = policyURI(f.Policy)
	raw, err := one.Summary.Predicate()
	if err != nil {
		return err
	}
	subjects, err := s.publisher.Subjects(ctx, ref, false)
	if err != nil {
		return cli.RegistryError(ref.String(), err)
	}
	to := &result{ref: ref}
	err = s.attachTo(ctx, subjects, func(ctx context.Context, signer sign.Signer, ref oci.Reference, subject oci.Descriptor) (sign.Evidence, error) {
		statement, err := attest.NewStatement(ref.Name(), subject.Digest, predicate.TypeVSA, raw)
		if err != nil {
			return sign.Evidence{}, err
		}
		return sign.Statement(ctx, statement, subject.Digest, signer)
	}, to)
	for _, line := range to.lines {
		fmt.Fprintf(s.app.Stderr, "hallmark: attested the verification of %s@%s: %s\n", line.Image, line.Subject, one.Summary.Result)
	}
	return err
}

// policyURI names a policy in a summary: by its address, or by the name of its file
// without the folder, which is nobody's business. What binds is the digest.
func policyURI(path string) string {
	if strings.HasPrefix(path, "oci://") {
		return path
	}
	return "urn:hallmark:policy:" + url.PathEscape(path[strings.LastIndexAny(path, `/\`)+1:])
}
