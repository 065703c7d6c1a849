package kubernetes

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	admission "k8s.io/api/admissionregistration/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

// TestRegistryFaults: whatever the registry does, what was not verified is refused, by
// the webhook itself and before the API server's time is up; what is in the cache passes
// (AD-11).
func TestRegistryFaults(t *testing.T) {
	t.Parallel()
	faults := []struct {
		name  string
		fault registrytest.Fault // nil: the registry is gone
		// tags tells that a tag can still be resolved, as that takes no body.
		tags bool
	}{
		{"down", nil, false},
		{"drops every connection", registrytest.Drop(), false},
		{"hangs", registrytest.Hang(), false},
		{"slow", registrytest.Delay(20 * time.Second), false},
		{"500", registrytest.Status(500), false},
		{"503", registrytest.Status(503), false},
		{"429", registrytest.TooManyRequests(3600), false},
		{"a login page", registrytest.HTML(), false},
		{"answers without an end", registrytest.Endless(200, "application/json", "{"), false},
		{"a byte a second", registrytest.SlowBody(time.Second), true},
		{"bodies that are cut", registrytest.CutBody(10), true},
	}
	for _, c := range faults {
		t.Run("AD-11 "+c.name, func(t *testing.T) {
			t.Parallel()
			i := newImages(t)
			cached, unseen, bad := i.signed("team/cached", "1"), i.signed("team/unseen", "1"), i.unsigned("team/bad", "1")
			v := serve(t, i.policy(), settings{})
			namespace := namespace(t, "registry")
			register(t, v.address, v.authority, impatient, namespace)
			effective(t, namespace)
			pods := in(t, namespace, "pods/v1")
			_, err := pods.try(pod("cached", cached.Ref()))
			allowed(t, err)

			if c.fault == nil {
				i.Close()
			} else {
				i.Inject(registrytest.Match{}, c.fault)
			}
			began := time.Now()
			var all sync.WaitGroup
			all.Go(func() {
				_, err := pods.try(pod("cached", cached.Ref()))
				allowed(t, err) // the decision is about a digest: nobody needs to be asked
			})
			all.Go(func() {
				_, err := pods.try(pod("unseen", unseen.Ref()))
				refused(t, err, "could not check", unseen.Ref())
			})
			all.Go(func() {
				_, err := pods.try(pod("bad", bad.Ref()))
				refused(t, err, bad.Ref())
			})
			all.Go(func() {
				_, err := pods.try(pod("tag", cached.TagRef()))
				if c.tags {
					allowed(t, err) // to the digest that is in the cache
				} else {
					refused(t, err, "could not check", cached.TagRef())
				}
			})
			all.Wait()
			t.Logf("%s: answered in %v", c.name, time.Since(began).Round(10*time.Millisecond))

			if c.fault != nil {
				i.ClearFaults()
				began = time.Now()
				v.eventually("the registry's images are allowed again", func() bool {
					_, err := pods.try(pod("unseen", unseen.TagRef()))
					return err == nil
				})
				t.Logf("%s: allowed again after %v", c.name, time.Since(began).Round(10*time.Millisecond))
				_, err = pods.try(pod("bad", bad.TagRef()))
				refused(t, err, bad.TagRef())
			}
		})
	}
}

// impatient makes the API server wait for five seconds, not ten. It says so to the
// webhook, which has to answer before.
func impatient(hook *admission.ValidatingWebhook) {
	five := int32(5)
	hook.TimeoutSeconds = &five
}

// TestHalfOpen: a registry that takes connections and never says anything.
func TestHalfOpen(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	v := serve(t, signedOnly("cluster", listener.Addr().String()+"/**"), settings{})
	namespace := namespace(t, "halfopen")
	register(t, v.address, v.authority, impatient, namespace)
	effective(t, namespace)
	_, err = in(t, namespace, "pods/v1").try(pod("app", listener.Addr().String()+"/team/app:1"))
	refused(t, err, "could not check", listener.Addr().String()) // AD-11
}

// TestUnavailableAllow: where the server is told so, what could not be checked passes
// with a warning, and what is denied does not.
func TestUnavailableAllow(t *testing.T) {
	t.Parallel()
	i := newImages(t)
	good, bad := i.signed("team/app", "1"), i.unsigned("team/bad", "1")
	v := serve(t, i.policy(), settings{flags: []string{"--on-unavailable", "allow"}})
	namespace := namespace(t, "open")
	register(t, v.address, v.authority, impatient, namespace)
	pods := in(t, namespace, "pods/v1")
	v.eventually("the webhook is asked", func() bool {
		_, err := pods.try(pod("bad", bad.Ref()))
		return err != nil
	})
	_, err := pods.try(pod("bad", bad.Ref()))
	refused(t, err, bad.Ref())
	i.Inject(registrytest.Match{}, registrytest.Hang())
	if warnings := warned(t, namespace, pod("app", good.TagRef())); !strings.Contains(warnings, "could not check") {
		t.Errorf("no warning:\n%s", warnings)
	}
	_, err = pods.try(pod("stranger", "elsewhere.example/app:1"))
	refused(t, err, "elsewhere.example/app:1")
}

