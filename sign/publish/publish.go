// Package publish is the only code of Hallmark that writes to a registry. It hangs
// signed evidence on an image: as an OCI 1.1 referrer, or under cosign's tags.
//
//	client := oci.NewClient(oci.Options{Push: true})
//	publisher := publish.New(client)
//	result, err := publisher.Attach(ctx, ref, subject, evidence, verifier)
//
// Everything can be run twice: evidence of the same key over the same words is
// kept, and nothing is added. What makes evidence visible is always written last,
// so that a run that is cut short leaves nothing half visible.
package publish

import (
	"errors"
	"fmt"
	"sync"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/sign"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// Errors of this package.
var (
	// ErrNotStored: the registry did not take the evidence; nothing is visible.
	ErrNotStored = errors.New("signature not stored")
	// ErrNotListed: the evidence is stored, but other writers kept it off the list.
	// Run the command again.
	ErrNotListed = errors.New("signature stored but not listed")
)

// Result says what became of one piece of evidence.
type Result struct {
	// Subject is the digest that it hangs on.
	Subject digest.Digest
	// Manifest carries it.
	Manifest digest.Digest
	// Place is how readers find it: "referrers-api", "referrers-tag" or the tag.
	Place string
	// Existing tells that equal evidence was there and nothing was written.
	Existing bool
}

// Publisher writes through one client. Safe for concurrent use.
type Publisher struct {
	client *oci.Client
	mu     sync.Mutex
	locks  map[string]*sync.Mutex
	stored map[string]bool // repository and digest of blobs that were uploaded
}

// New returns a publisher. The client's options must have Push set.
func New(client *oci.Client) *Publisher {
	return &Publisher{client: client, locks: make(map[string]*sync.Mutex), stored: make(map[string]bool)}
}

// Client returns the client that the publisher writes through.
func (p *Publisher) Client() *oci.Client { return p.client }

// lock serialises the writers of one list in this process; other processes are
// dealt with by rereading.
func (p *Publisher) lock(name string) func() {
	p.mu.Lock()
	l := p.locks[name]
	if l == nil {
		l = &sync.Mutex{}
		p.locks[name] = l
	}
	p.mu.Unlock()
	l.Lock()
	return l.Unlock
}

// same reports whether found is evidence of the same signer over the same words as
// wanted: adding wanted beside it would add nothing.
func same(v *verify.Verifier, wanted sign.Evidence, found verify.Evidence) bool {
	fact, err := v.Check(verify.Subject{Digest: wanted.Subject}, found)
	if err != nil || !fact.Signer.Same(wanted.Signer) {
		return false
	}
	mine := wanted.Fact // proved when it was signed
	if mine.Kind != fact.Kind || mine.Subject.Digest != wanted.Subject {
		return false
	}
	if (mine.Statement == nil) != (fact.Statement == nil) {
		return false
	}
	if mine.Statement == nil {
		return string(found.Raw) == string(wanted.Raw)
	}
	a, errA := statementBytes(mine)
	b, errB := statementBytes(fact)
	return errA == nil && errB == nil && a == b
}

// storedAlready remembers uploads, so that a batch uploads equal blobs once.
func (p *Publisher) storedAlready(ref oci.Reference, d digest.Digest) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stored[ref.Name()+"@"+d.String()]
}

func (p *Publisher) remember(ref oci.Reference, d digest.Digest) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stored[ref.Name()+"@"+d.String()] = true
}

// notStored marks an error of writing.
func notStored(err error) error {
	if err == nil || errors.Is(err, ErrNotStored) || errors.Is(err, ErrNotListed) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrNotStored, err)
}
