package bundle_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/testing/data"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hallmark-project/hallmark/attest"
	"github.com/hallmark-project/hallmark/attest/bundle"
	"github.com/hallmark-project/hallmark/attest/digest"
)

var image = digest.FromBytes([]byte("image"))

func statement() string {
	return `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"` + image.Hex() + `"}}],"predicateType":"https://spdx.dev/Document","predicate":{}}`
}

func b64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func dsse() string {
	return `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"k1"},"tlogEntries":[{},{}],"timestampVerificationData":{"rfc3161Timestamps":[{"signedTimestamp":"AA=="}]}},` +
		`"dsseEnvelope":{"payload":"` + b64(statement()) + `","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"AQI=","keyid":""}]}}`
}

func message() string {
	return `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"k1"},"tlogEntries":[],"timestampVerificationData":null},` +
		`"messageSignature":{"messageDigest":{"algorithm":"SHA2_256","digest":"` + base64.StdEncoding.EncodeToString(image.Bytes()) + `"},"signature":"AQI="}}`
}

func TestParseOutline(t *testing.T) {
	t.Parallel()
	got, err := bundle.ParseOutline([]byte(dsse()))
	if err != nil {
		t.Fatal(err)
	}
	st, err := attest.ParseStatement([]byte(statement()))
	if err != nil {
		t.Fatal(err)
	}
	same := cmp.Comparer(func(a, b digest.Digest) bool { return a == b })
	want := &bundle.Outline{
		MediaType: "application/vnd.dev.sigstore.bundle.v0.3+json", Kind: bundle.KindDSSE, PayloadType: attest.PayloadType, Payload: []byte(statement()), Statement: st,
		PredicateType: "https://spdx.dev/Document", Subjects: []digest.Digest{image}, Signatures: [][]byte{{1, 2}}, KeyHint: "k1", LogEntries: 2, Timestamps: 1,
	}
	if diff := cmp.Diff(want, got, same); diff != "" {
		t.Error(diff)
	}
	for _, algorithm := range []string{`"SHA2_256"`, `1`} {
		got, err := bundle.ParseOutline([]byte(strings.Replace(message(), `"SHA2_256"`, algorithm, 1)))
		want := &bundle.Outline{
			MediaType: "application/vnd.dev.sigstore.bundle.v0.3+json", Kind: bundle.KindMessage, MessageDigest: image, Signatures: [][]byte{{1, 2}}, KeyHint: "k1",
		}
		if diff := cmp.Diff(want, got, same); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
	}
	if got, err := bundle.ParseOutline([]byte(strings.Replace(message(), `SHA2_256`, `SHA3_256`, 1))); err != nil || !got.MessageDigest.IsZero() {
		t.Errorf("an unknown algorithm: %+v, %v", got, err)
	}
}

