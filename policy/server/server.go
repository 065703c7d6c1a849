// Package server answers over HTTPS whether images may run: to Kubernetes' API server
// as an admission webhook, to Gatekeeper as an external data provider, and to scripts as
// plain JSON.
//
//	judge := server.NewJudge(policies, server.JudgeOptions{})
//	reviewer, err := admission.New(judge, admission.Options{})
//	s, err := server.New(server.Options{
//		Listen: ":8443", Certificate: "tls.crt", Key: "tls.key",
//		Live: policies, Judge: judge, Reviewer: reviewer,
//	})
//	err = s.Run(ctx) // until ctx ends; then it drains and stops
//
//	POST /validate    AdmissionReview v1
//	POST /mutate      AdmissionReview v1, where it is switched on
//	POST /provider    Gatekeeper's ProviderRequest
//	POST /v1/verify   {"images": ["registry.example/app:1.2"]}: the JSON report
//	GET  /v1/policy   which policies and trust roots are in force, by digest
//	GET  /healthz /readyz /metrics
//
// # HTTP/1.1 only
//
// HTTP/2 is not offered, on purpose. Its stream resets and header frames have been the
// way to exhaust Go servers more than once, its code is a megabyte of a small binary,
// and an API server that holds one HTTP/2 connection sends all its reviews to one
// replica. API servers fall back to HTTP/1.1 by themselves.
//
// # Limits
//
// Everything that a client can make large has a bound: headers, bodies, all bodies
// together, connections, requests at a time, time for a header, a request, an answer
// and an idle connection, and for /v1/verify the requests of one address. See options.go.
// What is refused for its size is refused whole: nothing is decided on part of a body.
//
// Non-goals: deciding, Kubernetes API access, HTTP/2, forwarded addresses (a proxy's
// word about who asks).
package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Server serves until its ctx ends. Make one with [New].
type Server struct {
	options      Options
	certificates *certificates // nil for plain HTTP
	limiter      *limiter
	decisions    *decisionLog
	bodies       *shares // bytes of bodies that are held
	slots        *shares // requests that are worked on
	closing      atomic.Bool

	main, health net.Listener
}

// New reads the certificates and takes the addresses, so that what cannot be served is
// an error at once. Call [Server.Run] then.
func New(o Options) (*Server, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	s := &Server{options: o, limiter: newLimiter(o.Rate, o.Burst), bodies: newShares(maxBodies, bodyParts), slots: newShares(int64(o.MaxConcurrent), slotParts)}
	var err error
	if !o.InsecurePlainHTTP {
		if s.certificates, err = openCertificates(o.Certificate, o.Key, o.ClientCA); err != nil {
			return nil, err
		}
		s.warnOfEnd()
	}
	if s.main, err = listen(o.Listen, &o.Metrics.conns); err != nil {
		return nil, err
	}
	if o.HealthListen != "" {
		if s.health, err = listen(o.HealthListen, &o.Metrics.conns); err != nil {
			s.main.Close() //nolint:errcheck // nothing was served
			return nil, err
		}
	}
	s.decisions = newDecisionLog(o.Decisions, o.Metrics.lostLog)
	o.Metrics.ofServer(s)
	return s, nil
}

// Address is where the service listens.
func (s *Server) Address() net.Addr { return s.main.Addr() }

// HealthAddress is where health is served alone; nil where it is not.
func (s *Server) HealthAddress() net.Addr {
	if s.health == nil {
		return nil
	}
	return s.health.Addr()
}

// Run serves until ctx ends. Then /readyz says no, Options.Drain passes, no new
// connection is taken, requests that have begun are answered, and Run returns nil. It
// returns an error if the server ended by itself.
func (s *Server) Run(ctx context.Context) error {
	service := s.http(http.HandlerFunc(s.serve))
	probes := s.http(http.HandlerFunc(s.serveHealth))
	failed := make(chan error, 2)
	start := func(server *http.Server, l net.Listener, secure bool) {
		var err error
		if secure {
			err = server.ServeTLS(l, "", "")
		} else {
			err = server.Serve(l)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("serving %s: %w", l.Addr(), err)
		}
	}
	if s.certificates != nil {
		service.TLSConfig = s.certificates.config()
	}
	var wait sync.WaitGroup
	wait.Go(func() { start(service, s.main, s.certificates != nil) })
	if s.health != nil {
		wait.Go(func() { start(probes, s.health, false) })
	}
	watching, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	wait.Go(func() { s.watch(watching) })

	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	s.closing.Store(true)
	if err == nil && s.options.Drain > 0 {
		timer := time.NewTimer(s.options.Drain)
		select {
		case <-timer.C:
		case err = <-failed:
		}
		timer.Stop()
	}
	// Requests that have begun end by their own deadlines, which are not longer.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	err = errors.Join(err, service.Shutdown(last), probes.Shutdown(last))
	stopWatching()
	wait.Wait()
	s.decisions.close()
	return err
}

// http is a server with every limit set.
func (s *Server) http(handler http.Handler) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           handler,
		Protocols:         &protocols,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          quiet(s.options.Log),
	}
}

// watch looks at the files again and again.
func (s *Server) watch(ctx context.Context) {
	ticker := time.NewTicker(s.options.Reload)
	defer ticker.Stop()
	for {
		forced := false
		select {
		case <-ctx.Done():
			return
		case <-s.options.Hangup:
			forced = true
		case <-ticker.C:
		}
		s.reload(forced)
	}
}

// reload looks at all files once. What is refused is logged and counted by who reads it.
func (s *Server) reload(forced bool) {
	before := s.options.Live.State()
	if forced {
		s.options.Live.Reload() //nolint:errcheck // logged there
	} else {
		s.options.Live.Check() //nolint:errcheck // logged there
	}
	after := s.options.Live.State()
	s.options.Metrics.reloads.Add(uint64(after.Loaded-before.Loaded), "policy", "ok")
	s.options.Metrics.reloads.Add(uint64(after.Refused-before.Refused), "policy", "refused")
	if s.certificates == nil {
		return
	}
	switch changed, err := s.certificates.check(); {
	case err != nil:
		s.options.Metrics.reloads.Add(1, "certificate", "refused")
		s.options.Log.Error("refused a new certificate; the old one stays in force", "error", err)
	case changed:
		s.options.Metrics.reloads.Add(1, "certificate", "ok")
		s.options.Log.Info("loaded a new certificate", "until", s.certificates.until().UTC())
		s.warnOfEnd()
	}
}

// warnOfEnd says when a certificate was loaded whose time is over: nobody will connect.
func (s *Server) warnOfEnd() {
	if until := s.certificates.until(); s.options.Now().After(until) {
		s.options.Log.Warn("the certificate has ended, and /readyz says no", "until", until.UTC())
	}
}
