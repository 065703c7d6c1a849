package kubernetes

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"testing"

	admission "k8s.io/api/admission/v1"
)

// trivial is a webhook that reads a review and answers, without looking at images: what
// any webhook costs, and a sidecar injector.
type trivial struct {
	address   string
	authority *authority
	asked     atomic.Int64
	patch     func(*admission.AdmissionRequest) []byte // nil patches nothing
}

func newTrivial(t testing.TB, patch func(*admission.AdmissionRequest) []byte) *trivial {
	t.Helper()
	w := &trivial{address: freeAddress(t), authority: newAuthority(t, "trivial"), patch: patch}
	folder := t.TempDir()
	w.authority.write(t, folder)
	certificate, err := tls.LoadX509KeyPair(filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: w}
	listener, err := tls.Listen("tcp", w.address, &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		server.Serve(listener)
		close(ended)
	}()
	t.Cleanup(func() {
		server.Close()
		<-ended
	})
	return w
}

// ServeHTTP allows.
func (w *trivial) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	w.asked.Add(1)
	raw, err := io.ReadAll(io.LimitReader(request.Body, 4<<20))
	var review admission.AdmissionReview
	if err != nil || json.Unmarshal(raw, &review) != nil || review.Request == nil {
		http.Error(writer, "not a review", http.StatusBadRequest)
		return
	}
	answer := &admission.AdmissionResponse{UID: review.Request.UID, Allowed: true}
	if w.patch != nil && request.URL.Path == "/mutate" {
		if patch := w.patch(review.Request); patch != nil {
			kind := admission.PatchTypeJSONPatch
			answer.Patch, answer.PatchType = patch, &kind
		}
	}
	review.Request, review.Response = nil, answer
	writer.Header().Set("Content-Type", "application/json")
	json.NewEncoder(writer).Encode(review)
}

// newInjector adds a container with an image to each Pod that is made, once.
func newInjector(t testing.TB, image string) *trivial {
	return newTrivial(t, func(request *admission.AdmissionRequest) []byte {
		var pod struct {
			Spec struct {
				Containers []struct{ Name string } `json:"containers"`
			} `json:"spec"`
		}
		if request.Resource.Resource != "pods" || json.Unmarshal(request.Object.Raw, &pod) != nil {
			return nil
		}
		for _, container := range pod.Spec.Containers {
			if container.Name == "injected" {
				return nil
			}
		}
		return fmt.Appendf(nil, `[{"op":"add","path":"/spec/containers/-","value":{"name":"injected","image":%q}}]`, image)
	})
}
