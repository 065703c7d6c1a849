package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
)

func newDemoCommand(a *app) *cobra.Command {
	d := &demo{app: a}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole of it on this very program, without account or network",
		Long: `Starts a registry on a loopback port, packs this program into an image index of two
platforms, generates its SBOM, signs it, attests the SBOM and SLSA provenance, and
verifies it under a policy. Then it tampers four times and shows each refusal.

Every step is a hallmark command that you could have typed.`,
		Example: `  hallmark demo
  hallmark demo --keep play          # leave keys, policy, SBOM and image behind
  hallmark demo --keep play --serve  # and leave the registry running, until Ctrl-C`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return d.run(cmd.Context()) },
	}
	cmd.Flags().StringVar(&d.keep, "keep", "", "leave a folder behind to play with")
	cmd.Flags().BoolVar(&d.serve, "serve", false, "leave the registry running until Ctrl-C")
	cmd.Flags().BoolVar(&d.quiet, "quiet", false, "print the outcome of each step only")
	return cmd
}

// demo is one run of the demo.
type demo struct {
	app   *app
	keep  string
	serve bool
	quiet bool

	dir   string // keys, policy and SBOM
	host  string // of the demo's registry
	image string // the image under its tag
}

const demoPolicy = `apiVersion: hallmark.dev/v1alpha1
kind: TrustPolicy
metadata: {name: demo}
signers:
  release:
    keys: [{file: release.pub}]
rules:
  - name: demo
    images: ["%s/**"]
    platforms: all               # the index, and every platform below it
    require:
      signatures: {from: [release], atLeast: 1}
      provenance:
        from: [release]
        builder: ["https://hallmark.dev/builders/local"]
      sbom:
        from: [release]
        format: [spdx]
        deny: {packages: ["pkg:golang/github.com/dgrijalva/jwt-go@<4.0.0"]}
`

func (d *demo) run(ctx context.Context) error {
	started := time.Now()
	if err := d.prepare(); err != nil {
		return err
	}
	if d.keep == "" {
		defer os.RemoveAll(d.dir)
	}
	stop, err := d.startRegistry()
	if err != nil {
		return err
	}
	defer stop()
	d.image = d.host + "/demo/hallmark:1.0"
	for _, step := range []func(context.Context) error{d.build, d.evidence, d.judge, d.tamper} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("running the demo: %w", err)
		}
	}
	d.say("Done in %.1f s: one image allowed, four attacks refused.", time.Since(started).Seconds())
	if d.keep != "" {
		if err := d.saveLayout(ctx); err != nil {
			return fmt.Errorf("running the demo: %w", err)
		}
		fmt.Fprintf(d.app.Stdout, "\nLeft in %s: release.key, release.pub, policy.yaml, sbom/, image/\n  hallmark verify oci-dir:%s --policy %s\n",
			d.keep, filepath.Join(d.keep, "image"), filepath.Join(d.keep, "layout-policy.yaml"))
	}
	if d.serve {
		fmt.Fprintf(d.app.Stdout, "\nThe registry runs at %s until Ctrl-C.\n", d.host)
		<-ctx.Done()
	}
	return nil
}

// prepare makes the demo's folder.
func (d *demo) prepare() error {
	if d.keep == "" {
		dir, err := os.MkdirTemp("", "hallmark-demo-")
		if err != nil {
			return fmt.Errorf("making a folder for the demo: %w", err)
		}
		d.dir = dir
		return nil
	}
	if entries, err := os.ReadDir(d.keep); err == nil && len(entries) > 0 {
		return cli.Hint(cli.UsageError("%s exists and is not empty", d.keep), "name a new folder for --keep")
	}
	if err := os.MkdirAll(d.keep, 0o755); err != nil {
		return fmt.Errorf("making a folder for the demo: %w", err)
	}
	d.dir = d.keep
	return nil
}

// startRegistry serves go-containerregistry's registry on a loopback port.
func (d *demo) startRegistry() (stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting the demo's registry: %w", err)
	}
	d.host = listener.Addr().String()
	server := &http.Server{
		Handler:           registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0))),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	go server.Serve(listener)
	return func() { server.Close() }, nil
}

// build packs the running program and pushes it.
func (d *demo) build(ctx context.Context) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	d.say("1. Pack this program (%s) into an image index of two platforms and push it to a registry on loopback.", filepath.Base(program))
	index, err := packProgram(program, time.Unix(0, 0).UTC())
	if err != nil {
		return err
	}
	digest, err := pushIndex(ctx, d.image, index)
	if err != nil {
		return err
	}
	d.say("   %s is %s", d.image, digest)
	return nil
}

// evidence makes keys, SBOMs, signatures and provenance.
func (d *demo) evidence(ctx context.Context) error {
	d.say("2. Make a key. (Without a password, for the demo alone.)")
	if err := d.hallmark(ctx, "key", "generate", "--format", "pkcs8", "--no-password", "--out", d.path("release")); err != nil {
		return err
	}
	d.say("3. Generate the SBOM of each platform, and sign and attach it in the same step.")
	if err := d.hallmark(ctx, "sbom", d.image, "--format", "spdx", "--out", d.path("sbom"), "--attest", "--key", d.path("release.key")); err != nil {
		return err
	}
	d.say("4. Sign the index and its platforms.")
	if err := d.hallmark(ctx, "sign", d.image, "--recursive", "--key", d.path("release.key")); err != nil {
		return err
	}
	d.say("5. Attest SLSA provenance.")
	source := d.path("source")
	if err := d.makeSource(ctx, source); err != nil {
		return err
	}
	return d.hallmark(ctx, "attest", "provenance", d.image, "--recursive", "--source-dir", source, "--key", d.path("release.key"))
}

