package keyless_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/sign"
	"github.com/hallmark-project/hallmark/sign/keyless"
	"github.com/hallmark-project/hallmark/verify/trust"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// target is a service with the choice of services that asks it.
type target struct {
	name     string
	service  func(*kit) *verifytest.Service
	services func(*kit) keyless.Services
}

func targets() []target {
	return []target{
		{"Fulcio", func(k *kit) *verifytest.Service { return k.Fulcio }, (*kit).v2},
		{"Rekor v1", func(k *kit) *verifytest.Service { return k.Rekor1 }, (*kit).v1},
		{"Rekor v2", func(k *kit) *verifytest.Service { return k.Rekor2 }, (*kit).v2},
		{"TSA", func(k *kit) *verifytest.Service { return k.TSA }, (*kit).v2},
	}
}

// signImage gets a certificate and signs, whichever of the two fails.
func (k *kit) signImage(ctx context.Context, source *keyless.Source) (sign.Evidence, error) {
	signer, err := source.Signer(ctx)
	if err != nil {
		return sign.Evidence{}, err
	}
	return image(ctx, signer)
}

// TestRecovers: what passes is tried again, and the signature is a usual one.
func TestRecovers(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]verifytest.Fault{
		"unavailable twice": {Status: http.StatusServiceUnavailable, Times: 2},
		"bad gateway":       {Status: http.StatusBadGateway, Times: 1},
		"overloaded":        {Status: http.StatusTooManyRequests, Times: 1},
		"come back later":   {Status: http.StatusTooManyRequests, RetryAfter: 1, Times: 1},
		"connection cut":    {Cut: true, Times: 1},
	} {
		for _, target := range targets() {
			t.Run(target.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				k := newKit(t)
				service := target.service(k)
				service.Fail(fault)
				began := time.Now()
				evidence, err := k.signImage(soon(t), k.source(t, target.services(k)))
				if err != nil {
					t.Fatal(err)
				}
				k.check(t, k.Instance.Verifier(t, trust.Keyless()), evidence)
				if n := service.Requests(); n != fault.Times+1 {
					t.Errorf("%d requests, want %d", n, fault.Times+1)
				}
				if wait := time.Duration(fault.RetryAfter) * time.Second; time.Since(began) < wait {
					t.Errorf("came back after %v, asked to wait %v", time.Since(began), wait)
				}
			})
		}
	}
}

// TestGivesUp: what does not pass ends after a few attempts, what is refused at once;
// nothing is returned.
func TestGivesUp(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name     string
		fault    verifytest.Fault
		requests int
		is       error
	}{
		{"unavailable", verifytest.Fault{Status: http.StatusServiceUnavailable, Text: "the back end is gone"}, 5, keyless.ErrService},
		{"connection cut", verifytest.Fault{Cut: true}, 5, keyless.ErrService},
		{"later than anyone waits", verifytest.Fault{Status: http.StatusTooManyRequests, RetryAfter: 1 << 40}, 5, keyless.ErrService},
		{"bad request", verifytest.Fault{Status: http.StatusBadRequest, Text: "the back end is gone"}, 1, keyless.ErrRefused},
		{"not found", verifytest.Fault{Status: http.StatusNotFound}, 1, keyless.ErrRefused},
		{"not implemented", verifytest.Fault{Status: http.StatusNotImplemented}, 1, keyless.ErrRefused},
		{"empty answer", verifytest.Fault{Wrong: verifytest.NoContent}, 1, nil},
	} {
		for _, target := range targets() {
			t.Run(target.name+"/"+row.name, func(t *testing.T) {
				t.Parallel()
				k := newKit(t)
				service := target.service(k)
				service.Fail(row.fault)
				source := k.source(t, target.services(k))
				evidence, err := k.signImage(soon(t), source)
				k.refused(t, evidence, err)
				if n := service.Requests(); n != row.requests {
					t.Errorf("%d requests, want %d", n, row.requests)
				}
				for _, kind := range []error{keyless.ErrService, keyless.ErrRefused} {
					if errors.Is(err, kind) != (row.is == kind) {
						t.Errorf("%q is or is not %q", err, kind)
					}
				}
				if target.name == "Fulcio" && !errors.Is(err, keyless.ErrCertificate) {
					t.Errorf("no ErrCertificate: %v", err)
				}
				if row.fault.Status == http.StatusServiceUnavailable && !strings.Contains(err.Error(), row.fault.Text) {
					t.Errorf("the service's own words are lost: %v", err)
				}
				service.Heal()
				if _, err := k.signImage(soon(t), source); err != nil {
					t.Errorf("after the service has healed: %v", err)
				}
			})
		}
	}
}

