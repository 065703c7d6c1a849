package gate_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/verify/oci"
	"github.com/hallmark-project/hallmark/verify/trust"
)

// May this image run? The registry of this example is empty, so the answer is
// neither yes nor no.
func ExampleGate_Judge() {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()

	key, err := trust.NewKey(ed25519.NewKeyFromSeed(make([]byte, 32)).Public())
	if err != nil {
		log.Fatal(err)
	}
	p, err := policy.ForKey(key)
	if err != nil {
		log.Fatal(err)
	}
	g := gate.New(p, oci.NewClient(oci.Options{}), gate.Options{Timeout: time.Minute})
	image := g.Judge(context.Background(), strings.TrimPrefix(server.URL, "http://")+"/team/app:1.0")
	switch image.Verdict {
	case policy.Allow:
		fmt.Println("run", image.Digest)
	default:
		fmt.Println("do not run it:", image.Verdict, image.Reason)
	}
	// Output: do not run it: undetermined IMAGE_NOT_FOUND
}

// A server keeps decisions. The gates of several policies share one cache, and the same
// question is not asked twice.
func ExampleCache() {
	cache := gate.NewCache(gate.CacheOptions{MaxAge: 10 * time.Minute})
	defer cache.Close()

	client := oci.NewClient(oci.Options{Hosts: []string{"registry.example"}})
	g := gate.New(&policy.Policy{}, client, gate.Options{Cache: cache, Timeout: 30 * time.Second})
	ctx, cancel := context.WithTimeout(context.Background(), 9*time.Second)
	defer cancel()
	image := g.Judge(ctx, "registry.example/app:1.0")
	fmt.Println(image.Verdict, image.Cached, image.Requests)
	// Output: deny false 0
}

// A report for people, of one image that nobody governs.
func ExampleGate_JudgeAll() {
	g := gate.New(&policy.Policy{}, oci.NewClient(oci.Options{}), gate.Options{})
	images := g.JudgeAll(context.Background(), "registry.example/app:1.0")
	r := report.New(&policy.Policy{}, time.Now(), images...)
	if err := r.WriteText(os.Stdout, report.Style{}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Verdict)
	// Output:
	// DENY POLICY_NO_MATCH  registry.example/app:1.0
	//   policy      no rule of  (no digest)
	//   images      not met (POLICY_NO_MATCH)
	//               wanted:  a rule that governs the image
	//               found:   no rule of policy "" matches registry.example/app
	//               to do:   add a rule whose `images` match the name, or correct the name
	// deny
}
