package verify_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"

	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// one replaces the entries by a single one.
func one(e verifytest.Entry) func(*verifytest.Options) {
	return func(o *verifytest.Options) { o.Entries = []verifytest.Entry{e} }
}

func TestThresholdAttacks(t *testing.T) {
	t.Parallel()
	in := verifytest.NewInstance(t)
	twoLogs := trust.Requirement{LogEntries: 2, Timestamps: 1, SCTs: 1}
	twoTimes := trust.Requirement{LogEntries: 1, Timestamps: 2, SCTs: 1}
	twoSCTs := trust.Requirement{LogEntries: 1, Timestamps: 1, SCTs: 2}
	logs := verifytest.Options{Entries: []verifytest.Entry{{}, {Log: in.SecondV1}}}
	logs2 := verifytest.Options{V2: true, Entries: []verifytest.Entry{{Kind: verifytest.HashedRekordV2}, {Kind: verifytest.HashedRekordV2, Log: in.SecondV2}}}
	stamps := verifytest.Options{V2: true, Stamps: []verifytest.Stamp{{}, {TSA: in.SecondTSA}}}
	first := stamps.Stamps[0]
	older := verifytest.Options{V2: true, Entries: []verifytest.Entry{{Kind: verifytest.DSSEEntryV2}, {Kind: verifytest.DSSEEntryV2, Log: in.SecondV2}}}
	runAttacks(t, in, []attack{
		{name: "SB-10 two entries of one older rekor v2", good: older, need: twoLogs, want: verify.ReasonThreshold, bad: func(o *verifytest.Options) { o.Entries[1].Log = in.Rekor2 }},
		{name: "SB-10 two entries of one log", good: logs, need: twoLogs, want: verify.ReasonThreshold, bad: func(o *verifytest.Options) { o.Entries[1].Log = in.Rekor1 }},
		{name: "SB-10 two entries of one rekor v2", good: logs2, need: twoLogs, want: verify.ReasonThreshold, bad: func(o *verifytest.Options) { o.Entries[1].Log = in.Rekor2 }},
		{name: "SB-10 one entry", good: logs, need: twoLogs, want: verify.ReasonThreshold, bad: func(o *verifytest.Options) { o.Entries = o.Entries[:1] }},
		{name: "SB-10 the second entry is an unknown log's", good: logs, need: twoLogs, want: verify.ReasonThreshold, root: func(wire *prototrustroot.TrustedRoot) {
			wire.Tlogs = append(wire.Tlogs[:1], wire.Tlogs[2:]...)
		}},
		{name: "SB-11 two timestamps of one authority", good: stamps, need: twoTimes, want: verify.ReasonThreshold, bad: func(o *verifytest.Options) { o.Stamps[1].TSA = in.TSA }},
		{name: "SB-11 one timestamp", good: stamps, need: twoTimes, want: verify.ReasonThreshold, bad: func(o *verifytest.Options) { o.Stamps = []verifytest.Stamp{first} }},
		{name: "SB-11 the second timestamp is a stranger's", good: stamps, need: twoTimes, want: verify.ReasonThreshold, bad: func(o *verifytest.Options) {
			o.Stamps[1].TSA = verifytest.NewInstance(t).TSA
		}},
		{
			name: "SB-11 two SCTs of one log", need: twoSCTs, want: verify.ReasonThreshold,
			good: verifytest.Options{Leaf: verifytest.Leaf{CT: []verifytest.SCT{{Log: in.CT}, {Log: in.SecondCT}}}},
			bad:  func(o *verifytest.Options) { o.Leaf.CT = []verifytest.SCT{{Log: in.CT}, {Log: in.CT}} },
		},
	})
	t.Run("SB-11 the same entry twice", func(t *testing.T) {
		t.Parallel()
		signed := in.Sign(t, logs)
		wantFact(t, in.Verifier(t, twoLogs), signed)
		wire := signed.Bundle(t)
		wire.VerificationMaterial.TlogEntries[1] = wire.GetVerificationMaterial().GetTlogEntries()[0]
		wantReason(t, in.Verifier(t, twoLogs), signed.Subject().Digest, encode(t, wire), verify.ReasonThreshold)
	})
	t.Run("SB-11 the same timestamp twice", func(t *testing.T) {
		t.Parallel()
		signed := in.Sign(t, stamps)
		wantFact(t, in.Verifier(t, twoTimes), signed)
		signed.Stamps[1] = signed.Stamps[0]
		wantReason(t, in.Verifier(t, twoTimes), signed.Subject().Digest, signed.Evidence(t), verify.ReasonThreshold)
	})
}

