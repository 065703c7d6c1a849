// Package telemetry says how a server is doing: metrics in Prometheus' text form and
// traces in OTLP's JSON form over HTTP. Both are written by hand, since their SDKs are
// larger than the verifier that they would watch.
//
//	m := telemetry.NewMetrics()
//	requests := m.Counter("requests_total", "Requests by endpoint.", telemetry.Label{"endpoint", []string{"/validate"}})
//	requests.Add(1, "/validate")
//	m.WriteText(w)
//
//	tracer := telemetry.NewTracer(telemetry.TraceOptions{Endpoint: "http://collector:4318/v1/traces"})
//	ctx, span := tracer.Start(ctx, "validate", telemetry.Server)
//	defer span.End()
//
// Every label has a fixed list of values, given when the metric is made; any other
// value counts as "other". What an attacker writes into an image name or an answer can
// therefore not make a series, and the size of the output has a bound that does not
// depend on input.
//
// Non-goals: pushing metrics, gRPC, sampling by content, logs.
package telemetry
