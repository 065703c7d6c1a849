package load_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// review is a request for a new Pod as an API server sends it, about 8 kB with what
// comes of kubectl and its managed fields.
func review(images ...string) []byte {
	var containers []map[string]any
	managed := map[string]any{}
	for i, image := range images {
		name := fmt.Sprintf("container-%d", i)
		containers = append(containers, map[string]any{
			"name": name, "image": image, "imagePullPolicy": "IfNotPresent",
			"args":           []string{"--listen=:8080", "--config=/etc/app/config.yaml", "--log-level=info"},
			"ports":          []any{map[string]any{"containerPort": 8080, "name": "http", "protocol": "TCP"}},
			"env":            []any{map[string]any{"name": "POD_NAME", "valueFrom": map[string]any{"fieldRef": map[string]any{"apiVersion": "v1", "fieldPath": "metadata.name"}}}, map[string]any{"name": "REGION", "value": "eu-central-1"}},
			"resources":      map[string]any{"limits": map[string]any{"cpu": "500m", "memory": "256Mi"}, "requests": map[string]any{"cpu": "100m", "memory": "128Mi"}},
			"readinessProbe": map[string]any{"httpGet": map[string]any{"path": "/readyz", "port": "http", "scheme": "HTTP"}, "periodSeconds": 10, "timeoutSeconds": 1, "successThreshold": 1, "failureThreshold": 3},
			"securityContext": map[string]any{
				"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true,
				"capabilities": map[string]any{"drop": []string{"ALL"}}, "seccompProfile": map[string]any{"type": "RuntimeDefault"},
			},
			"volumeMounts":             []any{map[string]any{"mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "name": "kube-api-access-x7k2p", "readOnly": true}},
			"terminationMessagePath":   "/dev/termination-log",
			"terminationMessagePolicy": "File",
		})
		managed[fmt.Sprintf("k:{\"name\":%q}", name)] = map[string]any{
			".": map[string]any{}, "f:args": map[string]any{}, "f:image": map[string]any{}, "f:imagePullPolicy": map[string]any{}, "f:name": map[string]any{},
			"f:env":          map[string]any{".": map[string]any{}, "k:{\"name\":\"POD_NAME\"}": map[string]any{".": map[string]any{}, "f:name": map[string]any{}, "f:valueFrom": map[string]any{".": map[string]any{}, "f:fieldRef": map[string]any{}}}, "k:{\"name\":\"REGION\"}": map[string]any{".": map[string]any{}, "f:name": map[string]any{}, "f:value": map[string]any{}}},
			"f:ports":        map[string]any{".": map[string]any{}, "k:{\"containerPort\":8080,\"protocol\":\"TCP\"}": map[string]any{".": map[string]any{}, "f:containerPort": map[string]any{}, "f:name": map[string]any{}, "f:protocol": map[string]any{}}},
			"f:resources":    map[string]any{".": map[string]any{}, "f:limits": map[string]any{".": map[string]any{}, "f:cpu": map[string]any{}, "f:memory": map[string]any{}}, "f:requests": map[string]any{".": map[string]any{}, "f:cpu": map[string]any{}, "f:memory": map[string]any{}}},
			"f:volumeMounts": map[string]any{".": map[string]any{}, "k:{\"mountPath\":\"/tmp\"}": map[string]any{".": map[string]any{}, "f:mountPath": map[string]any{}, "f:name": map[string]any{}}},
		}
	}
	raw, err := json.Marshal(map[string]any{
		"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
		"request": map[string]any{
			"uid": "5b6e0a4c-1f5e-4e5e-9c57-6a7a6f1b8d11", "operation": "CREATE", "namespace": "team-a", "name": "web-7d4b9c6f5-x2x2x",
			"kind":            map[string]any{"group": "", "version": "v1", "kind": "Pod"},
			"resource":        map[string]any{"group": "", "version": "v1", "resource": "pods"},
			"requestKind":     map[string]any{"group": "", "version": "v1", "kind": "Pod"},
			"requestResource": map[string]any{"group": "", "version": "v1", "resource": "pods"},
			"userInfo":        map[string]any{"username": "system:serviceaccount:kube-system:replicaset-controller", "uid": "aa0d", "groups": []string{"system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"}},
			"object": map[string]any{
				"kind": "Pod", "apiVersion": "v1",
				"metadata": map[string]any{
					"name": "web-7d4b9c6f5-x2x2x", "generateName": "web-7d4b9c6f5-", "namespace": "team-a", "uid": "0f7f2b9e-4b62-4dd7-9c0a-1b2c3d4e5f60", "creationTimestamp": "2026-06-01T12:00:00Z",
					"labels":          map[string]any{"app": "web", "pod-template-hash": "7d4b9c6f5", "app.kubernetes.io/name": "web", "app.kubernetes.io/part-of": "shop"},
					"annotations":     map[string]any{"checksum/config": strings.Repeat("ab12", 16), "prometheus.io/scrape": "true"},
					"ownerReferences": []any{map[string]any{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-7d4b9c6f5", "uid": "9a8b7c6d", "controller": true, "blockOwnerDeletion": true}},
					"managedFields":   []any{map[string]any{"manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1", "time": "2026-06-01T12:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": map[string]any{"f:spec": map[string]any{"f:containers": managed, "f:dnsPolicy": map[string]any{}, "f:restartPolicy": map[string]any{}}}}},
				},
				"spec": map[string]any{
					"containers": containers, "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst", "serviceAccountName": "web", "serviceAccount": "web",
					"securityContext": map[string]any{"runAsNonRoot": true, "fsGroup": 1000}, "schedulerName": "default-scheduler", "priority": 0, "enableServiceLinks": true, "preemptionPolicy": "PreemptLowerPriority",
					"tolerations": []any{map[string]any{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}, map[string]any{"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}},
					"volumes":     []any{map[string]any{"name": "kube-api-access-x7k2p", "projected": map[string]any{"defaultMode": 420, "sources": []any{map[string]any{"serviceAccountToken": map[string]any{"expirationSeconds": 3607, "path": "token"}}, map[string]any{"configMap": map[string]any{"name": "kube-root-ca.crt", "items": []any{map[string]any{"key": "ca.crt", "path": "ca.crt"}}}}}}}},
				},
				"status": map[string]any{"phase": "Pending", "qosClass": "Burstable"},
			},
			"oldObject": nil, "dryRun": false, "options": map[string]any{"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
		},
	})
	if err != nil {
		panic(err)
	}
	return post(raw)
}

// post is the request that sends a review.
func post(raw []byte) []byte {
	return append(fmt.Appendf(nil, "POST /validate?timeout=10s HTTP/1.1\r\nHost: hallmark.example\r\nUser-Agent: kube-apiserver-admission\r\nAccept: application/json, */*\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", len(raw)), raw...)
}

// connection is one kept connection.
type connection struct {
	conn   *tls.Conn
	reader *bufio.Reader
	body   []byte
}

func dial(address string, config *tls.Config) (*connection, error) {
	conn, err := tls.Dial("tcp", address, config)
	if err != nil {
		return nil, err
	}
	return &connection{conn: conn, reader: bufio.NewReaderSize(conn, 16<<10)}, nil
}

// ask sends one request and reads the answer: whether it was allowed.
func (c *connection) ask(request []byte) (allowed bool, err error) {
	if err := c.conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return false, err
	}
	if _, err := c.conn.Write(request); err != nil {
		return false, err
	}
	text := textproto.NewReader(c.reader)
	status, err := text.ReadLine()
	if err != nil {
		return false, err
	}
	length := -1
	for {
		line, err := text.ReadLineBytes()
		if err != nil {
			return false, err
		}
		if len(line) == 0 {
			break
		}
		if value, found := bytes.CutPrefix(line, []byte("Content-Length: ")); found {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return false, err
			}
		}
	}
	if length < 0 {
		return false, errors.New("an answer without a length")
	}
	c.body = slices.Grow(c.body[:0], length)[:length]
	if _, err := io.ReadFull(c.reader, c.body); err != nil {
		return false, err
	}
	if !strings.HasPrefix(status, "HTTP/1.1 200 ") {
		return false, fmt.Errorf("%s: %s", status, c.body)
	}
	return bytes.Contains(c.body, []byte(`"allowed":true`)), nil
}

// question is a request and whether it must be allowed.
type question struct {
	request []byte
	allowed bool
}

// outcome is what came of a load.
type outcome struct {
	times  []time.Duration
	failed []error // connections that broke
	wrong  []error // answers that were not what they must be
	took   time.Duration
}

// put keeps so many connections busy until the time is up, or until each has broken and
// could not be made again.
func put(address string, config *tls.Config, connections int, during time.Duration, questions []question) *outcome {
	var mu sync.Mutex
	all := &outcome{}
	started := time.Now()
	end := started.Add(during)
	var wait sync.WaitGroup
	for n := range connections {
		wait.Go(func() {
			own := &outcome{}
			own.run(address, config, end, questions, n)
			mu.Lock()
			defer mu.Unlock()
			all.times = append(all.times, own.times...)
			all.failed, all.wrong = append(all.failed, own.failed...), append(all.wrong, own.wrong...)
		})
	}
	wait.Wait()
	all.took = time.Since(started)
	slices.Sort(all.times)
	return all
}

func (o *outcome) run(address string, config *tls.Config, end time.Time, questions []question, from int) {
	var c *connection
	defer func() {
		if c != nil {
			c.conn.Close()
		}
	}()
	for i := from; time.Now().Before(end); i++ {
		if c == nil {
			made, err := dial(address, config)
			if err != nil {
				o.failed = append(o.failed, err)
				time.Sleep(10 * time.Millisecond)
				continue
			}
			c = made
		}
		q := questions[i%len(questions)]
		began := time.Now()
		allowed, err := c.ask(q.request)
		if err != nil {
			o.failed = append(o.failed, err)
			c.conn.Close()
			c = nil
			continue
		}
		o.times = append(o.times, time.Since(began))
		if allowed != q.allowed {
			o.wrong = append(o.wrong, fmt.Errorf("allowed: %t; %.300s", allowed, c.body))
		}
	}
}

// at is a percentile.
func (o *outcome) at(percent float64) time.Duration {
	if len(o.times) == 0 {
		return 0
	}
	return o.times[min(int(float64(len(o.times))*percent/100), len(o.times)-1)]
}

func (o *outcome) String() string {
	return fmt.Sprintf("%d answers in %.1fs: %.0f a second; p50 %s, p99 %s, most %s; %d broken, %d wrong",
		len(o.times), o.took.Seconds(), float64(len(o.times))/o.took.Seconds(), o.at(50).Round(time.Microsecond), o.at(99).Round(time.Microsecond), o.at(100).Round(time.Microsecond), len(o.failed), len(o.wrong))
}