func TestCheckpointAttacks(t *testing.T) {
	t.Parallel()
	in, stranger := verifytest.NewInstance(t), verifytest.NewInstance(t)
	lie := func(kind verifytest.EntryKind, in2 bool, change func(*verifytest.Checkpoint)) func(*verifytest.Options) {
		return one(verifytest.Entry{Kind: kind, InV2: in2, Checkpoint: change})
	}
	var rows []attack
	for text, entry := range map[string]verifytest.Entry{
		"rekor v1": {Kind: verifytest.HashedRekord}, "rekor v2": {Kind: verifytest.HashedRekordV2}, "older rekor v2": {Kind: verifytest.DSSEEntryV2},
		"dsse in a rekor v2": {Kind: verifytest.DSSEEntry, InV2: true}, "intoto in a rekor v2": {Kind: verifytest.IntotoEntry, InV2: true},
	} {
		kind, in2 := entry.Kind, entry.InV2
		good := verifytest.Options{
			V2: kind != verifytest.HashedRekord, Entries: []verifytest.Entry{entry},
			Message: kind == verifytest.HashedRekord || kind == verifytest.HashedRekordV2,
		}
		own := in.Rekor1
		if good.V2 {
			own = in.Rekor2
		}
		for name, change := range map[string]func(*verifytest.Checkpoint){
			"the signature is wrong": func(c *verifytest.Checkpoint) { c.Signers[0].Forge = flip },
			"the key hint is wrong": func(c *verifytest.Checkpoint) {
				c.Signers[0].Forge = func(raw []byte) []byte { raw[0] ^= 1; return raw }
			},
			"no signature":            func(c *verifytest.Checkpoint) { c.Signers = nil },
			"another log's signature": func(c *verifytest.Checkpoint) { c.Signers[0].By = stranger.Rekor1 },
			"only a cosigner's signature": func(c *verifytest.Checkpoint) {
				c.Signers[0] = verifytest.Cosigner{Name: "witness.test", By: stranger.Rekor2}
			},
			"another root":          func(c *verifytest.Checkpoint) { c.Root = base64.StdEncoding.EncodeToString(make([]byte, 32)) },
			"no root":               func(c *verifytest.Checkpoint) { c.Root = "" },
			"no size":               func(c *verifytest.Checkpoint) { c.Size = "" },
			"no origin":             func(c *verifytest.Checkpoint) { c.Origin = "" },
			"another size":          func(c *verifytest.Checkpoint) { c.Size = "3" },
			"the size is no number": func(c *verifytest.Checkpoint) { c.Size = "many" },
			"the root is no base64": func(c *verifytest.Checkpoint) { c.Root = "?" },
			"signed under another name": func(c *verifytest.Checkpoint) {
				c.Signers[0].Name = "elsewhere.test"
				c.Origin = strings.Replace(c.Origin, "rekor", "elsewhere", 1)
			},
			"the right signature after a crowd": func(c *verifytest.Checkpoint) { c.Signers = append(crowd(stranger.Rekor2, 200), c.Signers...) },
		} {
			if kind == verifytest.HashedRekord && name == "signed under another name" {
				continue // a v1's name decides nothing: the log is found by its ID
			}
			rows = append(rows, attack{name: "SB-12 " + text + ": " + name, good: good, bad: lie(kind, in2, change), want: verify.ReasonLogProof})
		}
		for name, change := range map[string]func(*protorekor.InclusionProof){
			"a hash of the path is wrong": func(p *protorekor.InclusionProof) { p.Hashes[0] = flip(p.GetHashes()[0]) },
			"a hash of the path is gone":  func(p *protorekor.InclusionProof) { p.Hashes = p.GetHashes()[1:] },
			"a hash of the path is short": func(p *protorekor.InclusionProof) { p.Hashes[0] = p.GetHashes()[0][1:] },
			"no path":                     func(p *protorekor.InclusionProof) { p.Hashes = nil },
			"no checkpoint":               func(p *protorekor.InclusionProof) { p.Checkpoint = nil },
			"an empty checkpoint":         func(p *protorekor.InclusionProof) { p.Checkpoint.Envelope = "" },
			"a checkpoint of blanks":      func(p *protorekor.InclusionProof) { p.Checkpoint.Envelope = "\n\n\n\n" },
		} {
			rows = append(rows, attack{name: "SB-13 " + text + ": " + name, good: good, want: verify.ReasonLogProof, bad: one(verifytest.Entry{
				Kind: kind, InV2: in2, Log: own, Change: func(e *protorekor.TransparencyLogEntry) { change(e.GetInclusionProof()) },
			})})
		}
		rows = append(rows, attack{name: "SB-13 " + text + ": another index", good: good, want: verify.ReasonLogProof, bad: one(verifytest.Entry{
			Kind: kind, InV2: in2, Change: func(e *protorekor.TransparencyLogEntry) { e.LogIndex = 1; e.InclusionProof.LogIndex = 1 },
		})})
	}
	runAttacks(t, in, rows)
}

