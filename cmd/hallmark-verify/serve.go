package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/policy/admission"
	"github.com/hallmark-project/hallmark/policy/credentials"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/policy/live"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/policy/server"
	"github.com/hallmark-project/hallmark/policy/source"
	"github.com/hallmark-project/hallmark/policy/telemetry"
	"github.com/hallmark-project/hallmark/policy/workload"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/trust/tuf"
)

// serveFlags say what is served. The entries of a configuration file have the same
// names.
type serveFlags struct {
	cli.RegistryFlags
	config string

	policy, namespaces     string
	trustDir               string
	listen, healthListen   string
	cert, key, clientCA    string
	plainHTTP              bool
	mutate, requireDigest  bool
	verifyUnchanged        bool
	onUnavailable          string
	timeout, drain, reload time.Duration
	tagFreshness, maxAge   time.Duration
	cacheEntries           int
	registries             []string
	dockerConfig           string
	pullSecrets            bool
	accountDir             string
	maxConcurrent          int
	rate                   float64
	logFile                string
	otlpEndpoint           string
	traceRatio             float64

	exemptions []admission.Exemption
	custom     []workload.Custom
}

func newServeCommand(a *cli.App) *cobra.Command {
	f := &serveFlags{}
	cmd := &cobra.Command{
		Use:   "serve --policy P --tls-cert FILE --tls-key FILE",
		Short: "Answer a cluster's admission reviews, and scripts, over HTTPS",
		Long: `Serves the gate over HTTPS (HTTP/1.1 only, on purpose):

  POST /validate    AdmissionReview v1: allowed if every image of the object is
  POST /mutate      AdmissionReview v1: tags become tag@digest; with --mutate only
  POST /provider    Gatekeeper's external data
  POST /v1/verify   {"images": ["registry.example/app:1.2"]}: the JSON report
  GET  /v1/policy   the policies and trust roots in force, by digest
  GET  /healthz, /readyz, /metrics

Policy, trust state, namespace policies, registry credentials and certificates are
files. They are read again when they change, and at SIGHUP; what is bad is refused,
logged and counted, and what was in force stays. In --namespace-policies, NAME.yaml is
a policy that the images of that namespace must meet too.

An image that could not be checked is refused, and the message says so, before the API
server stops waiting; --on-unavailable allow lets it pass with a warning, if the cause
is that a registry did not answer. A denial never becomes an allowance by it.

--config names a YAML file whose entries are the flags without dashes, such as
namespacePolicies, and beside them exemptions and customResources, which have no flag.
A flag on the command line wins. There is no way around the policy but an exemption:

  exemptions:
    - {name: cni, namespaces: [kube-system], images: ["registry.example/cni/**"], reason: "the network starts first", until: 2027-01-31}
  customResources:
    - {group: example.com, kind: Farm, paths: ["spec.template podTemplate"]}

The decision log goes to standard output, or to --log-file, as JSON lines: one for each
request and each image. What the server has to say of itself goes to standard error.
Traces go where --otlp-endpoint or OTEL_EXPORTER_OTLP_ENDPOINT says.

Exit codes: 0 stopped by a signal; 1 the server failed; 2 policy, credentials or
certificate could not be used; 64 wrong usage.`,
		Example: `  hallmark-verify serve --policy /etc/hallmark/policy --tls-cert tls.crt --tls-key tls.key
  hallmark-verify serve --config /etc/hallmark/config.yaml
  hallmark-verify serve --policy policy.yaml --insecure-plain-http --listen 127.0.0.1:8080
  curl -d '{"images":["registry.example/app:1.2"]}' -H 'Content-Type: application/json' http://127.0.0.1:8080/v1/verify`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.config != "" {
				if err := f.readConfig(cmd.Flags()); err != nil {
					return cli.Undetermined(cli.Hint(err, "%s --help lists the entries", cmd.CommandPath()))
				}
			}
			if err := f.check(); err != nil {
				return err
			}
			return f.run(cmd.Context(), a)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.config, "config", "", "a YAML file with the same entries and more; flags win")
	flags.StringVar(&f.policy, "policy", "", "the trust policy: a file or a folder of files")
	flags.StringVar(&f.namespaces, "namespace-policies", "", "a folder of NAME.yaml, which the images of that namespace must meet too")
	flags.StringVar(&f.trustDir, "trust-dir", "", "the state of hallmark trust, for policies with `sigstore: public-good` (default: where hallmark trust keeps it)")
	flags.StringVar(&f.listen, "listen", ":8443", "the address to serve")
	flags.StringVar(&f.healthListen, "health-listen", "", "an address for /healthz, /readyz and /metrics alone, without TLS")
	flags.StringVar(&f.cert, "tls-cert", "", "the server's certificate chain, in PEM")
	flags.StringVar(&f.key, "tls-key", "", "its private key, in PEM")
	flags.StringVar(&f.clientCA, "client-ca", "", "demand a client certificate by one of these authorities, for all but health and metrics")
	flags.BoolVar(&f.plainHTTP, "insecure-plain-http", false, "serve without TLS, on a loopback address only")
	flags.BoolVar(&f.mutate, "mutate", false, "serve /mutate")
	flags.BoolVar(&f.requireDigest, "require-digest", false, "refuse references without a digest")
	flags.BoolVar(&f.verifyUnchanged, "verify-unchanged-tags", false, "judge the tags too that an update leaves as they are")
	flags.StringVar(&f.onUnavailable, "on-unavailable", admission.UnavailableDeny, "what is answered when a registry did not answer: deny or allow")
	flags.DurationVar(&f.timeout, "timeout", 10*time.Second, "how long an answer may take when the client does not say; 1s to 30s")
	flags.DurationVar(&f.drain, "drain", 5*time.Second, "how long to go on serving after a signal, while /readyz says no")
	flags.DurationVar(&f.reload, "reload", 5*time.Second, "how often to look whether files have changed")
	flags.DurationVar(&f.tagFreshness, "tag-freshness", 0, "how long a tag counts as resolved; 0 resolves it each time")
	flags.DurationVar(&f.maxAge, "cache-max-age", gate.DefaultMaxAge, "how long an image stays allowed without another look, at most")
	flags.IntVar(&f.cacheEntries, "cache-entries", gate.DefaultEntries, "how many decisions are kept")
	flags.StringArrayVar(&f.registries, "registry-allow", nil, "ask this registry (HOST or HOST:PORT) and no other that is not named; may be repeated")
	flags.StringVar(&f.dockerConfig, "docker-config", "", "registry credentials: a docker config.json without credential helpers (default: anonymous)")
	flags.BoolVar(&f.pullSecrets, "pull-secrets", false, "use the imagePullSecrets that an object or its service account names, too; read through the Kubernetes API, each by its name")
	flags.StringVar(&f.accountDir, "service-account-dir", credentials.InClusterFolder, "the folder with token and ca.crt for --pull-secrets")
	flags.IntVar(&f.maxConcurrent, "max-concurrent", 512, "how many requests are worked on at a time; more get 503")
	flags.Float64Var(&f.rate, "rate", 50, "how many requests a second one address may make to /v1/verify; -1 is any number")
	flags.StringVar(&f.logFile, "log-file", "-", "where the decision log goes: a file, - for standard output, or none")
	flags.StringVar(&f.otlpEndpoint, "otlp-endpoint", "", "send traces to this OTLP/HTTP URL (default: as OTEL_EXPORTER_OTLP_ENDPOINT says)")
	flags.Float64Var(&f.traceRatio, "trace-ratio", 1, "the part of the traces that is kept when the client has no say")
	f.RegistryFlags.Add(flags)
	cli.CompleteFlag(cmd, "on-unavailable", admission.UnavailableDeny, admission.UnavailableAllow)
	return cmd
}

