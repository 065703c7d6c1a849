package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/sign/keys"
	"github.com/hallmark-project/hallmark/verify/trust"
)

func newKeyCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Make, convert and look at keys",
		Args:  cli.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKeyGenerateCommand(a), newKeyPublicCommand(a), newKeyInspectCommand(a))
	return cmd
}

func newKeyGenerateCommand(a *app) *cobra.Command {
	var (
		algorithm    = string(keys.ECDSAP256)
		format       = string(keys.FormatCosign)
		prefix       string
		passwordFile string
		noPassword   bool
		force        bool
	)
	cmd := &cobra.Command{
		Use:   "generate",
		Short: "Make a key pair",
		Long: `Makes PREFIX.key (mode 0600) and PREFIX.pub. Existing files are left alone without --force.

The password comes from --password-file, HALLMARK_PASSWORD, COSIGN_PASSWORD or a prompt.
cosign's format is encrypted always; cosign reads it. PKCS #8 is what other tools read, and is
quicker at each use.`,
		Example: `  hallmark key generate
  hallmark key generate --algorithm ed25519 --format pkcs8 --out release
  HALLMARK_PASSWORD=… hallmark key generate --out ci`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkKeyFlags(algorithm, format, passwordFile, noPassword); err != nil {
				return err
			}
			// Before a password is thought of in vain.
			if err := keys.CheckFree(prefix, force); err != nil {
				return hintKeyPlace(err)
			}
			var password []byte
			if !noPassword {
				var err error
				if password, err = a.readPassword(cmd.Context(), passwordFile, true); err != nil {
					return err
				}
				if len(password) == 0 && format == string(keys.FormatPKCS8) {
					return cli.Hint(cli.UsageError("the password is empty"), "say --no-password if the key shall not be encrypted")
				}
			}
			signer, err := keys.Generate(keys.Algorithm(algorithm))
			if err != nil {
				return err
			}
			if err := signer.WritePair(prefix, keys.Format(format), password, force); err != nil {
				return hintKeyPlace(err)
			}
			_, err = fmt.Fprintf(a.Stdout, "private key  %s.key\npublic key   %s.pub\nkey ID       %s\n", prefix, prefix, signer.Key().ID())
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&algorithm, "algorithm", algorithm, "ecdsa-p256, ecdsa-p384, ed25519 or rsa-3072")
	flags.StringVar(&format, "format", format, "cosign or pkcs8")
	flags.StringVar(&prefix, "out", "hallmark", "write PREFIX.key and PREFIX.pub")
	flags.StringVar(&passwordFile, "password-file", "", "read the password from a file, - for standard input")
	flags.BoolVar(&noPassword, "no-password", false, "leave the private key unencrypted (pkcs8 only)")
	flags.BoolVar(&force, "force", false, "overwrite existing files")
	return cmd
}

// checkKeyFlags refuses what cannot be made, before anything is asked or made.
func checkKeyFlags(algorithm, format, passwordFile string, noPassword bool) error {
	if !slices.Contains(keys.Algorithms(), keys.Algorithm(algorithm)) {
		return cli.Hint(cli.UsageError("unknown key algorithm %q", algorithm), "the algorithms are %v", keys.Algorithms())
	}
	if format != string(keys.FormatCosign) && format != string(keys.FormatPKCS8) {
		return cli.Hint(cli.UsageError("unknown key format %q", format), "the formats are cosign and pkcs8")
	}
	if noPassword && format != string(keys.FormatPKCS8) {
		return cli.Hint(cli.UsageError("cosign's format has no form without a password"), "add --format pkcs8")
	}
	if noPassword && passwordFile != "" {
		return cli.Hint(cli.UsageError("--no-password and --password-file contradict each other"), "leave one of them away")
	}
	return nil
}

func hintKeyPlace(err error) error {
	switch {
	case errors.Is(err, keys.ErrExists):
		return cli.Hint(err, "choose another --out, or --force to overwrite: what the old key signed stays signed by it")
	case errors.Is(err, keys.ErrNotRegular):
		return cli.Hint(err, "choose another --out: only a regular file is overwritten, never a symbolic link, a folder or a device")
	}
	return cli.Hint(err, "--out names the place without .key and .pub; its folder must exist")
}

