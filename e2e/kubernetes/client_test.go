package kubernetes

import (
	"net/http"
	"strings"
	"testing"
)

// TestClientCertificate: a server that wants the API server's certificate answers it, and
// nobody who just reaches the port (AD-22).
func TestClientCertificate(t *testing.T) {
	t.Parallel()
	i := newImages(t)
	good, bad := i.signed("team/app", "1").TagRef(), i.unsigned("team/app", "2").TagRef()
	clients := newAuthority(t, "somebody else's clients")
	v := serve(t, i.policy(), settings{
		flags: []string{"--client-ca", "FOLDER/clients.crt"}, files: map[string]string{"clients.crt": string(started.clients)},
	})
	strangers, namespace := namespace(t, "strangers"), namespace(t, "clients")
	register(t, v.address, v.authority, nil, namespace)
	effective(t, namespace)
	pods := in(t, namespace, "pods/v1")
	_, err := pods.try(pod("app", good))
	allowed(t, err)
	_, err = pods.try(pod("app", bad))
	refused(t, err, bad)

	asked := i.Budgeted()
	for _, path := range []string{"/validate", "/v1/verify"} {
		answer, err := v.client.Post("https://"+v.address+path, "application/json", strings.NewReader(`{"images":["`+good+`"]}`))
		if err != nil {
			continue // the handshake was refused
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusUnauthorized && answer.StatusCode != http.StatusForbidden {
			t.Errorf("AD-22 %s without a certificate: %s", path, answer.Status)
		}
	}
	if n := i.Budgeted() - asked; n != 0 {
		t.Errorf("AD-22 %d requests were made to the registry for a stranger", n)
	}
	if status, _, err := v.get("/readyz"); err != nil || status != http.StatusOK {
		t.Errorf("a probe without a certificate: %d %v", status, err)
	}

	// The API server's certificate is not by an authority that this one knows.
	other := serve(t, i.policy(), settings{
		flags: []string{"--client-ca", "FOLDER/clients.crt"}, files: map[string]string{"clients.crt": string(clients.bundle)},
	})
	register(t, other.address, other.authority, nil, strangers)
	effective(t, strangers)
	if _, err := in(t, strangers, "pods/v1").try(pod("app", good)); err == nil || !strings.Contains(err.Error(), "failed calling webhook") {
		t.Errorf("AD-22 with a stranger's certificate: %v", err)
	}
}
