// Package kubernetes tests hallmark-verify at a real kube-apiserver: Kubernetes' own
// binary with etcd behind it, hallmark-verify as a process, and a registry whose
// requests are counted and which fails when it is told to.
//
// There are no nodes and no controllers: what is tested is what the API server stores.
package kubernetes

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// started is the one API server of a run. Tests share it and keep to namespaces of
// their own.
var started struct {
	config     *rest.Config
	client     *kubernetes.Clientset
	kubectl    string // the program
	clients    []byte // the authority of the certificate that the API server shows to webhooks
	kubeconfig string // a file
}

// background outlives a test: what cleans up after one asks with it.
var background = context.Background()

// atEnd has something done after the last test.
func atEnd(do func()) {
	ending.Lock()
	defer ending.Unlock()
	ending.all = append(ending.all, do)
}

var ending struct {
	sync.Mutex
	all []func()
}

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "preparing the tests:", err)
		code = 1
	}
	os.Exit(code)
}

// run starts the API server, runs the tests and stops it, also on Ctrl-C.
func run(m *testing.M) (code int, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	programs, err := controlPlane(ctx)
	if err != nil {
		return 0, err
	}
	etcd, err := findEtcd()
	if err != nil {
		return 0, err
	}
	folder, err := os.MkdirTemp("", "hallmark-kubernetes-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(folder)

	environment := &envtest.Environment{
		ControlPlaneStartTimeout: 3 * time.Minute,
		ControlPlaneStopTimeout:  time.Minute,
		AttachControlPlaneOutput: os.Getenv("HALLMARK_E2E_VERBOSE") != "",
	}
	server := environment.ControlPlane.GetAPIServer()
	server.Path = programs["kube-apiserver"]
	environment.ControlPlane.Etcd = &envtest.Etcd{Path: etcd}
	environment.ControlPlane.KubectlPath = programs["kubectl"]
	// RBAC decides for the accounts that hallmark-verify uses; envtest's own user is
	// of the group system:masters.
	server.Configure().Set("authorization-mode", "RBAC")
	admission, clients, err := showCertificate(folder)
	if err != nil {
		return 0, fmt.Errorf("making the API server's client certificate: %w", err)
	}
	server.Configure().Set("admission-control-config-file", admission)
	started.clients = clients
	config, err := environment.Start()
	if err != nil {
		return 0, fmt.Errorf("starting the API server: %w", errors.Join(err, environment.Stop()))
	}
	defer func() { err = errors.Join(err, environment.Stop()) }()
	forget := context.AfterFunc(ctx, func() {
		environment.Stop()
		os.RemoveAll(folder)
		os.Exit(130)
	})
	defer forget()

	config.QPS = -1 // the tests measure the server, not the client's own throttle
	config.WarningHandler = rest.NoWarnings{}
	started.config = config
	if started.client, err = kubernetes.NewForConfig(config); err != nil {
		return 0, err
	}
	admin, err := environment.AddUser(envtest.User{Name: "admin", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		return 0, fmt.Errorf("adding a user: %w", err)
	}
	kubeconfig, err := admin.KubeConfig()
	if err != nil {
		return 0, fmt.Errorf("making a kubeconfig: %w", err)
	}
	started.kubectl, started.kubeconfig = programs["kubectl"], filepath.Join(folder, "kubeconfig")
	if err := os.WriteFile(started.kubeconfig, kubeconfig, 0o600); err != nil {
		return 0, err
	}
	code = m.Run()
	for _, do := range ending.all {
		do()
	}
	return code, nil
}

// showCertificate writes what makes an API server show a client certificate to every
// webhook, and returns the configuration's path and the certificate's authority.
func showCertificate(folder string) (path string, authority []byte, err error) {
	clients, err := makeAuthority("clients of webhooks")
	if err != nil {
		return "", nil, err
	}
	certificate, key, err := clients.issue("kube-apiserver", x509.ExtKeyUsageClientAuth)
	if err != nil {
		return "", nil, err
	}
	kubeconfig := filepath.Join(folder, "webhooks.kubeconfig")
	text := fmt.Sprintf("{apiVersion: v1, kind: Config, users: [{name: '*', user: {client-certificate-data: %s, client-key-data: %s}}]}\n",
		base64.StdEncoding.EncodeToString(certificate), base64.StdEncoding.EncodeToString(key))
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		return "", nil, err
	}
	path = filepath.Join(folder, "admission.yaml")
	text = "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins:\n"
	for _, plugin := range []string{"ValidatingAdmissionWebhook", "MutatingAdmissionWebhook"} {
		text += fmt.Sprintf("  - name: %s\n    configuration: {apiVersion: apiserver.config.k8s.io/v1, kind: WebhookAdmissionConfiguration, kubeConfigFile: %q}\n", plugin, kubeconfig)
	}
	return path, clients.bundle, os.WriteFile(path, []byte(text), 0o600)
}

// findEtcd finds Debian's etcd, or the one that $ETCD names.
func findEtcd() (string, error) {
	if path := os.Getenv("ETCD"); path != "" {
		return path, nil
	}
	path, err := exec.LookPath("etcd")
	if err != nil {
		return "", fmt.Errorf("finding etcd: %w (Debian and Ubuntu: apt-get install etcd-server; or name the program in $ETCD)", err)
	}
	return path, nil
}