func newKeyPublicCommand(a *app) *cobra.Command {
	var path, passwordFile string
	cmd := &cobra.Command{
		Use:   "public [FILE]",
		Short: "Print the public key of a private key",
		Example: `  hallmark key public hallmark.key > hallmark.pub
  hallmark key public --key hallmark.key --password-file password.txt`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				if path != "" {
					return cli.Hint(cli.UsageError("%q and --key %q name two keys", args[0], path), "leave one of them away")
				}
				path = args[0]
			}
			signer, err := a.loadSigner(cmd.Context(), path, passwordFile)
			if err != nil {
				return err
			}
			_, err = a.Stdout.Write(signer.Key().PEM())
			return err
		},
	}
	cmd.Flags().StringVar(&path, "key", "", "the private key's file")
	cmd.Flags().StringVar(&passwordFile, "password-file", "", "read the password from a file, - for standard input")
	return cmd
}

// keySchema names the form of what key inspect prints as JSON.
const keySchema = "hallmark.dev/key/v1"

// keyInspection is what `key inspect` prints.
type keyInspection struct {
	Schema     string `json:"schema"`
	Kind       string `json:"kind"` // "public key" or "private key"
	Algorithm  string `json:"algorithm,omitempty"`
	KeyID      string `json:"keyId,omitempty"`
	Format     string `json:"format,omitempty"`
	Encrypted  bool   `json:"encrypted"`
	Derivation string `json:"derivation,omitempty"`
}

func newKeyInspectCommand(a *app) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "inspect FILE",
		Short: "Say what a key file is, without its password",
		Example: `  hallmark key inspect hallmark.key
  hallmark key inspect hallmark.pub --output json`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if output != "text" && output != "json" {
				return cli.Hint(cli.UsageError("unknown output %q", output), "--output is text or json")
			}
			text, err := cli.ReadKeyFile(args[0])
			if err != nil {
				return err
			}
			found, err := inspectKey(text)
			if err != nil {
				return cli.Hint(fmt.Errorf("%s: %w", args[0], err), "a key file is one PEM block")
			}
			if output == "json" {
				return json.NewEncoder(a.Stdout).Encode(found)
			}
			_, err = a.Stdout.Write(found.text(args[0]))
			return err
		},
	}
	cmd.Flags().StringVar(&output, "output", "text", "text or json")
	return cmd
}

func (k keyInspection) text(name string) []byte {
	out := fmt.Appendf(nil, "%s\n", k.Kind)
	for _, line := range [][2]string{{"algorithm", k.Algorithm}, {"key ID", k.KeyID}, {"format", k.Format}, {"derivation", k.Derivation}} {
		if line[1] != "" {
			out = fmt.Appendf(out, "  %-10s  %s\n", line[0], line[1])
		}
	}
	switch {
	case k.Encrypted:
		out = fmt.Appendf(out, "  encrypted; hallmark key public %s asks for the password and prints the public key\n", name)
	case k.Format != "":
		out = append(out, "  not encrypted\n"...)
	}
	return out
}

func inspectKey(text []byte) (keyInspection, error) {
	if key, err := trust.ParsePublicKey(text); err == nil {
		return keyInspection{Schema: keySchema, Kind: "public key", Algorithm: key.Algorithm(), KeyID: key.ID()}, nil
	}
	d, err := keys.Describe(text)
	if err != nil {
		return keyInspection{}, err
	}
	found := keyInspection{Schema: keySchema, Kind: "private key", Format: string(d.Format), Encrypted: d.Encrypted, Derivation: d.Derivation}
	if !d.Encrypted {
		signer, err := keys.Parse(text, nil)
		if err != nil {
			return keyInspection{}, err
		}
		found.Algorithm, found.KeyID = signer.Key().Algorithm(), signer.Key().ID()
	}
	return found, nil
}
