package credentials

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/hallmark-project/hallmark/attest/strictjson"
	"github.com/hallmark-project/hallmark/attest/wholefile"
)

const (
	// maxObject bounds an answer: a Secret has 1 MiB, a third more in base64, and its
	// metadata.
	maxObject = 2 << 20
	// maxFile bounds token and authority files; they have some kilobytes.
	maxFile = 256 << 10
	// apiTimeout bounds one question beside the caller's deadline.
	apiTimeout = 5 * time.Second
)

// errAbsent: the object is not there, may not be read, or is of another kind. It is
// passed over.
var errAbsent = errors.New("passed over")

// API asks a Kubernetes API server for single objects, with a few lines of HTTP. Safe
// for concurrent use.
type API struct {
	address, tokenFile, caFile string

	mu     sync.Mutex
	ca     []byte
	client *http.Client
}

// InClusterFolder is where Kubernetes mounts a Pod's token and the API server's
// authority.
const InClusterFolder = "/var/run/secrets/kubernetes.io/serviceaccount"

// InCluster returns the API of the cluster that the program runs in, as the kubelet says
// it in the environment. The folder holds the files token and ca.crt, as
// [InClusterFolder] does.
func InCluster(getenv func(string) string, folder string) (*API, error) {
	host, port := getenv("KUBERNETES_SERVICE_HOST"), getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return nil, errors.New("reading pull secrets: there is no KUBERNETES_SERVICE_HOST; this is no Pod")
	}
	return NewAPI("https://"+net.JoinHostPort(host, port), filepath.Join(folder, "token"), filepath.Join(folder, "ca.crt"))
}

// NewAPI returns the API at an https address. The token and the authorities that sign the
// server's certificate are files, which are read again when they are needed: both are
// replaced while a Pod runs.
func NewAPI(address, tokenFile, caFile string) (*API, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return nil, fmt.Errorf("reading pull secrets: %q is no https address of an API server", address)
	}
	return &API{address: "https://" + u.Host, tokenFile: tokenFile, caFile: caFile}, nil
}

// metadata is that of every object.
type metadata struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
}

// secret reads a Secret with docker's credentials.
func (a *API) secret(ctx context.Context, namespace, secret string) (*Credentials, error) {
	what := "reading secret " + secret + " in " + namespace
	var object struct {
		Kind     string            `json:"kind"`
		Metadata metadata          `json:"metadata"`
		Type     string            `json:"type"`
		Data     map[string][]byte `json:"data"`
	}
	if err := a.get(ctx, "secrets", namespace, secret, &object); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if object.Kind != "Secret" || object.Metadata != (metadata{secret, namespace}) {
		return nil, fmt.Errorf("%s: the API server answered with another object", what)
	}
	var c *Credentials
	var err error
	switch object.Type {
	case "kubernetes.io/dockerconfigjson":
		c, err = Parse(object.Data[".dockerconfigjson"])
	case "kubernetes.io/dockercfg":
		c, err = ParseLegacy(object.Data[".dockercfg"])
	default:
		return nil, fmt.Errorf("%s: it is not of a type that holds registry credentials: %w", what, errAbsent)
	}
	if err != nil && !errors.Is(err, ErrHelpers) { // a kubelet runs none either
		return nil, fmt.Errorf("%s: %w: %w", what, errAbsent, err)
	}
	return c, nil
}

// serviceAccount reads which secrets a service account names.
func (a *API) serviceAccount(ctx context.Context, namespace, account string) ([]string, error) {
	what := "reading service account " + account + " in " + namespace
	var object struct {
		Kind             string   `json:"kind"`
		Metadata         metadata `json:"metadata"`
		ImagePullSecrets []struct {
			Name string `json:"name"`
		} `json:"imagePullSecrets"`
	}
	if err := a.get(ctx, "serviceaccounts", namespace, account, &object); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if object.Kind != "ServiceAccount" || object.Metadata != (metadata{account, namespace}) {
		return nil, fmt.Errorf("%s: the API server answered with another object", what)
	}
	var all []string
	for _, secret := range object.ImagePullSecrets {
		all = append(all, secret.Name)
	}
	return all, nil
}

// get asks for one object. Both names have been checked: neither can leave its part of
// the path. Nothing that the server says is quoted, since it may hold a secret.
func (a *API) get(ctx context.Context, resource, namespace, object string, into any) error {
	token, err := wholefile.ReadFile(a.tokenFile, maxFile)
	if err != nil {
		return fmt.Errorf("reading the service account's token: %w", err)
	}
	client, err := a.connect()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.address+"/api/v1/namespaces/"+namespace+"/"+resource+"/"+object, nil)
	if err != nil {
		return errors.New("the address of the API server is none")
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	request.Header.Set("Accept", "application/json")
	answer, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("asking the API server: %w", err)
	}
	defer answer.Body.Close() //nolint:errcheck // it was only read
	raw, err := io.ReadAll(io.LimitReader(answer.Body, maxObject+1))
	switch {
	case err != nil:
		return fmt.Errorf("asking the API server: %w", err)
	case answer.StatusCode == http.StatusNotFound:
		return fmt.Errorf("it is not there: %w", errAbsent)
	case answer.StatusCode == http.StatusForbidden:
		return fmt.Errorf("this program may not read it: %w", errAbsent)
	case answer.StatusCode != http.StatusOK:
		return fmt.Errorf("asking the API server: it answered %d", answer.StatusCode)
	case len(raw) > maxObject:
		return fmt.Errorf("asking the API server: more than %d bytes", maxObject)
	}
	if strictjson.Check(raw) != nil || json.Unmarshal(raw, into) != nil {
		return errors.New("the API server's answer is no such object")
	}
	return nil
}

// connect returns a client for the authorities of now. It follows no redirect, asks no
// proxy and speaks TLS 1.2 or newer.
func (a *API) connect() (*http.Client, error) {
	ca, err := wholefile.ReadFile(a.caFile, maxFile)
	if err != nil {
		return nil, fmt.Errorf("reading the API server's authority: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.client != nil && bytes.Equal(ca, a.ca) {
		return a.client, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, errors.New("reading the API server's authority: the file holds no certificate")
	}
	if a.client != nil {
		a.client.CloseIdleConnections()
	}
	a.ca, a.client = ca, &http.Client{
		Transport: &http.Transport{
			TLSClientConfig:       &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
			MaxIdleConnsPerHost:   4,
			MaxConnsPerHost:       16, // a burst of Pods must not become one on the API server
			IdleConnTimeout:       time.Minute,
			TLSHandshakeTimeout:   apiTimeout,
			ResponseHeaderTimeout: apiTimeout,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return a.client, nil
}

// Close ends idle connections.
func (a *API) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.client != nil {
		a.client.CloseIdleConnections()
	}
}
