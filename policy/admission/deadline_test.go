package admission_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/admission"
)

// TestAttackAD11Deadlines: AD-11: the answer goes out before the API server's timeout,
// whatever registry and judge do, and says that nothing could be checked. The clock is
// the test's own.
func TestAttackAD11Deadlines(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		images  []string
		options admission.Options
		timeout time.Duration // the API server's
		within  time.Duration
		allowed bool
		verdict policy.Verdict
		want    string
	}{
		{"AD-11 a slow registry", []string{good, "registry.example/slow"}, admission.Options{}, 10 * time.Second, 8 * time.Second, false, policy.Undetermined, "1 of 2 images could not be checked"},
		{"AD-11 a judge that is stuck", []string{good, "registry.example/stuck"}, admission.Options{}, 10 * time.Second, 8 * time.Second, false, policy.Undetermined, "the time for this review is up"},
		{"AD-11 a near timeout", []string{"registry.example/slow"}, admission.Options{}, time.Second, 750 * time.Millisecond, false, policy.Undetermined, "REGISTRY_UNREACHABLE"},
		{"AD-11 a timeout of no time", []string{"registry.example/slow"}, admission.Options{}, time.Millisecond, 60 * time.Millisecond, false, policy.Undetermined, "REGISTRY_UNREACHABLE"},
		{"AD-11 an own deadline", []string{"registry.example/stuck"}, admission.Options{Deadline: 2 * time.Second}, 30 * time.Second, 2 * time.Second, false, policy.Undetermined, "could not check"},
		{"AD-11 allowed when unavailable", []string{good, "registry.example/slow"}, admission.Options{Unavailable: admission.UnavailableAllow}, 10 * time.Second, 8 * time.Second, true, policy.Undetermined, "spec.containers[1].image: admitted unchecked: could not check, REGISTRY_UNREACHABLE"},
		{"AD-11 a judge that is stuck allows nothing", []string{bad, "registry.example/stuck"}, admission.Options{Unavailable: admission.UnavailableAllow}, 10 * time.Second, 8 * time.Second, false, policy.Undetermined, "the time for this review is up"},
		{"AD-11 never a denied one", []string{bad, "registry.example/slow"}, admission.Options{Unavailable: admission.UnavailableAllow}, 10 * time.Second, 8 * time.Second, false, policy.Deny, "1 of 2 images denied by the trust policy, 1 could not be checked"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				j := &judge{stuck: make(chan struct{})}
				defer close(j.stuck)
				ctx, cancel := context.WithTimeout(t.Context(), test.timeout)
				defer cancel()
				start := time.Now()
				a := newReviewer(t, j, test.options).Validate(ctx, ask{Object: pod("", test.images...)}.body(t))
				if took := time.Since(start); took > test.within {
					t.Errorf("it took %s", took)
				}
				got := read(t, a)
				if got.Response.Allowed != test.allowed || a.Entry.Verdict != test.verdict {
					t.Errorf("%s %+v", a.Entry.Verdict, got)
				}
				text := got.Response.Status.Message + strings.Join(got.Response.Warnings, "\n")
				if !strings.Contains(text, test.want) || strings.Contains(text, "denied") != (test.verdict == policy.Deny) {
					t.Errorf("%q does not say %q", text, test.want)
				}
			})
		})
	}
}

// TestAttackAD11ClientGone: AD-11: who hangs up gets no answer, and costs no more time.
func TestAttackAD11ClientGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			time.Sleep(time.Second)
			cancel()
		}()
		start := time.Now()
		a := newReviewer(t, &judge{}, admission.Options{}).Validate(ctx, ask{Object: pod("", "registry.example/slow")}.body(t))
		if a.Entry.Allowed || time.Since(start) != time.Second {
			t.Errorf("%t after %s", a.Entry.Allowed, time.Since(start))
		}
	})
}
