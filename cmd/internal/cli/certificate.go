package cli

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/spf13/pflag"

	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
)

// CertificateFlags say whose certificate must have signed, and with which witnesses.
type CertificateFlags struct {
	identity, identityRegexp string
	issuer, issuerRegexp     string
	TrustedRoot              string
	logs, timestamps, scts   int
	ignoreSCT, ignoreLog     bool
}

// Add adds the flags.
func (f *CertificateFlags) Add(flags *pflag.FlagSet) {
	flags.StringVar(&f.identity, "certificate-identity", "", "the exact identity (SAN) that must have signed")
	flags.StringVar(&f.identityRegexp, "certificate-identity-regexp", "", "a regular expression (RE2) that must match the whole identity")
	flags.StringVar(&f.issuer, "certificate-oidc-issuer", "", "the exact issuer of that identity")
	flags.StringVar(&f.issuerRegexp, "certificate-oidc-issuer-regexp", "", "a regular expression (RE2) that must match the whole issuer")
	flags.StringVar(&f.TrustedRoot, "trusted-root", "", "the trusted_root.json with authorities and logs; without it the state of hallmark trust")
	flags.IntVar(&f.logs, "log-threshold", 1, "how many different transparency logs must have an entry")
	flags.IntVar(&f.timestamps, "timestamp-threshold", 1, "how many different authorities or logs must tell the time")
	flags.IntVar(&f.scts, "sct-threshold", 1, "how many different certificate transparency logs must know the certificate")
	flags.BoolVar(&f.ignoreSCT, "insecure-ignore-sct", false, "do not ask that the certificate is in a certificate transparency log")
	flags.BoolVar(&f.ignoreLog, "insecure-ignore-tlog", false, "do not ask that the signature is in a transparency log; timestamps must tell the time")
}

// Identified reports whether a certificate's identity is wanted.
func (f *CertificateFlags) Identified() bool {
	return f.identity != "" || f.identityRegexp != "" || f.issuer != "" || f.issuerRegexp != ""
}

// Named reports whether any of the flags was used to name an identity.
func (f *CertificateFlags) Named() bool {
	return f.Identified() || f.TrustedRoot != ""
}

// Check refuses flags that contradict each other or name nobody.
func (f *CertificateFlags) Check() error {
	switch {
	case f.identity != "" && f.identityRegexp != "":
		return UsageError("--certificate-identity and --certificate-identity-regexp contradict each other")
	case f.issuer != "" && f.issuerRegexp != "":
		return UsageError("--certificate-oidc-issuer and --certificate-oidc-issuer-regexp contradict each other")
	case f.identity == "" && f.identityRegexp == "" || f.issuer == "" && f.issuerRegexp == "":
		return Hint(UsageError("an identity is a name and its issuer"), "give both --certificate-identity and --certificate-oidc-issuer")
	}
	for name, pattern := range map[string]string{"--certificate-identity-regexp": f.identityRegexp, "--certificate-oidc-issuer-regexp": f.issuerRegexp} {
		if _, err := anchored(pattern); err != nil {
			return UsageError("%s: %s", name, err)
		}
	}
	return f.Thresholds()
}

// Thresholds refuses numbers of witnesses that nothing can meet.
func (f *CertificateFlags) Thresholds() error {
	switch {
	case f.logs < 1 || f.timestamps < 1 || f.scts < 1:
		return Hint(UsageError("a threshold is at least 1"), "--insecure-ignore-tlog and --insecure-ignore-sct ask for none")
	case f.ignoreLog && f.logs > 1:
		return UsageError("--log-threshold and --insecure-ignore-tlog contradict each other")
	case f.ignoreSCT && f.scts > 1:
		return UsageError("--sct-threshold and --insecure-ignore-sct contradict each other")
	}
	return nil
}

// Need is what keyless evidence must have.
func (f *CertificateFlags) Need() trust.Requirement {
	need := trust.Requirement{LogEntries: f.logs, Timestamps: f.timestamps, SCTs: f.scts}
	if f.ignoreLog {
		need.LogEntries = 0
	}
	if f.ignoreSCT {
		need.SCTs = 0
	}
	return need
}

// Insecure lists the switches that weaken the check, for reports.
func (f *CertificateFlags) Insecure() []string {
	var all []string
	if f.ignoreLog {
		all = append(all, "--insecure-ignore-tlog")
	}
	if f.ignoreSCT {
		all = append(all, "--insecure-ignore-sct")
	}
	return all
}

// anchored compiles a pattern that must match the whole text.
func anchored(pattern string) (*regexp.Regexp, error) {
	return regexp.Compile(`\A(?:` + pattern + `)\z`)
}

// CheckIdentity compares a proven identity with the wanted one: letter by letter, or
// by a pattern over the whole of it.
func (f *CertificateFlags) CheckIdentity(fact verify.Fact) error {
	got := fact.Signer.Certificate
	if got == nil {
		return &verify.Rejection{Step: verify.StepCertificate, Reason: verify.ReasonIdentityMismatch, Err: errors.New("it is signed with a key, which has no identity; a certificate has one")}
	}
	if !same(f.issuer, f.issuerRegexp, got.Issuer) {
		return &verify.Rejection{Step: verify.StepCertificate, Reason: verify.ReasonIssuerMismatch, Err: fmt.Errorf("the issuer is %q, not %q", got.Issuer, f.issuer+f.issuerRegexp)}
	}
	if !same(f.identity, f.identityRegexp, got.SAN) {
		return &verify.Rejection{Step: verify.StepCertificate, Reason: verify.ReasonIdentityMismatch, Err: fmt.Errorf("the identity is %q, not %q", got.SAN, f.identity+f.identityRegexp)}
	}
	return nil
}

// same reports whether a text is the exact one, or matches the pattern; one of the two
// is given. An empty text is nobody's.
func same(exact, pattern, text string) bool {
	if text == "" {
		return false
	}
	if exact != "" {
		return text == exact
	}
	compiled, err := anchored(pattern)
	return err == nil && pattern != "" && compiled.MatchString(text)
}
