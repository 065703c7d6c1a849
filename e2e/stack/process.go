package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// process is one running server.
type process struct {
	name    string
	command *exec.Cmd
	log     string        // file
	ended   chan struct{} // closed when it has ended
}

// logTail is how much of a server's log an error shows.
const logTail = 2000

// run starts a server whose output goes to a log file. The kernel ends it when this
// process is killed, so that nothing is left behind.
func (s *Stack) run(name string, environment []string, program string, args ...string) (*process, error) {
	p := &process{name: name, log: s.path(name + ".log"), ended: make(chan struct{})}
	output, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer output.Close() // the child has its own
	p.command = exec.Command(program, args...)
	p.command.Dir = s.Dir
	p.command.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.Dir, "TMPDIR=" + s.Dir}, environment...)
	p.command.Stdout, p.command.Stderr = output, output
	p.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.command.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		p.command.Wait() // why it ended is in its log
		close(p.ended)
	}()
	s.processes = append(s.processes, p)
	return p, nil
}

// ready waits until a server answers a GET with 200.
func (p *process) ready(ctx context.Context, url string) error {
	client := &http.Client{Timeout: 2 * time.Second}
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if answer, err := client.Do(request); err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended:\n%s", p.name, p.tail())
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s at %s: %w:\n%s", p.name, url, ctx.Err(), p.tail())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stop ends the server: at first with SIGTERM, after a while with SIGKILL.
func (p *process) stop() {
	p.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(2 * time.Second):
		p.command.Process.Kill()
		<-p.ended
	}
}

// tail is the end of the server's log.
func (p *process) tail() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(text[max(0, len(text)-logTail):]))
}

// The range that ports are chosen from: below the one from which the kernel gives
// ports to listeners that ask for none, so that no test's server takes one meanwhile.
const (
	firstPort = 15000
	lastPort  = 32000
)

// chooseAddresses finds free ports.
func (s *Stack) chooseAddresses() error {
	a := &s.addresses
	for _, address := range []*string{
		&a.trillian, &a.ct, &a.fulcio, &a.fulcioGRPC, &a.fulcioMetrics, &a.noCT, &a.noCTGRPC, &a.noCTMetrics,
		&a.rekor1, &a.rekor2[0].http, &a.rekor2[0].grpc, &a.rekor2[0].metrics, &a.rekor2[0].front, &a.rekor2[1].http, &a.rekor2[1].grpc,
		&a.rekor2[1].metrics, &a.rekor2[1].front, &a.tsa[0], &a.tsa[1], &a.oidc, &a.connect, &a.repository,
	} {
		chosen, err := FreeAddress()
		if err != nil {
			return err
		}
		*address = chosen
	}
	// A log's name is its host: the second has another.
	a.rekor2[1].front = net.JoinHostPort("127.0.0.2", portOf(a.rekor2[1].front))
	return nil
}

// FreeAddress is a loopback address that nobody listens at, and that nobody is given who
// asks the kernel for any. Two callers are not given one address.
func FreeAddress() (string, error) {
	given.mu.Lock()
	defer given.mu.Unlock()
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if given.ports[port] {
			continue
		}
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if listener, err := net.Listen("tcp", address); err == nil {
			listener.Close()
			given.ports[port] = true
			return address, nil
		}
	}
	return "", errors.New("choosing a port: all that were tried are taken")
}

// given are the ports that this process has given away.
var given = struct {
	mu    sync.Mutex
	ports map[int]bool
}{ports: map[int]bool{}}

// portOf is the port of a host:port pair that [FreeAddress] made.
func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}
