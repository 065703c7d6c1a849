package gate

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/trust"
)

// checker checks evidence with one anchor of a plan.
type checker struct {
	name     string
	keyless  bool
	verifier *verify.Verifier
}

// checkerKey names a checker by what it trusts and asks for, so that rules and
// images share it.
type checkerKey struct {
	root string
	need trust.Requirement
}

// prepared are the checkers that a gate has made so far.
type prepared struct {
	mu       sync.Mutex
	checkers map[checkerKey]checker
}

// checkers are those of one plan, keys first.
type checkers []checker

// checkersOf returns the checkers of a plan. Each root is prepared once.
func (g *Gate) checkersOf(plan policy.Plan) (checkers, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all checkers
	for _, anchor := range plan.Roots {
		key := checkerKey{anchor.Root.Digest().String(), anchor.Need}
		one, known := g.checkers[key]
		if !known {
			v, err := verify.New(anchor.Root, anchor.Need, g.options.Now)
			if err != nil {
				if anchor.Name != "" {
					err = fmt.Errorf("preparing trust root %s: %w", anchor.Name, err)
				}
				return nil, err
			}
			one = checker{keyless: anchor.Root.Keyless(), verifier: v}
			g.checkers[key] = one
		}
		one.name = anchor.Name
		all = append(all, one)
	}
	return all, nil
}

// check proves one piece with the first root that can. If none can, the refusal
// that got furthest is returned: the others only say that they do not know the
// signer.
func (all checkers) check(s verify.Subject, e verify.Evidence) (verify.Fact, *verify.Rejection) {
	var nearest *verify.Rejection
	var name string
	for _, one := range all.fitting(e) {
		fact, err := one.verifier.Check(s, e)
		if err == nil {
			return fact, nil
		}
		rejection, isRejection := err.(*verify.Rejection) //nolint:errorlint // Check promises exactly this type
		if !isRejection {
			rejection = &verify.Rejection{Origin: e.Origin, Step: verify.StepParse, Reason: verify.ReasonInternal, Err: err}
		}
		if nearest == nil || progress(rejection) > progress(nearest) {
			nearest, name = rejection, one.name
		}
	}
	if nearest == nil {
		nearest = &verify.Rejection{Origin: e.Origin, Step: verify.StepParse, Reason: verify.ReasonInternal, Err: fmt.Errorf("no trust root to check it with")}
	}
	if name != "" && len(all) > 1 {
		with := *nearest
		with.Err = fmt.Errorf("with trust root %s: %w", name, nearest.Err)
		nearest = &with
	}
	return verify.Fact{}, nearest
}

// steps are in the order in which a check that gets further reaches them.
var steps = [...]verify.Step{
	verify.StepParse, verify.StepLog, verify.StepTimestamp, verify.StepCertificate, verify.StepSCT,
	verify.StepSignature, verify.StepStatement, verify.StepSubject,
}

// progress says how far a check got. A signer that the root does not know at all is
// the least that a refusal can say.
func progress(r *verify.Rejection) int {
	switch r.Reason {
	case verify.ReasonKeyMismatch, verify.ReasonCertificateChain:
		return -1
	}
	return slices.Index(steps[:], r.Step)
}

// fitting returns the checkers that can have something to say about a piece: of
// evidence with a certificate those that trust authorities, of evidence with a
// key those that trust keys. What the piece says of itself is not trusted: it only
// saves attempts, and where it says nothing, or nothing fits, all are tried.
func (all checkers) fitting(e verify.Evidence) checkers {
	if len(all) < 2 {
		return all
	}
	certificate, key := claims(e)
	if certificate == key {
		return all
	}
	var some checkers
	for _, one := range all {
		if one.keyless == certificate {
			some = append(some, one)
		}
	}
	if len(some) == 0 {
		return all
	}
	return some
}

// claims reports whether a piece says that it was signed with a certificate, or
// with a key.
func claims(e verify.Evidence) (certificate, key bool) {
	if e.Format != verify.FormatBundle {
		certificate = e.Annotations[verify.LegacyCertificateAnnotation] != ""
		return certificate, !certificate
	}
	if len(e.Raw) > verify.MaxEvidenceBytes {
		return false, false
	}
	var bundle struct {
		VerificationMaterial struct {
			Chain       json.RawMessage `json:"x509CertificateChain"`
			Certificate json.RawMessage `json:"certificate"`
			PublicKey   json.RawMessage `json:"publicKey"`
		} `json:"verificationMaterial"`
	}
	if json.Unmarshal(e.Raw, &bundle) != nil {
		return false, false
	}
	m := bundle.VerificationMaterial
	return m.Chain != nil || m.Certificate != nil, m.PublicKey != nil
}
