package attest_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/hallmark-project/hallmark/attest"
)

func envelope(payload string) string {
	return `{"payloadType":"application/vnd.in-toto+json","payload":"` + payload + `","signatures":[{"keyid":"","sig":"AAE="}]}`
}

func TestParseEnvelope(t *testing.T) {
	t.Parallel()
	want := &attest.Envelope{
		PayloadType: attest.PayloadType, Payload: []byte(good()),
		Signatures: []attest.EnvelopeSignature{{KeyID: "k", Sig: []byte{1}}, {Sig: []byte{2, 3}}},
	}
	raw, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := attest.ParseEnvelope(raw)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// cosign writes a certificate of its own, other encoders escape the slash.
	loose := strings.NewReplacer(`"sig":"AAE="`, `"sig":"AAE=","cert":"-----BEGIN"`, "application/", `application\/`, `"keyid":""`, `"keyid":null`).Replace(envelope("e30="))
	if got, err = attest.ParseEnvelope([]byte(loose)); err != nil || got.PayloadType != attest.PayloadType || string(got.Payload) != "{}" {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestEnvelopeRefused breaks the good envelope in one place each.
func TestEnvelopeRefused(t *testing.T) {
	t.Parallel()
	if _, err := attest.ParseEnvelope([]byte(envelope("/+8="))); err != nil {
		t.Fatal(err)
	}
	swap := func(old, with string) string {
		if !strings.Contains(envelope("/+8="), old) {
			panic("the mutant changes nothing: " + old)
		}
		return strings.Replace(envelope("/+8="), old, with, 1)
	}
	for name, raw := range map[string]string{
		"DS-09 no payload type":                 swap(`"payloadType":"application/vnd.in-toto+json",`, ``),
		"DS-09 an empty payload type":           swap(`application/vnd.in-toto+json`, ``),
		"DS-10 URL-safe letters":                envelope("_-8="),
		"DS-10 no padding":                      envelope("/+8"),
		"DS-10 too much padding":                envelope("/+8=="),
		"DS-10 a line break":                    envelope(`/+8=\n`),
		"DS-10 a line break inside":             envelope(`/+\r\n8=`),
		"DS-10 a blank":                         envelope("/+8= "),
		"DS-10 bytes behind the padding":        envelope("/+8=AAAA"),
		"DS-10 set trailing bits":               envelope("/+9="),
		"DS-10 an empty payload":                envelope(""),
		"DS-10 a payload that is an object":     swap(`"/+8="`, `{}`),
		"DS-10 URL-safe signature":              swap(`"AAE="`, `"_-8="`),
		"DS-10 an empty signature":              swap(`"AAE="`, `""`),
		"DS-10 a null signature":                swap(`"AAE="`, `null`),
		"DS-10 a signature object without sig":  swap(`"sig":"AAE="`, `"cert":""`),
		"DS-11 two payloads":                    swap(`"payload":`, `"payload":"e30=","payload":`),
		"DS-11 Payload beside":                  swap(`"payload":`, `"Payload":"e30=","payload":`),
		"DS-11 Payload alone":                   swap(`"payload":`, `"Payload":`),
		"DS-11 payloadtype":                     swap(`"payloadType":`, `"payloadtype":`),
		"DS-11 two signatures' sig":             swap(`"sig":`, `"sig":"AAI=","sig":`),
		"DS-11 Sig beside":                      swap(`"sig":`, `"Sig":"AAI=","sig":`),
		"DS-11 two envelopes":                   envelope("/+8=") + envelope("/+8="),
		"DS-13 an unknown field":                swap(`"payload":`, `"extra":1,"payload":`),
		"DS-13 an unknown field of a signature": swap(`"sig":`, `"certificate":"","sig":`),
		"no signature":                          swap(`{"keyid":"","sig":"AAE="}`, ``),
		"no signatures":                         swap(`,"signatures":[{"keyid":"","sig":"AAE="}]`, ``),
		"null signatures":                       swap(`[{"keyid":"","sig":"AAE="}]`, `null`),
		"SB-22 a bare statement":                good(),
		"SB-22 junk":                            swap(`[{"keyid":"","sig":"AAE="}]`, `["junk"]`),
		"SB-22 a list":                          `[` + envelope("/+8=") + `]`,
		"SB-22 nothing":                         ``,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := attest.ParseEnvelope([]byte(raw)); !errors.Is(err, attest.ErrEnvelopeMalformed) || got != nil {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	for name, raw := range map[string]string{
		"DS-22 one signature too many":     swap(`{"keyid"`, strings.Repeat(`{"keyid":"","sig":"AAE="},`, attest.MaxSignatures)+`{"keyid"`),
		"DS-22 a million signatures":       swap(`{"keyid"`, strings.Repeat(`{},`, 1_000_000)+`{"keyid"`),
		"DS-22 more than the largest size": strings.Repeat(" ", 200<<20) + envelope("/+8="),
	} {
		if got, err := attest.ParseEnvelope([]byte(raw)); !errors.Is(err, attest.ErrLimit) || got != nil {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

// TestDS09PAE: the encoding is DSSE's, as securesystemslib computes it, and no
// two pairs of type and payload share one.
func TestDS09PAE(t *testing.T) {
	t.Parallel()
	if got := string(attest.PAE("http://example.com/HelloWorld", []byte("hello world"))); got != "DSSEv1 29 http://example.com/HelloWorld 11 hello world" {
		t.Errorf("DS-09 %q", got)
	}
	seen := make(map[string]string)
	for _, payloadType := range []string{"", "a", "a 1", "a 1 b", "text/plain", attest.PayloadType, "ü"} {
		for _, payload := range []string{"", "b", " ", "1 b", "b 1 b", good()} {
			pae := string(attest.PAE(payloadType, []byte(payload)))
			if pae != string(dsse.PAE(payloadType, []byte(payload))) {
				t.Errorf("DS-09 another encoding than DSSE's: %q", pae)
			}
			pair := payloadType + "|" + payload
			if other, twice := seen[pae]; twice {
				t.Errorf("DS-09 %q and %q have one encoding", pair, other)
			}
			seen[pae] = pair
			if pae == payload {
				t.Error("DS-09 the encoding is the payload itself")
			}
		}
	}
}

func ExamplePAE() {
	fmt.Printf("%s\n", attest.PAE("text/plain", []byte("hello")))
	// Output: DSSEv1 10 text/plain 5 hello
}

func ExampleParseEnvelope() {
	env, err := attest.ParseEnvelope([]byte(`{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[{"sig":"AAE="}]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s, claimed and unproved: %s\n", env.PayloadType, env.Payload)
	// Output: application/vnd.in-toto+json, claimed and unproved: {}
}

// FuzzParseEnvelope: a second decoder reads the same payload, writing and
// reading again changes nothing, and a changed byte of the payload's text never
// gives the same signed bytes.
func FuzzParseEnvelope(f *testing.F) {
	f.Add([]byte(envelope("/+8=")), uint16(50), byte('A'))
	f.Add([]byte(envelope(base64.StdEncoding.EncodeToString([]byte(good())))), uint16(60), byte('\n'))
	f.Fuzz(func(t *testing.T, raw []byte, at uint16, with byte) {
		env, err := attest.ParseEnvelope(raw)
		if err != nil {
			return
		}
		var second dsse.Envelope
		if err := json.Unmarshal(raw, &second); err != nil {
			t.Fatalf("accepted, and no envelope: %v", err)
		}
		payload, err := second.DecodeB64Payload()
		if err != nil || !bytes.Equal(payload, env.Payload) || second.PayloadType != env.PayloadType || len(second.Signatures) != len(env.Signatures) {
			t.Fatalf("two readings: %+v and %+v, %v", env, second, err)
		}
		encoded, err := env.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := attest.ParseEnvelope(encoded)
		if err != nil || !cmp.Equal(env, again) {
			t.Fatalf("written and read, another envelope: %v %s", err, cmp.Diff(env, again))
		}
		start := bytes.Index(raw, []byte(second.Payload))
		if start < 0 { // the text has escapes
			return
		}
		i := start + int(at)%len(second.Payload)
		if raw[i] == with || with == '\\' {
			return
		}
		changed := bytes.Clone(raw)
		changed[i] = with
		if other, err := attest.ParseEnvelope(changed); err == nil && bytes.Equal(attest.PAE(env.PayloadType, env.Payload), attest.PAE(other.PayloadType, other.Payload)) {
			t.Fatalf("a changed byte has the same signed bytes: %q and %q", raw, changed)
		}
	})
}