// TestRealBundles reads what other tools made.
func TestRealBundles(t *testing.T) {
	t.Parallel()
	js, err := json.Marshal(data.Bundle(t, "sigstore.js@2.0.0-provenance.sigstore.json"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := bundle.ParseOutline(js)
	if err != nil {
		t.Fatal(err)
	}
	if got.Kind != bundle.KindDSSE || got.PredicateType != "https://slsa.dev/provenance/v1" || len(got.Subjects) != 1 || got.LogEntries != 1 || len(got.Signatures) != 1 || got.Certificate == nil {
		t.Fatalf("%+v", got)
	}
	if got.Certificate.Issuer != "https://token.actions.githubusercontent.com" || !cmp.Equal(got.Certificate.Identities, []string{"uri:https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/main"}) {
		t.Errorf("%+v", got.Certificate)
	}
	for _, name := range []string{"dsse.sigstore.json", "dsse-2sigs.sigstore.json", "othername.sigstore.json"} {
		raw, err := json.Marshal(data.Bundle(t, name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := bundle.ParseOutline(raw)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if twice := strings.Contains(name, "2sigs"); twice != (len(got.Signatures) == 2) {
			t.Errorf("%s has %d signatures", name, len(got.Signatures))
		}
	}
}

func TestOutlineRefuses(t *testing.T) {
	t.Parallel()
	swap := func(in, old, with string) string {
		if !strings.Contains(in, old) {
			panic("the mutant changes nothing: " + old)
		}
		return strings.Replace(in, old, with, 1)
	}
	for name, raw := range map[string]string{
		"SB-22 a bare envelope":             `{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"AQI="}]}`,
		"SB-22 a bare statement":            statement(),
		"SB-22 nothing":                     ``,
		"SB-27 no media type":               swap(dsse(), `"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json",`, ``),
		"SB-27 another media type":          swap(dsse(), `vnd.dev.sigstore.bundle.v0.3`, `vnd.oci.image.manifest.v1`),
		"SB-27 both contents":               swap(dsse(), `"dsseEnvelope"`, `"messageSignature":{"signature":"AQI="},"dsseEnvelope"`),
		"SB-27 no content":                  `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{}}`,
		"SB-27 no material":                 swap(message(), `"verificationMaterial"`, `"x"`),
		"SB-27 null material":               `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":null,"messageSignature":{"signature":"AQI="}}`,
		"SB-27 a key and a certificate":     swap(dsse(), `"publicKey"`, `"certificate":{"rawBytes":""},"publicKey"`),
		"SB-27 an empty certificate chain":  swap(dsse(), `"publicKey":{"hint":"k1"}`, `"x509CertificateChain":{"certificates":[]}`),
		"SB-27 a certificate that is none":  swap(dsse(), `"publicKey":{"hint":"k1"}`, `"certificate":{"rawBytes":"AAEC"}`),
		"SB-27 an empty certificate":        swap(dsse(), `"publicKey":{"hint":"k1"}`, `"certificate":{}`),
		"SB-27 an empty signature":          swap(message(), `"AQI="`, `""`),
		"SB-27 no signature":                swap(message(), `,"signature":"AQI="`, ``),
		"DS-13 an unknown field":            swap(dsse(), `"verificationMaterial"`, `"extra":1,"verificationMaterial"`),
		"DS-13 an unknown material":         swap(dsse(), `"publicKey"`, `"secretKey":1,"publicKey"`),
		"DS-11 a second envelope":           swap(dsse(), `"dsseEnvelope"`, `"dsseEnvelope":{},"dsseEnvelope"`),
		"DS-11 DsseEnvelope":                swap(dsse(), `"dsseEnvelope"`, `"DsseEnvelope"`),
		"DS-11 protobuf's name":             swap(dsse(), `"dsseEnvelope"`, `"dsse_envelope"`),
		"DS-10 URL-safe payload":            swap(dsse(), b64(statement()), `_-8=`),
		"DS-08 a short message digest":      swap(message(), base64.StdEncoding.EncodeToString(image.Bytes()), `AQI=`),
		"SB-27 an algorithm that is none":   swap(message(), "SHA2_256", "SHA2_257"),
		"DS-22 a hundred thousand proofs":   swap(dsse(), `[{},{}]`, `[{}`+strings.Repeat(`,{}`, 100_000)+`]`),
		"DS-22 eleven certificates":         swap(dsse(), `"publicKey":{"hint":"k1"}`, `"x509CertificateChain":{"certificates":[{}`+strings.Repeat(`,{}`, 10)+`]}`),
		"DS-22 a certificate of a megabyte": swap(dsse(), `"publicKey":{"hint":"k1"}`, `"certificate":{"rawBytes":"`+strings.Repeat("AAAA", 300_000)+`"}`),
		"DS-22 more than the largest size":  strings.Repeat(" ", bundle.MaxBytes) + dsse(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := bundle.ParseOutline([]byte(raw))
			if !errors.Is(err, bundle.ErrMalformed) || got != nil {
				t.Errorf("got %+v, %v", got, err)
			}
			if limit := strings.HasPrefix(name, "DS-22"); limit != errors.Is(err, attest.ErrLimit) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestStatementFault: a bundle with a broken statement has an outline, which
// names no predicate type and no subject.
func TestStatementFault(t *testing.T) {
	t.Parallel()
	for name, payload := range map[string]string{
		"DS-07 no subject": strings.Replace(statement(), image.Hex(), "", 1), "DS-02 garbage": "garbage", "DS-11 a key twice": strings.Replace(statement(), `"predicate":`, `"predicate":1,"predicate":`, 1),
	} {
		got, err := bundle.ParseOutline([]byte(strings.Replace(dsse(), b64(statement()), b64(payload), 1)))
		if err != nil || got.StatementFault == nil || got.Statement != nil || got.PredicateType != "" || len(got.Subjects) != 0 {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	other, err := bundle.ParseOutline([]byte(strings.Replace(dsse(), attest.PayloadType, "text/plain", 1)))
	if err != nil || other.PayloadType != "text/plain" || other.Statement != nil || other.PredicateType != "" {
		t.Errorf("DS-09 another payload type: %+v, %v", other, err)
	}
}

func TestCertificateClaims(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	old := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}
	current := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8}
	der := func(text string) []byte {
		raw, err := asn1.MarshalWithParams(text, "utf8")
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	for name, c := range map[string]struct {
		extensions []pkix.Extension
		want       string
	}{
		"none":                 {nil, ""},
		"the old one":          {[]pkix.Extension{{Id: old, Value: []byte("https://issuer")}}, "https://issuer"},
		"the current one":      {[]pkix.Extension{{Id: current, Value: der("https://issuer")}}, "https://issuer"},
		"both":                 {[]pkix.Extension{{Id: old, Value: []byte("https://issuer")}, {Id: current, Value: der("https://issuer")}}, "https://issuer"},
		"two that differ":      {[]pkix.Extension{{Id: old, Value: []byte("https://issuer")}, {Id: current, Value: der("https://evil")}}, ""},
		"bytes behind the DER": {[]pkix.Extension{{Id: current, Value: append(der("https://issuer"), 0)}}, ""},
		"no DER":               {[]pkix.Extension{{Id: current, Value: []byte("https://issuer")}}, ""},
	} {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), NotBefore: time.Unix(1000, 0).UTC(), NotAfter: time.Unix(2000, 0).UTC(),
			URIs: []*url.URL{{Scheme: "https", Host: "a.example"}}, EmailAddresses: []string{"a@b.example"}, DNSNames: []string{"c.example"}, ExtraExtensions: c.extensions,
		}
		raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		text := base64.StdEncoding.EncodeToString(raw)
		for _, material := range []string{`"certificate":{"rawBytes":"` + text + `"}`, `"x509CertificateChain":{"certificates":[{"rawBytes":"` + text + `"},{"rawBytes":"AAAA"}]}`} {
			got, err := bundle.ParseOutline([]byte(strings.Replace(dsse(), `"publicKey":{"hint":"k1"}`, material, 1)))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			want := &bundle.Certificate{Issuer: c.want, Identities: []string{"uri:https://a.example", "email:a@b.example", "dns:c.example"}, NotBefore: template.NotBefore, NotAfter: template.NotAfter}
			if diff := cmp.Diff(want, got.Certificate); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
	}
}

// TestLinksNoNetwork: an outline needs no network, no protobuf and no verifier.
func TestLinksNoNetwork(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, dep := range strings.Fields(string(out)) {
		if strings.HasPrefix(dep, "net/http") || strings.HasPrefix(dep, "crypto/tls") || strings.Contains(dep, "protobuf") || strings.Contains(dep, "sigstore") {
			t.Errorf("it links %s", dep)
		}
	}
}

func ExampleParseOutline() {
	outline, err := bundle.ParseOutline([]byte(dsse()))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("claims to be", outline.PredicateType, "by key", outline.KeyHint)
	// Output: claims to be https://spdx.dev/Document by key k1
}

// FuzzParseOutline: protobuf's own reader of the format reads the same bundle.
func FuzzParseOutline(f *testing.F) {
	f.Add([]byte(dsse()))
	f.Add([]byte(message()))
	f.Add([]byte(strings.Replace(dsse(), `"publicKey":{"hint":"k1"}`, `"x509CertificateChain":{"certificates":[{"rawBytes":"AAAA"}]}`, 1)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		o, err := bundle.ParseOutline(raw)
		if err != nil {
			return
		}
		// What lies inside a proof is not read here; leave that out for both.
		second := &protobundle.Bundle{}
		if err := protojson.Unmarshal(raw, second); err != nil {
			if o.LogEntries+o.Timestamps > 0 {
				return
			}
			t.Fatalf("accepted, and no bundle: %v: %q", err, raw)
		}
		material := second.GetVerificationMaterial()
		if second.GetMediaType() != o.MediaType || material.GetPublicKey().GetHint() != o.KeyHint || len(material.GetTlogEntries()) != o.LogEntries {
			t.Fatalf("two readings: %+v and %v", o, second)
		}
		switch o.Kind {
		case bundle.KindDSSE:
			if !bytes.Equal(second.GetDsseEnvelope().GetPayload(), o.Payload) || second.GetDsseEnvelope().GetPayloadType() != o.PayloadType || len(second.GetDsseEnvelope().GetSignatures()) != len(o.Signatures) {
				t.Fatalf("two readings: %+v and %v", o, second)
			}
		case bundle.KindMessage:
			if !bytes.Equal(second.GetMessageSignature().GetSignature(), o.Signatures[0]) || !o.MessageDigest.IsZero() && !bytes.Equal(o.MessageDigest.Bytes(), second.GetMessageSignature().GetMessageDigest().GetDigest()) {
				t.Fatalf("two readings: %+v and %v", o, second)
			}
		default:
			t.Fatalf("of no kind: %+v", o)
		}
	})
}
