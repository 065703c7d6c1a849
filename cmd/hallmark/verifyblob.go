package main

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/attest/bundle"
	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/attest/wholefile"
	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
)

// maxContentInMemory bounds content that a pure Ed25519 signature forces into
// memory: such a signature is over the content itself and not over its digest.
const maxContentInMemory = 512 << 20

type verifyBlobFlags struct {
	cli.CertificateFlags
	bundle, key string
	output      string
}

const blobReportSchema = "hallmark.dev/blob-report/v1"

// blobReport is what verify-blob prints.
type blobReport struct {
	Schema        string        `json:"schema"`
	Artifact      string        `json:"artifact"`
	Digest        string        `json:"digest,omitempty"`
	Verdict       string        `json:"verdict"`
	Reason        verify.Reason `json:"reason,omitempty"`
	Detail        string        `json:"detail,omitempty"`
	Signer        string        `json:"signer,omitempty"`
	PredicateType string        `json:"predicateType,omitempty"`
	Checks        []verify.Step `json:"checks,omitempty"`
	// SignedAt are the signing times that authorities or logs vouch for, RFC 3339.
	SignedAt []string `json:"signedAt,omitempty"`
	// Insecure are the switches that weakened the check.
	Insecure []string `json:"insecure,omitempty"`
}