// TestServerDown: without a server nothing that holds images is stored, and everything
// else works (AD-11).
func TestServerDown(t *testing.T) {
	t.Parallel()
	i := newImages(t)
	good := i.signed("team/app", "1").TagRef()
	v := serve(t, i.policy(), settings{})
	namespace := namespace(t, "down")
	register(t, v.address, v.authority, nil, namespace)
	effective(t, namespace)
	pods := in(t, namespace, "pods/v1")
	if _, err := pods.make(pod("before", good)); err != nil {
		t.Fatal(err)
	}
	v.kill()
	_, err := pods.make(pod("after", good))
	if err == nil || !strings.Contains(err.Error(), "failed calling webhook") {
		t.Errorf("AD-11 a Pod was made without a webhook: %v", err)
	}
	allowed(t, pods.Delete(t.Context(), "before", meta.DeleteOptions{}))
	_, err = in(t, namespace, "configmaps/v1").make("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {a: b}}")
	allowed(t, err)
	v.start(settings{})
	_, err = pods.make(pod("again", good))
	allowed(t, err)
}

// TestPolicyReload: a policy that cannot be used changes nothing and is told; a good one
// counts without a restart.
func TestPolicyReload(t *testing.T) {
	t.Parallel()
	i := newImages(t)
	good, base, bad := i.signed("team/app", "1").TagRef(), i.signed("base/os", "1").TagRef(), i.unsigned("team/bad", "1").TagRef()
	v := serve(t, i.policy(), settings{})
	namespace := namespace(t, "reload")
	register(t, v.address, v.authority, nil, namespace)
	effective(t, namespace)
	pods := in(t, namespace, "pods/v1")
	_, err := pods.try(pod("app", base))
	allowed(t, err)

	for name, broken := range map[string]string{
		"not YAML": "{", "empty": "", "an unknown field": i.policy() + "exempt: [\"**\"]\n", "a key that is not there": strings.Replace(i.policy(), "release.pub", "gone.pub", 1),
	} {
		_, before, _ := v.get("/metrics")
		replace(t, v.path("policy/policy.yaml"), []byte(broken))
		v.eventually(name+": the refused policy is counted", func() bool {
			_, after, err := v.get("/metrics")
			return err == nil && refusedReloads(after, "policy") > refusedReloads(before, "policy")
		})
		_, err = pods.try(pod("app", good))
		allowed(t, err)
		_, err = pods.try(pod("app", bad))
		refused(t, err, bad)
		if status, body, err := v.get("/readyz"); err != nil || status != 200 {
			t.Errorf("%s: not ready: %d %s %v", name, status, body, err)
		}
	}
	replace(t, v.path("policy/policy.yaml"), []byte(signedOnly("tighter", i.Host()+"/team/*")))
	v.eventually("the new policy counts", func() bool {
		_, err := pods.try(pod("app", base))
		return err != nil
	})
	_, err = pods.try(pod("app", good))
	allowed(t, err)
	_, err = pods.try(pod("app", bad))
	refused(t, err, bad)
}

// TestCertificateRotation: the certificate changes under the API server's open
// connections, and no Pod is refused for it.
func TestCertificateRotation(t *testing.T) {
	t.Parallel()
	i := newImages(t)
	good := i.signed("team/app", "1").Ref()
	v := serve(t, i.policy(), settings{})
	namespace := namespace(t, "rotation")
	register(t, v.address, v.authority, nil, namespace)
	effective(t, namespace)
	pods := in(t, namespace, "pods/v1")
	old := served(t, v)
	v.authority.write(t, v.path("tls"))
	v.eventually("the new certificate is served", func() bool {
		_, err := pods.try(pod("app", good))
		allowed(t, err)
		return served(t, v) != old
	})
	// A pair that does not fit together changes nothing.
	current := served(t, v)
	_, before, _ := v.get("/metrics")
	replace(t, v.path("tls/tls.key"), []byte("no key"))
	v.eventually("the refused certificate is counted", func() bool {
		_, metrics, err := v.get("/metrics")
		return err == nil && refusedReloads(metrics, "certificate") > refusedReloads(before, "certificate")
	})
	_, err := pods.try(pod("app", good))
	allowed(t, err)
	if served(t, v) != current {
		t.Error("another certificate is served")
	}
}

// served returns the serial number of the certificate that new connections get.
func served(t testing.TB, v *verifier) string {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(v.authority.certificate)
	connection, err := tls.Dial("tcp", v.address, &tls.Config{RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	return connection.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// refusedReloads reads the counter of refused policies or certificates.
func refusedReloads(metrics, what string) float64 {
	for line := range strings.Lines(metrics) {
		if strings.HasPrefix(line, "hallmark_reloads_total{") && strings.Contains(line, `what="`+what+`"`) && strings.Contains(line, `result="refused"`) {
			n, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndex(line, "}")+1:]), 64)
			if err == nil {
				return n
			}
		}
	}
	return 0
}