// check refuses flags that contradict each other.
func (f *serveFlags) check() error {
	switch {
	case f.policy == "":
		return cli.Hint(cli.UsageError("nothing says what is wanted of the images"), "give --policy FILE, or a folder")
	case source.IsReference(f.policy):
		return cli.Hint(cli.UsageError("a policy in a registry cannot be served"), "hallmark policy pull writes it to a file; replace the file to change the policy")
	case f.plainHTTP && (f.cert != "" || f.key != "" || f.clientCA != ""):
		return cli.UsageError("--insecure-plain-http contradicts --tls-cert, --tls-key and --client-ca")
	case !f.plainHTTP && (f.cert == "" || f.key == ""):
		return cli.Hint(cli.UsageError("there is no certificate"), "give --tls-cert and --tls-key; for a trial on this machine --insecure-plain-http --listen 127.0.0.1:8080")
	case f.onUnavailable != admission.UnavailableDeny && f.onUnavailable != admission.UnavailableAllow:
		return cli.UsageError("--on-unavailable is deny or allow, not %q", f.onUnavailable)
	case f.timeout < time.Second || f.timeout > 30*time.Second:
		return cli.UsageError("--timeout is 1s to 30s, not %s", f.timeout)
	case f.drain < 0 || f.reload < 100*time.Millisecond || f.tagFreshness < 0 || f.maxAge <= 0 || f.cacheEntries < 1 || f.maxConcurrent < 1:
		return cli.UsageError("--drain, --reload, --tag-freshness, --cache-max-age, --cache-entries and --max-concurrent take numbers and times above zero")
	case f.traceRatio <= 0 || f.traceRatio > 1:
		return cli.UsageError("--trace-ratio is above 0 and at most 1, not %v", f.traceRatio)
	}
	for _, host := range f.registries {
		if err := oci.CheckHost(host); err != nil {
			return cli.Hint(cli.UsageError("--registry-allow: %s", err), "write registry.example or registry.example:5000")
		}
	}
	return nil
}