// crowd are many foreign signatures of one note.
func crowd(by *verifytest.Log, n int) []verifytest.Cosigner {
	var all []verifytest.Cosigner
	for i := range n {
		all = append(all, verifytest.Cosigner{Name: "witness" + strings.Repeat("x", i%7) + ".test", By: by})
	}
	return all
}

func TestProofAttacks(t *testing.T) {
	t.Parallel()
	in, stranger := verifytest.NewInstance(t), verifytest.NewInstance(t)
	message, envelope := verifytest.Options{Message: true}, verifytest.Options{}
	old := verifytest.Options{Message: true, Form: verifytest.BundleV01}
	legacy := verifytest.Options{Form: verifytest.LegacySignature}
	v2 := verifytest.Options{V2: true}
	both := verifytest.Options{Entries: []verifytest.Entry{{}, {Log: in.SecondV1}}}
	forgedPromise := verifytest.Entry{Change: func(e *protorekor.TransparencyLogEntry) {
		e.InclusionPromise.SignedEntryTimestamp = flip(e.GetInclusionPromise().GetSignedEntryTimestamp())
	}}
	runAttacks(t, in, []attack{
		{name: "SB-13 no proof in a v0.3 bundle", good: message, bad: one(verifytest.Entry{WithoutProof: true}), want: verify.ReasonLogProof},
		{name: "SB-13 no proof in a v0.3 bundle of an envelope", good: envelope, bad: one(verifytest.Entry{WithoutProof: true}), want: verify.ReasonLogProof},
		{name: "SB-13 no proof in a v0.2 bundle", good: verifytest.Options{Form: verifytest.BundleV02}, bad: one(verifytest.Entry{WithoutProof: true}), want: verify.ReasonLogProof},
		{name: "SB-13 no promise in a v0.1 bundle", good: old, bad: one(verifytest.Entry{WithoutPromise: true, WithProof: true}), want: verify.ReasonLogProof},
		{name: "SB-13 no proof of a rekor v2 entry", good: v2, bad: one(verifytest.Entry{Kind: verifytest.HashedRekordV2, WithoutProof: true}), want: verify.ReasonLogProof},
		{name: "SB-13 of two entries one has no proof", good: both, want: verify.ReasonLogProof, bad: func(o *verifytest.Options) { o.Entries[1].WithoutProof = true }},
		{name: "SB-13 the proof is the other entry's", good: both, want: verify.ReasonLogProof, bad: func(o *verifytest.Options) {
			var proof *protorekor.InclusionProof
			o.Entries[0].Change = func(e *protorekor.TransparencyLogEntry) { proof = e.GetInclusionProof() }
			o.Entries[1].Change = func(e *protorekor.TransparencyLogEntry) { e.InclusionProof = proof }
		}},
		{name: "SB-28 the promise's signature is wrong, v0.1", good: old, bad: one(forgedPromise), want: verify.ReasonLogProof},
		{name: "SB-28 the promise's signature is wrong, v0.3", good: message, bad: one(forgedPromise), want: verify.ReasonLogProof},
		{name: "SB-28 the promise's signature is wrong, legacy", good: legacy, bad: one(forgedPromise), want: verify.ReasonLogProof},
		{name: "SB-28 TI-01 the promised time was changed, v0.1", good: old, want: verify.ReasonLogProof, bad: one(verifytest.Entry{
			Change: func(e *protorekor.TransparencyLogEntry) { e.IntegratedTime++ },
		})},
		{name: "SB-28 the promised index was changed, v0.1", good: old, want: verify.ReasonLogProof, bad: one(verifytest.Entry{
			Change: func(e *protorekor.TransparencyLogEntry) { e.LogIndex++ },
		})},
		{name: "SB-28 the promised index was changed, legacy", good: legacy, want: verify.ReasonLogProof, bad: one(verifytest.Entry{
			Change: func(e *protorekor.TransparencyLogEntry) { e.LogIndex++ },
		})},
		{name: "SB-28 a promise by another log under this log's name", good: old, want: verify.ReasonLogProof, bad: one(verifytest.Entry{
			Log: stranger.Rekor1, Change: func(e *protorekor.TransparencyLogEntry) { e.LogId.KeyId = in.Rekor1.ID },
		})},
		{name: "TR-07 the entry is of a log that is not trusted, v0.1", good: old, bad: one(verifytest.Entry{Log: stranger.Rekor1}), want: verify.ReasonLogProof},
		{name: "TR-07 the entry is of a log that is not trusted, v0.3", good: message, bad: one(verifytest.Entry{Log: stranger.Rekor1}), want: verify.ReasonLogProof},
		{name: "TR-07 the entry is of a log that is not trusted, legacy", good: legacy, bad: one(verifytest.Entry{Log: stranger.Rekor1}), want: verify.ReasonLogProof},
		{name: "TR-07 the entry is of a rekor v2 that is not trusted", good: v2, want: verify.ReasonLogProof, bad: one(verifytest.Entry{
			Kind: verifytest.HashedRekordV2, Log: stranger.Rekor2,
		})},
		{name: "TR-07 the trusted root has no such log", good: message, want: verify.ReasonLogProof, root: func(wire *prototrustroot.TrustedRoot) { wire.Tlogs = wire.GetTlogs()[1:] }},
		{name: "SB-27 a negative log index", good: message, want: verify.ReasonSignatureFormat, bad: one(verifytest.Entry{
			Change: func(e *protorekor.TransparencyLogEntry) { e.LogIndex = -1 },
		})},
		{name: "SB-27 no log ID", good: message, want: verify.ReasonSignatureFormat, bad: one(verifytest.Entry{
			Change: func(e *protorekor.TransparencyLogEntry) { e.LogId = nil },
		})},
	})
}

