package main

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/attest/wholefile"
	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/convert"
	"github.com/hallmark-project/hallmark/policy/report"
)

const (
	// maxStoreFiles bounds the certificates of one of notation's trust stores.
	maxStoreFiles = 50
	// maxStoreBytes bounds one of them; a certificate has two kilobytes.
	maxStoreBytes = 64 << 10
	// maxConvertKey bounds a key that a source names; one has some kilobytes, a trusted
	// root ten.
	maxConvertKey = 256 << 10
)

type policyConvertFlags struct {
	from, out, name, output, trustStore string
	acceptLoss, anyName                 bool
}

func newPolicyConvertCommand(a *app) *cobra.Command {
	f := &policyConvertFlags{}
	cmd := &cobra.Command{
		Use:   "convert FILE… | convert -- cosign verify …",
		Short: "Turn another verifier's policies into a trust policy",
		Long: `Reads policies of policy-controller (ClusterImagePolicy), Kyverno (verifyImages and
ImageValidatingPolicy), notation (trustpolicy.json) or containers/image (policy.json),
or a command line of cosign, and writes a trust policy that allows no image that they
would refuse. Keys stand in it; what is kept in a cluster or a KMS is not fetched.

What has no counterpart is a loss: it is listed with its place and with what the result
does instead, which is stricter. Where there is one, nothing is written without
--accept-loss. docs/convert.md has an example of each.

Exit codes: 0 written, 1 there are losses, or a source is no policy, 2 a file could not
be read, 64 wrong usage.`,
		Example: `  hallmark policy convert cluster-image-policies.yaml -o policy.yaml
  hallmark policy convert --from kyverno policies/*.yaml --accept-loss -o policy.yaml
  hallmark policy convert trustpolicy.json --trust-store ~/.config/notation/truststore
  hallmark policy convert /etc/containers/policy.json --insecure-any-name --output json
  hallmark policy convert -- cosign verify --key cosign.pub registry.example/app`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.policyConvert(f, args, cmd.ArgsLenAtDash())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "", "policy-controller, kyverno, notation, containers or cosign; found out if not given")
	flags.StringVarP(&f.out, "out", "o", "", "the file to write; standard output if not given")
	flags.StringVar(&f.name, "name", "", "the result's metadata.name; that of the source if not given")
	flags.StringVar(&f.output, "output", "text", "text or json: how losses are printed")
	flags.StringVar(&f.trustStore, "trust-store", "", "notation's folder of certificates, which has a folder x509 (default: truststore beside the file)")
	flags.BoolVar(&f.acceptLoss, "accept-loss", false, "write the result although something of the source is lost")
	flags.BoolVar(&f.anyName, "insecure-any-name", false, "containers: let a signature count whichever image name it was made for")
	return cmd
}

// conversion is what --output json prints.
type conversion struct {
	Schema   string         `json:"schema"`
	Kind     convert.Kind   `json:"kind"`
	Accepted bool           `json:"accepted"`
	Losses   []convert.Loss `json:"losses"`
	// Policy is the result; left out where it is in a file, or not accepted.
	Policy string `json:"policy,omitempty"`
}

func (a *app) policyConvert(f *policyConvertFlags, args []string, dash int) error {
	if f.output != "text" && f.output != "json" {
		return cli.UsageError("--output is text or json, not %q", f.output)
	}
	if f.from != "" && !slices.Contains(convert.Kinds(), convert.Kind(f.from)) {
		return cli.UsageError("--from is one of %v, not %q", convert.Kinds(), f.from)
	}
	sources, err := convertSources(f, args, dash)
	if err != nil {
		return err
	}
	result, err := convert.Convert(sources, convert.Options{
		Kind: convert.Kind(f.from), Name: f.name, InsecureAnyName: f.anyName,
		Read:       func(name string) ([]byte, error) { return wholefile.ReadFile(name, maxConvertKey) },
		TrustStore: f.store(args),
	})
	if err != nil {
		return cli.Hint(err, "--from names what the files are; docs/convert.md has an example of each kind")
	}
	accepted := f.acceptLoss || len(result.Losses) == 0
	if err := a.printConversion(f, result, accepted); err != nil {
		return cli.Undetermined(err)
	}
	if !accepted {
		return cli.Hint(fmt.Errorf("converting policies: %d of the things they say have no counterpart", len(result.Losses)), "look at each, then write the result with --accept-loss")
	}
	return nil
}