// makeSource makes a small git checkout for the provenance to speak of.
func (d *demo) makeSource(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	git, err := exec.LookPath("git")
	if err != nil {
		return cli.Hint(fmt.Errorf("making provenance: %w", err), "install git: the provenance names a commit")
	}
	for _, args := range [][]string{
		{"init", "--quiet", "--initial-branch=main"},
		{"remote", "add", "origin", "https://example.com/demo/hallmark.git"},
		{"-c", "user.name=demo", "-c", "user.email=demo@example.com", "commit", "--quiet", "--allow-empty", "--no-gpg-sign", "--message", "demo"},
	} {
		command := exec.CommandContext(ctx, git, append([]string{"-C", dir}, args...)...)
		command.Env = []string{"HOME=" + dir, "PATH=" + d.app.Getenv("PATH"), "GIT_CONFIG_NOSYSTEM=1"}
		if out, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("making a checkout for the demo: %w: %s", err, bytes.TrimSpace(out))
		}
	}
	return nil
}

// judge verifies the image under the policy.
func (d *demo) judge(ctx context.Context) error {
	d.say("6. Verify it under this policy:")
	policy := fmt.Sprintf(demoPolicy, d.host)
	d.print(indent(policy))
	if err := os.WriteFile(d.path("policy.yaml"), []byte(policy), 0o644); err != nil {
		return err
	}
	return d.hallmark(ctx, "verify", d.image, "--policy", d.path("policy.yaml"))
}

// hallmark runs one hallmark command in this process, as a person would type it.
func (d *demo) hallmark(ctx context.Context, args ...string) error {
	d.print("   $ hallmark " + strings.ReplaceAll(strings.Join(args, " "), d.dir+string(filepath.Separator), "") + "\n")
	var out, errs bytes.Buffer
	inner := *d.app
	inner.Stdin, inner.Stdout, inner.Stderr = strings.NewReader(""), &out, &errs
	code := run(ctx, &inner, args)
	d.print(indent(strings.ReplaceAll(out.String(), d.dir+string(filepath.Separator), "")))
	if code != cli.ExitAllow {
		return fmt.Errorf("hallmark %s ended with %d: %s", args[0], code, strings.TrimSpace(errs.String()+out.String()))
	}
	return nil
}

// refused runs verify, wants a denial with the given reason, and prints it.
func (d *demo) refused(ctx context.Context, image, reason string) error {
	args := []string{"verify", image, "--policy", d.path("policy.yaml")}
	d.print("   $ hallmark " + strings.ReplaceAll(strings.Join(args, " "), d.dir+string(filepath.Separator), "") + "\n")
	var text, raw, errs bytes.Buffer
	inner := *d.app
	inner.Stdin, inner.Stderr = strings.NewReader(""), &errs
	inner.Stdout = &text
	if code := run(ctx, &inner, args); code != cli.ExitDeny {
		return fmt.Errorf("the attack on %s was not denied: exit code %d: %s%s", image, code, text.String(), errs.String())
	}
	inner.Stdout = &raw
	run(ctx, &inner, append(args, "--output", "json"))
	reasons, err := unmet(raw.Bytes())
	if err != nil {
		return fmt.Errorf("reading the report about %s: %w", image, err)
	}
	if !slices.ContainsFunc(reasons, func(r string) bool { return strings.Contains(r, reason) }) {
		return fmt.Errorf("the attack on %s was denied, but not for %s: %s", image, reason, text.String())
	}
	head, _, _ := strings.Cut(text.String(), "\n")
	d.print(indent(head + "\n  " + strings.Join(reasons, "\n  ")))
	fmt.Fprintf(d.app.Stdout, "   -> refused: %s\n", reason)
	return nil
}

// unmet reads the demands that are not met out of a report, each with the first
// piece of evidence that was refused for it.
func unmet(report []byte) ([]string, error) {
	var document struct {
		Images []struct {
			Demands []struct {
				Name, Verdict, Reason, Found, Platform string
				Tried                                  []struct {
					Accepted       bool
					Reason, Detail string
				}
			}
		}
	}
	if err := json.Unmarshal(report, &document); err != nil {
		return nil, err
	}
	var all []string
	for _, image := range document.Images {
		for _, demand := range image.Demands {
			if demand.Verdict == "allow" {
				continue
			}
			line := fmt.Sprintf("%-10s %-11s %s: %s", demand.Name, demand.Platform, demand.Reason, demand.Found)
			for _, attempt := range demand.Tried {
				if !attempt.Accepted && attempt.Reason == demand.Reason {
					line += "\n                         " + attempt.Detail
					break
				}
			}
			all = append(all, line)
		}
	}
	return all, nil
}

func (d *demo) path(name string) string { return filepath.Join(d.dir, name) }

// say prints a line of the story.
func (d *demo) say(format string, args ...any) {
	fmt.Fprintf(d.app.Stdout, "\n"+format+"\n", args...)
}

// print prints what a command printed, unless --quiet.
func (d *demo) print(text string) {
	if !d.quiet {
		fmt.Fprint(d.app.Stdout, text)
	}
}

func indent(text string) string {
	if text = strings.TrimRight(text, "\n"); text == "" {
		return ""
	}
	return "     " + strings.ReplaceAll(text, "\n", "\n     ") + "\n"
}
