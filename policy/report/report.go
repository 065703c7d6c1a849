// Package report says what was decided about images and why, for machines and
// for people. It prints what decisions and facts say and nothing else: no check
// is claimed that was not made.
//
//	r := report.New(p, at, images...)
//	r.WriteText(os.Stdout, report.Style{})
//	r.WriteJSON(file)
//	os.Exit(code[r.Verdict])
//
// Everything that comes from outside is escaped, so that no name, annotation or
// error text can move the cursor, change colours, turn the line's direction or
// start a line of its own; see [Plain].
//
// Non-goals: deciding, and storing reports.
package report

import (
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/verify"
)

// Schema names the JSON form. It changes when a field changes its meaning or
// goes; fields are added without a change.
const Schema = "hallmark.dev/report/v1"

// Report is the outcome for one or more images under one policy.
type Report struct {
	Schema string `json:"schema"`
	// Verdict is that of the worst image: Deny before Undetermined before Allow.
	// Of no image at all it is Undetermined.
	Verdict policy.Verdict `json:"verdict"`
	// Time is when the images were judged.
	Time   time.Time `json:"time"`
	Policy Policy    `json:"policy"`
	// TrustRoots are what certificates were proved with, by name.
	TrustRoots []TrustRoot `json:"trustRoots,omitempty"`
	// Insecure lists what was weakened on the command line, such as
	// "--insecure-allow-http".
	Insecure []string `json:"insecure,omitempty"`
	// Images are in the order in which they were asked for.
	Images []*Image `json:"images"`
}

// Policy names the policy by name and content.
type Policy struct {
	Name   string        `json:"name"`
	Digest digest.Digest `json:"digest"`
}

// TrustRoot names one trust root of the policy by name and content.
type TrustRoot struct {
	Name   string        `json:"name"`
	Digest digest.Digest `json:"digest"`
	// Need is how many different witnesses it asks for.
	Need Need `json:"need"`
	// Fetched is when the root was fetched, for one that is refreshed; the caller
	// fills it in, with [Report.SetFetched].
	Fetched time.Time `json:"fetched,omitzero"`
	// AgeSeconds is how long before the report that was.
	AgeSeconds int64 `json:"ageSeconds,omitempty"`
}

// Need is a number of witnesses: of different logs, time sources and certificate
// logs. Zero asks for none.
type Need struct {
	Log        int `json:"log"`
	Timestamps int `json:"timestamps"`
	SCT        int `json:"sct"`
}

// SetFetched says when the root of a digest was fetched, under all its names.
func (r *Report) SetFetched(root digest.Digest, at time.Time) {
	for i := range r.TrustRoots {
		if t := &r.TrustRoots[i]; t.Digest == root {
			t.Fetched, t.AgeSeconds = at.UTC(), int64(r.Time.Sub(at)/time.Second)
		}
	}
}

// Image is the outcome for one image.
type Image struct {
	// Image is the reference as it was asked for.
	Image string `json:"image"`
	// Name is the canonical name that the policy's rules were matched with.
	Name string `json:"name,omitempty"`
	// Tag is the tag that was resolved, once, to Digest. It is empty where the
	// digest was given.
	Tag string `json:"tag,omitempty"`
	// Digest is what was judged, and the only thing that the verdict is about.
	Digest digest.Digest `json:"digest,omitzero"`
	// Platform is the platform whose manifest below an index was judged.
	Platform string `json:"platform,omitempty"`
	policy.Decision
	// Locations are the places of files that ask for the image; none where the command
	// line or a request did.
	Locations []Location `json:"locations,omitempty"`
	// Unseen are the places that could not be looked at.
	Unseen []Unseen `json:"unseen,omitempty"`
	// Cached tells that the decision was made for an earlier question.
	Cached bool `json:"cached,omitempty"`
	// Requests is how many requests to registries the answer took; those of a look that
	// several waited for are told to the one who began it. It is for logs: two runs
	// that differ in nothing else may differ in it.
	Requests int `json:"-"`
	// Error says why nothing was judged; Hint what to do about it.
	Error string `json:"error,omitempty"`
	Hint  string `json:"hint,omitempty"`
}

// Unseen is a place that could not be looked at.
type Unseen struct {
	Reason verify.Reason `json:"reason"`
	Detail string        `json:"detail"`
}

// New returns the report of images that were judged by p at a time.
func New(p *policy.Policy, at time.Time, images ...*Image) *Report {
	r := &Report{Schema: Schema, Time: at.UTC(), Images: images, Verdict: policy.Allow}
	if p != nil {
		r.Policy = Policy{Name: p.Name(), Digest: p.Digest()}
		for _, anchor := range p.TrustRoots() {
			need := Need{Log: anchor.Need.LogEntries, Timestamps: anchor.Need.Timestamps, SCT: anchor.Need.SCTs}
			r.TrustRoots = append(r.TrustRoots, TrustRoot{Name: anchor.Name, Digest: anchor.Root.Digest(), Need: need})
		}
	}
	if len(images) == 0 {
		r.Verdict = policy.Undetermined
	}
	for _, image := range images {
		if image.Verdict.Worse(r.Verdict) {
			r.Verdict = image.Verdict
		}
	}
	return r
}
