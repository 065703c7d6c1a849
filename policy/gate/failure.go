package gate

import (
	"context"
	"errors"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/evidence"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// reasonFor names why something could not be looked at.
func reasonFor(err error) verify.Reason {
	for _, known := range []struct {
		err    error
		reason verify.Reason
	}{
		{context.Canceled, policy.ReasonUnreachable},
		{context.DeadlineExceeded, policy.ReasonUnreachable},
		{oci.ErrReference, policy.ReasonReference},
		{oci.ErrHostRefused, policy.ReasonHostRefused},
		{oci.ErrRedirectRefused, policy.ReasonRedirectDenied},
		{oci.ErrUnauthorized, policy.ReasonUnauthorized},
		{oci.ErrNotFound, policy.ReasonNoImage}, // an answer: who pushes an index can leave away what it names
	} {
		if errors.Is(err, known.err) {
			return known.reason
		}
	}
	if reason, wrong := evidence.ReasonOf(err); wrong {
		return reason
	}
	return policy.ReasonUnreachable
}

// admits returns an error where the target's source must not be asked about it, as
// [oci.Options.Hosts] says; whatever is kept about the image then counts for nothing.
func admits(t Target) error {
	for source := t.Source; source != nil; {
		if s, has := source.(interface{ Admits(oci.Reference) error }); has {
			return s.Admits(t.Reference)
		}
		wrapped, is := source.(interface{ Unwrap() Source })
		if !is {
			break
		}
		source = wrapped.Unwrap()
	}
	return nil
}

// missing wraps the errors of places that could not be looked at, so that the
// policy knows why.
func missing(errs []error) []error {
	var all []error
	for _, err := range errs {
		all = append(all, &policy.Missing{Reason: reasonFor(err), Err: err})
	}
	return all
}

// failed is the answer for an image that could not be judged at all.
func failed(t Target, err error) *report.Image {
	reason := reasonFor(err)
	verdict := policy.Undetermined
	if reason == policy.ReasonHostRefused {
		verdict = policy.Deny // nobody has to look to know it, and nobody shall
	}
	return &report.Image{
		Image: t.Text, Name: t.Name, Digest: t.Reference.Digest,
		Decision: policy.Decision{Verdict: verdict, Reason: reason},
		Error:    err.Error(), Hint: hintFor(reason),
	}
}

// hintFor says what to do when an image could not be judged.
func hintFor(reason verify.Reason) string {
	switch reason {
	case policy.ReasonNoImage:
		return "check the name, the tag or the path; there is no such image"
	case policy.ReasonUnauthorized:
		return "log in to the registry, for example with `docker login`, or ask for read access"
	case policy.ReasonUnreachable:
		return "nothing was found bad; try again when the registry answers"
	case policy.ReasonReference:
		return "write it as registry.example/name:tag or registry.example/name@sha256:…"
	case policy.ReasonRedirectDenied:
		return "the registry sent the request where credentials or trust would leak; ask who runs it"
	case policy.ReasonHostRefused:
		return "use an image of an allowed registry, or have its host added to the list"
	case policy.ReasonNoPlatform:
		return "`hallmark inspect` lists the platforms of an index"
	case policy.ReasonContentUnchecked:
		return "the rule compares the SBOM with the image's layers, which could not be done here"
	case verify.ReasonTrustRootInvalid:
		return "correct the keys of the policy"
	}
	return "`hallmark inspect` shows what is there"
}
