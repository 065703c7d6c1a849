package telemetry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// maxTries is how often a batch is sent before it is lost; a collector that
	// restarts is back within seconds.
	maxTries = 3
	// maxAnswer bounds what is read of a collector's answer, so that the connection can
	// be used again.
	maxAnswer = 64 << 10
)

// run sends batches until the tracer is closed.
func (t *Tracer) run() {
	defer close(t.stopped)
	ticker := time.NewTicker(t.options.Every)
	defer ticker.Stop()
	var batch []*Span
	flush := func() {
		if len(batch) > 0 {
			t.send(batch)
			batch = nil
		}
	}
	for {
		select {
		case s := <-t.queue:
			if batch = append(batch, s); len(batch) >= maxBatch {
				flush()
			}
		case <-ticker.C:
			flush()
		case <-t.stop:
			for {
				select {
				case s := <-t.queue:
					if batch = append(batch, s); len(batch) >= maxBatch {
						flush()
					}
					continue
				default:
				}
				flush()
				return
			}
		}
	}
}

// send posts one batch, a few times if the collector asks for it.
func (t *Tracer) send(batch []*Span) {
	body, err := t.encode(batch)
	wait := t.options.Every / 5
	for try := 1; err == nil; try++ {
		var again bool
		if again, err = t.post(body); err == nil {
			t.sent.Add(uint64(len(batch)))
			return
		}
		if !again || try == maxTries {
			break
		}
		err = nil
		select {
		case <-time.After(wait):
		case <-t.stop:
		}
		wait *= 2
	}
	t.dropped.Add(uint64(len(batch)))
	if t.options.Failed != nil {
		t.options.Failed(fmt.Errorf("sending %d spans: %w", len(batch), err))
	}
}

// post sends a body once; again says that it may be tried again (OTLP/HTTP, "Retryable
// Response Codes").
func (t *Tracer) post(body []byte) (again bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, t.options.Endpoint, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	request.Header.Set("Content-Type", "application/json")
	for key, value := range t.options.Headers {
		request.Header.Set(key, value)
	}
	response, err := t.options.Client.Do(request)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err // without the URL, which may hold a key
		}
		return true, err
	}
	defer response.Body.Close()                                   //nolint:errcheck // it was only read
	io.Copy(io.Discard, io.LimitReader(response.Body, maxAnswer)) //nolint:errcheck // for the connection
	switch response.StatusCode {
	case http.StatusOK, http.StatusAccepted, http.StatusNoContent:
		return false, nil
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true, fmt.Errorf("the collector answered %s", response.Status)
	}
	return false, fmt.Errorf("the collector answered %s", response.Status)
}

// FromEnvironment returns the options that OpenTelemetry's variables give. endpoint, if
// not empty, comes before them. Without any endpoint there is nothing to trace to.
func FromEnvironment(endpoint string, getenv func(string) string) (TraceOptions, error) {
	o := TraceOptions{Endpoint: endpoint, Service: "hallmark-verify", Headers: make(map[string]string), Attributes: make(map[string]string)}
	if o.Endpoint == "" {
		o.Endpoint = getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
	}
	if base := getenv("OTEL_EXPORTER_OTLP_ENDPOINT"); o.Endpoint == "" && base != "" {
		o.Endpoint = strings.TrimSuffix(base, "/") + "/v1/traces"
	}
	if o.Endpoint == "" {
		return o, nil
	}
	u, err := url.Parse(o.Endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return o, fmt.Errorf("reading the traces' endpoint: %q is no http or https URL", o.Endpoint)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
		o.Endpoint = u.String()
	}
	for name, into := range map[string]map[string]string{"OTEL_EXPORTER_OTLP_HEADERS": o.Headers, "OTEL_RESOURCE_ATTRIBUTES": o.Attributes} {
		if err := pairs(getenv(name), into); err != nil {
			return o, fmt.Errorf("reading %s: %w", name, err)
		}
	}
	if name := o.Attributes["service.name"]; name != "" {
		o.Service = name
		delete(o.Attributes, "service.name")
	}
	if name := getenv("OTEL_SERVICE_NAME"); name != "" {
		o.Service = name
	}
	return o, nil
}

// pairs reads "key=value,key=value" with percent-encoded values.
func pairs(text string, into map[string]string) error {
	for part := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		key, value, found := strings.Cut(part, "=")
		plain, err := url.PathUnescape(strings.TrimSpace(value))
		if !found || err != nil || strings.TrimSpace(key) == "" {
			return errors.New("it is not a list of key=value") // without the text: it may be a key
		}
		into[strings.TrimSpace(key)] = plain
	}
	return nil
}
