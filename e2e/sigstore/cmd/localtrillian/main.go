// Localtrillian is Trillian's log server and a certificate-transparency log in one
// process, with storage in memory: a backend for Rekor v1 and Fulcio's CT log, without
// MySQL, etcd or Redis. It is for tests alone; what it holds is gone when it ends.
package main

import (
	"context"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/google/certificate-transparency-go/trillian/ctfe"
	"github.com/google/certificate-transparency-go/trillian/ctfe/configpb"
	"github.com/google/trillian"
	"github.com/google/trillian/client"
	"github.com/google/trillian/crypto/keys"
	"github.com/google/trillian/crypto/keys/der"
	"github.com/google/trillian/crypto/keyspb"
	"github.com/google/trillian/extension"
	tlog "github.com/google/trillian/log"
	"github.com/google/trillian/monitoring"
	"github.com/google/trillian/quota"
	"github.com/google/trillian/server"
	"github.com/google/trillian/server/admin"
	"github.com/google/trillian/server/interceptor"
	"github.com/google/trillian/storage/memory"
	"github.com/google/trillian/util/clock"
	"github.com/google/trillian/util/election2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"k8s.io/klog/v2"
)

// sequencing is how often new leaves are integrated: a signature waits for it once.
const sequencing = 50 * time.Millisecond

// options are the command line.
type options struct {
	grpc, http string
	prefix     string
	key, roots string
}

func main() {
	var o options
	flag.StringVar(&o.grpc, "grpc", "", "address of Trillian's gRPC server")
	flag.StringVar(&o.http, "http", "", "address of the CT log")
	flag.StringVar(&o.prefix, "prefix", "ct", "path of the CT log")
	flag.StringVar(&o.key, "ct-key", "", "PEM file with the CT log's private key")
	flag.StringVar(&o.roots, "ct-roots", "", "PEM file with the root certificates that the CT log accepts")
	flag.Parse()
	// The memory storage warns at each pass of the sequencer.
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "localtrillian:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	storage := memory.NewTreeStorage()
	metrics := monitoring.InertMetricFactory{}
	registry := extension.Registry{
		AdminStorage:    memory.NewAdminStorage(storage),
		LogStorage:      memory.NewLogStorage(storage, metrics),
		ElectionFactory: election2.NoopFactory{},
		QuotaManager:    quota.Noop(),
		MetricFactory:   metrics,
	}
	failed := make(chan error, 2)
	listener, err := net.Listen("tcp", o.grpc)
	if err != nil {
		return fmt.Errorf("listening for gRPC: %w", err)
	}
	grpcServer := grpc.NewServer(grpc.UnaryInterceptor(interceptor.ErrorWrapper))
	trillian.RegisterTrillianAdminServer(grpcServer, admin.New(registry, nil))
	trillian.RegisterTrillianLogServer(grpcServer, server.NewTrillianLogRPCServer(registry, clock.System))
	go func() { failed <- grpcServer.Serve(listener) }()
	defer grpcServer.Stop()

	operations := tlog.NewOperationManager(tlog.OperationInfo{
		Registry: registry, BatchSize: 1000, NumWorkers: 2, RunInterval: sequencing, TimeSource: clock.System,
	}, tlog.NewSequencerManager(registry, 0))
	go operations.OperationLoop(ctx)

	handler, err := ctLog(ctx, o, metrics)
	if err != nil {
		return fmt.Errorf("starting the CT log: %w", err)
	}
	httpServer := &http.Server{Addr: o.http, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() { failed <- httpServer.ListenAndServe() }()
	defer httpServer.Close()

	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

// ctLog makes a tree for the CT log and the handlers of RFC 6962 in front of it.
func ctLog(ctx context.Context, o options, metrics monitoring.MetricFactory) (http.Handler, error) {
	connection, err := grpc.NewClient(o.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	logs := trillian.NewTrillianLogClient(connection)
	tree, err := client.CreateAndInitTree(ctx, &trillian.CreateTreeRequest{Tree: &trillian.Tree{
		TreeState: trillian.TreeState_ACTIVE, TreeType: trillian.TreeType_LOG,
		DisplayName: "ct", MaxRootDuration: durationpb.New(time.Hour),
	}}, trillian.NewTrillianAdminClient(connection), logs)
	if err != nil {
		return nil, fmt.Errorf("making a tree: %w", err)
	}
	text, err := os.ReadFile(o.key)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("reading the key: no PEM block")
	}
	keys.RegisterHandler(&keyspb.PrivateKey{}, der.FromProto)
	key, err := anypb.New(&keyspb.PrivateKey{Der: block.Bytes})
	if err != nil {
		return nil, err
	}
	validated, err := ctfe.ValidateLogConfig(&configpb.LogConfig{
		LogId: tree.TreeId, Prefix: o.prefix, RootsPemFile: []string{o.roots}, PrivateKey: key,
		ExtKeyUsages: []string{"CodeSigning"}, MaxMergeDelaySec: 86400, ExpectedMergeDelaySec: 120,
	})
	if err != nil {
		return nil, err
	}
	instance, err := ctfe.SetUpInstance(ctx, ctfe.InstanceOptions{
		Validated: validated, Client: logs, Deadline: 10 * time.Second, MetricFactory: metrics, RequestLog: new(ctfe.DefaultRequestLog),
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	for path, handler := range instance.Handlers {
		mux.Handle(path, handler)
	}
	mux.HandleFunc("/healthz", func(http.ResponseWriter, *http.Request) {})
	return mux, nil
}
