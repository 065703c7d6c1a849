package admission_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/admission"
	"github.com/hallmark-project/hallmark/policy/report"
)

// known is a judge that knows every answer, as a full cache does.
type known map[string]*report.Image

func (k known) Judge(_ context.Context, _ admission.Asker, images []string) []*report.Image {
	all := make([]*report.Image, len(images))
	for i, image := range images {
		all[i] = k[image]
	}
	return all
}

// realPod is a Pod of about 8 kB as the API server sends one: three images, probes,
// environment, a service account's volume, and who manages which field.
func realPod(images ...string) string {
	var containers []string
	for i, image := range images {
		containers = append(containers, fmt.Sprintf(`{"name":"c%d","image":%q,"ports":[{"name":"http","containerPort":8080,"protocol":"TCP"}],
"env":[{"name":"A","value":"some text"},{"name":"B","valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}},{"name":"POD","valueFrom":{"fieldRef":{"apiVersion":"v1","fieldPath":"metadata.name"}}}],
"resources":{"limits":{"cpu":"500m","memory":"256Mi"},"requests":{"cpu":"100m","memory":"128Mi"}},"volumeMounts":[{"name":"kube-api-access-x2x4z","readOnly":true,"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}],
"livenessProbe":{"httpGet":{"path":"/healthz","port":"http","scheme":"HTTP"},"timeoutSeconds":1,"periodSeconds":10,"successThreshold":1,"failureThreshold":3},
"readinessProbe":{"httpGet":{"path":"/readyz","port":"http","scheme":"HTTP"},"timeoutSeconds":1,"periodSeconds":10,"successThreshold":1,"failureThreshold":3},
"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File","imagePullPolicy":"IfNotPresent","securityContext":{"capabilities":{"drop":["ALL"]},"runAsNonRoot":true,"readOnlyRootFilesystem":true,"allowPrivilegeEscalation":false}}`, i, image))
	}
	var managed strings.Builder
	for i := range 40 {
		fmt.Fprintf(&managed, `,"f:field%d":{".":{},"f:name":{},"f:value":{},"k:{\"name\":\"n%d\"}":{".":{}}}`, i, i)
	}
	return fmt.Sprintf(`{"kind":"Pod","apiVersion":"v1","metadata":{"name":"shop-5f7d8c9b6d-x2x4z","generateName":"shop-5f7d8c9b6d-","namespace":"shop","uid":"5c8d2b9e-0a41-4f5c-8f65-0e9a3f6f7b1c","creationTimestamp":"2026-11-24T12:00:00Z",
"labels":{"app":"shop","pod-template-hash":"5f7d8c9b6d"},"annotations":{"prometheus.io/scrape":"true"},"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"shop-5f7d8c9b6d","uid":"1c8d2b9e-0a41-4f5c-8f65-0e9a3f6f7b1c","controller":true,"blockOwnerDeletion":true}],
"managedFields":[{"manager":"kube-controller-manager","operation":"Update","apiVersion":"v1","time":"2026-11-24T12:00:00Z","fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{".":{}%s}}}]},
"spec":{"volumes":[{"name":"kube-api-access-x2x4z","projected":{"sources":[{"serviceAccountToken":{"expirationSeconds":3607,"path":"token"}},{"configMap":{"name":"kube-root-ca.crt","items":[{"key":"ca.crt","path":"ca.crt"}]}},{"downwardAPI":{"items":[{"path":"namespace","fieldRef":{"apiVersion":"v1","fieldPath":"metadata.namespace"}}]}}],"defaultMode":420}}],
"containers":[%s],"restartPolicy":"Always","terminationGracePeriodSeconds":30,"dnsPolicy":"ClusterFirst","serviceAccountName":"default","serviceAccount":"default","securityContext":{},"schedulerName":"default-scheduler",
"tolerations":[{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}],"priority":0,"enableServiceLinks":true,"preemptionPolicy":"PreemptLowerPriority"},"status":{"phase":"Pending","qosClass":"Burstable"}}`,
		managed.String(), strings.Join(containers, ","))
}

func benchImages() (known, []string) {
	images := []string{
		"registry.example/team/shop@" + digestFor("a").String(), "registry.example/team/proxy:1.2.3@" + digestFor("b").String(),
		"registry.example/team/log:7",
	}
	k := make(known)
	for _, image := range images {
		k[image] = &report.Image{Image: image, Digest: digestFor(image), Decision: policy.Decision{Verdict: policy.Allow, Rule: "all"}}
	}
	return k, images
}

// BenchmarkValidate is a review of a Pod of three images whose decisions are known.
func BenchmarkValidate(b *testing.B) {
	k, images := benchImages()
	r := newReviewer(b, k, admission.Options{})
	object := realPod(images...)
	var compact json.RawMessage = []byte(object)
	body := ask{Object: string(compact)}.body(b)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if a := r.Validate(b.Context(), body); !a.Entry.Allowed {
			b.Fatal(a.Entry.Message)
		}
	}
}

// BenchmarkUpdate is an update that changes no image.
func BenchmarkUpdate(b *testing.B) {
	k, images := benchImages()
	r := newReviewer(b, k, admission.Options{})
	object := realPod(images...)
	body := ask{Operation: "UPDATE", Object: strings.Replace(object, `"priority":0`, `"priority":1`, 1), Old: object}.body(b)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if a := r.Validate(b.Context(), body); !a.Entry.Allowed {
			b.Fatal(a.Entry.Message)
		}
	}
}

// maxAllocations is the budget of one review of a Pod of three images whose decisions are
// known. It only falls: time cannot be tested on a busy machine, and this can.
const maxAllocations = 320

func TestAllocationsOfAReview(t *testing.T) { // not parallel: it counts
	k, images := benchImages()
	r := newReviewer(t, k, admission.Options{})
	body := ask{Object: realPod(images...)}.body(t)
	if n := testing.AllocsPerRun(50, func() { r.Validate(context.Background(), body) }); n > maxAllocations {
		t.Errorf("%.0f allocations, not at most %d", n, maxAllocations)
	}
}