// run serves until ctx ends.
func (f *serveFlags) run(ctx context.Context, a *cli.App) error {
	started := time.Now()
	limitMemory(a.Getenv)
	log := slog.New(slog.NewJSONHandler(a.Stderr, &slog.HandlerOptions{ReplaceAttr: harmless}))
	s, tracer, done, err := f.server(a, log, started)
	if err != nil {
		return err
	}
	defer done()
	hangup, stop := hangups()
	defer stop()
	running, err := server.New(s.with(hangup))
	if err != nil {
		return cli.Undetermined(err)
	}
	policy := s.Live.Current().Policy()
	ready := []any{"address", running.Address().String(), "tls", !f.plainHTTP, "policy", policy.Name(), "digest", policy.Digest().String(), "namespaces", len(s.Live.Current().Namespaces()), "version", a.Version, "milliseconds", time.Since(started).Milliseconds()}
	if health := running.HealthAddress(); health != nil {
		ready = append(ready, "health", health.String())
	}
	log.Info("serving", ready...)
	err = running.Run(ctx)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	tracer.Close(last)
	log.Info("stopped")
	return err
}

// served are the options of the server before it is made.
type served struct{ server.Options }

func (s served) with(hangup <-chan struct{}) server.Options {
	s.Hangup = hangup
	return s.Options
}

// lookTimeout bounds the look at one image: the longest time that an API server waits for
// a webhook (admissionregistration.k8s.io/v1, timeoutSeconds).
const lookTimeout = 30 * time.Second