// TestLogWindows: a log's key vouches only while the trusted root says so. Where the
// log gives no time, the timestamp is the one that counts.
func TestLogWindows(t *testing.T) {
	t.Parallel()
	in := verifytest.NewInstance(t)
	key := verifytest.NewKey(t, "ecdsa-p256")
	window := func(log int, set func(*protocommon.TimeRange, time.Time), at time.Time) func(*prototrustroot.TrustedRoot) {
		return func(wire *prototrustroot.TrustedRoot) { set(wire.GetTlogs()[log].GetPublicKey().GetValidFor(), at) }
	}
	type logged struct {
		options verifytest.Options
		log     int // in the trusted root
	}
	all := map[string]logged{
		"rekor v2":                {verifytest.Options{V2: true}, 2},
		"rekor v2, message":       {verifytest.Options{V2: true, Message: true}, 2},
		"older rekor v2":          {verifytest.Options{V2: true, Entries: []verifytest.Entry{{Kind: verifytest.DSSEEntryV2}}}, 2},
		"no promise, a timestamp": {verifytest.Options{Entries: []verifytest.Entry{{WithoutPromise: true}}, Stamps: []verifytest.Stamp{{}}}, 0},
		"as hashedrekord":         {verifytest.Options{Entries: []verifytest.Entry{{Kind: verifytest.HashedRekord}}}, 0},
	}
	for _, form := range verifytest.Forms() {
		all[string(form)] = logged{verifytest.Options{Form: form}, 0}
	}
	for name, l := range all {
		runAttacks(t, in, []attack{
			{
				name: "TI-04 TR-12 logged after the log key's end, " + name, good: l.options, want: verify.ReasonTimeOutside,
				rootOfBoth: window(l.log, setEnd, in.Now), root: window(l.log, setEnd, in.Now.Add(-time.Second)),
			},
			{
				name: "TI-04 logged before the log key's start, " + name, good: l.options, want: verify.ReasonTimeOutside,
				rootOfBoth: window(l.log, setStart, in.Now), root: window(l.log, setStart, in.Now.Add(time.Second)),
			},
		})
		t.Run("TR-12 logged after the log key's end, a key's signature, "+name, func(t *testing.T) {
			t.Parallel()
			options := l.options
			options.Key = key
			signed := in.Sign(t, options)
			for end, want := range map[time.Time]verify.Reason{in.Now: "", in.Now.Add(-time.Second): verify.ReasonTimeOutside} {
				root, err := trust.NewRoot(trust.WithKeys(key.Trusted), trust.WithTrustedRoot(in.TrustedRoot(t, window(l.log, setEnd, end))))
				if err != nil {
					t.Fatal(err)
				}
				v, err := verify.New(root, trust.Keyless(), func() time.Time { return in.ClockAtVerification })
				if err != nil {
					t.Fatal(err)
				}
				if want == "" {
					wantFact(t, v, signed)
				} else {
					wantReason(t, v, signed.Subject().Digest, signed.Evidence(t), want)
				}
			}
		})
	}
}
