package main

import (
	"net"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/policy/admission"
	"github.com/hallmark-project/hallmark/policy/credentials"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/policy/source"
	"github.com/hallmark-project/hallmark/policy/workload"
	"github.com/hallmark-project/hallmark/verify/oci"
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

Exit codes: 0 stopped by a signal; 1 the server failed; 2 it did not start, because the
configuration, policy, credentials, certificate or address could not be used; 64 wrong
usage.`,
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
	flags.StringVar(&f.trustDir, "trust-dir", "", "the state of hallmark trust, for policies that say sigstore: public-good (default: where hallmark trust keeps it)")
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
	case f.rate == 0:
		return cli.UsageError("--rate is above zero, or -1 for any number, not 0")
	case f.traceRatio <= 0 || f.traceRatio > 1:
		return cli.UsageError("--trace-ratio is above 0 and at most 1, not %v", f.traceRatio)
	}
	if host, _, err := net.SplitHostPort(f.listen); err != nil {
		return cli.Hint(cli.UsageError("--listen is ADDRESS:PORT, not %q", f.listen), "for example 127.0.0.1:8443, or :8443 for all addresses of this machine")
	} else if ip := net.ParseIP(host); f.plainHTTP && (ip == nil || !ip.IsLoopback()) {
		return cli.Hint(cli.UsageError("--insecure-plain-http is for loopback addresses, not %q", f.listen), "give --listen 127.0.0.1:8080, or a certificate")
	}
	if _, _, err := net.SplitHostPort(f.healthListen); err != nil && f.healthListen != "" {
		return cli.Hint(cli.UsageError("--health-listen is ADDRESS:PORT, not %q", f.healthListen), "for example :8081")
	}
	for _, host := range f.registries {
		if err := oci.CheckHost(host); err != nil {
			return cli.Hint(cli.UsageError("--registry-allow: %s", err), "write registry.example or registry.example:5000")
		}
	}
	return nil
}
