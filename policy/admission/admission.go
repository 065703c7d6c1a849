// Package admission answers Kubernetes' AdmissionReview: may the images of this
// object run here?
//
//	reviewer, err := admission.New(judge, admission.Options{})
//	answer := reviewer.Validate(ctx, body)
//	w.WriteHeader(answer.Status)
//	w.Write(answer.Body)
//
// There is always an answer, and only what was judged and allowed is allowed: a
// body that cannot be read, an object of an unknown kind, a fault of our own and
// a judge that does not come back in time are refused, with a message that says
// why.
//
// # What is looked at
//
// CREATE and UPDATE. DELETE and CONNECT pass; so do subresources that hold no
// image, such as scale and binding. An update's image is looked at unless the old
// object held the same text in a container of the same name: nothing else of an
// object, no annotation, label, owner or deletionTimestamp, exempts it. What an
// update leaves as it is was judged when it came, if the webhook was there, and is
// judged again when a Pod is made of it; see [Options.VerifyUnchangedTags].
//
// # The phases
//
// Validate is what protects: it sees the object as it will be stored, after every
// mutating webhook. Mutate only pins tags to the digests that were judged.
//
// Non-goals: HTTP, TLS, reading credentials, and the policy; see package server.
package admission

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/policy/workload"
)

// Asker says for whom images are judged, and with whose credentials registries
// may be asked. The names are untrusted.
type Asker struct {
	// Namespace is the object's, which the API server vouches for; "" for none.
	Namespace string
	// PullSecrets are the secrets that the object names.
	PullSecrets []string
	// ServiceAccount is the account of the object's Pods; "" is the default one.
	ServiceAccount string
}

// Judge judges images under the cluster's policy and that of a namespace; the
// worse verdict counts. Safe for concurrent use.
type Judge interface {
	// Judge returns one answer for each image, in their order, each with Image as it
	// was asked for. It returns soon after the context ends, with what it knows.
	Judge(ctx context.Context, asker Asker, images []string) []*report.Image
}

// What is answered for images that could not be looked at.
const (
	UnavailableDeny  = "deny"
	UnavailableAllow = "allow"
)

// Limits.
const (
	// DefaultMaxBody holds an object of etcd's largest size (1.5 MB) twice, as an
	// update does.
	DefaultMaxBody = 3 << 20
	// DefaultDeadline is below the API server's default of ten seconds.
	DefaultDeadline = 8 * time.Second
	// maxImages bounds the places that one review verifies; the largest Pods have some
	// dozens.
	maxImages = 500
	// maxReserve is kept of the caller's deadline for the answer's way back. The API
	// server rounds its timeout up to the next second.
	maxReserve = time.Second
)

// Options say how objects are reviewed. The zero value verifies every known kind
// and refuses what cannot be checked.
type Options struct {
	// Finder knows where images stand; nil is one of the built-in kinds.
	Finder *workload.Finder
	// Exemptions are the only way around: nothing is exempt by itself, our own
	// namespace and kube-system included.
	Exemptions []Exemption
	// Deadline bounds one review; zero is [DefaultDeadline]. A deadline of the
	// context that is nearer counts, less a quarter or a second.
	Deadline time.Duration
	// Unavailable is what is answered when a registry could not be reached in time:
	// UnavailableDeny, which "" is too, or UnavailableAllow, with a warning. The latter
	// lets whoever keeps a registry silent run what he likes, and so does who may push
	// so much evidence beside an image that looking at it takes too long; it never lets
	// pass what was denied, what needs a login, or what failed for another reason.
	Unavailable string
	// RequireDigest refuses references without a digest, in Validate: a tag may be
	// moved between the review and the pull.
	RequireDigest bool
	// VerifyUnchangedTags looks also at images that an update does not change, unless
	// their reference has a digest: the tag may have been moved meanwhile.
	VerifyUnchangedTags bool
	// MaxBody bounds the bytes of a review; zero is [DefaultMaxBody].
	MaxBody int
	// Policy names the policies that govern a namespace, by digest, for the audit
	// annotations; nil names none.
	Policy func(namespace string) string
	// Now is the clock for the ends of exemptions; nil is time.Now.
	Now func() time.Time
}

// Reviewer answers reviews. Safe for concurrent use.
type Reviewer struct {
	judge   Judge
	options Options
}

// New returns a reviewer. Errors name the option that cannot be used.
func New(judge Judge, o Options) (*Reviewer, error) {
	if judge == nil {
		return nil, errors.New("making a reviewer: there is no judge")
	}
	if o.Unavailable != "" && o.Unavailable != UnavailableDeny && o.Unavailable != UnavailableAllow {
		return nil, fmt.Errorf("making a reviewer: unavailable is %q, not %q or %q", o.Unavailable, UnavailableDeny, UnavailableAllow)
	}
	if o.Deadline < 0 || o.MaxBody < 0 {
		return nil, errors.New("making a reviewer: a limit is below zero")
	}
	if err := checkExemptions(o.Exemptions); err != nil {
		return nil, err
	}
	if o.Finder == nil {
		finder, err := workload.NewFinder()
		if err != nil {
			return nil, err
		}
		o.Finder = finder
	}
	if o.Deadline == 0 {
		o.Deadline = DefaultDeadline
	}
	if o.MaxBody == 0 {
		o.MaxBody = DefaultMaxBody
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Reviewer{judge: judge, options: o}, nil
}