// TestLostAnswer: a log that has recorded a signature, and whose answer was lost, says
// so when it is asked again. The entry is fetched, and the signature made.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	for _, way := range ways() {
		for _, target := range targets()[1:3] {
			if way.legacy && target.name == "Rekor v2" {
				continue
			}
			t.Run(target.name+"/"+way.name, func(t *testing.T) {
				t.Parallel()
				k := newKit(t)
				signer := k.signer(t, target.services(k))
				target.service(k).Fail(verifytest.Fault{Lose: true, Times: 1})
				evidence, err := way.sign(soon(t), signer)
				if err != nil {
					t.Fatal(err)
				}
				fact := k.check(t, k.Instance.Verifier(t, trust.Keyless()), evidence)
				// A new log of verifytest has five entries.
				if len(fact.Log) != 1 || fact.Log[0].Index != 5 {
					t.Errorf("entries %+v, want the one at 5 which the first request made", fact.Log)
				}
			})
		}
	}
}

// TestLostAnswerNotCovered: a Rekor v2 publishes its checkpoint after it has answered; it
// is waited for a little.
func TestLostAnswerNotCovered(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	signer := k.signer(t, k.v2())
	const checkpoint = "GET /api/v2/checkpoint"
	k.Rekor2.Fail(verifytest.Fault{On: "POST", Lose: true, Times: 1})
	k.Rekor2.Fail(verifytest.Fault{On: checkpoint, Wrong: verifytest.CheckpointOfBefore, Times: 2})
	evidence, err := image(soon(t), signer)
	if err != nil {
		t.Fatal(err)
	}
	k.check(t, k.Instance.Verifier(t, trust.Keyless()), evidence)
	if n := k.Rekor2.Count(checkpoint); n != 3 {
		t.Errorf("%d checkpoints were read, want 3", n)
	}
	k.Rekor2.Fail(verifytest.Fault{On: "POST", Lose: true, Times: 1})
	k.Rekor2.Fail(verifytest.Fault{On: checkpoint, Wrong: verifytest.CheckpointOfBefore})
	evidence, err = image(soon(t), signer)
	k.refused(t, evidence, err)
	if n := k.Rekor2.Count(checkpoint); n > 20 {
		t.Errorf("%d checkpoints were read", n)
	}
}

// TestLostAnswerNotFound: the log says that it has the entry, and does not give it.
func TestLostAnswerNotFound(t *testing.T) {
	t.Parallel()
	for name, on := range map[string]string{
		"Rekor v1 entry":      "GET /api/v1/log/entries/",
		"Rekor v2 checkpoint": "GET /api/v2/checkpoint",
		"Rekor v2 hashes":     "GET /api/v2/tile/0/",
		"Rekor v2 entries":    "GET /api/v2/tile/entries/",
	} {
		for what, fault := range map[string]verifytest.Fault{
			"not found": {On: on, Status: http.StatusNotFound},
			"another":   {On: on, Wrong: verifytest.EntryOfAnotherSignature},
			"huge":      {On: on, Huge: 48 << 20},
			"nothing":   {On: on, Wrong: verifytest.NoContent},
		} {
			if what == "another" && (strings.HasSuffix(name, "checkpoint") || strings.HasSuffix(name, "hashes")) {
				continue // not a lie that they tell
			}
			t.Run(name+"/"+what, func(t *testing.T) {
				t.Parallel()
				k := newKit(t)
				services, service := k.v1(), k.Rekor1
				if strings.HasPrefix(name, "Rekor v2") {
					services, service = k.v2(), k.Rekor2
				}
				signer := k.signer(t, services)
				service.Fail(verifytest.Fault{On: "POST", Lose: true, Times: 1})
				service.Fail(fault)
				evidence, err := image(soon(t), signer)
				k.refused(t, evidence, err)
				if sent := service.Sent(); sent > 32<<20 {
					t.Errorf("%d bytes of a huge answer were taken", sent)
				}
			})
		}
	}
}