// convertSources reads the files, or takes the command line behind `--`.
func convertSources(f *policyConvertFlags, args []string, dash int) ([]convert.Source, error) {
	if dash >= 0 || f.from == string(convert.Cosign) {
		if dash > 0 || len(args) == 0 || f.from != "" && f.from != string(convert.Cosign) {
			return nil, cli.Hint(cli.UsageError("files and a command line, or none"), "hallmark policy convert -- cosign verify …")
		}
		f.from = string(convert.Cosign)
		source, err := convert.Arguments("the command line", args)
		return []convert.Source{source}, err
	}
	if len(args) == 0 {
		return nil, cli.Hint(cli.UsageError("no file was named"), "hallmark policy convert FILE…")
	}
	var all []convert.Source
	for _, path := range args {
		raw, err := wholefile.ReadFile(path, policy.MaxBytes)
		if errors.Is(err, fs.ErrNotExist) {
			err = errors.New("no such file")
		}
		if err != nil {
			return nil, cli.Undetermined(fmt.Errorf("reading %s: %w", path, err))
		}
		all = append(all, convert.Source{Name: path, Data: raw})
	}
	return all, nil
}

func (a *app) printConversion(f *policyConvertFlags, result *convert.Result, accepted bool) error {
	if accepted && f.out != "" {
		if err := os.WriteFile(f.out, result.Policy, 0o644); err != nil { //nolint:gosec // a policy has no secrets
			return fmt.Errorf("writing %s: %w", f.out, err)
		}
	}
	if f.output == "json" {
		out := conversion{Schema: "hallmark.dev/convert/v1", Kind: result.Kind, Accepted: accepted, Losses: result.Losses}
		if out.Losses == nil {
			out.Losses = []convert.Loss{}
		}
		if accepted && f.out == "" {
			out.Policy = string(result.Policy)
		}
		encoder := json.NewEncoder(a.Stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(out)
	}
	for _, loss := range result.Losses {
		fmt.Fprintln(a.Stderr, report.Plain("lost: "+loss.String()))
	}
	if !accepted || f.out != "" {
		return nil
	}
	_, err := a.Stdout.Write(result.Policy)
	return err
}

var storeName = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9_.-]*$`)

// store reads notation's trust store: every certificate of the folder
// x509/KIND/NAME, in PEM or DER.
func (f *policyConvertFlags) store(args []string) func(kind, name string) ([]byte, error) {
	root := f.trustStore
	if root == "" && len(args) > 0 {
		root = filepath.Join(filepath.Dir(args[0]), "truststore")
	}
	return func(kind, name string) ([]byte, error) {
		if !storeName.MatchString(kind) || !storeName.MatchString(name) {
			return nil, fmt.Errorf("%q is no name of a trust store", name)
		}
		folder := filepath.Join(root, "x509", kind, name)
		entries, err := os.ReadDir(folder)
		if err != nil {
			return nil, fmt.Errorf("no folder x509/%s/%s; --trust-store names the one above it", kind, name)
		}
		if len(entries) > maxStoreFiles {
			return nil, fmt.Errorf("more than %d certificates", maxStoreFiles)
		}
		var all bytes.Buffer
		for _, entry := range entries {
			raw, err := wholefile.ReadFile(filepath.Join(folder, entry.Name()), maxStoreBytes)
			if err != nil {
				return nil, err
			}
			if len(raw) > 0 && raw[0] == 0x30 { // DER: a SEQUENCE
				raw = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
			}
			all.WriteString(strings.TrimSpace(string(raw)) + "\n")
		}
		return all.Bytes(), nil
	}
}