// server puts everything together. Its errors have their exit codes.
func (f *serveFlags) server(a *cli.App, log *slog.Logger, started time.Time) (s served, tracer *telemetry.Tracer, done func(), err error) {
	cache := gate.NewCache(gate.CacheOptions{Entries: f.cacheEntries, MaxAge: f.maxAge, TagFreshness: f.tagFreshness})
	client, err := f.RegistryFlags.Options(a)
	if err != nil {
		return s, nil, nil, cli.Undetermined(err)
	}
	client.Hosts = f.registries
	newSource := func(k authn.Keychain) gate.Source {
		o := client
		o.Keychain = k
		return oci.NewClient(o)
	}
	own := &ownKeychain{}
	if f.trustDir == "" {
		f.trustDir, _ = tuf.DefaultDir(a.Getenv) // without a home there is none, which a policy that wants it reports
	}
	policies, err := live.Open(live.Options{
		Policy: f.policy, Namespaces: f.namespaces, DockerConfig: f.dockerConfig, TrustDir: f.trustDir,
		Source: func(k authn.Keychain) gate.Source {
			own.set(k)
			return newSource(k)
		},
		// A slow registry's answer is kept for the next try of who could not wait for it.
		Gate: gate.Options{Cache: cache, Timeout: lookTimeout}, Log: log,
	})
	if err != nil {
		return s, nil, nil, cli.Undetermined(cli.Hint(err, "docs/policy.md describes every entry of a policy; nothing is served without one"))
	}
	finder, err := workload.NewFinder(f.custom...)
	if err != nil {
		return s, nil, nil, cli.Undetermined(err)
	}
	if tracer, err = f.tracer(a, log); err != nil {
		return s, nil, nil, cli.Undetermined(err)
	}
	decisions, closeLog, err := f.decisionLog(a)
	if err != nil {
		return s, nil, nil, cli.Undetermined(err)
	}
	metrics := server.NewMetrics(a.Version, started)
	metrics.OfCache(cache.Stats)
	secrets, err := f.askers(a, own, log)
	if err != nil {
		return s, nil, nil, cli.Undetermined(err)
	}
	judge := server.NewJudge(policies, server.JudgeOptions{PullSecrets: secrets, Source: newSource, Metrics: metrics, Tracer: tracer})
	reviewer, err := admission.New(judge, admission.Options{
		Finder: finder, Exemptions: f.exemptions, Deadline: 30 * time.Second, Unavailable: f.onUnavailable,
		RequireDigest: f.requireDigest, VerifyUnchangedTags: f.verifyUnchanged,
		Policy: func(namespace string) string { return policies.Current().Names(namespace) },
	})
	if err != nil {
		return s, nil, nil, cli.Undetermined(err)
	}
	return served{server.Options{
		Listen: f.listen, Certificate: f.cert, Key: f.key, ClientCA: f.clientCA, InsecurePlainHTTP: f.plainHTTP, HealthListen: f.healthListen,
		Live: policies, Reload: f.reload, Reviewer: reviewer, Judge: judge, Mutate: f.mutate, Timeout: f.timeout,
		MaxConcurrent: f.maxConcurrent, Rate: f.rate, Drain: f.drain,
		Metrics: metrics, Tracer: tracer, Decisions: decisions, Log: log, Version: a.Version,
	}}, tracer, func() { cache.Close(); closeLog() }, nil
}

// tracer is where traces go; nil where nothing says so.
func (f *serveFlags) tracer(a *cli.App, log *slog.Logger) (*telemetry.Tracer, error) {
	o, err := telemetry.FromEnvironment(f.otlpEndpoint, a.Getenv)
	if err != nil || o.Endpoint == "" {
		return nil, err
	}
	o.Version, o.Ratio = a.Version, f.traceRatio
	o.Failed = func(err error) { log.Warn("lost traces", "error", err) }
	return telemetry.NewTracer(o), nil
}

// decisionLog opens where decisions are written.
func (f *serveFlags) decisionLog(a *cli.App) (to io.Writer, done func(), err error) {
	switch f.logFile {
	case "-":
		return a.Stdout, func() {}, nil
	case "none":
		return nil, func() {}, nil
	}
	file, err := os.OpenFile(filepath.Clean(f.logFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the decision log: %w", err)
	}
	return file, func() { file.Close() }, nil //nolint:errcheck // every line was written at once
}

// hangups passes SIGHUP on.
func hangups() (<-chan struct{}, func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	out, end := make(chan struct{}), make(chan struct{})
	go func() {
		for {
			select {
			case <-signals:
				select {
				case out <- struct{}{}:
				case <-end:
					return
				}
			case <-end:
				return
			}
		}
	}()
	return out, func() { signal.Stop(signals); close(end) }
}

// softMemory is what the collector aims to stay below when nobody says otherwise: a
// little less than what the program is meant to need under load.
const softMemory = 100 << 20

// limitMemory makes the collector work harder before much memory is taken. GOMEMLIMIT
// and GOGC win.
func limitMemory(getenv func(string) string) {
	if getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(softMemory)
	}
}

// harmless escapes what a registry, a file or a client may have written into a message.
func harmless(_ []string, a slog.Attr) slog.Attr {
	switch v := a.Value.Any().(type) {
	case error:
		a.Value = slog.StringValue(plainLines(v.Error()))
	case string:
		a.Value = slog.StringValue(plainLines(v))
	}
	return a
}

// plainLines keeps the line ends of our own errors.
func plainLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = report.Plain(line)
	}
	return strings.Join(lines, "; ")
}

var errConfig = errors.New("the configuration cannot be used")
