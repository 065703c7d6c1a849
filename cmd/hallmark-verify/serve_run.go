package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/policy/admission"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/policy/live"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/policy/server"
	"github.com/hallmark-project/hallmark/policy/telemetry"
	"github.com/hallmark-project/hallmark/policy/workload"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/trust/tuf"
)

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
	if errors.Is(err, server.ErrCertificate) {
		return cli.Undetermined(cli.Hint(err, "--tls-cert is a PEM file with the server's certificate first, --tls-key the private key that belongs to it"))
	}
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
		return s, nil, nil, cli.Undetermined(cli.Hint(err, "%s", loadHint(err)))
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
	for _, e := range reviewer.Ended() {
		log.Warn("an exemption has ended, and lets nothing pass", "exemption", e.Name, "until", e.Until.UTC())
	}
	return served{server.Options{
		Listen: f.listen, Certificate: f.cert, Key: f.key, ClientCA: f.clientCA, InsecurePlainHTTP: f.plainHTTP, HealthListen: f.healthListen,
		Live: policies, Reload: f.reload, Reviewer: reviewer, Exemptions: f.exemptions, Judge: judge, Mutate: f.mutate, Timeout: f.timeout,
		MaxConcurrent: f.maxConcurrent, Rate: f.rate, Drain: f.drain,
		Metrics: metrics, Tracer: tracer, Decisions: decisions, Log: log, Version: a.Version,
	}}, tracer, func() { cache.Close(); closeLog() }, nil
}

// loadHint says what to do about files that could not be loaded at the start.
func loadHint(err error) string {
	switch {
	case errors.Is(err, live.ErrCredentials):
		return "--docker-config is a config.json as docker login writes it, without credential helpers; leave it away to ask registries anonymously"
	case errors.Is(err, fs.ErrNotExist):
		return "check the path; a policy names its keys and roots by paths from its own folder"
	}
	return "docs/policy.md describes every entry of a policy; nothing is served without one"
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
		a.Value = slog.StringValue(report.PlainLines(v.Error(), "; "))
	case string:
		a.Value = slog.StringValue(report.PlainLines(v, "; "))
	}
	return a
}
