package telemetry

import (
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// The JSON form of OTLP's ExportTraceServiceRequest (opentelemetry-proto,
// trace/v1/trace.proto; OTLP 1.x, "JSON Protobuf Encoding": identifiers are
// hexadecimal, 64-bit numbers are strings).
type (
	otlpRequest struct {
		ResourceSpans []otlpResource `json:"resourceSpans"`
	}
	otlpResource struct {
		Resource struct {
			Attributes []otlpAttribute `json:"attributes"`
		} `json:"resource"`
		ScopeSpans []otlpScope `json:"scopeSpans"`
	}
	otlpScope struct {
		Scope struct {
			Name    string `json:"name"`
			Version string `json:"version,omitempty"`
		} `json:"scope"`
		Spans []otlpSpan `json:"spans"`
	}
	otlpSpan struct {
		TraceID    string          `json:"traceId"`
		SpanID     string          `json:"spanId"`
		Parent     string          `json:"parentSpanId,omitempty"`
		Name       string          `json:"name"`
		Kind       Kind            `json:"kind"`
		Start      string          `json:"startTimeUnixNano"`
		End        string          `json:"endTimeUnixNano"`
		Attributes []otlpAttribute `json:"attributes,omitempty"`
		Status     *otlpStatus     `json:"status,omitempty"`
	}
	otlpStatus struct {
		Code    int    `json:"code"` // 2 is an error
		Message string `json:"message,omitempty"`
	}
	otlpAttribute struct {
		Key   string    `json:"key"`
		Value otlpValue `json:"value"`
	}
	otlpValue struct {
		Text   *string `json:"stringValue,omitempty"`
		Number string  `json:"intValue,omitempty"`
	}
)

func textAttribute(key, value string) otlpAttribute {
	value = strings.ToValidUTF8(value, "\uFFFD")
	return otlpAttribute{key, otlpValue{Text: &value}}
}

// encode is the body of one post.
func (t *Tracer) encode(spans []*Span) ([]byte, error) {
	var r otlpResource
	r.Resource.Attributes = append(r.Resource.Attributes, textAttribute("service.name", t.options.Service))
	if t.options.Version != "" {
		r.Resource.Attributes = append(r.Resource.Attributes, textAttribute("service.version", t.options.Version))
	}
	for _, key := range slices.Sorted(maps.Keys(t.options.Attributes)) {
		r.Resource.Attributes = append(r.Resource.Attributes, textAttribute(key, t.options.Attributes[key]))
	}
	var scope otlpScope
	scope.Scope.Name, scope.Scope.Version = "hallmark", t.options.Version
	for _, s := range spans {
		scope.Spans = append(scope.Spans, s.otlp())
	}
	r.ScopeSpans = []otlpScope{scope}
	return json.Marshal(otlpRequest{[]otlpResource{r}})
}

func (s *Span) otlp() otlpSpan {
	out := otlpSpan{
		TraceID: hex.EncodeToString(s.trace[:]), SpanID: hex.EncodeToString(s.id[:]), Name: s.name, Kind: s.kind,
		Start: strconv.FormatInt(s.start.UnixNano(), 10), End: strconv.FormatInt(s.end.UnixNano(), 10),
	}
	if s.parent != [8]byte{} {
		out.Parent = hex.EncodeToString(s.parent[:])
	}
	for _, a := range s.attributes {
		if a.kind == 'i' {
			out.Attributes = append(out.Attributes, otlpAttribute{a.key, otlpValue{Number: strconv.FormatInt(a.num, 10)}})
			continue
		}
		out.Attributes = append(out.Attributes, textAttribute(a.key, a.text))
	}
	if s.failed != "" {
		out.Status = &otlpStatus{2, strings.ToValidUTF8(s.failed, "\uFFFD")}
	}
	return out
}
