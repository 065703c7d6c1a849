package verify_test

import (
	"encoding/base64"
	"maps"
	"strings"
	"testing"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// flip changes one bit in the middle of some bytes.
func flip(raw []byte) []byte {
	changed := append([]byte{}, raw...)
	changed[len(changed)/2] ^= 1
	return changed
}

// TestEntryOfAnotherSignature: a log entry that is genuine, and about something
// else, proves nothing, whatever form it comes in.
func TestEntryOfAnotherSignature(t *testing.T) {
	t.Parallel()
	in := verifytest.NewInstance(t)
	for _, shape := range shapes() {
		t.Run("SB-06 "+shape.name, func(t *testing.T) {
			t.Parallel()
			victim := in.Sign(t, shape.options)
			attack{good: shape.options, want: verify.ReasonLogMismatch, bad: func(o *verifytest.Options) {
				if o.Entries == nil {
					o.Entries = []verifytest.Entry{{}}
				}
				if o.V2 && o.Entries[0].Kind == "" {
					o.Entries[0].Kind = verifytest.HashedRekordV2
				}
				o.Entries[0].Of = victim
			}}.run(t, in)
		})
	}
}

func TestLogEntryAttacks(t *testing.T) {
	t.Parallel()
	in := verifytest.NewInstance(t)
	t.Run("SB-01 a legacy log annotation is pasted from another image's signature", func(t *testing.T) {
		t.Parallel()
		v := in.Verifier(t, trust.Keyless())
		logged := in.Sign(t, verifytest.Options{Form: verifytest.LegacySignature})
		unlogged := in.Sign(t, verifytest.Options{Form: verifytest.LegacySignature, Image: other, Entries: []verifytest.Entry{}})
		wantFact(t, v, logged)
		wantReason(t, v, other, unlogged.Evidence(t), verify.ReasonLogMissing)
		pasted := unlogged.Evidence(t)
		pasted.Annotations = maps.Clone(pasted.Annotations)
		pasted.Annotations[verify.LegacyLogAnnotation] = logged.Evidence(t).Annotations[verify.LegacyLogAnnotation]
		wantReason(t, v, other, pasted, verify.ReasonLogMismatch)
	})
	t.Run("SB-02 a blob's bundle holds the entry of another signature of the same blob", func(t *testing.T) {
		t.Parallel()
		v := in.Verifier(t, trust.Keyless())
		one, two := in.Sign(t, verifytest.Options{Message: true}), in.Sign(t, verifytest.Options{Message: true})
		wantFact(t, v, one)
		wire := two.Bundle(t)
		wire.VerificationMaterial.TlogEntries = one.Entries
		wantReason(t, v, two.Subject().Digest, encode(t, wire), verify.ReasonLogMismatch)
	})
	message := verifytest.Options{Message: true}
	older := verifytest.Options{V2: true, Entries: []verifytest.Entry{{Kind: verifytest.DSSEEntryV2}}}
	v1in2 := func(kind verifytest.EntryKind) verifytest.Options {
		return verifytest.Options{V2: true, Entries: []verifytest.Entry{{Kind: kind, InV2: true}}}
	}
	body := func(change func(spec map[string]any)) func(*verifytest.Options) {
		return func(o *verifytest.Options) {
			o.Entries = append([]verifytest.Entry{}, o.Entries...)
			if len(o.Entries) == 0 {
				o.Entries = []verifytest.Entry{{}}
			}
			if o.V2 && o.Entries[0].Kind == "" {
				o.Entries[0].Kind = verifytest.HashedRekordV2
			}
			o.Entries[0].Body = func(entry map[string]any) { change(entry["spec"].(map[string]any)) }
		}
	}
	hash := map[string]any{"algorithm": "sha256", "value": strings.Repeat("ab", 32)}
	runAttacks(t, in, []attack{
		{name: "SB-07 the logged hash is another one", good: message, want: verify.ReasonLogMismatch, bad: body(func(spec map[string]any) {
			spec["data"] = map[string]any{"hash": hash}
		})},
		{name: "SB-07 the logged hash has another algorithm", good: message, want: verify.ReasonLogMismatch, bad: body(func(spec map[string]any) {
			spec["data"] = map[string]any{"hash": map[string]any{"algorithm": "sha512", "value": strings.Repeat("ab", 64)}}
		})},
		{name: "SB-07 SB-28 the logged payload hash is another one, dsse", good: verifytest.Options{}, want: verify.ReasonLogMismatch, bad: body(func(spec map[string]any) {
			spec["payloadHash"] = hash
		})},
		{
			name: "SB-07 SB-28 the logged payload hash is another one, intoto", want: verify.ReasonLogMismatch,
			good: verifytest.Options{Entries: []verifytest.Entry{{Kind: verifytest.IntotoEntry}}},
			bad:  body(func(spec map[string]any) { spec["content"].(map[string]any)["payloadHash"] = hash }),
		},
		{name: "SB-07 the logged digest is another one, rekor v2", good: verifytest.Options{V2: true}, want: verify.ReasonLogMismatch, bad: body(func(spec map[string]any) {
			spec["hashedRekordV002"].(map[string]any)["data"].(map[string]any)["digest"] = make([]byte, 32)
		})},
		{name: "SB-07 SB-28 the logged payload hash is another one, older rekor v2", good: older, want: verify.ReasonLogMismatch, bad: body(func(spec map[string]any) {
			spec["dsseV002"].(map[string]any)["payloadHash"].(map[string]any)["digest"] = make([]byte, 32)
		})},
		{name: "SB-28 the logged signature is another one, older rekor v2", good: older, want: verify.ReasonLogMismatch, bad: body(func(spec map[string]any) {
			logged := spec["dsseV002"].(map[string]any)["signatures"].([]any)[0].(map[string]any)
			logged["content"] = flip(logged["content"].([]byte))
		})},
		{name: "SB-28 the logged certificate is another one, older rekor v2", good: older, want: verify.ReasonLogMismatch, bad: body(func(spec map[string]any) {
			logged := spec["dsseV002"].(map[string]any)["signatures"].([]any)[0].(map[string]any)
			logged["verifier"].(map[string]any)["x509Certificate"] = map[string]any{"rawBytes": in.Sign(t, older).Leaf.Raw}
		})},
		{name: "SB-28 the certificate is logged as a public key, older rekor v2", good: older, want: verify.ReasonLogMismatch, bad: body(func(spec map[string]any) {
			verifier := spec["dsseV002"].(map[string]any)["signatures"].([]any)[0].(map[string]any)["verifier"].(map[string]any)
			verifier["publicKey"] = verifier["x509Certificate"]
			delete(verifier, "x509Certificate")
		})},
		{name: "SB-07 SB-28 the logged payload hash is another one, dsse in a rekor v2", good: v1in2(verifytest.DSSEEntry), want: verify.ReasonLogMismatch, bad: body(func(spec map[string]any) {
			spec["payloadHash"] = hash
		})},
		{name: "SB-07 SB-28 the logged payload hash is another one, intoto in a rekor v2", good: v1in2(verifytest.IntotoEntry), want: verify.ReasonLogMismatch, bad: body(func(spec map[string]any) {
			spec["content"].(map[string]any)["payloadHash"] = hash
		})},
		{name: "SB-28 the logged certificate is another one, dsse in a rekor v2", good: v1in2(verifytest.DSSEEntry), want: verify.ReasonLogMismatch, bad: body(func(spec map[string]any) {
			spec["signatures"].([]any)[0].(map[string]any)["verifier"] = base64.StdEncoding.EncodeToString(verifytest.PEM(in.Sign(t, older).Leaf))
		})},
		{name: "SB-28 a second signature is logged, dsse in a rekor v2", good: v1in2(verifytest.DSSEEntry), want: verify.ReasonLogMismatch, bad: body(func(spec map[string]any) {
			all := spec["signatures"].([]any)
			spec["signatures"] = append(all, all[0])
		})},
		{name: "SB-28 no logged signature, older rekor v2", good: older, want: verify.ReasonLogMismatch, bad: body(func(spec map[string]any) {
			spec["dsseV002"].(map[string]any)["signatures"] = []any{}
		})},
		{name: "SB-14 the older rekor v2's entry is mixed with another", good: older, want: verify.ReasonLogMismatch, bad: func(o *verifytest.Options) {
			o.Entries = append(o.Entries, verifytest.Entry{Log: in.SecondV1})
		}},
		{name: "SB-28 the logged signature is another one", good: message, want: verify.ReasonLogMismatch, bad: body(func(spec map[string]any) {
			signature := spec["signature"].(map[string]any)
			signature["content"] = flip(signature["content"].([]byte))
		})},
		{name: "SB-05 the logged certificate is missing", good: message, want: verify.ReasonLogMismatch, bad: body(func(spec map[string]any) {
			delete(spec["signature"].(map[string]any), "publicKey")
		})},
		{name: "SB-05 the logged certificate is garbage", good: message, want: verify.ReasonLogMismatch, bad: body(func(spec map[string]any) {
			spec["signature"].(map[string]any)["publicKey"] = map[string]any{"content": base64.StdEncoding.EncodeToString([]byte("no PEM"))}
		})},
		{name: "SB-05 the entry's body is no JSON", good: message, want: verify.ReasonLogMismatch, bad: func(o *verifytest.Options) {
			o.Entries = []verifytest.Entry{{Raw: func([]byte) []byte { return []byte("garbage") }}}
		}},
		{name: "SB-14 the entry has an unknown kind", good: message, want: verify.ReasonLogMismatch, bad: func(o *verifytest.Options) {
			o.Entries = []verifytest.Entry{{
				Body:   func(entry map[string]any) { entry["kind"] = "foo" },
				Change: func(e *protorekor.TransparencyLogEntry) { e.KindVersion.Kind = "foo" },
			}}
		}},
		{name: "SB-14 the entry has an unknown version", good: message, want: verify.ReasonLogMismatch, bad: func(o *verifytest.Options) {
			o.Entries = []verifytest.Entry{{
				Body:   func(entry map[string]any) { entry["apiVersion"] = "9.9.9" },
				Change: func(e *protorekor.TransparencyLogEntry) { e.KindVersion.Version = "9.9.9" },
			}}
		}},
		{name: "SB-14 a rekor v2 entry has an unknown version", good: verifytest.Options{Message: true, V2: true}, want: verify.ReasonLogMismatch, bad: func(o *verifytest.Options) {
			o.Entries = []verifytest.Entry{{
				Kind:   verifytest.HashedRekordV2,
				Body:   func(entry map[string]any) { entry["apiVersion"] = "0.0.3" },
				Change: func(e *protorekor.TransparencyLogEntry) { e.KindVersion.Version = "0.0.3" },
			}}
		}},
		{name: "SB-14 the bundle claims another kind than the entry", good: message, want: verify.ReasonLogMismatch, bad: func(o *verifytest.Options) {
			o.Entries = []verifytest.Entry{{Change: func(e *protorekor.TransparencyLogEntry) { e.KindVersion.Kind = "dsse" }}}
		}},
		{name: "SB-14 a message signature is logged as an envelope", good: message, want: verify.ReasonLogMismatch, bad: func(o *verifytest.Options) {
			o.Entries = []verifytest.Entry{{Kind: verifytest.DSSEEntry}}
		}},
		// A bare signature over the envelope's encoding is a lawful entry (the twin).
		{name: "SB-14 another envelope is logged as a bare signature", good: verifytest.Options{Entries: []verifytest.Entry{{Kind: verifytest.HashedRekord}}}, want: verify.ReasonLogMismatch, bad: func(o *verifytest.Options) {
			o.Entries = []verifytest.Entry{{Kind: verifytest.HashedRekord, Of: in.Sign(t, verifytest.Options{})}}
		}},
		{name: "SB-09 of two entries the first is about another signature", good: message, want: verify.ReasonLogMismatch, bad: func(o *verifytest.Options) {
			o.Entries = []verifytest.Entry{{Of: in.Sign(t, message)}, {Log: in.SecondV1}}
		}},
		{name: "SB-09 of two entries the second is about another signature", good: message, want: verify.ReasonLogMismatch, bad: func(o *verifytest.Options) {
			o.Entries = []verifytest.Entry{{}, {Of: in.Sign(t, message), Log: in.SecondV1}}
		}},
		{name: "SB-08 the message digest is not the signed one", good: message, want: verify.ReasonDigestMismatch, bad: func(o *verifytest.Options) {
			o.Change = func(wire *protobundle.Bundle) {
				digest := wire.GetMessageSignature().GetMessageDigest()
				digest.Digest = flip(digest.GetDigest())
			}
		}},
		{name: "SB-16 random bytes as signature", good: verifytest.Options{}, want: verify.ReasonSignatureInvalid, bad: func(o *verifytest.Options) {
			o.Sig = func(sig []byte) []byte { return []byte(strings.Repeat("x", len(sig))) }
		}},
		{name: "SB-16 a logged signature over other bytes", good: verifytest.Options{Message: true, V2: true}, want: verify.ReasonSignatureInvalid, bad: func(o *verifytest.Options) {
			o.Sig = func([]byte) []byte {
				return in.Sign(t, verifytest.Options{Message: true, Content: []byte("other")}).Sig
			}
		}},
		{name: "SB-18 no log entry", good: message, want: verify.ReasonLogMissing, bad: func(o *verifytest.Options) {
			o.Entries, o.Stamps = []verifytest.Entry{}, []verifytest.Stamp{{}}
		}},
	})
}

// TestBrokenLegacyProofIsNotIgnored: a proof that is supplied is judged, also where
// none is asked for.
func TestBrokenLegacyProofIsNotIgnored(t *testing.T) {
	t.Parallel()
	in := verifytest.NewInstance(t)
	good := verifytest.Options{Form: verifytest.LegacySignature, Stamps: []verifytest.Stamp{{}}}
	annotate := func(name, text string) func(*verifytest.Options) {
		return func(o *verifytest.Options) { o.Annotate = func(all map[string]string) { all[name] = text } }
	}
	unlogged := trust.Requirement{Timestamps: 1, SCTs: 1}
	runAttacks(t, in, []attack{
		{name: "SB-04 log entry", good: good, need: unlogged, bad: annotate(verify.LegacyLogAnnotation, `{"SignedEntryTimestamp":`), want: verify.ReasonSignatureFormat},
		{name: "SB-04 empty log entry", good: good, need: unlogged, bad: annotate(verify.LegacyLogAnnotation, `{}`), want: verify.ReasonSignatureFormat},
		{name: "SB-04 timestamp", good: good, need: unlogged, bad: annotate(verify.LegacyTimestampAnnotation, `[]`), want: verify.ReasonSignatureFormat},
		{name: "SB-04 certificate", good: good, need: unlogged, bad: annotate(verify.LegacyCertificateAnnotation, `-----BEGIN`), want: verify.ReasonSignatureFormat},
	})
}

// encode is a bundle as evidence.
func encode(t *testing.T, wire *protobundle.Bundle) verify.Evidence {
	t.Helper()
	raw, err := protojson.Marshal(wire)
	if err != nil {
		t.Fatal(err)
	}
	return verify.Evidence{Format: verify.FormatBundle, Raw: raw}
}