func newVerifyBlobCommand(a *app) *cobra.Command {
	var f verifyBlobFlags
	cmd := &cobra.Command{
		Use:   "verify-blob FILE|DIGEST",
		Short: "Verify the signature of a file",
		Long: `Verifies a Sigstore bundle about a file, or about a digest (sha256:…, sha384:…, sha512:…).
A bundle with a statement must name the artifact as its subject. The file is streamed and read
once. Without --trusted-root the state of hallmark trust is used. Beside --key a trusted root adds
witnesses: its logs must then have an entry.

Exit codes: 0 verified, 1 checked and refused, 2 could not check, 64 wrong usage.`,
		Example: `  hallmark verify-blob --bundle app.sigstore.json --key hallmark.pub app.tar.gz
  hallmark verify-blob --bundle app.sigstore.json --key hallmark.pub sha256:…
  hallmark verify-blob --bundle app.sigstore.json --key hallmark.pub --trusted-root trusted_root.json app.tar.gz
  hallmark verify-blob --bundle app.sigstore.json --trusted-root trusted_root.json \
    --certificate-identity https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1 \
    --certificate-oidc-issuer https://token.actions.githubusercontent.com app.tar.gz`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return a.verifyBlob(&f, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.bundle, "bundle", "", "the Sigstore bundle")
	flags.StringVar(&f.key, "key", "", "the public key that must have signed")
	f.CertificateFlags.Add(flags)
	flags.StringVar(&f.output, "output", "text", "text or json")
	return cmd
}

func (f *verifyBlobFlags) check() error {
	switch {
	case f.output != "text" && f.output != "json":
		return cli.UsageError("--output is text or json, not %q", f.output)
	case f.bundle == "":
		return cli.Hint(cli.UsageError("no bundle was named"), "name one with --bundle; hallmark sign-blob makes one")
	case f.key != "":
		return f.Thresholds()
	case !f.Named():
		return cli.Hint(cli.UsageError("nobody was named who must have signed"), "give --key, or --certificate-identity with --certificate-oidc-issuer")
	}
	return f.CertificateFlags.Check()
}

// blobVerifier trusts what the flags name: a key, with the witnesses of a trusted root
// where one is given, or the authorities of a trusted root. What cannot be read is not
// a refusal.
func (a *app) blobVerifier(f *verifyBlobFlags) (*verify.Verifier, error) {
	var options []trust.Option
	if f.key != "" {
		key, err := cli.LoadPublicKey(f.key)
		if err != nil {
			var coded *cli.CodeError
			if errors.As(err, &coded) {
				return nil, err
			}
			return nil, cli.Undetermined(err)
		}
		options = append(options, trust.WithKeys(key))
	}
	if f.key == "" || f.TrustedRoot != "" {
		raw, err := a.TrustedRoot(f.TrustedRoot)
		if err != nil {
			return nil, err
		}
		options = append(options, trust.WithTrustedRoot(raw))
	}
	root, err := trust.NewRoot(options...)
	if err != nil {
		return nil, cli.Undetermined(cli.Hint(err, "is it a Sigstore trusted_root.json?"))
	}
	verifier, err := verify.New(root, f.Need(), time.Now)
	return verifier, cli.Undetermined(err)
}

func (a *app) verifyBlob(f *verifyBlobFlags, artifact string) error {
	if err := f.check(); err != nil {
		return err
	}
	verifier, err := a.blobVerifier(f)
	if errors.Is(err, trust.ErrRootInvalid) {
		return a.reportUnchecked(f, blobReport{Artifact: artifact, Reason: verify.ReasonTrustRootInvalid, Detail: err.Error()}, err)
	}
	if err != nil {
		return err
	}
	raw, err := wholefile.ReadFile(f.bundle, verify.MaxEvidenceBytes)
	if err != nil {
		return cli.Undetermined(cli.Hint(fmt.Errorf("reading the bundle: %w", err), "check the path after --bundle"))
	}
	evidence := verify.Evidence{Format: verify.FormatBundle, Raw: raw, Origin: verify.Origin{Place: "file", Location: f.bundle}}
	subject, content, err := a.readArtifact(artifact, verifier, f.key != "", evidence)
	if err != nil {
		return err
	}
	report := blobReport{Schema: blobReportSchema, Artifact: artifact, Digest: subject.String(), Insecure: f.Insecure()}
	var fact verify.Fact
	if content != nil {
		fact, err = verifier.CheckContent(verify.Subject{Digest: subject}, content, evidence)
	} else {
		fact, err = verifier.Check(verify.Subject{Digest: subject}, evidence)
	}
	if err == nil && (f.key == "" || f.Identified()) {
		err = f.CheckIdentity(fact)
	}
	return a.reportBlob(f, report, fact, err)
}

func (a *app) reportBlob(f *verifyBlobFlags, report blobReport, fact verify.Fact, refused error) error {
	report.Verdict, report.Checks = "allow", fact.Checks
	if refused != nil {
		report.Verdict, report.Checks, report.Detail = "deny", nil, refused.Error()
		var rejection *verify.Rejection
		if errors.As(refused, &rejection) {
			report.Reason = rejection.Reason
		}
	} else {
		report.Signer = fact.Signer.String()
		for _, t := range fact.Times {
			report.SignedAt = append(report.SignedAt, t.Time.Format(time.RFC3339))
		}
		if fact.Statement != nil {
			report.PredicateType = fact.Statement.PredicateType
		}
	}
	if f.output == "json" {
		if err := json.NewEncoder(a.Stdout).Encode(report); err != nil {
			return err
		}
	} else if refused == nil {
		fmt.Fprintf(a.Stdout, "ALLOW %s\n  digest  %s\n  signer  %s\n  checks  %s\n", report.Artifact, report.Digest, report.Signer, joinSteps(report.Checks))
	}
	if refused == nil {
		return nil
	}
	if f.output == "json" {
		return cli.ExitError{Code: cli.ExitDeny}
	}
	return cli.Hint(fmt.Errorf("%s: DENY %w", report.Artifact, refused), "reasons are explained in docs/reasons.md; the bundle was %s", f.bundle)
}

// reportUnchecked prints what could not be checked, and why.
func (a *app) reportUnchecked(f *verifyBlobFlags, report blobReport, cause error) error {
	report.Schema, report.Verdict = blobReportSchema, "undetermined"
	if f.output != "json" {
		return cli.Undetermined(fmt.Errorf("%s: %s: %w", report.Artifact, report.Reason, cause))
	}
	if err := json.NewEncoder(a.Stdout).Encode(report); err != nil {
		return err
	}
	return cli.ExitError{Code: cli.ExitUndetermined}
}

func joinSteps(steps []verify.Step) string {
	texts := make([]string, len(steps))
	for i, step := range steps {
		texts[i] = string(step)
	}
	return strings.Join(texts, ", ")
}

// readArtifact hashes the artifact with the algorithm that the bundle is about, in
// one pass, or takes a digest at its word. Content is returned only where the
// signature is over the content itself.
func (a *app) readArtifact(artifact string, verifier *verify.Verifier, keys bool, evidence verify.Evidence) (digest.Digest, []byte, error) {
	algorithm, claimed, whole := neededForm(verifier, keys, evidence)
	if d, err := digest.Parse(artifact); err == nil {
		if whole {
			return digest.Digest{}, nil, cli.Undetermined(cli.Hint(fmt.Errorf("checking %s: the signature is over the content itself", d), "give the file in place of its digest"))
		}
		return d, nil, nil
	} else if before, _, found := strings.Cut(artifact, ":"); found && (before == "sha256" || before == "sha384" || before == "sha512") && !exists(artifact) {
		return digest.Digest{}, nil, cli.Hint(cli.UsageError("%s", err), "a digest is the algorithm and its full lower-case hexadecimal value")
	}
	file, err := a.openContent(artifact)
	if err != nil {
		return digest.Digest{}, nil, err
	}
	defer file.Close()
	h := newHash(algorithm)
	if !whole {
		if _, err := io.Copy(h, file); err != nil {
			return digest.Digest{}, nil, cli.Undetermined(fmt.Errorf("reading %s: %w", artifact, err))
		}
		return digest.FromHash(h), nil, nil
	}
	content, err := io.ReadAll(io.LimitReader(file, maxContentInMemory+1))
	if err != nil {
		return digest.Digest{}, nil, cli.Undetermined(fmt.Errorf("reading %s: %w", artifact, err))
	}
	if len(content) > maxContentInMemory {
		return digest.Digest{}, nil, cli.Undetermined(cli.Hint(fmt.Errorf("reading %s: an Ed25519 signature over content of more than %d MB", artifact, maxContentInMemory>>20), "sign large files with hallmark sign-blob, which makes Ed25519ph"))
	}
	h.Write(content)
	d := digest.FromHash(h)
	if !claimed.IsZero() && claimed != d {
		return d, nil, nil // SB-08: by its digest alone it is refused for its digest
	}
	return d, content, nil
}

// exists reports whether there is such a file: a name that begins like a digest may
// still be one.
func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// neededForm reads out of the untrusted bundle which digest of the artifact it is
// about, and whether the content itself is needed: for a message signature whose
// own digest the trusted keys cannot have signed, as it is pure Ed25519, and for one
// without a digest. A lie here leads to a refusal, never to a wrong acceptance: what
// was read is checked again, against what the artifact hashes to.
func neededForm(verifier *verify.Verifier, keys bool, evidence verify.Evidence) (algorithm string, claimed digest.Digest, whole bool) {
	outline, err := bundle.ParseOutline(evidence.Raw)
	if err != nil {
		return "sha256", digest.Digest{}, false
	}
	if outline.Kind == bundle.KindMessage {
		if outline.MessageDigest.IsZero() {
			return "sha256", digest.Digest{}, true
		}
		if !keys {
			return outline.MessageDigest.Algorithm(), outline.MessageDigest, false
		}
		var rejection *verify.Rejection
		_, err := verifier.Check(verify.Subject{Digest: outline.MessageDigest}, evidence)
		whole = errors.As(err, &rejection) && rejection.Step == verify.StepSignature && rejection.Reason == verify.ReasonSignatureFormat
		return outline.MessageDigest.Algorithm(), outline.MessageDigest, whole
	}
	for _, d := range outline.Subjects {
		if d.Algorithm() == "sha256" {
			return "sha256", digest.Digest{}, false
		}
	}
	if len(outline.Subjects) > 0 {
		return outline.Subjects[0].Algorithm(), digest.Digest{}, false
	}
	return "sha256", digest.Digest{}, false
}

// newHash returns a hash of an algorithm's name, SHA-256 for an unknown one.
func newHash(algorithm string) hash.Hash {
	switch algorithm {
	case "sha384":
		return sha512.New384()
	case "sha512":
		return sha512.New()
	}
	return sha256.New()
}
