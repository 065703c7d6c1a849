package attest_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/hallmark-project/hallmark/attest"
)

// largeStatement has an SBOM of about the given size as its predicate.
func largeStatement(size int) []byte {
	var raw bytes.Buffer
	raw.WriteString(`{"_type":"https://in-toto.io/Statement/v1","subject":` + subject() + `,"predicateType":"https://cyclonedx.org/bom","predicate":{"bomFormat":"CycloneDX","components":[`)
	for i := 0; raw.Len() < size; i++ {
		if i > 0 {
			raw.WriteByte(',')
		}
		fmt.Fprintf(&raw, `{"bom-ref":"pkg:npm/left-pad@1.%d.0","type":"library","name":"left-pad-%d","licenses":[{"license":{"id":"MIT"}}],"properties":[{"name":"path","value":"/app/package-lock.json"}]}`, i, i)
	}
	raw.WriteString(`]}}`)
	return raw.Bytes()
}

// TestLargeStatementAllocatesLittle: the predicate is neither copied nor taken
// apart.
func TestLargeStatementAllocatesLittle(t *testing.T) { // not parallel: it counts allocations
	raw := largeStatement(4 << 20)
	if n := testing.AllocsPerRun(3, func() {
		if _, err := attest.ParseStatement(raw); err != nil {
			t.Error(err)
		}
	}); n > 60 {
		t.Errorf("%v allocations for four megabytes", n)
	}
}

func BenchmarkParseStatement50MB(b *testing.B) {
	raw := largeStatement(50 << 20)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := attest.ParseStatement(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseEnvelope50MB(b *testing.B) {
	env := attest.Envelope{PayloadType: attest.PayloadType, Payload: largeStatement(50 << 20), Signatures: []attest.EnvelopeSignature{{Sig: []byte{1}}}}
	raw, err := env.Encode()
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := attest.ParseEnvelope(raw); err != nil {
			b.Fatal(err)
		}
	}
}
