package verify_test

import (
	"testing"
	"time"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// attack is a row of the catalogue: evidence that must be refused for exactly one
// reason, and its twin, different in exactly one place, that must pass.
type attack struct {
	name string
	// good is the twin. bad changes a copy of it.
	good verifytest.Options
	bad  func(*verifytest.Options)
	need trust.Requirement // zero is [trust.Keyless]
	// root changes the trusted root for the bad one only, rootOfBoth for both.
	root, rootOfBoth func(*prototrustroot.TrustedRoot)
	// subject is what the bad one is checked against instead of its own subject.
	subject verify.Subject
	want    verify.Reason
}

// run signs both twins with the instance and judges them.
func (a attack) run(t *testing.T, in *verifytest.Instance) {
	t.Helper()
	if a.need == (trust.Requirement{}) {
		a.need = trust.Keyless()
	}
	both := func(wire *prototrustroot.TrustedRoot) {
		if a.rootOfBoth != nil {
			a.rootOfBoth(wire)
		}
	}
	good := in.Sign(t, a.good)
	if _, err := in.Verifier(t, a.need, both).Check(good.Subject(), good.Evidence(t)); err != nil {
		t.Fatalf("the good twin was refused: %v", err)
	}
	options := clone(a.good)
	if a.bad != nil {
		a.bad(&options)
	}
	bad := in.Sign(t, options)
	subject := bad.Subject()
	if !a.subject.Digest.IsZero() {
		subject = a.subject
	}
	changes := []func(*prototrustroot.TrustedRoot){both}
	if a.root != nil {
		changes = append(changes, a.root)
	}
	wantReason(t, in.Verifier(t, a.need, changes...), subject.Digest, bad.Evidence(t), a.want)
}

// clone copies the options so that a change of them changes no other test's.
func clone(o verifytest.Options) verifytest.Options {
	if o.Entries != nil {
		o.Entries = append([]verifytest.Entry{}, o.Entries...)
	}
	if o.Stamps != nil {
		o.Stamps = append([]verifytest.Stamp{}, o.Stamps...)
	}
	return o
}

// runAttacks runs each row as a subtest of its own.
func runAttacks(t *testing.T, in *verifytest.Instance, all []attack) {
	t.Helper()
	for _, a := range all {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			a.run(t, in)
		})
	}
}

// setStart and setEnd move a window of the trusted root.
func setStart(w *protocommon.TimeRange, at time.Time) { w.Start = timestamppb.New(at) }
func setEnd(w *protocommon.TimeRange, at time.Time)   { w.End = timestamppb.New(at) }

// replaceRoot makes a trusted root another instance's.
func replaceRoot(t *testing.T, wire *prototrustroot.TrustedRoot, by *verifytest.Instance) {
	t.Helper()
	proto.Reset(wire)
	if err := protojson.Unmarshal(by.TrustedRoot(t), wire); err != nil {
		t.Fatal(err)
	}
}
